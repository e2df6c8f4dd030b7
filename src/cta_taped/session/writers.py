# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk side of a retrieve mount: K threads that open destinations ahead, checksum, write and name files.

The mirror image of ``readers``. The files of the tape's order, small neighbours put together, stand in one
queue; each thread takes the next, opens its destination and waits for its blocks, so a slow open delays
nobody until the tape has filled the free slots. The slots are shared: a slow destination holds those of its
own run, and the tape reads on for the others as long as there are more. The last block of a file is written
only after the checksum over all of it was found right, and the file gets its name after that.

What it is not: a reader of tape; what fails there arrives in the queue of the file that it concerns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from time import monotonic
from typing import Final, NamedTuple

from cta_taped.common.checksum import ADLER32_OF_NOTHING, adler32
from cta_taped.common.errors import TAPE_CHECKSUM, CtaError
from cta_taped.common.model import RetrieveJob
from cta_taped.disk.files import DestinationFile, VerifySink, WritePolicy
from cta_taped.session.pipeline import NO_SLOT, FreeSlots, PipelineSize, Slots, as_cta_error, join_all, runs

OpenDestination = Callable[[str, int, WritePolicy], DestinationFile]

MORE: Final = 0
LAST: Final = 1


class Finished(NamedTuple):
    """The end of one file: named at its destination (``error`` None), failed, or given up at a stop."""

    job: RetrieveJob
    error: CtaError | None
    given_up: bool = False


class _GivenUpError(Exception):
    """The run ends and this file is not to be finished."""


class Stream:
    """The way of one file from the tape thread to a disk thread.

    ``failure`` is set by the disk thread, once; from then on no block gets in, and those that were in are
    free.
    """

    __slots__ = ("_blocks", "_free", "_lock", "failure", "given_up", "job")

    def __init__(self, job: RetrieveJob, free: FreeSlots) -> None:
        self.job = job
        self.failure: CtaError | None = None
        self.given_up = False
        self._blocks: SimpleQueue[tuple[int, int, int | CtaError | None]] = SimpleQueue()
        self._free = free
        self._lock = threading.Lock()

    def put(self, slot: int, size: int, position: int) -> None:
        """Hand over a block (``position``: MORE or LAST), or free its slot if the destination has failed."""
        with self._lock:
            if self.failure is None:
                self._blocks.put((slot, size, position))
                return
        self._free.give(slot)

    def end(self, failure: CtaError | None) -> None:
        """The file ends before its last block: by a failure of the tape, or (None) because it is given up."""
        self.given_up = failure is None
        self._blocks.put((NO_SLOT, 0, failure))

    def get(self) -> tuple[int, int, int | CtaError | None]:
        """The next block or the early end."""
        return self._blocks.get()

    def fail(self, failure: CtaError) -> None:
        """Take no more blocks and free those that wait."""
        with self._lock:
            self.failure = failure
            while not self._blocks.empty():
                slot, _, _ = self._blocks.get()
                if slot != NO_SLOT:
                    self._free.give(slot)


class DestinationWriters:
    """The disk threads of one retrieve run. ``submit`` and the reading of ``finished`` are the tape
    thread's.
    """

    def __init__(
        self, size: PipelineSize, block_bytes: int, policy: WritePolicy, open_destination: OpenDestination
    ) -> None:
        self.slots = Slots(size.slots, block_bytes)
        self.free = FreeSlots(range(size.slots))
        self.finished: SimpleQueue[Finished] = SimpleQueue()
        self.written_bytes = [0] * size.disk_threads
        self.checksum_s = [0.0] * size.disk_threads
        self.delivery_s = [0.0] * size.disk_threads
        self._policy = policy
        self._open_destination = open_destination
        self._share = size.slots_a_thread
        self._runs: SimpleQueue[list[Stream] | None] = SimpleQueue()
        self._closing = False
        self._threads = tuple(
            threading.Thread(target=self._serve, args=(n,), name=f"disk-write-{n}", daemon=True)
            for n in range(size.disk_threads)
        )
        for thread in self._threads:
            thread.start()

    def submit(self, jobs: list[RetrieveJob]) -> Iterator[Stream]:
        """Add the next files in the order of the tape; each gets its result in ``finished`` in any case."""
        for run in runs(jobs, self._share):
            streams = [Stream(job, self.free) for job in run]
            self._runs.put(streams)
            yield from streams

    def give_up(self) -> None:
        """Finish no file that is not finished; half-written ones are removed."""
        self._closing = True

    def close(self) -> list[str]:
        """End all threads once every stream has ended; the names of those that hang in a system call."""
        for _ in self._threads:
            self._runs.put(None)
        return join_all(self._threads)

    def _serve(self, number: int) -> None:
        while (run := self._runs.get()) is not None:
            for stream in run:
                self.finished.put(self._write_file(number, stream))

    def _write_file(self, number: int, stream: Stream) -> Finished:
        try:
            self._write(number, stream)
        except _GivenUpError:
            return Finished(stream.job, None, given_up=True)
        except Exception as failure:
            error = as_cta_error(failure, f"writing {stream.job.destination_url!r}")
            stream.fail(error)
            return Finished(stream.job, error)
        return Finished(stream.job, None)

    def _write(self, number: int, stream: Stream) -> None:
        if self._closing or stream.given_up:
            raise _GivenUpError
        job = stream.job
        destination: DestinationFile = (
            VerifySink()
            if job.verify_only
            else self._open_destination(job.destination_url, job.size_bytes, self._policy)
        )
        try:
            self._copy(number, stream, destination)
        except BaseException:
            destination.abandon()
            raise
        begun = monotonic()
        destination.commit()
        self.delivery_s[number] += monotonic() - begun

    def _copy(self, number: int, stream: Stream, destination: DestinationFile) -> None:
        """Write the blocks of one file; every slot taken from the stream is free when this ends."""
        payloads, give = self.slots.payloads, self.free.give
        block_bytes = self.slots.block_bytes
        expected = stream.job.adler32
        checksum = ADLER32_OF_NOTHING
        position: int | CtaError | None = MORE
        while position is not LAST:
            slot, size, position = stream.get()
            if slot == NO_SLOT:
                raise position if isinstance(position, CtaError) else _GivenUpError
            try:
                if self._closing or stream.given_up:
                    raise _GivenUpError
                payload = payloads[slot] if size == block_bytes else payloads[slot][:size]
                begun = monotonic()
                checksum = adler32(payload, checksum)
                done = monotonic()
                if position is LAST and expected is not None and checksum != expected:
                    raise _checksum_mismatch(stream.job, checksum)
                destination.write(payload)
            finally:
                give(slot)
            self.checksum_s[number] += done - begun
            self.delivery_s[number] += monotonic() - done
            self.written_bytes[number] += size


def _checksum_mismatch(job: RetrieveJob, checksum: int) -> CtaError:
    return CtaError(
        TAPE_CHECKSUM,
        f"file {job.archive_file_id} of {job.vid} fSeq {job.fseq} has Adler-32 {checksum:08x} as read, "
        f"the catalogue says {job.adler32:08x}",
        vid=job.vid,
        fseq=job.fseq,
    )
