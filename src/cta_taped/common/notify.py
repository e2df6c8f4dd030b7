# SPDX-License-Identifier: GPL-3.0-or-later
"""What the supervisor tells systemd: sd_notify(3) over the package sdnotify.

What it is: the service manager's words as methods, and the watchdog's interval. What it is not: a loop or a
timer; the supervisor calls ``watchdog`` after a full turn. Why not sdnotify alone: its socket blocks when PID
1 is slow to read, it encodes as Latin-1 and silently loses any other text, and what it could not send is
gone, a READY=1 included. Here nothing blocks or raises, text is UTF-8, and what did not get through is sent
again with the next message.
"""

from __future__ import annotations

import os
import time
from typing import Final

import sdnotify

_STATUS_BYTES: Final = 1024  # PID 1 ignores a message of more than PIPE_BUF (4096) bytes as a whole
_LIFE_CYCLE: Final = ("READY", "RELOADING", "STOPPING")


class Notifier:
    """The connection to the service manager; without NOTIFY_SOCKET every method does nothing.

    Methods return whether everything told so far has reached systemd's queue.
    """

    def __init__(self) -> None:
        self._systemd = _connect()
        self._unsent: dict[str, str] = {}

    def ready(self) -> bool:
        """The service is up, or has finished reloading."""
        return self._tell({"READY": "1"})

    def status(self, text: str) -> bool:
        """One line for ``systemctl status``; control characters become blanks, 1024 bytes at most."""
        line = "".join(character if character.isprintable() else " " for character in text)
        return self._tell({"STATUS": line.encode(errors="replace")[:_STATUS_BYTES].decode(errors="ignore")})

    def watchdog(self) -> bool:
        """The loop is alive."""
        return self._tell({"WATCHDOG": "1"})

    def reloading(self) -> bool:
        """A reload begins; ``ready`` ends it. The time tells Type=notify-reload which reload is meant."""
        now_usec = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        return self._tell({"RELOADING": "1", "MONOTONIC_USEC": str(now_usec)})

    def stopping(self) -> bool:
        """The service is about to end."""
        return self._tell({"STOPPING": "1"})

    def extend_timeout(self, timeout_s: float) -> bool:
        """Ask for ``timeout_s`` more seconds, from now, for the start, reload or stop under way."""
        return self._tell({"EXTEND_TIMEOUT_USEC": str(int(timeout_s * 1_000_000))})

    def mainpid(self, pid: int) -> bool:
        """The service's main process is ``pid``."""
        return self._tell({"MAINPID": str(pid)})

    def close(self) -> None:
        """Let go of the socket; a second call does nothing, later messages go nowhere."""
        if self._systemd is not None:
            self._systemd.socket.close()
            self._systemd = None

    def _tell(self, lines: dict[str, str]) -> bool:
        if self._systemd is None:
            return False
        if any(key in lines for key in _LIFE_CYCLE):
            # A state that did not get through is over when the next one begins.
            for key in (*_LIFE_CYCLE, "MONOTONIC_USEC"):
                self._unsent.pop(key, None)
        self._unsent |= lines
        # sdnotify encodes as Latin-1: hand it the characters whose Latin-1 bytes are our UTF-8.
        message = (
            "\n".join(f"{key}={value}" for key, value in self._unsent.items()).encode().decode("latin-1")
        )
        try:
            self._systemd.notify(message)
        except BlockingIOError:
            return False
        except OSError:
            return self._tell_anew(message)
        self._unsent.clear()
        return True

    def _tell_anew(self, message: str) -> bool:
        """Once more over a new connection: a service manager that was replaced has a new socket."""
        systemd = _connect()
        if systemd is None:
            return False
        self.close()
        self._systemd = systemd
        try:
            systemd.notify(message)
        except OSError:
            return False
        self._unsent.clear()
        return True


def _connect() -> sdnotify.SystemdNotifier | None:
    if not os.environ.get("NOTIFY_SOCKET"):
        return None
    systemd = sdnotify.SystemdNotifier()
    if systemd.socket is None:
        return None
    systemd.socket.setblocking(False)
    systemd.debug = True  # from here on its notify() raises instead of losing messages silently
    return systemd


def watchdog_interval_s() -> float | None:
    """How often to call ``watchdog``: half of WatchdogSec=, or None if systemd does not ask this process.

    sd_watchdog_enabled(3): WATCHDOG_USEC in microseconds, meant for WATCHDOG_PID alone if that is set.
    """
    usec = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not usec.isdecimal() or int(usec) == 0 or pid != str(os.getpid()):
        return None
    return int(usec) / 2_000_000
