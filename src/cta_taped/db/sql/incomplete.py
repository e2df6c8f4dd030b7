# SPDX-License-Identifier: GPL-3.0-or-later
"""Written copies that wait for a copy that will never come (docs/decisions/0010).

What it is: the end of rows in AJS_WaitReplicasBeforeReportingSuccessToDisk whose request lost a job, because
it failed for good or was cancelled. What it is not: told by the failing job, which may be reported and gone,
by another host's hand too, long before the last sibling is written. Why counting is safe without locks: a job
moves between PENDING and ACTIVE in one transaction, one statement sees one moment, and a job that has ended
does not come back; so a request that misses a job once will miss it always.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, delete, func, select, union_all

from cta_taped.db.scheduler import RequestState
from cta_taped.db.sql.database import Database
from cta_taped.db.sql.outcomes import finish_ended
from cta_taped.db.sql.queues import USER_ARCHIVE, WAITING

_PENDING, _ACTIVE = USER_ARCHIVE.pending.c, USER_ARCHIVE.active.c
_HOPEFUL = (USER_ARCHIVE.to_transfer, WAITING, USER_ARCHIVE.succeeded)


def _incomplete() -> Select[Any]:
    """Requests with a job that waits, and fewer jobs that can still succeed than copies."""
    jobs = union_all(
        select(_PENDING.archive_request_id).where(_PENDING.request_job_count > 1),
        select(_ACTIVE.archive_request_id).where(_ACTIVE.request_job_count > 1, _ACTIVE.status.in_(_HOPEFUL)),
    ).subquery()
    number = jobs.c.archive_request_id
    hopeful = select(number, func.count().label("jobs")).group_by(number).subquery()
    return (
        select(_ACTIVE.archive_request_id)
        .join(hopeful, hopeful.c.archive_request_id == _ACTIVE.archive_request_id)
        .where(_ACTIVE.status == WAITING, _ACTIVE.request_job_count > hopeful.c.jobs)
        .distinct()
    )


def end_incomplete(database: Database, limit: int) -> int:
    """See ``Upkeep.end_incomplete``; ``limit`` counts requests."""
    waiting = select(_ACTIVE.job_id).where(_ACTIVE.status == WAITING).limit(1)
    with database.read() as connection:
        if connection.execute(waiting).first() is None:
            return 0
        requests = connection.execute(_incomplete().limit(limit)).scalars().all()
    if not requests:
        return 0
    with database.write() as connection:
        ended = connection.execute(
            delete(USER_ARCHIVE.active).where(
                _ACTIVE.archive_request_id.in_(requests), _ACTIVE.status == WAITING
            )
        ).rowcount
        finish_ended(connection, USER_ARCHIVE, requests, RequestState.CANCELLED)
    return ended
