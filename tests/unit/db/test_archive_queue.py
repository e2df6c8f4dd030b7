# SPDX-License-Identifier: GPL-3.0-or-later
"""Archive jobs: claimed in order, finished once, retried by the rules of the reference."""

from __future__ import annotations

from dataclasses import replace

from dbsite import ANYTHING, Site, archive_request

from cta_taped.common.model import ArchiveJob, DriveIdentity, JobFailure, Mount
from cta_taped.db.scheduler import Direction, RequestState


def claimed(site: Site, count: int = 3, number: int = 1) -> tuple[DriveIdentity, Mount, list[ArchiveJob]]:
    drive = site.register(number)
    site.archive(count)
    mount = site.mount(drive)
    return drive, mount, site.scheduler.archive.claim(drive, mount, 100, 10**12)


def fail(
    site: Site, mount: Mount, job: ArchiveJob, charged: bool = True, elsewhere: bool = False
) -> list[int]:
    failure = JobFailure(job.job_id, "CTA-DISK-003", "cannot read\nit", charged, elsewhere)
    return site.scheduler.archive.failed(mount, [failure])


def next_mount(site: Site, mount: Mount) -> Mount:
    return replace(mount, mount_id=mount.mount_id + 1000)


def test_a_claim_takes_the_oldest_jobs_up_to_both_limits(site: Site) -> None:
    drive = site.register()
    requests = site.archive(5)
    mount = site.mount(drive)
    two = site.scheduler.archive.claim(drive, mount, 2, 10**12)
    one = site.scheduler.archive.claim(drive, mount, 100, 1500)
    rest = site.scheduler.archive.claim(drive, mount, 100, 2000)
    assert [len(two), len(one), len(rest)] == [2, 1, 2]
    assert [job.disk_file_id for job in two + one + rest] == [f"single-{n}" for n in range(5)]
    assert site.scheduler.archive.claim(drive, mount, 100, 10**12) == []
    assert {site.scheduler.requests.status(request).state for request in requests} == {RequestState.RUNNING}
    job = two[0]
    assert (job.size_bytes, job.adler32, job.copy_nb, job.request_job_count) == (1000, 0x091E01DE, 1, 1)
    assert (job.owner_uid, job.gid, job.disk_instance, job.storage_class) == (1000, 1000, "eos", "single")


def test_a_file_larger_than_the_limit_is_taken_alone(site: Site) -> None:
    drive = site.register()
    site.scheduler.requests.queue_archives(
        [archive_request(1, size_bytes=10**9), archive_request(2, size_bytes=1)]
    )
    mount = site.mount(drive)
    assert len(site.scheduler.archive.claim(drive, mount, 100, 1000)) == 1


def test_done_is_reported_once(site: Site) -> None:
    drive, mount, jobs = claimed(site)
    ids = [job.job_id for job in jobs]
    site.record(drive, mount, jobs)
    assert site.scheduler.archive.done(mount, ids) == []
    assert site.scheduler.archive.done(mount, ids) == []
    assert len(site.scheduler.reports.take(Direction.ARCHIVE, 10)) == 3
    assert site.scheduler.archive.done(next_mount(site, mount), ids) == ids


def test_all_copies_are_waited_for(site: Site) -> None:
    drive = site.register()
    (request,) = site.archive(1, "double")
    first = site.mount(drive)
    (job,) = site.scheduler.archive.claim(drive, first, 10, 10**12)
    assert site.scheduler.archive.done(first, [job.job_id]) == []
    assert site.scheduler.reports.take(Direction.ARCHIVE, 10) == []
    assert site.scheduler.requests.status(request).state is RequestState.RUNNING
    second = site.mount(drive)
    assert second.tape_pool != first.tape_pool
    (other,) = site.scheduler.archive.claim(drive, second, 10, 10**12)
    assert {job.copy_nb, other.copy_nb} == {1, 2}
    assert site.scheduler.archive.done(second, [other.job_id]) == []
    assert site.scheduler.requests.status(request).state is RequestState.DONE
    reports = site.scheduler.reports.take(Direction.ARCHIVE, 10)
    assert {report.job_id for report in reports} == {job.job_id, other.job_id}


def test_a_job_put_back_meanwhile_is_finished_all_the_same(site: Site) -> None:
    _, mount, jobs = claimed(site, 2)
    ids = [job.job_id for job in jobs]
    site.scheduler.archive.requeue(mount, ids)
    assert site.scheduler.archive.done(mount, ids) == []
    assert len(site.scheduler.reports.take(Direction.ARCHIVE, 10)) == 2


def test_a_job_another_mount_took_is_gone(site: Site) -> None:
    drive, mount, jobs = claimed(site, 2)
    ids = [job.job_id for job in jobs]
    site.scheduler.archive.requeue(mount, ids[:1])
    other = next_mount(site, mount)
    assert len(site.scheduler.archive.claim(drive, other, 10, 10**12)) == 1
    assert site.scheduler.archive.done(mount, ids) == ids[:1]
    assert fail(site, mount, jobs[0]) == ids[:1]
    site.scheduler.archive.requeue(mount, ids[:1])
    assert site.scheduler.archive.done(other, ids[:1]) == []


def test_charged_failures_end_in_a_report(site: Site) -> None:
    drive, mount, (job,) = claimed(site, 1)
    assert fail(site, mount, job) == []
    assert site.scheduler.archive.claim(drive, next_mount(site, mount), 10, 10**12) == []
    (again,) = site.scheduler.archive.claim(drive, mount, 10, 10**12)
    assert again == job
    assert fail(site, mount, again) == []
    (report,) = site.scheduler.reports.take(Direction.ARCHIVE, 10)
    assert not report.success
    assert report.failure_log.count("CTA-DISK-003 cannot read it") == 2
    assert len(report.failure_log.splitlines()) == 2


def test_a_failure_to_be_retried_elsewhere_frees_the_job(site: Site) -> None:
    drive, mount, (job,) = claimed(site, 1)
    fail(site, mount, job, elsewhere=True)
    other = next_mount(site, mount)
    assert site.scheduler.archive.claim(drive, other, 10, 10**12) == [job]
    fail(site, other, job)
    assert len(site.scheduler.reports.take(Direction.ARCHIVE, 10)) == 1


def test_uncharged_failures_and_requeues_never_wear_a_job_out(site: Site) -> None:
    drive, mount, (job,) = claimed(site, 1)
    for turn in range(12):
        if turn % 2:
            fail(site, mount, job, charged=False)
        else:
            site.scheduler.archive.requeue(mount, [job.job_id])
        mount = next_mount(site, mount)
        assert site.scheduler.archive.claim(drive, mount, 10, 10**12) == [job]
    assert site.scheduler.reports.take(Direction.ARCHIVE, 10) == []
    (status,) = [q for q in site.scheduler.requests.queues() if q.running_files]
    assert status.waiting_files == 0


def test_requeue_lets_jobs_go_that_waited_for_this_mount(site: Site) -> None:
    drive, mount, (job,) = claimed(site, 1)
    fail(site, mount, job)
    site.scheduler.archive.requeue(mount, [])
    assert site.scheduler.archive.claim(drive, next_mount(site, mount), 10, 10**12) == [job]


def test_two_thousand_jobs_in_one_claim(site: Site) -> None:
    drive = site.register()
    site.archive(2000)
    mount = site.mount(drive)
    jobs = site.scheduler.archive.claim(drive, mount, 2000, 10**12)
    assert len({job.job_id for job in jobs}) == 2000
    assert site.scheduler.archive.done(mount, [job.job_id for job in jobs]) == []
    assert site.scheduler.mounts.next(drive, ANYTHING) is None
