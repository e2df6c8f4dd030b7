# SPDX-License-Identifier: GPL-3.0-or-later
"""The control socket: Varlink for local operators, served from the supervisor's loop without ever
blocking it.

Who may do what: everybody who can connect may ask for the state; root, the daemon's own user and members
of the operators' group may change it (SO_PEERCRED). Garbage closes the connection, and nothing else.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import selectors
import socket
import stat
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from cta_taped import __version__
from cta_taped.common.errors import (
    CONFIG_INVALID,
    SYSTEM_BAD_REQUEST,
    SYSTEM_PEER_REFUSED,
    SYSTEM_STATE_LOST,
    CtaError,
)
from cta_taped.common.ipc import varlink
from cta_taped.common.model import Grade

CLIENTS_LIMIT: Final = 32
TEXT_LIMIT: Final = 1000
_UCRED: Final = struct.Struct("3i")

Method = Callable[[Mapping[str, Any]], dict[str, Any]]
Observer = Callable[[str, int, CtaError | None], None]


class ControlServer:
    """Listening socket and clients. ``readers`` are methods for all, ``writers`` for operators only.

    Parameters of a method come unvalidated; a method raises CtaError to refuse. ``observe`` is told of each
    call: method, uid of the peer, and the refusal if there was one.
    """

    def __init__(
        self,
        path: Path,
        operators_group: str | None,
        readers: Mapping[str, Method],
        writers: Mapping[str, Method],
        observe: Observer,
    ) -> None:
        """Bind ``path`` (a socket left by a dead daemon is replaced).

        Raises CtaError CONFIG_INVALID for an unknown group, SYSTEM_STATE_LOST when the path cannot be bound.
        """
        self._readers = readers
        self._writers = writers
        self._observe = observe
        self._path = path
        self._clients: dict[int, _Client] = {}
        self._operators_gid = _gid(operators_group) if operators_group else None
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
                path.unlink()
            self._listener.bind(str(path))
            path.chmod(0o660)
            if self._operators_gid is not None:
                os.chown(path, -1, self._operators_gid)
            self._listener.listen(CLIENTS_LIMIT)
        except OSError as error:
            self._listener.close()
            raise CtaError(SYSTEM_STATE_LOST, f"{path}: control socket: {error.strerror}") from None

    def register(self, selector: selectors.BaseSelector) -> None:
        """Add the listening socket to the loop; clients add themselves."""
        self._selector = selector
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        if len(self._clients) >= CLIENTS_LIMIT:
            connection.close()
            return
        connection.setblocking(False)
        client = _Client(connection)
        self._clients[connection.fileno()] = client
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._serve(client))

    def _serve(self, client: _Client) -> None:
        try:
            data = client.connection.recv(varlink.MESSAGE_LIMIT_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        try:
            if not data:
                raise ConnectionResetError
            for message in client.frames.feed(data):
                reply = self._answer(client, message)
                if not message.get("oneway"):
                    client.connection.sendall(varlink.encode(reply))
        except CtaError as error:
            self._observe("", client.uid, error)
            with contextlib.suppress(OSError):
                client.connection.sendall(varlink.encode(_failure(error)))
            self._drop(client)
        except OSError:
            self._drop(client)

    def _drop(self, client: _Client) -> None:
        self._selector.unregister(client.connection)
        del self._clients[client.connection.fileno()]
        client.connection.close()

    def _answer(self, client: _Client, message: Mapping[str, Any]) -> dict[str, Any]:
        method, parameters = message.get("method"), message.get("parameters", {})
        if not isinstance(method, str) or not isinstance(parameters, dict):
            raise CtaError(SYSTEM_BAD_REQUEST, "expected an object with 'method' and 'parameters'")
        if method == "org.varlink.service.GetInfo":
            return {"parameters": _INFO}
        if method == "org.varlink.service.GetInterfaceDescription":
            return _describe(parameters)
        name = method.removeprefix(f"{varlink.INTERFACE}.")
        try:
            if name in self._readers:
                return {"parameters": self._readers[name](parameters)}
            if name not in self._writers:
                return {
                    "error": "org.varlink.service.MethodNotFound",
                    "parameters": {"method": method},
                }
            self._check(client, name)
            result = self._writers[name](parameters)
        except CtaError as error:
            self._observe(name, client.uid, error)
            return _failure(error)
        self._observe(name, client.uid, None)
        return {"parameters": result}

    def _check(self, client: _Client, method: str) -> None:
        if client.uid in (0, os.geteuid()):
            return
        if self._operators_gid is not None and self._operators_gid in _groups(client.uid, client.gid):
            return
        raise CtaError(
            SYSTEM_PEER_REFUSED, f"{method}: uid {client.uid} is neither root nor of the operators' group"
        )

    def close(self) -> None:
        """Close everything and remove the socket from the file system."""
        for client in list(self._clients.values()):
            self._drop(client)
        self._selector.unregister(self._listener)
        self._listener.close()
        self._path.unlink(missing_ok=True)


def text(parameters: Mapping[str, Any], name: str) -> str | None:
    """An optional text parameter. Raises CtaError SYSTEM_BAD_REQUEST for anything else."""
    value = parameters.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > TEXT_LIMIT):
        raise CtaError(SYSTEM_BAD_REQUEST, f"{name}: expected text of at most {TEXT_LIMIT} characters")
    return value


def down_wish(parameters: Mapping[str, Any]) -> tuple[Grade | None, str]:
    """Grade (None: as configured) and reason of SetDown. Raises CtaError SYSTEM_BAD_REQUEST."""
    reason, grade = text(parameters, "reason"), text(parameters, "grade")
    if not reason:
        raise CtaError(SYSTEM_BAD_REQUEST, "SetDown: a drive goes down with a reason")
    if grade and grade not in tuple(Grade):
        raise CtaError(SYSTEM_BAD_REQUEST, f"SetDown: grade {grade!r}: expected drain, quick or now")
    return Grade(grade) if grade else None, reason


class _Client:
    """One connection and who is at its other end."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.frames = varlink.Frames()
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        _, self.uid, self.gid = _UCRED.unpack(raw)


_INFO: Final = {
    "vendor": "CERN",
    "product": "cta-taped",
    "version": __version__,
    "url": "https://cta.web.cern.ch",
    "interfaces": ["org.varlink.service", varlink.INTERFACE],
}


def _describe(parameters: Mapping[str, Any]) -> dict[str, Any]:
    if parameters.get("interface") == varlink.INTERFACE:
        return {"parameters": {"description": varlink.DESCRIPTION}}
    return {"error": "org.varlink.service.InterfaceNotFound", "parameters": dict(parameters)}


def _failure(error: CtaError) -> dict[str, Any]:
    return {
        "error": f"{varlink.INTERFACE}.Failed",
        "parameters": {"code": error.code, "text": error.detail},
    }


def _gid(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise CtaError(CONFIG_INVALID, f"site.operators_group: no group {group!r} on this host") from None


def _groups(uid: int, gid: int) -> set[int]:
    try:
        return set(os.getgrouplist(pwd.getpwuid(uid).pw_name, gid))
    except KeyError:
        return {gid}
