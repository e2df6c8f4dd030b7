# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways into the systemd journal: over systemd-python, and in the background over the native protocol.

What it is: two writers of journal entries with the same two methods, and the naming of fields. What it is
not: a logger; log.py decides what is in an entry. Why two: systemd-python's ``send`` holds the interpreter
lock while journald does not read, which stops every thread of the process. The process that moves the tape
uses ``BackgroundJournal``, whose ``write`` only appends to a queue.

Protocol: systemd, docs/JOURNAL_NATIVE_PROTOCOL.md; field names: systemd.journal-fields(7).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from functools import lru_cache
from queue import SimpleQueue
from typing import Any, Final, Protocol

from cta_taped.common.events import LOG_LINES_DROPPED

NATIVE_SOCKET: Final = "/run/systemd/journal/socket"
QUEUE_LIMIT: Final = 4096  # lines; some megabytes at the usual length of a line

_SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - not a predictable name: the file has none
_TOO_LONG: Final = frozenset({errno.EMSGSIZE, errno.ENOBUFS})
_STUCK_POLL_MS: Final = 200  # only while journald does not read: how soon ``close`` is noticed
_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_FORBIDDEN: Final = re.compile(r"[^A-Z0-9_]")


class JournalWriter(Protocol):
    """Takes journal entries: field names (already in the journal's form) and their text."""

    def write(self, fields: Mapping[str, str]) -> None:
        """Write one entry. Never raises: a log line must not end a transfer."""
        ...

    def close(self) -> None:
        """Flush and release; a second call does nothing."""
        ...


@lru_cache(maxsize=1024)
def field_name(name: str) -> str:
    """The journal field of a log field: ``vid`` is ``CTA_VID``, ``tapeVid`` is ``CTA_TAPE_VID``.

    At most 64 characters of A-Z, 0-9 and _ (systemd.journal-fields(7)).
    """
    return ("CTA_" + _FORBIDDEN.sub("_", _CAPITAL.sub("_", name).upper()))[:64]


def encode(fields: Mapping[str, str]) -> bytes:
    """One entry in the native protocol: ``KEY=VALUE``, or with newlines inside KEY, length (LE64), VALUE."""
    parts = []
    for name, value in fields.items():
        data = value.encode(errors="replace")
        if b"\n" in data:
            parts.append(b"%b\n%b%b\n" % (name.encode(), struct.pack("<Q", len(data)), data))
        else:
            parts.append(b"%b=%b\n" % (name.encode(), data))
    return b"".join(parts)


class SystemdJournal:
    """Entries through systemd-python, at once; blocks the whole process while journald does not read."""

    def __init__(self) -> None:
        import systemd.journal  # here: the transfer process has no need to load libsystemd

        self._send: Callable[..., Any] = systemd.journal.sendv

    def write(self, fields: Mapping[str, str]) -> None:
        """Write one entry. Never raises."""
        with contextlib.suppress(OSError):
            self._send(*(f"{name}={value}".encode(errors="replace") for name, value in fields.items()))

    def close(self) -> None:
        """Nothing is held."""


class BackgroundJournal:
    """Entries from a thread of its own over a non-blocking socket; what the queue cannot hold is counted.

    The oldest lines are kept: they tell how the trouble began. As soon as journald reads again, one entry
    ``log_lines_dropped`` says how many lines are missing.
    """

    def __init__(self, path: str = NATIVE_SOCKET, queue_limit: int = QUEUE_LIMIT) -> None:
        self._path = path
        self._limit = queue_limit
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._count_lock = threading.Lock()
        self._dropped = 0
        self._reported = 0
        self._socket: socket.socket | None = None
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many lines were lost so far."""
        return self._dropped

    def write(self, fields: Mapping[str, str]) -> None:
        """Queue one entry, or count it as dropped if the queue is full. Never waits, never raises."""
        if self._queue.qsize() >= self._limit:
            self._count_drop()
        else:
            self._queue.put(encode(fields))

    def close(self, timeout_s: float = 2.0) -> None:
        """Deliver what is queued, for at most ``timeout_s``, and end the thread."""
        if not self._thread.is_alive():
            return
        self._queue.put(None)
        self._thread.join(timeout_s)
        self._abandoned.set()
        self._thread.join()

    def _count_drop(self) -> None:
        with self._count_lock:
            self._dropped += 1

    def _run(self) -> None:
        while (packet := self._queue.get()) is not None:
            if self._deliver(packet):
                self._report_drops()
            else:
                self._count_drop()
        self._disconnect()

    def _report_drops(self) -> None:
        lost = self._dropped - self._reported
        if lost and self._deliver(encode(_drop_report(lost))):
            self._reported += lost

    def _deliver(self, packet: bytes) -> bool:
        transmit = self._send_datagram
        reconnected = False
        while not self._abandoned.is_set():
            try:
                journald = self._socket or self._connect()
                transmit(journald, packet)
            except BlockingIOError:
                self._wait_until_read()
            except OSError as error:
                if error.errno in _TOO_LONG and transmit == self._send_datagram:
                    transmit = self._send_file
                elif reconnected:
                    return False
                else:
                    self._disconnect()
                    reconnected = True
            else:
                return True
        return False

    @staticmethod
    def _send_datagram(journald: socket.socket, packet: bytes) -> None:
        journald.send(packet)

    @staticmethod
    def _send_file(journald: socket.socket, packet: bytes) -> None:
        """Hand over a file in place of a datagram that is too long.

        A nameless file in /dev/shm and no memfd: from an unprivileged process journald refuses a memfd that
        is not sealed (journald-native.c, server_process_native_file), and sealing needs fcntl(2).
        """
        file_fd = os.open(_SHARED_MEMORY, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            rest = memoryview(packet)
            while rest:
                rest = rest[os.write(file_fd, rest) :]
            socket.send_fds(journald, [], [file_fd])
        finally:
            os.close(file_fd)

    def _connect(self) -> socket.socket:
        journald = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        journald.setblocking(False)
        try:
            journald.connect(self._path)
        except OSError:
            journald.close()
            raise
        self._socket = journald
        return journald

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _wait_until_read(self) -> None:
        poller = select.poll()
        if self._socket is not None:
            poller.register(self._socket, select.POLLOUT)
        poller.poll(_STUCK_POLL_MS)


def _drop_report(lines: int) -> dict[str, str]:
    return {
        "MESSAGE": f"{LOG_LINES_DROPPED.meaning} lines={lines}",
        "MESSAGE_ID": LOG_LINES_DROPPED.message_id,
        "PRIORITY": str(int(LOG_LINES_DROPPED.level)),
        "CTA_EVENT": str(LOG_LINES_DROPPED),
        "CTA_LINES": str(lines),
    }
