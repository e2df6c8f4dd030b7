# SPDX-License-Identifier: GPL-3.0-or-later
"""One database: transactions, and the one boundary where driver exceptions become errors with codes.

What it is: the base of the SQLite and the PostgreSQL database, with what statements need beyond SQLAlchemy
Core (sequences, named locks, inserts that tolerate existing rows). What it is not: any statement on CTA's
tables. Why one boundary: "try again later" and "this statement is wrong" must never be confused, so it is
decided in one place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, Engine, Row, Table
from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.exc import SQLAlchemyError

from cta_taped.common import errors
from cta_taped.common.errors import CtaError, ErrorSpec

# A row of any statement; its columns are known by name.
AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"

# Statements with long lists of values are cut: PostgreSQL takes 65,535 parameters, SQLite 32,766.
CHUNK: Final = 5000


@dataclass(frozen=True, slots=True)
class Faults:
    """The rows of the error table for one of the two databases."""

    lost: ErrorSpec
    conflict: ErrorSpec
    refused: ErrorSpec
    schema: ErrorSpec
    corrupt: ErrorSpec


CATALOGUE_FAULTS: Final = Faults(
    errors.CATALOGUE_LOST,
    errors.CATALOGUE_CONFLICT,
    errors.CATALOGUE_REFUSED,
    errors.CATALOGUE_SCHEMA,
    errors.CATALOGUE_CORRUPT,
)
SCHEDULER_FAULTS: Final = Faults(
    errors.SCHEDULER_LOST,
    errors.SCHEDULER_CONFLICT,
    errors.SCHEDULER_REFUSED,
    errors.SCHEDULER_SCHEMA,
    errors.SCHEDULER_CORRUPT,
)


class Database(ABC):
    """A database and how its failures are called.

    ``place`` is what a message names: the file, or host and database.
    """

    def __init__(self, engine: Engine, faults: Faults, place: str) -> None:
        self.engine = engine
        self.faults = faults
        self.place = place

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads; it waits for no writer on SQLite."""
        with self._translated(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes: committed at the end of the block, rolled back when the block raises."""
        with (
            self._translated(),
            self.engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except CtaError:
            raise
        except SQLAlchemyError as error:
            raise self._error(getattr(error, "orig", None) or error) from error
        except self.engine.dialect.loaded_dbapi.Error as error:
            # Raised by what runs while a connection is being made, outside any statement.
            raise self._error(error) from error

    def _error(self, cause: BaseException) -> CtaError:
        spec, evidence = self.classify(cause)
        first_line = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        return CtaError(spec, f"{self.place}: {first_line}", **evidence)

    @abstractmethod
    def classify(self, cause: BaseException) -> tuple[ErrorSpec, dict[str, Any]]:
        """Which row of the error table a driver's exception is, and evidence for the log."""

    @abstractmethod
    def draw(self, connection: Connection, sequence: str, count: int) -> Sequence[int]:
        """The next ``count`` values of a sequence; unique, rising within the call, not dense."""

    @abstractmethod
    def lock(self, connection: Connection, name: str) -> None:
        """Wait for the named lock; it ends with the transaction. Nothing to do where writers are single."""

    @abstractmethod
    def exclusion(self, name: str) -> AbstractContextManager[None]:
        """Hold the named lock of this database for a block that writes to *another* database."""

    @abstractmethod
    def insert(self, table: Table) -> PostgresqlInsert | SqliteInsert:
        """An INSERT that knows ON CONFLICT."""

    @abstractmethod
    def defer_uniqueness(self, connection: Connection) -> None:
        """Let ARCHIVE_FILE_DIN_DFI_UN be checked at commit (catalogue reference 5.1, step 1)."""

    def close(self) -> None:
        """Close all connections; later questions open new ones."""
        self.engine.dispose()


def chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Pieces of a list that fit into one statement."""
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]
