# SPDX-License-Identifier: GPL-3.0-or-later
"""The four families of queue tables, and how rows move between the tables of one family.

What it is: which tables, statuses and heart-beat names belong together; moving rows with their JOB_ID. What
it is not: rules of when a row moves (``archive_queue``, ``retrieve_queue``, ``upkeep``). Why rows move and
are never marked: that is upstream's protocol (scheduler reference 7.4).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, delete, func, insert, literal, or_, select

from cta_taped.common.model import Mount, MountType
from cta_taped.db import schema_scheduler as s
from cta_taped.db.scheduler import Direction
from cta_taped.db.sql.database import Database, chunks

REQUEUED_MARKER: Final = "UNPROCESSED_TASK_QUEUE_JOB_REQUEUED"
# A copy that is on tape and waits for the other copies of its request.
WAITING: Final = "AJS_WaitReplicasBeforeReportingSuccessToDisk"


@dataclass(frozen=True, slots=True)
class Family:
    """One family: its tables, the statuses of its life cycle and the names of its heart-beats."""

    direction: Direction
    pending: Table
    active: Table
    failed: Table
    request_column: str
    sequence: str
    request_sequence: str
    owner_column: str
    age_column: str
    url_column: str
    report_prefix: str
    to_transfer: str
    succeeded: str
    gave_up: str
    heartbeats: tuple[str, str]


USER_ARCHIVE: Final = Family(
    Direction.ARCHIVE,
    *s.ARCHIVE,
    "archive_request_id",
    "archive_active_queue_job_id_seq",
    "archive_request_id_seq",
    "tape_pool",
    "min_archive_request_age",
    "src_url",
    "archive",
    "AJS_ToTransferForUser",
    "AJS_ToReportToUserForSuccess",
    "AJS_ToReportToUserForFailure",
    ("ARCHIVE_PENDING", "ARCHIVE_ACTIVE"),
)
REPACK_ARCHIVE: Final = Family(
    Direction.ARCHIVE,
    *s.REPACK_ARCHIVE,
    "archive_request_id",
    "repack_archive_active_queue_job_id_seq",
    "archive_request_id_seq",
    "tape_pool",
    "min_archive_request_age",
    "src_url",
    "archive",
    "AJS_ToTransferForRepack",
    "AJS_ToReportToRepackForSuccess",
    "AJS_ToReportToRepackForFailure",
    ("REPACK_ARCHIVE_PENDING", "REPACK_ARCHIVE_ACTIVE"),
)
USER_RETRIEVE: Final = Family(
    Direction.RETRIEVE,
    *s.RETRIEVE,
    "retrieve_request_id",
    "retrieve_active_queue_job_id_seq",
    "retrieve_request_id_seq",
    "vid",
    "min_retrieve_request_age",
    "dst_url",
    "retrieve",
    "RJS_ToTransfer",
    "RJS_ToReportToUserForSuccess",
    "RJS_ToReportToUserForFailure",
    ("RETRIEVE_PENDING", "RETRIEVE_ACTIVE"),
)
REPACK_RETRIEVE: Final = Family(
    Direction.RETRIEVE,
    *s.REPACK_RETRIEVE,
    "retrieve_request_id",
    "repack_retrieve_active_queue_job_id_seq",
    "retrieve_request_id_seq",
    "vid",
    "min_retrieve_request_age",
    "dst_url",
    "retrieve",
    "RJS_ToTransfer",
    "RJS_ToReportToRepackForSuccess",
    "RJS_ToReportToRepackForFailure",
    ("REPACK_RETRIEVE_PENDING", "REPACK_RETRIEVE_ACTIVE"),
)
FAMILIES: Final = (USER_ARCHIVE, REPACK_ARCHIVE, USER_RETRIEVE, REPACK_RETRIEVE)
USER_FAMILIES: Final = {Direction.ARCHIVE: USER_ARCHIVE, Direction.RETRIEVE: USER_RETRIEVE}


def family_of(mount: Mount) -> Family:
    """The queues that a mount works on."""
    if mount.mount_type is MountType.RETRIEVE:
        return REPACK_RETRIEVE if mount.repack else USER_RETRIEVE
    return REPACK_ARCHIVE if mount.mount_type is MountType.ARCHIVE_FOR_REPACK else USER_ARCHIVE


def move(
    connection: Connection,
    source: Table,
    target: Table,
    job_ids: Collection[int],
    values: Mapping[str, Any],
    *conditions: ColumnElement[bool],
) -> int:
    """Move rows, some columns set to ``values``; how many moved. ``conditions`` restrict them further.

    On PostgreSQL the caller holds locks on the rows, so that INSERT and DELETE see the same ones.
    """
    columns = [column.name for column in target.c]
    moved = 0
    for ids in chunks(sorted(job_ids)):
        chosen = (source.c.job_id.in_(ids), *conditions)
        expressions = []
        for name in columns:
            if name in values:
                value = values[name]
                expressions.append(
                    value if isinstance(value, ColumnElement) else literal(value, target.c[name].type)
                )
            else:
                expressions.append(source.c[name])
        rows = select(*expressions).where(*chosen)
        # Defaults would be looked up for columns that the SELECT already gives.
        connection.execute(insert(target).from_select(columns, rows, include_defaults=False))
        moved += connection.execute(delete(source).where(*chosen)).rowcount
    return moved


# What a row loses when it goes back to PENDING for anybody; a retrieve row keeps its VID, which is its queue.
def freed(family: Family) -> dict[str, Any]:
    """Column values of a job that belongs to no mount."""
    values: dict[str, Any] = {
        "mount_id": None,
        "drive": None,
        "host": None,
        "logical_library": None,
        "is_reporting": False,
        "last_update_time": int(time.time()),
    }
    if family.direction is Direction.ARCHIVE:
        values.update(vid=None, mount_type=None)
    return values


def requeue(database: Database, family: Family, mount_id: int, job_ids: Collection[int]) -> None:
    """Give ACTIVE jobs of a mount back for anybody, uncharged, and let go PENDING ones that wait for it."""
    active, pending = family.active, family.pending
    with database.write() as connection:
        mine = [
            job_id
            for ids in chunks(sorted(job_ids))
            for job_id in connection.execute(
                select(active.c.job_id)
                .where(
                    active.c.job_id.in_(ids),
                    active.c.mount_id == mount_id,
                    active.c.status == family.to_transfer,
                )
                .with_for_update()
            ).scalars()
        ]
        values = freed(family)
        log = appended(active, REQUEUED_MARKER)
        move(connection, active, pending, mine, {**values, "failure_log": log})
        waiting = pending.update().where(pending.c.mount_id == mount_id)
        connection.execute(waiting.values({**values, "retries_within_mount": 0}))


def take_back(
    connection: Connection, family: Family, mount: Mount, job_ids: Collection[int], values: Mapping[str, Any]
) -> None:
    """Claim again jobs that were put back to the queue while the mount finished them, if nobody has them."""
    c = family.pending.c
    for ids in chunks(sorted(job_ids)):
        statement = (
            select(c.job_id)
            .where(c.job_id.in_(ids), or_(c.mount_id.is_(None), c.mount_id == mount.mount_id))
            .with_for_update(skip_locked=True)
        )
        found = connection.execute(statement).scalars().all()
        owned = {"mount_id": mount.mount_id, "last_update_time": int(time.time()), **values}
        move(connection, family.pending, family.active, found, owned)


def appended(table: Table, line: str) -> ColumnElement[str]:
    """FAILURE_LOG with one more line."""
    log: ColumnElement[str] = func.coalesce(table.c.failure_log, "")
    return log.concat(line + "\n")


def heartbeat(database: Database, connection: Connection, family: Family, mount_id: int) -> None:
    """Stamp the mount's entries of MOUNT_QUEUE_LAST_FETCH, unless they are less than 5 s old."""
    table = s.MOUNT_QUEUE_LAST_FETCH
    now = int(time.time())
    statement = database.insert(table)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["mount_id", "queue_type"],
            set_={"last_update_time": now},
            where=table.c.last_update_time < now - 5,
        ),
        [
            {"mount_id": mount_id, "queue_type": queue_type, "last_update_time": now}
            for queue_type in family.heartbeats
        ],
    )


def within(sizes: Sequence[tuple[int, int]], max_bytes: int) -> list[int]:
    """Job ids of the longest prefix of (job id, size) that fits; a too large first job is taken alone."""
    taken: list[int] = []
    total = 0
    for job_id, size in sizes:
        total += size
        if taken and total > max_bytes:
            break
        taken.append(job_id)
    return taken
