# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of XRootD servers (EOS, dCache, plain xrootd) over ``root://``, with a time-out on every operation.

What it is not: a retry policy; the client library reconnects inside one operation's time-out and what still
fails is a failure of this file. The package ``xrootd`` is optional: without it a ``root://`` URL is refused.

Temporary names: a destination is written beside its name and moved there, except when the URL carries EOS's
``eos.lfn``: EOS then writes the disk replica of a file that already has its name, ties the opaque information
to this one open, and refuses a replica of the wrong size at close. Such a file is never removed here, since
removing its name would remove the user's file.
"""

from __future__ import annotations

import os
from typing import Any, Final

from cta_taped.common.errors import (
    DISK_EXISTS,
    DISK_NAME,
    DISK_NO_SPACE,
    DISK_NOT_A_FILE,
    DISK_OPEN_WRITE,
    DISK_PERMISSION,
    DISK_READ,
    DISK_SOURCE_GONE,
    DISK_TIMEOUT,
    DISK_UNREACHABLE,
    DISK_WRITE,
    CtaError,
    ErrorSpec,
)
from cta_taped.disk.files import WritePolicy

try:
    from XRootD import client
    from XRootD.client.flags import OpenFlags, StatInfoFlags
except ImportError:
    client = None

OPEN_TIMEOUT_S: Final = 60
DATA_TIMEOUT_S: Final = 60
_READ_AHEAD_BYTES: Final = 4 << 20
"""Read by one request over the network; block by block would wait for sixteen round trips instead."""
_TEMPORARY_PREFIX: Final = ".cta-taped-"
_IN_PLACE_MARK: Final = "eos.lfn="
_SERVER_SAID: Final = 400

# Errors of the server (XProtocol.hh, XErrorCode), by kXR_ number.
_OF_SERVER: Final[dict[int, ErrorSpec]] = {
    3002: DISK_NAME,  # kXR_ArgTooLong
    3009: DISK_NO_SPACE,  # kXR_NoSpace
    3010: DISK_PERMISSION,  # kXR_NotAuthorized
    3014: DISK_UNREACHABLE,  # kXR_noserver
    3015: DISK_NOT_A_FILE,  # kXR_NotFile
    3016: DISK_NOT_A_FILE,  # kXR_isDirectory
    3018: DISK_EXISTS,  # kXR_ItemExists
    3021: DISK_NO_SPACE,  # kXR_overQuota
    3024: DISK_UNREACHABLE,  # kXR_Overloaded
    3025: DISK_PERMISSION,  # kXR_fsReadOnly
    3029: DISK_UNREACHABLE,  # kXR_noReplicas
    3030: DISK_PERMISSION,  # kXR_AuthFailed
    3034: DISK_TIMEOUT,  # kXR_ReqTimedOut
    3035: DISK_TIMEOUT,  # kXR_TimerExpired
}
_NOT_FOUND: Final = 3011
# Errors of the client library (XrdClStatus.hh).
_OF_CLIENT: Final[dict[int, ErrorSpec]] = {
    9: DISK_NAME,  # errInvalidArgs
    16: DISK_UNREACHABLE,  # errNoMoreReplicas
    101: DISK_UNREACHABLE,  # errInvalidAddr
    102: DISK_UNREACHABLE,  # errSocketError
    103: DISK_TIMEOUT,  # errSocketTimeout
    104: DISK_UNREACHABLE,  # errSocketDisconnected
    107: DISK_UNREACHABLE,  # errStreamDisconnect
    108: DISK_UNREACHABLE,  # errConnectionError
    109: DISK_UNREACHABLE,  # errInvalidSession
    110: DISK_UNREACHABLE,  # errTlsError
    202: DISK_UNREACHABLE,  # errHandShakeFailed
    203: DISK_PERMISSION,  # errLoginFailed
    204: DISK_PERMISSION,  # errAuthFailed
    206: DISK_TIMEOUT,  # errOperationExpired
    207: DISK_UNREACHABLE,  # errOperationInterrupted
}


def _failure(status: Any, url: str, verb: str, missing: ErrorSpec, otherwise: ErrorSpec) -> CtaError:
    if status.code == _SERVER_SAID:
        known = {**_OF_SERVER, _NOT_FOUND: missing}
        spec = known.get(status.errno, otherwise)
    else:
        spec = _OF_CLIENT.get(status.code, otherwise)
    message = str(status.message).strip().replace("\n", " ")
    return CtaError(
        spec, f"{url!r} {verb}: {message}", url=url, xrootd_code=status.code, xrootd_errno=status.errno
    )


def _demand_package(url: str) -> None:
    if client is None:
        raise CtaError(
            DISK_NAME, f"{url!r}: XRootD is not installed on this host; install cta-taped[xrootd]", url=url
        )


class XrootdSource:
    """An open file of an XRootD server (see ``files.SourceFile``)."""

    __slots__ = ("_ahead", "_file", "_offset", "_url", "size_bytes")

    def __init__(self, url: str) -> None:
        _demand_package(url)
        self._url = url
        self._offset = 0
        self._ahead = memoryview(b"")
        self._file = client.File()
        status, _ = self._file.open(url, OpenFlags.READ, timeout=OPEN_TIMEOUT_S)
        if not status.ok:
            raise _failure(status, url, "cannot be opened for reading", DISK_SOURCE_GONE, DISK_READ)
        status, info = self._file.stat(timeout=OPEN_TIMEOUT_S)
        if not status.ok:
            self.close()
            raise _failure(status, url, "cannot be opened for reading", DISK_SOURCE_GONE, DISK_READ)
        if info.flags & (StatInfoFlags.IS_DIR | StatInfoFlags.OTHER):
            self.close()
            raise CtaError(DISK_NOT_A_FILE, f"{url!r} is not a regular file", url=url)
        self.size_bytes: int = info.size

    def readinto(self, buffer: memoryview) -> int:
        """See ``files.SourceFile.readinto``."""
        if not self._ahead:
            status, data = self._file.read(self._offset, _READ_AHEAD_BYTES, timeout=DATA_TIMEOUT_S)
            if not status.ok:
                raise _failure(status, self._url, "cannot be read", DISK_READ, DISK_READ)
            self._ahead = memoryview(data)
            self._offset += len(data)
        size = min(len(buffer), len(self._ahead))
        buffer[:size] = self._ahead[:size]
        self._ahead = self._ahead[size:]
        return size

    def close(self) -> None:
        """See ``files.SourceFile.close``."""
        if self._file.is_open():
            self._file.close(timeout=DATA_TIMEOUT_S)


class XrootdDestination:
    """A file being written on an XRootD server (see ``files.DestinationFile``)."""

    __slots__ = (
        "_file",
        "_path",
        "_policy",
        "_size_bytes",
        "_system",
        "_temporary",
        "_url",
        "_written_bytes",
    )

    def __init__(self, url: str, size_bytes: int, policy: WritePolicy) -> None:
        _demand_package(url)
        parts = client.URL(url)
        if not parts.is_valid() or not parts.path:
            raise CtaError(DISK_NAME, f"{url!r} is not a usable XRootD URL", url=url)
        self._url = url
        self._policy = policy
        self._size_bytes = size_bytes
        self._written_bytes = 0
        self._path: str = parts.path
        self._system = client.FileSystem(f"{parts.protocol}://{parts.hostid}")
        self._temporary: str | None = None
        target = url
        if _IN_PLACE_MARK not in url:
            self._refuse_existing()
            directory, _, _ = self._path.rpartition("/")
            self._temporary = f"{directory}/{_TEMPORARY_PREFIX}{os.urandom(8).hex()}"
            query = parts.path_with_params[len(self._path) :]
            target = f"{parts.protocol}://{parts.hostid}/{self._temporary}{query}"
        flags = OpenFlags.DELETE if self._temporary is None else OpenFlags.NEW
        self._file = client.File()
        status, _ = self._file.open(target, flags, 0o644, timeout=OPEN_TIMEOUT_S)
        if not status.ok:
            raise _failure(status, url, "cannot be created", DISK_OPEN_WRITE, DISK_OPEN_WRITE)

    def _refuse_existing(self) -> None:
        status, info = self._system.stat(self._path, timeout=OPEN_TIMEOUT_S)
        if not status.ok:
            if status.code == _SERVER_SAID and status.errno == _NOT_FOUND:
                return
            raise _failure(status, self._url, "cannot be created", DISK_OPEN_WRITE, DISK_OPEN_WRITE)
        if info.flags & StatInfoFlags.IS_DIR:
            raise CtaError(DISK_NOT_A_FILE, f"{self._url!r} is a directory", url=self._url)
        if not self._policy.overwrite:
            raise CtaError(DISK_EXISTS, f"{self._url!r} exists already", url=self._url)

    def write(self, block: memoryview) -> None:
        """See ``files.DestinationFile.write``."""
        # The bindings take only bytes; the copy costs less than the network.
        status, _ = self._file.write(bytes(block), self._written_bytes, timeout=DATA_TIMEOUT_S)
        self._demand(status)
        self._written_bytes += len(block)

    def commit(self) -> None:
        """See ``files.DestinationFile.commit``."""
        try:
            if self._written_bytes != self._size_bytes:
                raise CtaError(
                    DISK_WRITE,
                    f"{self._url!r} got {self._written_bytes} bytes instead of {self._size_bytes}",
                    url=self._url,
                )
            if self._policy.synchronise:
                self._demand(self._file.sync(timeout=DATA_TIMEOUT_S)[0])
            self._demand(self._file.close(timeout=DATA_TIMEOUT_S)[0])
            if self._temporary is not None:
                self._refuse_existing()
                self._demand(self._system.mv(self._temporary, self._path, timeout=OPEN_TIMEOUT_S)[0])
        except CtaError:
            self.abandon()
            raise

    def abandon(self) -> None:
        """See ``files.DestinationFile.abandon``."""
        if self._file.is_open():
            if self._temporary is None:
                # An empty replica of a file that is not empty is what the server refuses most surely.
                self._file.truncate(0, timeout=DATA_TIMEOUT_S)
            self._file.close(timeout=DATA_TIMEOUT_S)
        if self._temporary is not None:
            self._system.rm(self._temporary, timeout=OPEN_TIMEOUT_S)

    def _demand(self, status: Any) -> None:
        if not status.ok:
            raise _failure(status, self._url, "cannot be written", DISK_WRITE, DISK_WRITE)


def open_source(url: str) -> XrootdSource:
    """Open a file of an XRootD server for reading; raises as ``files.open_source``."""
    return XrootdSource(url)


def open_destination(url: str, size_bytes: int, policy: WritePolicy) -> XrootdDestination:
    """Open a destination on an XRootD server; raises as ``files.open_destination``."""
    return XrootdDestination(url, size_bytes, policy)
