# SPDX-License-Identifier: GPL-3.0-or-later
"""A control socket that answers as a test says: the protocol, or garbage, or nothing."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

STATE: dict[str, Any] = {
    "drive": "TD1",
    "phase": "SCHEDULING",
    "status": "UP",
    "desired": "up",
    "reason": None,
    "occupied": False,
    "vid": None,
    "mount_id": None,
    "mount_type": None,
    "tape_pool": None,
    "vo": None,
    "files": 0,
    "tape_bytes": 0,
    "disk_bytes": 0,
    "phase_elapsed_s": 12.5,
    "command": None,
    "outage": None,
    "ending": None,
    "stopping": False,
    "ready": True,
    "unpublished": 0,
    "supervisor_pid": 1,
    "session_pid": None,
    "maintenance_pid": 2,
    "version": "0.1.0",
}

Answer = Callable[[dict[str, Any]], dict[str, Any] | bytes | None]


class ControlSocket:
    """Listens at ``path``; ``answer`` maps a request to reply parameters, raw bytes, or None for silence.

    ``requests`` are those that came, as (method, parameters).
    """

    def __init__(self, path: Path, answer: Answer) -> None:
        path.parent.mkdir(exist_ok=True)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._silent: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for connection in self._silent:
            connection.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            data = b""
            while not data.endswith(b"\0"):
                received = connection.recv(65536)
                if not received:
                    break
                data += received
            if not data:
                connection.close()
                continue
            request = json.loads(data[:-1])
            method = request["method"].rpartition(".")[2]
            self.requests.append((method, request["parameters"]))
            reply = self._answer({"method": method, **request["parameters"]})
            if reply is None:
                self._silent.append(connection)
                continue
            connection.sendall(reply if isinstance(reply, bytes) else json.dumps(reply).encode() + b"\0")
            connection.close()


class DriveDaemon:
    """The answers of a daemon whose drive does at once what it is told."""

    def __init__(self, **state: Any) -> None:
        self.state = {**STATE, **state}

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        """One reply."""
        if request["method"] == "GetState":
            return {"parameters": {"state": self.state}}
        up = request["method"] == "SetUp"
        self.state |= {
            "desired": "up" if up else "down",
            "phase": "SCHEDULING" if up else "DOWN",
            "status": "UP" if up else "DOWN",
            "reason": request["reason"],
        }
        return {"parameters": {}}


def failing(code: str, text: str) -> Answer:
    """GetState answers, everything else fails with this code."""

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == "GetState":
            return {"parameters": {"state": STATE}}
        return {"error": "ch.cern.cta.taped.Failed", "parameters": {"code": code, "text": text}}

    return answer
