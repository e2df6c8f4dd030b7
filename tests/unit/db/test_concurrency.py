# SPDX-License-Identifier: GPL-3.0-or-later
"""Many drives, one database: no tape twice, no job twice, no quota exceeded, whoever dies when."""

from __future__ import annotations

import contextlib
import itertools
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from dbsite import ANYTHING, AUTHOR, BACKEND, Site, make_site
from sqlalchemy import event

from cta_taped.common.errors import CtaError
from cta_taped.common.model import DriveReport, DriveStatus
from cta_taped.db.backends import open_scheduler
from cta_taped.db.catalogue import ObjectKind
from cta_taped.db.scheduler import Direction, RequestId, RequestState
from cta_taped.db.sql import sqlite
from cta_taped.db.sql.scheduler import SqlScheduler

_WORKER = Path(__file__).with_name("dbworker.py")


def start(site: Site, number: int, batch: int, quota: int) -> subprocess.Popen[str]:
    arguments = [site.catalogue_url, site.scheduler_url, str(number), str(batch), str(quota)]
    return subprocess.Popen(
        [sys.executable, str(_WORKER), *arguments],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def prepared(site: Site, jobs: int, tapes: int, quota: int) -> list[RequestId]:
    for number in range(10, 10 + tapes):
        site.add_tape(f"V{number:05d}")
    values = {"write_max_drives": quota}
    site.catalogue.objects.change(ObjectKind.VIRTUAL_ORGANIZATION, {"vo": "vo1"}, values, AUTHOR)
    return site.archive(jobs)


def check_recorded(site: Site, requests: list[RequestId]) -> None:
    files = list(site.catalogue.files.find())
    assert len(files) == len(requests)
    assert len({file.archive_file_id for file in files}) == len(requests)
    for row in site.catalogue.objects.find(ObjectKind.TAPE):
        fseqs = [file.fseq for file in files if file.vid == row["vid"]]
        gone = [file.fseq for file in site.catalogue.files.deleted(str(row["vid"]))]
        assert sorted(fseqs + gone) == list(range(1, int(row["last_fseq"] or 0) + 1))
    for request in requests[:: max(1, len(requests) // 50)]:
        assert site.scheduler.requests.status(request).state is RequestState.DONE


@pytest.mark.parametrize(
    ("drives", "jobs", "batch"), [(4, 400, 20), pytest.param(8, 2000, 40, marks=pytest.mark.slow)]
)
def test_drives_share_the_work(site: Site, drives: int, jobs: int, batch: int) -> None:
    quota = drives - 1
    requests = prepared(site, jobs, drives, quota)
    workers = [start(site, number, batch, quota) for number in range(1, drives + 1)]
    outputs = [worker.communicate(timeout=100)[0] for worker in workers]
    assert not [line for output in outputs for line in output.splitlines() if "VIOLATION" in line]
    assert [worker.returncode for worker in workers] == [0] * drives, outputs
    assert (
        sum(int(line.split()[1]) for o in outputs for line in o.splitlines() if line.startswith("done"))
        == jobs
    )
    mounts = [
        line.split()[1] for output in outputs for line in output.splitlines() if line.startswith("mount")
    ]
    assert len(mounts) == len(set(mounts))
    assert list(site.catalogue.files.deleted()) == []
    check_recorded(site, requests)


@pytest.mark.parametrize("kills", [3, pytest.param(25, marks=pytest.mark.slow)])
def test_killed_drives_lose_nothing(tmp_path: Path, kills: int) -> None:
    url = f"sqlite://{tmp_path}/cta.db"
    site = make_site(url, url)
    requests = prepared(site, 60 * kills, 4, 100)
    chance = random.Random(kills)
    for number in range(kills):
        worker = start(site, number + 1, 7, 100)
        assert worker.stdout is not None
        for _ in range(chance.randint(1, 4)):
            worker.stdout.readline()
        time.sleep(chance.random() * 0.02)
        worker.kill()
        worker.communicate(timeout=20)
        # It may have been through with everything.
        with contextlib.suppress(CtaError):
            site.catalogue.drives.remove(f"drive{number + 1}", force=True)
        site.scheduler.upkeep.requeue_dead_mounts(-5, 1000)
    survivor = start(site, 99, 50, 100)
    output, _ = survivor.communicate(timeout=100)
    assert survivor.returncode == 0, output
    check_recorded(site, requests)
    with sqlite3.connect(tmp_path / "cta.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()
    site.catalogue.close()
    site.scheduler.close()


def test_two_mounts_finish_the_copies_of_the_same_requests_at_once(site: Site) -> None:
    site.archive(150, "double")
    ends: list[Callable[[], list[int]]] = []
    schedulers = [open_scheduler(site.scheduler_url, site.catalogue_url, BACKEND) for _ in range(2)]
    for number, own in enumerate(schedulers, 1):
        drive = site.register(number)
        mount = site.mount(drive)
        jobs = site.scheduler.archive.claim(drive, mount, 150, 10**12)
        site.record(drive, mount, jobs)
        ends.append(partial(own.archive.done, mount, [job.job_id for job in jobs]))
    with ThreadPoolExecutor(2) as pool:
        # Neither is told to repeat because of the other.
        assert [one.result(60) for one in [pool.submit(end) for end in ends]] == [[], []]
    assert len(site.scheduler.reports.take(Direction.ARCHIVE, 1000)) == 300
    for own in schedulers:
        own.close()


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(12))
def test_a_tape_let_go_during_a_decision_is_not_taken_with_its_old_fseq(
    postgresql_url: str, moment: int
) -> None:
    site = make_site(postgresql_url, postgresql_url)
    first, second = site.register(1), site.register(2)
    site.archive(2)
    running = site.mount(first)
    jobs = site.scheduler.archive.claim(first, running, 1, 10**12)
    scheduler = open_scheduler(site.scheduler_url, site.catalogue_url, BACKEND)
    assert isinstance(scheduler, SqlScheduler)
    seen = itertools.count()

    # The first drive ends its mount after one of the statements of the second drive's decision.
    @event.listens_for(scheduler.mounts._catalogue.engine, "after_cursor_execute")
    def finish(*_: object) -> None:
        if next(seen) == moment:
            site.record(first, running, jobs)
            report = DriveReport(1, time.time(), DriveStatus.UP, last_mount_id=running.mount_id)
            site.catalogue.drives.publish(first, [report])

    mount = scheduler.mounts.next(second, ANYTHING)
    assert mount is None or mount.last_fseq == site.catalogue.tapes.facts(mount.vid).last_fseq
    scheduler.close()
    site.catalogue.close()
    site.scheduler.close()


def test_a_writer_that_waits_too_long_is_told_to_repeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.05)
    url = f"sqlite://{tmp_path}/cta.db"
    site = make_site(url, url)
    site.archive(1)
    drive = site.register()
    with sqlite3.connect(tmp_path / "cta.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CtaError) as caught:
            site.catalogue.tapes.set_full("V00001")
        assert caught.value.spec.symbol == "CATALOGUE_CONFLICT"
        with pytest.raises(CtaError) as caught:
            site.scheduler.mounts.next(drive, ANYTHING)
        assert caught.value.spec.symbol == "SCHEDULER_CONFLICT"
        # Who only asks is not held up.
        assert not site.catalogue.tapes.facts("V00001").is_full
        other.execute("ROLLBACK")
    other.close()
    assert site.scheduler.mounts.next(drive, ANYTHING) is not None
    site.catalogue.close()
    site.scheduler.close()


def test_idle_questions_need_no_write_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.05)
    url = f"sqlite://{tmp_path}/cta.db"
    site = make_site(url, url)
    drive = site.register()
    with sqlite3.connect(tmp_path / "cta.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert site.scheduler.mounts.next(drive, ANYTHING) is None
        other.execute("ROLLBACK")
    other.close()
    site.catalogue.close()
    site.scheduler.close()
