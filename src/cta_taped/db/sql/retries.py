# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of failed jobs: the retry rules (scheduler reference 6.1 and 6.2).

What it is: the counters and the three ways a job can go (same mount again, another mount or copy, failure
report). What it is not: a judgement whether a failure is charged; the error table says that, and the session
passes it on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select, update

from cta_taped.common.model import JobFailure, Mount
from cta_taped.db.scheduler import Direction
from cta_taped.db.sql.database import AnyRow, Database, chunks
from cta_taped.db.sql.queues import Family, freed, move


@dataclass(frozen=True, slots=True)
class _Verdict:
    """New values of one row; ``moves``: back to PENDING, ``frees``: for any mount."""

    values: dict[str, Any]
    moves: bool
    frees: bool


def _verdict(family: Family, row: AnyRow, mount: Mount, failure: JobFailure, now: int) -> _Verdict:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    line = f"{stamp} mount {mount.mount_id} drive {row.drive} tape {row.vid}: {failure.code} {failure.text}"
    values: dict[str, Any] = {
        "failure_log": (row.failure_log or "") + line.replace("\n", " ") + "\n",
        "total_retries": row.total_retries,
        "retries_within_mount": row.retries_within_mount,
        "last_mount_with_failure": row.last_mount_with_failure,
        "status": row.status,
    }
    other_copy = next_copy(row) if family.direction is Direction.RETRIEVE else {}
    if not failure.charged:
        elsewhere = other_copy if failure.retry_elsewhere else {}
        return _Verdict({**values, **elsewhere}, moves=True, frees=True)
    here = row.retries_within_mount + 1 if row.last_mount_with_failure == mount.mount_id else 1
    values.update(
        total_retries=row.total_retries + 1,
        retries_within_mount=here,
        last_mount_with_failure=mount.mount_id,
    )
    if row.total_retries + 1 >= row.max_total_retries:
        return _Verdict({**values, "status": family.gave_up}, moves=False, frees=False)
    if here >= row.max_retries_within_mount or failure.retry_elsewhere:
        return _Verdict({**values, "retries_within_mount": 0, **other_copy}, moves=True, frees=True)
    return _Verdict(values, moves=True, frees=False)


def next_copy(row: AnyRow) -> dict[str, Any]:
    """New values of a retrieve row: the entry after the present one of the alternates' parallel lists.

    Nothing when there is no other.
    """
    vids = (row.alternate_vids or "").split(",")
    lists = [
        (text or "").split(",")
        for text in (row.alternate_fseqs, row.alternate_block_ids, row.alternate_copy_nbs)
    ]
    if row.vid not in vids or any(len(values) != len(vids) for values in lists):
        return {}
    at = (vids.index(row.vid) + 1) % len(vids)
    fseq, block_id, copy_nb = (int(values[at]) for values in lists)
    return {"vid": vids[at], "fseq": fseq, "block_id": block_id, "copy_nb": copy_nb}


def fail_jobs(database: Database, family: Family, mount: Mount, failures: Sequence[JobFailure]) -> list[int]:
    """Apply the rules to the mount's jobs; returns the ids that are no longer the mount's."""
    now = int(time.time())
    by_id = {failure.job_id: failure for failure in failures}
    active = family.active
    with database.write() as connection:
        rows: list[AnyRow] = []
        for ids in chunks(sorted(by_id)):
            rows += connection.execute(
                select(active)
                .where(
                    active.c.job_id.in_(ids),
                    active.c.mount_id == mount.mount_id,
                    active.c.status == family.to_transfer,
                )
                .order_by(active.c.job_id)
                .with_for_update()
            ).all()
        verdicts = {row.job_id: _verdict(family, row, mount, by_id[row.job_id], now) for row in rows}
        # Rows with the same set of columns go into one statement.
        shapes: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for job_id, verdict in verdicts.items():
            values = {f"new_{name}": value for name, value in verdict.values.items()}
            shapes.setdefault(tuple(verdict.values), []).append(
                {**values, "the_job": job_id, "new_last_update_time": now}
            )
        for columns, parameters in shapes.items():
            settings: dict[str, Any] = {
                name: bindparam(f"new_{name}") for name in (*columns, "last_update_time")
            }
            connection.execute(
                update(active).where(active.c.job_id == bindparam("the_job")).values(settings), parameters
            )
        again = [job_id for job_id, v in verdicts.items() if v.moves and not v.frees]
        move(connection, active, family.pending, again, {"last_update_time": now})
        free = [job_id for job_id, v in verdicts.items() if v.moves and v.frees]
        move(connection, active, family.pending, free, freed(family))
    return sorted(set(by_id) - set(verdicts))
