# SPDX-License-Identifier: GPL-3.0-or-later
"""Routine: tell disk systems how their requests ended, then let the jobs go.

Requests queued by ``cta-admin archive`` name nobody to be told (an empty URL): their jobs simply end. A
URL of a protocol that this host cannot speak counts as undelivered, by CTA's report retries.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from cta_taped.common import events
from cta_taped.common.log import get_logger, log_event
from cta_taped.db.scheduler import Direction
from cta_taped.maintenance.station import Station

_NOBODY = ("", "null")


def run(station: Station) -> int:
    """One batch of each direction; how many jobs were dealt with."""
    count = 0
    for direction in Direction:
        reports = station.scheduler.reports.take(direction, station.config.maintenance.report_batch)
        silent = [report for report in reports if urlsplit(report.url).scheme in _NOBODY]
        if silent:
            station.scheduler.reports.delivered(silent)
        for report in reports:
            scheme = urlsplit(report.url).scheme
            if scheme not in _NOBODY:
                station.scheduler.reports.undelivered(
                    report, f"no reporter for {scheme}: URLs on this host ({report.url})"
                )
        if reports:
            log_event(get_logger(), events.DISK_REPORTED, jobs=len(reports), direction=str(direction))
        count += len(reports)
    return count
