# SPDX-License-Identifier: GPL-3.0-or-later
"""Routine: read what the operator wants of this drive from the catalogue and tell the supervisor."""

from __future__ import annotations

from cta_taped.common.ipc.messages import DesiredStateRead
from cta_taped.maintenance.station import Station


def run(station: Station) -> int:
    """Ask once; the supervisor knows whether it is news."""
    desired = station.catalogue.drives.desired_state(station.config.drive.name)
    station.say(DesiredStateRead(desired.up, desired.force, desired.reason))
    return 1
