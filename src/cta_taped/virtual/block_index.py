# SPDX-License-Identifier: GPL-3.0-or-later
"""Where each object of a tape image lies: runs of equal-sized records, in a memory-mapped file or in memory.

A cache, never the truth: it may lag behind the image, be missing, or belong to an older image, and
``tap_image`` checks it and completes it. Runs, because a full 18 TB tape has 70 million blocks but only a few
runs a file; mapped, so that opening a large image reads a handful of pages and a killed process loses nothing
that it had stored.

File: a 64-byte header (magic, number of runs, number of objects known to be covered, inode of the image),
then 32 bytes a run: first object number, byte offset in the image, filemarks before it, record length (0
for filemarks), reserved. Little-endian, like the image.
"""

from __future__ import annotations

import mmap
import os
import struct
from bisect import bisect_right
from pathlib import Path
from typing import Final, NamedTuple

MARK: Final = 0
_MAGIC: Final = b"CTAVTIX1"
_HEADER: Final = struct.Struct("<8sQQQ")
_COUNTS: Final = struct.Struct("<QQ")
_RUN: Final = struct.Struct("<QQQQ")
_FIRST: Final = struct.Struct("<Q")
_HEADER_BYTES: Final = 64
_FIRST_BYTES: Final = 64 * 1024


class Run(NamedTuple):
    """Consecutive objects of one length; ``length`` in bytes, 0 (``MARK``) for filemarks."""

    first: int
    offset: int
    marks_before: int
    length: int


class BlockIndex:
    """An ordered table of runs; only the last one grows, and only its end is ever cut."""

    def __init__(self, path: Path | None, inode: int) -> None:
        """Open or create the index file of the image with this inode; in memory when ``path`` is None."""
        self._table: mmap.mmap | bytearray
        self.runs = 0
        self.objects = 0
        if path is None:
            self._table = bytearray(_FIRST_BYTES)
            self._clear(inode)
            return
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            size = os.fstat(fd).st_size
            if size < _FIRST_BYTES:
                os.ftruncate(fd, _FIRST_BYTES)
            self._table = mmap.mmap(fd, 0)
        finally:
            os.close(fd)
        magic, self.runs, self.objects, known_inode = _HEADER.unpack_from(self._table)
        fits = (len(self._table) - _HEADER_BYTES) // _RUN.size
        if magic != _MAGIC or known_inode != inode or self.runs > fits:
            self._clear(inode)

    def _clear(self, inode: int) -> None:
        self.runs = self.objects = 0
        _HEADER.pack_into(self._table, 0, _MAGIC, 0, 0, inode)

    def run(self, number: int) -> Run:
        """One run."""
        return Run._make(_RUN.unpack_from(self._table, _HEADER_BYTES + number * _RUN.size))

    def append(self, run: Run) -> None:
        """Add a run behind the last one; all before its first object is thereby covered."""
        place = _HEADER_BYTES + self.runs * _RUN.size
        if place + _RUN.size > len(self._table):
            self._grow()
        _RUN.pack_into(self._table, place, *run)
        self.runs += 1
        self.cover(run.first)

    def cover(self, objects: int) -> None:
        """Record that the runs describe this many objects of the image."""
        self.objects = objects
        _COUNTS.pack_into(self._table, 8, self.runs, objects)

    def cut(self, objects: int) -> None:
        """Forget every object from this number on."""
        self.runs = self.find(objects - 1) + 1 if objects else 0
        self.cover(objects)

    def find(self, object_id: int) -> int:
        """The number of the run that holds this object (of the last run, for one beyond)."""
        return bisect_right(range(self.runs), object_id, key=self._first_of) - 1

    def find_mark(self, mark: int) -> int:
        """The number of the run that holds the filemark with this number, counted from 0."""
        return bisect_right(range(self.runs), mark, key=lambda number: self.run(number).marks_before) - 1

    def find_offset(self, offset: int) -> int:
        """The number of the run that holds this byte of the image; -1 in an empty index."""
        return bisect_right(range(self.runs), offset, key=lambda number: self.run(number).offset) - 1

    def _first_of(self, number: int) -> int:
        first: int = _FIRST.unpack_from(self._table, _HEADER_BYTES + number * _RUN.size)[0]
        return first

    def _grow(self) -> None:
        if isinstance(self._table, bytearray):
            self._table.extend(bytes(len(self._table)))
        else:
            self._table.resize(2 * len(self._table))

    def close(self) -> None:
        """Unmap the file; a second call does nothing."""
        if isinstance(self._table, mmap.mmap) and not self._table.closed:
            self._table.close()
