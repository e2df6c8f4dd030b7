# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue's seam, disk systems: which one a URL belongs to, and the space it had when last asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class DiskSystem:
    """A disk system with the space behind it; ``free_bytes`` as of ``refresh_time`` (epoch s).

    ``file_regexp`` is searched in destination URLs. Retrieves stop, and its queues rest for ``sleep_time_s``,
    when ``targeted_free_bytes`` would not stay free.
    """

    name: str
    file_regexp: str
    targeted_free_bytes: int
    sleep_time_s: int
    disk_instance: str
    space: str
    free_space_query_url: str
    refresh_interval_s: int
    refresh_time: int
    free_bytes: int


class DiskSpaces(Protocol):
    """Questions about the space of disk systems (catalogue reference 5.15); reservations are the drives'."""

    def systems(self) -> list[DiskSystem]:
        """All disk systems by name: the first whose expression is found in a URL is the URL's."""
        ...

    def store_free_space(self, disk_instance: str, space: str, free_bytes: int) -> None:
        """Remember what was measured just now. Raises CATALOGUE_NOT_FOUND."""
        ...
