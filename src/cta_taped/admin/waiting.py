# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for queued requests: a progress bar on a terminal, silence elsewhere, a table at the end.

What it is: polling of each request's status until all are final. What it is not: able to lose anything: a
database that is away is waited for, and an interrupt leaves the requests queued and says where to look.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Final

from cta_taped.admin.output import Column, Problems, Row, listing, note, shown, shown_size
from cta_taped.admin.site import Site
from cta_taped.common.errors import SCHEDULER_REQUEST_FAILED, CtaError, Retry
from cta_taped.db.scheduler import Direction, RequestId, Requests, RequestState

_POLL_S: Final = 1.0
_QUESTIONS_PER_POLL: Final = 200
_FINAL: Final = frozenset({RequestState.DONE, RequestState.FAILED, RequestState.CANCELLED})

COLUMNS: Final = (
    Column("requestId", "request"),
    Column("state", "state"),
    Column("archiveId", "archive id", shown, right=True),
    Column("size", "size", shown_size, right=True),
    Column("vids", "vids", lambda value: shown(", ".join(value or ()))),
    Column("path", "path"),
    Column("text", "text"),
)


@dataclass(slots=True)
class Queued:
    """A queued request and what is known of it. ``text`` is its failure log, if any."""

    request: RequestId
    path: str
    size_bytes: int | None
    archive_file_id: int | None = None
    state: RequestState = RequestState.QUEUED
    vids: tuple[str, ...] = ()
    text: str = ""

    def row(self) -> dict[str, Any]:
        """The request as listings show it."""
        return {
            "requestId": str(self.request),
            "state": str(self.state),
            "archiveId": self.archive_file_id,
            "size": self.size_bytes,
            "vids": list(self.vids),
            "path": self.path,
            "text": self.text,
        }


def numbers(all_queued: Sequence[Queued]) -> str:
    """The numbers of requests, as the end of a sentence."""
    if not all_queued:
        return ""
    first, last = all_queued[0].request, all_queued[-1].request
    return f" as {first}" if first == last else f" as {first} to {last}"


def ask(requests: Requests, queued: Queued) -> None:
    """Bring what is known of one request up to date. Raises SCHEDULER_NOT_FOUND."""
    status = requests.status(queued.request)
    queued.archive_file_id = status.archive_file_id
    queued.state, queued.vids, queued.text = status.state, status.vids, status.text


def wait(requests: Requests, all_queued: Sequence[Queued]) -> None:
    """Return when every request is final.

    Raises what the scheduler answers, save for outages, and KeyboardInterrupt after a line that says where
    to look.
    """
    waiting = deque(all_queued)
    try:
        note(f"waiting for {len(waiting)} requests; an interrupt leaves them queued")
        with ExitStack() as stack:
            advance = _progress(stack, all_queued)
            outage = ""
            while waiting:
                try:
                    ended = _poll(requests, waiting)
                    outage = ""
                except CtaError as error:
                    if error.spec.retry not in (Retry.IMMEDIATE, Retry.BACK_OFF):
                        raise
                    if error.code != outage:
                        note(f"waiting: {error}")
                        outage = error.code
                    ended = []
                advance(ended)
                if waiting:
                    time.sleep(_POLL_S)
    except KeyboardInterrupt:
        first = waiting[0].request if waiting else all_queued[0].request
        note(
            f"{len(waiting)} requests stay queued; look at them with 'cta-admin showqueues' and "
            f"'cta-admin request show {first}', withdraw with 'cta-admin request cancel'"
        )
        raise


def _poll(requests: Requests, waiting: deque[Queued]) -> list[Queued]:
    """Ask for the next requests in turn; those that ended leave ``waiting``."""
    ended = []
    for _ in range(min(len(waiting), _QUESTIONS_PER_POLL)):
        queued = waiting[0]
        ask(requests, queued)
        waiting.popleft()
        if queued.state in _FINAL:
            ended.append(queued)
        else:
            waiting.append(queued)
    return ended


def _progress(stack: ExitStack, all_queued: Sequence[Queued]) -> Callable[[Sequence[Queued]], None]:
    if not sys.stderr.isatty():
        return lambda ended: None
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.progress import TransferSpeedColumn as Speed

    files = TextColumn("{task.fields[files]}/{task.fields[of]} files")
    bar = stack.enter_context(
        Progress(
            files, BarColumn(), DownloadColumn(), Speed(), TimeRemainingColumn(), console=Console(stderr=True)
        )
    )
    total = sum(queued.size_bytes or 0 for queued in all_queued)
    task = bar.add_task("", total=total, files=0, of=len(all_queued))
    done = 0

    def advance(ended: Sequence[Queued]) -> None:
        nonlocal done
        done += len(ended)
        bar.update(task, advance=sum(queued.size_bytes or 0 for queued in ended), files=done)

    return advance


def finish(site: Site, all_queued: Sequence[Queued], wait_for_end: bool, problems: Problems) -> None:
    """The end of a command that queued requests: wait and list if asked, and end with the first problem's
    status.

    Requests that failed or were cancelled are a problem (SCHEDULER_REQUEST_FAILED).
    """
    if wait_for_end and all_queued:
        wait(site.scheduler.requests, all_queued)
        _add_vids(site, all_queued)
        lost = sum(queued.state is not RequestState.DONE for queued in all_queued)
        if lost:
            what = f"{lost} of {len(all_queued)} requests failed or were cancelled"
            problems.add(CtaError(SCHEDULER_REQUEST_FAILED, what))
    if wait_for_end or site.as_json:
        show(all_queued, site.as_json)
    problems.end()


def _add_vids(site: Site, all_queued: Sequence[Queued]) -> None:
    """Name the tapes of archived files whose jobs ended: the scheduler has forgotten, the catalogue knows."""
    for queued in all_queued:
        archived = queued.request.direction is Direction.ARCHIVE and queued.state is RequestState.DONE
        if archived and not queued.vids and queued.archive_file_id is not None:
            with suppress(CtaError):
                copies = site.catalogue.files.copies(queued.archive_file_id)
                queued.vids = tuple(copy.vid for copy in copies)


def show(all_queued: Sequence[Queued], as_json: bool) -> None:
    """List requests."""
    rows: list[Row] = [queued.row() for queued in all_queued]
    listing(rows, COLUMNS, as_json)
