# SPDX-License-Identifier: GPL-3.0-or-later
"""Column types of CTA's schemas, on PostgreSQL and on SQLite.

What it is: NUMERIC(n,0) that is an int in Python, CHAR(1) that is a bool, and a chooser of enumerations. What
it is not: a table. Why: upstream stores every number as NUMERIC, which drivers return as Decimal or float;
64-bit ids must not pass through a float, and SQLite's INTEGER needs no conversion at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import CHAR, Dialect, Enum, Integer, Numeric, TypeDecorator
from sqlalchemy.types import TypeEngine


def _as_int(value: Any) -> int | None:
    return None if value is None else int(value)


class _WholeNumber(TypeDecorator[int]):
    impl = Numeric
    cache_ok = True
    precision: int = 20

    def __init__(self) -> None:
        super().__init__(self.precision, 0)

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(Integer())
        return dialect.type_descriptor(Numeric(self.precision, 0))

    def bind_processor(self, dialect: Dialect) -> None:
        return None

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        return None if dialect.name == "sqlite" else _as_int


class N20(_WholeNumber):
    """NUMERIC(20,0)."""

    cache_ok = True


class N10(_WholeNumber):
    """NUMERIC(10,0)."""

    cache_ok = True
    precision = 10


class N3(_WholeNumber):
    """NUMERIC(3,0)."""

    cache_ok = True
    precision = 3


class Flag(TypeDecorator[bool]):
    """CHAR(1) holding '0' or '1'."""

    impl = CHAR(1)
    cache_ok = True

    def process_bind_param(self, value: bool | None, dialect: Dialect) -> str | None:
        return None if value is None else "1" if value else "0"

    def process_result_value(self, value: Any | None, dialect: Dialect) -> bool | None:
        return None if value is None else value == "1"


def labels(name: str, *values: str) -> Enum:
    """A PostgreSQL ENUM type ``name``; VARCHAR with a CHECK on SQLite. Values are plain str in Python."""
    return Enum(*values, name=name, create_constraint=True, validate_strings=True)


ARCHIVE_JOB_STATUS: Final = labels(
    "archive_job_status",
    "AJS_ToTransferForUser",
    "AJS_WaitReplicasBeforeReportingSuccessToDisk",
    "AJS_ToReportToUserForSuccess",
    "AJS_Complete",
    "AJS_ToReportToUserForFailure",
    "AJS_Failed",
    "AJS_Abandoned",
    "AJS_ToTransferForRepack",
    "AJS_ToReportToRepackForSuccess",
    "AJS_ToReportToRepackForFailure",
    "ReadyForDeletion",
    "Cancelled",
)
RETRIEVE_JOB_STATUS: Final = labels(
    "retrieve_job_status",
    "RJS_ToTransfer",
    "RJS_ToReportToUserForSuccess",
    "RJS_ToReportToUserForFailure",
    "RJS_Failed",
    "RJS_Complete",
    "RJS_ToReportToRepackForSuccess",
    "RJS_ToReportToRepackForFailure",
    "ReadyForDeletion",
    "Cancelled",
)
REPACK_REQ_STATUS: Final = labels(
    "repack_req_status",
    "RRS_Pending",
    "RRS_ToExpand",
    "RRS_Starting",
    "RRS_Running",
    "RRS_Complete",
    "RRS_Failed",
)
