# SPDX-License-Identifier: GPL-3.0-or-later
"""One robot move at a time among the processes of a host.

A POSIX record lock on a file: the kernel releases it when its holder dies, however it dies. It does not
exclude other hosts, so every move is checked against the library's own answer as well. Not for threads of one
process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cta_taped.common.errors import LIBRARY_NOT_READY, SYSTEM_STATE_LOST, CtaError

_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 2.0


@contextmanager
def robot_lock(path: Path, timeout_s: float, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock at ``path`` (created if missing, with its directory); ``on_wait`` is called before
    each pause.

    Raises LIBRARY_NOT_READY if it is not free within ``timeout_s``, SYSTEM_STATE_LOST if it cannot be used.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    except OSError as error:
        detail = f"robot lock {path} cannot be opened: {error.strerror}; check the lock directory"
        raise CtaError(SYSTEM_STATE_LOST, detail, errno=error.errno) from error
    try:
        _acquire(descriptor, path, timeout_s, on_wait)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, timeout_s: float, on_wait: Callable[[], None]) -> None:
    deadline = time.monotonic() + timeout_s
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            os.lockf(descriptor, os.F_TLOCK, 0)
            return
        except (BlockingIOError, PermissionError) as error:
            if time.monotonic() >= deadline:
                detail = f"another process of this host has moved cartridges for {timeout_s:g} s ({path})"
                raise CtaError(LIBRARY_NOT_READY, detail) from error
        except OSError as error:
            detail = f"robot lock {path} cannot be taken: {error.strerror}; use a local file system"
            raise CtaError(SYSTEM_STATE_LOST, detail, errno=error.errno) from error
        on_wait()
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
