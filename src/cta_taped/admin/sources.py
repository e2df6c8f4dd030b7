# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that ``cta-admin archive`` is given: folders walked, each file looked at.

What it is: paths in, files that can be archived out, in a stable order; everything else is a problem of one
line and the walk goes on. What it is not: a queue, or a reader of contents (save for a checksum that is
asked for).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cta_taped.admin import diskpath
from cta_taped.common.checksum import ADLER32_OF_NOTHING, adler32
from cta_taped.common.errors import DISK_EMPTY_FILE, DISK_NOT_A_FILE, CtaError
from cta_taped.disk.files import OPEN_SOURCE, disk_error, open_source

_BUFFER_BYTES: Final = 1 << 20
_KINDS: Final = {
    stat.S_IFLNK: "a symbolic link; name the file that it points to",
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A regular file with something in it. Times in epoch seconds."""

    path: bytes
    size_bytes: int
    uid: int
    gid: int
    modified_time: float


def walk(
    paths: Sequence[str], problem: Callable[[CtaError], None], link: Callable[[bytes], None]
) -> Iterator[Source]:
    """The files named and those below the folders named, each path once; ``problem`` is told of everything
    else, but for symbolic links below a folder, which ``link`` is told of: they hold no data of their own.

    Told are DISK_SOURCE_GONE, DISK_PERMISSION, DISK_NOT_A_FILE, DISK_EMPTY_FILE and what the disk answers.
    """
    seen: set[bytes] = set()
    for path in paths:
        try:
            top = diskpath.absolute(path)
        except CtaError as error:
            problem(error)
            continue
        for source in _below(top, problem, link):
            if source.path not in seen:
                seen.add(source.path)
                yield source


def checksum(source: Source) -> int:
    """Read the whole file: its Adler-32. Raises what the disk answers."""
    file = open_source(diskpath.url(source.path))
    try:
        buffer = memoryview(bytearray(_BUFFER_BYTES))
        value = ADLER32_OF_NOTHING
        while length := file.readinto(buffer):
            value = adler32(buffer[:length], value)
        return value
    finally:
        file.close()


def _below(
    top: bytes, problem: Callable[[CtaError], None], link: Callable[[bytes], None]
) -> Iterator[Source]:
    # A stack and not recursion: a tree may be deeper than the interpreter's.
    waiting = [top]
    while waiting:
        path = waiting.pop()
        try:
            status = os.lstat(path)
            if stat.S_ISDIR(status.st_mode):
                with os.scandir(path) as entries:
                    waiting += sorted((entry.path for entry in entries), reverse=True)
                continue
        except OSError as error:
            problem(disk_error(OPEN_SOURCE, os.fsdecode(path), error))
            continue
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if stat.S_ISLNK(status.st_mode) and path != top:
            link(path)
        elif kind is not None:
            problem(CtaError(DISK_NOT_A_FILE, f"{diskpath.quoted(path)} is {kind}"))
        elif status.st_size == 0:
            problem(CtaError(DISK_EMPTY_FILE, f"{diskpath.quoted(path)} is empty; tape has no place for it"))
        else:
            yield Source(path, status.st_size, status.st_uid, status.st_gid, status.st_mtime)
