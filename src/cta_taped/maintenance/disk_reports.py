# SPDX-License-Identifier: GPL-3.0-or-later
"""Routine: tell disk systems how their requests ended, then let the jobs go.

Requests queued by ``cta-admin archive`` name nobody to be told (an empty URL): their jobs simply end when
they succeeded. When they failed they are kept for the operator (``cta-admin failedrequest ls``), because
nobody else would ever hear of it. ``null:`` is CTA's reporter that tells nobody and is content. A URL of a
protocol that this host cannot speak counts as undelivered, by CTA's report retries.
"""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from cta_taped.common import events
from cta_taped.common.log import get_logger, log_event
from cta_taped.db.scheduler import Direction, Report
from cta_taped.maintenance.station import Station

_TELLS_NOBODY = "null"
# Errands of the supervisor wait no longer than this for a long backlog.
_TIME_BOX_S = 2.0


def run(station: Station) -> int:
    """Batches of each direction, until none is left or the time is over; how many jobs were dealt with."""
    until = time.monotonic() + _TIME_BOX_S
    return sum(_batches(station, direction, until) for direction in Direction)


def _batches(station: Station, direction: Direction, until: float) -> int:
    limit, count = station.config.maintenance.report_batch, 0
    while True:
        reports = station.scheduler.reports.take(direction, limit)
        if reports:
            _deliver(station, reports)
            log_event(get_logger(), events.DISK_REPORTED, jobs=len(reports), direction=str(direction))
        count += len(reports)
        if len(reports) < limit or time.monotonic() > until:
            return count


def _deliver(station: Station, reports: list[Report]) -> None:
    ended, kept = [], []
    for report in reports:
        scheme = urlsplit(report.url).scheme
        if scheme == _TELLS_NOBODY or (not report.url and report.success):
            ended.append(report)
        elif not report.url:
            kept.append(report)
        else:
            station.scheduler.reports.undelivered(
                report, f"no reporter for {scheme}: URLs on this host ({report.url})"
            )
    if ended:
        station.scheduler.reports.delivered(ended)
    if kept:
        station.scheduler.reports.keep(kept)
        log_event(get_logger(), events.JOBS_KEPT, jobs=len(kept))
