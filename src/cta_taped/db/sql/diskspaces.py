# SPDX-License-Identifier: GPL-3.0-or-later
"""DISK_SYSTEM and DISK_INSTANCE_SPACE: which disk system a URL belongs to, and how much space it had.

What it is: the catalogue's ``DiskSpaces`` in SQL. What it is not: the measurement, which an external script
makes.
"""

from __future__ import annotations

import time

from sqlalchemy import and_, select, update

from cta_taped.common.errors import CATALOGUE_NOT_FOUND, CtaError
from cta_taped.db.diskspaces import DiskSystem
from cta_taped.db.schema_catalogue import DISK_INSTANCE_SPACE, DISK_SYSTEM
from cta_taped.db.sql.database import Database


class SqlDiskSpaces:
    """``db.catalogue.DiskSpaces`` on a relational database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def systems(self) -> list[DiskSystem]:
        """See ``DiskSpaces.systems``."""
        system, space = DISK_SYSTEM.c, DISK_INSTANCE_SPACE.c
        same_space = and_(
            space.disk_instance_name == system.disk_instance_name,
            space.disk_instance_space_name == system.disk_instance_space_name,
        )
        statement = (
            select(
                system.disk_system_name,
                system.file_regexp,
                system.targeted_free_space,
                system.sleep_time,
                system.disk_instance_name,
                system.disk_instance_space_name,
                space.free_space_query_url,
                space.refresh_interval,
                space.last_refresh_time,
                space.free_space,
            )
            .join(DISK_INSTANCE_SPACE, same_space)
            .order_by(system.disk_system_name)
        )
        with self._database.read() as connection:
            return [
                DiskSystem(
                    name=row.disk_system_name,
                    file_regexp=row.file_regexp,
                    targeted_free_bytes=row.targeted_free_space,
                    sleep_time_s=row.sleep_time,
                    disk_instance=row.disk_instance_name,
                    space=row.disk_instance_space_name,
                    free_space_query_url=row.free_space_query_url,
                    refresh_interval_s=row.refresh_interval,
                    refresh_time=row.last_refresh_time,
                    free_bytes=row.free_space,
                )
                for row in connection.execute(statement)
            ]

    def store_free_space(self, disk_instance: str, space: str, free_bytes: int) -> None:
        """See ``DiskSpaces.store_free_space``."""
        c = DISK_INSTANCE_SPACE.c
        statement = (
            update(DISK_INSTANCE_SPACE)
            .where(c.disk_instance_name == disk_instance, c.disk_instance_space_name == space)
            .values(free_space=free_bytes, last_refresh_time=int(time.time()))
        )
        with self._database.write() as connection:
            if not connection.execute(statement).rowcount:
                raise CtaError(
                    CATALOGUE_NOT_FOUND,
                    f"space {space} of disk instance {disk_instance} is not in the catalogue",
                )
