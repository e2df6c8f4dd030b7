# SPDX-License-Identifier: GPL-3.0-or-later
"""Finished jobs on their way to the disk systems (scheduler reference 6.3).

What it is: the scheduler's ``Reports`` in SQL. What it is not: the call to a disk system, which a maintenance
routine makes. Why a row is marked before and not locked while it is reported: a call may take long, a lock
must not.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, false, select, true, update

from cta_taped.db.scheduler import Direction, Report, RequestState
from cta_taped.db.sql.database import AnyRow, Database, chunks
from cta_taped.db.sql.outcomes import finish_ended, note_failures
from cta_taped.db.sql.queues import USER_FAMILIES, Family, move


def _report(family: Family, row: AnyRow) -> Report:
    success = row.status == family.succeeded
    prefix = family.report_prefix
    url = getattr(row, f"{prefix}_report_url" if success else f"{prefix}_error_report_url")
    return Report(
        direction=family.direction,
        job_id=row.job_id,
        request_id=getattr(row, family.request_column),
        archive_file_id=row.archive_file_id,
        success=success,
        url=url or "",
        failure_log=row.failure_log or "",
        disk_instance=row.disk_instance or "",
        disk_file_id=row.disk_file_id or "",
    )


def _let_go() -> dict[str, Any]:
    return {"is_reporting": False, "last_update_time": int(time.time())}


class SqlReports:
    """``db.scheduler.Reports`` on a relational database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, direction: Direction, limit: int) -> list[Report]:
        """See ``Reports.take``."""
        family = USER_FAMILIES[direction]
        active, c = family.active, family.active.c
        statement = (
            select(active)
            .where(c.status.in_((family.succeeded, family.gave_up)), c.is_reporting == false())
            .order_by(c.job_id)
            .limit(limit)
        )
        with self._database.read() as connection:
            if connection.execute(statement.limit(1)).first() is None:
                return []
        with self._database.write() as connection:
            rows = connection.execute(statement.with_for_update(skip_locked=True)).all()
            values = {"is_reporting": True, "last_update_time": int(time.time())}
            for ids in chunks([row.job_id for row in rows]):
                connection.execute(update(active).where(c.job_id.in_(ids)).values(values))
        return [_report(family, row) for row in rows]

    def delivered(self, reports: Sequence[Report]) -> None:
        """See ``Reports.delivered``."""
        with self._database.write() as connection:
            for direction, family in USER_FAMILIES.items():
                mine = [report for report in reports if report.direction is direction]
                for part in chunks(mine):
                    ids = [report.job_id for report in part]
                    connection.execute(
                        delete(family.active).where(
                            family.active.c.job_id.in_(ids), family.active.c.is_reporting == true()
                        )
                    )
                self._finish(connection, family, mine)

    def keep(self, reports: Sequence[Report]) -> None:
        """See ``Reports.keep``."""
        with self._database.write() as connection:
            for direction, family in USER_FAMILIES.items():
                mine = [report for report in reports if report.direction is direction]
                for part in chunks(mine):
                    c = family.active.c
                    held = (c.job_id.in_([report.job_id for report in part]), c.is_reporting == true())
                    statement = select(c.job_id).where(*held).with_for_update()
                    ids = connection.execute(statement).scalars().all()
                    move(connection, family.active, family.failed, ids, _let_go())
                self._finish(connection, family, mine)

    @staticmethod
    def _finish(connection: Connection, family: Family, reports: Sequence[Report]) -> None:
        failed = {report.request_id: report.failure_log for report in reports if not report.success}
        note_failures(connection, family.direction, failed)
        numbers = {report.request_id for report in reports}
        finish_ended(connection, family, numbers, RequestState.DONE)

    def undelivered(self, report: Report, reason: str) -> bool:
        """See ``Reports.undelivered``."""
        family = USER_FAMILIES[report.direction]
        active, c = family.active, family.active.c
        with self._database.write() as connection:
            row = connection.execute(
                select(c.total_report_retries, c.max_report_retries, c.report_failure_log)
                .where(c.job_id == report.job_id, c.is_reporting == true())
                .with_for_update()
            ).first()
            if row is None:
                return False
            tries = row.total_report_retries + 1
            values: dict[str, Any] = {
                "total_report_retries": tries,
                "report_failure_log": (row.report_failure_log or "") + reason.replace("\n", " ") + "\n",
                **_let_go(),
            }
            if tries < row.max_report_retries:
                connection.execute(update(active).where(c.job_id == report.job_id).values(values))
                return True
            move(connection, active, family.failed, [report.job_id], values)
            self._finish(connection, family, [report])
        return False

    def release_stuck(self, age_s: int, limit: int) -> int:
        """See ``Reports.release_stuck``."""
        now = int(time.time())
        released: defaultdict[str, int] = defaultdict(int)
        for family in USER_FAMILIES.values():
            c = family.active.c
            stuck = (
                select(c.job_id)
                .where(
                    c.status.in_((family.succeeded, family.gave_up)),
                    c.is_reporting == true(),
                    c.last_update_time < now - age_s,
                )
                .limit(limit)
            )
            with self._database.read() as connection:
                ids = connection.execute(stuck).scalars().all()
            if not ids:
                continue
            with self._database.write() as connection:
                for part in chunks(ids):
                    result = connection.execute(
                        update(family.active)
                        .where(c.job_id.in_(part), c.is_reporting == true(), c.last_update_time < now - age_s)
                        .values(is_reporting=False, last_update_time=now)
                    )
                    released[family.direction] += result.rowcount
        return sum(released.values())
