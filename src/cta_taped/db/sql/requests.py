# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests of users and questions of operators: queue, status, cancel, show.

What it is: the scheduler's ``Requests`` in SQL. What it is not: routing (``routing``) or what a session does
with jobs.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select

from cta_taped.common.errors import (
    OUTAGES,
    SCHEDULER_NOT_FOUND,
    SCHEDULER_QUEUED,
    SCHEDULER_REFUSED,
    CtaError,
)
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
from cta_taped.db.schema_own import TAPED_DISK_FILE, TAPED_REQUEST
from cta_taped.db.sql.database import AnyRow, Database, chunks
from cta_taped.db.sql.outcomes import finish_ended
from cta_taped.db.sql.queues import (
    FAMILIES,
    USER_ARCHIVE,
    USER_FAMILIES,
    USER_RETRIEVE,
    WAITING,
    Family,
)
from cta_taped.db.sql.requestrows import (
    archive_row,
    refuse_bad_archive,
    refuse_bad_retrieve,
    retrieve_row,
)
from cta_taped.db.sql.routing import Copy, Routing
from cta_taped.db.sql.summaries import summaries

_PAGE: Final = 1000
_Q = TAPED_REQUEST.c


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
                refuse_bad_archive(request, route.max_size_bytes)
                routing.refuse_archived(request.disk_instance, request.disk_file_id)
                policy = routing.archive_policy(request.disk_instance, request.requester)
                answers.append((request, route.pools, policy))
        with self._catalogue.write() as connection:
            file_ids = self._catalogue.draw(connection, "archive_file_id_seq", len(requests))
            self._keep_urls(connection, requests)
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
                        archive_row(request, policy, next(job_ids), number, file_id, copy_nb, pool, now)
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
        queued: list[tuple[str, str, RequestId]] = []
        for instance, ids in by_instance.items():
            for part in chunks(ids):
                rows = connection.execute(
                    select(_Q.request_id, _Q.disk_file_id).where(
                        _Q.direction == Direction.ARCHIVE.value,
                        _Q.disk_instance == instance,
                        _Q.disk_file_id.in_(part),
                        _Q.outcome == "open",
                    )
                )
                queued += [
                    (instance, row.disk_file_id, RequestId(Direction.ARCHIVE, row.request_id)) for row in rows
                ]
        if queued:
            instance, disk_file_id, number = queued[0]
            more = f" (and {len(queued) - 1} more)" if len(queued) > 1 else ""
            raise CtaError(
                SCHEDULER_QUEUED,
                f"disk file {disk_file_id} of {instance} is already being archived, request {number}{more}",
                queued=tuple(queued),
            )

    def _keep_urls(self, connection: Connection, requests: Sequence[ArchiveRequest]) -> None:
        rows = [
            {
                "disk_instance_name": request.disk_instance,
                "disk_file_id": request.disk_file_id,
                "url": request.source_url,
            }
            for request in requests
            if request.keep_url
        ]
        if rows:
            connection.execute(self._catalogue.insert(TAPED_DISK_FILE).on_conflict_do_nothing(), rows)

    def queue_retrieve(self, request: RetrieveRequest) -> RequestId:
        """See ``Requests.queue_retrieve``."""
        (answer,) = self.queue_retrieves([request])
        if isinstance(answer, CtaError):
            raise answer
        return answer

    def queue_retrieves(self, requests: Sequence[RetrieveRequest]) -> list[RequestId | CtaError]:
        """See ``Requests.queue_retrieves``."""
        with self._catalogue.read() as connection:
            routing = Routing(connection)
            routed = [self._routed(routing, request) for request in requests]
        family = USER_RETRIEVE
        now = int(time.time())
        answers: list[RequestId | CtaError] = []
        with self._database.write() as connection:
            count = sum(not isinstance(route, CtaError) for route in routed)
            numbers = iter(self._database.draw(connection, family.request_sequence, count) if count else ())
            job_ids = iter(self._database.draw(connection, family.sequence, count) if count else ())
            for request, route in zip(requests, routed, strict=True):
                if isinstance(route, CtaError):
                    answers.append(route)
                    continue
                file, copies, policy, disk_system = route
                number = next(numbers)
                copies = self._busiest_first(connection, copies)
                row = retrieve_row(request, file, copies, policy, now)
                row.update(job_id=next(job_ids), retrieve_request_id=number, disk_system_name=disk_system)
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
                answers.append(RequestId(Direction.RETRIEVE, number))
        return answers

    @staticmethod
    def _routed(
        routing: Routing, request: RetrieveRequest
    ) -> tuple[Any, list[Copy], Any, str | None] | CtaError:
        """The file, its readable copies, the mount policy and the disk system; or why there are none."""
        try:
            refuse_bad_retrieve(request)
            file = routing.archive_file(request.archive_file_id)
            copies = routing.readable_copies(request.archive_file_id, request.vid)
            policy = routing.retrieve_policy(
                file.disk_instance_name, request.requester, request.activity, request.mount_policy
            )
            disk_system = None if request.verify_only else routing.disk_system(request.destination_url)
        except CtaError as error:
            if error.spec in OUTAGES:
                raise
            return error
        return file, copies, policy, disk_system

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
        elif known is not None and known.failure_log is not None:
            # One copy failed for good; another is still in the queues.
            state = RequestState.FAILED
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
            if removed:
                finish_ended(connection, family, [request.number], RequestState.CANCELLED)
        return removed > 0

    def queues(self) -> list[QueueSummary]:
        """See ``Requests.queues``."""
        found: list[QueueSummary] = []
        with self._database.read() as connection:
            for family in FAMILIES:
                found += summaries(connection, family)
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
