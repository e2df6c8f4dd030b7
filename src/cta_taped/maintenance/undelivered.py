# SPDX-License-Identifier: GPL-3.0-or-later
"""Routine: deliver what sessions left in the ledger because a database was away.

Delivery is idempotent, so a session that delivers the same files at this moment does no harm.
"""

from __future__ import annotations

from cta_taped.common import events
from cta_taped.common.log import get_logger, log_event
from cta_taped.db import ledger as ledger_delivery
from cta_taped.maintenance.station import Station


def run(station: Station) -> int:
    """Deliver tape by tape, in fSeq order; how many files left the ledger."""
    delivered = 0
    for vid in station.ledger.vids():
        before = station.ledger.count()
        ledger_delivery.record(station.ledger, station.catalogue, station.config.drive.name, vid)
        ledger_delivery.finish(station.ledger, station.scheduler, vid)
        files = before - station.ledger.count()
        if files > 0:
            log_event(get_logger(), events.LEDGER_DELIVERED, vid=vid, files=files)
            delivered += files
    return delivered
