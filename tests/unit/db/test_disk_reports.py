# SPDX-License-Identifier: GPL-3.0-or-later
"""The routine that tells disk systems: who is told, what ends, and what is kept for the operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from dbsite import ANYTHING, Site, archive_request

from cta_taped.common.config import load
from cta_taped.common.model import ArchiveJob, JobFailure, Mount, MountType, RetrieveJob
from cta_taped.db.ledger import Ledger
from cta_taped.db.scheduler import Direction, RequestId, RequestState
from cta_taped.maintenance import disk_reports
from cta_taped.maintenance.station import Station

_SITE_FILE = """\
[catalogue]
url = "{catalogue}"
[scheduler]
url = "{scheduler}"
"""
_DRIVE_FILE = """\
[drive]
name = "drive1"
device = "/dev/null"
library_slot = "dummy"
logical_library = "lib1"
"""


@pytest.fixture
def station(site: Site, tmp_path: Path) -> Station:
    file = tmp_path / "site.toml"
    file.write_text(_SITE_FILE.format(catalogue=site.catalogue_url, scheduler=site.scheduler_url))
    (tmp_path / "drives").mkdir()
    (tmp_path / "drives" / "drive1.toml").write_text(_DRIVE_FILE)
    said: list[object] = []
    loaded = load(file, "drive1")
    return Station(loaded, site.catalogue, site.scheduler, Ledger(tmp_path), said.append)


def ended(site: Site, succeeds: bool, **urls: str) -> RequestId:
    """A request whose job is through with all its tries."""
    drive = site.register()
    asked = replace(archive_request(1), **urls)  # type: ignore[arg-type]
    request = site.scheduler.requests.queue_archive(asked)
    mount = site.mount(drive)
    while jobs := site.scheduler.archive.claim(drive, mount, 10, 10**12):
        if succeeds:
            site.record(drive, mount, jobs)
            site.scheduler.archive.done(mount, [job.job_id for job in jobs])
        else:
            wear_out(site, mount, jobs)
    return request


def wear_out(site: Site, mount: Mount, jobs: Sequence[ArchiveJob] | Sequence[RetrieveJob]) -> None:
    queue = site.scheduler.retrieve if mount.mount_type is MountType.RETRIEVE else site.scheduler.archive
    failures = [JobFailure(job.job_id, "CTA-DISK-003", "the disk is broken", charged=True) for job in jobs]
    assert queue.failed(mount, failures) == []


def kept(site: Site) -> list[str]:
    return [f"{one.direction}-{one.request_id} {one.failure_log}" for one in site.scheduler.requests.failed()]


@pytest.mark.parametrize("url", ["", "null:"])
def test_a_success_that_nobody_wants_to_hear_of_ends(site: Site, station: Station, url: str) -> None:
    request = ended(site, True, report_url=url)
    assert disk_reports.run(station) == 1
    assert disk_reports.run(station) == 0
    assert kept(site) == []
    assert site.scheduler.requests.status(request).state is RequestState.DONE


def test_a_failure_that_nobody_asked_to_hear_of_is_kept(site: Site, station: Station) -> None:
    request = ended(site, False, report_url="null:")
    assert disk_reports.run(station) == 1
    assert disk_reports.run(station) == 0
    (line,) = kept(site)
    assert line.startswith(f"{request} ") and line.count("the disk is broken") == 2
    status = site.scheduler.requests.status(request)
    assert (status.state, "the disk is broken" in status.text) == (RequestState.FAILED, True)
    (job,) = site.scheduler.requests.failed()
    assert site.scheduler.requests.remove_failed(Direction.ARCHIVE, [job.job_id]) == 1
    assert site.scheduler.requests.status(request).state is RequestState.FAILED


def test_a_failure_told_to_nobody_by_wish_ends(site: Site, station: Station) -> None:
    request = ended(site, False, error_report_url="null:")
    assert disk_reports.run(station) == 1
    assert kept(site) == []
    assert site.scheduler.requests.status(request).state is RequestState.FAILED


@pytest.mark.parametrize("succeeds", [True, False])
def test_what_cannot_be_told_is_kept_after_all_tries(site: Site, station: Station, succeeds: bool) -> None:
    url = "eosQuery://instance/path"
    request = ended(site, succeeds, report_url=url, error_report_url=url)
    assert [disk_reports.run(station) for _ in range(3)] == [1, 1, 0]
    (failed,) = site.scheduler.requests.failed()
    assert failed.report_failure_log.count("no reporter for eosquery") == 2
    expected = RequestState.DONE if succeeds else RequestState.FAILED
    assert site.scheduler.requests.status(request).state is expected


def test_a_failed_retrieve_is_kept(site: Site, station: Station) -> None:
    (number,) = site.archived(1)
    disk_reports.run(station)
    request = site.retrieve(number)
    drive = site.register()
    while (mount := site.scheduler.mounts.next(drive, ANYTHING)) is not None:
        while jobs := site.scheduler.retrieve.claim(drive, mount, 10, 10**12):
            wear_out(site, mount, jobs)
        site.register()
    assert disk_reports.run(station) == 1
    (line,) = kept(site)
    assert line.startswith(f"{request} ")
    assert site.scheduler.requests.status(request).state is RequestState.FAILED


def test_a_report_given_back_meanwhile_is_not_kept_twice(site: Site) -> None:
    ended(site, False)
    reports = site.scheduler.reports
    first = reports.take(Direction.ARCHIVE, 10)
    assert reports.release_stuck(-5, 10) == 1
    second = reports.take(Direction.ARCHIVE, 10)
    assert first == second
    reports.keep(second)
    reports.keep(first)
    assert len(kept(site)) == 1
