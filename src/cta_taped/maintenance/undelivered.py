# SPDX-License-Identifier: GPL-3.0-or-later
"""Routine: deliver what sessions left in the ledger because a database was away.

Delivery is idempotent, so a session that delivers the same files at this moment does no harm.
"""

from __future__ import annotations

from cta_taped.common import events
from cta_taped.common.log import get_logger, log_error, log_event
from cta_taped.db import ledger as ledger_delivery
from cta_taped.db.catalogue import Author
from cta_taped.maintenance.station import Station


def run(station: Station) -> int:
    """Deliver tape by tape, in fSeq order; how many files left the ledger."""
    before = station.ledger.count()
    if before:
        secure(station)
        for vid in station.ledger.vids(recorded=True):
            ledger_delivery.finish(station.ledger, station.scheduler, vid)
    delivered = before - station.ledger.count()
    if delivered > 0:
        log_event(get_logger(), events.LEDGER_DELIVERED, files=delivered)
    return delivered


def secure(station: Station) -> None:
    """Before the drive's row lets go of a tape: its files are recorded, or the tape is disabled.

    Raises CtaError of an outage.
    """
    author = Author("cta-taped", station.config.host)
    unrecorded = ledger_delivery.secure(station.ledger, station.catalogue, station.config.drive.name, author)
    for vid, error in unrecorded:
        log_error(get_logger(), error, event=events.LEDGER_WAITING, vid=vid, files=station.ledger.count())
