# SPDX-License-Identifier: GPL-3.0-or-later
"""Logging: structlog set up so that every line is a known event with fields.

What it is: the processors, the calls for an event and for a failure, and what is bound to every line. What
it is not: the event table (events.py), the error table (errors.py), the form of a line (destination.py).
Why: an operator asks ``journalctl CTA_VID=V00001 CTA_ERROR_CODE=CTA-TAPE-008`` and must find everything.

In strict mode (tests: ``CTA_LOG_STRICT=1``) a line that breaks the rules raises: ERROR or above without a
code, INFO or above that is not in the event table, an event without its mandatory fields. In production such
a line is written; a missing code becomes SYSTEM_INTERNAL.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from cta_taped.common.destination import PLACED, Destination, DestinationName, open_destination
from cta_taped.common.errors import BY_CODE, SYSTEM_INTERNAL, CtaError
from cta_taped.common.events import FAILURE, Event, Level
from cta_taped.common.journal import JournalWriter, SystemdJournal
from cta_taped.common.plain_structlog import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

STRICT_VARIABLE: Final = "CTA_LOG_STRICT"

_Callsite: Final = structlog.processors.CallsiteParameter

# structlog's loggers know five levels; the finer ones travel as ``priority``.
_METHODS: Final = {
    Level.ALERT: "critical",
    Level.CRITICAL: "critical",
    Level.ERROR: "error",
    Level.WARNING: "warning",
    Level.NOTICE: "info",
    Level.INFO: "info",
    Level.DEBUG: "debug",
}
_LEVELS: Final = {
    "critical": Level.CRITICAL,
    "error": Level.ERROR,
    "warning": Level.WARNING,
    "info": Level.INFO,
    "debug": Level.DEBUG,
}


class LogLineError(AssertionError):
    """A log call breaks the rules of this module (raised in strict mode only)."""


class _Process:
    """What ``configure`` and ``bind`` set for this process."""

    threshold: Level = Level.INFO
    strict: bool = False
    destination: Destination | None = None
    fields: dict[str, object]

    def __init__(self) -> None:
        self.fields = {}


_process: Final = _Process()


def get_logger() -> FilteringBoundLogger:
    """A logger for a module; follows every later ``configure``."""
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


def configure(
    program: str,
    level: Level | str = Level.INFO,
    destination: DestinationName | str = DestinationName.AUTO,
    journal: Callable[[], JournalWriter] = SystemdJournal,
    strict: bool | None = None,
) -> None:
    """Set logging up for this process; once more for a changed configuration.

    ``program`` is the journal's SYSLOG_IDENTIFIER. ``level``: the least urgent level written, or its name.
    ``journal``: the way into the journal if that is the destination; the transfer process gives
    ``BackgroundJournal``. ``strict`` None leaves it to the environment. Raises KeyError or ValueError for an
    unknown level or destination; the configuration's schema admits none.
    """
    threshold = Level[level] if isinstance(level, str) else level
    name = DestinationName(destination)
    close()
    _process.threshold = threshold
    _process.strict = os.environ.get(STRICT_VARIABLE) == "1" if strict is None else strict
    _process.destination = open_destination(name, program, journal)
    structlog.configure(
        processors=_PROCESSORS,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, _METHODS[threshold].upper())),
        logger_factory=_Sink,
        cache_logger_on_first_use=False,  # a reload may change the level; a filtered call costs 1.5 us
    )
    atexit.unregister(close)
    atexit.register(close)


def close() -> None:
    """Flush and release the destination; lines after it are lost until ``configure`` is called again."""
    destination, _process.destination = _process.destination, None
    if destination is not None:
        destination.close()


def bind(**fields: object) -> None:
    """Fields of every later line of this process, whichever thread writes it: drive, vid, mount_id.

    Not context variables: a new thread starts without them, and the lines of the tape and disk threads are
    those that need a VID. None removes a field.
    """
    merged = {**_process.fields, **fields}
    _process.fields = {name: value for name, value in merged.items() if value is not None}


@contextlib.contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Fields of the lines of this task or thread inside a ``with`` block (context variables)."""
    with structlog.contextvars.bound_contextvars(**fields):
        yield


def log_event(logger: FilteringBoundLogger, event: Event, **fields: object) -> None:
    """Write ``event`` at its own level."""
    getattr(logger, _METHODS[event.level])(event, priority=event.level, **fields)


def log_error(
    logger: FilteringBoundLogger, error: CtaError, event: Event = FAILURE, **fields: object
) -> None:
    """Write a failure at its code's severity, with its evidence; a defect of the program with its traceback.

    Evidence under a name that the line itself uses gets the prefix ``evidence_``.
    """
    level = Level[error.spec.severity]
    line = {f"evidence_{name}" if name in PLACED else name: value for name, value in error.evidence.items()}
    line |= fields
    line |= {"code": error.code, "detail": error.detail, "priority": level}
    if error.__cause__ is not None:
        line["cause"] = f"{type(error.__cause__).__name__}: {error.__cause__}"
    if error.spec is SYSTEM_INTERNAL:
        line["exc_info"] = error
    getattr(logger, _METHODS[level])(event, **line)


def _add_bound(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    return {**_process.fields, **line}


def _set_level(_logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
    level = line.pop("priority", None) or _LEVELS[method]
    if level > _process.threshold:
        raise structlog.DropEvent
    line["level"] = level
    return line


def _check(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    event, level = line["event"], line["level"]
    if _process.strict:
        if level <= Level.ERROR and line.get("code") not in BY_CODE:
            raise LogLineError(f"{event!r}: ERROR or above needs code= of the error table")
        if level <= Level.INFO and not isinstance(event, Event):
            raise LogLineError(f"{event!r}: not in the event table")
        missing = [name for name in getattr(event, "fields", ()) if name not in line]
        if missing:
            raise LogLineError(f"{event!r}: lacks {missing}")
    if level <= Level.ERROR:
        line.setdefault("code", SYSTEM_INTERNAL.code)
    return line


def _finish(_logger: WrappedLogger, _method: str, line: EventDict) -> tuple[tuple[EventDict], dict[str, Any]]:
    return (line,), {}


_PROCESSORS: Final[list[Any]] = [
    structlog.contextvars.merge_contextvars,
    _add_bound,
    _set_level,
    _check,
    structlog.processors.format_exc_info,
    structlog.processors.CallsiteParameterAdder(
        [_Callsite.PATHNAME, _Callsite.LINENO, _Callsite.FUNC_NAME],
        additional_ignores=["cta_taped.common.log"],
    ),
    _finish,
]


class _Sink:
    """structlog's innermost logger: hands finished lines to the destination of the process."""

    def __init__(self, *_names: object) -> None:
        self._destination = _process.destination

    def msg(self, line: EventDict) -> None:
        if self._destination is not None:
            self._destination.write(line)

    debug = info = warning = error = critical = msg
