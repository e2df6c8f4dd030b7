# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue on a relational database: its parts over one ``Database``."""

from __future__ import annotations

from cta_taped.db.backends import SchemaPart
from cta_taped.db.sql.database import Database
from cta_taped.db.sql.diskspaces import SqlDiskSpaces
from cta_taped.db.sql.drives import SqlDrives
from cta_taped.db.sql.files import SqlFiles
from cta_taped.db.sql.installation import Installation
from cta_taped.db.sql.objects import SqlObjects
from cta_taped.db.sql.tapes import SqlTapes


class SqlCatalogue:
    """``db.catalogue.Catalogue`` on a relational database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.drives = SqlDrives(database)
        self.tapes = SqlTapes(database)
        self.files = SqlFiles(database)
        self.disk_spaces = SqlDiskSpaces(database)
        self.objects = SqlObjects(database)

    def check(self) -> None:
        """See ``Catalogue.check``."""
        Installation(self._database, SchemaPart.CATALOGUE).check()

    def close(self) -> None:
        """See ``Catalogue.close``."""
        self._database.close()
