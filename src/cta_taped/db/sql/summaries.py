# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits and what runs, queue by queue, as an operator wants to see it.

What it is: the grouping behind ``Requests.queues``. What it is not: the mount decision's view (``mounts``),
which leaves running jobs out.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select

from cta_taped.common.model import MountType
from cta_taped.db.scheduler import Direction, QueueSummary
from cta_taped.db.sql.queues import REPACK_ARCHIVE, Family


def summaries(connection: Connection, family: Family) -> list[QueueSummary]:
    """The queues of one family that hold jobs to transfer."""
    retrieve = family.direction is Direction.RETRIEVE
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for table, prefix in ((family.pending, "waiting"), (family.active, "running")):
        c = table.c
        keys = [c[family.owner_column], c.mount_policy]
        if retrieve:
            keys += [c.activity, c.disk_system_name]
        statement = (
            select(
                *keys,
                func.count().label("files"),
                func.coalesce(func.sum(c.size_in_bytes), 0).label("bytes"),
                func.min(c.start_time).label("oldest"),
                func.max(c.start_time).label("youngest"),
                func.max(c.priority).label("priority"),
                func.min(c[family.age_column]).label("min_age"),
            )
            .where(c.status == family.to_transfer)
            .group_by(*keys)
        )
        for row in connection.execute(statement):
            values = merged.setdefault(tuple(row[: len(keys)]), {})
            values[f"{prefix}_files"] = row.files
            values[f"{prefix}_bytes"] = int(row.bytes)
            values["priority"] = max(values.get("priority", 0), row.priority)
            values["min_age_s"] = min(values.get("min_age_s", row.min_age), row.min_age)
            if prefix == "waiting":
                values["oldest_time"], values["youngest_time"] = row.oldest, row.youngest
    mount_type = MountType.RETRIEVE if retrieve else MountType.ARCHIVE_FOR_USER
    if family is REPACK_ARCHIVE:
        mount_type = MountType.ARCHIVE_FOR_REPACK
    empty = {
        "waiting_files": 0,
        "waiting_bytes": 0,
        "running_files": 0,
        "running_bytes": 0,
        "oldest_time": None,
        "youngest_time": None,
    }
    return [
        QueueSummary(
            mount_type=mount_type,
            tape_pool=None if retrieve else key[0],
            vid=key[0] if retrieve else None,
            mount_policy=key[1],
            activity=key[2] if retrieve else None,
            disk_system=key[3] if retrieve else None,
            **{**empty, **values},
        )
        for key, values in merged.items()
    ]
