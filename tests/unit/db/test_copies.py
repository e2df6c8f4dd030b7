# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests with several copies of which one fails for good or is cancelled: none waits for it for ever."""

from __future__ import annotations

import pytest
from dbsite import ANYTHING, Site, archive_request

from cta_taped.common.errors import CtaError
from cta_taped.common.model import ArchiveJob, JobFailure, Mount
from cta_taped.db.scheduler import Direction, RequestId, RequestState


def claimed(site: Site, drive_number: int) -> tuple[Mount, ArchiveJob]:
    """The next copy, in a mount of its own."""
    drive = site.register(drive_number)
    mount = site.mount(drive)
    (job,) = site.scheduler.archive.claim(drive, mount, 1, 10**12)
    return mount, job


def write(site: Site, drive_number: int, mount: Mount, job: ArchiveJob) -> None:
    site.record(site.register(drive_number), mount, [job])
    assert site.scheduler.archive.done(mount, [job.job_id]) == []


def wear_out(site: Site, drive_number: int, mount: Mount, job: ArchiveJob) -> None:
    failure = JobFailure(job.job_id, "CTA-DISK-003", "the disk is broken", charged=True)
    assert site.scheduler.archive.failed(mount, [failure]) == []
    again = site.scheduler.archive.claim(site.register(drive_number), mount, 1, 10**12)
    assert again == [job]
    assert site.scheduler.archive.failed(mount, [failure]) == []


def report(site: Site) -> list[bool]:
    """One round of reports; which of them were successes."""
    reports = site.scheduler.reports.take(Direction.ARCHIVE, 100)
    site.scheduler.reports.keep([one for one in reports if not one.success])
    site.scheduler.reports.delivered([one for one in reports if one.success])
    return [one.success for one in reports]


def state(site: Site, request: RequestId) -> RequestState:
    return site.scheduler.requests.status(request).state


def copies(site: Site) -> list[int]:
    return [row.copy_nb for row in site.catalogue.files.find()]


@pytest.mark.parametrize("reported", ["before", "after"])
@pytest.mark.parametrize("written", ["first", "last"])
def test_a_written_copy_does_not_wait_for_one_that_failed(site: Site, written: str, reported: str) -> None:
    (request,) = site.archive(1, "double")
    one, other = claimed(site, 1), claimed(site, 2)
    assert site.scheduler.upkeep.end_incomplete(10) == 0
    if written == "first":
        write(site, 1, *one)
        assert site.scheduler.upkeep.end_incomplete(10) == 0
        assert state(site, request) is RequestState.RUNNING
    wear_out(site, 2, *other)
    assert state(site, request) is RequestState.FAILED
    if reported == "before":
        assert report(site) == [False]
        assert state(site, request) is RequestState.FAILED
    if written == "last":
        assert site.scheduler.upkeep.end_incomplete(10) == 0
        write(site, 1, *one)
    assert site.scheduler.upkeep.end_incomplete(10) == 1
    assert site.scheduler.upkeep.end_incomplete(10) == 0
    assert state(site, request) is RequestState.FAILED
    if reported == "after":
        assert report(site) == [False]
    assert report(site) == []
    assert "the disk is broken" in site.scheduler.requests.status(request).text
    assert state(site, request) is RequestState.FAILED
    assert copies(site) == [one[1].copy_nb]
    (failed,) = site.scheduler.requests.failed()
    assert failed.copy_nb == other[1].copy_nb


def test_a_file_is_not_asked_for_again_before_its_last_copy_ended(site: Site) -> None:
    (request,) = site.archive(1, "double")
    one, other = claimed(site, 1), claimed(site, 2)
    wear_out(site, 1, *one)
    assert report(site) == [False]
    with pytest.raises(CtaError) as caught:
        site.scheduler.requests.queue_archive(archive_request(0, "double"))
    assert caught.value.spec.symbol == "SCHEDULER_QUEUED"
    wear_out(site, 2, *other)
    assert report(site) == [False]
    assert state(site, request) is RequestState.FAILED
    site.scheduler.requests.queue_archive(archive_request(0, "double"))


def test_a_copy_put_back_is_still_waited_for(site: Site) -> None:
    (request,) = site.archive(1, "double")
    one, other = claimed(site, 1), claimed(site, 2)
    write(site, 1, *one)
    site.scheduler.archive.requeue(other[0], [other[1].job_id])
    assert site.scheduler.upkeep.end_incomplete(10) == 0
    write(site, 2, *other)
    assert site.scheduler.upkeep.end_incomplete(10) == 0
    assert report(site) == [True, True]
    assert state(site, request) is RequestState.DONE


def test_a_request_that_was_cancelled_half_way_ends(site: Site) -> None:
    (request,) = site.archive(1, "double")
    one = claimed(site, 1)
    assert site.scheduler.requests.cancel(request)
    assert state(site, request) is RequestState.RUNNING
    write(site, 1, *one)
    assert site.scheduler.upkeep.end_incomplete(10) == 1
    assert state(site, request) is RequestState.CANCELLED
    assert copies(site) == [one[1].copy_nb]
    assert report(site) == []


def test_only_the_incomplete_are_ended(site: Site) -> None:
    requests = site.archive(6, "double")
    drive = site.register()
    mount = site.mount(drive)
    jobs = site.scheduler.archive.claim(drive, mount, 10, 10**12)
    site.record(drive, mount, jobs)
    site.scheduler.archive.done(mount, [job.job_id for job in jobs])
    for request in requests[:4]:
        assert site.scheduler.requests.cancel(request)
    assert site.scheduler.upkeep.end_incomplete(3) == 3
    assert site.scheduler.upkeep.end_incomplete(3) == 1
    assert [state(site, request) for request in requests] == [RequestState.CANCELLED] * 4 + [
        RequestState.RUNNING
    ] * 2
    mount = site.mount(drive)
    jobs = site.scheduler.archive.claim(drive, mount, 10, 10**12)
    site.record(drive, mount, jobs)
    site.scheduler.archive.done(mount, [job.job_id for job in jobs])
    assert report(site) == [True] * 4
    assert site.scheduler.mounts.next(drive, ANYTHING) is None
