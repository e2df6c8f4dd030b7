# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL: the database of many tape servers.

What it is: how a server is reached, its named locks, what its SQLSTATEs mean. What it is not: a statement on
CTA's tables. Why the time-outs: a server that vanished without a word must be noticed in tens of seconds, not
in the two hours of TCP's defaults.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, create_engine, text
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from cta_taped.common.errors import CONFIG_INVALID, CtaError, ErrorSpec
from cta_taped.db.backends import SchemaPart
from cta_taped.db.catalogue import Catalogue
from cta_taped.db.lockname import lock_number
from cta_taped.db.scheduler import Scheduler
from cta_taped.db.sql.catalogue import SqlCatalogue
from cta_taped.db.sql.database import CATALOGUE_FAULTS, SCHEDULER_FAULTS, Database, Faults
from cta_taped.db.sql.installation import Installation
from cta_taped.db.sql.scheduler import SqlScheduler

# libpq, parameter key words; a value in the URL wins.
_PARAMETERS: Final[dict[str, str]] = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
    "application_name": "cta-taped",
}

# SQLSTATE classes and codes (PostgreSQL documentation, appendix A). Codes win over classes.
_CODES: Final[dict[str, str]] = {
    "40001": "conflict",
    "40P01": "conflict",
    "55P03": "conflict",
    "57014": "conflict",
    "25006": "lost",  # a standby, or a server that was set read-only
    "28000": "lost",
    "28P01": "lost",
    "3D000": "lost",
    "42P01": "schema",
    "42703": "schema",
    "42704": "schema",
    "3F000": "schema",
    "XX001": "corrupt",
    "XX002": "corrupt",
}
_CLASSES: Final[dict[str, str]] = {"08": "lost", "53": "lost", "57": "lost", "58": "lost", "F0": "lost"}


def _engine(url: str) -> tuple[Engine, str]:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise CtaError(CONFIG_INVALID, f"database URL: {str(error).splitlines()[0]}") from error
    if not parsed.database:
        raise CtaError(CONFIG_INVALID, "database URL: no database is named")
    parsed = parsed.set(drivername="postgresql+psycopg").update_query_dict(
        {key: value for key, value in _PARAMETERS.items() if key not in parsed.query}
    )
    try:
        engine = create_engine(parsed, pool_size=2, max_overflow=8, pool_pre_ping=True)
    except ImportError as error:
        raise CtaError(
            CONFIG_INVALID, "database URL: the PostgreSQL driver psycopg is not installed"
        ) from error
    host = parsed.host or parsed.query.get("host", "local")
    return engine, f"{host}/{parsed.database}"


class PostgresqlDatabase(Database):
    """One database of a server."""

    def __init__(self, url: str, faults: Faults) -> None:
        engine, place = _engine(url)
        super().__init__(engine, faults, place)

    def classify(self, cause: BaseException) -> tuple[ErrorSpec, dict[str, Any]]:
        state = getattr(cause, "sqlstate", None)
        if state is None:
            # psycopg has no SQLSTATE when the connection could not be made or broke.
            broken = type(cause).__name__ in ("OperationalError", "ConnectionTimeout", "TimeoutError")
            return (self.faults.lost if broken else self.faults.refused), {}
        kind = _CODES.get(state) or _CLASSES.get(state[:2]) or "refused"
        spec: ErrorSpec = getattr(self.faults, kind)
        return spec, {"sqlstate": state}

    def draw(self, connection: Connection, sequence: str, count: int) -> Sequence[int]:
        statement = text("SELECT nextval(:sequence) FROM generate_series(1, :count)")
        rows = connection.execute(statement, {"sequence": sequence, "count": count}).scalars()
        return sorted(int(value) for value in rows)

    def lock(self, connection: Connection, name: str) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock_number(name)})

    @contextmanager
    def _exclusion(self, name: str) -> Iterator[None]:
        with self.write() as connection:
            self.lock(connection, name)
            yield

    def exclusion(self, name: str) -> AbstractContextManager[None]:
        return self._exclusion(name)

    def insert(self, table: Table) -> Insert:
        return insert(table)

    def defer_uniqueness(self, connection: Connection) -> None:
        connection.execute(text("SET CONSTRAINTS ARCHIVE_FILE_DIN_DFI_UN DEFERRED"))


def open_catalogue(url: str) -> Catalogue:
    """The catalogue on a server."""
    return SqlCatalogue(PostgresqlDatabase(url, CATALOGUE_FAULTS))


def open_scheduler(url: str, catalogue_url: str, backend_name: str) -> Scheduler:
    """The scheduler on a server, beside a catalogue in the same or another database."""
    catalogue = PostgresqlDatabase(catalogue_url, CATALOGUE_FAULTS)
    return SqlScheduler(PostgresqlDatabase(url, SCHEDULER_FAULTS), catalogue, backend_name)


def installation(url: str, part: SchemaPart, create: bool) -> Installation:
    """The schema of one part on a server; the database itself must be there."""
    faults = CATALOGUE_FAULTS if part is SchemaPart.CATALOGUE else SCHEDULER_FAULTS
    return Installation(PostgresqlDatabase(url, faults), part)
