# SPDX-License-Identifier: GPL-3.0-or-later
"""``cta-admin showqueues`` and ``failedrequest``: what waits, what runs, and what nobody tries again.

Field names are those of upstream's JSON (ShowQueuesItem, FailedRequestLsItem) where it has them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import click

from cta_taped.admin.completion import object_names
from cta_taped.admin.output import (
    Column,
    Problems,
    facts,
    listing,
    shown,
    shown_duration,
    shown_size,
    shown_time,
)
from cta_taped.admin.site import Site, json_option, pass_site, settled
from cta_taped.common.errors import CONFIG_USAGE, SCHEDULER_NOT_FOUND, CtaError
from cta_taped.db.catalogue import DriveRow, ObjectKind
from cta_taped.db.scheduler import Direction, FailedRequest, QueueSummary

_OBJECT_ID: Final = re.compile(r"(archive|retrieve)-job-([0-9]{1,18})")
_QUEUE_COLUMNS: Final = (
    Column("mountType", "type"),
    Column("tapepool", "tapepool"),
    Column("vid", "vid"),
    Column("queuedFiles", "files queued", shown, right=True),
    Column("queuedBytes", "data queued", shown_size, right=True),
    Column("oldestAge", "oldest", shown_duration, right=True),
    Column("youngestAge", "youngest", shown_duration, right=True),
    Column("curMounts", "mounts", shown, right=True),
    Column("curFiles", "files running", shown, right=True),
    Column("curBytes", "data running", shown_size, right=True),
    Column("priority", "priority", shown, right=True),
    Column("minAge", "min age", shown, right=True),
    Column("mountPolicy", "mount policy"),
    Column("activity", "activity"),
    Column("diskSystem", "disk system"),
)
_FAILED_COLUMNS: Final = (
    Column("objectId", "object id"),
    Column("requestId", "request"),
    Column("archiveId", "archive id", shown, right=True),
    Column("copyNb", "copy", shown, right=True),
    Column("tapepool", "tapepool"),
    Column("vid", "vid"),
    Column("requester", "requester"),
    Column("size", "size", shown_size, right=True),
    Column("totalRetries", "retries", shown, right=True),
    Column("updateTime", "failed", shown_time),
    Column("url", "url"),
)
_LOG_COLUMN: Final = Column("failureLogs", "failure log")
_SUMMARY_COLUMNS: Final = (
    Column("requestType", "type"),
    Column("totalFiles", "files", shown, right=True),
    Column("totalSize", "data", shown_size, right=True),
)


@click.command()
@json_option
@pass_site
def showqueues(site: Site) -> None:
    """Show all queues, most urgent first; running are those that a drive has taken.

    Mounts are counted by the catalogue; while it is away, their number is not known.
    """
    now = int(time.time())
    queues = site.scheduler.requests.queues()
    problems = Problems()
    drives = None
    try:
        drives = site.catalogue.drives.all()
    except CtaError as error:
        problems.add(error)
    listing((_queue(one, drives, now) for one in queues), _QUEUE_COLUMNS, site.as_json)
    problems.end()


@click.group()
def failedrequest() -> None:
    """List, show and remove requests that failed for good."""


@failedrequest.command("ls")
@click.option("-a", "--justarchive", "just", flag_value="archive", help="Only archive requests.")
@click.option("-r", "--justretrieve", "just", flag_value="retrieve", help="Only retrieve requests.")
@click.option(
    "-t", "--tapepool", shell_complete=object_names(ObjectKind.TAPE_POOL, "name"), help="Of this tape pool."
)
@click.option("-v", "--vid", shell_complete=object_names(ObjectKind.TAPE, "vid"), help="Of this tape.")
@click.option("-l", "--log", is_flag=True, help="Show failure logs.")
@click.option("-S", "--summary", is_flag=True, help="Show only numbers and sizes.")
@json_option
@pass_site
def list_failed(
    site: Site, just: str | None, tapepool: str | None, vid: str | None, log: bool, summary: bool
) -> None:
    """List failed requests, oldest first."""
    if log and summary:
        raise CtaError(CONFIG_USAGE, "--log and --summary exclude each other")
    failed = (
        one
        for one in site.scheduler.requests.failed(Direction(just) if just else None)
        if tapepool in (None, one.tape_pool) and vid in (None, one.vid)
    )
    if summary:
        listing(_summary(failed), _SUMMARY_COLUMNS, site.as_json)
    else:
        columns = (*_FAILED_COLUMNS, _LOG_COLUMN) if log else _FAILED_COLUMNS
        listing(map(_failed, failed), columns, site.as_json)


@failedrequest.command()
@click.argument("object_id", metavar="OBJECT_ID")
@json_option
@pass_site
def show(site: Site, object_id: str) -> None:
    """Show everything known of one failed request."""
    direction, job_id = _parsed(object_id)
    for one in site.scheduler.requests.failed(direction):
        if one.job_id == job_id:
            facts(_failed(one), site.as_json)
            return
    raise CtaError(SCHEDULER_NOT_FOUND, f"no failed request {object_id}")


@failedrequest.command("rm")
@click.option("-o", "--objectid", "options", multiple=True, help="Object id, as upstream asks for it.")
@click.argument("arguments", metavar="[OBJECT_ID...]", nargs=-1)
@pass_site
def remove(site: Site, options: tuple[str, ...], arguments: tuple[str, ...]) -> None:
    """Remove failed requests by their object ids."""
    chosen = [*options, *arguments]
    if not chosen:
        raise CtaError(CONFIG_USAGE, "an object id is needed, as 'cta-admin failedrequest ls' shows it")
    problems = Problems()
    for object_id, (direction, job_id) in [(one, _parsed(one)) for one in chosen]:
        try:
            number = settled(site.scheduler.requests.remove_failed, direction, [job_id])
            if not number:
                raise CtaError(SCHEDULER_NOT_FOUND, f"no failed request {object_id}")
        except CtaError as error:
            problems.add(error)
            continue
        click.echo(f"Failed request {object_id}: removed.")
    problems.end()


def _mounts(queue: QueueSummary, drives: Sequence[DriveRow] | None) -> int | None:
    """Drives that serve the queue: a retrieve queue is of one tape, an archive queue of one pool."""
    if drives is None:
        return None
    return sum(
        drive.mount_type is queue.mount_type
        and (drive.vid == queue.vid if queue.vid else drive.tape_pool == queue.tape_pool)
        for drive in drives
    )


def _queue(queue: QueueSummary, drives: Sequence[DriveRow] | None, now: int) -> dict[str, Any]:
    return {
        "mountType": str(queue.mount_type),
        "tapepool": queue.tape_pool,
        "vid": queue.vid,
        "queuedFiles": queue.waiting_files,
        "queuedBytes": queue.waiting_bytes,
        "oldestAge": None if queue.oldest_time is None else max(0, now - queue.oldest_time),
        "youngestAge": None if queue.youngest_time is None else max(0, now - queue.youngest_time),
        "curMounts": _mounts(queue, drives),
        "curFiles": queue.running_files,
        "curBytes": queue.running_bytes,
        "priority": queue.priority,
        "minAge": queue.min_age_s,
        "mountPolicy": queue.mount_policy,
        "activity": queue.activity,
        "diskSystem": queue.disk_system,
    }


def _object_id(one: FailedRequest) -> str:
    return f"{one.direction}-job-{one.job_id}"


def _parsed(object_id: str) -> tuple[Direction, int]:
    found = _OBJECT_ID.fullmatch(object_id)
    if found is None:
        raise CtaError(
            CONFIG_USAGE, f"{object_id!r} is no object id; expected archive-job-N or retrieve-job-N"
        )
    return Direction(found[1]), int(found[2])


def _failed(one: FailedRequest) -> dict[str, Any]:
    return {
        "objectId": _object_id(one),
        "requestId": f"{one.direction}-{one.request_id}",
        "requestType": f"{one.direction}_REQUEST".upper(),
        "archiveId": one.archive_file_id,
        "copyNb": one.copy_nb,
        "tapepool": one.tape_pool,
        "vid": one.vid,
        "requester": one.requester,
        "url": one.url,
        "size": one.size_bytes,
        "totalRetries": one.total_retries,
        "failureLogs": one.failure_log,
        "reportFailureLogs": one.report_failure_log,
        "updateTime": one.last_update_time,
    }


def _summary(failed: Iterator[FailedRequest]) -> list[dict[str, Any]]:
    totals = {direction: [0, 0] for direction in Direction}
    for one in failed:
        totals[one.direction][0] += 1
        totals[one.direction][1] += one.size_bytes
    return [
        {"requestType": f"{direction}_REQUEST".upper(), "totalFiles": files, "totalSize": size}
        for direction, (files, size) in totals.items()
    ]
