# SPDX-License-Identifier: GPL-3.0-or-later
"""What both directions of the transfer path share: the block memory, the free list, the thread manners.

What it is not: the transfer itself (``readers`` and ``writers`` are the disk sides, ``archive`` and
``retrieve`` the tape thread's procedures). Why threads and slots: a drive blocks in write(2) and read(2), so
the disk must work meanwhile; Adler-32, readv and write release the interpreter lock, so Python only passes
slot numbers.
"""

from __future__ import annotations

import mmap
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from time import monotonic
from typing import Final, Protocol, TypeVar

from cta_taped.common.errors import SYSTEM_INTERNAL, CtaError
from cta_taped.common.model import ArchiveJob, RetrieveJob
from cta_taped.common.scsi.codes import Opcode, timeout_s
from cta_taped.tape.drive import PROTECTION_BYTES

BLOCK_BYTES: Final = 262144
"""Payload of one tape block as written (tape format reference, 4)."""

BEAT_S: Final = 1.0
"""Longest time without a sign of life of the tape thread while it waits for a disk or a database."""

LOOK_S: Final = 0.2
"""Longest time in which the tape thread, waiting for a disk or a database, overlooks a stop."""

JOIN_S: Final = 10.0
"""How long the end of a run waits for a disk thread that hangs in a system call of a dead file server."""

STOPPED_JOIN_S: Final = 0.5
"""The same after a stop at quick or now: an operator waits, and nobody needs what the thread would bring."""

LOCATE_TIMEOUT_S: Final = timeout_s(Opcode.LOCATE_10)
FLUSH_TIMEOUT_S: Final = 1800.0
"""How long a flush may be silent: above what LTO and 3592 drives report for WRITE FILEMARKS (REPORT SUPPORTED
OPERATION CODES with time-outs, SPC-4 6.35)."""

SizedJob = TypeVar("SizedJob", ArchiveJob, RetrieveJob)

_SWITCH_INTERVAL_S: Final = 0.0001
_LEAST_SLOTS_A_THREAD: Final = 2

CLOSING: Final = -1
"""Taken from a free list instead of a slot: the run has ended."""

NO_SLOT: Final = -1
"""In place of a slot number in a delivery that carries no block."""


@dataclass(frozen=True, slots=True)
class PipelineSize:
    """``disk_threads`` threads on the disk side, ``slots`` blocks of 256 KiB between disk and tape.

    Few slots stay in the processor's cache; more only ride out disk stalls of slots x 256 KiB / drive rate.
    """

    disk_threads: int = 10
    slots: int = 64

    @property
    def slots_a_thread(self) -> int:
        """A disk thread's own share; two at least, so that it reads while the drive writes."""
        return max(_LEAST_SLOTS_A_THREAD, self.slots // self.disk_threads)


def runs(jobs: Iterable[SizedJob], most_files: int) -> Iterator[list[SizedJob]]:
    """``jobs`` in order, small neighbours put together: one disk thread takes a run file by file.

    A run has at most one block's bytes and ``most_files`` files, unless it is a single file. Why: a thread
    that is woken for each file of a few KiB costs more than the file itself. As long as ``most_files`` is a
    thread's share of the slots, all threads still open files at the same time.
    """
    run: list[SizedJob] = []
    size_bytes = 0
    for job in jobs:
        size_bytes += job.size_bytes
        if run and (len(run) == most_files or size_bytes > BLOCK_BYTES):
            yield run
            run, size_bytes = [], job.size_bytes
        run.append(job)
    if run:
        yield run


class Slots:
    """Page-aligned block buffers in one mapping, populated so that the first file pays no page faults.

    ``buffers[i]``: payload and PROTECTION_BYTES behind it; ``payloads[i]``: the payload alone.
    """

    def __init__(self, count: int, block_bytes: int = BLOCK_BYTES) -> None:
        buffer_bytes = block_bytes + PROTECTION_BYTES
        stride = -(-buffer_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
        # Never closed by hand: the mapping goes with its last view, which may be that of a thread that hangs.
        view = memoryview(mmap.mmap(-1, stride * count, flags=flags))
        self.block_bytes = block_bytes
        self.buffers = tuple(view[at : at + buffer_bytes] for at in range(0, stride * count, stride))
        self.payloads = tuple(buffer[:block_bytes] for buffer in self.buffers)


class FreeSlots:
    """The free slots of one taker. Slots given back are taken again first, so few of them stay warm in
    cache.
    """

    __slots__ = ("_returned", "_untouched", "give")

    def __init__(self, slots: Iterable[int]) -> None:
        self._untouched = list(slots)
        self._returned: SimpleQueue[int] = SimpleQueue()
        self.give = self._returned.put

    def take(self, timeout_s: float | None = None) -> int:
        """A free slot, or CLOSING. Raises queue.Empty if there is none within ``timeout_s``."""
        if self._untouched and self._returned.empty():
            return self._untouched.pop()
        return self._returned.get(timeout=timeout_s)


class TransferHost(Protocol):
    """Whom the tape thread tells what it does; every call is short."""

    def progress(self, tape_bytes: int, disk_bytes: int, files: int) -> None:
        """A sign of life, at most once in BEAT_S, with the totals of this run."""
        ...

    def begin_command(self, command: str, timeout_s: float) -> None:
        """A drive command begins that may be silent for up to ``timeout_s``."""
        ...

    def end_command(self, command: str) -> None:
        """It came back."""
        ...


def share_interpreter() -> None:
    """Let the tape thread have the interpreter within 0.1 ms, whatever another thread computes.

    With the default of 5 ms one busy Python thread takes a drive of 400 MB/s down to 19 MB/s.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_S)


def as_cta_error(error: BaseException, what: str) -> CtaError:
    """``error`` if it has a code, else SYSTEM_INTERNAL: no exception of a thread may be lost."""
    if isinstance(error, CtaError):
        return error
    return CtaError(SYSTEM_INTERNAL, f"{what}: {type(error).__name__}: {error}", exception=error)


def join_all(threads: Iterable[threading.Thread], within_s: float = JOIN_S) -> list[str]:
    """Wait for ``threads`` together; the names of those still in a system call after ``within_s``.

    They are daemon threads and hold disk files only: the cartridge can go home without them.
    """
    deadline = monotonic() + within_s
    for thread in threads:
        thread.join(max(0.0, deadline - monotonic()))
    return [thread.name for thread in threads if thread.is_alive()]
