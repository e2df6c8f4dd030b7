# SPDX-License-Identifier: GPL-3.0-or-later
"""Routine: jobs of mounts that no drive serves any more go back to their queues, uncharged.

The drive's own dead mounts are released at once (errands); this one collects those of hosts that are gone.
"""

from __future__ import annotations

from cta_taped.common import events
from cta_taped.common.log import get_logger, log_event
from cta_taped.maintenance.station import Station

BATCH = 1000


def run(station: Station) -> int:
    """One batch. After an outage every owner gets one full lease to come back."""
    age_s = int(station.config.maintenance.dead_mount_s)
    not_before = station.outage_ended + age_s if station.outage_ended else 0.0
    jobs = station.scheduler.upkeep.requeue_dead_mounts(age_s, BATCH, not_before)
    if jobs:
        log_event(get_logger(), events.JOBS_COLLECTED, jobs=jobs)
    return jobs
