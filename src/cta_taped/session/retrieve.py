# SPDX-License-Identifier: GPL-3.0-or-later
"""A retrieve mount's transfer: the procedure of the tape thread from the first claim to the last file on
disk.

What it is: files read in the order of the tape, and what each failure means for the file and for the mount.
What it is not: mounting and label checks before it, or the recommended access order (``order`` of a batch is
the caller's; the order of block ids is the default).

A tape that cannot be read in one place is read on behind it: the failure ends that file alone, and the next
one begins with a LOCATE. A failure of the drive, or one tape failure after another, ends the mount. The tape
is free as soon as the last block is read; the disk threads finish while it goes home.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty
from time import monotonic
from typing import Final, Protocol

from cta_taped.common.errors import TAPE_OVERSIZE_BLOCK, TAPE_SIZE, CtaError, Subject
from cta_taped.common.model import JobFailure, RetrieveJob, SessionTotals
from cta_taped.disk.files import WritePolicy, open_destination
from cta_taped.session.claims import ClaimAhead
from cta_taped.session.pipeline import (
    BLOCK_BYTES,
    JOIN_S,
    LOCATE_TIMEOUT_S,
    LOOK_S,
    NO_SLOT,
    STOPPED_JOIN_S,
    PipelineSize,
    TransferHost,
    as_cta_error,
)
from cta_taped.session.progress import LABEL_BYTES_A_FILE, Beat, job_failure, timed
from cta_taped.session.stop import StopRequest
from cta_taped.session.writers import LAST, MORE, DestinationWriters, Finished, OpenDestination, Stream
from cta_taped.tape.drive import TapeDrive
from cta_taped.tape.files import VolumeReader

_MOST_FAILURES_IN_A_ROW: Final = 10


@dataclass(frozen=True, slots=True)
class RetrieveLimits:
    """How much is claimed at once, how often results are delivered, and the sizes of the pipeline.

    ``block_bytes``: the longest payload block of the tape's format (1 MiB for Enstore tapes).
    ``quick_file_s``: longest rest of a file that is still read after a quick stop.
    """

    fetch_files: int = 4000
    fetch_bytes: int = 80_000_000_000
    deliver_jobs: int = 2000
    deliver_s: float = 180.0
    block_bytes: int = BLOCK_BYTES
    quick_file_s: float = 1.0
    pipeline: PipelineSize = field(default_factory=PipelineSize)
    write: WritePolicy = field(default_factory=WritePolicy)


class RetrieveHost(TransferHost, Protocol):
    """What a retrieve run asks of the mount around it."""

    def claim(self, files: int, size_bytes: int) -> list[RetrieveJob]:
        """At most so many jobs of this tape; empty if there are none. Called by a helper thread."""
        ...

    def deliver(self, done: list[RetrieveJob], failures: list[JobFailure]) -> None:
        """Jobs whose files are complete at their destinations, and jobs that failed, since the last call.

        From this call on the host answers for both. An exception ends the run.
        """
        ...

    def tape_free(self) -> None:
        """Nothing more will be read: unload and dismount. Called by the tape thread, once."""
        ...


@dataclass(slots=True)
class RetrieveOutcome:
    """How a run ended.

    ``give_back``: jobs to be queued again uncharged. ``done`` and ``failures``: results that came after a
    ``deliver`` had failed. ``error``: why the run ended early, if a failure was the reason. ``hanging``: disk
    threads that could not be ended.
    """

    give_back: list[RetrieveJob] = field(default_factory=list)
    done: list[RetrieveJob] = field(default_factory=list)
    failures: list[JobFailure] = field(default_factory=list)
    error: CtaError | None = None
    hanging: list[str] = field(default_factory=list)


class _Stopped(Exception):
    """A stop was met in a file that is not to be finished, or not to be begun."""


def by_position(jobs: list[RetrieveJob]) -> list[RetrieveJob]:
    """The order of the tape's block ids: no backward movement within a batch."""
    return sorted(jobs, key=lambda job: (job.block_id, job.fseq))


class RetrieveRun:
    """One stream of retrieve jobs from one mounted and verified tape; ``run`` is called once."""

    def __init__(
        self,
        drive: TapeDrive,
        reader: VolumeReader,
        host: RetrieveHost,
        limits: RetrieveLimits,
        stop: StopRequest,
        totals: SessionTotals,
        order: Callable[[list[RetrieveJob]], list[RetrieveJob]] = by_position,
        destination: OpenDestination = open_destination,
    ) -> None:
        self._drive = drive
        self._reader = reader
        self._host = host
        self._limits = limits
        self._stop = stop
        self._totals = totals
        writers = DestinationWriters(limits.pipeline, limits.block_bytes, limits.write, destination)
        self._writers = writers
        self._claims = ClaimAhead(
            lambda files, size_bytes: order(host.claim(files, size_bytes)),
            limits.fetch_files,
            limits.fetch_bytes,
            self._accept,
        )
        self._beat = Beat(host.progress, lambda: sum(writers.written_bytes))
        self._streams: deque[Stream] = deque()
        self._outstanding: dict[int, RetrieveJob] = {}
        self._outcome = RetrieveOutcome()
        self._undeliverable = False
        self._deliver_at = monotonic() + limits.deliver_s
        self._failures_in_a_row = 0

    def run(self) -> RetrieveOutcome:
        """Read until there is no more work, a stop is asked for, or a failure ends it; then finish the disk
        side.

        Never raises: every failure is in the outcome, so that the caller's way home is a straight one.
        """
        outcome, times = self._outcome, self._totals.times_s
        with timed(self._totals, "transferTime"):
            try:
                self._read_all()
                outcome.error = self._claims.failure
            except _Stopped:
                pass  # an ending like any other: what was not read is given back below
            except Exception as error:
                outcome.error = as_cta_error(error, "retrieving")
            if self._stop.now:
                # Also when the stop was met between two files: those that are read and not yet written wait
                # for a disk, perhaps for one that hangs.
                self._writers.give_up()
            for stream in self._streams:
                stream.end(None)
            unread = self._claims.close(STOPPED_JOIN_S if self._stop.quick else JOIN_S)
        try:
            self._host.tape_free()
        except Exception as error:
            outcome.error = outcome.error or as_cta_error(error, "releasing the tape")
        with timed(self._totals, "drainingTime"):
            self._drain()
            outcome.hanging = self._writers.close()
        given_back = {job.job_id: job for job in [*outcome.give_back, *self._outstanding.values(), *unread]}
        outcome.give_back = list(given_back.values())
        times["checksumingTime"] += sum(self._writers.checksum_s)
        times["deliveryTime"] += sum(self._writers.delivery_s)
        return outcome

    # --- the tape ------------------------------------------------------------------------------------------
    def _accept(self, jobs: list[RetrieveJob]) -> None:
        self._outstanding.update((job.job_id, job) for job in jobs)
        self._streams.extend(self._writers.submit(jobs))

    def _on_wait(self) -> None:
        now = monotonic()
        if now >= self._beat.due:
            self._beat.now(now)

    def _read_all(self) -> None:
        claims, stop, times = self._claims, self._stop, self._totals.times_s
        while True:
            begun = monotonic()
            job = claims.next(stop, self._on_wait)
            times["waitInstructionsTime"] += monotonic() - begun
            if job is None:
                return
            stream = self._streams.popleft()
            try:
                self._read_file(stream)
            except _Stopped:
                stream.end(None)
                raise
            except Exception as error:
                failure = as_cta_error(error, "reading tape")
                stream.end(failure)
                self._failures_in_a_row += 1
                drive_failed = failure.spec.subject is not Subject.TAPE
                if drive_failed or self._failures_in_a_row == _MOST_FAILURES_IN_A_ROW:
                    raise
            self._collect()

    def _read_file(self, stream: Stream) -> None:
        if stream.failure is not None:
            return
        job, begun = stream.job, monotonic()
        try:
            self._position_to(job)
            if self._stop.quick:
                raise _Stopped
            block_bytes = self._reader.open_file(job.archive_file_id, job.fseq)
        finally:
            self._totals.times_s["positionTime"] += monotonic() - begun
        if block_bytes > self._limits.block_bytes:
            raise CtaError(
                TAPE_OVERSIZE_BLOCK,
                f"{self._reader.vid} fSeq {job.fseq} declares blocks of {block_bytes} bytes, "
                f"expected at most {self._limits.block_bytes}",
                vid=self._reader.vid,
                fseq=job.fseq,
            )
        if not self._read_blocks(stream):
            return
        self._failures_in_a_row = 0
        self._beat.files += 1
        self._totals.files += 1
        self._totals.bytes += job.size_bytes
        self._totals.header_bytes += LABEL_BYTES_A_FILE

    def _position_to(self, job: RetrieveJob) -> None:
        if self._reader.standing_at == job.fseq:
            return
        self._host.begin_command("locate", LOCATE_TIMEOUT_S)
        self._reader.position_to(job.fseq, job.block_id)
        self._host.end_command("locate")

    def _read_blocks(self, stream: Stream) -> bool:
        """Read the payload and the trailer; False if the destination failed meanwhile and the rest is not
        read.

        The last block is held back until the filemark, the size and the trailer were found right.
        """
        job, beat, times, stop = stream.job, self._beat, self._totals.times_s, self._stop
        read_block, buffers, give = (
            self._drive.read_block,
            self._writers.slots.buffers,
            self._writers.free.give,
        )
        held, held_size, read, blocks = NO_SLOT, 0, 0, 0
        clock = monotonic()
        slot = self._free_slot(job.size_bytes)
        try:
            while True:
                got = monotonic()
                size = read_block(buffers[slot])
                done = monotonic()
                times["waitFreeMemoryTime"] += got - clock
                times["readWriteTime"] += done - got
                clock = done
                if size == 0:
                    break
                if held != NO_SLOT:
                    stream.put(held, held_size, MORE)
                held, held_size, slot = slot, size, NO_SLOT
                read += size
                blocks += 1
                beat.tape_bytes += size
                if done >= beat.due:
                    beat.now(done)
                if read > job.size_bytes:
                    break
                if stream.failure is not None:
                    return False
                if stop.quick and self._ends_here(job.size_bytes - read):
                    raise _Stopped
                slot = self._free_slot(job.size_bytes - read)
            if read != job.size_bytes or held == NO_SLOT:
                more = " or more" if size else ""
                raise CtaError(
                    TAPE_SIZE,
                    f"{self._reader.vid} fSeq {job.fseq} has {read} bytes{more} on tape, "
                    f"the catalogue says {job.size_bytes}",
                    vid=self._reader.vid,
                    fseq=job.fseq,
                )
            self._reader.close_file(blocks)
            stream.put(held, held_size, LAST)
            held = NO_SLOT
        finally:
            for unused in (slot, held):
                if unused != NO_SLOT:
                    give(unused)
        return True

    def _free_slot(self, left_bytes: int) -> int:
        while True:
            try:
                return self._writers.free.take(LOOK_S)
            except Empty:
                # Not a poll of the disks: looked for are a stop, and the beat, which proves that this thread
                # lives.
                self._on_wait()
                if self._stop.quick and self._ends_here(left_bytes):
                    raise _Stopped from None

    def _ends_here(self, left_bytes: int) -> bool:
        """After a quick stop: whether the file is abandoned, ``left_bytes`` of it being unread."""
        times = self._totals.times_s
        spent_s = times["waitFreeMemoryTime"] + times["readWriteTime"]
        return self._stop.ends_file(left_bytes, self._beat.tape_bytes, spent_s, self._limits.quick_file_s)

    # --- the results ---------------------------------------------------------------------------------------
    def _collect(self) -> None:
        finished = self._writers.finished
        while not finished.empty():
            self._settle(finished.get())
        results = len(self._outcome.done) + len(self._outcome.failures)
        if results >= self._limits.deliver_jobs or (results and monotonic() >= self._deliver_at):
            self._deliver()

    def _settle(self, finished: Finished) -> None:
        job = self._outstanding.pop(finished.job.job_id)
        if finished.given_up:
            self._outcome.give_back.append(job)
        elif finished.error is not None:
            self._outcome.failures.append(job_failure(self._totals, job.job_id, finished.error))
        else:
            self._outcome.done.append(job)

    def _deliver(self) -> None:
        outcome = self._outcome
        done, outcome.done = outcome.done, []
        failures, outcome.failures = outcome.failures, []
        self._deliver_at = monotonic() + self._limits.deliver_s
        with timed(self._totals, "waitReportingTime"):
            try:
                self._host.deliver(done, failures)
            except Exception:
                self._undeliverable = True
                raise

    def _drain(self) -> None:
        """Wait for the disk threads; after a stop NOW only as long as a disk may reasonably take."""
        give_up_at = monotonic() + JOIN_S if self._stop.now else None
        while self._outstanding and (give_up_at is None or monotonic() < give_up_at):
            try:
                self._settle(self._writers.finished.get(timeout=LOOK_S))
            except Empty:
                self._on_wait()
                if self._stop.now and give_up_at is None:
                    self._writers.give_up()
                    give_up_at = monotonic() + JOIN_S
        if (self._outcome.done or self._outcome.failures) and not self._undeliverable:
            try:
                self._deliver()
            except Exception as error:
                self._outcome.error = self._outcome.error or as_cta_error(error, "delivering results")
