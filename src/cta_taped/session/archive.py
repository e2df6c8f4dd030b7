# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive mount's transfer: the procedure of the tape thread from the first claim to the last flush.

What it is: files written in order, flushes, and what each failure means for the tape and for the jobs.
What it is not: mounting, label checks and positioning before it, or the ledger and the databases behind
``deliver``. No file is ever handed to ``deliver`` before the flush that follows it has succeeded.

A source that fails after its first block leaves a torn file at the end of the tape. Upstream ends the mount
there. Here the files before it are flushed and delivered, and the tape goes back to the torn file's HDR1
(LOCATE) and writes the next file over it: everything behind that point is unknown to the catalogue, so
nothing can be lost, and one bad source costs one flush and a short locate instead of a dismount and a mount.
If the drive cannot go back, the mount ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from time import monotonic, time
from typing import Protocol

from cta_taped.common.errors import TAPE_FULL, CtaError
from cta_taped.common.model import ArchiveJob, JobFailure, SessionTotals, WrittenFile
from cta_taped.disk.files import SourceFile, open_source
from cta_taped.session.claims import ClaimAhead
from cta_taped.session.pipeline import (
    BLOCK_BYTES,
    FLUSH_TIMEOUT_S,
    JOIN_S,
    LOCATE_TIMEOUT_S,
    LOOK_S,
    STOPPED_JOIN_S,
    PipelineSize,
    TransferHost,
    as_cta_error,
)
from cta_taped.session.progress import LABEL_BYTES_A_FILE, Beat, job_failure, timed
from cta_taped.session.readers import Delivery, Lane, SourceReaders
from cta_taped.session.stop import StopRequest
from cta_taped.tape.drive import TapeDrive
from cta_taped.tape.files import FileWriter


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """How much is claimed at once, and after how much the drive's buffer is synchronised to the medium.

    ``quick_file_s``: longest rest of a file that is still written after a quick stop.
    """

    fetch_files: int = 4000
    fetch_bytes: int = 80_000_000_000
    flush_files: int = 200
    flush_bytes: int = 32_000_000_000
    quick_file_s: float = 1.0
    pipeline: PipelineSize = field(default_factory=PipelineSize)


class ArchiveHost(TransferHost, Protocol):
    """What an archive run asks of the mount around it."""

    def claim(self, files: int, size_bytes: int) -> list[ArchiveJob]:
        """At most so many jobs in the order of the tape, perhaps none. Called by a helper thread."""
        ...

    def deliver(self, flushed: list[WrittenFile], failures: list[JobFailure]) -> None:
        """Files that are on the medium, in the order of fSeq, and jobs that failed since the last call.

        From this call on the host answers for both. An exception ends the run.
        """
        ...

    def tape_full(self) -> None:
        """The end of the tape was met; said after the last ``deliver``."""
        ...


@dataclass(slots=True)
class ArchiveOutcome:
    """How a run ended.

    ``give_back``: jobs to be queued again uncharged, in order: not begun, or written but never known to be on
    the medium. ``failures``: verdicts that no ``deliver`` has carried yet. ``error``: why the run ended
    early, if a failure was the reason. ``hanging``: disk threads that could not be ended.
    """

    give_back: list[ArchiveJob] = field(default_factory=list)
    failures: list[JobFailure] = field(default_factory=list)
    tape_full: bool = False
    error: CtaError | None = None
    hanging: list[str] = field(default_factory=list)


class _Stopped(Exception):
    """A stop was met in a file that is not to be finished, or not to be begun."""


class ArchiveRun:
    """One stream of archive jobs to one mounted, verified and positioned tape; ``run`` is called once."""

    def __init__(
        self,
        drive: TapeDrive,
        writer: FileWriter,
        host: ArchiveHost,
        limits: ArchiveLimits,
        stop: StopRequest,
        totals: SessionTotals,
        source: Callable[[str], SourceFile] = open_source,
    ) -> None:
        self._drive = drive
        self._writer = writer
        self._host = host
        self._limits = limits
        self._stop = stop
        self._totals = totals
        readers = SourceReaders(limits.pipeline, source)
        self._readers = readers
        self._claims = ClaimAhead(host.claim, limits.fetch_files, limits.fetch_bytes, readers.submit)
        self._beat = Beat(host.progress, lambda: sum(lane.read_bytes for lane in readers.lanes))
        self._current: ArchiveJob | None = None
        self._unflushed: list[WrittenFile] = []
        self._unflushed_bytes = 0
        self._failures: list[JobFailure] = []

    def run(self) -> ArchiveOutcome:
        """Write until there is no more work, the tape is full, a stop is asked for, or a failure ends it.

        Never raises: every failure is in the outcome, so that the caller's way home is a straight one.
        """
        outcome = ArchiveOutcome()
        with timed(self._totals, "transferTime"):
            try:
                self._write_all()
                outcome.error = self._claims.failure
            except _Stopped:
                self._end_after_stop(outcome)
            except Exception as error:
                self._end_after_failure(outcome, as_cta_error(error, "archiving"))
            join_s = STOPPED_JOIN_S if self._stop.quick else JOIN_S
            outcome.hanging = self._readers.close(join_s)
            outcome.give_back += [file.job for file in self._unflushed if file.job is not None]
            if self._current is not None:
                outcome.give_back.append(self._current)
            outcome.give_back += self._claims.close(join_s)
            outcome.failures = self._failures
        times = self._totals.times_s
        times["checksumingTime"] += sum(lane.checksum_s for lane in self._readers.lanes)
        times["waitFreeMemoryTime"] += sum(lane.wait_s for lane in self._readers.lanes)
        return outcome

    # --- ends ----------------------------------------------------------------------------------------------
    def _end_after_stop(self, outcome: ArchiveOutcome) -> None:
        # The unload that follows synchronises the drive's buffer in any case, so this flush costs no time and
        # saves up to a whole flush interval of files from being written twice.
        if self._current is not None:
            outcome.give_back.append(self._current)
            self._current = None
        try:
            self._flush()
        except Exception as error:
            self._end_after_failure(outcome, as_cta_error(error, "flushing at a stop"))

    def _end_after_failure(self, outcome: ArchiveOutcome, error: CtaError) -> None:
        if error.spec is not TAPE_FULL:
            outcome.error = error
            if self._current is not None and error.spec.charged:
                self._fail(self._current, error)
                self._current = None
            return
        # What was written completely before the end of the tape can still be synchronised: the early warning
        # comes while there is room for it (SSC-5 4.2.6). If it cannot, nothing since the last flush counts.
        outcome.tape_full = True
        for what in (self._flush, self._host.tape_full):
            try:
                what()
            except Exception as later:
                failure = as_cta_error(later, "at the end of the tape")
                if failure.spec is not TAPE_FULL:
                    outcome.error = outcome.error or failure

    # --- work ----------------------------------------------------------------------------------------------
    def _write_all(self) -> None:
        limits = self._limits
        while (job := self._next_job()) is not None:
            self._current = job
            self._write_file(job, self._readers.next_lane())
            self._current = None
            if len(self._unflushed) >= limits.flush_files or self._unflushed_bytes >= limits.flush_bytes:
                self._flush()
        self._flush()

    def _next_job(self) -> ArchiveJob | None:
        begun = monotonic()
        job = self._claims.next(self._stop, self._on_wait)
        self._totals.times_s["waitInstructionsTime"] += monotonic() - begun
        return job

    def _on_wait(self) -> None:
        now = monotonic()
        if now >= self._beat.due:
            self._beat.now(now)

    def _write_file(self, job: ArchiveJob, lane: Lane) -> None:
        drive, stop, beat, times = self._drive, self._stop, self._beat, self._totals.times_s
        buffers = self._readers.slots.buffers
        filled, give = lane.filled, lane.free.give
        clock = monotonic()
        slot, size, end = self._next_block(filled, job, 0)
        if slot < 0:
            # Known before anything of it was written: its fSeq goes to the next file, no placeholder is
            # needed.
            assert isinstance(end, CtaError)
            self._fail(job, end)
            return
        if stop.quick:
            raise _Stopped
        block_id = self._writer.begin_file(job.archive_file_id)
        blocks = 0
        while True:
            got = monotonic()
            drive.write_block(buffers[slot], size)
            give(slot)
            blocks += 1
            beat.tape_bytes += size
            done = monotonic()
            times["waitDataTime"] += got - clock
            times["readWriteTime"] += done - got
            if done >= beat.due:
                beat.now(done)
            clock = done
            if end is not None:
                break
            if stop.quick and self._ends_here(job, blocks):
                raise _Stopped
            slot, size, end = self._next_block(filled, job, blocks)
            if slot < 0:
                assert isinstance(end, CtaError)
                self._fail(job, end)
                self._current = None
                self._go_back()
                return
        self._writer.end_file(blocks)
        assert isinstance(end, int)
        vid, fseq = self._writer.vid, self._writer.last_fseq
        written = WrittenFile(vid, fseq, block_id, job.size_bytes, end, int(time()), job)
        beat.files += 1
        self._unflushed.append(written)
        self._unflushed_bytes += job.size_bytes

    def _next_block(self, filled: SimpleQueue[Delivery], job: ArchiveJob, blocks: int) -> Delivery:
        while True:
            try:
                return filled.get(timeout=LOOK_S)
            except Empty:
                # Not a poll of the disk: looked for are a stop, and the beat, which proves that this thread
                # lives.
                self._on_wait()
                if self._stop.quick and (blocks == 0 or self._ends_here(job, blocks)):
                    raise _Stopped from None

    def _ends_here(self, job: ArchiveJob, blocks: int) -> bool:
        """After a quick stop: whether the file is abandoned, ``blocks`` of it being written."""
        times = self._totals.times_s
        spent_s = times["waitDataTime"] + times["readWriteTime"]
        left_bytes = job.size_bytes - blocks * BLOCK_BYTES
        return self._stop.ends_file(left_bytes, self._beat.tape_bytes, spent_s, self._limits.quick_file_s)

    def _go_back(self) -> None:
        """Return to the HDR1 of a torn file; the next file takes its place and its fSeq."""
        self._flush()
        self._host.begin_command("locate", LOCATE_TIMEOUT_S)
        with timed(self._totals, "positionTime"):
            self._writer.abandon_file()
        self._host.end_command("locate")

    def _flush(self) -> None:
        if self._unflushed:
            self._host.begin_command("flush", FLUSH_TIMEOUT_S)
            with timed(self._totals, "flushTime"):
                self._writer.flush()
            self._host.end_command("flush")
        flushed, self._unflushed = self._unflushed, []
        failures, self._failures = self._failures, []
        self._unflushed_bytes = 0
        self._totals.files += len(flushed)
        self._totals.bytes += sum(file.size_bytes for file in flushed)
        self._totals.header_bytes += LABEL_BYTES_A_FILE * len(flushed)
        if flushed or failures:
            with timed(self._totals, "waitReportingTime"):
                self._host.deliver(flushed, failures)

    def _fail(self, job: ArchiveJob, error: CtaError) -> None:
        self._failures.append(job_failure(self._totals, job.job_id, error))
