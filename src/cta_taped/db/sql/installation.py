# SPDX-License-Identifier: GPL-3.0-or-later
"""A schema in a database: made once, checked at each start, never altered.

What it is: creation of CTA's tables and of our own beside them, and the check of version and columns. What it
is not: migration: on a database of another version the only answer is a refusal that names what differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Enum, Inspector, MetaData, Table, insert, inspect, select
from sqlalchemy.dialects.postgresql.base import PGInspector

from cta_taped.common.errors import CtaError
from cta_taped.db import schema_catalogue, schema_own, schema_scheduler
from cta_taped.db.backends import SchemaPart
from cta_taped.db.sql.database import Database


@dataclass(frozen=True, slots=True)
class _Part:
    version_table: Table
    version: tuple[int, int]
    metadata: MetaData
    sequences: dict[str, int]
    unchecked: frozenset[str]
    own: tuple[Table, ...]


_PARTS: Final[dict[SchemaPart, _Part]] = {
    SchemaPart.CATALOGUE: _Part(
        schema_catalogue.CTA_CATALOGUE,
        schema_catalogue.VERSION,
        schema_catalogue.METADATA,
        schema_catalogue.SEQUENCES,
        frozenset(),
        (schema_own.TAPED_DISK_FILE,),
    ),
    SchemaPart.SCHEDULER: _Part(
        schema_scheduler.CTA_SCHEDULER,
        schema_scheduler.VERSION,
        schema_scheduler.METADATA,
        schema_scheduler.SEQUENCES,
        schema_scheduler.UNCHECKED,
        (schema_own.TAPED_REQUEST,),
    ),
}


class Installation:
    """One part's schema in one database."""

    def __init__(self, database: Database, part: SchemaPart) -> None:
        self._database = database
        self._name = part
        self._part = _PARTS[part]

    def create(self) -> None:
        """Make CTA's tables and ours. Raises *_SCHEMA when CTA's are there already."""
        part = self._part
        with self._database.write() as connection:
            if inspect(connection).has_table(part.version_table.name):
                raise CtaError(
                    self._database.faults.schema,
                    f"{self._database.place}: a {self._name} is there already; it is not altered",
                )
            part.metadata.create_all(connection, checkfirst=False)
            major, minor = part.version
            connection.execute(
                insert(part.version_table).values(
                    schema_version_major=major,
                    schema_version_minor=minor,
                    status="PRODUCTION",
                    is_production=False,
                )
            )
            self._create_own(connection)

    def create_own(self) -> None:
        """Make our own tables beside those of a database that CTA created."""
        with self._database.write() as connection:
            self._create_own(connection)

    def _create_own(self, connection: Connection) -> None:
        for table in self._own_tables():
            table.create(connection, checkfirst=True)
        if connection.dialect.name == "sqlite":
            rows = [{"name": name, "next_value": start} for name, start in self._part.sequences.items()]
            statement = self._database.insert(schema_own.TAPED_SEQUENCE).on_conflict_do_nothing()
            connection.execute(statement, rows)

    def _own_tables(self) -> tuple[Table, ...]:
        sqlite = self._database.engine.dialect.name == "sqlite"
        return (*self._part.own, *((schema_own.TAPED_SEQUENCE,) if sqlite else ()))

    def _checked_tables(self) -> list[Table]:
        tables = (*self._part.metadata.sorted_tables, *self._own_tables())
        return [table for table in tables if table.name not in self._part.unchecked]

    def check(self) -> None:
        """Compare version, columns and enumerations. Raises *_SCHEMA naming the first differences."""
        part, place, fault = self._part, self._database.place, self._database.faults.schema
        with self._database.read() as connection:
            there = inspect(connection)
            if not there.has_table(part.version_table.name):
                raise CtaError(fault, f"{place}: no {self._name} here; create one with 'cta-admin db create'")
            c = part.version_table.c
            row = connection.execute(select(c.schema_version_major, c.schema_version_minor)).first()
            found = (int(row[0]), int(row[1])) if row else None
            # A minor version only adds, as upstream itself takes it; the scheduler promises no such thing.
            same = found == part.version if self._name is SchemaPart.SCHEDULER else bool(found)
            if not found or found[0] != part.version[0] or not same:
                wanted = ".".join(map(str, part.version))
                is_found = ".".join(map(str, found)) if found else "none"
                raise CtaError(fault, f"{place}: {self._name} schema {is_found} found, {wanted} needed")
            missing = []
            for table in self._checked_tables():
                if not there.has_table(table.name):
                    missing.append(table.name.upper())
                    continue
                columns = {column["name"].lower() for column in there.get_columns(table.name)}
                missing += [
                    f"{table.name}.{column.name}".upper() for column in table.c if column.name not in columns
                ]
            missing += self._missing_labels(there)
        if missing:
            raise CtaError(fault, f"{place}: missing in the {self._name} schema: {', '.join(missing[:10])}")

    def _missing_labels(self, there: Inspector) -> list[str]:
        """Labels of enumerations that the database does not know; without types of its own it has none."""
        if not isinstance(there, PGInspector):
            return []
        found = {enum["name"].lower(): set(enum["labels"]) for enum in there.get_enums()}
        types = {
            column.type.name: column.type.enums
            for table in self._checked_tables()
            for column in table.c
            if isinstance(column.type, Enum) and column.type.name
        }
        return [
            f"{name.upper()}.{label}"
            for name, wanted in sorted(types.items())
            for label in wanted
            if label not in found.get(name, ())
        ]

    def close(self) -> None:
        """Let the connections go."""
        self._database.close()
