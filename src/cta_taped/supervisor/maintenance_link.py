# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor's side of the maintenance worker: kept alive, fed from the outbox, listened to.

The worker is started again whenever it ends, with growing pauses. Nothing is sent before it said Hello and,
for the first time, what the catalogue says of the operator's wish: a report of DOWN would overwrite that.
"""

from __future__ import annotations

import selectors
import signal
import time
from collections.abc import Callable

from cta_taped.common import events
from cta_taped.common.errors import SYSTEM_CHILD_DIED, SYSTEM_RESOURCES, CtaError
from cta_taped.common.ipc import channel
from cta_taped.common.ipc import messages as m
from cta_taped.common.log import get_logger, log_error, log_event
from cta_taped.supervisor.child import Child
from cta_taped.supervisor.deadlines import BACK_OFF_S
from cta_taped.supervisor.outbox import Outbox


class MaintenanceLink:
    """One worker after the other. ``due`` is when to start the next (monotonic s), None while one runs."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        outbox: Outbox,
        spawn: Callable[[], Child],
        desired_read: Callable[[m.DesiredStateRead], None],
        remember: Callable[[], None],
    ) -> None:
        """``spawn`` may raise OSError; ``remember`` is called when the outbox shrank."""
        self.due: float | None = 0.0
        self.wish_known = False
        self._selector = selector
        self._outbox = outbox
        self._spawn = spawn
        self._desired_read = desired_read
        self._remember = remember
        self._child: Child | None = None
        self._failures = 0
        self._leaving = False
        self._log = get_logger()

    @property
    def pid(self) -> int | None:
        """The worker's process, if one runs."""
        return self._child.pid if self._child else None

    @property
    def said_hello(self) -> bool:
        """A worker runs and has reported."""
        return self._child is not None and self._child.said_hello

    def start(self) -> None:
        """Start a worker; a failure to do so is tried again later."""
        try:
            child = self._spawn()
        except OSError as error:
            log_error(self._log, CtaError(SYSTEM_RESOURCES, f"cannot start the maintenance worker: {error}"))
            self._back_off()
            return
        self._child = child
        self.due = None
        log_event(self._log, events.CHILD_STARTED, child=child.role, child_pid=child.pid)
        self._selector.register(child.channel, selectors.EVENT_READ, lambda: self._said(child))
        self._selector.register(child.pidfd, selectors.EVENT_READ, lambda: self._ended(child))

    def send(self, command: m.Command) -> None:
        """Send, if a worker is there; what is in the outbox is sent to the next one anyway."""
        if self._child is not None and self._child.said_hello:
            self._child.tell(command)

    def say_farewell(self) -> None:
        """Ask the worker to end once it has published the last word; it is not started again."""
        self._leaving = True
        if not self.wish_known or not (self._outbox.unpublished or self._outbox.wish_pending):
            self.send(m.Stop())

    def kill(self) -> None:
        """End a worker that did not go."""
        if self._child is not None:
            self._child.signal(signal.SIGKILL)

    def _back_off(self) -> None:
        back_off_s = BACK_OFF_S[min(self._failures, len(BACK_OFF_S) - 1)]
        self._failures += 1
        self.due = None if self._leaving else time.monotonic() + max(back_off_s, 0.1)

    def _said(self, child: Child) -> None:
        try:
            for fact in channel.receive(child.channel):
                if fact is None:
                    self._selector.unregister(child.channel)
                    child.signal(signal.SIGKILL)
                    return
                self._fact(child, fact)
        except CtaError as error:
            log_error(self._log, error, child=child.role)
            child.signal(signal.SIGKILL)

    def _fact(self, child: Child, fact: m.Fact) -> None:
        if isinstance(fact, m.Hello):
            child.said_hello = True
            if self.wish_known or self._outbox.wish_pending:
                self._send_everything()
        elif isinstance(fact, m.DesiredStateRead):
            self._failures = 0
            self._desired_read(fact)
            if not self.wish_known:
                self.wish_known = True
                self._send_everything()
        else:
            self._outbox.acknowledge(fact)
            self._remember()

    def _send_everything(self) -> None:
        for command in self._outbox.everything():
            self.send(command)

    def _ended(self, child: Child) -> None:
        how = child.reap()
        if how is None:
            return
        for end in (child.channel, child.pidfd):
            if end in self._selector.get_map():
                self._selector.unregister(end)
        child.close()
        self._child = None
        if not self._leaving:
            log_error(
                self._log,
                CtaError(SYSTEM_CHILD_DIED, f"maintenance worker {how}; it is started again"),
                event=events.CHILD_DIED,
                child=child.role,
                child_pid=child.pid,
            )
        self._back_off()
