# SPDX-License-Identifier: GPL-3.0-or-later
"""The scheduler on a relational database, beside its catalogue: its parts over two ``Database``s."""

from __future__ import annotations

from cta_taped.db.backends import SchemaPart
from cta_taped.db.sql.archive_queue import SqlArchiveQueue
from cta_taped.db.sql.database import Database
from cta_taped.db.sql.installation import Installation
from cta_taped.db.sql.mounts import SqlMounts
from cta_taped.db.sql.reporting import SqlReports
from cta_taped.db.sql.requests import SqlRequests
from cta_taped.db.sql.retrieve_queue import SqlRetrieveQueue
from cta_taped.db.sql.upkeep import SqlUpkeep


class SqlScheduler:
    """``db.scheduler.Scheduler`` on relational databases."""

    def __init__(self, database: Database, catalogue: Database, backend_name: str) -> None:
        self._database = database
        self._catalogue = catalogue
        self.mounts = SqlMounts(database, catalogue, backend_name)
        self.archive = SqlArchiveQueue(database)
        self.retrieve = SqlRetrieveQueue(database)
        self.reports = SqlReports(database)
        self.upkeep = SqlUpkeep(database, catalogue)
        self.requests = SqlRequests(database, catalogue)

    def check(self) -> None:
        """See ``Scheduler.check``."""
        Installation(self._database, SchemaPart.SCHEDULER).check()

    def close(self) -> None:
        """See ``Scheduler.close``."""
        self._database.close()
        self._catalogue.close()
