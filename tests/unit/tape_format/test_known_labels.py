# SPDX-License-Identifier: GPL-3.0-or-later
"""A label is known when it differs from a verified one in its numbers alone; every other byte counts."""

from __future__ import annotations

import pytest
from golden_images import GOLDEN, LoadImage, records, rows

from cta_taped.common import errors
from cta_taped.common.errors import CtaError
from cta_taped.common.model import WriterIdentity
from cta_taped.tape.files import FileReader
from cta_taped.tape.known_labels import BLOCK_COUNT, FILE_ID, FSEQ, FSEQ_MODULO, KnownLabel
from cta_taped.tape.labels import LabelWriter
from cta_taped.tape.volume import open_for_read

WRITER = LabelWriter("V%0001"[:6], WriterIdentity("100%X", "HOST", "IBM", "ULT", "1"), date="025166")


@pytest.mark.parametrize("numbers", [(1, 1), (0xFFFFFFFFFFFFFFFF, 9999), (0xABC, 10)])
def test_another_file_of_the_same_tape_is_known(numbers: tuple[int, int]) -> None:
    known = KnownLabel(FILE_ID, FSEQ_MODULO)
    assert not known.matches(WRITER.hdr1(7, 7), 7, 7)
    known.learn(WRITER.hdr1(7, 7))
    assert known.matches(WRITER.hdr1(*numbers), *numbers)
    assert not known.matches(WRITER.hdr1(*numbers), numbers[0], numbers[1] - 1)
    assert not known.matches(WRITER.hdr1(*numbers), numbers[0] - 1, numbers[1])


def test_block_count_and_user_label() -> None:
    eof1, uhl1 = KnownLabel(FILE_ID, FSEQ_MODULO, BLOCK_COUNT), KnownLabel(FSEQ)
    eof1.learn(WRITER.eof1(1, 1, 1))
    uhl1.learn(WRITER.uhl1(1))
    assert eof1.matches(WRITER.eof1(2, 3, 4), 2, 3, 4)
    assert not eof1.matches(WRITER.eof1(2, 3, 4), 2, 3, 5)
    assert uhl1.matches(WRITER.uhl1(9_999_999_999), 9_999_999_999)


@pytest.mark.parametrize("offset", range(80))
def test_every_byte_counts(offset: int) -> None:
    known = KnownLabel(FILE_ID, FSEQ_MODULO)
    label = bytearray(WRITER.hdr1(0x1234, 12))
    known.learn(bytes(label))
    label[offset] ^= 1
    assert not known.matches(bytes(label), 0x1234, 12)


@pytest.mark.parametrize("number", [0, 1, 2, 6, 7, 8])
def test_a_broken_label_behind_good_ones_is_still_found(
    number: int, tmp_path_factory: pytest.TempPathFactory, load_image: LoadImage
) -> None:
    """The labels of one file after the other are known; then one has a byte that no label may have."""
    objects = records((GOLDEN / "small100.tap").read_bytes())
    begin = 1 + 50 * 10
    broken = bytearray(objects[begin + number])
    broken[4 + 79] ^= 0x80
    objects[begin + number] = bytes(broken)
    image = tmp_path_factory.mktemp("broken") / "small100.tap"
    image.write_bytes(b"".join(objects))
    drive = load_image(image, vid="V00004", media="LTO-9")
    reader, _ = open_for_read(drive, "V00004", protection_enabled=True)
    assert isinstance(reader, FileReader)
    buffer = memoryview(bytearray(262144 + 4))
    with pytest.raises(CtaError) as caught:
        for row in rows(GOLDEN / "small100.manifest.jsonl"):
            reader.open_file(row["archiveFileId"], row["fSeq"])
            blocks = 0
            while reader.read_block(buffer):
                blocks += 1
            reader.close_file(blocks)
    assert caught.value.spec is errors.TAPE_LABEL_FORMAT
    assert row["fSeq"] == 51
