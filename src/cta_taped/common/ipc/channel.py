# SPDX-License-Identifier: GPL-3.0-or-later
"""One end of the SOCK_SEQPACKET socketpair between the supervisor and a worker.

``WorkerChannel`` is the worker's end: it sends facts, and a listening thread hands each command to a
callback. End of file means that the supervisor died; the listening thread then ends the process at once,
even while the main thread is stuck in a system call, because nobody would watch it any more (DESIGN 2). The
supervisor's end is a plain non-blocking socket in its loop (``receive``, ``send``).
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Final

from cta_taped.common.errors import SYSTEM_PROTOCOL, CtaError
from cta_taped.common.ipc import messages
from cta_taped.common.ipc.messages import Command, Fact

EXIT_ORPHANED: Final = 79


def socketpair() -> tuple[socket.socket, socket.socket]:
    """(supervisor's end, non-blocking; worker's end, blocking), both closed on exec until said otherwise."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs


def send(end: socket.socket, command: Command) -> bool:
    """Send from the supervisor's loop without blocking; False when the worker is gone or does not read."""
    try:
        end.send(messages.encode(command), socket.MSG_NOSIGNAL)
    except OSError:
        return False
    return True


def receive(end: socket.socket) -> Iterator[Fact | None]:
    """All facts that have arrived; None last when the worker closed its end.

    Raises CtaError SYSTEM_PROTOCOL for a malformed packet.
    """
    while True:
        try:
            packet = end.recv(messages.PACKET_LIMIT_BYTES)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            yield None
            return
        yield messages.decode_fact(packet)


class WorkerChannel:
    """The worker's end. Thread-safe for sending (one packet is one system call)."""

    def __init__(self, fd: int, role: messages.Role) -> None:
        """Adopt the inherited descriptor ``fd`` and say Hello.

        Raises CtaError SYSTEM_PROTOCOL when ``fd`` is no such socket.
        """
        try:
            self._socket = socket.socket(fileno=fd)
            if self._socket.type != socket.SOCK_SEQPACKET:
                raise OSError
        except OSError:
            raise CtaError(
                SYSTEM_PROTOCOL,
                f"file descriptor {fd}: expected the supervisor's socket; workers are not run by hand",
            ) from None
        os.set_inheritable(fd, False)
        self.say(messages.Hello(role, os.getpid()))

    def say(self, fact: Fact) -> None:
        """Send one fact; the process ends at once when the supervisor is gone."""
        try:
            self._socket.send(messages.encode(fact), socket.MSG_NOSIGNAL)
        except OSError:
            os._exit(EXIT_ORPHANED)

    def listen(self, obey: Callable[[Command], None]) -> None:
        """Hand every command to ``obey``, on a daemon thread, for the life of the process."""
        threading.Thread(target=self._listen, args=(obey,), name="channel", daemon=True).start()

    def _listen(self, obey: Callable[[Command], None]) -> None:
        while True:
            try:
                packet = self._socket.recv(messages.PACKET_LIMIT_BYTES)
            except OSError:
                packet = b""
            if not packet:
                os._exit(EXIT_ORPHANED)
            obey(messages.decode_command(packet))
