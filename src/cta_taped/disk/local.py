# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a mounted file system: read by readv into the caller's buffer, written under a temporary name.

What it is not: a cache or a copier; sendfile and mmap were measured and are no faster, since the checksum
needs the bytes. A file system that hangs (a dead NFS server) hangs the disk thread that asked it, never the
tape. Why a temporary name: a reader of the buffer must never see a file that is not complete and verified. It
lies in the destination's own directory, because a name can be given atomically only within one file system.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from typing import Final

from cta_taped.common.errors import DISK_EXISTS, DISK_NAME, DISK_NOT_A_FILE, DISK_WRITE, CtaError
from cta_taped.disk.files import (
    OPEN_DESTINATION,
    OPEN_SOURCE,
    READ,
    WRITE,
    WritePolicy,
    disk_error,
    local_path,
)

TEMPORARY_PREFIX: Final = b".cta-taped-"

# O_NONBLOCK: opening a FIFO would wait for its writer; it means nothing to a regular file.
_SOURCE_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_TEMPORARY_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_READ_AHEAD_FROM_BYTES: Final = 1 << 18
_NO_HARD_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class LocalSource:
    """An open regular file (see ``SourceFile``)."""

    __slots__ = ("_fd", "_url", "size_bytes")

    def __init__(self, url: str) -> None:
        self._url = url
        self._fd = -1
        try:
            # A plain path goes to the kernel as it is; encoding it here would cost as much as the call.
            self._fd = fd = os.open(url if url[:1] == "/" else local_path(url), _SOURCE_FLAGS)
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise CtaError(DISK_NOT_A_FILE, f"{url!r} is not a regular file", url=url)
            self.size_bytes = size_bytes = status.st_size
            if size_bytes > _READ_AHEAD_FROM_BYTES:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        except OSError as error:
            self.close()
            raise disk_error(OPEN_SOURCE, url, error) from error
        except ValueError as error:
            raise CtaError(DISK_NAME, f"{url!r} has a NUL byte", url=url) from error
        except CtaError:
            self.close()
            raise

    def readinto(self, buffer: memoryview) -> int:
        """See ``SourceFile.readinto``."""
        try:
            return os.readv(self._fd, (buffer,))
        except OSError as error:
            raise disk_error(READ, self._url, error) from error

    def close(self) -> None:
        """See ``SourceFile.close``."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            # Not contextlib.suppress: this is done for each file, and it would cost as much as the close.
            try:  # noqa: SIM105
                os.close(fd)
            except OSError:
                pass  # nothing was written, so nothing is lost


class LocalDestination:
    """A file being written beside its future name (see ``DestinationFile``)."""

    __slots__ = ("_fd", "_path", "_policy", "_size_bytes", "_temporary", "_url", "_written_bytes")

    def __init__(self, url: str, size_bytes: int, policy: WritePolicy) -> None:
        self._url = url
        self._path = local_path(url)
        self._policy = policy
        self._size_bytes = size_bytes
        self._written_bytes = 0
        directory, _, name = self._path.rpartition(b"/")
        if name in (b"", b".", b".."):
            raise CtaError(DISK_NOT_A_FILE, f"{url!r} names a directory", url=url)
        # Made of the destination's name, so that the next attempt replaces what a killed process left; a
        # digest of it, since the name itself may have the full 255 bytes already.
        digest = hashlib.blake2s(name, digest_size=10).hexdigest().encode("ascii")
        self._temporary = b"%s/%s%s" % (directory, TEMPORARY_PREFIX, digest)
        try:
            self._refuse_existing()
            try:
                self._fd = os.open(self._temporary, _TEMPORARY_FLAGS, 0o666)
            except FileExistsError:
                os.unlink(self._temporary)  # noqa: PTH108 - bytes
                self._fd = os.open(self._temporary, _TEMPORARY_FLAGS, 0o666)
        except OSError as error:
            raise disk_error(OPEN_DESTINATION, url, error) from error

    def _refuse_existing(self) -> None:
        try:
            mode = os.lstat(self._path).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISDIR(mode):
            raise CtaError(DISK_NOT_A_FILE, f"{self._url!r} is a directory", url=self._url)
        if not self._policy.overwrite:
            raise CtaError(DISK_EXISTS, f"{self._url!r} exists already", url=self._url)

    def write(self, block: memoryview) -> None:
        """See ``DestinationFile.write``."""
        try:
            done = os.write(self._fd, block)
            while done < len(block):
                done += os.write(self._fd, block[done:])
        except OSError as error:
            raise disk_error(WRITE, self._url, error) from error
        self._written_bytes += done

    def commit(self) -> None:
        """See ``DestinationFile.commit``."""
        try:
            if self._written_bytes != self._size_bytes:
                raise CtaError(
                    DISK_WRITE,
                    f"{self._url!r} got {self._written_bytes} bytes instead of {self._size_bytes}",
                    url=self._url,
                )
            if self._policy.synchronise:
                os.fdatasync(self._fd)
            # close() is where a network file system tells that it could not keep the data.
            fd, self._fd = self._fd, -1
            os.close(fd)
            self._give_name()
        except OSError as error:
            self.abandon()
            raise disk_error(WRITE, self._url, error) from error
        except CtaError:
            self.abandon()
            raise

    def _give_name(self) -> None:
        if not self._policy.overwrite:
            # Unlike rename, link never replaces a file that appeared since the destination was opened.
            try:
                os.link(self._temporary, self._path)
            except OSError as error:
                if error.errno not in _NO_HARD_LINKS:
                    raise
                self._refuse_existing()
            else:
                os.unlink(self._temporary)  # noqa: PTH108 - bytes
                return
        os.rename(self._temporary, self._path)  # noqa: PTH104 - bytes

    def abandon(self) -> None:
        """See ``DestinationFile.abandon``."""
        fd, self._fd = self._fd, -1
        with contextlib.suppress(OSError):
            if fd >= 0:
                os.close(fd)
        with contextlib.suppress(OSError):
            os.unlink(self._temporary)  # noqa: PTH108 - bytes


# The classes themselves: a file is opened without a call between.
open_source: Final = LocalSource
open_destination: Final = LocalDestination
