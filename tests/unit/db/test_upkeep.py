# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports and upkeep: told once, tried twice, collected only when nobody can come back."""

from __future__ import annotations

import time

from dbsite import Site

from cta_taped.common.model import JobFailure
from cta_taped.db.scheduler import Direction, Report, RequestId, RequestState


def finished(site: Site, count: int = 2) -> tuple[list[RequestId], list[Report]]:
    drive = site.register()
    requests = site.archive(count)
    mount = site.mount(drive)
    jobs = site.scheduler.archive.claim(drive, mount, 100, 10**12)
    site.record(drive, mount, jobs)
    site.scheduler.archive.done(mount, [job.job_id for job in jobs])
    return requests, site.scheduler.reports.take(Direction.ARCHIVE, 100)


def test_reports_are_taken_once_and_end_their_requests(site: Site) -> None:
    requests, reports = finished(site)
    assert [report.success for report in reports] == [True, True]
    assert site.scheduler.reports.take(Direction.ARCHIVE, 100) == []
    site.scheduler.reports.delivered(reports)
    assert {site.scheduler.requests.status(request).state for request in requests} == {RequestState.DONE}
    assert site.scheduler.requests.queues() == []
    site.scheduler.reports.delivered(reports)


def test_an_undeliverable_report_ends_among_the_failed(site: Site) -> None:
    requests, (report,) = finished(site, 1)
    assert site.scheduler.reports.undelivered(report, "no route")
    (again,) = site.scheduler.reports.take(Direction.ARCHIVE, 100)
    assert not site.scheduler.reports.undelivered(again, "no route\nat all")
    (failed,) = site.scheduler.requests.failed()
    assert failed.report_failure_log == "no route\nno route at all\n"
    assert list(site.scheduler.requests.failed(Direction.RETRIEVE)) == []
    # The file itself is on tape and recorded.
    assert site.scheduler.requests.status(requests[0]).state is RequestState.DONE
    assert site.scheduler.requests.remove_failed(Direction.ARCHIVE, [failed.job_id, 999]) == 1
    assert list(site.scheduler.requests.failed()) == []


def test_stuck_reports_are_taken_up_again(site: Site) -> None:
    _, reports = finished(site)
    assert site.scheduler.reports.release_stuck(60, 10) == 0
    assert site.scheduler.reports.release_stuck(-5, 10) == 2
    assert len(site.scheduler.reports.take(Direction.ARCHIVE, 100)) == len(reports)


def test_failure_reports_end_requests_as_failed(site: Site) -> None:
    drive = site.register()
    (request,) = site.archive(1)
    mount = site.mount(drive)
    for _ in range(2):
        (job,) = site.scheduler.archive.claim(drive, mount, 10, 10**12)
        site.scheduler.archive.failed(mount, [JobFailure(job.job_id, "CTA-DISK-001", "gone", True)])
    status = site.scheduler.requests.status(request)
    assert (status.state, "gone" in status.text) == (RequestState.FAILED, True)
    site.scheduler.reports.delivered(site.scheduler.reports.take(Direction.ARCHIVE, 10))
    status = site.scheduler.requests.status(request)
    assert (status.state, "gone" in status.text) == (RequestState.FAILED, True)


def test_jobs_of_dead_mounts_go_back_uncharged(site: Site) -> None:
    drive = site.register()
    site.archive(4)
    mount = site.mount(drive)
    jobs = site.scheduler.archive.claim(drive, mount, 3, 10**12)
    site.scheduler.archive.failed(mount, [JobFailure(jobs[0].job_id, "CTA-DISK-003", "x", True)])
    upkeep = site.scheduler.upkeep
    # The drive still says that it runs the mount.
    assert upkeep.requeue_dead_mounts(-5, 100) == 0
    site.catalogue.drives.remove("drive1", force=True)
    # The heart-beat is young.
    assert upkeep.requeue_dead_mounts(900, 100) == 0
    # An outage has just ended.
    assert upkeep.requeue_dead_mounts(-5, 100, not_before=time.time() + 900) == 0
    assert upkeep.clean_stamps(-5, 100) == 0
    assert upkeep.requeue_dead_mounts(-5, 100) == 3
    assert upkeep.requeue_dead_mounts(-5, 100) == 0
    assert upkeep.clean_stamps(900, 100) == 0
    assert upkeep.clean_stamps(-5, 100) == 2
    other = site.mount(site.register(2))
    taken = site.scheduler.archive.claim(drive, other, 100, 10**12)
    assert len(taken) == 4
    assert site.scheduler.reports.take(Direction.ARCHIVE, 10) == []


def test_a_renewed_mount_lives(site: Site) -> None:
    drive = site.register()
    site.archive(1)
    mount = site.mount(drive)
    site.scheduler.archive.claim(drive, mount, 3, 10**12)
    site.catalogue.drives.remove("drive1", force=True)
    site.scheduler.mounts.renew(mount)
    assert site.scheduler.upkeep.requeue_dead_mounts(60, 100) == 0


def test_finished_jobs_of_a_dead_mount_stay_finished(site: Site) -> None:
    drive = site.register()
    site.archive(1)
    mount = site.mount(drive)
    (job,) = site.scheduler.archive.claim(drive, mount, 3, 10**12)
    site.scheduler.archive.done(mount, [job.job_id])
    site.catalogue.drives.remove("drive1", force=True)
    assert site.scheduler.upkeep.requeue_dead_mounts(-5, 100) == 0
    assert len(site.scheduler.reports.take(Direction.ARCHIVE, 10)) == 1


def test_old_failed_requests_and_outcomes_are_deleted(site: Site) -> None:
    requests, (report,) = finished(site, 1)
    site.scheduler.reports.undelivered(report, "x")
    site.scheduler.reports.undelivered(site.scheduler.reports.take(Direction.ARCHIVE, 1)[0], "x")
    assert site.scheduler.upkeep.delete_old_failed(3600, 10) == 0
    assert site.scheduler.requests.status(requests[0]).state is RequestState.DONE
    assert site.scheduler.upkeep.delete_old_failed(-5, 10) == 1
