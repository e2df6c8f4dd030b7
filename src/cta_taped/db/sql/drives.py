# SPDX-License-Identifier: GPL-3.0-or-later
"""DRIVE_STATE and DRIVE_CONFIG: registration, status, wishes, disk space reservations.

What it is: the catalogue's ``Drives`` in SQL. What it is not: the mount decision (``mounts``), which writes
the claim. Why every status is written conditionally: the row has two writers, the session that claims a mount
and the maintenance worker that publishes later; a report that does not know the claim must not erase it
(DESIGN 6).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, delete, func, insert, or_, select, update

from cta_taped.common.errors import (
    CATALOGUE_DRIVE_TAKEN,
    CATALOGUE_IN_USE,
    CATALOGUE_NOT_FOUND,
    CtaError,
)
from cta_taped.common.model import DesiredState, DriveIdentity, DriveReport, DriveStatus, MountType
from cta_taped.db.catalogue import Author, DriveOption, DriveRow, Registration
from cta_taped.db.schema_catalogue import DRIVE_CONFIG, DRIVE_STATE, LOGICAL_LIBRARY, PHYSICAL_LIBRARY
from cta_taped.db.sql import phases
from cta_taped.db.sql.database import AnyRow, Database

SCHEDULER_KEY = "SchedulerBackendName"
_REMOVABLE = frozenset({DriveStatus.DOWN, DriveStatus.SHUTDOWN, DriveStatus.UNKNOWN})
_C = DRIVE_STATE.c


def unknown_drive(name: str) -> CtaError:
    """The error for a drive without a row."""
    return CtaError(CATALOGUE_NOT_FOUND, f"drive {name} is not registered in the catalogue", drive=name)


def _desired(row: AnyRow) -> DesiredState:
    return DesiredState(bool(row.desired_up), bool(row.desired_force_down), row.reason_up_down or None)


class SqlDrives:
    """``db.catalogue.Drives`` on a relational database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(
        self,
        drive: DriveIdentity,
        version: str,
        scheduler_name: str,
        options: Sequence[DriveOption],
        desired: DesiredState | None = None,
    ) -> Registration:
        """See ``Drives.register``."""
        now = int(time.time())
        with self._database.write() as connection:
            found = connection.execute(
                select(DRIVE_STATE).where(_C.drive_name == drive.name).with_for_update()
            ).first()
            if found and (found.host, found.logical_library) != (drive.host, drive.logical_library):
                raise CtaError(
                    CATALOGUE_DRIVE_TAKEN,
                    f"drive {drive.name} is registered by host {found.host} in library"
                    f" {found.logical_library}, not by {drive.host} in {drive.logical_library}",
                    drive=drive.name,
                )
            wish = desired or (_desired(found) if found else DesiredState(up=False))
            values: dict[str, Any] = {
                "dev_file_name": drive.device,
                "raw_library_slot": drive.library_slot,
                "cta_version": version,
                "desired_up": wish.up,
                "desired_force_down": wish.force,
                "reason_up_down": (wish.reason or "")[:1000] or None,
                "last_update_user_name": "cta-taped",
                "last_update_host_name": drive.host,
                "last_update_time": now,
            }
            # A claim of an earlier life outlasts registration: its cartridge may still be in the drive, and
            # the tape must not look free before somebody has seen that the drive is empty.
            claimed = found is not None and (found.session_id is not None or found.current_vid is not None)
            if claimed:
                connection.execute(update(DRIVE_STATE).where(_C.drive_name == drive.name).values(values))
            else:
                connection.execute(delete(DRIVE_STATE).where(_C.drive_name == drive.name))
                connection.execute(
                    insert(DRIVE_STATE).values(
                        drive_name=drive.name,
                        host=drive.host,
                        logical_library=drive.logical_library,
                        mount_type=MountType.NO_MOUNT.value,
                        drive_status=DriveStatus.DOWN.value,
                        next_mount_type=MountType.NO_MOUNT.value,
                        down_or_up_start_time=now,
                        user_comment=found.user_comment if found else None,
                        creation_log_user_name="cta-taped",
                        creation_log_host_name=drive.host,
                        creation_log_time=now,
                        **values,
                    )
                )
            self._store_options(connection, drive.name, scheduler_name, options)
        if found is None or not claimed:
            return Registration(wish, None, None)
        return Registration(wish, found.session_id, found.current_vid)

    @staticmethod
    def _store_options(
        connection: Connection, name: str, scheduler_name: str, options: Sequence[DriveOption]
    ) -> None:
        # Without this key other daemons' mount decisions ignore this drive's mounts (reference 5.14).
        published = {SCHEDULER_KEY: DriveOption("general", SCHEDULER_KEY, scheduler_name, "cta-taped")}
        published.update({option.key: option for option in options if option.key != SCHEDULER_KEY})
        rows = [
            {
                "drive_name": name,
                "category": option.category,
                "key_name": option.key,
                "value": option.value[:1000] or "NULL",
                "source": option.source[:100] or "NULL",
            }
            for option in published.values()
        ]
        connection.execute(delete(DRIVE_CONFIG).where(DRIVE_CONFIG.c.drive_name == name))
        connection.execute(insert(DRIVE_CONFIG), rows)

    def publish(self, drive: DriveIdentity, reports: Sequence[DriveReport]) -> int:
        """See ``Drives.publish``."""
        with self._database.write() as connection:
            applied = sum(
                self._publish(connection, drive, report)
                for report in sorted(reports, key=lambda report: report.sequence)
            )
            if not applied and reports:
                self._require(connection, drive.name)
        return applied

    def _publish(self, connection: Connection, drive: DriveIdentity, report: DriveReport) -> bool:
        status = report.status
        now = int(report.time)
        known = [number for number in (report.mount_id, report.last_mount_id) if number is not None]
        own: ColumnElement[bool] = _C.session_id.is_(None)
        if known:
            own = or_(own, _C.session_id.in_(known))
        mine = and_(_C.drive_name == drive.name, own)
        signed: dict[str, Any] = {
            "host": drive.host,
            "logical_library": drive.logical_library,
            "last_update_user_name": "NO_USER",
            "last_update_host_name": drive.host,
            "last_update_time": now,
        }
        unchanged = dict(signed)
        if status is DriveStatus.TRANSFERING:
            unchanged["bytes_transfered_in_session"] = report.bytes_transferred
            unchanged["files_transfered_in_session"] = report.files_transferred
            unchanged["session_elapsed_time"] = func.coalesce(now - _C.session_start_time, 0)
        same = mine
        if report.mount_id is not None and status in phases.MOUNTED:
            # The row may still say the same status of the mount before.
            same = and_(mine, _C.session_id == report.mount_id)
        result = connection.execute(
            update(DRIVE_STATE).where(same, _C.drive_status == status.value).values(unchanged)
        )
        if result.rowcount:
            return True
        changed = {**signed, **phases.entering(report)}
        if status is DriveStatus.UP:
            changed["drive_status"] = case(
                (_C.desired_up == False, DriveStatus.DOWN.value),  # noqa: E712
                else_=DriveStatus.UP.value,
            )
        return bool(connection.execute(update(DRIVE_STATE).where(mine).values(changed)).rowcount)

    @staticmethod
    def _require(connection: Connection, name: str) -> None:
        if connection.execute(select(_C.drive_name).where(_C.drive_name == name)).first() is None:
            raise unknown_drive(name)

    def desired_state(self, name: str) -> DesiredState:
        """See ``Drives.desired_state``."""
        columns = (_C.desired_up, _C.desired_force_down, _C.reason_up_down)
        with self._database.read() as connection:
            row = connection.execute(select(*columns).where(_C.drive_name == name)).first()
        if row is None:
            raise unknown_drive(name)
        return _desired(row)

    def set_desired_state(self, name: str, desired: DesiredState) -> None:
        """See ``Drives.set_desired_state``."""
        values: dict[str, Any] = {"desired_up": desired.up, "desired_force_down": desired.force}
        if desired.reason is not None:
            values["reason_up_down"] = desired.reason.strip()[:1000] or None
        self._update(name, values)

    def set_comment(self, name: str, comment: str, author: Author) -> None:
        """See ``Drives.set_comment``."""
        values = {
            "user_comment": comment.strip()[:1000] or None,
            "last_update_user_name": author.user,
            "last_update_host_name": author.host,
        }
        self._update(name, values)

    def _update(self, name: str, values: dict[str, Any]) -> None:
        with self._database.write() as connection:
            result = connection.execute(update(DRIVE_STATE).where(_C.drive_name == name).values(values))
            if not result.rowcount:
                raise unknown_drive(name)

    def get(self, name: str) -> DriveRow:
        """See ``Drives.get``."""
        rows = self._rows(name)
        if not rows:
            raise unknown_drive(name)
        return rows[0]

    def all(self) -> list[DriveRow]:
        """See ``Drives.all``."""
        return self._rows(None)

    def _rows(self, name: str | None) -> list[DriveRow]:
        logical, physical = LOGICAL_LIBRARY.c, PHYSICAL_LIBRARY.c
        drives = (
            select(
                DRIVE_STATE,
                logical.is_disabled.label("logical_disabled"),
                physical.physical_library_name,
                physical.is_disabled.label("physical_disabled"),
            )
            .outerjoin(LOGICAL_LIBRARY, logical.logical_library_name == _C.logical_library)
            .outerjoin(PHYSICAL_LIBRARY, physical.physical_library_id == logical.physical_library_id)
            .order_by(_C.drive_name)
        )
        options = select(DRIVE_CONFIG).order_by(DRIVE_CONFIG.c.category, DRIVE_CONFIG.c.key_name)
        if name is not None:
            drives = drives.where(_C.drive_name == name)
            options = options.where(DRIVE_CONFIG.c.drive_name == name)
        by_drive: defaultdict[str, list[DriveOption]] = defaultdict(list)
        with self._database.read() as connection:
            for row in connection.execute(options):
                by_drive[row.drive_name].append(
                    DriveOption(row.category, row.key_name, row.value, row.source)
                )
            return [self._row(row, by_drive[row.drive_name]) for row in connection.execute(drives)]

    @staticmethod
    def _row(row: AnyRow, options: list[DriveOption]) -> DriveRow:
        status = DriveStatus(row.drive_status)
        since = phases.SINCE.get(status)
        return DriveRow(
            name=row.drive_name,
            host=row.host,
            logical_library=row.logical_library,
            logical_library_disabled=bool(row.logical_disabled),
            physical_library=row.physical_library_name,
            physical_library_disabled=bool(row.physical_disabled),
            status=status,
            status_since=getattr(row, since) if since else None,
            desired=_desired(row),
            mount_type=MountType(row.mount_type),
            mount_id=row.session_id,
            vid=row.current_vid,
            tape_pool=row.current_tape_pool,
            vo=row.current_vo,
            priority=row.current_priority,
            activity=row.current_activity,
            files_transferred=row.files_transfered_in_session,
            bytes_transferred=row.bytes_transfered_in_session,
            session_elapsed_s=row.session_elapsed_time,
            last_update_time=row.last_update_time,
            device=row.dev_file_name,
            library_slot=row.raw_library_slot,
            version=row.cta_version,
            comment=row.user_comment,
            disk_system=row.disk_system_name,
            reserved_bytes=row.reserved_bytes,
            scheduler_name=next((option.value for option in options if option.key == SCHEDULER_KEY), None),
            options=tuple(options),
        )

    def remove(self, name: str, force: bool = False) -> None:
        """See ``Drives.remove``."""
        with self._database.write() as connection:
            status = connection.execute(
                select(_C.drive_status).where(_C.drive_name == name).with_for_update()
            ).scalar()
            if status is None:
                raise unknown_drive(name)
            if not force and DriveStatus(status) not in _REMOVABLE:
                raise CtaError(
                    CATALOGUE_IN_USE, f"drive {name} is {status}; put it down first, or force its removal"
                )
            connection.execute(delete(DRIVE_CONFIG).where(DRIVE_CONFIG.c.drive_name == name))
            connection.execute(delete(DRIVE_STATE).where(_C.drive_name == name))

    def reserve_disk_space(self, name: str, mount_id: int, disk_system: str, size_bytes: int) -> None:
        """See ``Drives.reserve_disk_space``."""
        held = self._reservation(name, mount_id, disk_system)
        with self._database.write() as connection:
            result = connection.execute(
                update(DRIVE_STATE)
                .where(held)
                .values(reserved_bytes=func.coalesce(_C.reserved_bytes, 0) + size_bytes)
            )
            if result.rowcount:
                return
            result = connection.execute(
                update(DRIVE_STATE)
                .where(_C.drive_name == name)
                .values(
                    disk_system_name=disk_system, reserved_bytes=size_bytes, reservation_session_id=mount_id
                )
            )
            if not result.rowcount:
                raise unknown_drive(name)

    def release_disk_space(self, name: str, mount_id: int, disk_system: str, size_bytes: int) -> None:
        """See ``Drives.release_disk_space``."""
        left = case((_C.reserved_bytes > size_bytes, _C.reserved_bytes - size_bytes), else_=0)
        with self._database.write() as connection:
            connection.execute(
                update(DRIVE_STATE)
                .where(self._reservation(name, mount_id, disk_system))
                .values(reserved_bytes=left)
            )

    @staticmethod
    def _reservation(name: str, mount_id: int, disk_system: str) -> ColumnElement[bool]:
        return and_(
            _C.drive_name == name,
            _C.disk_system_name == disk_system,
            _C.reservation_session_id == mount_id,
        )

    def reserved_disk_space(self) -> dict[str, int]:
        """See ``Drives.reserved_disk_space``."""
        statement = (
            select(_C.disk_system_name, func.sum(_C.reserved_bytes))
            .where(_C.disk_system_name.is_not(None))
            .group_by(_C.disk_system_name)
        )
        with self._database.read() as connection:
            return {name: int(total or 0) for name, total in connection.execute(statement)}
