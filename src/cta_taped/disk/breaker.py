# SPDX-License-Identifier: GPL-3.0-or-later
"""A circuit breaker per endpoint of the disk buffer: one that is away costs a few time-outs, not one a job.

What it is: a guard around opening, which is where a dead server costs its time-out. An endpoint is scheme and
host of a URL; of a local file it is the mount point. After some failures in a row its files are refused
without being opened; after a pause one of them is tried, and decides. What it is not: a judge of the job; a
file that is missing or forbidden is an answer, and an endpoint that answers is not away.
Why not the device number of a local directory: to ask for it hangs where the file system hangs.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Concatenate, Final, ParamSpec, TypeVar
from urllib.parse import urlsplit

from cta_taped.common.errors import DISK_TIMEOUT, DISK_UNREACHABLE, CtaError
from cta_taped.disk.files import local_path, scheme_of

_P = ParamSpec("_P")
_T = TypeVar("_T")

FAILURES: Final = 3
PAUSE_S: Final = 60.0
_AWAY: Final = (DISK_UNREACHABLE, DISK_TIMEOUT)
_MOUNTS: Final = Path("/proc/self/mounts")


@dataclass(slots=True)
class _Circuit:
    """``failures`` in a row; from FAILURES on nothing is opened before ``retry_at`` (monotonic seconds)."""

    failures: int = 0
    retry_at: float = 0.0


class Breaker:
    """The circuits of one mount; used by all its disk threads."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._circuits: dict[str, _Circuit] = {}

    def guard(self, open_file: Callable[Concatenate[str, _P], _T]) -> Callable[Concatenate[str, _P], _T]:
        """``open_file``, which raises CtaError DISK_UNREACHABLE at once for a URL of an endpoint that is
        away."""

        def guarded(url: str, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
            if self._circuits:
                self._admit(url)
            try:
                opened = open_file(url, *args, **kwargs)
            except CtaError as error:
                if error.spec in _AWAY:
                    self._failed(url)
                elif self._circuits:
                    self._answered(url)
                raise
            if self._circuits:
                self._answered(url)
            return opened

        return guarded

    def _admit(self, url: str) -> None:
        endpoint = endpoint_of(url)
        with self._lock:
            circuit = self._circuits.get(endpoint)
            if circuit is None or circuit.failures < FAILURES:
                return
            now = self._clock()
            if now >= circuit.retry_at:
                # This file is the trial; until it has an answer the others are still refused.
                circuit.retry_at = now + PAUSE_S
                return
        raise CtaError(
            DISK_UNREACHABLE, f"{url!r} is not opened: {endpoint} did not answer {FAILURES} times", url=url
        )

    def _failed(self, url: str) -> None:
        endpoint = endpoint_of(url)
        with self._lock:
            circuit = self._circuits.setdefault(endpoint, _Circuit())
            circuit.failures += 1
            circuit.retry_at = self._clock() + PAUSE_S

    def _answered(self, url: str) -> None:
        endpoint = endpoint_of(url)
        with self._lock:
            self._circuits.pop(endpoint, None)


def endpoint_of(url: str) -> str:
    """Scheme and host of ``url``, or the mount point of a local one. Raises CtaError DISK_NAME."""
    if scheme_of(url) in ("", "file"):
        return f"file:{_mount_point(local_path(url))!r}"
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}"


def _mount_point(path: bytes) -> bytes:
    """The longest mount point that ``path`` lies under; proc(5) writes blanks in it as octal escapes."""
    points = (
        re.sub(rb"\\([0-7]{3})", lambda code: bytes([int(code[1], 8)]), line.split(b" ")[1])
        for line in _MOUNTS.read_bytes().splitlines()
    )
    under = [point for point in points if path.startswith(point.rstrip(b"/") + b"/")]
    return max(under, key=len, default=b"/")
