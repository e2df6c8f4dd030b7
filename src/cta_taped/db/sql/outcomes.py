# SPDX-License-Identifier: GPL-3.0-or-later
"""How requests ended: our own table TAPED_REQUEST, which outlives the job rows.

What it is: the statements that record a failure and an end. What it is not: the state of a request that still
runs, which its job rows tell (``requests``). Why failure and end are two things: a request has a job for each
copy. It has failed when one of them has, but while another is still to be written, nobody may ask for the
same file again.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from cta_taped.db.scheduler import Direction, RequestState
from cta_taped.db.schema_own import TAPED_REQUEST
from cta_taped.db.sql.database import chunks
from cta_taped.db.sql.queues import Family

_OPEN: Final = "open"


def finish(connection: Connection, direction: Direction, ends: Mapping[int, tuple[str, str | None]]) -> None:
    """Record ends: request id -> (done, failed or cancelled; failure log). What has ended before stays so.

    Requests that another front-end queued have no row; for them nothing happens.
    """
    if not ends:
        return
    c = TAPED_REQUEST.c
    now = int(time.time())
    statement = (
        update(TAPED_REQUEST)
        .where(
            c.direction == direction.value,
            c.request_id == bindparam("the_request"),
            c.outcome == _OPEN,
        )
        .values(outcome=bindparam("the_outcome"), failure_log=bindparam("the_log"), finish_time=now)
    )
    connection.execute(
        statement,
        [
            {"the_request": number, "the_outcome": outcome, "the_log": log}
            for number, (outcome, log) in ends.items()
        ],
    )


def note_failures(connection: Connection, direction: Direction, logs: Mapping[int, str]) -> None:
    """Remember that requests have failed, with the failure logs of their jobs; the first to fail is kept."""
    if not logs:
        return
    c = TAPED_REQUEST.c
    statement = (
        update(TAPED_REQUEST)
        .where(
            c.direction == direction.value,
            c.request_id == bindparam("the_request"),
            c.outcome == _OPEN,
            c.failure_log.is_(None),
        )
        .values(failure_log=bindparam("the_log"))
    )
    rows = [{"the_request": number, "the_log": log} for number, log in logs.items()]
    connection.execute(statement, rows)


def finish_ended(
    connection: Connection, family: Family, requests: Collection[int], otherwise: RequestState
) -> None:
    """End those of the requests that have no job left in the queues: as failed when a failure is remembered,
    else as ``otherwise``.
    """
    c = TAPED_REQUEST.c
    for numbers in chunks(sorted(requests)):
        left: set[int] = set()
        for table in (family.active, family.pending):
            column = table.c[family.request_column]
            left.update(connection.execute(select(column).where(column.in_(numbers))).scalars())
        ended = [number for number in numbers if number not in left]
        failed = {
            row.request_id: row.failure_log
            for row in connection.execute(
                select(c.request_id, c.failure_log).where(
                    c.direction == family.direction.value,
                    c.request_id.in_(ended),
                    c.failure_log.is_not(None),
                )
            )
        }
        ends: dict[int, tuple[str, str | None]] = {
            number: (RequestState.FAILED, failed[number]) if number in failed else (otherwise, None)
            for number in ended
        }
        finish(connection, family.direction, ends)
