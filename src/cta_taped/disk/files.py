# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk buffer as the transfer path sees it: a source to read, a destination to write, named by URL.

What it is: two small protocols, the table of schemes, and the table that turns errno into error codes.
What it is not: an implementation; ``local`` and ``xrootd`` are resolved by name when a URL first asks for
them, so a site without XRootD needs none of its libraries. Why: a disk thread must not care where a file is,
and the same failure must have the same code everywhere.

Names: a plain absolute path is taken byte for byte (bytes that are no UTF-8 as surrogate escapes, PEP 383; a
newline is an ordinary character). In a ``file:`` URL everything behind the authority is percent-decoded.
"""

from __future__ import annotations

import errno
import os
import pkgutil
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Final, Protocol
from urllib.parse import unquote_to_bytes

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
    SYSTEM_RESOURCES,
    CtaError,
    ErrorSpec,
)

SCHEMES: Final[dict[str, str]] = {
    "": "cta_taped.disk.local",
    "file": "cta_taped.disk.local",
    "root": "cta_taped.disk.xrootd",
    "roots": "cta_taped.disk.xrootd",
}


@dataclass(frozen=True, slots=True)
class WritePolicy:
    """How destinations come into being.

    ``overwrite``: an existing destination is replaced instead of refused. ``synchronise``: the data are on
    the medium of the disk before the file gets its name (fdatasync), so that a host that loses power after
    the report does not lose the file.
    """

    overwrite: bool = False
    synchronise: bool = True


class SourceFile(Protocol):
    """An open file to archive, read from its beginning to its end once."""

    size_bytes: int
    """Size when it was opened."""

    def readinto(self, buffer: memoryview) -> int:
        """Read the next bytes; how many: less than asked for happens anywhere, 0 only at the end.

        Raises CtaError DISK_READ, DISK_TIMEOUT, DISK_UNREACHABLE.
        """
        ...

    def close(self) -> None:
        """Release the file; never raises, a second call does nothing."""
        ...


class DestinationFile(Protocol):
    """A file to retrieve into; it has its name only after ``commit``. One of the two ends is called, once."""

    def write(self, block: memoryview) -> None:
        """Append all of ``block``. Raises CtaError DISK_WRITE, DISK_NO_SPACE, DISK_TIMEOUT,
        DISK_UNREACHABLE.
        """
        ...

    def commit(self) -> None:
        """Close and give the file its name. Raises as ``write`` and DISK_EXISTS; nothing is left then."""
        ...

    def abandon(self) -> None:
        """Close and remove what was written; never raises."""
        ...


class VerifySink:
    """The destination of a verify-only retrieve: the bytes are checked by the transfer path and kept
    nowhere.
    """

    __slots__ = ()

    def write(self, block: memoryview) -> None:
        """Drop the block."""

    def commit(self) -> None:
        """Nothing to name."""

    def abandon(self) -> None:
        """Nothing to remove."""


def open_source(url: str) -> SourceFile:
    """Open ``url`` for reading.

    Raises CtaError DISK_NAME, DISK_SOURCE_GONE, DISK_PERMISSION, DISK_NOT_A_FILE, DISK_UNREACHABLE ...
    """
    source: SourceFile = _backend("" if url[:1] == "/" else scheme_of(url)).open_source(url)
    return source


def open_destination(url: str, size_bytes: int, policy: WritePolicy) -> DestinationFile:
    """Open ``url`` for writing ``size_bytes``; ``commit`` refuses any other length.

    Raises CtaError DISK_NAME, DISK_EXISTS, DISK_PERMISSION, DISK_OPEN_WRITE, DISK_NO_SPACE ...
    """
    destination: DestinationFile = _backend(scheme_of(url)).open_destination(url, size_bytes, policy)
    return destination


def scheme_of(url: str) -> str:
    """The scheme of ``url``, empty for a plain absolute path. Raises CtaError DISK_NAME for anything else."""
    if url[:1] == "/":
        return ""
    scheme, colon, _ = url.partition(":")
    if not colon or scheme not in SCHEMES:
        raise CtaError(
            DISK_NAME, f"{url!r} is neither an absolute path nor a URL of a known scheme (file, root, roots)"
        )
    return scheme


def local_path(url: str) -> bytes:
    """The path that a plain path or a ``file:`` URL (RFC 8089) names, as the kernel takes it.

    Raises CtaError DISK_NAME: a relative path, another host, or a NUL byte.
    """
    if url.startswith("/"):
        path = os.fsencode(url)
    else:
        rest = url.removeprefix("file:")
        if rest.startswith("//"):
            host, slash, tail = rest[2:].partition("/")
            if host not in ("", "localhost"):
                raise CtaError(
                    DISK_NAME, f"{url!r} names a file of host {host!r}; only local files have file:"
                )
            rest = slash + tail
        path = unquote_to_bytes(os.fsencode(rest))
    if not path.startswith(b"/") or b"\0" in path:
        raise CtaError(DISK_NAME, f"{url!r} is not an absolute path without NUL bytes")
    return path


@cache
def _backend(scheme: str) -> ModuleType:
    module: ModuleType = pkgutil.resolve_name(SCHEMES[scheme])
    return module


_ANYWHERE: Final[dict[int, ErrorSpec]] = {
    errno.EACCES: DISK_PERMISSION,
    errno.EPERM: DISK_PERMISSION,
    errno.EROFS: DISK_PERMISSION,
    errno.EISDIR: DISK_NOT_A_FILE,
    errno.ENOSPC: DISK_NO_SPACE,
    errno.EDQUOT: DISK_NO_SPACE,
    errno.ETIMEDOUT: DISK_TIMEOUT,
    errno.EHOSTDOWN: DISK_UNREACHABLE,
    errno.EHOSTUNREACH: DISK_UNREACHABLE,
    errno.ENETUNREACH: DISK_UNREACHABLE,
    errno.ECONNREFUSED: DISK_UNREACHABLE,
    errno.ECONNRESET: DISK_UNREACHABLE,
    errno.ENOTCONN: DISK_UNREACHABLE,
    errno.ESHUTDOWN: DISK_UNREACHABLE,
    errno.ESTALE: DISK_UNREACHABLE,
    errno.EREMOTEIO: DISK_UNREACHABLE,
    errno.EMFILE: SYSTEM_RESOURCES,
    errno.ENFILE: SYSTEM_RESOURCES,
    errno.ENOMEM: SYSTEM_RESOURCES,
}
_OPENING: Final[dict[int, ErrorSpec]] = {
    errno.ENXIO: DISK_NOT_A_FILE,
    errno.ENODEV: DISK_NOT_A_FILE,
    errno.ELOOP: DISK_NAME,
    errno.ENAMETOOLONG: DISK_NAME,
    errno.EILSEQ: DISK_NAME,
    errno.EINVAL: DISK_NAME,
}
_SOURCE: Final[dict[int, ErrorSpec]] = {errno.ENOENT: DISK_SOURCE_GONE, errno.ENOTDIR: DISK_SOURCE_GONE}
_DESTINATION: Final[dict[int, ErrorSpec]] = {errno.EEXIST: DISK_EXISTS}
# A limit that the site set (RLIMIT_FSIZE, the file system's largest file) is no fault of the job.
_WRITING: Final[dict[int, ErrorSpec]] = {errno.EFBIG: DISK_NO_SPACE}


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of disk operation: how it reads in a message, and which codes its errno values mean."""

    verb: str
    specs: dict[int, ErrorSpec]
    otherwise: ErrorSpec


OPEN_SOURCE: Final = Operation("cannot be opened for reading", _ANYWHERE | _OPENING | _SOURCE, DISK_READ)
READ: Final = Operation("cannot be read", _ANYWHERE, DISK_READ)
OPEN_DESTINATION: Final = Operation("cannot be created", _ANYWHERE | _OPENING | _DESTINATION, DISK_OPEN_WRITE)
WRITE: Final = Operation("cannot be written", _ANYWHERE | _DESTINATION | _WRITING, DISK_WRITE)


def disk_error(operation: Operation, url: str, error: OSError) -> CtaError:
    """The failure of ``operation`` on ``url`` as one line, whatever bytes the name holds."""
    number = error.errno or errno.EIO
    spec = operation.specs.get(number, operation.otherwise)
    return CtaError(spec, f"{url!r} {operation.verb}: {os.strerror(number)}", url=url, errno=number)
