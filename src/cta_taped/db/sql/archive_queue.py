# SPDX-License-Identifier: GPL-3.0-or-later
"""Archive jobs of a mount: claim, done, failed, requeue (scheduler reference 5 and 6.1).

What it is: the scheduler's ``ArchiveQueue`` in SQL. What it is not: the recording in the catalogue, which
comes first.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from sqlalchemy import Connection, func, or_, select, update

from cta_taped.common.model import ArchiveJob, DriveIdentity, JobFailure, Mount
from cta_taped.db import checksumblob
from cta_taped.db.sql.database import AnyRow, Database, chunks
from cta_taped.db.sql.queues import (
    USER_ARCHIVE,
    WAITING,
    Family,
    family_of,
    heartbeat,
    move,
    requeue,
    take_back,
    within,
)
from cta_taped.db.sql.retries import fail_jobs

# Two mounts that finish the two copies of the same requests lock their own rows first and then each other's.
COPIES_LOCK = "cta-taped finished copies"


def _job(row: AnyRow) -> ArchiveJob:
    return ArchiveJob(
        job_id=row.job_id,
        archive_file_id=row.archive_file_id,
        copy_nb=row.copy_nb,
        request_job_count=row.request_job_count,
        source_url=row.src_url,
        size_bytes=row.size_in_bytes,
        adler32=checksumblob.adler32_of(row.checksumblob),
        disk_instance=row.disk_instance,
        disk_file_id=row.disk_file_id,
        disk_file_path=row.disk_file_path,
        owner_uid=row.disk_file_owner_uid,
        gid=row.disk_file_gid,
        storage_class=row.storage_class,
    )


class SqlArchiveQueue:
    """``db.scheduler.ArchiveQueue`` on a relational database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, drive: DriveIdentity, mount: Mount, max_files: int, max_bytes: int) -> list[ArchiveJob]:
        """See ``ArchiveQueue.claim``."""
        family = family_of(mount)
        c = family.pending.c
        candidates = (
            select(c.job_id, c.size_in_bytes)
            .where(
                c.tape_pool == mount.tape_pool,
                c.status == family.to_transfer,
                or_(c.mount_id.is_(None), c.mount_id == mount.mount_id),
            )
            .order_by(c.priority.desc(), c.job_id)
            .limit(max_files)
            .with_for_update(skip_locked=True)
        )
        with self._database.write() as connection:
            self._database.lock(connection, mount.tape_pool)
            rows = connection.execute(candidates).all()
            ids = within([(row.job_id, row.size_in_bytes or 0) for row in rows], max_bytes)
            values = {
                "mount_id": mount.mount_id,
                "vid": mount.vid,
                "drive": drive.name,
                "host": drive.host,
                "mount_type": mount.mount_type.value,
                "logical_library": mount.logical_library,
                "last_update_time": int(time.time()),
            }
            move(connection, family.pending, family.active, ids, values)
            heartbeat(self._database, connection, family, mount.mount_id)
            jobs: dict[int, ArchiveJob] = {}
            for part in chunks(ids):
                found = connection.execute(select(family.active).where(family.active.c.job_id.in_(part)))
                jobs.update((row.job_id, _job(row)) for row in found)
        return [jobs[job_id] for job_id in ids]

    def done(self, mount: Mount, job_ids: Collection[int]) -> list[int]:
        """See ``ArchiveQueue.done``."""
        family = family_of(mount)
        with self._database.write() as connection:
            self._database.lock(connection, COPIES_LOCK)
            values = {"vid": mount.vid, "mount_type": mount.mount_type.value}
            take_back(connection, family, mount, job_ids, values)
            rows = _owned(connection, family, mount, job_ids)
            todo = [row for row in rows if row.status == family.to_transfer]
            several = family is USER_ARCHIVE
            single_ids = [row.job_id for row in todo if not several or row.request_job_count == 1]
            waiting_ids = [row.job_id for row in todo if several and row.request_job_count != 1]
            _set_status(connection, family, single_ids, family.succeeded)
            _set_status(connection, family, waiting_ids, WAITING)
            counts = {
                row.archive_request_id: row.request_job_count for row in todo if row.request_job_count != 1
            }
            if several:
                _release_complete(connection, family, counts)
        return sorted(set(job_ids) - {row.job_id for row in rows})

    def failed(self, mount: Mount, failures: Sequence[JobFailure]) -> list[int]:
        """See ``ArchiveQueue.failed``."""
        return fail_jobs(self._database, family_of(mount), mount, failures)

    def requeue(self, mount: Mount, job_ids: Collection[int]) -> None:
        """See ``ArchiveQueue.requeue``."""
        requeue(self._database, family_of(mount), mount.mount_id, job_ids)


def _owned(connection: Connection, family: Family, mount: Mount, job_ids: Collection[int]) -> list[AnyRow]:
    c = family.active.c
    return [
        row
        for ids in chunks(sorted(job_ids))
        for row in connection.execute(
            select(c.job_id, c.archive_request_id, c.request_job_count, c.status)
            .where(c.job_id.in_(ids), c.mount_id == mount.mount_id)
            .order_by(c.job_id)
            .with_for_update()
        )
    ]


def _set_status(connection: Connection, family: Family, job_ids: Sequence[int], status: str) -> None:
    c = family.active.c
    values = {"status": status, "last_update_time": int(time.time())}
    for ids in chunks(sorted(job_ids)):
        connection.execute(update(family.active).where(c.job_id.in_(ids)).values(values))


def _release_complete(connection: Connection, family: Family, requests: dict[int, int]) -> None:
    """Let requests be reported whose copies (request id -> number of copies) are now all on tape."""
    c = family.active.c
    for ids in chunks(sorted(requests)):
        # All rows of the requests are locked before they are counted: of two mounts that finish the last two
        # copies at the same time, the second then sees the first one's.
        connection.execute(
            select(c.job_id).where(c.archive_request_id.in_(ids)).order_by(c.job_id).with_for_update()
        )
        written = connection.execute(
            select(c.archive_request_id, func.count())
            .where(c.archive_request_id.in_(ids), c.status.in_((WAITING, family.succeeded)))
            .group_by(c.archive_request_id)
        )
        complete = [number for number, count in written if count >= requests[number]]
        if complete:
            connection.execute(
                update(family.active)
                .where(c.archive_request_id.in_(complete), c.status == WAITING)
                .values(status=family.succeeded, last_update_time=int(time.time()))
            )
