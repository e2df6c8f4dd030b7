# SPDX-License-Identifier: GPL-3.0-or-later
"""Retrieve jobs: claimed by tape, finished or reported, moved to the next copy."""

from __future__ import annotations

import pytest
from dbsite import ANYTHING, AUTHOR, Site

from cta_taped.common.errors import CtaError
from cta_taped.common.model import JobFailure, Mount, RetrieveJob, TapeState
from cta_taped.db.scheduler import Direction, RequestState


def mounted(site: Site, number: int = 1) -> tuple[Mount, list[RetrieveJob]]:
    drive = site.register(number)
    mount = site.mount(drive)
    return mount, site.scheduler.retrieve.claim(drive, mount, 100, 10**12)


def fail(site: Site, mount: Mount, job: RetrieveJob, charged: bool = True, elsewhere: bool = False) -> None:
    failure = JobFailure(job.job_id, "CTA-TAPE-008", "medium error", charged, elsewhere)
    assert site.scheduler.retrieve.failed(mount, [failure]) == []


def free_drive(site: Site, number: int = 1) -> None:
    site.catalogue.drives.remove(f"drive{number}", force=True)


def test_a_job_carries_what_the_tape_needs(site: Site) -> None:
    numbers = site.archived(3)
    request = site.retrieve(numbers[1], verify_only=True)
    _, (job,) = mounted(site)
    (copy,) = site.catalogue.files.copies(numbers[1])
    assert (job.vid, job.fseq, job.block_id, job.size_bytes) == (copy.vid, copy.fseq, copy.block_id, 1000)
    assert (job.adler32, job.verify_only, job.archive_file_id) == (0x091E01DE, True, numbers[1])
    assert site.scheduler.requests.status(request).state is RequestState.RUNNING


def test_done_without_a_report_url_ends_the_job(site: Site) -> None:
    (number,) = site.archived(1)
    request = site.retrieve(number)
    mount, (job,) = mounted(site)
    assert site.scheduler.retrieve.done(mount, [job.job_id]) == []
    assert site.scheduler.requests.status(request).state is RequestState.DONE
    assert site.scheduler.reports.take(Direction.RETRIEVE, 10) == []
    assert site.scheduler.requests.queues() == []


def test_done_with_a_report_url_is_reported(site: Site) -> None:
    (number,) = site.archived(1)
    request = site.retrieve(number, report_url="null:there")
    mount, (job,) = mounted(site)
    assert site.scheduler.retrieve.done(mount, [job.job_id]) == []
    (report,) = site.scheduler.reports.take(Direction.RETRIEVE, 10)
    assert (report.success, report.url, report.request_id) == (True, "null:there", request.number)
    assert site.scheduler.requests.status(request).state is RequestState.DONE
    site.scheduler.reports.delivered([report])
    assert site.scheduler.requests.status(request).state is RequestState.DONE


def test_blocked_disk_systems_are_left_out(site: Site) -> None:
    first, second = site.archived(2)
    site.retrieve(first)
    site.retrieve(second)
    drive = site.register()
    mount = site.mount(drive)
    # No disk system matches, so the column is NULL: such jobs are not blocked.
    assert len(site.scheduler.retrieve.claim(drive, mount, 1, 10**12, ["other"])) == 1


def test_a_bad_copy_is_left_for_the_next_one(site: Site) -> None:
    (number,) = site.archived(1, "double")
    site.retrieve(number)
    one, two = site.catalogue.files.copies(number)
    tried = []
    for _ in range(2):
        mount, (job,) = mounted(site)
        for _ in range(3):
            tried.append((job.vid, job.copy_nb, job.fseq))
            fail(site, mount, job)
            again = site.scheduler.retrieve.claim(site.register(1), mount, 10, 10**12)
            job = again[0] if again else job
        free_drive(site)
    assert tried == [(one.vid, 1, one.fseq)] * 3 + [(two.vid, 2, two.fseq)] * 3
    (report,) = site.scheduler.reports.take(Direction.RETRIEVE, 10)
    assert not report.success
    assert report.failure_log.count("medium error") == 6


def test_retry_elsewhere_moves_to_the_next_copy_at_once(site: Site) -> None:
    (number,) = site.archived(1, "double")
    site.retrieve(number)
    seen = []
    for charged in (False, True, False):
        mount, (job,) = mounted(site)
        seen.append(job.copy_nb)
        fail(site, mount, job, charged=charged, elsewhere=True)
        free_drive(site)
    assert seen == [1, 2, 1]


def test_the_queue_of_a_tape_that_is_out_of_use_goes_to_the_next_copies(site: Site) -> None:
    (double,) = site.archived(1, "double")
    (single,) = site.archived(1)
    requests = [site.retrieve(number) for number in (double, single)]
    mount, jobs = mounted(site)
    assert [job.archive_file_id for job in jobs] == [double, single]
    assert site.scheduler.retrieve.divert(mount) == 0  # taken jobs are the session's
    site.scheduler.retrieve.requeue(mount, [job.job_id for job in jobs])
    assert site.scheduler.retrieve.divert(mount) == 1
    assert site.scheduler.retrieve.divert(mount) == 0
    first, second = (site.scheduler.requests.status(request).vids for request in requests)
    assert second == (mount.vid,) and first != second
    queues = {queue.vid: queue.waiting_files for queue in site.scheduler.requests.queues()}
    assert queues == {first[0]: 1, mount.vid: 1}


def test_a_single_copy_is_tried_again(site: Site) -> None:
    (number,) = site.archived(1)
    site.retrieve(number)
    mount, (job,) = mounted(site)
    fail(site, mount, job, elsewhere=True)
    free_drive(site)
    _, (again,) = mounted(site)
    assert again == job


def test_requeue_and_late_delivery(site: Site) -> None:
    (number,) = site.archived(1)
    request = site.retrieve(number)
    mount, (job,) = mounted(site)
    site.scheduler.retrieve.requeue(mount, [job.job_id])
    assert site.scheduler.requests.status(request).state is RequestState.QUEUED
    assert "UNPROCESSED_TASK_QUEUE_JOB_REQUEUED" in site.scheduler.requests.status(request).text
    assert site.scheduler.retrieve.done(mount, [job.job_id]) == []
    assert site.scheduler.requests.status(request).state is RequestState.DONE
    assert site.scheduler.retrieve.done(mount, [job.job_id]) == [job.job_id]


def test_the_copy_is_chosen_among_usable_tapes(site: Site) -> None:
    (number,) = site.archived(1, "double")
    one, two = site.catalogue.files.copies(number)
    site.catalogue.tapes.set_state(one.vid, TapeState.DISABLED, "x", AUTHOR)
    status = site.scheduler.requests.status(site.retrieve(number))
    assert status.vids == (two.vid,)
    assert site.scheduler.requests.status(site.retrieve(number, vid=one.vid)).vids == (one.vid,)
    for copy in (one, two):
        site.catalogue.tapes.set_state(copy.vid, TapeState.BROKEN, "x", AUTHOR)
    with pytest.raises(CtaError, match="BROKEN") as caught:
        site.retrieve(number)
    assert caught.value.spec.symbol == "SCHEDULER_NO_ROUTE"


def test_a_disabled_tape_waits(site: Site) -> None:
    (number,) = site.archived(1)
    (copy,) = site.catalogue.files.copies(number)
    site.retrieve(number)
    drive = site.register()
    site.catalogue.tapes.set_state(copy.vid, TapeState.DISABLED, "x", AUTHOR)
    assert site.scheduler.mounts.next(drive, ANYTHING) is None
    site.catalogue.tapes.set_state(copy.vid, TapeState.ACTIVE, "", AUTHOR)
    assert site.mount(drive).vid == copy.vid
