# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker process as the supervisor holds it: its channel's end, its pidfd, its signals.

Children are started with fork and exec, a SOCK_SEQPACKET end each, in a process group of their own, and
without the supervisor's systemd environment: only the supervisor talks to systemd (DESIGN 2).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from cta_taped.common.ipc import channel
from cta_taped.common.ipc.messages import Command, Role

PROGRAMS: Final[dict[Role, tuple[str, ...]]] = {
    "session": ("cta_taped.session",),
    "rescue": ("cta_taped.session", "--rescue"),
    "maintenance": ("cta_taped.maintenance",),
}
_OF_THE_SUPERVISOR: Final = frozenset(
    {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"}
)


class Child:
    """One running worker."""

    def __init__(self, role: Role, snapshot: Path, *extra: str) -> None:
        """Fork and exec, with the configuration in ``snapshot``.

        Raises OSError when the host has no process or descriptor left.
        """
        self.role = role
        self.said_hello = False
        ours, theirs = channel.socketpair()
        module, *flags = PROGRAMS[role]
        command = [sys.executable, "-m", module, *flags, "--channel-fd", str(theirs.fileno())]
        command += ["--snapshot", str(snapshot), *extra]
        environment = {key: value for key, value in os.environ.items() if key not in _OF_THE_SUPERVISOR}
        with theirs:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=environment,
                process_group=0,
            )
        self.channel = ours
        self.pid = self._process.pid
        self.pidfd = os.pidfd_open(self.pid)

    def tell(self, command: Command) -> bool:
        """Send a command; False when the worker is gone or does not read."""
        return channel.send(self.channel, command)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if the process still lives."""
        if self._process.poll() is None:
            signal.pidfd_send_signal(self.pidfd, number)

    def reap(self) -> str | None:
        """How the process ended, or None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        return f"ended by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"

    def close(self) -> None:
        """Let channel and pidfd go."""
        self.channel.close()
        os.close(self.pidfd)
