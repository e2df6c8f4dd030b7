# SPDX-License-Identifier: GPL-3.0-or-later
"""The place in a drive where a cartridge sits, and what the drive remembers between processes.

``Bay`` is the seam between the SCSI side of a drive (``ssc``) and where its cartridge comes from: a bare
image (``ImageBay``, here) or a library directory (``library.LibraryBay``).
"""

from __future__ import annotations

import mmap
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from cta_taped.virtual.cartridge import Cartridge
from cta_taped.virtual.encryption import Encryption
from cta_taped.virtual.log_pages import Counters
from cta_taped.virtual.reservation import Reservation
from cta_taped.virtual.sense import NOT_LOADED, Sense


class DriveSettings(BaseModel):
    """A drive's state that outlives the processes that use it; gone only with power (``reset``)."""

    model_config = ConfigDict(extra="forbid")
    mode: dict[str, str] = {}
    encryption: Encryption = Encryption()
    counters: Counters = Counters()
    zero: Counters = Counters()
    alerts: list[int] = []
    attention: list[tuple[int, int]] = []
    prevented: bool = False


class Bay(Protocol):
    """What holds the cartridge. ``position``: 8 bytes, the object under the head, little-endian."""

    settings: DriveSettings
    position: bytearray | mmap.mmap

    def look(self) -> Cartridge | Sense:
        """The cartridge, threaded and open, with the head where it was left; or why there is none."""
        ...

    def load(self) -> None:
        """Thread the cartridge that sits here unthreaded."""
        ...

    def unload(self, cartridge: Cartridge) -> None:
        """Unthread it; it is the bay's again."""
        ...

    def save(self) -> None:
        """Keep the settings."""
        ...

    def close(self) -> None:
        """Let go of the drive; a second call does nothing."""
        ...


class ImageBay:
    """One image that is always there; its drive remembers nothing when the process ends."""

    def __init__(self, cartridge: Cartridge, reservation: Reservation | None) -> None:
        """``reservation``: of the image, None for one that nobody can write."""
        self._reservation = reservation
        self.settings = DriveSettings()
        self.position: bytearray | mmap.mmap = bytearray(8)
        self._cartridge = cartridge
        self._threaded = True

    def look(self) -> Cartridge | Sense:
        """The image, unless it was unloaded."""
        return self._cartridge if self._threaded else NOT_LOADED

    def load(self) -> None:
        """Thread it again."""
        self._threaded = True
        self._cartridge.image.locate(0)

    def unload(self, cartridge: Cartridge) -> None:
        """Unthread it; the image stays open until the port is closed."""
        self._threaded = False

    def save(self) -> None:
        """Nothing outlives the process."""

    def close(self) -> None:
        """Close the image."""
        self._cartridge.close()
        if self._reservation is not None:
            self._reservation.release()
