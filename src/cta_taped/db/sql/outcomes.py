# SPDX-License-Identifier: GPL-3.0-or-later
"""How requests ended: our own table TAPED_REQUEST, which outlives the job rows.

What it is: the one statement that records an end. What it is not: the state of a request that still runs,
which its job rows tell (``requests``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, update

from cta_taped.db.scheduler import Direction
from cta_taped.db.schema_own import TAPED_REQUEST


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
            c.outcome == "open",
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
