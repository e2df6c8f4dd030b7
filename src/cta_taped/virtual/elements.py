# SPDX-License-Identifier: GPL-3.0-or-later
"""The elements of a virtual library as values: kinds, addresses, contents, and why a move is refused.

Values only; ``library`` keeps them, ``smc`` shows them to SCSI.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from cta_taped.common.errors import (
    LIBRARY_DESTINATION_FULL,
    LIBRARY_ELEMENT,
    LIBRARY_HARDWARE,
    LIBRARY_MOUNT_FAILED,
    LIBRARY_VOLUME_IN_USE,
    LIBRARY_VOLUME_UNKNOWN,
    CtaError,
    ErrorSpec,
)
from cta_taped.virtual.inquiry import UnitIdentity


class Kind(IntEnum):
    """Element type codes (SMC-3 6.11)."""

    TRANSPORT = 1
    STORAGE = 2
    PORT = 3
    DRIVE = 4


FIRST_ADDRESS: Final = {Kind.TRANSPORT: 1, Kind.PORT: 16, Kind.DRIVE: 256, Kind.STORAGE: 1024}


class DriveState(StrEnum):
    """What the drive has done with its cartridge."""

    EMPTY = "empty"
    LOADED = "loaded"  # threaded, or being threaded until ``ready_at``
    UNLOADED = "unloaded"  # still there, but unthreaded: the robot can take it


class Refusal(StrEnum):
    """Why a move is not made."""

    NO_ELEMENT = "there is no such element"
    SOURCE_EMPTY = "the source element is empty"
    DESTINATION_FULL = "the destination element is full"
    NOT_UNLOADED = "the drive has not unloaded the cartridge"
    REMOVAL_PREVENTED = "removal is prevented"
    HAND_FULL = "the robot's hand holds a cartridge that was not delivered"


_REFUSAL_ERRORS: Final[dict[Refusal, ErrorSpec]] = {
    Refusal.NO_ELEMENT: LIBRARY_ELEMENT,
    Refusal.SOURCE_EMPTY: LIBRARY_VOLUME_UNKNOWN,
    Refusal.DESTINATION_FULL: LIBRARY_DESTINATION_FULL,
    Refusal.NOT_UNLOADED: LIBRARY_VOLUME_IN_USE,
    Refusal.REMOVAL_PREVENTED: LIBRARY_MOUNT_FAILED,
    Refusal.HAND_FULL: LIBRARY_HARDWARE,
}


class MoveRefused(Exception):
    """The library makes no such move."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal

    def as_error(self, what: str) -> CtaError:
        """The same for an operator."""
        return CtaError(_REFUSAL_ERRORS[self.refusal], f"{what}: {self.refusal}")


@dataclass(frozen=True, slots=True)
class Element:
    """One element and its content. ``source``: the storage element that the cartridge came from."""

    address: int
    kind: Kind
    vid: str | None
    barcode: str | None
    source: int | None
    by_operator: bool
    drive: DriveRow | None = None

    @property
    def accessible(self) -> bool:
        """The robot can put a cartridge here or take it."""
        return self.drive is None or self.drive.state is not DriveState.LOADED


@dataclass(frozen=True, slots=True)
class DriveRow:
    """A drive as the directory knows it; ``ready_at`` in seconds since the epoch."""

    number: int
    identity: UnitIdentity
    state: DriveState
    ready_at: float
