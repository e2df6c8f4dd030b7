# SPDX-License-Identifier: GPL-3.0-or-later
"""Two drives and 10,000 queued jobs: no tape taken twice, no job run twice, whoever interferes or dies when.

Real processes on one real database file; the seed of a run decides sizes of batches, failures, quotas, what
the operator does and when a drive is killed. The seed is the test's parameter; a run with the same seed makes
the same choices, but not with the same timing.
"""

from __future__ import annotations

import multiprocessing
import random
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import driveprocesses
import pytest
from dbsite import AUTHOR, BACKEND, Site, drive_identity, make_site
from driveprocesses import LIMIT_BYTES, Place, deliver

from cta_taped.common.model import DriveReport, DriveStatus
from cta_taped.db.backends import open_catalogue, open_scheduler
from cta_taped.db.catalogue import ObjectKind
from cta_taped.db.scheduler import Direction, RequestId, RequestState

# Children of a server that imported everything once: fifty runs start hundreds of them.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["driveprocesses", "cta_taped.db.sql.sqlite"])
_DEADLINE_S = 60.0


@dataclass(frozen=True)
class Work:
    """How much is queued: archive requests of one copy and of two, retrieve requests; sizes of batches.

    Drives are killed up to ``pause_s`` after each other.
    """

    single: int
    double: int
    retrieve: int
    batches: tuple[int, ...]
    pause_s: float

    @property
    def jobs(self) -> int:
        return self.single + 2 * self.double + self.retrieve


FULL = Work(5000, 1500, 2000, (20, 100, 400, 1500), 0.4)
QUICK = Work(150, 40, 70, (1, 4, 15, 50), 0.1)


def queue(site: Site, work: Work) -> None:
    """Files on three tapes, to be read; requests of all kinds; two registered drives."""
    for number in range(4, 7):
        site.add_tape(f"V{number:05d}")
    site.add_tape("W00002", "pool2")
    drive = site.register(1)
    site.register(2)
    site.archive(work.retrieve, first=500_000)
    mount = site.mount(drive)
    for vid in ("V00001", "V00002", "V00003"):
        part = replace(mount, vid=vid)
        jobs = site.scheduler.archive.claim(drive, part, -(-work.retrieve // 3), LIMIT_BYTES)
        site.record(drive, part, jobs)
        site.scheduler.archive.done(part, [job.job_id for job in jobs])
    site.scheduler.reports.delivered(site.scheduler.reports.take(Direction.ARCHIVE, work.retrieve))
    up = DriveReport(1, time.time(), DriveStatus.UP, last_mount_id=mount.mount_id)
    site.catalogue.drives.publish(drive, [up])
    for archive_file_id in {row.archive_file_id for row in site.catalogue.files.find()}:
        site.retrieve(archive_file_id)
    site.archive(work.single)
    site.archive(work.double, "double")
    assert sum(summary.waiting_files for summary in site.scheduler.requests.queues()) == work.jobs


def prepared(root: Path, work: Work) -> Path:
    url = f"sqlite://{root}/cta.db"
    site = make_site(url, url)
    queue(site, work)
    site.catalogue.close()
    site.scheduler.close()
    return root / "cta.db"


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("full"), FULL)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("quick"), QUICK)


class Run:
    """One run: two drives, perhaps an operator, and this process as the supervisor of both drives."""

    def __init__(self, place: Place, work: Work, seed: int) -> None:
        self.place = place
        self.work = work
        self.chance = random.Random(seed)
        self.site = Site(
            open_catalogue(place.url), open_scheduler(place.url, place.url, BACKEND), place.url, place.url
        )
        self.quota = self.chance.choice(((1, 1), (1, 2), (2, 1), (2, 2), (5, 5)))
        values = dict(zip(("read_max_drives", "write_max_drives"), self.quota, strict=True))
        objects = self.site.catalogue.objects
        objects.change(ObjectKind.VIRTUAL_ORGANIZATION, {"vo": "vo1"}, values, AUTHOR)
        place.tell("quota", *self.quota)
        self.drives: dict[int, ForkServerProcess] = {}
        self.operator: ForkServerProcess | None = None

    def go(self) -> None:
        """Until nothing is left to do."""
        deadline = time.monotonic() + _DEADLINE_S
        for number in (1, 2):
            self._start(number)
        if self.chance.random() < 0.6:
            self._start_operator()
        for _ in range(self.chance.choice((0, 1, 2, 4, 6))):
            time.sleep(self.chance.random() * self.work.pause_s)
            self._kill(self.chance.choice((1, 2)))
        while True:
            for process in (*self.drives.values(), self.operator):
                if process is not None:
                    process.join(max(0.0, deadline - time.monotonic()))
                    assert process.exitcode == 0, (process.exitcode, self.place.violations())
            if not self.site.scheduler.requests.queues():
                return
            # The operator queued more when both drives had just looked for the last time.
            for number in (1, 2):
                self._start(number)

    def _start(self, number: int) -> None:
        seed = self.chance.randrange(10**9)
        arguments = (self.place.root, number, seed, self.work.batches)
        self.drives[number] = _PROCESSES.Process(target=driveprocesses.drive, args=arguments)
        self.drives[number].start()

    def _start_operator(self) -> None:
        archived, work = self.work.retrieve, self.work
        numbers = {
            Direction.ARCHIVE: (archived + 1, archived + work.single + work.double),
            Direction.RETRIEVE: (1, work.retrieve),
        }
        cancellable = [
            RequestId(direction, self.chance.randint(*numbers[direction]))
            for direction in self.chance.choices(list(Direction), k=40)
        ]
        arguments = (self.place.root, self.chance.randrange(10**9), cancellable, self.quota)
        self.operator = _PROCESSES.Process(target=driveprocesses.operator, args=arguments)
        self.operator.start()

    def _kill(self, number: int) -> None:
        """As when a session dies: its ledger, its jobs, the drive's row, and the next session."""
        process = self.drives[number]
        process.kill()
        process.join()
        site, identity = self.site, drive_identity(number)
        mount_id = self._mount_of(identity.name)
        deliver(self.place, self.place.ledger(number), site.catalogue, site.scheduler, identity.name)
        if mount_id is not None:
            self.place.tell("dead", identity.name, mount_id)
            site.scheduler.upkeep.release_mount(mount_id)
            up = DriveReport(1, time.time(), DriveStatus.UP, last_mount_id=mount_id)
            site.catalogue.drives.publish(identity, [up])
        self._start(number)

    def _mount_of(self, drive: str) -> int | None:
        """The mount that the drive spoke of and did not end."""
        mount_id = None
        for line in self.place.deeds.read_text().splitlines():
            deed, *words = line.split()
            if deed in ("claim", "end", "dead") and words[0] == drive:
                mount_id = int(words[1]) if deed == "claim" else None
        return mount_id

    def close(self) -> None:
        for process in (*self.drives.values(), self.operator):
            if process is not None:
                process.kill()
                process.join()
        self.site.catalogue.close()
        self.site.scheduler.close()


@dataclass
class Replay:
    """The deeds, line by line, with every promise checked at every line."""

    quota: dict[str, int] = field(default_factory=dict)
    mounts: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    holder: dict[str, str] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    charges: Counter[str] = field(default_factory=Counter)
    cancelled: set[str] = field(default_factory=set)
    queued: set[str] = field(default_factory=set)
    deaths: int = 0

    def line(self, deed: str, words: Sequence[str]) -> None:
        if deed == "quota":
            self.quota = dict(zip(("retrieve", "archive"), map(int, words), strict=True))
        elif deed == "claim":
            drive, mount, vid, way = words
            assert mount not in self.seen, "one id for two mounts"
            assert drive not in [other for other, _, _ in self.mounts.values()], "a drive with two mounts"
            assert vid not in [other for _, other, _ in self.mounts.values()], "a tape in two drives"
            running = sum(other == way for _, _, other in self.mounts.values())
            assert running < self.quota[way], "more mounts than the organisation may have"
            self.seen.add(mount)
            self.mounts[mount] = (drive, vid, way)
        elif deed in ("took", "wrote", "back", "charged"):
            drive, mount, *jobs = words
            assert self.mounts[mount][0] == drive
            getattr(self, deed)(mount, jobs)
        elif deed in ("end", "dead"):
            drive, mount = words
            assert self.mounts.pop(mount)[0] == drive
            held = {job for job, holder in self.holder.items() if holder == mount}
            assert deed == "dead" or held <= self.written, "jobs left in the hand of a mount that ended"
            self.deaths += deed == "dead"
            # A file that was delivered to disk, with nobody left to tell so, is fetched once more.
            self.written -= {job for job in held if deed == "dead" and job.startswith("r")}
            for job in held:
                del self.holder[job]
        elif deed == "cancelled":
            self.cancelled.add(words[0])
        elif deed == "queued":
            self.queued.update(words)
        else:
            raise AssertionError(f"{deed} {' '.join(words)}")

    def took(self, mount: str, jobs: Sequence[str]) -> None:
        assert not [job for job in jobs if job in self.holder], "a job in two mounts"
        assert not self.written.intersection(jobs), "a job run twice"
        self.holder.update(dict.fromkeys(jobs, mount))

    def wrote(self, mount: str, jobs: Sequence[str]) -> None:
        assert {self.holder[job] for job in jobs} == {mount}
        self.written.update(jobs)

    def back(self, mount: str, jobs: Sequence[str]) -> None:
        for job in jobs:
            assert self.holder.pop(job) == mount

    def charged(self, mount: str, jobs: Sequence[str]) -> None:
        self.back(mount, jobs)
        self.charges.update(jobs)


def replayed(place: Place) -> Replay:
    replay = Replay()
    for number, line in enumerate(place.deeds.read_text().splitlines(), 1):
        deed, *words = line.split()
        try:
            replay.line(deed, words)
        except (AssertionError, KeyError) as error:
            raise AssertionError(f"deed {number}: {line[:200]}: {error}") from error
    assert not replay.mounts
    return replay


def check_databases(run: Run, replay: Replay) -> None:
    """Every job ended once, and as the deeds say; every file has its copies, and nothing else has."""
    site, work = run.site, run.work
    assert [place.ledger(number).count() for place in [run.place] for number in (1, 2)] == [0, 0]
    assert list(site.catalogue.files.deleted()) == []
    site.scheduler.upkeep.end_incomplete(10**6)
    with closing(sqlite3.connect(run.place.root / "cta.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []

        def rows(statement: str) -> list[tuple[int, ...]]:
            return connection.execute(statement).fetchall()

        for table in ("archive_pending_queue", "retrieve_pending_queue", "retrieve_active_queue"):
            assert rows(f"SELECT job_id FROM {table}") == []
        left = "'AJS_ToReportToUserForSuccess', 'AJS_ToReportToUserForFailure'"
        assert rows(f"SELECT job_id FROM archive_active_queue WHERE status NOT IN ({left})") == []
        gave_up = set(
            rows(
                "SELECT archive_file_id, copy_nb FROM archive_active_queue"
                " WHERE status = 'AJS_ToReportToUserForFailure'"
            )
        )
        tries = dict(rows("SELECT job_id, total_retries FROM archive_active_queue"))
        asked = rows(
            "SELECT request_id, archive_file_id, copies FROM taped_request WHERE direction = 'archive'"
        )
        recorded = rows("SELECT archive_file_id, copy_nb FROM tape_file ORDER BY 1, 2")
        for vid, last_fseq, files in rows(
            "SELECT t.vid, t.last_fseq, COUNT(f.fseq) FROM tape t LEFT JOIN tape_file f ON f.vid = t.vid"
            " GROUP BY t.vid, t.last_fseq"
        ):
            assert (last_fseq or 0) == files, vid
    for job_id, count in tries.items():
        assert count <= replay.charges[f"a{job_id}"], f"job {job_id} was charged {count} times"
    assert len(asked) == work.retrieve + work.single + work.double + len(replay.queued)
    wanted = {(file, copy) for number, file, copies in asked for copy in range(1, copies + 1)}
    withdrawn = {
        (file, copy)
        for number, file, copies in asked
        if f"archive-{number}" in replay.cancelled
        for copy in range(1, copies + 1)
    }
    assert len(recorded) == len(set(recorded))
    assert not gave_up & set(recorded)
    assert wanted - withdrawn <= gave_up | set(recorded) <= wanted
    check_outcomes(run, replay)


def check_outcomes(run: Run, replay: Replay) -> None:
    """After the reports every request has ended, and says so."""
    reports = run.site.scheduler.reports
    for direction in Direction:
        taken = reports.take(direction, 10**6)
        reports.keep([report for report in taken if not report.success])
        reports.delivered([report for report in taken if report.success])
    failed = {f"{one.direction}-{one.request_id}" for one in run.site.scheduler.requests.failed()}
    with closing(sqlite3.connect(run.place.root / "cta.db")) as connection:
        outcomes = {
            f"{direction}-{number}": RequestState(outcome)
            for direction, number, outcome in connection.execute(
                "SELECT direction, request_id, outcome FROM taped_request"
            )
        }
    assert {name for name, outcome in outcomes.items() if outcome is RequestState.FAILED} == failed
    assert {name for name, outcome in outcomes.items() if outcome is RequestState.CANCELLED} == (
        replay.cancelled - failed
    )


def simulate(root: Path, template: Path, work: Work, seed: int) -> None:
    print(f"seed {seed}")
    shutil.copy(template, root / "cta.db")
    place = Place(root)
    run = Run(place, work, seed)
    try:
        run.go()
        replay = replayed(place)
        print(f"{len(replay.seen)} mounts, {replay.deaths} deaths, {len(replay.cancelled)} cancelled")
        check_databases(run, replay)
    finally:
        run.close()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50))
def test_ten_thousand_jobs(full: Path, tmp_path: Path, seed: int) -> None:
    simulate(tmp_path, full, FULL, seed)


@pytest.mark.parametrize("seed", [1004, 1007, 1011])
def test_three_hundred_jobs(quick: Path, tmp_path: Path, seed: int) -> None:
    simulate(tmp_path, quick, QUICK, seed)
