# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left behind by mounts that died, and what is too old (scheduler reference 6.4).

What it is: the scheduler's ``Upkeep`` in SQL, for all four families. What it is not: a schedule. Why "no sign
of life" needs two witnesses: a mount is dead only when its heart-beat is old *and* no drive says that it runs
it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from sqlalchemy import ColumnElement, Table, delete, false, func, select, tuple_, update

from cta_taped.db.schema_catalogue import DRIVE_STATE
from cta_taped.db.schema_own import TAPED_REQUEST
from cta_taped.db.schema_scheduler import DISK_SYSTEM_SLEEP_TRACKING, MOUNT_QUEUE_LAST_FETCH
from cta_taped.db.sql.database import Database, chunks
from cta_taped.db.sql.incomplete import end_incomplete
from cta_taped.db.sql.queues import FAMILIES, REQUEUED_MARKER, Family, appended, freed, move

RELEASE_BATCH = 1000

_F = MOUNT_QUEUE_LAST_FETCH.c


class SqlUpkeep:
    """``db.scheduler.Upkeep`` on relational databases."""

    def __init__(self, database: Database, catalogue: Database) -> None:
        self._database = database
        self._catalogue = catalogue

    def requeue_dead_mounts(self, age_s: int, limit: int, not_before: float = 0.0) -> int:
        """See ``Upkeep.requeue_dead_mounts``."""
        now = time.time()
        if now < not_before:
            return 0
        oldest = int(now) - age_s
        return sum(self._requeue_family(family, oldest, limit) for family in FAMILIES)

    def _requeue_family(self, family: Family, oldest: int, limit: int) -> int:
        owners: set[int] = set()
        with self._database.read() as connection:
            for table, condition in self._held(family):
                statement = select(table.c.mount_id).distinct().where(condition)
                owners.update(connection.execute(statement).scalars())
        dead = self._dead(family, owners, oldest)
        return self._give_back(family, dead, limit) if dead else 0

    def _give_back(self, family: Family, dead: list[int], limit: int) -> int:
        """Jobs that these mounts hold go back to the queue, uncharged; how many of at most 2 x ``limit``."""
        active, pending = family.active, family.pending
        (_, in_active), (_, in_pending) = self._held(family)
        log = appended(active, REQUEUED_MARKER)
        with self._database.write() as connection:
            ids = (
                connection.execute(
                    select(active.c.job_id)
                    .where(in_active, active.c.mount_id.in_(dead))
                    .limit(limit)
                    .with_for_update(skip_locked=True)
                )
                .scalars()
                .all()
            )
            moved = move(connection, active, pending, ids, {**freed(family), "failure_log": log})
            waiting = (
                connection.execute(
                    select(pending.c.job_id)
                    .where(in_pending, pending.c.mount_id.in_(dead))
                    .limit(limit)
                    .with_for_update(skip_locked=True)
                )
                .scalars()
                .all()
            )
            for part in chunks(waiting):
                connection.execute(update(pending).where(pending.c.job_id.in_(part)).values(freed(family)))
        return moved + len(waiting)

    @staticmethod
    def _held(family: Family) -> tuple[tuple[Table, ColumnElement[bool]], tuple[Table, ColumnElement[bool]]]:
        """The tables whose rows a mount holds, each with the condition that it does."""
        active, pending = family.active.c, family.pending.c
        in_active = (
            active.mount_id.is_not(None)
            & (active.status == family.to_transfer)
            & (active.is_reporting == false())
        )
        return (family.active, in_active), (family.pending, pending.mount_id.is_not(None))

    def _dead(self, family: Family, owners: Iterable[int], oldest: int) -> list[int]:
        """Those of the mounts that neither stamped since ``oldest`` nor are any drive's session."""
        suspects = set(owners)
        if not suspects:
            return []
        alive: set[int] = set()
        with self._database.read() as connection:
            for part in chunks(sorted(suspects)):
                recent = select(_F.mount_id).where(
                    _F.mount_id.in_(part),
                    _F.queue_type.in_(family.heartbeats),
                    _F.last_update_time >= oldest,
                )
                alive.update(connection.execute(recent).scalars())
        return sorted(suspects - alive - self._sessions())

    def _sessions(self) -> set[int]:
        c = DRIVE_STATE.c
        with self._catalogue.read() as connection:
            statement = select(c.session_id).where(c.session_id.is_not(None))
            return set(connection.execute(statement).scalars())

    def release_mount(self, mount_id: int) -> int:
        """See ``Upkeep.release_mount``."""
        jobs = 0
        for family in FAMILIES:
            while moved := self._give_back(family, [mount_id], RELEASE_BATCH):
                jobs += moved
        return jobs

    def end_incomplete(self, limit: int) -> int:
        """See ``Upkeep.end_incomplete``."""
        return end_incomplete(self._database, limit)

    def clean_stamps(self, age_s: int, limit: int) -> int:
        """See ``Upkeep.clean_stamps``."""
        oldest = int(time.time()) - age_s
        removed = 0
        sessions = self._sessions()
        for family in FAMILIES:
            with self._database.write() as connection:
                holders: set[int] = set()
                for table, condition in self._held(family):
                    statement = select(table.c.mount_id).distinct().where(condition)
                    holders.update(connection.execute(statement).scalars())
                stale = connection.execute(
                    select(_F.mount_id, _F.queue_type)
                    .where(_F.queue_type.in_(family.heartbeats), _F.last_update_time < oldest)
                    .limit(limit)
                ).all()
                keys = [
                    (mount_id, queue_type)
                    for mount_id, queue_type in stale
                    if mount_id not in holders and mount_id not in sessions
                ]
                for part in chunks(keys):
                    removed += connection.execute(
                        delete(MOUNT_QUEUE_LAST_FETCH).where(tuple_(_F.mount_id, _F.queue_type).in_(part))
                    ).rowcount
        return removed

    def delete_old_failed(self, age_s: int, limit: int) -> int:
        """See ``Upkeep.delete_old_failed``."""
        oldest = int(time.time()) - age_s
        removed = 0
        for family in FAMILIES:
            failed, c = family.failed, family.failed.c
            old = select(c.job_id).where(c.last_update_time < oldest).limit(limit)
            with self._database.write() as connection:
                ids = connection.execute(old).scalars().all()
                for part in chunks(ids):
                    removed += connection.execute(delete(failed).where(c.job_id.in_(part))).rowcount
        r = TAPED_REQUEST.c
        with self._database.write() as connection:
            ended = select(r.direction, r.request_id).where(r.finish_time < oldest).limit(limit)
            for part in chunks([tuple(row) for row in connection.execute(ended)]):
                connection.execute(delete(TAPED_REQUEST).where(tuple_(r.direction, r.request_id).in_(part)))
        return removed

    def wake_disk_systems(self) -> int:
        """See ``Upkeep.wake_disk_systems``."""
        c = DISK_SYSTEM_SLEEP_TRACKING.c
        expired = c.last_update_time + c.sleep_time <= int(time.time())
        with self._database.read() as connection:
            count = connection.execute(
                select(func.count()).select_from(DISK_SYSTEM_SLEEP_TRACKING).where(expired)
            ).scalar_one()
        if not count:
            return 0
        with self._database.write() as connection:
            return connection.execute(delete(DISK_SYSTEM_SLEEP_TRACKING).where(expired)).rowcount
