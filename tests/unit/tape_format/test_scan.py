# SPDX-License-Identifier: GPL-3.0-or-later
"""Every golden image scanned and compared with what CTA's code says; every damaged one with its verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from golden_images import GOLDEN, IMAGES, LoadImage, records, rows

from cta_taped.common import errors
from cta_taped.common.errors import CtaError, ErrorSpec
from cta_taped.tape.scan import ScannedFile, TapeScan


def as_row(file: ScannedFile) -> dict[str, Any]:
    """A scanned file as CTA's scan prints a good one."""
    return {
        "ok": file.ok,
        "vid": file.vid,
        "fSeq": file.fseq,
        "blockId": file.block_id,
        "archiveFileId": file.archive_file_id,
        "size": file.size_bytes,
        "adler32": f"{file.adler32:08x}",
        "blocks": file.blocks,
        "tapeBlockSize": file.tape_block_size,
        "endPosition": file.end_position,
    }


@pytest.mark.parametrize("name", IMAGES)
def test_golden_images(name: str, load_image: LoadImage) -> None:
    walk = TapeScan(load_image(GOLDEN / f"{name}.tap"))
    found = [as_row(file) for file in walk.files()]
    if walk.prelabel:
        found.append({"ok": True, "vid": walk.vid, "prelabel": True})
    end = {"endOfData": True, "position": walk.end_position, "files": 0 if walk.prelabel else len(found)}
    found.append({"ok": True, "vid": walk.vid, **end, "lbpMode": walk.protection.value})
    assert found == rows(GOLDEN / f"{name}.scan.jsonl")


def test_placeholder_is_recognised(load_image: LoadImage) -> None:
    walk = TapeScan(load_image(GOLDEN / "placeholder.tap"))
    assert [file.placeholder for file in walk.files()] == [False, True, False]


def test_a_range_of_files(load_image: LoadImage) -> None:
    walk = TapeScan(load_image(GOLDEN / "small100-lbp.tap"))
    expected = rows(GOLDEN / "small100-lbp.scan.jsonl")
    assert [as_row(file) for file in walk.files(41, 43)] == expected[40:43]
    assert [as_row(file) for file in walk.files(2, 2)] == expected[1:2]
    assert [as_row(file) for file in walk.files(99)] == expected[98:100]


# Image, damaged fSeq, our code for it. CTA's scan ends at the first damage in all of them; ours goes on,
# because the files behind the damage are what the operator wants to know about.
VERDICTS: list[tuple[str, int, ErrorSpec]] = [
    ("hdr1-vsn", 2, errors.TAPE_HEADER_MISMATCH),
    ("uhl1-fseq", 2, errors.TAPE_HEADER_MISMATCH),
    ("utl1-fseq", 2, errors.TAPE_HEADER_MISMATCH),
    ("lbp-data-flip", 2, errors.TAPE_BLOCK_PROTECTION),
    ("truncated-in-file", 4, errors.TAPE_TRUNCATED),
    ("no-trailer-mark", 4, errors.TAPE_TRUNCATED),
]


@pytest.mark.parametrize(("name", "damaged", "spec"), VERDICTS, ids=[row[0] for row in VERDICTS])
def test_damaged_images(
    name: str, damaged: int, spec: ErrorSpec, negative: Path, load_image: LoadImage
) -> None:
    walk = TapeScan(load_image(negative / f"{name}.tap"))
    found = list(walk.files())
    verdict = rows(negative / f"{name}.scan.jsonl")
    good_before = [row for row in verdict if row["ok"]]
    assert [as_row(file) for file in found[: damaged - 1]] == good_before
    assert found[damaged - 1].error is not None
    assert found[damaged - 1].error.spec is spec
    intact = rows(GOLDEN / "sizes.scan.jsonl")
    behind = [as_row(file) | {"vid": "V00002"} for file in found[damaged:]]
    assert behind == intact[damaged:4]


def test_silent_damage_is_seen_by_the_checksum_alone(negative: Path, load_image: LoadImage) -> None:
    walk = TapeScan(load_image(negative / "data-flip.tap"))
    assert [as_row(file) for file in walk.files()] == rows(negative / "data-flip.scan.jsonl")[:-1]


@pytest.mark.parametrize(
    ("name", "spec"),
    [("blank", errors.TAPE_NOT_LABELLED), ("vol1-lbp01", errors.TAPE_PROTECTION_METHOD)],
)
def test_unusable_volumes(name: str, spec: ErrorSpec, negative: Path, load_image: LoadImage) -> None:
    with pytest.raises(CtaError) as caught:
        TapeScan(load_image(negative / f"{name}.tap"))
    assert caught.value.spec is spec


def test_a_missing_mark_costs_only_its_own_file(tmp_path: Path, load_image: LoadImage) -> None:
    """Filemark arithmetic would land in the next file's payload; the walk finds its header all the same."""
    objects = records((GOLDEN / "sizes.tap").read_bytes())
    del objects[11 + 5]
    image = tmp_path / "no-payload-mark.tap"
    image.write_bytes(b"".join(objects))
    found = list(TapeScan(load_image(image)).files())
    assert [(file.fseq, file.ok) for file in found] == [(1, True), (2, False), (3, True), (4, True)]
    assert found[1].error is not None


def test_two_damaged_files_in_a_row_are_both_reported(tmp_path: Path, load_image: LoadImage) -> None:
    objects = records((GOLDEN / "sizes.tap").read_bytes())
    for header in (1, 11):
        objects[header + 2] = objects[header + 2].replace(b"UHL1", b"UHLX")
    image = tmp_path / "two.tap"
    image.write_bytes(b"".join(objects))
    found = list(TapeScan(load_image(image)).files())
    assert [(file.fseq, file.ok) for file in found] == [(1, False), (2, False), (3, True), (4, True)]


@pytest.mark.parametrize("cut", range(1, 61))
def test_data_that_end_anywhere(cut: int, tmp_path: Path, load_image: LoadImage) -> None:
    """Cut behind each object: complete files are good, what is cut off is told, nothing else happens."""
    starts = [1, 11, 21, 32, 61]
    image = tmp_path / "cut.tap"
    image.write_bytes(b"".join(records((GOLDEN / "sizes.tap").read_bytes())[:cut]))
    found = list(TapeScan(load_image(image)).files())
    complete = sum(start <= cut for start in starts[1:])
    assert [file.ok for file in found[:complete]] == [True] * complete
    if cut in starts:
        assert len(found) == complete
    else:
        assert len(found) == complete + 1
        assert found[-1].error is not None
        assert found[-1].error.spec is errors.TAPE_TRUNCATED


@pytest.mark.parametrize(
    ("label", "old", "new", "spec"),
    [
        (1, b"HDR1100000001 ", b"HDR110000000G ", errors.TAPE_LABEL_FORMAT),
        (3, b"0000262144", b"0000000000", errors.TAPE_LABEL_FORMAT),
        (3, b"0000262144", b"0000131072", None),
        (7, b"V00002", b"V00003", errors.TAPE_HEADER_MISMATCH),
        (7, b" 000001CTA", b" 000002CTA", errors.TAPE_HEADER_MISMATCH),
        (7, b"EOF1100000001", b"EOF1100000002", errors.TAPE_HEADER_MISMATCH),
        (9, b"UTL1", b"UHL1", errors.TAPE_LABEL_FORMAT),
    ],
)
def test_damaged_labels(
    label: int, old: bytes, new: bytes, spec: ErrorSpec | None, tmp_path: Path, load_image: LoadImage
) -> None:
    """A field of a label of file 1 is replaced; a smaller block size than used elsewhere is no damage."""
    objects = records((GOLDEN / "sizes.tap").read_bytes())
    assert old in objects[label]
    objects[label] = objects[label].replace(old, new, 1)
    image = tmp_path / "label.tap"
    image.write_bytes(b"".join(objects))
    found = list(TapeScan(load_image(image)).files())
    assert len(found) == 4
    assert all(file.ok for file in found[1:])
    assert (found[0].error.spec if found[0].error else None) is spec


def test_a_block_longer_than_declared(tmp_path: Path, load_image: LoadImage) -> None:
    objects = records((GOLDEN / "sizes.tap").read_bytes())
    objects[13] = objects[13].replace(b"0000262144", b"0000131072", 1)
    image = tmp_path / "oversize.tap"
    image.write_bytes(b"".join(objects))
    found = list(TapeScan(load_image(image)).files())
    assert [file.ok for file in found] == [True, False, True, True]
    assert found[1].error is not None
    assert found[1].error.spec is errors.TAPE_OVERSIZE_BLOCK
