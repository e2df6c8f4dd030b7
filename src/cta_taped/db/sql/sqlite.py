# SPDX-License-Identifier: GPL-3.0-or-later
"""SQLite: the embedded database of one host, shared by several processes.

What it is: how a file is opened, which locks are taken when, what SQLite's result codes mean. What it is not:
a statement on CTA's tables. Why these settings: WAL lets readers and one writer work at the same time; BEGIN
IMMEDIATE takes the write lock before anything is read, so that a decision cannot be overtaken;
synchronous=FULL because what is recorded here is dropped from the ledger, and must survive a power cut.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

from sqlalchemy import Connection, Engine, QueuePool, Table, create_engine, event, update
from sqlalchemy.dialects.sqlite import Insert, insert

from cta_taped.common.errors import CONFIG_INVALID, CtaError, ErrorSpec
from cta_taped.db.backends import SchemaPart
from cta_taped.db.catalogue import Catalogue
from cta_taped.db.scheduler import Scheduler
from cta_taped.db.schema_own import TAPED_SEQUENCE
from cta_taped.db.sql.catalogue import SqlCatalogue
from cta_taped.db.sql.database import CATALOGUE_FAULTS, SCHEDULER_FAULTS, Database, Faults
from cta_taped.db.sql.installation import Installation
from cta_taped.db.sql.scheduler import SqlScheduler

# How long a writer waits for other writers; a transaction here takes milliseconds.
BUSY_TIMEOUT_S: Final = 30.0

# sqlite3.h, primary result codes.
_LOST: Final = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PROTOCOL,
}
_CONFLICT: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT}
_CORRUPT: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def database_path(url: str) -> Path:
    """The absolute file of ``sqlite:///PATH``. Raises CONFIG_INVALID for anything else."""
    path = unquote(url.removeprefix("sqlite:"))
    relative = not path.startswith("/") or (path.startswith("//") and not path.startswith("///"))
    if relative or path.endswith("/") or "\0" in path:
        raise CtaError(
            CONFIG_INVALID, f"database {url!r}: a file is named with its absolute path, sqlite:///PATH"
        )
    return Path("/" + path.lstrip("/"))


def _engine(path: Path, mode: str) -> Engine:
    uri = f"file:{quote(str(path))}?mode={mode}"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                connection.execute(f"PRAGMA {pragma}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=2, max_overflow=8)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


class SqliteDatabase(Database):
    """One SQLite file. ``mode``: rw for an existing file, rwc to create it."""

    def __init__(self, path: Path, faults: Faults, mode: str = "rw") -> None:
        super().__init__(_engine(path, mode), faults, str(path))

    def classify(self, cause: BaseException) -> tuple[ErrorSpec, dict[str, Any]]:
        code = getattr(cause, "sqlite_errorcode", None)
        if code is None:
            return self.faults.refused, {}
        primary = code & 0xFF
        evidence = {"sqlite_error": getattr(cause, "sqlite_errorname", str(code))}
        if primary in _CORRUPT:
            return self.faults.corrupt, evidence
        if primary in _CONFLICT:
            return self.faults.conflict, evidence
        if primary in _LOST:
            return self.faults.lost, evidence
        if primary == sqlite3.SQLITE_ERROR and "no such" in str(cause):
            return self.faults.schema, evidence
        return self.faults.refused, evidence

    def draw(self, connection: Connection, sequence: str, count: int) -> Sequence[int]:
        c = TAPED_SEQUENCE.c
        statement = update(TAPED_SEQUENCE).where(c.name == sequence).values(next_value=c.next_value + count)
        end = connection.execute(statement.returning(c.next_value)).scalar_one_or_none()
        if end is None:
            raise CtaError(self.faults.schema, f"{self.place}: no sequence {sequence} in TAPED_SEQUENCE")
        return range(end - count, end)

    def lock(self, connection: Connection, name: str) -> None:
        """Nothing: BEGIN IMMEDIATE holds the only write lock there is."""

    def exclusion(self, name: str) -> AbstractContextManager[None]:
        return nullcontext()

    def insert(self, table: Table) -> Insert:
        return insert(table)

    def defer_uniqueness(self, connection: Connection) -> None:
        """Nothing: SQLite checks UNIQUE per statement."""


def open_catalogue(url: str) -> Catalogue:
    """The catalogue in a file."""
    return SqlCatalogue(SqliteDatabase(database_path(url), CATALOGUE_FAULTS))


def open_scheduler(url: str, catalogue_url: str, backend_name: str) -> Scheduler:
    """The scheduler in a file, beside a catalogue in the same or another file."""
    catalogue = SqliteDatabase(database_path(catalogue_url), CATALOGUE_FAULTS)
    return SqlScheduler(SqliteDatabase(database_path(url), SCHEDULER_FAULTS), catalogue, backend_name)


def installation(url: str, part: SchemaPart, create: bool) -> Installation:
    """The schema of one part in a file, which is made when ``create``."""
    faults = CATALOGUE_FAULTS if part is SchemaPart.CATALOGUE else SCHEDULER_FAULTS
    return Installation(SqliteDatabase(database_path(url), faults, "rwc" if create else "rw"), part)
