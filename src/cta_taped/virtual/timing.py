# SPDX-License-Identifier: GPL-3.0-or-later
"""How long things take, when the library is asked to be slow: the drive model of real LTO and 3592 drives.

Sleeps where a drive would be busy; what is computed instead of slept is the buffer. ``none`` (the default) is
the absence of this object, so that the data path pays nothing. Numbers from the vendors' data sheets, in
``media``; geometry: wraps end to end, even ones forward.
"""

from __future__ import annotations

import time
from typing import Final

from cta_taped.common.errors import CONFIG_USAGE, CtaError
from cta_taped.virtual.media import Medium

BUFFER_BYTES: Final = 10**9
ROBOT_S: Final = 15.0
_REWIND_END_S: Final = 5.0


def parse_factor(text: str) -> float:
    """The divisor of all times: 0 for ``none``, 1 for ``real``, F for ``fast:F``.

    Raises CtaError CONFIG_USAGE.
    """
    if text in ("none", "real"):
        return float(text == "real")
    head, _, tail = text.partition(":")
    try:
        factor = float(tail)
    except ValueError:
        factor = 0.0
    if head != "fast" or not factor > 0:
        raise CtaError(CONFIG_USAGE, f"timing {text!r}: expected none, real or fast:FACTOR")
    return factor


class Timing:
    """The clock of one drive with one medium in it; positions are bytes from the beginning of the tape."""

    def __init__(self, factor: float, medium: Medium, capacity_bytes: int) -> None:
        self._factor = factor
        self._medium = medium
        self._wrap_bytes = max(1, capacity_bytes // medium.wraps)
        self._backlog = 0.0
        self._since = time.monotonic()
        self._stopped = True

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds / self._factor)

    def metres(self, offset: int) -> float:
        """Distance of a byte from the beginning of the tape."""
        wrap, inside = divmod(offset, self._wrap_bytes)
        share = inside / self._wrap_bytes
        return self._medium.length_m * (share if wrap % 2 == 0 else 1 - share)

    def travel_s(self, start: int, end: int) -> float:
        """Seconds of a LOCATE between two bytes."""
        if start == end:
            return 0.0
        distance = abs(self.metres(end) - self.metres(start))
        return self._medium.locate_s + distance / self._medium.locate_speed

    def transfer(self, size_bytes: int) -> None:
        """A block passes; waits when the host is a whole buffer ahead of the tape."""
        now = time.monotonic()
        moved = (now - self._since) * self._medium.rate * self._factor
        self._backlog = max(0.0, self._backlog - moved) + size_bytes
        self._since = now
        if self._stopped:
            self._stopped = False
            self._pause(self._medium.hitch_s)
        self._pause((self._backlog - BUFFER_BYTES) / self._medium.rate)

    def flush(self) -> None:
        """The buffer drains and the tape stops."""
        now = time.monotonic()
        moved = (now - self._since) * self._medium.rate * self._factor
        self._pause((self._backlog - moved) / self._medium.rate)
        self._backlog = 0.0
        self._since = time.monotonic()
        self._stopped = True

    def locate(self, start: int, end: int) -> None:
        """The tape moves; the drive streams at once after it."""
        self._pause(self.travel_s(start, end))
        self._stopped = False

    def rewind(self, start: int) -> None:
        """The tape moves to its beginning."""
        if start:
            self._pause(self.metres(start) / self._medium.locate_speed + _REWIND_END_S)
        self._stopped = True

    def unload(self) -> None:
        """The tape is unthreaded."""
        self._pause(self._medium.unload_s)
