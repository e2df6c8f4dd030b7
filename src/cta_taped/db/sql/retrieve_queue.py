# SPDX-License-Identifier: GPL-3.0-or-later
"""Retrieve jobs of a mount: claim, done, failed, requeue (scheduler reference 5 and 6.2).

What it is: the scheduler's ``RetrieveQueue`` in SQL. What it is not: the order in which files are read.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from sqlalchemy import delete, func, or_, select, update

from cta_taped.common.model import DriveIdentity, JobFailure, Mount, RetrieveJob
from cta_taped.db import checksumblob
from cta_taped.db.sql.database import AnyRow, Database, chunks
from cta_taped.db.sql.outcomes import finish
from cta_taped.db.sql.queues import USER_RETRIEVE, family_of, heartbeat, move, requeue, take_back, within
from cta_taped.db.sql.retries import fail_jobs, next_copy


def _job(row: AnyRow) -> RetrieveJob:
    return RetrieveJob(
        job_id=row.job_id,
        archive_file_id=row.archive_file_id,
        copy_nb=row.copy_nb,
        vid=row.vid,
        fseq=row.fseq,
        block_id=row.block_id,
        destination_url=row.dst_url or "",
        size_bytes=row.size_in_bytes,
        adler32=checksumblob.adler32_of(row.checksumblob),
        verify_only=bool(row.is_verify_only),
        disk_system=row.disk_system_name or None,
    )


class SqlRetrieveQueue:
    """``db.scheduler.RetrieveQueue`` on a relational database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(
        self,
        drive: DriveIdentity,
        mount: Mount,
        max_files: int,
        max_bytes: int,
        without_disk_systems: Collection[str] = (),
    ) -> list[RetrieveJob]:
        """See ``RetrieveQueue.claim``."""
        family = family_of(mount)
        c = family.pending.c
        candidates = select(c.job_id, c.size_in_bytes).where(
            c.vid == mount.vid,
            c.status == family.to_transfer,
            or_(c.mount_id.is_(None), c.mount_id == mount.mount_id),
        )
        if without_disk_systems:
            # NOT IN alone would also drop the rows that belong to no disk system.
            blocked = sorted(without_disk_systems)
            candidates = candidates.where(
                or_(c.disk_system_name.is_(None), c.disk_system_name.not_in(blocked))
            )
        candidates = (
            candidates.order_by(c.priority.desc(), c.job_id)
            .limit(max_files)
            .with_for_update(skip_locked=True)
        )
        now = int(time.time())
        with self._database.write() as connection:
            self._database.lock(connection, mount.vid)
            rows = connection.execute(candidates).all()
            ids = within([(row.job_id, row.size_in_bytes or 0) for row in rows], max_bytes)
            values = {
                "mount_id": mount.mount_id,
                "tape_pool": mount.tape_pool,
                "drive": drive.name,
                "host": drive.host,
                "logical_library": mount.logical_library,
                "lifecycle_first_selected_time": func.coalesce(c.lifecycle_first_selected_time, now),
                "last_update_time": now,
            }
            move(connection, family.pending, family.active, ids, values)
            heartbeat(self._database, connection, family, mount.mount_id)
            jobs: dict[int, RetrieveJob] = {}
            for part in chunks(ids):
                found = connection.execute(select(family.active).where(family.active.c.job_id.in_(part)))
                jobs.update((row.job_id, _job(row)) for row in found)
        return [jobs[job_id] for job_id in ids]

    def done(self, mount: Mount, job_ids: Collection[int]) -> list[int]:
        """See ``RetrieveQueue.done``."""
        family = family_of(mount)
        c = family.active.c
        now = int(time.time())
        with self._database.write() as connection:
            take_back(connection, family, mount, job_ids, {})
            rows: list[AnyRow] = []
            for ids in chunks(sorted(job_ids)):
                rows += connection.execute(
                    select(c.job_id, c.status, c.retrieve_request_id, c.retrieve_report_url)
                    .where(c.job_id.in_(ids), c.mount_id == mount.mount_id)
                    .order_by(c.job_id)
                    .with_for_update()
                ).all()
            todo = [row for row in rows if row.status == family.to_transfer]
            told_nobody = [row for row in todo if family is USER_RETRIEVE and not row.retrieve_report_url]
            quiet = {row.job_id for row in told_nobody}
            for ids in chunks(sorted(quiet)):
                connection.execute(delete(family.active).where(c.job_id.in_(ids)))
            finish(
                connection,
                family.direction,
                {row.retrieve_request_id: ("done", None) for row in told_nobody},
            )
            for ids in chunks([row.job_id for row in todo if row.job_id not in quiet]):
                connection.execute(
                    update(family.active)
                    .where(c.job_id.in_(ids))
                    .values(status=family.succeeded, lifecycle_completed_time=now, last_update_time=now)
                )
        return sorted(set(job_ids) - {row.job_id for row in rows})

    def failed(self, mount: Mount, failures: Sequence[JobFailure]) -> list[int]:
        """See ``RetrieveQueue.failed``."""
        return fail_jobs(self._database, family_of(mount), mount, failures)

    def requeue(self, mount: Mount, job_ids: Collection[int]) -> None:
        """See ``RetrieveQueue.requeue``."""
        requeue(self._database, family_of(mount), mount.mount_id, job_ids)

    def divert(self, mount: Mount) -> int:
        """See ``RetrieveQueue.divert``."""
        family = family_of(mount)
        c = family.pending.c
        now = int(time.time())
        waiting = select(family.pending).where(
            c.vid == mount.vid, c.status == family.to_transfer, c.mount_id.is_(None)
        )
        diverted = 0
        with self._database.write() as connection:
            self._database.lock(connection, mount.vid)
            for row in connection.execute(waiting.with_for_update(skip_locked=True)).all():
                values = next_copy(row)
                if values.get("vid", mount.vid) != mount.vid:
                    statement = update(family.pending).where(c.job_id == row.job_id)
                    connection.execute(statement.values(**values, last_update_time=now))
                    diverted += 1
        return diverted
