# SPDX-License-Identifier: GPL-3.0-or-later
"""A walk over a whole tape without a catalogue: what is on it, and is it as CTA's format demands.

What it is: each file's labels verified, its payload read and checksummed, one ``ScannedFile`` a file; damage
is reported for the file that has it and the walk goes on at the next header. What it is not: a retrieve; no
checksum is known to compare with. Why go on: a tape is scanned when something is wrong with it, and the files
behind the damage are what the operator wants to know about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from cta_taped.common.checksum import ADLER32_OF_NOTHING, adler32
from cta_taped.common.errors import (
    TAPE_HEADER_MISMATCH,
    TAPE_LABEL_FORMAT,
    TAPE_NOT_A_MARK,
    TAPE_OVERSIZE_BLOCK,
    TAPE_POSITION,
    TAPE_READ,
    TAPE_TRUNCATED,
    CtaError,
)
from cta_taped.tape import labels
from cta_taped.tape.drive import PROTECTION_BYTES, TapeDrive
from cta_taped.tape.files import (
    FIRST_OBJECT,
    MARKS_PER_FILE,
    OBJECTS_PER_FILE,
    FileHeader,
    Placeholder,
    read_header,
    read_trailer,
    recorded_block_id,
)
from cta_taped.tape.labels import BLOCK_SIZE
from cta_taped.tape.volume import open_for_read

_NO_HEADER: Final = frozenset(
    {TAPE_HEADER_MISMATCH, TAPE_LABEL_FORMAT, TAPE_NOT_A_MARK, TAPE_OVERSIZE_BLOCK, TAPE_READ}
)
"""What reading a header raises where there is none, or none that can be read."""
_END: Final = frozenset({TAPE_TRUNCATED, TAPE_POSITION})
"""What reading or spacing raises at the end of the recorded data."""
_PLACEHOLDERS: Final = frozenset((len(kind.value), adler32(kind.value)) for kind in Placeholder)

Sink = Callable[[FileHeader], Callable[[memoryview], None]]
"""Called with a file's verified header; returns what each payload block is given to."""


def _discard(_header: FileHeader) -> Callable[[memoryview], None]:
    return len


@dataclass(slots=True)
class ScannedFile:
    """One file as found on tape. Sizes in bytes; ``block_id`` as the catalogue records it (0 for fSeq 1).

    ``end_position`` is the logical object number behind the file. With ``error`` the values are those seen
    until then, None where nothing was seen.
    """

    vid: str
    fseq: int
    block_id: int
    archive_file_id: int | None = None
    size_bytes: int = 0
    adler32: int = ADLER32_OF_NOTHING
    blocks: int = 0
    tape_block_size: int | None = None
    end_position: int | None = None
    written: str | None = None
    host: str | None = None
    drive_serial: str | None = None
    error: CtaError | None = None

    @property
    def ok(self) -> bool:
        """True when every label, mark and block was as the format demands."""
        return self.error is None

    @property
    def placeholder(self) -> bool:
        """True for a file that was only written to keep fSeq consecutive (tape format 4.2)."""
        return (self.size_bytes, self.adler32) in _PLACEHOLDERS


class TapeScan:
    """A scan of the tape in ``drive``; iterate over ``files`` once.

    ``vid`` None accepts any volume. ``end_position`` is the object number at which the walk ended, ``prelabel``
    whether the tape is labelled and empty. Raises CtaError as ``open_for_read``.
    """

    def __init__(
        self, drive: TapeDrive, vid: str | None = None, *, protection_enabled: bool = True, sink: Sink = _discard
    ) -> None:
        reader, self.protection = open_for_read(drive, vid, protection_enabled=protection_enabled)
        self.vid = reader.vid
        self.prelabel = False
        self.end_position = FIRST_OBJECT
        self._drive = drive
        self._sink = sink
        self._buffer = memoryview(bytearray(BLOCK_SIZE + PROTECTION_BYTES))

    def files(self) -> Iterator[ScannedFile]:
        """Each file in the order of the tape; a CtaError ends the walk only when the drive itself fails."""
        fseq = 1
        start: int | None = FIRST_OBJECT
        while start is not None:
            file = ScannedFile(self.vid, fseq, recorded_block_id(fseq, start))
            self.end_position = start
            try:
                if self._scan_file(file, start):
                    return
            except CtaError as error:
                file.error = error
            yield file
            fseq += 1
            if file.error is None:
                start += OBJECTS_PER_FILE + file.blocks
            else:
                start, fseq = self._next_header(start, fseq)

    def _scan_file(self, file: ScannedFile, start: int) -> bool:
        """Read the file whose HDR1 is at ``start``, where the tape stands; True when there is none."""
        drive, vid = self._drive, self.vid
        try:
            block = drive.read_label()
        except CtaError as error:
            if error.spec is TAPE_TRUNCATED:
                return True
            raise
        ...
