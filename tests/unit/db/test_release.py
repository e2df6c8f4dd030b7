# SPDX-License-Identifier: GPL-3.0-or-later
"""Claims that end badly: told before they are made, given back whole, in all four families of queues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from dbsite import ANYTHING, Site
from sqlalchemy import delete, insert, literal, select, update

from cta_taped.common.errors import CtaError
from cta_taped.common.model import ArchiveJob, DriveStatus, JobFailure, Mount, MountType, RetrieveJob
from cta_taped.db.scheduler import Direction
from cta_taped.db.schema_scheduler import REPACK_REQUEST_TRACKING
from cta_taped.db.sql import upkeep
from cta_taped.db.sql.database import Database
from cta_taped.db.sql.queues import (
    FAMILIES,
    REPACK_ARCHIVE,
    REPACK_RETRIEVE,
    REQUEUED_MARKER,
    USER_FAMILIES,
    Family,
)
from cta_taped.db.sql.scheduler import SqlScheduler

Jobs = Sequence[ArchiveJob] | Sequence[RetrieveJob]


def database(site: Site) -> Database:
    assert isinstance(site.scheduler, SqlScheduler)
    return site.scheduler._database


def fill(site: Site, family: Family, count: int) -> str:
    """Queue jobs; those of repack are user's jobs that change their queue. Pool or tape of the jobs."""
    if family.direction is Direction.ARCHIVE:
        site.archive(count)
        owner = "pool1"
    else:
        numbers = site.archived(count)
        for number in numbers:
            site.retrieve(number)
        owner = site.catalogue.files.copies(numbers[0])[0].vid
    user = USER_FAMILIES[family.direction]
    if family is not user:
        with database(site).write() as connection:
            connection.execute(
                insert(REPACK_REQUEST_TRACKING).values(
                    repack_request_id=1,
                    vid=owner,
                    buffer_url="file:///buffer",
                    status="RRS_Running",
                    mount_policy="normal",
                )
            )
            given = {"status": family.to_transfer, "repack_request_id": 1}
            names = [column.name for column in family.pending.c]
            values = [
                literal(given[name], family.pending.c[name].type) if name in given else user.pending.c[name]
                for name in names
                if name in given or name in user.pending.c
            ]
            columns = [name for name in names if name in given or name in user.pending.c]
            rows = select(*values)
            connection.execute(insert(family.pending).from_select(columns, rows, include_defaults=False))
            connection.execute(delete(user.pending))
    return owner


def mount_of(family: Family, mount_id: int, owner: str) -> Mount:
    mount_type = MountType.RETRIEVE
    if family.direction is Direction.ARCHIVE:
        repack = family is REPACK_ARCHIVE
        mount_type = MountType.ARCHIVE_FOR_REPACK if repack else MountType.ARCHIVE_FOR_USER
    vid = owner if mount_type is MountType.RETRIEVE else "V00001"
    return Mount(
        mount_id, mount_type, vid, "pool1", "vo1", "LTO9", "v", "lib1", 0, 1, repack=family is REPACK_RETRIEVE
    )


def rows(site: Site, family: Family) -> dict[int, Any]:
    """All rows of the family that are to be transferred, by job id, with the table they are in."""
    found = {}
    with database(site).read() as connection:
        for place, table in (("pending", family.pending), ("active", family.active)):
            for row in connection.execute(select(table).where(table.c.status == family.to_transfer)):
                found[row.job_id] = (place, row)
    return found


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.pending.name)
@pytest.mark.parametrize("batch", [1000, 1], ids=["at once", "one by one"])
def test_a_dead_mount_gives_back_everything_uncharged(
    site: Site, family: Family, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "RELEASE_BATCH", batch)
    owner = fill(site, family, 7)
    drive = site.register(1)
    retrieve = family.direction is Direction.RETRIEVE
    queue = site.scheduler.retrieve if retrieve else site.scheduler.archive
    dead, alive = mount_of(family, 1001, owner), mount_of(family, 1002, owner)
    mine: Jobs = queue.claim(drive, dead, 4, 10**12)
    theirs: Jobs = queue.claim(site.register(2), alive, 2, 10**12)
    with database(site).write() as connection:
        # Repack jobs have a single try.
        connection.execute(update(family.active).values(max_total_retries=5, max_retries_within_mount=5))
    failure = JobFailure(mine[0].job_id, "CTA-TAPE-008", "medium error", charged=True)
    assert queue.failed(dead, [failure]) == []
    assert queue.done(dead, [mine[1].job_id]) == []
    before = rows(site, family)
    assert [before[job.job_id][0] for job in (mine[0], *mine[2:])] == ["pending", "active", "active"]

    assert site.scheduler.upkeep.release_mount(dead.mount_id) == 3
    assert site.scheduler.upkeep.release_mount(dead.mount_id) == 0

    after = rows(site, family)
    assert set(after) == set(before)
    for job_id, (place, row) in after.items():
        old = before[job_id][1]
        charges = ("total_retries", "last_mount_with_failure", "total_report_retries")
        assert [getattr(row, name) for name in charges] == [getattr(old, name) for name in charges]
        if job_id in {job.job_id for job in theirs}:
            assert (place, row) == before[job_id]
            continue
        assert place == "pending"
        assert (row.mount_id, row.drive, row.host, row.logical_library) == (None, None, None, None)
        assert row.vid == (owner if retrieve else None)
    assert [after[job.job_id][1].total_retries for job in (mine[0], *mine[2:])] == [1, 0, 0]
    assert [REQUEUED_MARKER in (after[job.job_id][1].failure_log or "") for job in (mine[0], *mine[2:])] == [
        False,
        True,
        True,
    ]
    # What was done stays done, and the rest is anybody's.
    third = mount_of(family, 1003, owner)
    assert len(queue.claim(drive, third, 10, 10**12)) == 4
    assert queue.done(third, [mine[1].job_id]) == [mine[1].job_id]
    assert queue.done(alive, [job.job_id for job in theirs]) == []


def test_releasing_a_mount_that_owns_nothing_does_nothing(site: Site) -> None:
    site.archive(2)
    assert site.scheduler.upkeep.release_mount(4711) == 0
    assert [queue.waiting_files for queue in site.scheduler.requests.queues()] == [2]


def test_a_claim_is_told_before_it_is_made(site: Site) -> None:
    drive = site.register()
    site.archive(1)
    told = []

    def reserve(mount: Mount) -> None:
        # Nobody else sees the claim yet.
        assert site.catalogue.drives.get("drive1").mount_id is None
        told.append(mount)

    mount = site.scheduler.mounts.next(drive, ANYTHING, reserve=reserve)
    assert told == [mount]
    assert mount is not None
    assert site.catalogue.drives.get("drive1").mount_id == mount.mount_id


def test_nothing_is_told_when_there_is_nothing_to_claim(site: Site) -> None:
    drive = site.register()

    def reserve(mount: Mount) -> None:
        raise AssertionError(mount)

    assert site.scheduler.mounts.next(drive, ANYTHING, reserve=reserve) is None
    site.archive(1)
    excluded = ["V00001", "V00002", "V00003"]
    assert site.scheduler.mounts.next(drive, ANYTHING, excluded, reserve=reserve) is None


@pytest.mark.parametrize("error", [BrokenPipeError("the supervisor died"), KeyboardInterrupt()])
def test_a_claim_that_cannot_be_told_is_not_made(site: Site, error: BaseException) -> None:
    first, second = site.register(1), site.register(2)
    site.archive(1)
    before = site.catalogue.drives.get("drive1")
    reserved = []

    def reserve(mount: Mount) -> None:
        reserved.append(mount)
        raise error

    with pytest.raises(type(error)):
        site.scheduler.mounts.next(first, ANYTHING, reserve=reserve)
    assert site.catalogue.drives.get("drive1") == before
    assert before.status is not DriveStatus.STARTING
    # Neither lock nor tape is held: another drive takes the very same tape at once.
    mount = site.mount(second)
    assert mount.vid == reserved[0].vid
    assert mount.mount_id != reserved[0].mount_id
    # The supervisor that heard of it releases it all the same.
    assert site.scheduler.upkeep.release_mount(reserved[0].mount_id) == 0


def test_a_claim_of_a_drive_that_vanished_is_not_told(site: Site) -> None:
    drive = replace(site.register(), name="unregistered")
    site.archive(1)
    told: list[Mount] = []
    with pytest.raises(CtaError):
        site.scheduler.mounts.next(drive, ANYTHING, reserve=told.append)
    assert told == []
