# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for queued requests: a progress bar on a terminal, silence elsewhere, a summary at the end.

What it is: polling of each request's status until all are final, and one line on all that are done; only
what is not done is listed, because of thousands of files the three that failed are what matters. What it is
not: able to lose anything: a database that is away is waited for, and an interrupt leaves the requests queued
and says where to look.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Final

import click

from cta_taped.admin.output import Column, Problems, Row, listing, note, shown, shown_size
from cta_taped.admin.site import Site
from cta_taped.common.errors import SCHEDULER_REQUEST_FAILED, CtaError, Retry
from cta_taped.db.scheduler import Direction, RequestId, Requests, RequestState

_POLL_S: Final = 1.0
_QUESTIONS_PER_POLL: Final = 200
_MOST_LISTED: Final = 20
_MOST_TAPES_NAMED: Final = 5
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
    """The end of a command that queued requests: wait and sum up if asked, and end with the first problem's
    status. With JSON, every request is listed.

    Requests that failed or were cancelled are a problem (SCHEDULER_REQUEST_FAILED).
    """
    if not wait_for_end:
        if site.as_json:
            show(all_queued, as_json=True)
    elif all_queued:
        begun = time.monotonic()
        wait(site.scheduler.requests, all_queued)
        elapsed_s = time.monotonic() - begun
        _ask_catalogue(site, all_queued)
        lost = [queued for queued in all_queued if queued.state is not RequestState.DONE]
        if lost:
            what = f"{len(lost)} of {len(all_queued)} requests failed or were cancelled"
            problems.add(CtaError(SCHEDULER_REQUEST_FAILED, what))
        if site.as_json:
            show(all_queued, as_json=True)
        else:
            _show_lost(lost)
            click.echo(summary(all_queued, elapsed_s))
    elif site.as_json:
        show((), as_json=True)
    problems.end()


def _ask_catalogue(site: Site, all_queued: Sequence[Queued]) -> None:
    """Tapes and size of archived files whose jobs ended: the scheduler has forgotten, the catalogue knows."""
    for queued in all_queued:
        archived = queued.request.direction is Direction.ARCHIVE and queued.state is RequestState.DONE
        if archived and not queued.vids and queued.archive_file_id is not None:
            with suppress(CtaError):
                copies = site.catalogue.files.copies(queued.archive_file_id)
                queued.vids = tuple(copy.vid for copy in copies)
                if copies:
                    queued.size_bytes = copies[0].size_bytes


def _show_lost(lost: Sequence[Queued]) -> None:
    if lost:
        show(lost[:_MOST_LISTED], as_json=False)
    if len(lost) > _MOST_LISTED:
        first = lost[_MOST_LISTED].request
        note(f"and {len(lost) - _MOST_LISTED} more: cta-admin request show {first} ...")


def summary(all_queued: Sequence[Queued], elapsed_s: float) -> str:
    """One line: files and bytes that are done, seconds, MB/s, and the tapes they are on or came from.

    What nobody knows is left out: the size of a request that was only named by its number, the tape of a
    retrieve that is over.
    """
    done = [queued for queued in all_queued if queued.state is RequestState.DONE]
    sizes = [queued.size_bytes for queued in done if queued.size_bytes is not None]
    text = f"{len(done)} of {len(all_queued)} files done"
    if sizes and len(sizes) == len(done):
        rate = f", {sum(sizes) / elapsed_s / 1e6:.1f} MB/s" if elapsed_s else ""
        text += f": {shown_size(sum(sizes))} in {elapsed_s:.1f} s{rate}"
    vids = sorted({vid for queued in done for vid in queued.vids})
    if len(vids) > _MOST_TAPES_NAMED:
        text += f", {len(vids)} tapes"
    elif vids:
        text += f", {'tape' if len(vids) == 1 else 'tapes'} {', '.join(vids)}"
    return text


def show(all_queued: Sequence[Queued], as_json: bool) -> None:
    """List requests."""
    rows: list[Row] = [queued.row() for queued in all_queued]
    listing(rows, COLUMNS, as_json)
