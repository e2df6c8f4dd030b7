# SPDX-License-Identifier: GPL-3.0-or-later
"""Files read back by position, in every order, as CTA's own code reads them."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest
from golden_images import GOLDEN, LoadImage, rows

from cta_taped.common import errors
from cta_taped.common.checksum import ADLER32_OF_NOTHING, adler32
from cta_taped.common.errors import CtaError, ErrorSpec
from cta_taped.tape.drive import PROTECTION_BYTES, TapeDrive
from cta_taped.tape.files import FileReader
from cta_taped.tape.volume import open_for_read


def read(
    drive: TapeDrive, reader: FileReader, row: dict[str, Any], *, by_block_id: bool
) -> tuple[int, str, int]:
    """One file: size in bytes, checksum, blocks."""
    reader.position_to(row["fSeq"], row["blockId"] if by_block_id else None)
    block_size = reader.open_file(row["archiveFileId"], row["fSeq"])
    buffer = memoryview(bytearray(block_size + PROTECTION_BYTES))
    size, checksum, blocks = 0, ADLER32_OF_NOTHING, 0
    while length := drive.read_block(buffer):
        size += length
        checksum = adler32(buffer[:length], checksum)
        blocks += 1
    reader.close_file(blocks)
    return size, f"{checksum:08x}", blocks


def expected(row: dict[str, Any]) -> tuple[int, str, int]:
    """The same of CTA's reading."""
    return row["size"], row["adler32"], row["blocks"]


@pytest.mark.parametrize("by_block_id", [True, False])
@pytest.mark.parametrize("name", ["sizes", "small100", "small100-lbp", "appended", "placeholder"])
def test_golden_files_in_order_and_shuffled(name: str, by_block_id: bool, load_image: LoadImage) -> None:
    manifest = rows(GOLDEN / f"{name}.read.jsonl")
    drive = load_image(GOLDEN / f"{name}.tap")
    reader, _ = open_for_read(drive, manifest[0]["vid"], protection_enabled=True)
    shuffled = random.Random(7).sample(manifest, len(manifest))
    for row in itertools.chain(manifest, shuffled, reversed(manifest)):
        assert read(drive, reader, row, by_block_id=by_block_id) == expected(row)


def test_mixed_positioning(load_image: LoadImage) -> None:
    manifest = rows(GOLDEN / "small100.read.jsonl")
    drive = load_image(GOLDEN / "small100.tap")
    reader, _ = open_for_read(drive, "V00004", protection_enabled=True)
    order = random.Random(11)
    for row in order.sample(manifest, len(manifest)):
        assert read(drive, reader, row, by_block_id=order.random() < 0.5) == expected(row)


def test_consecutive_files_need_no_positioning(
    load_image: LoadImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = rows(GOLDEN / "small100.read.jsonl")
    drive = load_image(GOLDEN / "small100.tap")
    reader, _ = open_for_read(drive, "V00004", protection_enabled=True)
    moves: list[object] = []
    for verb in ("locate", "space_filemarks", "rewind"):
        monkeypatch.setattr(drive, verb, moves.append)
    for row in manifest[:3]:
        read(drive, reader, row, by_block_id=True)
    for row in manifest[3:6]:
        read(drive, reader, row, by_block_id=False)
    assert moves == []


# Image, damaged fSeq, our code. CTA reads utl1-fseq without complaint, not looking at the trailer's fSeq. We
# do, because a trailer of another file means that the tape does not hold what its layout promises.
# data-flip is found by the caller's checksum, not here.
VERDICTS: list[tuple[str, int, ErrorSpec]] = [
    ("hdr1-vsn", 2, errors.TAPE_HEADER_MISMATCH),
    ("uhl1-fseq", 2, errors.TAPE_HEADER_MISMATCH),
    ("utl1-fseq", 2, errors.TAPE_HEADER_MISMATCH),
    ("lbp-data-flip", 2, errors.TAPE_BLOCK_PROTECTION),
    ("truncated-in-file", 4, errors.TAPE_TRUNCATED),
    ("no-trailer-mark", 4, errors.TAPE_TRUNCATED),
]


@pytest.mark.parametrize("by_block_id", [True, False])
@pytest.mark.parametrize(("name", "damaged", "spec"), VERDICTS, ids=[row[0] for row in VERDICTS])
def test_damaged_images(
    name: str, damaged: int, spec: ErrorSpec, by_block_id: bool, negative: Path, load_image: LoadImage
) -> None:
    """The damaged file fails, all others are read, before and behind it."""
    verdicts = rows(negative / f"{name}.read.jsonl")
    manifest = rows(GOLDEN / "sizes.read.jsonl")
    drive = load_image(negative / f"{name}.tap")
    reader, _ = open_for_read(drive, verdicts[0]["vid"], protection_enabled=True)
    for row, verdict in zip(manifest, verdicts, strict=True):
        if row["fSeq"] == damaged:
            with pytest.raises(CtaError) as caught:
                read(drive, reader, row, by_block_id=by_block_id)
            assert caught.value.spec is spec
        else:
            assert verdict["ok"]
            assert read(drive, reader, row, by_block_id=by_block_id) == expected(verdict)


def test_silent_damage_is_left_to_the_checksum(negative: Path, load_image: LoadImage) -> None:
    verdict = rows(negative / "data-flip.read.jsonl")[1]
    drive = load_image(negative / "data-flip.tap")
    reader, _ = open_for_read(drive, "V00002", protection_enabled=True)
    row = rows(GOLDEN / "sizes.read.jsonl")[1]
    assert read(drive, reader, row, by_block_id=True)[:2] == (verdict["sizeRead"], verdict["adler32Read"])


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"archiveFileId": 1}, "archive file id"),
        ({"blockId": 11, "fSeq": 3}, "fSeq"),
        ({"blockId": 12}, "HDR1"),
    ],
)
def test_what_the_catalogue_says_must_be_on_tape(
    change: dict[str, int], what: str, load_image: LoadImage
) -> None:
    """A wrong id, fSeq or block id of the catalogue fails that file, and the next read finds its way."""
    manifest = rows(GOLDEN / "sizes.read.jsonl")
    drive = load_image(GOLDEN / "sizes.tap")
    reader, _ = open_for_read(drive, "V00002", protection_enabled=True)
    with pytest.raises(CtaError) as caught:
        read(drive, reader, manifest[1] | change, by_block_id=True)
    assert what in caught.value.detail or caught.value.spec is errors.TAPE_LABEL_FORMAT
    assert reader.position_lost
    assert read(drive, reader, manifest[2], by_block_id=False) == expected(manifest[2])


@pytest.mark.parametrize("block_id", [2**32, 2**63, -1])
def test_impossible_block_ids(block_id: int, load_image: LoadImage) -> None:
    reader, _ = open_for_read(load_image(GOLDEN / "sizes.tap"), "V00002", protection_enabled=True)
    with pytest.raises(CtaError) as caught:
        reader.position_to(2, block_id)
    assert caught.value.spec is errors.TAPE_POSITION
    assert not reader.position_lost


@pytest.mark.parametrize("block_id", [61, 62, 5000, 2**32 - 1])
def test_behind_the_end_of_data(block_id: int, load_image: LoadImage) -> None:
    manifest = rows(GOLDEN / "sizes.read.jsonl")
    drive = load_image(GOLDEN / "sizes.tap")
    reader, _ = open_for_read(drive, "V00002", protection_enabled=True)
    with pytest.raises(CtaError):
        read(drive, reader, manifest[3] | {"fSeq": 5, "blockId": block_id}, by_block_id=True)
    assert read(drive, reader, manifest[3], by_block_id=True) == expected(manifest[3])


def test_an_empty_tape_has_no_file(load_image: LoadImage) -> None:
    reader, _ = open_for_read(load_image(GOLDEN / "labelled.tap"), "V00001", protection_enabled=True)
    with pytest.raises(CtaError) as caught:
        reader.open_file(1, 1)
    assert caught.value.spec is errors.TAPE_HEADER_MISMATCH
