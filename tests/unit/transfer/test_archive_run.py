# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive run against a virtual drive and real files: order, flushes, and every job accounted for once."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from transfer_parts import ArchiveDesk, Disk, RetrieveDesk, Tape, retrieve_jobs

from cta_taped.common.errors import DISK_READ, SCHEDULER_LOST, CtaError
from cta_taped.common.model import Grade, WrittenFile
from cta_taped.disk.files import SourceFile, open_source
from cta_taped.session.archive import ArchiveLimits, ArchiveOutcome, ArchiveRun
from cta_taped.session.pipeline import BLOCK_BYTES, PipelineSize
from cta_taped.session.progress import new_totals
from cta_taped.session.retrieve import RetrieveLimits, RetrieveRun
from cta_taped.session.stop import StopRequest

SMALL = PipelineSize(disk_threads=3, slots=6)
MANY_SIZES = [
    1,
    79,
    80,
    4096,
    BLOCK_BYTES - 1,
    BLOCK_BYTES,
    BLOCK_BYTES + 1,
    3 * BLOCK_BYTES,
    7 * BLOCK_BYTES + 5,
]


def archive(
    tape: Tape,
    desk: ArchiveDesk,
    *,
    last_fseq: int = 0,
    stop: StopRequest | None = None,
    source: Callable[[str], SourceFile] = open_source,
    limits: ArchiveLimits | None = None,
    hanging: tuple[str, ...] = (),
) -> ArchiveOutcome:
    """Run to the end; every claimed job is then written, failed or given back, exactly once."""
    run = ArchiveRun(
        tape.drive,
        tape.writer(last_fseq),
        desk,
        limits or ArchiveLimits(pipeline=SMALL),
        stop or StopRequest(),
        new_totals(),
        source,
    )
    outcome = run.run()
    fates = [file.job.job_id for file in desk.written if file.job is not None]
    fates += [failure.job_id for failure in [*desk.failures, *outcome.failures]]
    fates += [job.job_id for job in outcome.give_back]
    assert sorted(fates) == sorted(job.job_id for job in desk.claimed)
    assert [file.fseq for file in desk.written] == [last_fseq + 1 + n for n in range(len(desk.written))]
    assert outcome.hanging == list(hanging)
    return outcome


def assert_readable(tape: Tape, disk: Disk, written: list[WrittenFile], out: Path) -> None:
    desk = RetrieveDesk(retrieve_jobs(written, out))
    outcome = RetrieveRun(
        tape.drive, tape.reader(), desk, RetrieveLimits(pipeline=SMALL), StopRequest(), new_totals()
    ).run()
    assert (outcome.error, outcome.give_back, desk.failures) == (None, [], [])
    assert {int(path.name): path.read_bytes() for path in out.iterdir()} == {
        job.job_id: disk.content[job.job_id] for job in desk.done
    }
    assert len(desk.done) == len(written)


@pytest.mark.parametrize("protection", [False, True])
def test_what_is_written_is_read_back(
    make_tape: Callable[..., Tape], disk: Disk, out: Path, protection: bool
) -> None:
    tape = make_tape(protection=protection)
    desk = ArchiveDesk(disk.jobs(*MANY_SIZES))
    outcome = archive(tape, desk)
    assert (outcome.error, outcome.tape_full, outcome.give_back) == (None, False, [])
    assert desk.written[0].block_id == 0
    assert_readable(tape, disk, desk.written, out)


def test_a_second_run_appends(tape: Tape, disk: Disk, out: Path) -> None:
    first = ArchiveDesk(disk.jobs(5000, BLOCK_BYTES))
    archive(tape, first)
    second = ArchiveDesk(disk.jobs(17, 2 * BLOCK_BYTES))
    archive(tape, second, last_fseq=2)
    assert_readable(tape, disk, first.written + second.written, out)


def test_nothing_to_do_writes_nothing(tape: Tape) -> None:
    desk = ArchiveDesk([])
    outcome = archive(tape, desk)
    assert (outcome.error, desk.claims, desk.deliveries, tape.port.events) == (None, 1, [], [])


def test_no_file_is_delivered_before_its_flush(tape: Tape, disk: Disk) -> None:
    desk = ArchiveDesk(disk.jobs(*[100] * 10))
    desk.on_deliver = lambda flushed: tape.port.events.append(f"delivered {len(flushed)}")
    archive(tape, desk, limits=ArchiveLimits(flush_files=4, pipeline=SMALL))
    events = [event for event in tape.port.events if event == "flush" or event.startswith("delivered")]
    assert events == ["flush", "delivered 4", "flush", "delivered 4", "flush", "delivered 2"]
    assert tape.port.events[-2:] == ["flush", "delivered 2"]


def test_flush_by_bytes(tape: Tape, disk: Disk) -> None:
    desk = ArchiveDesk(disk.jobs(*[1000] * 5))
    archive(tape, desk, limits=ArchiveLimits(flush_bytes=2000, pipeline=SMALL))
    assert desk.deliveries == [2, 2, 1]
    assert desk.commands.count("flush") == 3


def test_bad_sources_cost_no_fseq(tape: Tape, disk: Disk, out: Path) -> None:
    good = disk.jobs(1000, 2000)
    vanished, truncated, grown, empty, directory, wrong = disk.jobs(10, 20, 30, 0, 40, 50)
    disk.path(vanished).unlink()
    disk.path(truncated).write_bytes(b"short")
    disk.path(grown).write_bytes(bytes(31))
    disk.path(directory).unlink()
    disk.path(directory).mkdir()
    wrong = replace(wrong, adler32=12345)
    desk = ArchiveDesk([vanished, good[0], truncated, grown, empty, directory, good[1], wrong])
    outcome = archive(tape, desk)
    assert outcome.error is None
    assert desk.codes == {
        vanished.job_id: "CTA-DISK-001",
        truncated.job_id: "CTA-DISK-006",
        grown.job_id: "CTA-DISK-006",
        empty.job_id: "CTA-DISK-011",
        directory.job_id: "CTA-DISK-010",
        wrong.job_id: "CTA-DISK-007",
    }
    assert all(failure.charged for failure in desk.failures)
    assert [file.job for file in desk.written] == good
    assert_readable(tape, disk, desk.written, out)


class TornSource:
    """A real source that fails, ends early or goes on for ever once ``after`` bytes were read."""

    def __init__(self, url: str, after: int, how: str) -> None:
        self._source = open_source(url)
        self._left = after
        self._how = how
        self.size_bytes = self._source.size_bytes

    def readinto(self, buffer: memoryview) -> int:
        if self._left <= 0:
            if self._how == "truncated":
                return 0
            if self._how == "defect":
                raise ZeroDivisionError("a defect of this program")
            raise CtaError(DISK_READ, "a disk error")
        size = self._source.readinto(buffer[: self._left])
        self._left -= size
        return size

    def close(self) -> None:
        self._source.close()


@pytest.mark.parametrize(
    ("how", "code"),
    [("error", "CTA-DISK-003"), ("truncated", "CTA-DISK-006"), ("defect", "CTA-SYSTEM-005")],
)
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_torn_file_is_written_over(
    tape: Tape, disk: Disk, out: Path, place: int, how: str, code: str
) -> None:
    """First, middle and last file of the run; the others are all there and the mount goes on."""
    jobs = disk.jobs(*[6 * BLOCK_BYTES + 10] * 4)
    torn = jobs[place]

    def source(url: str) -> SourceFile:
        return TornSource(url, 3 * BLOCK_BYTES + 7, how) if url == torn.source_url else open_source(url)

    desk = ArchiveDesk(jobs)
    outcome = archive(tape, desk, source=source)
    assert outcome.error is None
    assert desk.codes == {torn.job_id: code}
    assert [file.job for file in desk.written] == [job for job in jobs if job is not torn]
    assert_readable(tape, disk, desk.written, out)
    more = ArchiveDesk(disk.jobs(3))
    archive(tape, more, last_fseq=3)
    assert len(more.written) == 1


def test_a_file_that_grows_while_it_is_read(tape: Tape, disk: Disk) -> None:
    for size in (2 * BLOCK_BYTES, 2 * BLOCK_BYTES + 1, 100):
        job = disk.job(size)

        def source(url: str) -> SourceFile:
            opened = open_source(url)
            with Path(url).open("ab") as file:
                file.write(b"x")
            return opened

        desk = ArchiveDesk([job])
        archive(tape, desk, source=source)
        assert desk.codes == {job.job_id: "CTA-DISK-006"}
        assert desk.written == []


def test_a_wrong_checksum_found_at_the_last_block(tape: Tape, disk: Disk, out: Path) -> None:
    jobs = disk.jobs(5 * BLOCK_BYTES, 5 * BLOCK_BYTES, 100)
    jobs[1] = replace(jobs[1], adler32=1)
    desk = ArchiveDesk(jobs)
    archive(tape, desk)
    assert desk.codes == {jobs[1].job_id: "CTA-DISK-007"}
    assert_readable(tape, disk, desk.written, out)


def test_a_request_without_checksum_gets_one(tape: Tape, disk: Disk) -> None:
    job = disk.job(300000)
    desk = ArchiveDesk([replace(job, adler32=None)])
    archive(tape, desk)
    assert desk.written[0].adler32 == job.adler32


def test_end_of_tape(make_tape: Callable[..., Tape], disk: Disk, out: Path) -> None:
    tape = make_tape("TEST-16M")
    desk = ArchiveDesk(disk.jobs(*[4 * BLOCK_BYTES] * 24))
    outcome = archive(tape, desk)
    assert (outcome.tape_full, outcome.error, desk.full, desk.failures) == (True, None, 1, [])
    assert 10 < len(desk.written) < 16
    assert_readable(tape, disk, desk.written, out)


def test_end_of_tape_met_by_the_flush_gives_everything_back(tape: Tape, disk: Disk) -> None:
    tape_writer_failure = OSError(errno.ENOSPC, "No space left on device")
    desk = ArchiveDesk(disk.jobs(100, 100, 100))
    tape.port.fail[("flush", 1)] = tape_writer_failure
    tape.port.fail[("flush", 2)] = tape_writer_failure
    outcome = archive(tape, desk)
    assert (outcome.tape_full, outcome.error, desk.full) == (True, None, 1)
    assert (desk.written, len(outcome.give_back)) == ([], 3)


def test_end_of_tape_met_by_the_flush_of_a_stop(tape: Tape, disk: Disk) -> None:
    desk = ArchiveDesk(disk.jobs(100, 3 * BLOCK_BYTES, 100))
    stop = StopRequest()
    tape.port.before[("write", 7 + 4)] = lambda: stop.request(Grade.NOW)
    for nth in (1, 2):
        tape.port.fail[("flush", nth)] = OSError(errno.ENOSPC, "No space left on device")
    outcome = archive(tape, desk, stop=stop)
    assert (outcome.tape_full, outcome.error, desk.full) == (True, None, 1)
    assert (desk.written, len(outcome.give_back), outcome.failures) == ([], 3, [])


@pytest.mark.parametrize("nth", [1, 4, 7, 15, 20])
def test_a_write_error_spoils_everything_since_the_last_flush(tape: Tape, disk: Disk, nth: int) -> None:
    """Seven writes a file and a flush every two files: the error is met in every part of a file."""
    desk = ArchiveDesk(disk.jobs(*[100] * 6))
    tape.port.fail[("write", nth)] = OSError(errno.EIO, "Input/output error")
    outcome = archive(tape, desk, limits=ArchiveLimits(flush_files=2, pipeline=SMALL))
    assert outcome.error is not None
    assert outcome.error.code == "CTA-TAPE-009"
    assert len(desk.written) == (nth - 1) // 14 * 2
    assert [(failure.code, failure.charged) for failure in outcome.failures] == [("CTA-TAPE-009", True)]


def test_a_failed_flush_gives_everything_back_uncharged(tape: Tape, disk: Disk) -> None:
    desk = ArchiveDesk(disk.jobs(*[100] * 5))
    tape.port.fail[("flush", 2)] = OSError(errno.EIO, "Input/output error")
    outcome = archive(tape, desk, limits=ArchiveLimits(flush_files=2, pipeline=SMALL))
    assert outcome.error is not None
    assert outcome.error.code == "CTA-DRIVE-013"
    assert (len(desk.written), len(outcome.give_back), outcome.failures) == (2, 3, [])


def test_the_host_answers_for_what_it_was_given(tape: Tape, disk: Disk) -> None:
    """A ledger that fails ends the run; the files handed over are not given back by the run as well."""
    desk = ArchiveDesk(disk.jobs(*[100] * 5))
    handed: list[WrittenFile] = []

    def refuse(flushed: list[WrittenFile]) -> None:
        handed.extend(flushed)
        desk.claimed = [job for job in desk.claimed if job not in [file.job for file in flushed]]
        raise CtaError(SCHEDULER_LOST, "away")

    desk.on_deliver = refuse
    outcome = archive(tape, desk, limits=ArchiveLimits(flush_files=2, pipeline=SMALL))
    assert outcome.error is not None
    assert (outcome.error.spec, len(handed), len(outcome.give_back)) == (SCHEDULER_LOST, 2, 3)


@pytest.mark.parametrize("grade", [Grade.QUICK, Grade.NOW])
def test_stops(tape: Tape, disk: Disk, out: Path, grade: Grade) -> None:
    """Asked for in the second block of the third file: that file is finished, or given back."""
    jobs = disk.jobs(*[5 * BLOCK_BYTES] * 6)
    stop = StopRequest()
    desk = ArchiveDesk(jobs)
    tape.port.before[("write", 2 * 11 + 3 + 2)] = lambda: stop.request(grade)
    outcome = archive(tape, desk, stop=stop)
    whole = 3 if grade is Grade.QUICK else 2
    assert (outcome.error, desk.failures, outcome.failures) == (None, [], [])
    assert [file.job for file in desk.written] == jobs[:whole]
    assert outcome.give_back == jobs[whole:]
    if grade is Grade.NOW:
        assert tape.port.events.count("write") == 2 * 11 + 3 + 2
    assert_readable(tape, disk, desk.written, out)


def test_drain_finishes_what_is_claimed_and_claims_no_more(tape: Tape, disk: Disk) -> None:
    jobs = disk.jobs(*[100] * 9)
    stop = StopRequest()
    desk = ArchiveDesk(jobs, batch=3)
    desk.on_deliver = lambda flushed: stop.request(Grade.DRAIN)
    outcome = archive(
        tape, desk, stop=stop, limits=ArchiveLimits(fetch_files=3, flush_files=1, pipeline=SMALL)
    )
    assert 3 <= len(desk.written) + len(outcome.give_back) == len(desk.claimed) < 9
    assert len(desk.written) >= 3


@pytest.mark.parametrize("at", [2, 6])
def test_quick_abandons_a_file_whose_rest_takes_too_long(tape: Tape, disk: Disk, out: Path, at: int) -> None:
    """At a drive of 13 MB/s; the files before are delivered, and the next mount writes over the torn one."""
    tape.port.write_takes_s = 0.02
    jobs = disk.jobs(2 * BLOCK_BYTES, 80 * BLOCK_BYTES, 100)
    stop = StopRequest()
    desk = ArchiveDesk(jobs)
    place = 8 + 3 + at
    tape.port.before[("write", place)] = lambda: stop.request(Grade.QUICK)
    limits = ArchiveLimits(quick_file_s=0.5, pipeline=SMALL)
    outcome = archive(tape, desk, stop=stop, limits=limits)
    assert (outcome.error, desk.failures, outcome.failures) == (None, [], [])
    assert [file.job for file in desk.written] == jobs[:1]
    assert outcome.give_back == jobs[1:]
    assert tape.port.events.count("write") == place
    tape.port.write_takes_s = 0.0
    again = ArchiveDesk(jobs[1:])
    archive(tape, again, last_fseq=1)
    assert_readable(tape, disk, [*desk.written, *again.written], out)


def test_quick_finishes_a_file_whose_rest_is_short(tape: Tape, disk: Disk) -> None:
    tape.port.write_takes_s = 0.01
    jobs = disk.jobs(30 * BLOCK_BYTES, 100)
    stop = StopRequest()
    desk = ArchiveDesk(jobs)
    tape.port.before[("write", 3 + 20)] = lambda: stop.request(Grade.QUICK)
    outcome = archive(tape, desk, stop=stop, limits=ArchiveLimits(quick_file_s=30.0, pipeline=SMALL))
    assert ([file.job for file in desk.written], outcome.give_back) == (jobs[:1], jobs[1:])


class StalledSource:
    """A real source that stops a run once it was read for ``after`` bytes, and answers when ``released``."""

    def __init__(self, url: str, after: int, stop: Callable[[], None], released: threading.Event) -> None:
        self._source = open_source(url)
        self._left = after
        self._stop = stop
        self._released = released
        self.size_bytes = self._source.size_bytes

    def readinto(self, buffer: memoryview) -> int:
        if self._left <= 0:
            self._stop()
            assert self._released.wait(60)
        size = self._source.readinto(buffer)
        self._left -= size
        return size

    def close(self) -> None:
        self._source.close()


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Set at the end of the test; then every disk thread that waited for it ends."""
    event = threading.Event()
    yield event
    event.set()
    for thread in threading.enumerate():
        if thread.name.startswith(("disk-", "claim-")):
            thread.join(60)


@pytest.mark.parametrize("grade", [Grade.QUICK, Grade.NOW])
@pytest.mark.parametrize("blocks", [0, 2])
def test_a_stop_is_met_while_a_source_hangs(
    tape: Tape, disk: Disk, released: threading.Event, grade: Grade, blocks: int
) -> None:
    """Before its first block, when nothing of it is written, and in the middle of the file."""
    jobs = disk.jobs(100, 4 * BLOCK_BYTES)
    stop = StopRequest()
    first_written = threading.Event()
    tape.port.before[("mark", 3)] = first_written.set

    def stop_behind_the_first() -> None:
        assert first_written.wait(60)
        stop.request(grade)

    def source(url: str) -> SourceFile:
        if url == jobs[0].source_url:
            return open_source(url)
        return StalledSource(url, blocks * BLOCK_BYTES, stop_behind_the_first, released)

    desk = ArchiveDesk(jobs)
    limits = ArchiveLimits(quick_file_s=0.5 if blocks else 600.0, pipeline=PipelineSize(2, 4))
    outcome = archive(tape, desk, stop=stop, source=source, limits=limits, hanging=("disk-read-1",))
    assert not released.is_set()
    assert ([file.job for file in desk.written], outcome.give_back) == (jobs[:1], jobs[1:])
    assert outcome.error is None
    assert tape.port.events.count("write") == 7 + (3 + blocks if blocks else 0)
    assert desk.beats


def test_quick_begins_no_file_whose_first_block_comes_after_it(tape: Tape, disk: Disk) -> None:
    jobs = disk.jobs(100, 100)
    stop = StopRequest()
    first_written = threading.Event()
    tape.port.before[("mark", 3)] = first_written.set

    def source(url: str) -> SourceFile:
        if url == jobs[1].source_url:
            assert first_written.wait(60)
            stop.request(Grade.QUICK)
        return open_source(url)

    desk = ArchiveDesk(jobs)
    limits = ArchiveLimits(quick_file_s=600.0, pipeline=SMALL)
    outcome = archive(tape, desk, stop=stop, source=source, limits=limits)
    assert ([file.job for file in desk.written], outcome.give_back) == (jobs[:1], jobs[1:])
    assert tape.port.events.count("write") == 7


@pytest.mark.parametrize("grade", list(Grade))
def test_a_stop_is_met_while_a_claim_hangs(
    tape: Tape, disk: Disk, released: threading.Event, grade: Grade
) -> None:
    stop = StopRequest()
    desk = ArchiveDesk(disk.jobs(100))

    def hang(count: int) -> None:
        if count == 2:
            stop.request(grade)
            if grade is not Grade.DRAIN:
                assert released.wait(60)

    desk.on_claim = hang
    outcome = archive(tape, desk, stop=stop, limits=ArchiveLimits(fetch_files=1, pipeline=SMALL))
    assert not released.is_set()
    assert (len(desk.written) + len(outcome.give_back), outcome.error) == (1, None)


def test_a_failed_claim_ends_the_run_after_the_pending_work(tape: Tape, disk: Disk) -> None:
    desk = ArchiveDesk(disk.jobs(*[100] * 6), batch=3)

    def fail_second(count: int) -> None:
        if count == 2:
            raise CtaError(SCHEDULER_LOST, "the database is away")

    desk.on_claim = fail_second
    outcome = archive(tape, desk)
    assert outcome.error is not None
    assert (outcome.error.spec, len(desk.written), outcome.give_back) == (SCHEDULER_LOST, 3, [])


def test_work_that_arrives_after_an_empty_answer_is_still_done(tape: Tape, disk: Disk) -> None:
    jobs = disk.jobs(*[100] * 4)
    desk = ArchiveDesk(jobs[:2])

    def arrive(count: int) -> None:
        if count == 3:
            desk.queue.extend(jobs[2:])

    desk.on_claim = arrive
    archive(tape, desk)
    assert [file.job for file in desk.written] == jobs


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_a_slow_head_never_deadlocks(tape: Tape, disk: Disk, threads: int) -> None:
    """The head opens last, when every other file has taken all the slots that it may."""
    jobs = disk.jobs(*[4 * BLOCK_BYTES] * 7)
    others = threading.Semaphore(0)

    def source(url: str) -> SourceFile:
        if url == jobs[0].source_url:
            for _ in range(min(threads, len(jobs)) - 1):
                others.acquire()
        else:
            others.release()
        return open_source(url)

    desk = ArchiveDesk(jobs)
    limits = ArchiveLimits(pipeline=PipelineSize(threads, threads))
    archive(tape, desk, source=source, limits=limits)
    assert [file.job for file in desk.written] == jobs


def test_the_accounts(tape: Tape, disk: Disk) -> None:
    desk = ArchiveDesk([*disk.jobs(1000, 300000), disk.job(0)])
    totals = new_totals()
    ArchiveRun(tape.drive, tape.writer(), desk, ArchiveLimits(pipeline=SMALL), StopRequest(), totals).run()
    assert (totals.files, totals.bytes, totals.header_bytes) == (2, 301000, 960)
    assert totals.errors == {"Info_fileSkipped": 1}
    assert totals.times_s["transferTime"] >= totals.times_s["readWriteTime"] > 0
    assert totals.times_s["flushTime"] > 0
    assert desk.beats[-1][2] <= 2
