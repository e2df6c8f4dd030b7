# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of tapes written by OSM and Enstore: one cpio member a file, one filemark a file (tape format 9.1).

What it is: the reader of both formats' files, which differ in block size, in an embedded CRC, and in whether
block ids are known. What it is not: a cpio archiver; only the first member's header and data matter.
Nothing on these tapes tells which file is which, so size and checksum of the catalogue are the only proof.
"""

from __future__ import annotations

import re
from typing import Final

from cta_taped.common.checksum import crc32c
from cta_taped.common.errors import (
    SYSTEM_INTERNAL,
    TAPE_BLOCK_PROTECTION,
    TAPE_LABEL_FORMAT,
    TAPE_SIZE,
    CtaError,
)
from cta_taped.tape.drive import TapeDrive

CRC_BYTES: Final = 4
_HEADER_BYTES: Final = 76
_LONGEST_NAME: Final = 1024
_HEADER: Final = re.compile(rb"070707[0-7]{53}([0-7]{6})(?:([0-7]{11})|H([0-9A-Fa-f]{10}))")


def parse_cpio_header(block: bytes) -> tuple[int, int]:
    """Header length and file size, in bytes, of the cpio member (odc) that begins with ``block``.

    Sizes beyond 8 GiB stand as H and ten hexadecimal digits. Raises CtaError TAPE_LABEL_FORMAT, also for an
    empty file, which these formats do not record.
    """
    match = _HEADER.match(block)
    if match is None:
        raise CtaError(TAPE_LABEL_FORMAT, f"no cpio header, the file begins with {bytes(block[:16])!r}")
    name_bytes = int(match[1], 8)
    size_bytes = int(match[2], 8) if match[2] else int(match[3], 16)
    if not 0 < name_bytes <= _LONGEST_NAME or size_bytes == 0:
        raise CtaError(
            TAPE_LABEL_FORMAT, f"cpio header with a name of {name_bytes} and a file of {size_bytes} bytes"
        )
    return _HEADER_BYTES + name_bytes, size_bytes


class CpioReader:
    """Reads files of a volume whose file f begins behind filemark f; a ``VolumeReader``.

    ``first_object``: where file 1 begins, None when the format records no block ids. ``may_embed_crc``:
    blocks may end in their own CRC32C, which the first block of a file decides.
    """

    def __init__(
        self, drive: TapeDrive, vid: str, block_size: int, *, first_object: int | None, may_embed_crc: bool
    ) -> None:
        self.vid = vid
        self.standing_at: int | None = None
        self._drive = drive
        self._block_size = block_size
        self._first_object = first_object
        self._may_embed_crc = may_embed_crc
        self._open_fseq: int | None = None
        self._embedded_crc = False
        self._left_bytes: int | None = None

    @property
    def position_lost(self) -> bool:
        """True when the next read needs ``position_to`` first."""
        return self.standing_at is None

    def position_to(self, fseq: int, block_id: int | None) -> None:
        """Go to a file: by LOCATE when block ids are recorded and one is given, else by counting filemarks.

        Marks are counted from the beginning of the tape when going back. Raises CtaError as the drive.
        """
        here, self.standing_at = self.standing_at, None
        if here != fseq:
            if block_id is not None and self._first_object is not None:
                self._drive.locate(max(block_id, self._first_object))
            else:
                if here is None or fseq < here:
                    self._drive.rewind()
                    here = 0
                self._drive.space_filemarks(fseq - here)
        self.standing_at = fseq

    def open_file(self, archive_file_id: int, fseq: int) -> int:
        """Begin the file at which the tape stands; returns the size of its largest block, in bytes.

        The archive file id is not recorded on these tapes.
        """
        self.standing_at = None
        self._open_fseq = fseq
        self._left_bytes = None
        return self._block_size

    def read_block(self, buffer: memoryview) -> int:
        """Put the next payload into ``buffer`` (block size + PROTECTION_BYTES); its length, 0 at the end.

        Raises CtaError TAPE_LABEL_FORMAT without a cpio header, TAPE_SIZE when the data end before the size
        that it names, TAPE_BLOCK_PROTECTION for a wrong embedded CRC, and as the drive.
        """
        left = self._left_bytes
        if left == 0:
            self._skip_to_mark(buffer)
            return 0
        length = self._drive.read_block(buffer)
        if length == 0:
            raise CtaError(
                TAPE_SIZE, f"{self.vid} fSeq {self._open_fseq}: ends before the size in its cpio header"
            )
        if left is None:
            self._embedded_crc = self._may_embed_crc and _ends_in_crc(buffer, length)
            length -= CRC_BYTES * self._embedded_crc
            header, left = parse_cpio_header(bytes(buffer[: min(length, _HEADER_BYTES)]))
            length = max(0, length - header)
            buffer[:length] = buffer[header : header + length]
        elif self._embedded_crc:
            if not _ends_in_crc(buffer, length):
                raise CtaError(
                    TAPE_BLOCK_PROTECTION,
                    f"{self.vid} fSeq {self._open_fseq}: a block of {length} bytes does not match its CRC32C",
                )
            length -= CRC_BYTES
        length = min(length, left)
        self._left_bytes = left - length
        return length or self.read_block(buffer)

    def _skip_to_mark(self, buffer: memoryview) -> None:
        while self._drive.read_block(buffer):
            pass

    def close_file(self, block_count: int) -> None:
        """End the file; the mark behind it was read, so the tape stands at the next one."""
        if self._open_fseq is None:
            raise CtaError(SYSTEM_INTERNAL, f"{self.vid}: no file is open")
        self.standing_at, self._open_fseq = self._open_fseq + 1, None


def _ends_in_crc(buffer: memoryview, length: int) -> bool:
    if length <= CRC_BYTES:
        return False
    stored = int.from_bytes(buffer[length - CRC_BYTES : length], "little")
    return crc32c(buffer[: length - CRC_BYTES]) == stored
