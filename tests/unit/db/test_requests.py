# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests: routed, refused with a reason, counted, cancelled."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dbsite import AUTHOR, USER, Site, archive_request

from cta_taped.common.errors import CtaError
from cta_taped.common.model import MountType
from cta_taped.db.catalogue import ObjectKind
from cta_taped.db.scheduler import ArchiveRequest, Direction, RequestId, RequestState, RetrieveRequest


def refused(site: Site, request: ArchiveRequest, symbol: str) -> str:
    with pytest.raises(CtaError) as caught:
        site.scheduler.requests.queue_archive(request)
    assert caught.value.spec.symbol == symbol
    assert site.scheduler.requests.queues() == []
    return str(caught.value)


def test_one_job_a_copy(site: Site) -> None:
    (request,) = site.archive(1, "double")
    assert str(request) == "archive-1"
    queues = site.scheduler.requests.queues()
    assert [(q.tape_pool, q.waiting_files, q.waiting_bytes) for q in queues] == [
        ("pool1", 1, 1000),
        ("pool2", 1, 1000),
    ]
    assert {q.mount_type for q in queues} == {MountType.ARCHIVE_FOR_USER}
    status = site.scheduler.requests.status(request)
    assert status.state is RequestState.QUEUED
    assert status.archive_file_id >= 4_294_967_296


def test_requests_that_lead_nowhere_are_refused(site: Site) -> None:
    good = archive_request(1)
    assert "storage class" in refused(site, replace(good, storage_class="none"), "SCHEDULER_NO_ROUTE")
    site.add(ObjectKind.STORAGE_CLASS, name="routeless", copies=2, vo="vo1")
    assert "0 archive routes" in refused(site, replace(good, storage_class="routeless"), "SCHEDULER_NO_ROUTE")
    assert "mount rule" in refused(site, replace(good, disk_instance="none"), "SCHEDULER_NO_ROUTE")


@pytest.mark.parametrize(
    "values",
    [
        {"size_bytes": 0},
        {"size_bytes": 10**6},
        {"adler32": 2**32},
        {"disk_file_id": ""},
        {"source_url": "x" * 2001},
        {"report_url": "x" * 2001},
        {"requester": replace(USER, uid=0)},
    ],
)
def test_invalid_requests_are_refused(site: Site, values: dict[str, object]) -> None:
    limit = {"max_file_size_bytes": 10**5}
    site.catalogue.objects.change(ObjectKind.VIRTUAL_ORGANIZATION, {"vo": "vo1"}, limit, AUTHOR)
    refused(site, replace(archive_request(1), **values), "CATALOGUE_REFUSED")  # type: ignore[arg-type]


def test_a_disk_file_is_archived_once(site: Site) -> None:
    requests = site.scheduler.requests
    requests.queue_archive(archive_request(1))
    with pytest.raises(CtaError, match="already being archived") as caught:
        requests.queue_archive(archive_request(1))
    assert caught.value.spec.symbol == "SCHEDULER_QUEUED"
    with pytest.raises(CtaError, match="twice"):
        requests.queue_archives([archive_request(2), archive_request(2)])
    site.archived(1, "double")
    with pytest.raises(CtaError, match="already archived as"):
        requests.queue_archive(archive_request(0, "double"))


def test_all_files_that_are_queued_already_are_named_at_once(site: Site) -> None:
    site.add(ObjectKind.DISK_INSTANCE, name="other")
    site.add(ObjectKind.REQUESTER_RULE, disk_instance="other", name="user1", mount_policy="normal")
    elsewhere = replace(archive_request(2), disk_instance="other")
    before = [*site.archive(3), *site.scheduler.requests.queue_archives([elsewhere])]
    batch = [archive_request(number) for number in range(1, 6)]
    with pytest.raises(CtaError) as caught:
        site.scheduler.requests.queue_archives([*batch, elsewhere])
    assert set(caught.value.evidence["queued"]) == {
        ("eos", "single-1", before[1]),
        ("eos", "single-2", before[2]),
        ("other", "single-2", before[3]),
    }
    assert "and 2 more" in str(caught.value)
    assert sum(queue.waiting_files for queue in site.scheduler.requests.queues()) == 4


def test_many_requests_are_queued_all_or_none(site: Site) -> None:
    bad = replace(archive_request(3), size_bytes=0)
    with pytest.raises(CtaError):
        site.scheduler.requests.queue_archives([archive_request(1), bad])
    assert site.scheduler.requests.queues() == []
    assert site.scheduler.requests.queue_archives([]) == []


def test_mount_rules_are_asked_in_order(site: Site) -> None:
    for name, priority in (("user", 5), ("group", 6), ("activity", 7), ("better", 8), ("wanted", 9)):
        site.add(
            ObjectKind.MOUNT_POLICY,
            name=name,
            archive_priority=priority,
            archive_min_request_age_s=0,
            retrieve_priority=priority,
            retrieve_min_request_age_s=0,
        )
    site.add(ObjectKind.GROUP_RULE, disk_instance="eos", name="group1", mount_policy="group")

    def policy_of_new_archive(number: int) -> str:
        request = site.scheduler.requests.queue_archive(archive_request(number))
        (queue,) = site.scheduler.requests.queues()
        site.scheduler.requests.cancel(request)
        return queue.mount_policy

    assert policy_of_new_archive(1) == "group"
    site.add(ObjectKind.REQUESTER_RULE, disk_instance="eos", name="user1", mount_policy="user")
    assert policy_of_new_archive(2) == "user"
    for regex, policy in (("^reco", "activity"), ("co$", "better"), ("other", "wanted")):
        site.add(
            ObjectKind.ACTIVITY_RULE,
            disk_instance="eos",
            name="user1",
            activity_regex=regex,
            mount_policy=policy,
        )
    (number,) = site.archived(1)

    def policy_of_new_retrieve(**values: str) -> str:
        request = site.retrieve(number, **values)
        (queue,) = site.scheduler.requests.queues()
        site.scheduler.requests.cancel(request)
        return queue.mount_policy

    assert policy_of_new_retrieve() == "user"
    assert policy_of_new_retrieve(activity="reco") == "better"
    assert policy_of_new_retrieve(activity="reconstruction") == "activity"
    assert policy_of_new_retrieve(activity="reco", mount_policy="wanted") == "wanted"
    assert policy_of_new_retrieve(mount_policy="no such") == "user"


def test_cancelling(site: Site) -> None:
    requests = site.scheduler.requests
    waiting, running = site.archive(2)
    assert requests.cancel(waiting)
    assert requests.status(waiting).state is RequestState.CANCELLED
    assert not requests.cancel(waiting)
    drive = site.register()
    mount = site.mount(drive)
    (job,) = site.scheduler.archive.claim(drive, mount, 10, 10**12)
    assert not requests.cancel(running)
    assert site.scheduler.archive.done(mount, [job.job_id]) == []
    with pytest.raises(CtaError) as caught:
        requests.cancel(RequestId(Direction.RETRIEVE, 77))
    assert caught.value.spec.symbol == "SCHEDULER_NOT_FOUND"
    # What was cancelled may be asked for again.
    site.archive(1)


def test_unknown_things_are_called_so(site: Site) -> None:
    with pytest.raises(CtaError) as caught:
        site.scheduler.requests.status(RequestId(Direction.ARCHIVE, 77))
    assert caught.value.spec.symbol == "SCHEDULER_NOT_FOUND"
    with pytest.raises(CtaError) as caught:
        site.retrieve(77)
    assert caught.value.spec.symbol == "CATALOGUE_NOT_FOUND"
    with pytest.raises(CtaError) as caught:
        site.scheduler.requests.queue_retrieve(RetrieveRequest(77, "", USER))
    assert caught.value.spec.symbol == "CATALOGUE_REFUSED"


def test_queues_count_waiting_and_running(site: Site) -> None:
    (number,) = site.archived(1)
    site.retrieve(number, activity="reco")
    site.archive(5, first=50)
    drive = site.register()
    other = site.register(2)
    site.mount(drive)
    mount = site.mount(other)
    site.scheduler.archive.claim(other, mount, 2, 10**12)
    retrieve, archive = site.scheduler.requests.queues()
    assert (retrieve.vid is not None, retrieve.activity, retrieve.priority) == (True, "reco", 2)
    assert (archive.waiting_files, archive.running_files, archive.running_bytes) == (3, 2, 2000)
    assert archive.oldest_time is not None
    assert archive.mount_policy == "normal"
