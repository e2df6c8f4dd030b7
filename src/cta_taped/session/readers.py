# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk side of an archive mount: K threads that open, read and checksum the files to come.

The files, small neighbours put together (``pipeline.runs``), go to the threads in turn; each has block slots
of its own and a queue of its own towards the tape thread. So delivery is in order without a sequencer, the
files behind the head are opened and begun ahead, a slow open delays nobody until the tape needs that very
file, and no file can take the slots that an earlier one waits for: the deadlock of a shared ring cannot
happen.

What it is not: a judge of what a failure means for the tape; an error travels through the queue like a block.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from itertools import cycle, repeat
from queue import SimpleQueue
from time import monotonic

from cta_taped.common.checksum import ADLER32_OF_NOTHING, adler32
from cta_taped.common.errors import DISK_CHECKSUM, DISK_EMPTY_FILE, DISK_SIZE_MISMATCH, CtaError
from cta_taped.common.model import ArchiveJob
from cta_taped.disk.files import SourceFile
from cta_taped.session.pipeline import (
    CLOSING,
    JOIN_S,
    NO_SLOT,
    FreeSlots,
    PipelineSize,
    Slots,
    as_cta_error,
    join_all,
    runs,
)

Delivery = tuple[int, int, int | CtaError | None]
"""One block for the tape thread: slot, payload bytes, and None if more follow, the file's Adler-32 if it is
the last one; or (NO_SLOT, 0, failure): the file ends here."""


class Lane:
    """One disk thread's queues. Slots taken from ``filled`` go back by ``free.give``."""

    __slots__ = ("checksum_s", "filled", "free", "read_bytes", "runs", "wait_s")

    def __init__(self, slots: range) -> None:
        self.runs: SimpleQueue[list[ArchiveJob] | None] = SimpleQueue()
        self.filled: SimpleQueue[Delivery] = SimpleQueue()
        self.free = FreeSlots(slots)
        self.read_bytes = 0
        self.checksum_s = 0.0
        self.wait_s = 0.0


class SourceReaders:
    """The disk threads of one archive run. ``submit`` and ``next_lane`` belong to the tape thread."""

    def __init__(self, size: PipelineSize, open_source: Callable[[str], SourceFile]) -> None:
        share = size.slots_a_thread
        self.slots = Slots(size.disk_threads * share)
        self.lanes = tuple(Lane(range(n * share, (n + 1) * share)) for n in range(size.disk_threads))
        self._open_source = open_source
        self._closing = False
        self._share = share
        self._turn = cycle(self.lanes)
        self._ahead: deque[Lane] = deque()
        self._threads = tuple(
            threading.Thread(target=self._serve, args=(lane,), name=f"disk-read-{n}", daemon=True)
            for n, lane in enumerate(self.lanes)
        )
        for thread in self._threads:
            thread.start()

    def submit(self, jobs: list[ArchiveJob]) -> None:
        """Add the next files in the order of the tape."""
        for run in runs(jobs, self._share):
            lane = next(self._turn)
            lane.runs.put(run)
            self._ahead.extend(repeat(lane, len(run)))

    def next_lane(self) -> Lane:
        """The lane of the next file in the order of the tape."""
        return self._ahead.popleft()

    def close(self, within_s: float = JOIN_S) -> list[str]:
        """End all threads, wherever they are; the names of those in a system call after ``within_s``."""
        self._closing = True
        for lane in self.lanes:
            lane.runs.put(None)
            lane.free.give(CLOSING)
        return join_all(self._threads, within_s)

    def _serve(self, lane: Lane) -> None:
        while (run := lane.runs.get()) is not None:
            for job in run:
                if self._closing:
                    return
                self._read_file(lane, job)

    def _read_file(self, lane: Lane, job: ArchiveJob) -> None:
        try:
            source = self._open_source(job.source_url)
        except Exception as error:
            lane.filled.put((NO_SLOT, 0, as_cta_error(error, f"opening {job.source_url!r}")))
            return
        try:
            self._read(lane, job, source)
        except Exception as error:
            lane.filled.put((NO_SLOT, 0, as_cta_error(error, f"reading {job.source_url!r}")))
        finally:
            source.close()

    def _read(self, lane: Lane, job: ArchiveJob, source: SourceFile) -> None:
        if source.size_bytes != job.size_bytes:
            raise _size_mismatch(job, source.size_bytes)
        if job.size_bytes == 0:
            raise CtaError(DISK_EMPTY_FILE, f"{job.source_url!r} is empty", url=job.source_url)
        block_bytes = self.slots.block_bytes
        checksum = ADLER32_OF_NOTHING
        left = job.size_bytes
        done = monotonic()
        while left:
            slot = lane.free.take()
            if self._closing:
                return
            lane.wait_s += monotonic() - done
            try:
                size = self._fill(slot, left, source)
                if size < min(left, block_bytes):
                    raise _size_mismatch(job, job.size_bytes - left + size)
                if size > min(left, block_bytes):
                    raise CtaError(
                        DISK_SIZE_MISMATCH,
                        f"{job.source_url!r} grew beyond {job.size_bytes} bytes while it was read",
                        url=job.source_url,
                    )
                read = monotonic()
                payload = self.slots.payloads[slot]
                checksum = adler32(payload if size == block_bytes else payload[:size], checksum)
                left -= size
                if left == 0 and job.adler32 is not None and checksum != job.adler32:
                    raise _checksum_mismatch(job, checksum)
            except Exception:
                lane.free.give(slot)
                raise
            done = monotonic()
            lane.read_bytes += size
            lane.checksum_s += done - read
            lane.filled.put((slot, size, None if left else checksum))

    def _fill(self, slot: int, left: int, source: SourceFile) -> int:
        """Fill a slot with the next block; its size, which is wrong if the file ends early or goes on.

        For the last block the spare bytes behind the payload are offered too, so that a file that grew since
        it was opened shows itself in the read that is needed anyway.
        """
        last = left <= self.slots.block_bytes
        target = self.slots.buffers[slot] if last else self.slots.payloads[slot]
        wanted = left if last else len(target)
        size = source.readinto(target)
        while 0 < size < wanted:
            more = source.readinto(target[size:])
            if more == 0:
                break
            size += more
        return size


def _size_mismatch(job: ArchiveJob, size_bytes: int) -> CtaError:
    return CtaError(
        DISK_SIZE_MISMATCH,
        f"{job.source_url!r} has {size_bytes} bytes and the request says {job.size_bytes}",
        url=job.source_url,
    )


def _checksum_mismatch(job: ArchiveJob, checksum: int) -> CtaError:
    return CtaError(
        DISK_CHECKSUM,
        f"{job.source_url!r} has Adler-32 {checksum:08x}, the request says {job.adler32:08x}",
        url=job.source_url,
    )
