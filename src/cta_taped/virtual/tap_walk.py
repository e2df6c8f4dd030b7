# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding out what a ``.tap`` file holds: by its index as far as the file bears it out, then record by
record.

Reads record lengths only, never data, so that a large image opens at once. Decides what is the end of
data, what a dying process left incomplete, and what is damage; changes nothing in the image.
"""

from __future__ import annotations

import os
import struct
from typing import Final, NamedTuple

from cta_taped.virtual.block_index import MARK, BlockIndex, Run

_LENGTH: Final = struct.Struct("<I")
_END_MARKER: Final = 0xFFFFFFFF
MAX_RECORD: Final = 1 << 24
END: Final = -1
_SAMPLES: Final = 64


class Walked(NamedTuple):
    """What is there. ``damaged``: the walk ended at a record whose lengths disagree; ``more_behind``:
    bytes lie behind the end of data, which the next write must cut off.
    """

    objects: int
    marks: int
    damaged: bool
    more_behind: bool


def stride(length: int) -> int:
    """Bytes that a record of this length, or a filemark, takes in the image."""
    return 8 + length + (length & 1) if length else 4


def complete(fd: int, size_bytes: int, index: BlockIndex) -> Walked:
    """Bring an index up to its image."""
    while index.runs:
        last = index.run(index.runs - 1)
        present = index.objects - last.first
        if last.length <= MAX_RECORD:
            present = min(present, (size_bytes - last.offset) // stride(last.length))
        if present > 0:
            index.cover(last.first + present)
            break
        index.cut(last.first)
    final = index.runs - 1
    sample = {*range(0, index.runs, max(1, index.runs // _SAMPLES)), final} if index.runs else set()
    if not all(_confirmed(fd, index, number) for number in sample):
        index.cut(0)
    return walk(fd, size_bytes, index)


def _confirmed(fd: int, index: BlockIndex, number: int) -> bool:
    """Whether the first and the last record of a run have their lengths where the index expects them."""
    run = index.run(number)
    end = index.run(number + 1).first if number + 1 < index.runs else index.objects
    if run.length > MAX_RECORD or run.offset > 1 << 62 or end <= run.first:
        return False
    expected = _LENGTH.pack(run.length)
    tail = run.offset + (end - run.first) * stride(run.length) - 4
    return os.pread(fd, 4, run.offset) == expected and os.pread(fd, 4, tail) == expected


def walk(fd: int, size_bytes: int, index: BlockIndex) -> Walked:
    """Extend the index from where it ends to the end of data."""
    run = index.run(index.runs - 1) if index.runs else Run(0, 0, 0, END)
    at_object = index.objects
    offset = run.offset + (at_object - run.first) * stride(run.length) if index.runs else 0
    marks = run.marks_before + (at_object - run.first if run.length == MARK else 0)
    damaged = False
    head = os.pread(fd, 4, offset)
    while len(head) == 4:
        (length,) = _LENGTH.unpack(head)
        if length == _END_MARKER:
            break
        if length > MAX_RECORD:
            damaged = True
            break
        if length == MARK:
            marks += 1
            head = os.pread(fd, 4, offset + 4)
        else:
            between = os.pread(fd, 8, offset + stride(length) - 4)
            if len(between) < 4:
                break
            if between[:4] != head:
                damaged = True
                break
            head = between[4:]
        if length != run.length:
            run = Run(at_object, offset, marks - (length == MARK), length)
            index.append(run)
        at_object += 1
        offset += stride(length)
    index.cover(at_object)
    return Walked(at_object, marks, damaged, offset < size_bytes)
