# SPDX-License-Identifier: GPL-3.0-or-later
"""Tapes written by Enstore, read only (tape format 9.3 and 9.4): cpio files, or "large" files with labels.

What it is: the opening of both kinds, and the reader of large files, whose labels stand together in one block
and whose numbers are Enstore's own: they are read for sizes and never compared with CTA's.
What it is not: block protection; Enstore's tapes have none, and no block ids are known of their files.
"""

from __future__ import annotations

import re
from typing import Final

from cta_taped.common.errors import SYSTEM_INTERNAL, TAPE_LABEL_FORMAT, TAPE_NOT_LABELLED, TAPE_SIZE, CtaError
from cta_taped.tape import labels
from cta_taped.tape.cpio import CpioReader
from cta_taped.tape.drive import PROTECTION_BYTES, BlockProtection, TapeDrive
from cta_taped.tape.files import MARKS_PER_FILE
from cta_taped.tape.labels import LABEL_SIZE
from cta_taped.tape.volume import demand_volume

_LABEL_BUFFER_BYTES: Final = 262144
_CPIO_BLOCK_BYTES: Final = 1048576
_LABEL_STANDARD: Final = 79
_RECORD_FORMAT: Final = 4
_SECTION_NUMBER: Final = slice(27, 31)
_UHL2_SIZE: Final = slice(64, 78)


def open_enstore(drive: TapeDrive, vid: str) -> CpioReader:
    """Verify VOL1 of a volume of cpio files.

    Raises CtaError TAPE_NOT_LABELLED, TAPE_LABEL_FORMAT, TAPE_WRONG_VOLUME, and what the drive raises.
    """
    _read_volume_label(drive, vid)
    return CpioReader(drive, vid, _CPIO_BLOCK_BYTES, first_object=None, may_embed_crc=False)


def open_enstore_large(drive: TapeDrive, vid: str) -> LargeFileReader:
    """Verify VOL1 of a volume of large files and stand at the first. Raises as ``open_enstore``."""
    _read_volume_label(drive, vid)
    drive.read_filemark()
    return LargeFileReader(drive, vid)


def _read_volume_label(drive: TapeDrive, vid: str) -> None:
    drive.set_block_protection(BlockProtection.OFF)
    drive.rewind()
    label = _read_labels(drive, 1)[0]
    # Both standards occur, since tapes of either kind were recycled as the other.
    if label[_LABEL_STANDARD:] not in (b"0", b"3"):
        raise CtaError(TAPE_NOT_LABELLED, f"{vid}: VOL1 has label standard {label[_LABEL_STANDARD:]!r}")
    demand_volume(labels.parse_vol1(label[:_LABEL_STANDARD] + b"3"), vid)


def _read_labels(drive: TapeDrive, count: int) -> list[bytes]:
    """The first ``count`` labels of one block, which may be longer. Raises CtaError TAPE_LABEL_FORMAT."""
    buffer = memoryview(bytearray(_LABEL_BUFFER_BYTES + PROTECTION_BYTES))
    length = drive.read_block(buffer)
    if length < count * LABEL_SIZE:
        raise CtaError(
            TAPE_LABEL_FORMAT, f"a block of {length} bytes stands where {count} labels were expected"
        )
    return [bytes(buffer[start : start + LABEL_SIZE]) for start in range(0, count * LABEL_SIZE, LABEL_SIZE)]


def _as_ours(first: bytes, second: bytes) -> tuple[bytes, bytes]:
    """HDR1 and HDR2 (or EOF1 and EOF2) with the two fields that Enstore writes otherwise set as CTA's are."""
    if second[_RECORD_FORMAT : _RECORD_FORMAT + 1] != b"D":
        raise CtaError(TAPE_LABEL_FORMAT, f"{second[:4]!r}: record format is not D: no large file of Enstore")
    section = first[: _SECTION_NUMBER.start] + b"0001" + first[_SECTION_NUMBER.stop :]
    return section, second[:_RECORD_FORMAT] + b"F" + second[_RECORD_FORMAT + 1 :]


class LargeFileReader:
    """Reads large files of Enstore by fSeq; a ``VolumeReader``. The last block is padded with zeros."""

    def __init__(self, drive: TapeDrive, vid: str) -> None:
        self.vid = vid
        self.standing_at: int | None = 1
        self._drive = drive
        self._fseq: int | None = None
        self._left_bytes = 0

    @property
    def position_lost(self) -> bool:
        """True when the next read needs ``position_to`` first."""
        return self.standing_at is None

    def position_to(self, fseq: int, block_id: int | None) -> None:
        """Go to a file by counting marks: one behind VOL1 and three a file; ``block_id`` means nothing here.

        Raises CtaError as the drive.
        """
        here, self.standing_at = self.standing_at, None
        if here is None or fseq < here:
            self._drive.rewind()
            self._drive.space_filemarks(1)
            here = 1
        if fseq > here:
            self._drive.space_filemarks(MARKS_PER_FILE * (fseq - here))
        self.standing_at = fseq

    def open_file(self, archive_file_id: int, fseq: int) -> int:
        """Read the header block; the size of the largest data block, in bytes.

        Raises CtaError TAPE_LABEL_FORMAT, TAPE_NOT_A_MARK, and as the drive.
        """
        self.standing_at = None
        hdr1, hdr2, uhl1, uhl2 = _read_labels(self._drive, 4)
        hdr1, hdr2 = _as_ours(hdr1, hdr2)
        labels.parse_first("HDR1", hdr1)
        labels.check_second("HDR2", hdr2)
        block_size = labels.parse_user("UHL1", uhl1).block_size
        digits = uhl2[_UHL2_SIZE].strip()
        if not uhl2.startswith(b"UHL2") or re.fullmatch(rb"[0-9]+", digits) is None:
            raise CtaError(TAPE_LABEL_FORMAT, f"UHL2: file size is {digits!r}, expected a decimal number")
        self._drive.read_filemark()
        self._fseq, self._left_bytes = fseq, int(digits)
        return block_size

    def read_block(self, buffer: memoryview) -> int:
        """Put the next payload into ``buffer`` (block size + PROTECTION_BYTES); its length, 0 at the end.

        Raises CtaError TAPE_SIZE when the data end before the size in UHL2, and as the drive.
        """
        length = self._drive.read_block(buffer)
        if self._left_bytes == 0:
            while length:
                length = self._drive.read_block(buffer)
            return 0
        if length == 0:
            raise CtaError(TAPE_SIZE, f"{self.vid} fSeq {self._fseq}: ends before the size in its UHL2")
        length = min(length, self._left_bytes)
        self._left_bytes -= length
        return length

    def close_file(self, block_count: int) -> None:
        """Read the trailer block and its mark. Raises CtaError as ``open_file``."""
        if self._fseq is None:
            raise CtaError(SYSTEM_INTERNAL, f"{self.vid}: no file is open")
        fseq, self._fseq = self._fseq, None
        eof1, eof2, utl1 = _read_labels(self._drive, 3)
        eof1, eof2 = _as_ours(eof1, eof2)
        labels.parse_first("EOF1", eof1)
        labels.check_second("EOF2", eof2)
        labels.parse_user("UTL1", utl1)
        self._drive.read_filemark()
        self.standing_at = fseq + 1
