# SPDX-License-Identifier: GPL-3.0-or-later
"""Routine: stuck reports, copies that wait in vain, stamps of dead mounts, old failed requests, rested disk
systems, dirty tapes.
"""

from __future__ import annotations

from cta_taped.maintenance.station import Station

BATCH = 1000


def run(station: Station) -> int:
    """One batch of each; how many rows were dealt with."""
    upkeep, section = station.scheduler.upkeep, station.config.maintenance
    age_s = int(section.dead_mount_s)
    return (
        station.scheduler.reports.release_stuck(age_s, BATCH)
        + upkeep.end_incomplete(BATCH)
        + upkeep.clean_stamps(age_s, BATCH)
        + upkeep.delete_old_failed(int(section.failed_keep_s), BATCH)
        + upkeep.wake_disk_systems()
        + station.catalogue.tapes.refresh_dirty(BATCH)
    )
