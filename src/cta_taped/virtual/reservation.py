# SPDX-License-Identifier: GPL-3.0-or-later
"""Holding a drive, or a bare image, for one opener: a file lock that dies with its process.

POSIX locks belong to a process and vanish when it closes *any* descriptor of the file; so openers inside one
process are told apart here, before the file is touched.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

_HELD: Final[set[tuple[int, int]]] = set()


class Reservation:
    """A file held exclusively."""

    def __init__(self, path: Path) -> None:
        """Hold an existing file. Raises OSError: EBUSY when it is held, else what open() says."""
        status = path.stat()
        self._identity = (status.st_dev, status.st_ino)
        self._fd = -1
        if self._identity in _HELD:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.lockf(fd, os.F_TLOCK, 0)
        except OSError as error:
            os.close(fd)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY)) from None
            raise
        self._fd = fd
        _HELD.add(self._identity)

    def release(self) -> None:
        """Let go; a second call does nothing."""
        if self._fd >= 0:
            _HELD.discard(self._identity)
            os.close(self._fd)
            self._fd = -1
