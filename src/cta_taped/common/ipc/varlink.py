# SPDX-License-Identifier: GPL-3.0-or-later
"""Varlink (varlink.org, protocol version 1): framing, the interface of the control socket, and a client.

A message is one JSON object and one NUL byte. ``Frames`` cuts a byte stream into messages and bounds them;
``call`` is the client that ``cta-admin`` uses; the server is the supervisor's (``supervisor.control``). The
interface description is the one that ``varlinkctl introspect`` shows.
"""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cta_taped.common.errors import (
    BY_CODE,
    SYSTEM_BAD_REQUEST,
    SYSTEM_DAEMON_SILENT,
    SYSTEM_NO_DAEMON,
    SYSTEM_PEER_REFUSED,
    CtaError,
    ErrorSpec,
)

MESSAGE_LIMIT_BYTES: Final = 65536
INTERFACE: Final = "ch.cern.cta.taped"
DESCRIPTION: Final = f"""# Control of one tape drive's daemon
interface {INTERFACE}

# Everything the supervisor knows of its drive; desired: "up" or "down"; times in seconds, sizes in bytes
type State (
  drive: string,
  phase: string,
  status: string,
  drive_status: ?string,
  desired: string,
  reason: ?string,
  occupied: bool,
  vid: ?string,
  mount_id: ?int,
  mount_type: ?string,
  tape_pool: ?string,
  vo: ?string,
  files: int,
  tape_bytes: int,
  disk_bytes: int,
  phase_elapsed_s: float,
  command: ?string,
  outage: ?string,
  ending: ?string,
  stopping: bool,
  ready: bool,
  unpublished: int,
  supervisor_pid: int,
  session_pid: ?int,
  maintenance_pid: ?int,
  version: string
)

method GetState() -> (state: State)

# Set the drive up; a reason replaces the stored one, none clears it
method SetUp(reason: ?string) -> ()

# Set the drive down; grade: "drain", "quick" or "now"; empty: as configured
method SetDown(grade: ?string, reason: string) -> ()

# Read the configuration again; what changed
method Reload() -> (changed: []string)

# A failure with its stable code
error Failed (code: string, text: string)
"""

# What connecting says of the other side. Every other failure leaves open whether a daemon runs.
_BY_ERRNO: Final[dict[int | None, ErrorSpec]] = {
    errno.ENOENT: SYSTEM_NO_DAEMON,
    errno.ENOTDIR: SYSTEM_NO_DAEMON,
    errno.ECONNREFUSED: SYSTEM_NO_DAEMON,
    errno.EACCES: SYSTEM_PEER_REFUSED,
    errno.EPERM: SYSTEM_PEER_REFUSED,
}


class Frames:
    """Cuts a stream into messages. ``feed`` raises CtaError SYSTEM_BAD_REQUEST for what is no message."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """All messages that ``data`` completes."""
        self._pending += data
        while True:
            frame, nul, rest = self._pending.partition(b"\0")
            if not nul:
                if len(self._pending) > MESSAGE_LIMIT_BYTES:
                    raise CtaError(SYSTEM_BAD_REQUEST, f"a message of more than {MESSAGE_LIMIT_BYTES} bytes")
                return
            self._pending = rest
            try:
                message = json.loads(frame)
            except (ValueError, RecursionError):
                raise CtaError(SYSTEM_BAD_REQUEST, f"no JSON object: {frame[:60]!r}") from None
            if not isinstance(message, dict):
                raise CtaError(SYSTEM_BAD_REQUEST, f"no JSON object: {frame[:60]!r}")
            yield message


def encode(message: dict[str, Any]) -> bytes:
    """One message as it travels."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\0"


def call(path: Path, method: str, parameters: dict[str, Any], timeout_s: float = 10.0) -> dict[str, Any]:
    """Call one method of the control socket at ``path``; the reply's parameters.

    Raises CtaError SYSTEM_NO_DAEMON when nobody listens there, SYSTEM_DAEMON_SILENT when somebody does and
    gives no answer, SYSTEM_PEER_REFUSED when the socket may not be used, SYSTEM_BAD_REQUEST for an answer
    that is none, or with the code that the daemon replied.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(path))
            connection.sendall(encode({"method": f"{INTERFACE}.{method}", "parameters": parameters}))
            frames = Frames()
            while True:
                data = connection.recv(MESSAGE_LIMIT_BYTES)
                if not data:
                    raise CtaError(SYSTEM_DAEMON_SILENT, f"{path}: connection closed without an answer")
                for reply in frames.feed(data):
                    return _parameters(reply)
    except TimeoutError:
        raise CtaError(SYSTEM_DAEMON_SILENT, f"{path}: no answer within {timeout_s:g} s") from None
    except OSError as error:
        spec = _BY_ERRNO.get(error.errno, SYSTEM_DAEMON_SILENT)
        raise CtaError(spec, f"{path}: {error.strerror or error}") from None


def _parameters(reply: dict[str, Any]) -> dict[str, Any]:
    parameters = reply.get("parameters")
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict):
        raise CtaError(SYSTEM_BAD_REQUEST, f"an answer whose parameters are no object: {parameters!r:.60}")
    name = reply.get("error")
    if name is None:
        return parameters
    spec = BY_CODE.get(str(parameters.get("code")), SYSTEM_BAD_REQUEST)
    raise CtaError(spec, str(parameters.get("text") or name))
