# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on a CTA tape: headers, trailers, filemarks, and where on the tape a session stands.

What it is: the writer and the reader of one mount, made by ``volume.py`` after the volume label was verified.
What it is not: the payload's path; between ``begin_file`` and ``end_file`` (or ``open_file`` and
``close_file``) the caller moves blocks with the drive itself, because nothing may stand between the transfer
loop and the drive. Why two small classes: order on tape is the same for archive, retrieve, scan and image.

Layout of a file whose HDR1 is logical object p, with N payload blocks (tape format 3.1): HDR1 HDR2 UHL1 mark
at p to p+3, payload from p+4, mark at p+4+N, EOF1 EOF2 UTL1 mark, next HDR1 at p+9+N.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from time import monotonic, time
from typing import Final, NamedTuple, Protocol

from cta_taped.common.errors import (
    SYSTEM_INTERNAL,
    TAPE_HEADER_MISMATCH,
    TAPE_POSITION,
    CtaError,
)
from cta_taped.tape import labels
from cta_taped.tape.drive import MAX_OBJECT_ID, PROTECTION_BYTES, TapeDrive
from cta_taped.tape.known_labels import BLOCK_COUNT, FILE_ID, FSEQ, FSEQ_MODULO, KnownLabel
from cta_taped.tape.labels import FileLabel, LabelWriter, UserLabel

MARKS_PER_FILE: Final = 3
OBJECTS_PER_FILE: Final = 9
"""Labels and filemarks of a file; its payload blocks come on top."""
VERIFY_S: Final = 1.0
"""How old the last READ POSITION may be when a file is begun."""
FIRST_OBJECT: Final = 1
"""HDR1 of fSeq 1, right behind VOL1; the catalogue records it as block id 0 (tape format 3.2)."""


class Placeholder(Enum):
    """Payload of a file that only keeps fSeq consecutive (tape format 4.2); one NUL ends each text."""

    ZERO_LENGTH = b"This file intentionally left blank: zero-length file cannot be recorded to tape.\0"
    READ_FAILED = (
        b"This file intentionally left blank: leaving placeholder after failing to read from disk.\0"
    )


class EmptyTapeError(CtaError):
    """A file's header was asked for and the header of a labelled, empty tape was found."""


class FileHeader(NamedTuple):
    """HDR1 and UHL1 of a file."""

    first: FileLabel
    user: UserLabel


def recorded_block_id(fseq: int, object_id: int) -> int:
    """The block id that the catalogue records for a file whose HDR1 is ``object_id``: 0 for fSeq 1."""
    return 0 if fseq == 1 else object_id


def read_header(drive: TapeDrive) -> FileHeader:
    """Read HDR1, HDR2, UHL1 and the mark behind them, and verify their fields.

    Raises CtaError TAPE_LABEL_FORMAT, TAPE_NOT_A_MARK, TAPE_TRUNCATED at the end of data, and what reading
    raises; EmptyTapeError (TAPE_HEADER_MISMATCH) when the label is the one of an empty tape.
    """
    return read_rest_of_header(drive, drive.read_label())


def read_rest_of_header(drive: TapeDrive, hdr1: bytes) -> FileHeader:
    """As ``read_header``, after its first label was read."""
    first = _parse_hdr1(hdr1)
    labels.check_second("HDR2", drive.read_label())
    user = labels.parse_user("UHL1", drive.read_label())
    drive.read_filemark()
    return FileHeader(first, user)


def _parse_hdr1(hdr1: bytes) -> FileLabel:
    first = labels.parse_first("HDR1", hdr1)
    if first.is_prelabel:
        raise EmptyTapeError(
            TAPE_HEADER_MISMATCH, f"{first.vid} is labelled and empty: there is no file on it"
        )
    return first


def read_trailer(drive: TapeDrive) -> FileHeader:
    """Read EOF1, EOF2, UTL1 and the mark behind them; verify and raise as ``read_header``."""
    first = labels.parse_first("EOF1", drive.read_label())
    labels.check_second("EOF2", drive.read_label())
    user = labels.parse_user("UTL1", drive.read_label())
    drive.read_filemark()
    return FileHeader(first, user)


class VolumeReader(Protocol):
    """What reading from a volume of any format looks like; ``FileReader`` says what each verb does."""

    vid: str
    standing_at: int | None

    @property
    def position_lost(self) -> bool:
        """True when the next read needs ``position_to`` first."""
        ...

    def position_to(self, fseq: int, block_id: int | None) -> None:
        """Go to the beginning of a file."""
        ...

    def open_file(self, archive_file_id: int, fseq: int) -> int:
        """Verify what stands before the payload; the block size in bytes."""
        ...

    @property
    def read_block(self) -> Callable[[memoryview], int]:
        """Puts the next payload into the beginning of a buffer; its length, 0 behind the last."""
        ...

    def close_file(self, block_count: int) -> None:
        """Verify what stands behind the payload."""
        ...


class FileWriter:
    """Writes files behind the last one of a tape; ``last_fseq`` is the last complete file.

    Object numbers are counted, and compared with READ POSITION before a file when that is VERIFY_S old, and
    at each flush, before anything since the last one may be recorded (docs/decisions/0007).
    After any CtaError the tape's end is undefined up to the last flush and the writer must not be used again.
    """

    def __init__(
        self, drive: TapeDrive, vid: str, last_fseq: int, next_object: int, label_writer: LabelWriter
    ) -> None:
        self.vid = vid
        self.last_fseq = last_fseq
        self._drive = drive
        self._labels = label_writer
        self._next_object = next_object
        self._archive_file_id = -1
        self._verify_at = 0.0

    def begin_file(self, archive_file_id: int) -> int:
        """Write the header of the next fSeq; returns the block id to record (0 for fSeq 1).

        Raises CtaError TAPE_FULL, TAPE_WRITE ... as the drive does; TAPE_POSITION when the drive is found
        elsewhere than where the blocks written so far must have brought it.
        """
        if self._archive_file_id >= 0:
            raise CtaError(SYSTEM_INTERNAL, f"{self.vid}: a file was begun before the last one was ended")
        drive, label_writer, fseq = self._drive, self._labels, self.last_fseq + 1
        if monotonic() >= self._verify_at:
            self._verify_position()
        self._archive_file_id = archive_file_id
        label_writer.refresh(time())
        drive.write_labels(
            label_writer.hdr1(archive_file_id, fseq), label_writer.hdr2, label_writer.uhl1(fseq)
        )
        drive.write_filemarks(1)
        return recorded_block_id(fseq, self._next_object)

    def abandon_file(self) -> None:
        """Go back to the header of the file begun; the next file is written over it, with its fSeq.

        Everything complete before it should be flushed first. Raises CtaError TAPE_POSITION and as ``flush``.
        """
        self._drive.locate(self._next_object)
        self._archive_file_id = -1

    def end_file(self, block_count: int) -> None:
        """Write the trailer of the file begun, after ``block_count`` payload blocks (at least 1).

        Raises CtaError as ``begin_file``.
        """
        if self._archive_file_id < 0 or block_count < 1:
            raise CtaError(
                SYSTEM_INTERNAL, f"{self.vid}: a file without header or payload cannot be ended on tape"
            )
        drive, label_writer, fseq = self._drive, self._labels, self.last_fseq + 1
        drive.write_filemarks(1)
        label_writer.refresh(time())
        drive.write_labels(
            label_writer.eof1(self._archive_file_id, fseq, block_count),
            label_writer.eof2,
            label_writer.utl1(fseq),
        )
        drive.write_filemarks(1)
        self._archive_file_id = -1
        self._next_object += OBJECTS_PER_FILE + block_count
        self.last_fseq = fseq

    def placeholder(self, archive_file_id: int, kind: Placeholder) -> int:
        """Write a file that says why it holds nothing; returns its block id. Raises as ``begin_file``."""
        block_id = self.begin_file(archive_file_id)
        text = kind.value
        self._drive.write_block(memoryview(bytearray(text + bytes(PROTECTION_BYTES))), len(text))
        self.end_file(1)
        return block_id

    def flush(self) -> None:
        """Wait until everything written is on the medium, and verify that it is where it was counted.

        Raises CtaError DRIVE_FLUSH_FAILED, TAPE_FULL, TAPE_POSITION: nothing since the last flush counts.
        """
        self._drive.flush()
        self._verify_position()

    def _verify_position(self) -> None:
        found, counted = self._drive.position(), self._next_object
        # The blocks of an open file are the caller's, so that only a tape that went back can be told then.
        if found < counted or (found > counted and self._archive_file_id < 0):
            raise CtaError(
                TAPE_POSITION,
                f"{self.vid}: the drive stands at object {found}, but the files written end at {counted}: "
                "nothing more is written",
                fseq=self.last_fseq,
                block_id=found,
            )
        self._verify_at = monotonic() + VERIFY_S


class FileReader:
    """Reads files of a tape in any order.

    ``standing_at`` is the fSeq whose header comes next, None while a file is open and after a failure that
    left the tape anywhere else; ``position_to`` repairs that.
    """

    def __init__(self, drive: TapeDrive, vid: str) -> None:
        self.vid = vid
        self.standing_at: int | None = 1
        self.read_block = drive.read_block
        self._drive = drive
        self._object: int | None = FIRST_OBJECT
        self._open: tuple[int, int] | None = None
        self._block_bytes = 0
        self._hdr1 = KnownLabel(FILE_ID, FSEQ_MODULO)
        self._hdr2 = KnownLabel()
        self._uhl1 = KnownLabel(FSEQ)
        self._eof1 = KnownLabel(FILE_ID, FSEQ_MODULO, BLOCK_COUNT)
        self._eof2 = KnownLabel()
        self._utl1 = KnownLabel(FSEQ)

    @property
    def position_lost(self) -> bool:
        """True when the next read needs ``position_to`` first, because no header comes next."""
        return self.standing_at is None

    def position_to(self, fseq: int, block_id: int | None) -> None:
        """Go to a file's header: by LOCATE to ``block_id`` (0 means fSeq 1), by filemarks when it is None.

        Does nothing if the tape stands there already. Raises CtaError TAPE_POSITION for a block id that
        LOCATE(10) cannot carry, and what the drive raises.
        """
        target = None if block_id is None else block_id or FIRST_OBJECT
        if target is not None and not 0 < target <= MAX_OBJECT_ID:
            raise CtaError(TAPE_POSITION, f"{self.vid} fSeq {fseq}: block id {block_id} is beyond 32 bits")
        here, self.standing_at = self.standing_at, None
        if target is None:
            if here != fseq:
                self._object = None
                self._space_to(fseq, here)
        elif here is None or self._object != target:
            self._drive.locate(target)
            self._object = target
        self.standing_at = fseq

    def _space_to(self, fseq: int, here: int | None) -> None:
        """Tape format 7.2; a lost position is found again from the beginning of the tape."""
        drive = self._drive
        if fseq == 1 or here is None:
            drive.rewind()
            drive.read_label()
            here = 1
        if fseq > here:
            drive.space_filemarks(MARKS_PER_FILE * (fseq - here))
        elif fseq < here:
            drive.space_filemarks(-(MARKS_PER_FILE * (here - fseq) + 1))
            drive.read_filemark()

    def open_file(self, archive_file_id: int, fseq: int) -> int:
        """Read and verify the header of the file at which the tape stands; returns its block size in bytes.

        The caller then calls ``read_block``, which is the drive's own, with a buffer of block size +
        PROTECTION_BYTES until a block has length 0.
        Raises CtaError TAPE_HEADER_MISMATCH when the header is another file's or another volume's, and as
        ``read_header``.
        """
        self.standing_at = None
        self._open = (archive_file_id, fseq)
        drive = self._drive
        hdr1 = drive.read_label()
        if not self._hdr1.matches(hdr1, archive_file_id, fseq % 10_000):
            first = _parse_hdr1(hdr1)
            self._demand("HDR1", "VSN", first.vid, self.vid, fseq)
            found_id = labels.parse_archive_file_id(first.file_id)
            self._demand("HDR1", "archive file id", found_id, archive_file_id, fseq)
            self._hdr1.learn(hdr1)
        hdr2 = drive.read_label()
        if not self._hdr2.matches(hdr2):
            labels.check_second("HDR2", hdr2)
            self._hdr2.learn(hdr2)
        uhl1 = drive.read_label()
        if not self._uhl1.matches(uhl1, fseq):
            user = labels.parse_user("UHL1", uhl1)
            self._demand("UHL1", "fSeq", user.fseq, fseq, fseq)
            self._uhl1.learn(uhl1)
            self._block_bytes = user.block_size
        drive.read_filemark()
        return self._block_bytes

    def close_file(self, block_count: int) -> None:
        """Read and verify the trailer, after the mark behind ``block_count`` payload blocks was read.

        The tape then stands at the next file's header, also when only the UTL1's fSeq is wrong.
        Raises CtaError TAPE_HEADER_MISMATCH for a trailer of another file, and as ``read_trailer``.
        """
        if self._open is None:
            raise CtaError(SYSTEM_INTERNAL, f"{self.vid}: no file is open")
        (archive_file_id, fseq), self._open = self._open, None
        drive, found_fseq = self._drive, fseq
        eof1 = drive.read_label()
        if not self._eof1.matches(eof1, archive_file_id, fseq % 10_000, block_count % 1_000_000):
            labels.parse_first("EOF1", eof1)
            self._eof1.learn(eof1)
        eof2 = drive.read_label()
        if not self._eof2.matches(eof2):
            labels.check_second("EOF2", eof2)
            self._eof2.learn(eof2)
        utl1 = drive.read_label()
        if not self._utl1.matches(utl1, fseq):
            found_fseq = labels.parse_user("UTL1", utl1).fseq
            self._utl1.learn(utl1)
        drive.read_filemark()
        self.standing_at = fseq + 1
        if self._object is not None:
            self._object += OBJECTS_PER_FILE + block_count
        self._demand("UTL1", "fSeq", found_fseq, fseq, fseq)

    def _demand(self, label: str, name: str, found: object, wanted: object, fseq: int) -> None:
        if found != wanted:
            raise CtaError(
                TAPE_HEADER_MISMATCH,
                f"{self.vid} fSeq {fseq}: {label} has {name} {found}, expected {wanted}",
                fseq=fseq,
            )
