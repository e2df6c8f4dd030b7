# SPDX-License-Identifier: GPL-3.0-or-later
"""The mount decision: what waits, what runs, and the claim that makes a choice binding.

What it is: the scheduler's ``Mounts`` in SQL. What it is not: the rules (``db.decision``). How two drives
never take one tape: nothing but the catalogue's DRIVE_STATE is written, so the decision is one write
transaction of the catalogue, under a lock that all decisions take (on SQLite the write lock itself; on
PostgreSQL an advisory lock, and beside it upstream's lock of the logical library in the scheduler database).
Upstream releases its lock before it writes.

Idle drives ask every few seconds, so the questions come cheapest first: is anything queued (four index
look-ups), what is queued (grouping, without a lock), would it be decided for (a dry run, without a lock);
only then is there a lock, and under it the queues are not grouped again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from cta_taped.common.model import DriveIdentity, DriveReport, DriveStatus, Mount, MountType
from cta_taped.db.catalogue import TapeFacts
from cta_taped.db.decision import (
    Decision,
    ExistingMount,
    PotentialMount,
    Quota,
    Situation,
    decide,
)
from cta_taped.db.scheduler import Direction, MountCriteria
from cta_taped.db.schema_catalogue import (
    DRIVE_CONFIG,
    DRIVE_STATE,
    LOGICAL_LIBRARY,
    PHYSICAL_LIBRARY,
    TAPE,
    TAPE_POOL,
    VIRTUAL_ORGANIZATION,
)
from cta_taped.db.schema_scheduler import DISK_SYSTEM_SLEEP_TRACKING
from cta_taped.db.sql import phases
from cta_taped.db.sql.database import Database, chunks
from cta_taped.db.sql.drives import SCHEDULER_KEY, unknown_drive
from cta_taped.db.sql.queues import FAMILIES, REPACK_ARCHIVE, REPACK_RETRIEVE, Family, family_of, heartbeat
from cta_taped.db.sql.tapes import facts_of, facts_query

DECISION_LOCK = "cta-taped mount decision"


def _mount_type(family: Family) -> MountType:
    if family.direction is Direction.RETRIEVE:
        return MountType.RETRIEVE
    return MountType.ARCHIVE_FOR_REPACK if family is REPACK_ARCHIVE else MountType.ARCHIVE_FOR_USER


def _waiting(family: Family) -> ColumnElement[bool]:
    c = family.pending.c
    return (c.mount_id.is_(None)) & (c.status == family.to_transfer)


class SqlMounts:
    """``db.scheduler.Mounts`` on relational databases."""

    def __init__(self, database: Database, catalogue: Database, backend_name: str) -> None:
        self._database = database
        self._catalogue = catalogue
        self._backend_name = backend_name

    def next(
        self,
        drive: DriveIdentity,
        criteria: MountCriteria,
        excluded_vids: Collection[str] = (),
        reserve: Callable[[Mount], None] | None = None,
    ) -> Mount | None:
        """See ``Mounts.next``."""
        with self._database.read() as connection:
            families = [family for family in FAMILIES if self._any_waiting(connection, family)]
            potentials = self._potentials(connection, families) if families else []
        if not potentials:
            return None
        with self._catalogue.read() as connection:
            situation = self._situation(connection, drive, potentials)
        if decide(potentials, situation, criteria, excluded_vids) is None:
            return None
        with self._database.write() as connection:
            mount_id = self._database.draw(connection, "mount_id_seq", 1)[0]
        with (
            self._database.exclusion(drive.logical_library),
            self._catalogue.write() as connection,
        ):
            self._catalogue.lock(connection, DECISION_LOCK)
            situation = self._situation(connection, drive, potentials)
            while (decision := decide(potentials, situation, criteria, excluded_vids)) is not None:
                if self._still_waiting(decision.potential):
                    mount = self._claim(connection, drive, mount_id, decision)
                    if reserve is not None:
                        reserve(mount)
                    return mount
                potentials = [other for other in potentials if other is not decision.potential]
        return None

    @staticmethod
    def _any_waiting(connection: Connection, family: Family) -> bool:
        statement = select(family.pending.c.job_id).where(_waiting(family)).limit(1)
        return connection.execute(statement).first() is not None

    def _still_waiting(self, potential: PotentialMount) -> bool:
        for family in FAMILIES:
            if (_mount_type(family), family in (REPACK_ARCHIVE, REPACK_RETRIEVE)) == (
                potential.mount_type,
                potential.repack,
            ):
                c = family.pending.c
                statement = (
                    select(c.job_id)
                    .where(c[family.owner_column] == potential.queue, _waiting(family))
                    .limit(1)
                )
                with self._database.read() as connection:
                    return connection.execute(statement).first() is not None
        return False

    def _potentials(self, connection: Connection, families: list[Family]) -> list[PotentialMount]:
        now = int(time.time())
        sleeping = self._sleeping(connection, now)
        found: dict[tuple[MountType, str, bool], PotentialMount] = {}
        for family in families:
            c = family.pending.c
            owner = c[family.owner_column]
            keys = [owner, c.mount_policy]
            retrieve = family.direction is Direction.RETRIEVE
            if retrieve:
                keys += [c.activity, c.disk_system_name]
            statement = (
                select(
                    *keys,
                    func.count().label("files"),
                    func.coalesce(func.sum(c.size_in_bytes), 0).label("bytes"),
                    func.min(func.coalesce(c.start_time, 0)).label("oldest"),
                    func.max(c.priority).label("priority"),
                    func.min(c[family.age_column]).label("min_age"),
                )
                .where(_waiting(family))
                .group_by(*keys)
            )
            mount_type = _mount_type(family)
            repack = family in (REPACK_ARCHIVE, REPACK_RETRIEVE)
            for row in connection.execute(statement):
                if retrieve and row.disk_system_name in sleeping:
                    continue
                part = PotentialMount(
                    mount_type=mount_type,
                    queue=row[0],
                    repack=repack,
                    files=row.files,
                    bytes=int(row.bytes),
                    priority=row.priority,
                    oldest_time=row.oldest,
                    aged=now - row.oldest >= row.min_age,
                    activity=(row.activity or None) if retrieve else None,
                )
                key = (mount_type, part.queue, repack)
                found[key] = _joined(found[key], part) if key in found else part
        return list(found.values())

    def _situation(
        self, connection: Connection, drive: DriveIdentity, potentials: list[PotentialMount]
    ) -> Situation:
        # Drives before tapes: each statement of PostgreSQL sees what is committed when it begins, and a drive
        # records its files before it lets its tape go. The other way round, a tape could be found free with
        # the LAST_FSEQ of before its last flush.
        existing, in_use = self._existing(connection, drive.name)
        enabled = self._library_enabled(connection, drive.logical_library)
        archives = sorted({p.queue for p in potentials if p.mount_type is not MountType.RETRIEVE})
        vids = sorted({p.queue for p in potentials if p.mount_type is MountType.RETRIEVE})
        writable: list[TapeFacts] = []
        readable: dict[str, TapeFacts] = {}
        here = LOGICAL_LIBRARY.c.logical_library_name == drive.logical_library
        if enabled and archives:
            statement = facts_query().where(
                here,
                TAPE_POOL.c.tape_pool_name.in_(archives),
                TAPE.c.tape_state == "ACTIVE",
                TAPE.c.is_full == False,  # noqa: E712
                TAPE.c.is_from_castor == False,  # noqa: E712
            )
            ordered = statement.order_by(TAPE.c.data_in_bytes.desc(), TAPE.c.vid)
            writable = [facts_of(row) for row in connection.execute(ordered)]
        if enabled:
            for some in chunks(vids):
                statement = facts_query().where(
                    here, TAPE.c.vid.in_(some), TAPE.c.tape_state.in_(("ACTIVE", "REPACKING"))
                )
                readable.update((row.vid, facts_of(row)) for row in connection.execute(statement))
        vo = VIRTUAL_ORGANIZATION.c
        columns = (vo.virtual_organization_name, vo.read_max_drives, vo.write_max_drives, vo.is_repack_vo)
        quotas: dict[str, Quota] = {}
        repack_vo: str | None = None
        for name, read, write, is_repack in connection.execute(select(*columns)):
            quotas[name] = Quota(read, write)
            if is_repack == "1":
                repack_vo = name
        return Situation(existing, in_use, writable, readable, quotas, repack_vo)

    @staticmethod
    def _library_enabled(connection: Connection, name: str) -> bool:
        logical, physical = LOGICAL_LIBRARY.c, PHYSICAL_LIBRARY.c
        statement = (
            select(logical.is_disabled, physical.is_disabled)
            .outerjoin(PHYSICAL_LIBRARY, physical.physical_library_id == logical.physical_library_id)
            .where(logical.logical_library_name == name)
        )
        row = connection.execute(statement).first()
        return row is not None and not row[0] and not row[1]

    def _existing(self, connection: Connection, own_name: str) -> tuple[list[ExistingMount], set[str]]:
        c = DRIVE_STATE.c
        backend = (
            select(DRIVE_CONFIG.c.value)
            .where(DRIVE_CONFIG.c.drive_name == c.drive_name, DRIVE_CONFIG.c.key_name == SCHEDULER_KEY)
            .scalar_subquery()
        )
        current, coming = TAPE.alias(), TAPE.alias()
        statement = (
            select(
                c.drive_status,
                c.mount_type,
                c.current_vid,
                c.current_tape_pool,
                c.current_vo,
                c.next_mount_type,
                c.next_vid,
                c.next_tape_pool,
                c.next_vo,
                backend.label("backend"),
                current.c.tape_state.label("current_state"),
                coming.c.tape_state.label("next_state"),
            )
            .outerjoin(current, current.c.vid == c.current_vid)
            .outerjoin(coming, coming.c.vid == c.next_vid)
            .where(c.drive_name != own_name)
        )
        existing: list[ExistingMount] = []
        in_use: set[str] = set()
        for row in connection.execute(statement):
            in_use.update(vid for vid in (row.current_vid, row.next_vid) if vid)
            if row.backend != self._backend_name:
                continue
            if row.drive_status in phases.MOUNTED and row.mount_type != MountType.NO_MOUNT:
                existing.append(
                    _existing_mount(
                        row.mount_type,
                        row.current_vid,
                        row.current_tape_pool,
                        row.current_vo,
                        row.current_state,
                    )
                )
            if row.next_mount_type != MountType.NO_MOUNT:
                existing.append(
                    _existing_mount(
                        row.next_mount_type, row.next_vid, row.next_tape_pool, row.next_vo, row.next_state
                    )
                )
        return existing, in_use

    @staticmethod
    def _claim(connection: Connection, drive: DriveIdentity, mount_id: int, decision: Decision) -> Mount:
        tape, potential = decision.tape, decision.potential
        report = DriveReport(
            sequence=0,
            time=time.time(),
            status=DriveStatus.STARTING,
            mount_id=mount_id,
            mount_type=potential.mount_type,
            vid=tape.vid,
            tape_pool=tape.tape_pool,
            vo=tape.vo,
            activity=potential.activity,
        )
        values: dict[str, Any] = {
            **phases.entering(report),
            "host": drive.host,
            "logical_library": drive.logical_library,
            "last_update_user_name": "NO_USER",
            "last_update_host_name": drive.host,
            "last_update_time": int(report.time),
        }
        statement = update(DRIVE_STATE).where(DRIVE_STATE.c.drive_name == drive.name).values(values)
        if not connection.execute(statement).rowcount:
            raise unknown_drive(drive.name)
        return Mount(
            mount_id=mount_id,
            mount_type=potential.mount_type,
            vid=tape.vid,
            tape_pool=tape.tape_pool,
            vo=tape.vo,
            media_type=tape.media_type,
            vendor=tape.vendor,
            logical_library=tape.logical_library,
            last_fseq=tape.last_fseq,
            capacity_bytes=tape.capacity_bytes,
            label_format=tape.label_format,
            encryption_key_name=tape.encryption_key_name,
            priority=potential.priority,
            activity=potential.activity,
            repack=potential.repack,
        )

    def renew(self, mount: Mount) -> None:
        """See ``Mounts.renew``."""
        with self._database.write() as connection:
            heartbeat(self._database, connection, family_of(mount), mount.mount_id)

    def sleep_disk_system(self, disk_system: str, sleep_time_s: int) -> None:
        """See ``Mounts.sleep_disk_system``."""
        now = int(time.time())
        c = DISK_SYSTEM_SLEEP_TRACKING.c
        with self._database.write() as connection:
            connection.execute(
                delete(DISK_SYSTEM_SLEEP_TRACKING).where(
                    c.disk_system_name == disk_system, c.last_update_time + c.sleep_time <= now
                )
            )
            statement = self._database.insert(DISK_SYSTEM_SLEEP_TRACKING).values(
                disk_system_name=disk_system, sleep_time=sleep_time_s, last_update_time=now
            )
            connection.execute(statement.on_conflict_do_nothing())

    def sleeping_disk_systems(self) -> frozenset[str]:
        """See ``Mounts.sleeping_disk_systems``."""
        with self._database.read() as connection:
            return self._sleeping(connection, int(time.time()))

    @staticmethod
    def _sleeping(connection: Connection, now: int) -> frozenset[str]:
        c = DISK_SYSTEM_SLEEP_TRACKING.c
        statement = select(c.disk_system_name).where(c.last_update_time + c.sleep_time > now)
        return frozenset(connection.execute(statement).scalars())


def _joined(one: PotentialMount, two: PotentialMount) -> PotentialMount:
    """Two parts of one queue (different mount policies, activities or disk systems) as one."""
    return PotentialMount(
        mount_type=one.mount_type,
        queue=one.queue,
        repack=one.repack,
        files=one.files + two.files,
        bytes=one.bytes + two.bytes,
        priority=max(one.priority, two.priority),
        oldest_time=min(one.oldest_time, two.oldest_time),
        aged=one.aged or two.aged,
        activity=one.activity if one.priority >= two.priority else two.activity,
    )


def _existing_mount(
    mount_type: str, vid: str | None, tape_pool: str | None, vo: str | None, tape_state: str | None
) -> ExistingMount:
    repack = mount_type == MountType.ARCHIVE_FOR_REPACK or (
        mount_type == MountType.RETRIEVE and tape_state == "REPACKING"
    )
    # ARCHIVE_ALL_TYPES is a summary value that no drive ever has.
    return ExistingMount(MountType(mount_type), vid, tape_pool, vo, repack)
