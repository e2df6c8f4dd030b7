# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals as events of the loop: SIGTERM and SIGINT ask for a stop, SIGHUP for a reload.

The interpreter's wakeup descriptor makes select() return; what a signal means is decided in the loop's turn,
never in a handler.
"""

from __future__ import annotations

import selectors
import signal
import socket
from collections.abc import Callable
from typing import Final

CAUGHT: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class CaughtSignals:
    """Hands each caught signal to ``tell`` from within the loop. One a process, in its main thread."""

    def __init__(self, selector: selectors.BaseSelector, tell: Callable[[signal.Signals], None]) -> None:
        self._selector = selector
        self._tell = tell
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)
        for number in CAUGHT:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._theirs.fileno(), warn_on_full_buffer=False)
        selector.register(self._ours, selectors.EVENT_READ, self._woken)

    def _woken(self) -> None:
        for number in self._ours.recv(64):
            if number in CAUGHT:
                self._tell(signal.Signals(number))

    def close(self) -> None:
        """Stop listening; the signals stay caught, so that a late one does not end the process half way."""
        signal.set_wakeup_fd(-1)
        self._selector.unregister(self._ours)
        self._ours.close()
        self._theirs.close()
