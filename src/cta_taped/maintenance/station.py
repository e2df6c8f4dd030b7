# SPDX-License-Identifier: GPL-3.0-or-later
"""What the maintenance worker works with:

configuration, databases, the drive's ledger, the supervisor's ear.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cta_taped.common.config import Loaded
from cta_taped.common.config_schema import Config
from cta_taped.common.ipc.messages import Fact
from cta_taped.db.backends import open_catalogue, open_scheduler
from cta_taped.db.catalogue import Catalogue
from cta_taped.db.ledger import Ledger
from cta_taped.db.scheduler import Scheduler


@dataclass(slots=True)
class Station:
    """``outage_ended`` is the time (epoch s) at which a database outage was last seen to end: leases count
    only from then on."""

    loaded: Loaded
    catalogue: Catalogue
    scheduler: Scheduler
    ledger: Ledger
    say: Callable[[Fact], None]
    outage_ended: float = 0.0

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.loaded.config

    def close(self) -> None:
        """Let the databases go."""
        self.catalogue.close()
        self.scheduler.close()


def open_station(loaded: Loaded, say: Callable[[Fact], None]) -> Station:
    """Open everything that ``loaded`` names; nothing is connected yet."""
    config = loaded.config
    catalogue_url, scheduler_url = config.catalogue.url, config.scheduler.url
    return Station(
        loaded,
        open_catalogue(catalogue_url),
        open_scheduler(scheduler_url, catalogue_url, config.site.scheduler_backend_name),
        Ledger(config.state_dir),
        say,
    )
