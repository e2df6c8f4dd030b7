# SPDX-License-Identifier: GPL-3.0-or-later
"""How a session speaks with its supervisor: states, commands, signs of life, and the wish that it ends.

``Link`` is what the session's procedures see. ``ChannelLink`` speaks over the channel; ``LoneLink`` is
for the rescue that systemd runs after the supervisor itself died (ExecStopPost), and speaks to the log
alone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, Protocol

from cta_taped.common import events
from cta_taped.common.errors import CtaError
from cta_taped.common.ipc import messages as m
from cta_taped.common.ipc.channel import WorkerChannel
from cta_taped.common.log import get_logger, log_error, log_event
from cta_taped.common.model import Grade, Mount
from cta_taped.session.stop import StopRequest

Outcome = Literal["success", "failure", "nothing"]


class Link(Protocol):
    """What a session says, and what it is asked. ``stop`` is read by the tape thread, ``wait`` sleeps."""

    stop: StopRequest

    def state(self, state: m.SessionState) -> None:
        """The session enters a state."""
        ...

    def reserve(self, mount: Mount) -> None:
        """A mount is about to be committed as claimed."""
        ...

    def begin_command(self, command: str, timeout_s: float) -> None:
        """A long command begins."""
        ...

    def end_command(self, command: str) -> None:
        """It came back."""
        ...

    def progress(self, tape_bytes: int, disk_bytes: int, files: int) -> None:
        """A sign of life of the tape thread."""
        ...

    def outage(self, subject: str, detail: str) -> None:
        """Something outside is away."""
        ...

    def outage_over(self, subject: str) -> None:
        """It is back."""
        ...

    def drive_empty(self) -> None:
        """The drive was seen empty."""
        ...

    def quarantined(self, vid: str, reason: str) -> None:
        """The cartridge could not be brought home."""
        ...

    def failed(self, error: CtaError, drive_down: bool) -> None:
        """The failure that ends the session."""
        ...

    def finished(self, outcome: Outcome) -> None:
        """The last word."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Sleep, until something is asked of the session."""
        ...


@contextmanager
def command(link: Link, name: str, timeout_s: float) -> Iterator[None]:
    """Announce a long command for the length of a ``with`` block."""
    link.begin_command(name, timeout_s)
    try:
        yield
    finally:
        link.end_command(name)


class ChannelLink:
    """A session with a living supervisor."""

    def __init__(self, channel: WorkerChannel) -> None:
        self.stop = StopRequest()
        self._channel = channel
        self._asked = threading.Event()
        self._totals: tuple[int, int, int] = (0, 0, 0)
        channel.listen(self._obey)

    def _obey(self, asked: m.Command) -> None:
        match asked:
            case m.Drain():
                self.stop.request(Grade.DRAIN)
            case m.Stop(grade=grade):
                self.stop.request(grade)
            case m.Reload():
                # Takes effect between mounts: a session without one ends and is started anew.
                self.stop.request(Grade.DRAIN)
            case _:
                return
        self._asked.set()

    def state(self, state: m.SessionState) -> None:
        self._channel.say(m.StateChanged(state))

    def reserve(self, mount: Mount) -> None:
        self._channel.say(
            m.MountReserved(
                mount.mount_id, mount.mount_type, mount.vid, mount.tape_pool, mount.vo, mount.activity
            )
        )

    def begin_command(self, command: str, timeout_s: float) -> None:
        self._channel.say(m.CommandBegun(command, timeout_s))

    def end_command(self, command: str) -> None:
        self._channel.say(m.CommandEnded(command))

    def progress(self, tape_bytes: int, disk_bytes: int, files: int) -> None:
        self._totals = (tape_bytes, disk_bytes, files)
        self._channel.say(m.Progressed(tape_bytes, disk_bytes, files))

    def outage(self, subject: str, detail: str) -> None:
        self._channel.say(m.OutageBegan(subject, detail[:500]))

    def outage_over(self, subject: str) -> None:
        self._channel.say(m.OutageEnded(subject))

    def drive_empty(self) -> None:
        self._channel.say(m.DriveEmpty())

    def quarantined(self, vid: str, reason: str) -> None:
        self._channel.say(m.Quarantined(vid, reason[:1000]))

    def failed(self, error: CtaError, drive_down: bool) -> None:
        self._channel.say(m.Failed(error.code, error.detail[:900], drive_down))

    def finished(self, outcome: Outcome) -> None:
        self._channel.say(m.Finished(outcome))

    def wait(self, timeout_s: float) -> None:
        self._channel.say(m.Progressed(*self._totals))
        if self._asked.wait(timeout_s):
            # Asked and still here: whoever waits again means it (a hold at a flush), so do not spin.
            self._asked.clear()


class LoneLink:
    """The rescue without a supervisor: nobody listens, nobody asks. ``empty`` tells how it ended."""

    _LOG: Final = get_logger()

    def __init__(self) -> None:
        self.stop = StopRequest()
        self.empty = False

    def state(self, state: m.SessionState) -> None:
        return

    def reserve(self, mount: Mount) -> None:
        return

    def begin_command(self, command: str, timeout_s: float) -> None:
        return

    def end_command(self, command: str) -> None:
        return

    def progress(self, tape_bytes: int, disk_bytes: int, files: int) -> None:
        return

    def outage(self, subject: str, detail: str) -> None:
        return

    def outage_over(self, subject: str) -> None:
        return

    def drive_empty(self) -> None:
        self.empty = True
        log_event(self._LOG, events.DRIVE_EMPTY)

    def quarantined(self, vid: str, reason: str) -> None:
        return

    def failed(self, error: CtaError, drive_down: bool) -> None:
        log_error(self._LOG, error)

    def finished(self, outcome: Outcome) -> None:
        return

    def wait(self, timeout_s: float) -> None:
        threading.Event().wait(timeout_s)
