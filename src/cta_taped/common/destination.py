# SPDX-License-Identifier: GPL-3.0-or-later
"""Destinations of log lines: the journal, or stderr as JSON or for a reader at a terminal.

What it is: the form that a finished line (structlog's event dictionary) takes at each destination. What it is
not: the rules about what a line must hold (log.py) or the journal's protocol (journal.py). Why: the JSON form
keeps the names of upstream's log schema (common/cta-logging.schema.json 0.2.0), which collectors of CTA sites
know; the journal's form has one field for each fact.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final, Protocol

from cta_taped.common.errors import BY_CODE
from cta_taped.common.events import UPSTREAM_EVENTS, Event, Level
from cta_taped.common.journal import JournalWriter, field_name

if TYPE_CHECKING:
    from structlog.typing import EventDict

# Not shown as key=value: they have a place of their own in every form of a line.
PLACED: Final = frozenset(
    {"event", "level", "code", "detail", "exception", "pathname", "lineno", "func_name", "priority"}
)

_SCHEMA_VERSION: Final = "0.2.0"
_UPSTREAM_LEVELS: Final = {Level.WARNING: "WARN", Level.CRITICAL: "CRIT"}
_JSON_NAMES: Final = {"code": "error_code", "detail": "error_message", "exception": "traceback"}


class DestinationName(StrEnum):
    """Where lines go; ``AUTO`` is the journal if stderr leads there, else the console's or JSON's form."""

    AUTO = "auto"
    JOURNAL = "journal"
    JSON = "json"
    CONSOLE = "console"


class Destination(Protocol):
    """Takes finished lines."""

    def write(self, line: EventDict) -> None:
        """Write one line. Never raises: a log line must not end a transfer."""
        ...

    def close(self) -> None:
        """Flush and release."""
        ...


def open_destination(
    name: DestinationName, program: str, journal: Callable[[], JournalWriter]
) -> Destination:
    """The destination of that name; ``journal`` makes the way into the journal if it is needed."""
    match _resolve(name):
        case DestinationName.JOURNAL:
            return JournalDestination(journal(), program)
        case DestinationName.CONSOLE:
            return StderrDestination(_console_line, program)
        case _:
            return StderrDestination(_json_line, program)


class JournalDestination:
    """Lines as journal entries: a sentence as MESSAGE, every field under its own name."""

    def __init__(self, writer: JournalWriter, program: str) -> None:
        self._writer = writer
        self._program = program

    def write(self, line: EventDict) -> None:
        """Write one line."""
        event, code, pairs = line["event"], line.get("code"), _pairs(line)
        shown = event.fields if isinstance(event, Event) else [name for name, _ in pairs]
        message = " ".join([_sentence(line), *(f"{name}={_text(line.get(name, ''))}" for name in shown)])
        fields = {
            "MESSAGE": f"{message}\n{line['exception']}" if "exception" in line else message,
            "PRIORITY": str(int(line["level"])),
            "SYSLOG_IDENTIFIER": self._program,
            "CODE_FILE": line["pathname"],
            "CODE_LINE": str(line["lineno"]),
            "CODE_FUNC": line["func_name"],
            "TID": str(threading.get_native_id()),
            "CTA_EVENT": str(event),
        }
        if code is not None:
            fields["CTA_ERROR_CODE"] = code
        if code in BY_CODE:
            fields["MESSAGE_ID"] = BY_CODE[code].message_id
        elif isinstance(event, Event):
            fields["MESSAGE_ID"] = event.message_id
        if "detail" in line:
            fields["CTA_DETAIL"] = line["detail"]
        fields |= {field_name(name): _text(value) for name, value in pairs}
        self._writer.write(fields)

    def close(self) -> None:
        """Flush and release the way into the journal."""
        self._writer.close()


class StderrDestination:
    """Lines on stderr, in one of two forms."""

    def __init__(self, form: Callable[[EventDict, str], str], program: str) -> None:
        self._form = form
        self._program = program

    def write(self, line: EventDict) -> None:
        """Write one line; a stderr that nobody reads any more (EPIPE, closed) ends nothing."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(self._form(line, self._program) + "\n")
            sys.stderr.flush()

    def close(self) -> None:
        """Nothing is held."""


def _json_line(line: EventDict, program: str) -> str:
    """Upstream's required names and the fields of the event, one object a line."""
    now, event, level, fields = time.time(), line["event"], line["level"], dict(_pairs(line))
    fields |= {theirs: line[ours] for ours, theirs in _JSON_NAMES.items() if ours in line}
    if event in UPSTREAM_EVENTS:
        fields["event_name"] = event
    if "drive" in fields:
        fields["drive_name"] = fields["drive"]
    return json.dumps(
        fields
        | {
            "epoch_time": now,
            "local_time": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(now)),
            "log_schema_version": _SCHEMA_VERSION,
            "cta_version": _version(),
            "hostname": socket.gethostname(),
            "program": program,
            "source_location": f"{line['pathname'].rpartition('/')[2]}:{line['lineno']}",
            "log_level": _UPSTREAM_LEVELS.get(level, level.name),
            "pid": os.getpid(),
            "tid": threading.get_native_id(),
            "message": _sentence(line),
            "event": event,
        },
        default=_text,
    )


def _console_line(line: EventDict, _program: str) -> str:
    pairs = "".join(f" {name}={_text(value)}" for name, value in _pairs(line))
    text = f"{time.strftime('%H:%M:%S')} {line['level'].name:<8} {_sentence(line)}{pairs}"
    return f"{text}\n{line['exception']}" if "exception" in line else text


def _sentence(line: EventDict) -> str:
    event = line["event"]
    if "code" in line and "detail" in line:
        return f"{line['code']} {line['detail']}"
    return event.meaning if isinstance(event, Event) else str(event)


def _text(value: object) -> str:
    return bytes(value).hex() if isinstance(value, bytes | bytearray | memoryview) else str(value)


def _pairs(line: EventDict) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in line.items() if name not in PLACED and value is not None]


@lru_cache(maxsize=1)
def _version() -> str:
    return metadata.version("cta-taped")


def _resolve(name: DestinationName) -> DestinationName:
    if name is not DestinationName.AUTO:
        return name
    if _stderr_is_journal():
        return DestinationName.JOURNAL
    return DestinationName.CONSOLE if sys.stderr.isatty() else DestinationName.JSON


def _stderr_is_journal() -> bool:
    """Whether stderr is the stream that systemd named in JOURNAL_STREAM (systemd.exec(5)), device:inode."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
