# SPDX-License-Identifier: GPL-3.0-or-later
"""A walk over a tape without a catalogue: what is on it, and is it as CTA's format demands.

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
    TAPE_BLOCK_PROTECTION,
    TAPE_HEADER_MISMATCH,
    TAPE_LABEL_FORMAT,
    TAPE_NOT_A_MARK,
    TAPE_OVERSIZE_BLOCK,
    TAPE_POSITION,
    TAPE_READ,
    TAPE_SIZE,
    TAPE_TRUNCATED,
    CtaError,
)
from cta_taped.tape import labels
from cta_taped.tape.drive import PROTECTION_BYTES, TapeDrive
from cta_taped.tape.files import (
    FIRST_OBJECT,
    MARKS_PER_FILE,
    OBJECTS_PER_FILE,
    EmptyTapeError,
    FileHeader,
    Placeholder,
    read_header,
    read_rest_of_header,
    read_trailer,
    recorded_block_id,
)
from cta_taped.tape.volume import open_for_read

_END: Final = frozenset({TAPE_TRUNCATED, TAPE_POSITION})
"""What spacing raises at the end of the recorded data."""
_NO_HEADER: Final = _END | {
    TAPE_BLOCK_PROTECTION,
    TAPE_HEADER_MISMATCH,
    TAPE_LABEL_FORMAT,
    TAPE_NOT_A_MARK,
    TAPE_OVERSIZE_BLOCK,
    TAPE_READ,
}
"""What reading a header raises where there is none that can be read."""
_TRAILER_OFFSET: Final = 5
"""Object number of EOF1 relative to HDR1, payload blocks not counted."""
_PLACEHOLDERS: Final = frozenset((len(kind.value), adler32(kind.value)) for kind in Placeholder)


@dataclass(slots=True)
class ScannedFile:
    """One file as found on tape. Sizes in bytes; ``block_id`` as the catalogue records it (0 for fSeq 1).

    ``end_position`` is the logical object number of the next file's header; ``written`` the label's date
    (cyyddd). With ``error`` the values are those seen until then, None where nothing was seen.
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


Sink = Callable[[ScannedFile], Callable[[memoryview], object]]
"""Called when a file's header was verified; returns what each of its payload blocks is given to."""


def _discard(_file: ScannedFile) -> Callable[[memoryview], object]:
    return len


class TapeScan:
    """A walk over the tape in ``drive``.

    ``vid`` None accepts any volume. ``prelabel`` tells whether the tape is labelled and empty,
    ``end_position`` the object number at which the walk ended. Raises CtaError as ``open_for_read``.
    """

    def __init__(
        self,
        drive: TapeDrive,
        vid: str | None = None,
        *,
        protection_enabled: bool = True,
        sink: Sink = _discard,
    ) -> None:
        reader, self.protection = open_for_read(drive, vid, protection_enabled=protection_enabled)
        self.vid = reader.vid
        self.prelabel = False
        self.end_position = FIRST_OBJECT
        self._drive = drive
        self._sink = sink
        self._buffer = memoryview(bytearray(labels.BLOCK_SIZE + PROTECTION_BYTES))

    def files(self, first: int = 1, last: int | None = None) -> Iterator[ScannedFile]:
        """The files from fSeq ``first`` to ``last`` (None: to the end of data), in the order of the tape.

        Raises CtaError when ``first`` is behind the end of data, and when the drive itself fails.
        """
        fseq, start = first, FIRST_OBJECT
        self._drive.locate(start)
        if first > 1:
            self._drive.space_filemarks(MARKS_PER_FILE * (first - 1))
            start = self._drive.position()
        while last is None or fseq <= last:
            file = ScannedFile(self.vid, fseq, recorded_block_id(fseq, start))
            self.end_position = start
            try:
                if not self._scan_file(file, start):
                    return
            except CtaError as error:
                file.error = error
            yield file
            if file.end_position is not None:
                fseq, start = fseq + 1, file.end_position
                self.end_position = start
            else:
                found = self._next_header(start, fseq)
                if found is None:
                    return
                fseq, start = found

    def _scan_file(self, file: ScannedFile, start: int) -> bool:
        """Read the file at which the tape stands into ``file``; False when there is none.

        Raises CtaError for the first thing that is wrong with it.
        """
        try:
            hdr1 = self._drive.read_label()
        except CtaError as error:
            if self._at_end(error, start):
                return False
            raise
        try:
            header = read_rest_of_header(self._drive, hdr1)
        except EmptyTapeError:
            if start != FIRST_OBJECT:
                raise
            self._drive.read_filemark()
            self.prelabel = True
            self.end_position = self._drive.position()
            return False
        file.written = header.first.creation_date
        file.host = header.user.host
        file.drive_serial = header.user.drive_serial
        file.tape_block_size = header.user.block_size
        self._demand(file, "HDR1", "VSN", header.first.vid, self.vid)
        self._demand(file, "UHL1", "fSeq", header.user.fseq, file.fseq)
        file.archive_file_id = labels.parse_archive_file_id(header.first.file_id)
        self._read_payload(file, header.user.block_size)
        try:
            trailer = read_trailer(self._drive)
        except CtaError as error:
            # Without payload, the mark read in its place may have been the end already.
            if any(self._at_end(error, start + _TRAILER_OFFSET + blocks) for blocks in (file.blocks, -1)):
                raise CtaError(
                    TAPE_TRUNCATED, f"{self.vid} fSeq {file.fseq}: the data end before the file does"
                ) from error
            raise
        # The whole file has passed: what is wrong with its trailer does not lose the position.
        file.end_position = start + OBJECTS_PER_FILE + file.blocks
        self._demand_trailer(file, header, trailer)
        return True

    def _at_end(self, error: CtaError, object_id: int) -> bool:
        """Whether ``error`` of reading at ``object_id`` means that the data end there.

        Behind a filemark st(4) shows that as two more marks; the position tells them from real ones.
        """
        if error.spec is TAPE_LABEL_FORMAT:
            return self._drive.position() == object_id
        return error.spec is TAPE_TRUNCATED

    def _read_payload(self, file: ScannedFile, block_size: int) -> None:
        if len(self._buffer) < block_size + PROTECTION_BYTES:
            self._buffer = memoryview(bytearray(block_size + PROTECTION_BYTES))
        buffer = self._buffer[: block_size + PROTECTION_BYTES]
        take, read_block = self._sink(file), self._drive.read_block
        while length := read_block(buffer):
            block = buffer[:length]
            file.adler32 = adler32(block, file.adler32)
            file.size_bytes += length
            file.blocks += 1
            take(block)

    def _demand_trailer(self, file: ScannedFile, header: FileHeader, trailer: FileHeader) -> None:
        if file.blocks == 0:
            raise CtaError(TAPE_SIZE, f"{self.vid} fSeq {file.fseq}: no payload between header and trailer")
        self._demand(file, "UTL1", "fSeq", trailer.user.fseq, file.fseq)
        self._demand(file, "EOF1", "VSN", trailer.first.vid, self.vid)
        self._demand(file, "EOF1", "file id", trailer.first.file_id, header.first.file_id)
        count = f"{file.blocks % 1_000_000:06d}"
        self._demand(file, "EOF1", "block count", trailer.first.block_count, count)

    def _demand(self, file: ScannedFile, label: str, name: str, found: object, wanted: object) -> None:
        if found != wanted:
            raise CtaError(
                TAPE_HEADER_MISMATCH,
                f"{self.vid} fSeq {file.fseq}: {label} has {name} {found}, expected {wanted}",
                fseq=file.fseq,
            )

    def _next_header(self, start: int, fseq: int) -> tuple[int, int] | None:
        """After damage in file ``fseq``: fSeq and object of the next header, where the tape then stands.

        By filemark arithmetic, and if no HDR1 stands there (a mark is missing or too many), behind the first
        mark that a whole header of a later file follows.
        """
        expected = self._behind_marks(start, MARKS_PER_FILE)
        if expected is not None and self._is_first_label():
            self._drive.locate(expected)
            return fseq + 1, expected
        boundary = self._behind_marks(start, 1)
        while boundary is not None:
            found = self._header_fseq()
            if found is not None and found > fseq:
                self._drive.locate(boundary)
                return found, boundary
            boundary = self._behind_marks(boundary, 1)
        return None

    def _behind_marks(self, start: int, count: int) -> int | None:
        """Go behind the ``count``-th mark from object ``start``; the object there, None at the data's end."""
        self._drive.locate(start)
        try:
            self._drive.space_filemarks(count)
        except CtaError as error:
            if error.spec not in _END:
                raise
            return None
        return self._drive.position()

    def _is_first_label(self) -> bool:
        try:
            return self._drive.read_label().startswith(b"HDR1")
        except CtaError as error:
            if error.spec not in _NO_HEADER:
                raise
            return False

    def _header_fseq(self) -> int | None:
        try:
            return read_header(self._drive).user.fseq
        except CtaError as error:
            if error.spec not in _NO_HEADER:
                raise
            return None
