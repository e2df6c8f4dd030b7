# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole sessions that end early, in this process: what they say, give back and charge.

The supervisor's own table hears every word: a session that says what its state does not allow fails here.
"""

from __future__ import annotations

import resource
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bench import Daemon, Site, daemons, wait_for
from cta_taped.common.config import load
from cta_taped.common.errors import CATALOGUE_LOST, DISK_NO_SPACE, SCHEDULER_LOST, CtaError
from cta_taped.common.ipc import messages as m
from cta_taped.common.model import Grade, JobFailure, Mount, RetrieveJob, WrittenFile
from cta_taped.db.ledger import Ledger
from cta_taped.db.scheduler import MountCriteria, RequestId, RequestState
from cta_taped.session.__main__ import serve
from cta_taped.session.delivery import Delivery
from cta_taped.session.link import LoneLink, Outcome
from cta_taped.supervisor.drive import Drive, Phase
from cta_taped.supervisor.machine import step

ANYTHING = MountCriteria(1, 1)
FILE_BYTES = 4_000_000
LIMIT_BYTES = 3_000_000


class SupervisedLink(LoneLink):
    """Says everything to the state machine of a supervisor that just started a session."""

    def __init__(self) -> None:
        super().__init__()
        self.drive = Drive("D0", phase=Phase.STARTING, occupied=False, desired_up=True, child="session")
        self.said: list[str] = []
        self.before: dict[str, Callable[[], None]] = {}
        self.mount_id = 0
        self.outcome: Outcome | None = None
        self._say(m.Hello("session", 1), "hello")

    def _say(self, fact: m.Fact, word: str) -> None:
        self.said.append(word)
        if word in self.before:
            self.before[word]()
        phase = self.drive.phase
        self.drive, _ = step(self.drive, fact, 0.0)
        assert self.drive.phase is not Phase.ABORTING, f"{fact} in {phase}"

    def state(self, state: m.SessionState) -> None:
        self._say(m.StateChanged(state), state)

    def reserve(self, mount: Mount) -> None:
        self.mount_id = mount.mount_id
        self._say(
            m.MountReserved(mount.mount_id, mount.mount_type, mount.vid, mount.tape_pool, mount.vo),
            "reserved",
        )

    def begin_command(self, command: str, timeout_s: float) -> None:
        self._say(m.CommandBegun(command, timeout_s), command)

    def end_command(self, command: str) -> None:
        self._say(m.CommandEnded(command), f"{command} back")

    def progress(self, tape_bytes: int, disk_bytes: int, files: int) -> None:
        self._say(m.Progressed(tape_bytes, disk_bytes, files), "progress")

    def outage(self, subject: str, detail: str) -> None:
        self._say(m.OutageBegan(subject, detail), "outage")

    def outage_over(self, subject: str) -> None:
        self._say(m.OutageEnded(subject), "outage over")

    def drive_empty(self) -> None:
        self._say(m.DriveEmpty(), "empty")

    def failed(self, error: CtaError, drive_down: bool) -> None:
        self._say(m.Failed(error.code, error.detail, drive_down), error.code)

    def finished(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self._say(m.Finished(outcome), outcome)


@pytest.fixture(autouse=True)
def _this_process_stays_as_it_was() -> Iterator[None]:
    interval_s = sys.getswitchinterval()
    yield
    sys.setswitchinterval(interval_s)


def session(site: Site, **before: Callable[[SupervisedLink], None]) -> SupervisedLink:
    """One session of D0 from its Hello to its last word; ``before`` the words named, something happens."""
    config = load(site.config, "D0").config
    config.state_dir.mkdir(parents=True, exist_ok=True)
    site.catalogue.drives.register(config.identity, "test", "test", [])
    link = SupervisedLink()
    for word, action in before.items():
        link.before[word] = lambda action=action: action(link)  # type: ignore[misc]
    serve(config, link)
    assert site.occupied_drives() == []
    assert not link.drive.occupied
    return link


def rows(site: Site, queue: str) -> list[tuple[object, ...]]:
    """Mount, counters and the give-backs so far, of the jobs in one of the queues."""
    with closing(sqlite3.connect(site.root / "cta.db")) as connection:
        found = connection.execute(
            f"SELECT MOUNT_ID, TOTAL_RETRIES, RETRIES_WITHIN_MOUNT, FAILURE_LOG FROM {queue}_QUEUE"
        )
        return [(mount, total, within, (log or "").count("\n")) for mount, total, within, log in found]


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """A disk that takes no more than this of one file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def archived(site: Site) -> list[RequestId]:
    """Two files that do not fit onto the disk under ``largest_file``, and one that does."""
    paths = [*site.make_files(2, FILE_BYTES), *site.make_files(1, 1000, "small")]
    requests = site.archive(paths)
    assert session(site).outcome == "success"
    assert rows(site, "ARCHIVE_PENDING") == []
    return requests


def test_a_full_disk_ends_in_one_attempt_a_job_and_a_failed_mount(
    site: Site, archived: list[RequestId]
) -> None:
    retrieves = site.retrieve(archived[:2], site.root / "back")
    with largest_file(LIMIT_BYTES):
        link = session(site)
    assert link.outcome == "failure"
    assert DISK_NO_SPACE.code in link.said
    assert link.drive.desired_up
    assert site.states(retrieves) == [RequestState.QUEUED] * 2
    assert rows(site, "RETRIEVE_PENDING") == [(None, 0, 0, 1)] * 2
    assert list((site.root / "back").iterdir()) == []
    assert session(site).outcome == "success"
    assert [path.stat().st_size for path in (site.root / "back").iterdir()] == [FILE_BYTES] * 2


def test_a_mount_that_moved_something_is_no_failure(site: Site, archived: list[RequestId]) -> None:
    site.retrieve(archived, site.root / "back")
    with largest_file(LIMIT_BYTES):
        link = session(site)
    assert link.outcome == "success"
    assert rows(site, "RETRIEVE_PENDING") == [(None, 0, 0, 1)] * 2
    assert len(list((site.root / "back").iterdir())) == 1


@pytest.mark.parametrize("grade", [Grade.QUICK, Grade.NOW])
def test_a_stop_before_the_robot_is_asked_moves_nothing(site: Site, grade: Grade) -> None:
    requests = site.archive(site.make_files(1, 1000))
    link = session(site, reserved=lambda link: link.stop.request(grade))
    assert link.outcome == "nothing"
    assert "MOUNTING" not in link.said
    assert site.states(requests) == [RequestState.QUEUED]
    assert rows(site, "ARCHIVE_PENDING") == [(None, 0, 0, 1)]


def test_a_stop_while_the_robot_moves_brings_the_cartridge_home_unread(site: Site) -> None:
    requests = site.archive(site.make_files(1, 1000))
    link = session(site, mount=lambda link: link.stop.request(Grade.QUICK))
    assert link.outcome == "success"
    assert "dismount back" in link.said and "position for writing" not in link.said
    assert site.states(requests) == [RequestState.QUEUED]
    assert rows(site, "ARCHIVE_PENDING") == [(None, 0, 0, 1)]
    assert session(site).outcome == "success"


@contextmanager
def databases_away(site: Site) -> Iterator[None]:
    """Nobody can open the databases: a directory is in their place."""
    site.close()
    path, aside = site.root / "cta.db", site.root / "aside.db"
    path.rename(aside)
    path.mkdir()
    try:
        yield
    finally:
        path.rmdir()
        aside.rename(path)


def delivery(site: Site, mount: Mount, link: LoneLink, hold_s: float = 600.0) -> tuple[Delivery, Ledger]:
    directory = site.root / "state" / "D0"
    directory.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(directory)
    return Delivery("D0", mount, ledger, site.catalogue, site.scheduler, link, hold_s), ledger


def claim_mount(site: Site) -> Mount:
    config = load(site.config, "D0").config
    site.catalogue.drives.register(config.identity, "test", "test", [])
    mount = site.scheduler.mounts.next(config.identity, ANYTHING)
    assert mount is not None
    return mount


def claim_retrieves(site: Site, archived: list[RequestId]) -> tuple[Mount, list[RetrieveJob]]:
    site.retrieve(archived, site.root / "back")
    mount = claim_mount(site)
    config = load(site.config, "D0").config
    return mount, site.scheduler.retrieve.claim(config.identity, mount, 10, 10**12)


def test_a_stop_ends_the_hold_for_a_catalogue_and_the_ledger_keeps_the_files(site: Site) -> None:
    site.archive(site.make_files(1, 1000))
    mount = claim_mount(site)
    config = load(site.config, "D0").config
    (job,) = site.scheduler.archive.claim(config.identity, mount, 10, 10**12)
    link = LoneLink()
    link.stop.request(Grade.QUICK)
    ending, ledger = delivery(site, mount, link)
    file = WrittenFile(mount.vid, 1, 0, job.size_bytes, 7, 1_700_000_000, job)
    with databases_away(site):
        with pytest.raises(CtaError) as caught:
            ending.archived([file], [])
        assert caught.value.spec is CATALOGUE_LOST
        ending.conclude(site.scheduler.archive, [])
    assert [waiting.job for waiting in ledger.files(mount)] == [job]


def test_results_that_could_not_be_told_are_told_at_the_end(site: Site, archived: list[RequestId]) -> None:
    mount, jobs = claim_retrieves(site, archived)
    link = LoneLink()
    link.stop.request(Grade.QUICK)
    ending, _ = delivery(site, mount, link)
    verdict = JobFailure(jobs[1].job_id, "CTA-TAPE-008", "unreadable", charged=True)
    with databases_away(site):
        with pytest.raises(CtaError) as caught:
            ending.retrieved(jobs[:1], [verdict])
        assert caught.value.spec is SCHEDULER_LOST
    ending.conclude(site.scheduler.retrieve, jobs[2:])
    assert rows(site, "RETRIEVE_ACTIVE") == []
    left = rows(site, "RETRIEVE_PENDING")
    assert sorted(total for _, total, _, _ in left) == [0, 1]


def test_uncharged_jobs_stay_with_the_mount_until_it_ends(site: Site, archived: list[RequestId]) -> None:
    mount, jobs = claim_retrieves(site, archived)
    ending, _ = delivery(site, mount, LoneLink())
    full = [JobFailure(job.job_id, DISK_NO_SPACE.code, "full", charged=False) for job in jobs]
    ending.retrieved([], full[:2])
    config = load(site.config, "D0").config
    assert site.scheduler.retrieve.claim(config.identity, mount, 10, 10**12) == []
    ending.conclude(site.scheduler.retrieve, [], full[2:])
    assert rows(site, "RETRIEVE_PENDING") == [(None, 0, 0, 1)] * 3
    assert ending.fruitless is not None
    assert ending.fruitless.spec is DISK_NO_SPACE


def give_ups(daemon: Daemon) -> list[dict[str, object]]:
    return [event for event in daemon.events() if event["event"] == "tape_session_finished"]


def test_a_daemon_whose_disk_is_full_waits_longer_and_longer(site: Site, tmp_path: Path) -> None:
    """Between two mounts the drive waits; it does not mount the tape in a loop."""
    paths = site.make_files(1, FILE_BYTES)
    with daemons(site, "D0") as (daemon,):
        requests = site.archive(paths)
        site.wait_done(requests)
        with largest_file(LIMIT_BYTES):
            limited = Daemon(site, "D1").start().up()
        try:
            daemon.down()
            daemon.wait_phase("DOWN")
            retrieves = site.retrieve(requests, site.root / "back")
            wait_for(lambda: len(give_ups(limited)) >= 2, 30, limited.tail)
            limited.wait_phase("WAITING")
            assert site.states(retrieves) == [RequestState.QUEUED]
            names = [event.get("state") for event in limited.events()]
            first = names.index("UNMOUNTING")
            assert "WAITING" in names[first : names.index("MOUNTING", first)]
            assert limited.state()["desired"] == "up"
        finally:
            limited.end()
        daemon.up()
        site.wait_done(retrieves)
