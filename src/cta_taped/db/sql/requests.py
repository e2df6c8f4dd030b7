# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests of users and questions of operators: queue, status, cancel, show.

What it is: the scheduler's ``Requests`` in SQL. What it is not: routing (``routing``) or what a session does
with jobs.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select

from cta_taped.common.errors import (
    CATALOGUE_REFUSED,
    SCHEDULER_NOT_FOUND,
    SCHEDULER_REFUSED,
    CtaError,
)
from cta_taped.common.model import MountType
from cta_taped.db import checksumblob
from cta_taped.db.scheduler import (
    ArchiveRequest,
    Direction,
    FailedRequest,
    QueueSummary,
    RequestId,
    RequestState,
    RequestStatus,
    RetrieveRequest,
)
from cta_taped.db.schema_own import TAPED_REQUEST
from cta_taped.db.sql.archive_queue import WAITING
from cta_taped.db.sql.database import AnyRow, Database, chunks
from cta_taped.db.sql.outcomes import finish
from cta_taped.db.sql.queues import (
    FAMILIES,
    REPACK_ARCHIVE,
    USER_ARCHIVE,
    USER_FAMILIES,
    USER_RETRIEVE,
    Family,
)
from cta_taped.db.sql.routing import Copy, Policy, Routing

# Limits that upstream sets at queueing (scheduler reference 2.1): total, within a mount, reports.
_ARCHIVE_RETRIES: Final = (2, 2, 2)
_RETRIEVE_RETRIES: Final = (6, 3, 2)
_PAGE: Final = 1000
_MAX_URL: Final = 2000
_MAX_SMALLINT: Final = 32767
_Q = TAPED_REQUEST.c


def _retries(limits: tuple[int, int, int]) -> dict[str, int]:
    total, within_mount, report = limits
    return {
        "max_total_retries": total,
        "max_retries_within_mount": within_mount,
        "max_report_retries": report,
        "total_retries": 0,
        "retries_within_mount": 0,
        "total_report_retries": 0,
    }


def _refuse_bad(request: ArchiveRequest, limit_bytes: int) -> None:
    what = f"{request.disk_file_path or request.source_url}"
    if request.size_bytes <= 0:
        raise CtaError(CATALOGUE_REFUSED, f"{what}: an empty file cannot be recorded to tape")
    if limit_bytes and request.size_bytes > limit_bytes:
        raise CtaError(
            CATALOGUE_REFUSED,
            f"{what}: {request.size_bytes} bytes are more than the virtual organisation's {limit_bytes}",
        )
    if request.requester.uid <= 0 or request.requester.gid < 0:
        raise CtaError(CATALOGUE_REFUSED, f"{what}: files of owner uid {request.requester.uid} are refused")
    if request.adler32 is not None and not 0 <= request.adler32 <= 0xFFFFFFFF:
        raise CtaError(CATALOGUE_REFUSED, f"{what}: adler32 {request.adler32} is not a 32-bit number")
    texts = (
        ("disk instance", request.disk_instance, 100),
        ("disk file id", request.disk_file_id, 100),
        ("path", request.disk_file_path, _MAX_URL),
        ("source URL", request.source_url, _MAX_URL),
    )
    for name, text, length in texts:
        if not text or len(text) > length:
            raise CtaError(CATALOGUE_REFUSED, f"{what}: the {name} is empty or longer than {length}")
    _refuse_long_urls(request.report_url, request.error_report_url)


def _refuse_long_urls(*urls: str) -> None:
    for url in urls:
        if len(url) > _MAX_URL:
            raise CtaError(CATALOGUE_REFUSED, f"a report URL is longer than {_MAX_URL} characters")


class SqlRequests:
    """``db.scheduler.Requests`` on relational databases."""

    def __init__(self, database: Database, catalogue: Database) -> None:
        self._database = database
        self._catalogue = catalogue

    def queue_archive(self, request: ArchiveRequest) -> RequestId:
        """See ``Requests.queue_archive``."""
        return self.queue_archives([request])[0]

    def queue_archives(self, requests: Sequence[ArchiveRequest]) -> list[RequestId]:
        """See ``Requests.queue_archives``."""
        if not requests:
            return []
        keys = [(request.disk_instance, request.disk_file_id) for request in requests]
        if len(set(keys)) != len(keys):
            raise CtaError(SCHEDULER_REFUSED, "one disk file is named twice in one go")
        with self._catalogue.read() as connection:
            routing = Routing(connection)
            answers = []
            for request in requests:
                route = routing.route(request.storage_class)
                _refuse_bad(request, route.max_size_bytes)
                routing.refuse_archived(request.disk_instance, request.disk_file_id)
                policy = routing.archive_policy(request.disk_instance, request.requester)
                answers.append((request, route.pools, policy))
        with self._catalogue.write() as connection:
            file_ids = self._catalogue.draw(connection, "archive_file_id_seq", len(requests))
        family = USER_ARCHIVE
        now = int(time.time())
        with self._database.write() as connection:
            self._refuse_queued(connection, requests)
            numbers = self._database.draw(connection, family.request_sequence, len(requests))
            count = sum(len(pools) for _, pools, _ in answers)
            job_ids = iter(self._database.draw(connection, family.sequence, count))
            rows: list[dict[str, Any]] = []
            for (request, pools, policy), number, file_id in zip(answers, numbers, file_ids, strict=True):
                for copy_nb, pool in pools:
                    rows.append(
                        _archive_row(request, policy, next(job_ids), number, file_id, copy_nb, pool, now)
                    )
                    rows[-1]["request_job_count"] = len(pools)
            connection.execute(insert(family.pending), rows)
            connection.execute(
                insert(TAPED_REQUEST),
                [
                    {
                        "direction": Direction.ARCHIVE.value,
                        "request_id": number,
                        "archive_file_id": file_id,
                        "disk_instance": request.disk_instance,
                        "disk_file_id": request.disk_file_id,
                        "copies": len(pools),
                        "outcome": "open",
                        "creation_time": now,
                    }
                    for (request, pools, _), number, file_id in zip(answers, numbers, file_ids, strict=True)
                ],
            )
        return [RequestId(Direction.ARCHIVE, number) for number in numbers]

    @staticmethod
    def _refuse_queued(connection: Connection, requests: Sequence[ArchiveRequest]) -> None:
        """Two requests for one disk file would both be written, and the second could not be recorded."""
        by_instance: dict[str, list[str]] = {}
        for request in requests:
            by_instance.setdefault(request.disk_instance, []).append(request.disk_file_id)
        for instance, ids in by_instance.items():
            for part in chunks(ids):
                row = connection.execute(
                    select(_Q.request_id, _Q.disk_file_id).where(
                        _Q.direction == Direction.ARCHIVE.value,
                        _Q.disk_instance == instance,
                        _Q.disk_file_id.in_(part),
                        _Q.outcome == "open",
                    )
                ).first()
                if row is not None:
                    raise CtaError(
                        SCHEDULER_REFUSED,
                        f"disk file {row.disk_file_id} of {instance} is already being archived, request"
                        f" {Direction.ARCHIVE}-{row.request_id}",
                    )

    def queue_retrieve(self, request: RetrieveRequest) -> RequestId:
        """See ``Requests.queue_retrieve``."""
        if not request.verify_only and not 0 < len(request.destination_url) <= _MAX_URL:
            raise CtaError(
                CATALOGUE_REFUSED, f"the destination URL is empty or longer than {_MAX_URL} characters"
            )
        _refuse_long_urls(request.report_url, request.error_report_url)
        with self._catalogue.read() as connection:
            routing = Routing(connection)
            file = routing.archive_file(request.archive_file_id)
            copies = routing.readable_copies(request.archive_file_id, request.vid)
            policy = routing.retrieve_policy(
                file.disk_instance_name, request.requester, request.activity, request.mount_policy
            )
            disk_system = None if request.verify_only else routing.disk_system(request.destination_url)
        family = USER_RETRIEVE
        now = int(time.time())
        with self._database.write() as connection:
            copies = self._busiest_first(connection, copies)
            number = self._database.draw(connection, family.request_sequence, 1)[0]
            job_id = self._database.draw(connection, family.sequence, 1)[0]
            row = _retrieve_row(request, file, copies, policy, now)
            row.update(job_id=job_id, retrieve_request_id=number, disk_system_name=disk_system)
            connection.execute(insert(family.pending), [row])
            connection.execute(
                insert(TAPED_REQUEST).values(
                    direction=Direction.RETRIEVE.value,
                    request_id=number,
                    archive_file_id=request.archive_file_id,
                    disk_instance=file.disk_instance_name,
                    disk_file_id=file.disk_file_id,
                    copies=1,
                    outcome="open",
                    creation_time=now,
                )
            )
        return RequestId(Direction.RETRIEVE, number)

    @staticmethod
    def _busiest_first(connection: Connection, copies: list[Copy]) -> list[Copy]:
        """Rotate the list so that it begins with a tape that will be mounted anyway, among the best ones."""
        c = USER_RETRIEVE.pending.c
        best = [copy for copy in copies if copy.state == copies[0].state]
        if len(best) == 1:
            return copies
        for at, copy in enumerate(best):
            waits = select(c.job_id).where(c.vid == copy.vid, c.status == USER_RETRIEVE.to_transfer).limit(1)
            if connection.execute(waits).first() is not None:
                return copies[at:] + copies[:at]
        return copies

    def status(self, request: RequestId) -> RequestStatus:
        """See ``Requests.status``."""
        family = USER_FAMILIES[request.direction]
        with self._database.read() as connection:
            known = connection.execute(
                select(TAPED_REQUEST).where(
                    _Q.direction == request.direction.value, _Q.request_id == request.number
                )
            ).first()
            rows: list[tuple[str, AnyRow]] = []
            for place, table in (
                ("pending", family.pending),
                ("active", family.active),
                ("failed", family.failed),
            ):
                c = table.c
                statement = select(
                    c.status, c.vid, c.failure_log, c.report_failure_log, c.archive_file_id
                ).where(c[family.request_column] == request.number)
                rows += [(place, row) for row in connection.execute(statement)]
        if known is None and not rows:
            raise CtaError(SCHEDULER_NOT_FOUND, f"request {request} is not known")
        logs = [text for _, row in rows if (text := (row.failure_log or "") + (row.report_failure_log or ""))]
        text = (known.failure_log if known else None) or "".join(logs)
        file_id = known.archive_file_id if known else rows[0][1].archive_file_id
        vids = tuple(sorted({row.vid for _, row in rows if row.vid}))
        if known is not None and known.outcome != "open":
            state = RequestState(known.outcome)
        else:
            state = _state(family, rows)
        return RequestStatus(request, file_id, state, text.strip(), vids)

    def cancel(self, request: RequestId) -> bool:
        """See ``Requests.cancel``."""
        family = USER_FAMILIES[request.direction]
        pending = family.pending.c
        active = family.active.c
        with self._database.write() as connection:
            removed = connection.execute(
                delete(family.pending).where(pending[family.request_column] == request.number)
            ).rowcount
            left = connection.execute(
                select(active.job_id).where(active[family.request_column] == request.number)
            ).all()
            known = connection.execute(
                select(_Q.outcome).where(
                    _Q.direction == request.direction.value, _Q.request_id == request.number
                )
            ).first()
            if not removed and not left and known is None:
                raise CtaError(SCHEDULER_NOT_FOUND, f"request {request} is not known")
            if removed and not left:
                finish(connection, request.direction, {request.number: ("cancelled", None)})
        return removed > 0

    def queues(self) -> list[QueueSummary]:
        """See ``Requests.queues``."""
        found: list[QueueSummary] = []
        with self._database.read() as connection:
            for family in FAMILIES:
                found += _summaries(connection, family)
        return sorted(found, key=lambda queue: (-queue.priority, queue.tape_pool or "", queue.vid or ""))

    def failed(self, direction: Direction | None = None) -> Iterator[FailedRequest]:
        """See ``Requests.failed``."""
        for wanted, family in USER_FAMILIES.items():
            if direction not in (None, wanted):
                continue
            table, after = family.failed, -1
            while True:
                page = select(table).where(table.c.job_id > after).order_by(table.c.job_id).limit(_PAGE)
                with self._database.read() as connection:
                    rows = connection.execute(page).all()
                yield from (_failed(family, row) for row in rows)
                if len(rows) < _PAGE:
                    break
                after = rows[-1].job_id

    def remove_failed(self, direction: Direction, job_ids: Collection[int]) -> int:
        """See ``Requests.remove_failed``."""
        table = USER_FAMILIES[direction].failed
        removed = 0
        with self._database.write() as connection:
            for part in chunks(sorted(job_ids)):
                removed += connection.execute(delete(table).where(table.c.job_id.in_(part))).rowcount
        return removed


def _archive_row(
    request: ArchiveRequest,
    policy: Policy,
    job_id: int,
    number: int,
    file_id: int,
    copy_nb: int,
    pool: str,
    now: int,
) -> dict[str, Any]:
    blob = None if request.adler32 is None else checksumblob.encode_adler32(request.adler32)
    return {
        "job_id": job_id,
        "archive_request_id": number,
        "status": USER_ARCHIVE.to_transfer,
        "creation_time": now,
        "mount_policy": policy.name,
        "tape_pool": pool,
        "start_time": now,
        "priority": min(policy.archive_priority, _MAX_SMALLINT),
        "storage_class": request.storage_class,
        "min_archive_request_age": policy.archive_min_age_s,
        "copy_nb": copy_nb,
        "size_in_bytes": request.size_bytes,
        "archive_file_id": file_id,
        "checksumblob": blob,
        "requester_name": request.requester.name[:100],
        "requester_group": request.requester.group[:100],
        "src_url": request.source_url,
        "disk_instance": request.disk_instance,
        "disk_file_path": request.disk_file_path,
        "disk_file_id": request.disk_file_id,
        "disk_file_gid": request.requester.gid,
        "disk_file_owner_uid": request.requester.uid,
        "archive_report_url": request.report_url or None,
        "archive_error_report_url": request.error_report_url or None,
        "last_update_time": now,
        **_retries(_ARCHIVE_RETRIES),
    }


def _retrieve_row(
    request: RetrieveRequest, file: AnyRow, copies: Sequence[Copy], policy: Policy, now: int
) -> dict[str, Any]:
    copy = copies[0]
    adler32 = checksumblob.adler32_of(file.checksum_blob, file.checksum_adler32)
    return {
        "request_job_count": 1,
        "status": USER_RETRIEVE.to_transfer,
        "creation_time": now,
        "mount_policy": policy.name,
        "tape_pool": copy.tape_pool,
        "vid": copy.vid,
        "fseq": copy.fseq,
        "block_id": copy.block_id,
        "copy_nb": copy.copy_nb,
        "alternate_vids": ",".join(other.vid for other in copies),
        "alternate_fseqs": ",".join(str(other.fseq) for other in copies),
        "alternate_block_ids": ",".join(str(other.block_id) for other in copies),
        "alternate_copy_nbs": ",".join(str(other.copy_nb) for other in copies),
        "start_time": now,
        "priority": min(policy.retrieve_priority, _MAX_SMALLINT),
        "min_retrieve_request_age": policy.retrieve_min_age_s,
        "storage_class": file.storage_class_name,
        "size_in_bytes": file.size_in_bytes,
        "archive_file_id": request.archive_file_id,
        "checksumblob": None if adler32 is None else checksumblob.encode_adler32(adler32),
        "requester_name": request.requester.name[:100],
        "requester_group": request.requester.group[:100],
        "dst_url": request.destination_url,
        "disk_instance": file.disk_instance_name,
        "disk_file_id": file.disk_file_id,
        "disk_file_gid": file.disk_file_gid,
        "disk_file_owner_uid": file.disk_file_uid,
        "retrieve_report_url": request.report_url or None,
        "retrieve_error_report_url": request.error_report_url or None,
        "activity": (request.activity or None) and str(request.activity)[:100],
        "srr_username": request.requester.name[:100],
        "srr_host": socket.gethostname()[:100],
        "srr_time": now,
        "srr_mount_policy": request.mount_policy,
        "srr_activity": (request.activity or None) and str(request.activity)[:100],
        "is_verify_only": request.verify_only,
        "lifecycle_creation_time": now,
        "last_update_time": now,
        **_retries(_RETRIEVE_RETRIES),
    }


def _state(family: Family, rows: Sequence[tuple[str, AnyRow]]) -> RequestState:
    """The state of a request that has not ended, from its job rows: (pending, active or failed; row)."""
    statuses = {row.status for _, row in rows}
    places = {place for place, _ in rows}
    if "failed" in places or family.gave_up in statuses:
        return RequestState.FAILED
    if statuses == {family.succeeded}:
        return RequestState.DONE
    if "active" in places or WAITING in statuses:
        return RequestState.RUNNING
    return RequestState.QUEUED


def _summaries(connection: Connection, family: Family) -> list[QueueSummary]:
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


def _failed(family: Family, row: AnyRow) -> FailedRequest:
    return FailedRequest(
        direction=family.direction,
        job_id=row.job_id,
        request_id=getattr(row, family.request_column),
        archive_file_id=row.archive_file_id,
        copy_nb=row.copy_nb,
        tape_pool=row.tape_pool,
        vid=row.vid,
        requester=row.requester_name or "",
        url=getattr(row, family.url_column) or "",
        size_bytes=row.size_in_bytes,
        total_retries=row.total_retries,
        failure_log=row.failure_log or "",
        report_failure_log=row.report_failure_log or "",
        last_update_time=row.last_update_time,
    )
