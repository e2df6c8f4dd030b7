# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of routines: what is done how often. Each routine is a file of its own with one ``run``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cta_taped.common.config_schema import Maintenance
from cta_taped.maintenance import dead_mounts, desired_state, disk_reports, housekeeping, undelivered
from cta_taped.maintenance.station import Station


@dataclass(frozen=True, slots=True)
class Routine:
    """``run`` does one batch and returns how many items it dealt with; ``period_s`` reads the
    configuration.
    """

    name: str
    period_s: Callable[[Maintenance], float]
    run: Callable[[Station], int]


ROUTINES: Final = (
    Routine("desired state", lambda section: section.desired_poll_s, desired_state.run),
    Routine("undelivered ledger", lambda section: section.routine_interval_s, undelivered.run),
    Routine("disk reports", lambda section: section.routine_interval_s, disk_reports.run),
    Routine("dead mounts", lambda section: section.routine_interval_s, dead_mounts.run),
    Routine("housekeeping", lambda section: 6 * section.routine_interval_s, housekeeping.run),
)
