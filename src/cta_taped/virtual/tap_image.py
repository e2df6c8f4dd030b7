# SPDX-License-Identifier: GPL-3.0-or-later
"""A SIMH ``.tap`` file with a head on it: the recorded part of a tape, object by object.

Each record is a 32-bit little-endian length, the data padded to even length, the same length again; a length
of 0 is a filemark; 0xFFFFFFFF or the end of the file is the end of data ("SIMH Magtape Representation
and Handling"). What a record means (protection, encryption, early warning) is the drive's business, not the
image's.

The file is the truth. A record that a dying process left incomplete is not on the tape. A record whose two
lengths differ although it is complete is damage: nothing behind it can be reached, and reading it says so.
One block is one system call in either direction, with nothing allocated but what the call itself needs.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cta_taped.virtual.block_index import MARK, BlockIndex, Run
from cta_taped.virtual.tap_walk import END, Walked, complete, stride, walk

_LENGTH: Final = struct.Struct("<I")


class DamagedRecord(Exception):
    """The record under the head does not agree with its framing."""


class TapImage:
    """An open image. ``object`` and ``offset``: the head's position; ``objects`` and ``marks``: what is
    there.

    ``damaged``: the end of data is not an end but a record that cannot be followed.
    """

    __slots__ = (
        "_closed",
        "_erase_due",
        "_fd",
        "_found",
        "_framing",
        "_run",
        "_run_end",
        "_run_first",
        "_run_marks",
        "_run_offset",
        "_stride",
        "_vector",
        "damaged",
        "index",
        "length",
        "marks",
        "object",
        "objects",
        "offset",
        "writable",
    )

    def __init__(self, path: Path, index_path: Path | None) -> None:
        """Open an image, complete its index and stand at the beginning.

        Raises OSError when the file cannot be opened at all; one that cannot be written is opened read-only.
        """
        self.writable = True
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self.writable = False
        self._closed = False
        self.damaged = False
        self.objects = self.marks = 0
        self._framing = bytearray(4)
        self._found = bytearray(4)
        self._vector: list[bytes | bytearray | memoryview] = [self._framing, b"", self._framing]
        self.length = END
        self._stride = self._run = self._run_first = self._run_offset = self._run_end = self._run_marks = 0
        status = os.fstat(self._fd)
        self.index = BlockIndex(index_path, status.st_ino)
        self._adopt(complete(self._fd, status.st_size, self.index))
        self.locate(0)

    def _adopt(self, walked: Walked) -> None:
        self.objects, self.marks = walked.objects, walked.marks
        self.damaged, self._erase_due = walked.damaged, walked.more_behind

    # --- positions -----------------------------------------------------------------------------------------

    def locate(self, object_id: int) -> None:
        """Put the head before an object; the end of data is the farthest place."""
        self.object = min(object_id, self.objects)
        self._enter(self.index.find(min(self.object, self.objects - 1)) if self.objects else END)
        if self._run != END:
            self.offset = self._run_offset + (self.object - self._run_first) * self._stride

    def _enter(self, number: int) -> None:
        """Make a run the one under the head; ``END`` for an empty tape."""
        self._run = number
        if number == END:
            self.offset = self._run_first = self._run_offset = self._run_marks = self._run_end = 0
            self._set_length(END)
            return
        run = self.index.run(number)
        self._run_first, self._run_offset, self._run_marks = run.first, run.offset, run.marks_before
        last = number + 1 == self.index.runs
        self._run_end = self.objects if last else self.index.run(number + 1).first
        self._set_length(run.length)

    def _set_length(self, length: int) -> None:
        self.length = length
        if length > 0:
            _LENGTH.pack_into(self._framing, 0, length)
            self._vector[2] = self._framing if length & 1 == 0 else b"\0" + bytes(self._framing)
        self._stride = stride(length) if length != END else 0

    def peek(self) -> int:
        """Length of the record under the head; ``MARK`` for a filemark, ``END`` at the end of data."""
        if self.object < self._run_end:
            return self.length
        if self.object == self.objects:
            return END
        self._enter(self._run + 1)
        return self.length

    def marks_before(self) -> int:
        """Filemarks between the beginning and the head."""
        if self.length == MARK:
            return self._run_marks + self.object - self._run_first
        return self._run_marks

    def object_at(self, offset: int) -> int:
        """The object that holds this byte of the image; the end of data for one beyond."""
        number = self.index.find_offset(offset)
        if number == END:
            return 0
        run = self.index.run(number)
        return min(self.objects, run.first + (offset - run.offset) // stride(run.length))

    def offset_of(self, object_id: int) -> int:
        """The first byte of an object in the image; the end of data for one beyond."""
        if object_id >= self.objects:
            return self.end_offset
        run = self.index.run(self.index.find(object_id))
        return run.offset + (object_id - run.first) * stride(run.length)

    @property
    def end_offset(self) -> int:
        """Bytes of the image that are in use."""
        if not self.index.runs:
            return 0
        last = self.index.run(self.index.runs - 1)
        return last.offset + (self.objects - last.first) * stride(last.length)

    def space_blocks(self, count: int) -> int:
        """Move over records, backward when negative; stop behind (before) a filemark, at an end, or done.

        Returns what is left of ``count``, with its sign.
        """
        while count > 0 and self.peek() > 0:
            step = min(count, self._run_end - self.object)
            self._shift(step)
            count -= step
        while count < 0 and self.object > 0:
            if self.object <= self._run_first:
                self._enter(self._run - 1)
            if self.length == MARK:
                break
            step = min(-count, self.object - self._run_first)
            self._shift(-step)
            count += step
        return count

    def space_marks(self, count: int) -> int:
        """Move over filemarks, backward when negative; returns what is left of ``count``, with its sign."""
        here = self.marks_before()
        target = here + count
        if count > 0:
            if target > self.marks:
                self.locate(self.objects)
                return target - self.marks
            self._locate_mark(target - 1)
            self._shift(1)
        elif count < 0:
            if target < 0:
                self.locate(0)
                return target
            self._locate_mark(target)
        return 0

    def locate_file(self, marks: int) -> None:
        """Put the head behind this many filemarks, or at the end of data when there are fewer."""
        self.locate(0)
        self.space_marks(marks)

    def cross_mark(self, direction: int) -> bool:
        """Step over one filemark, +1 or -1, if one is there."""
        if direction > 0:
            if self.peek() != MARK:
                return False
        elif self.object == 0 or self.length != MARK:
            return False
        self._shift(direction)
        return True

    def object_after_mark(self, marks: int) -> int:
        """The object behind the filemark with this number, counted from 1."""
        run = self.index.run(self.index.find_mark(marks - 1))
        return run.first + marks - run.marks_before

    def _locate_mark(self, mark: int) -> None:
        number = self.index.find_mark(mark)
        run = self.index.run(number)
        self.locate(run.first + mark - run.marks_before)

    def _shift(self, objects: int) -> None:
        self.object += objects
        self.offset += objects * self._stride

    # --- reading -------------------------------------------------------------------------------------------

    def take(self, parts: Sequence[bytearray | memoryview]) -> None:
        """Read the record under the head into writable buffers, in order, and step over it.

        Only after ``peek`` gave its length; what the buffers cannot hold is skipped.
        Raises DamagedRecord, with the head still before the record.
        """
        wanted = 4
        for part in parts:
            wanted += len(part)
        got = os.preadv(self._fd, [self._found, *parts], self.offset)
        if self._found != self._framing or got != wanted:
            raise DamagedRecord
        self.object += 1
        self.offset += self._stride

    def skip(self) -> None:
        """Step over the object under the head; only after ``peek`` said that there is one."""
        self.object += 1
        self.offset += self._stride

    def rebuild(self) -> None:
        """Make the index anew from the image; the head stays at its object number."""
        here = self.object
        self.index.cut(0)
        self._adopt(walk(self._fd, os.fstat(self._fd).st_size, self.index))
        self.locate(here)

    # --- writing -------------------------------------------------------------------------------------------

    def append(self, block: bytes | memoryview) -> None:
        """Write one record at the head; what lay behind it is gone.

        Raises OSError when the file system cannot take it; the record is then not on the tape.
        """
        size = len(block)
        if size != self.length or self.object != self.objects or self._erase_due:
            self._begin(size)
        vector = self._vector
        vector[1] = block
        try:
            written = os.pwritev(self._fd, vector, self.offset)
        except OSError:
            self._erase_due = True
            raise
        if written != self._stride:
            self._erase_due = True
            raise OSError(errno.ENOSPC, "short write to the tape image")
        self.offset += written
        self.object += 1
        self.objects = self._run_end = self.object

    def append_split(self, block: bytes | memoryview, rest: bytes) -> None:
        """Write one record that lies in two pieces, in one system call. Otherwise as ``append``."""
        size = len(block) + len(rest)
        if size != self.length or self.object != self.objects or self._erase_due:
            self._begin(size)
        written = os.pwritev(self._fd, [self._framing, block, rest, self._vector[2]], self.offset)
        if written != self._stride:
            self._erase_due = True
            raise OSError(errno.ENOSPC, "short write to the tape image")
        self.offset += written
        self.object += 1
        self.objects = self._run_end = self.object

    def append_marks(self, count: int) -> None:
        """Write filemarks at the head; what lay behind it is gone. Raises as ``append``."""
        if self.length != MARK or self.object != self.objects or self._erase_due:
            self._begin(MARK)
        written = os.pwrite(self._fd, bytes(4 * count), self.offset)
        if written != 4 * count:
            self._erase_due = True
            raise OSError(errno.ENOSPC, "short write to the tape image")
        self.offset += written
        self.object += count
        self.marks += count
        self.objects = self._run_end = self.object

    def _begin(self, length: int) -> None:
        """Prepare the head for records of another length, or for a write that is not at the end of data."""
        if self.object != self.objects or self._erase_due:
            self.erase()
        if self.length == length and self._run != END:
            return
        marks = self.marks
        self.index.append(Run(self.object, self.offset, marks, length))
        self._run = self.index.runs - 1
        self._run_first, self._run_offset, self._run_marks = self.object, self.offset, marks
        self._run_end = self.object
        self._set_length(length)

    def erase(self) -> None:
        """Cut the tape off at the head. Raises OSError."""
        os.ftruncate(self._fd, self.offset)
        marks = self.marks_before()
        self.index.cut(self.object)
        self.objects, self.marks = self.object, marks
        self.damaged = self._erase_due = False
        self.locate(self.object)

    def checkpoint(self) -> None:
        """Let the index file cover everything written so far."""
        self.index.cover(self.objects)

    def close(self) -> None:
        """Close both files; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self.checkpoint()
            self.index.close()
            os.close(self._fd)
