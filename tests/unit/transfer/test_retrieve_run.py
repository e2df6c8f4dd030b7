# SPDX-License-Identifier: GPL-3.0-or-later
"""A retrieve run against a virtual drive and real files: what each failure costs, and what never appears."""

from __future__ import annotations

import errno
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from transfer_parts import ArchiveDesk, Disk, RetrieveDesk, Tape, retrieve_jobs

from cta_taped.common.errors import CATALOGUE_LOST, DISK_NO_SPACE, CtaError
from cta_taped.common.model import Grade, RetrieveJob
from cta_taped.disk.files import DestinationFile, WritePolicy, open_destination
from cta_taped.session.archive import ArchiveLimits, ArchiveRun
from cta_taped.session.pipeline import BLOCK_BYTES, PipelineSize
from cta_taped.session.progress import new_totals
from cta_taped.session.retrieve import RetrieveLimits, RetrieveOutcome, RetrieveRun
from cta_taped.session.stop import StopRequest
from cta_taped.session.writers import OpenDestination

SMALL = PipelineSize(disk_threads=3, slots=6)
SIZES = [100, BLOCK_BYTES + 1, 3 * BLOCK_BYTES, 1, 5 * BLOCK_BYTES + 77]


@pytest.fixture
def jobs(tape: Tape, disk: Disk, out: Path) -> list[RetrieveJob]:
    """Five files on tape, and the jobs that want them back."""
    desk = ArchiveDesk(disk.jobs(*SIZES))
    run = ArchiveRun(
        tape.drive, tape.writer(), desk, ArchiveLimits(pipeline=SMALL), StopRequest(), new_totals()
    )
    assert run.run().error is None
    return retrieve_jobs(desk.written, out)


def retrieve(
    tape: Tape,
    desk: RetrieveDesk,
    *,
    stop: StopRequest | None = None,
    destination: OpenDestination = open_destination,
    limits: RetrieveLimits | None = None,
) -> RetrieveOutcome:
    """Run to the end; every claimed job is then done, failed or given back, exactly once."""
    run = RetrieveRun(
        tape.drive,
        tape.reader(),
        desk,
        limits or RetrieveLimits(pipeline=SMALL, write=WritePolicy(synchronise=False)),
        stop or StopRequest(),
        new_totals(),
        destination=destination,
    )
    outcome = run.run()
    fates = [job.job_id for job in [*desk.done, *outcome.done, *outcome.give_back]]
    fates += [failure.job_id for failure in [*desk.failures, *outcome.failures]]
    assert sorted(fates) == sorted(job.job_id for job in desk.claimed)
    assert desk.freed == 1
    assert outcome.hanging == []
    return outcome


def assert_only_done(out: Path, disk: Disk, done: list[RetrieveJob]) -> None:
    """The destination directory holds the files that were done, whole, and no trace of any other."""
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        str(job.job_id): disk.content[job.job_id] for job in done if not job.verify_only
    }


def test_any_order_is_read_in_the_tapes_order(
    tape: Tape, disk: Disk, out: Path, jobs: list[RetrieveJob]
) -> None:
    desk = RetrieveDesk([jobs[n] for n in (3, 0, 4, 1)])
    outcome = retrieve(tape, desk)
    assert (outcome.error, desk.failures) == (None, [])
    assert_only_done(out, disk, [jobs[n] for n in (0, 1, 3, 4)])
    assert desk.commands == ["locate"]


def test_verify_only_leaves_no_file(tape: Tape, disk: Disk, out: Path, jobs: list[RetrieveJob]) -> None:
    wanted = [replace(job, verify_only=True) for job in jobs]
    wanted[2] = replace(wanted[2], adler32=7)
    desk = RetrieveDesk(wanted)
    retrieve(tape, desk)
    assert desk.codes == {wanted[2].job_id: "CTA-TAPE-010"}
    assert len(desk.done) == 4
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"adler32": 1}, "CTA-TAPE-010"),
        ({"size_bytes": 3 * BLOCK_BYTES - 1}, "CTA-TAPE-011"),
        ({"size_bytes": BLOCK_BYTES}, "CTA-TAPE-011"),
        ({"size_bytes": 3 * BLOCK_BYTES + 1}, "CTA-TAPE-011"),
        ({"archive_file_id": 99}, "CTA-TAPE-006"),
        ({"fseq": 4}, "CTA-TAPE-006"),
        ({"destination_url": "/nowhere/at/all"}, "CTA-DISK-013"),
        ({"destination_url": "gopher://x/y"}, "CTA-DISK-014"),
    ],
)
def test_one_bad_job_harms_no_other(
    tape: Tape, disk: Disk, out: Path, jobs: list[RetrieveJob], changes: dict[str, object], code: str
) -> None:
    wanted = list(jobs)
    wanted[2] = replace(wanted[2], **changes)  # type: ignore[arg-type]
    desk = RetrieveDesk(wanted)
    outcome = retrieve(tape, desk)
    assert outcome.error is None
    assert desk.codes == {wanted[2].job_id: code}
    assert_only_done(out, disk, [jobs[n] for n in (0, 1, 3, 4)])


def test_an_existing_destination_is_refused(
    tape: Tape, disk: Disk, out: Path, jobs: list[RetrieveJob]
) -> None:
    (out / str(jobs[1].job_id)).write_bytes(disk.content[jobs[1].job_id])
    desk = RetrieveDesk(jobs)
    retrieve(tape, desk)
    assert desk.codes == {jobs[1].job_id: "CTA-DISK-012"}
    assert_only_done(out, disk, jobs)


# 7 reads of labels and marks before the payload of a file of n blocks, n + 1 for it, 4 behind it.
@pytest.mark.parametrize("nth", [1, 5, 6, 7, 9, 12, 13, 15])
def test_a_medium_error_costs_one_file(
    tape: Tape, disk: Disk, out: Path, jobs: list[RetrieveJob], nth: int
) -> None:
    desk = RetrieveDesk(jobs)
    tape.port.fail[("read", nth)] = OSError(errno.EIO, "Input/output error")
    outcome = retrieve(tape, desk)
    assert outcome.error is None
    assert list(desk.codes.values()) == ["CTA-TAPE-008"]
    assert all(failure.charged and failure.retry_elsewhere for failure in desk.failures)
    assert_only_done(out, disk, desk.done)
    assert len(desk.done) == 4


def test_a_dead_drive_ends_the_mount(tape: Tape, disk: Disk, out: Path, jobs: list[RetrieveJob]) -> None:
    desk = RetrieveDesk(jobs)
    tape.port.fail[("read", 20)] = OSError(errno.ENODEV, "No such device")
    outcome = retrieve(tape, desk)
    assert outcome.error is not None
    assert outcome.error.spec.subject == "DRIVE"
    assert all(not failure.charged for failure in desk.failures)
    assert_only_done(out, disk, desk.done)
    assert outcome.give_back


def test_a_tape_that_fails_everywhere_ends_the_mount(
    tape: Tape, disk: Disk, out: Path, jobs: list[RetrieveJob]
) -> None:
    bad = [replace(jobs[1], job_id=100 + n, destination_url=str(out / f"bad{n}")) for n in range(30)]
    wanted = [replace(job, archive_file_id=12345) for job in bad]
    desk = RetrieveDesk(wanted)
    outcome = retrieve(tape, desk)
    assert outcome.error is not None
    assert outcome.error.code == "CTA-TAPE-006"
    assert (len(desk.failures), len(outcome.give_back)) == (10, 20)
    assert list(out.iterdir()) == []


class WatchedDestination:
    """A real destination; ``before`` is called with the number of each block, and may wait or raise."""

    def __init__(self, inner: DestinationFile, before: Callable[[int], None]) -> None:
        self._inner = inner
        self._before = before
        self._blocks = 0

    def write(self, block: memoryview) -> None:
        self._blocks += 1
        self._before(self._blocks)
        self._inner.write(block)

    def commit(self) -> None:
        self._inner.commit()

    def abandon(self) -> None:
        self._inner.abandon()


def no_space_for_the_second(block: int) -> None:
    if block == 2:
        raise CtaError(DISK_NO_SPACE, "full")


def test_a_destination_that_fails_half_way(
    tape: Tape, disk: Disk, out: Path, jobs: list[RetrieveJob]
) -> None:
    def destination(url: str, size_bytes: int, policy: WritePolicy) -> DestinationFile:
        inner = open_destination(url, size_bytes, policy)
        if url in (jobs[1].destination_url, jobs[4].destination_url):
            return WatchedDestination(inner, no_space_for_the_second)
        return inner

    desk = RetrieveDesk(jobs)
    outcome = retrieve(tape, desk, destination=destination)
    assert outcome.error is None
    assert desk.codes == {jobs[1].job_id: "CTA-DISK-005", jobs[4].job_id: "CTA-DISK-005"}
    assert all(not failure.charged for failure in desk.failures)
    assert_only_done(out, disk, [jobs[n] for n in (0, 2, 3)])


def test_a_failed_destination_frees_its_blocks_and_the_tape(tape: Tape, disk: Disk, out: Path) -> None:
    """More blocks than slots are behind each failure; the next file needs every slot."""
    source = ArchiveDesk(disk.jobs(*[30 * BLOCK_BYTES] * 3))
    ArchiveRun(
        tape.drive, tape.writer(), source, ArchiveLimits(pipeline=SMALL), StopRequest(), new_totals()
    ).run()
    jobs = retrieve_jobs(source.written, out)
    failing = [job.destination_url for job in jobs[:2]]

    def fail_late(block: int) -> None:
        time.sleep(0.1)
        raise CtaError(DISK_NO_SPACE, "full")

    def destination(url: str, size_bytes: int, policy: WritePolicy) -> DestinationFile:
        inner = open_destination(url, size_bytes, policy)
        return WatchedDestination(inner, fail_late) if url in failing else inner

    desk = RetrieveDesk(jobs)
    retrieve(tape, desk, destination=destination, limits=RetrieveLimits(pipeline=PipelineSize(1, 4)))
    assert desk.done == jobs[2:]
    assert tape.port.events.count("read") < 2 * (4 + 30 + 1 + 4)
    assert_only_done(out, disk, desk.done)


def test_the_last_block_of_a_wrong_file_never_reaches_the_disk(
    tape: Tape, disk: Disk, out: Path, jobs: list[RetrieveJob]
) -> None:
    blocks: list[int] = []

    def destination(url: str, size_bytes: int, policy: WritePolicy) -> DestinationFile:
        return WatchedDestination(open_destination(url, size_bytes, policy), blocks.append)

    desk = RetrieveDesk([replace(jobs[2], adler32=5)])
    retrieve(tape, desk, destination=destination)
    assert desk.codes == {jobs[2].job_id: "CTA-TAPE-010"}
    assert blocks == [1, 2]


def test_a_file_that_is_too_long_is_not_read_to_its_end(
    tape: Tape, disk: Disk, out: Path, jobs: list[RetrieveJob]
) -> None:
    desk = RetrieveDesk([replace(jobs[4], size_bytes=BLOCK_BYTES)])
    retrieve(tape, desk)
    assert desk.codes == {jobs[4].job_id: "CTA-TAPE-011"}
    assert tape.port.events.count("read") == 4 + 2


def test_a_slow_destination_blocks_nobody_else(
    tape: Tape, disk: Disk, out: Path, jobs: list[RetrieveJob]
) -> None:
    """The first file's disk answers only when all the others are there and the tape has gone home."""
    gone_home = threading.Event()

    def destination(url: str, size_bytes: int, policy: WritePolicy) -> DestinationFile:
        if url == jobs[0].destination_url:
            assert gone_home.wait(60)
        return open_destination(url, size_bytes, policy)

    def tape_free() -> None:
        gone_home.set()

    desk = RetrieveDesk(jobs)
    desk.on_tape_free = tape_free
    outcome = retrieve(tape, desk, destination=destination)
    assert (outcome.error, desk.failures) == (None, [])
    assert_only_done(out, disk, jobs)


@pytest.mark.parametrize("grade", [Grade.QUICK, Grade.NOW])
def test_stops(tape: Tape, disk: Disk, out: Path, jobs: list[RetrieveJob], grade: Grade) -> None:
    """Asked for in the second block of the third file: that file is finished, or given back with the rest."""
    stop = StopRequest()
    desk = RetrieveDesk(jobs)
    third = (4 + 1 + 1 + 4) + (4 + 2 + 1 + 4) + 4 + 2
    tape.port.before[("read", third)] = lambda: stop.request(grade)
    outcome = retrieve(tape, desk, stop=stop)
    assert (outcome.error, desk.failures) == (None, [])
    if grade is Grade.QUICK:
        assert sorted(desk.done, key=lambda job: job.job_id) == jobs[:3]
    else:
        assert set(desk.done) <= set(jobs[:2])
        assert tape.port.events.count("read") == third
    assert_only_done(out, disk, desk.done)


def test_quick_abandons_a_file_whose_rest_takes_too_long(tape: Tape, disk: Disk, out: Path) -> None:
    """At a drive of 13 MB/s: its half-written destination is removed; the file before it is finished, though
    its disk only answers when the tape has gone home."""
    source = ArchiveDesk(disk.jobs(2 * BLOCK_BYTES, 80 * BLOCK_BYTES, 100))
    ArchiveRun(
        tape.drive, tape.writer(), source, ArchiveLimits(pipeline=SMALL), StopRequest(), new_totals()
    ).run()
    jobs = retrieve_jobs(source.written, out)
    stop = StopRequest()
    gone_home = threading.Event()

    def wait(block: int) -> None:
        assert gone_home.wait(60)

    def destination(url: str, size_bytes: int, policy: WritePolicy) -> DestinationFile:
        inner = open_destination(url, size_bytes, policy)
        return WatchedDestination(inner, wait) if url == jobs[0].destination_url else inner

    desk = RetrieveDesk(jobs)
    desk.on_tape_free = gone_home.set
    reader_reads = (4 + 2 + 1 + 4) + 4 + 6
    tape.port.before[("read", reader_reads)] = lambda: stop.request(Grade.QUICK)
    tape.port.read_takes_s = 0.02
    limits = RetrieveLimits(quick_file_s=0.5, pipeline=PipelineSize(3, 8))
    outcome = retrieve(tape, desk, stop=stop, destination=destination, limits=limits)
    assert (outcome.error, desk.failures, desk.done) == (None, [], jobs[:1])
    assert sorted(outcome.give_back, key=lambda job: job.job_id) == jobs[1:]
    assert tape.port.events.count("read") == reader_reads
    assert_only_done(out, disk, desk.done)


@pytest.mark.parametrize("grade", [Grade.QUICK, Grade.NOW])
def test_a_stop_is_met_while_the_ring_is_full(tape: Tape, disk: Disk, out: Path, grade: Grade) -> None:
    """The disk takes nothing until the tape has gone home; then what it has of the file is removed."""
    source = ArchiveDesk(disk.jobs(30 * BLOCK_BYTES, 100))
    ArchiveRun(
        tape.drive, tape.writer(), source, ArchiveLimits(pipeline=SMALL), StopRequest(), new_totals()
    ).run()
    jobs = retrieve_jobs(source.written, out)
    stop = StopRequest()
    gone_home = threading.Event()

    def wait(block: int) -> None:
        stop.request(grade)
        assert gone_home.wait(60)

    def destination(url: str, size_bytes: int, policy: WritePolicy) -> DestinationFile:
        return WatchedDestination(open_destination(url, size_bytes, policy), wait)

    desk = RetrieveDesk(jobs)
    desk.on_tape_free = gone_home.set
    limits = RetrieveLimits(quick_file_s=0.5, pipeline=PipelineSize(1, 4))
    outcome = retrieve(tape, desk, stop=stop, destination=destination, limits=limits)
    assert (outcome.error, desk.done, len(outcome.give_back)) == (None, [], 2)
    assert list(out.iterdir()) == []


def test_a_damaged_label_is_charged_and_costs_one_file(
    tape: Tape, disk: Disk, out: Path, tmp_path: Path, jobs: list[RetrieveJob]
) -> None:
    """Given back uncharged it would be recalled for ever."""
    (image,) = tmp_path.glob("*.tap")
    content = image.read_bytes()
    third = [match.start() for match in re.finditer(b"HDR2F", content)][2]
    with image.open("r+b") as file:
        file.seek(third)
        file.write(b"HDRX")
    desk = RetrieveDesk(jobs)
    outcome = retrieve(tape, desk)
    assert outcome.error is None
    assert desk.codes == {jobs[2].job_id: "CTA-TAPE-003"}
    assert [(failure.charged, failure.retry_elsewhere) for failure in desk.failures] == [(True, True)]
    assert_only_done(out, disk, desk.done)


def test_quick_opens_no_destination_that_is_not_needed(
    tape: Tape, disk: Disk, out: Path, jobs: list[RetrieveJob]
) -> None:
    """One disk thread opens one file ahead of the one at which the stop is met."""
    stop = StopRequest()
    opened: list[str] = []

    def destination(url: str, size_bytes: int, policy: WritePolicy) -> DestinationFile:
        opened.append(url)
        return open_destination(url, size_bytes, policy)

    desk = RetrieveDesk(jobs)
    tape.port.before[("read", 5)] = lambda: stop.request(Grade.QUICK)
    limits = RetrieveLimits(pipeline=PipelineSize(1, 4))
    outcome = retrieve(tape, desk, stop=stop, destination=destination, limits=limits)
    assert (desk.done, outcome.give_back) == (jobs[:1], jobs[1:])
    assert len(opened) <= 2


def test_now_gives_up_what_is_read_but_not_yet_written(
    tape: Tape, disk: Disk, out: Path, jobs: list[RetrieveJob]
) -> None:
    """The second file is read whole, and its disk waits at the first block until the tape has gone home."""
    stop = StopRequest()
    gone_home = threading.Event()

    def wait(block: int) -> None:
        assert gone_home.wait(60)

    def destination(url: str, size_bytes: int, policy: WritePolicy) -> DestinationFile:
        inner = open_destination(url, size_bytes, policy)
        return WatchedDestination(inner, wait) if url == jobs[1].destination_url else inner

    desk = RetrieveDesk(jobs)
    desk.on_tape_free = gone_home.set
    third = (4 + 1 + 1 + 4) + (4 + 2 + 1 + 4) + 4 + 2
    tape.port.before[("read", third)] = lambda: stop.request(Grade.NOW)
    outcome = retrieve(tape, desk, stop=stop, destination=destination)
    assert jobs[1] in outcome.give_back
    assert_only_done(out, disk, desk.done)


def test_now_is_met_while_a_disk_hangs(tape: Tape, disk: Disk, out: Path, jobs: list[RetrieveJob]) -> None:
    stop = StopRequest()
    timers: list[threading.Timer] = []

    def destination(url: str, size_bytes: int, policy: WritePolicy) -> DestinationFile:
        stop.request(Grade.NOW)
        released = threading.Event()
        timers.append(threading.Timer(2.0, released.set))
        timers[-1].start()
        released.wait()
        return open_destination(url, size_bytes, policy)

    desk = RetrieveDesk(jobs)
    outcome = retrieve(tape, desk, stop=stop, destination=destination)
    for timer in timers:
        timer.join()
    assert (desk.done, len(outcome.give_back)) == ([], 5)
    assert list(out.iterdir()) == []


def test_results_come_in_batches(tape: Tape, disk: Disk, out: Path, jobs: list[RetrieveJob]) -> None:
    desk = RetrieveDesk(jobs)
    limits = RetrieveLimits(deliver_jobs=1, pipeline=PipelineSize(1, 4), write=WritePolicy(synchronise=False))
    retrieve(tape, desk, limits=limits)
    many = desk.deliveries
    again = RetrieveDesk([replace(job, destination_url=f"{job.destination_url}-again") for job in jobs])
    retrieve(tape, again)
    assert again.deliveries == 1 <= many


def test_a_host_that_cannot_take_results_ends_the_run(
    tape: Tape, disk: Disk, out: Path, jobs: list[RetrieveJob]
) -> None:
    """What was handed over is the host's; what comes later is in the outcome."""
    desk = RetrieveDesk(jobs)

    def refuse(done: list[RetrieveJob]) -> None:
        desk.claimed = [job for job in jobs if job not in done]
        raise CtaError(CATALOGUE_LOST, "away")

    desk.on_deliver = refuse
    limits = RetrieveLimits(deliver_jobs=1, pipeline=SMALL, write=WritePolicy(synchronise=False))
    outcome = retrieve(tape, desk, limits=limits)
    assert outcome.error is not None
    assert (outcome.error.spec, desk.done) == (CATALOGUE_LOST, [])
    assert_only_done(out, disk, [job for job in jobs if job not in outcome.give_back])


def test_a_failing_dismount_does_not_lose_the_disk_side(
    tape: Tape, disk: Disk, out: Path, jobs: list[RetrieveJob]
) -> None:
    desk = RetrieveDesk(jobs)

    def stuck() -> None:
        raise CtaError(CATALOGUE_LOST, "stands for any failure of the way home")

    desk.on_tape_free = stuck
    outcome = retrieve(tape, desk)
    assert outcome.error is not None
    assert_only_done(out, disk, jobs)


@pytest.mark.parametrize(("protection", "code"), [(True, "CTA-TAPE-012"), (False, "CTA-TAPE-010")])
def test_a_changed_bit_is_found(
    make_tape: Callable[..., Tape], disk: Disk, out: Path, tmp_path: Path, protection: bool, code: str
) -> None:
    """One bit of a payload block changes in the image: block protection finds it, or the checksum does."""
    tape = make_tape(protection=protection)
    sources = disk.jobs(3 * BLOCK_BYTES, 100)
    desk = ArchiveDesk(sources)
    ArchiveRun(
        tape.drive, tape.writer(), desk, ArchiveLimits(pipeline=SMALL), StopRequest(), new_totals()
    ).run()
    (image,) = tmp_path.glob("*.tap")
    place = image.read_bytes().index(disk.content[1][BLOCK_BYTES : BLOCK_BYTES + 64])
    with image.open("r+b") as file:
        file.seek(place)
        file.write(bytes([disk.content[1][BLOCK_BYTES] ^ 1]))
    wanted = RetrieveDesk(retrieve_jobs(desk.written, out))
    retrieve(tape, wanted)
    assert wanted.codes == {sources[0].job_id: code}
    assert_only_done(out, disk, wanted.done)
    assert len(wanted.done) == 1
