# SPDX-License-Identifier: GPL-3.0-or-later
"""The media changer: mounting and dismounting by SMC commands, checked against the library's own answer.

It decides from fresh inventories only, because other hosts move cartridges too, and it never repeats a move
whose outcome is unknown before it asked where the cartridge is. Not here: unloading the tape in the drive
(that comes first, ``TapeDrive.unload``), and what a session does about a failure (SMC-3; media changer
reference, 3).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol, TypeVar

from cta_taped.common import errors
from cta_taped.common.errors import CtaError, ErrorSpec
from cta_taped.common.scsi import cdb
from cta_taped.common.scsi.codes import ElementType, SenseKey
from cta_taped.common.scsi.command import Commands, ScsiError
from cta_taped.common.scsi.elements import (
    ADDRESS_PAGE,
    STATUS_HEADER_BYTES,
    VID_CHARACTERS,
    Element,
    Range,
    parse_addresses,
    parse_element_status,
    status_available,
)
from cta_taped.common.scsi.port import ScsiPort, open_changer_port
from cta_taped.common.scsi.sense import LIBRARY, is_passing
from cta_taped.tape.inventory import Inventory, Location
from cta_taped.tape.lock import robot_lock
from cta_taped.tape.slots import drive_ordinal

Answer = TypeVar("Answer")


def _no_wait() -> None:
    """What ``on_wait`` is for a caller that has nobody to tell."""


_ADDRESS_REPLY_BYTES: Final = 24
# A library may grow its report between the two reads of it.
_STATUS_SLACK_BYTES: Final = 1024
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 10.0


class Robot(Protocol):
    """What a session needs of a library. ``drive`` is the drive's ordinal."""

    def mount(self, vid: str, drive: int) -> None:
        """Bring a volume into a drive."""
        ...

    def dismount(self, drive: int, vid: str | None) -> Location | None:
        """Bring a drive's (unloaded) cartridge to a slot; where it went, None if the drive was empty."""
        ...

    def locate_volume(self, vid: str) -> Location | None:
        """Where a volume is, None if the library does not hold it or cannot tell."""
        ...

    def loaded(self, drive: int) -> Element | None:
        """The element of a drive that holds a cartridge; None if it is empty, or nobody can tell."""
        ...

    def close(self) -> None:
        """Release the changer."""
        ...


class Changer:
    """A SCSI library.

    ``patience_s``: how long to wait for a library that is scanning, for the robot lock, and for an unknown
    outcome to become known. ``settle_s``: how long a drive may take to release a cartridge that it unloaded,
    and a library to show a finished move. ``on_wait`` is called before every pause.
    """

    def __init__(
        self,
        port: ScsiPort,
        lock_path: Path,
        *,
        patience_s: float = 900.0,
        settle_s: float = 20.0,
        on_wait: Callable[[], None] | None = None,
    ) -> None:
        self._port = port
        self._lock_path = lock_path
        self._patience_s = patience_s
        self._settle_s = settle_s
        self._on_wait = on_wait or _no_wait
        self._commands = Commands(port, LIBRARY, "library")
        self._identifiers = True

    def elements(self) -> list[Element]:
        """All elements with their state. Raises LIBRARY_NOT_READY, LIBRARY_UNREACHABLE and others."""
        return list(self.inventory().elements)

    def inventory(self) -> Inventory:
        """A fresh inventory; waits for a library that is not ready yet."""
        return self._patiently(self._read_inventory)

    def find(self, vid: str) -> Element | None:
        """The element that holds a volume, None if none does."""
        return self.inventory().find(vid)

    def locate_volume(self, vid: str) -> Location | None:
        """Where a volume is, None if the library does not hold it."""
        inventory = self.inventory()
        element = inventory.find(vid)
        return None if element is None else inventory.location(element)

    def loaded(self, drive: int) -> Element | None:
        """The drive's element if the library says that it holds a cartridge. Raises LIBRARY_ELEMENT and
        others."""
        element = self.inventory().drive(drive)
        return element if element.full else None

    def ordinal_of(self, serial: str) -> int | None:
        """The ordinal of the drive with this serial number, None if the library does not tell."""
        inventory = self.inventory()
        drives = inventory.of_kind(ElementType.DRIVE)
        return next((inventory.location(one).number for one in drives if one.serial == serial), None)

    def mount(self, vid: str, drive: int) -> None:
        """Move a volume from its slot into an empty drive.

        Raises LIBRARY_VOLUME_UNKNOWN, LIBRARY_VOLUME_IN_USE (it is not in a slot), LIBRARY_DESTINATION_FULL,
        LIBRARY_ELEMENT, LIBRARY_TIMEOUT (the move was not made), LIBRARY_MOUNT_FAILED and others.
        """
        with robot_lock(self._lock_path, self._patience_s, self._on_wait):
            inventory = self.inventory()
            target = inventory.drive(drive)
            volume = inventory.find(vid)
            if volume is None:
                raise CtaError(errors.LIBRARY_VOLUME_UNKNOWN, f"library: it does not hold {vid}", vid=vid)
            where = inventory.location(volume)
            if volume.kind is not ElementType.STORAGE:
                raise CtaError(
                    errors.LIBRARY_VOLUME_IN_USE,
                    f"library: {vid} is not in a slot but in {where}",
                    vid=vid,
                    location=str(where),
                )
            if target.full:
                raise CtaError(
                    errors.LIBRARY_DESTINATION_FULL,
                    f"library: drive {drive} already holds {target.barcode or 'a cartridge'}",
                    vid=vid,
                )
            self._move(vid, volume, target, errors.LIBRARY_MOUNT_FAILED)

    def dismount(self, drive: int, vid: str | None) -> Location | None:
        """Move the cartridge of a drive to its home slot, or to a free one; None if the drive is empty.

        ``vid`` None takes whatever the library says is there. Raises LIBRARY_VOLUME_MISMATCH,
        LIBRARY_DISMOUNT_FAILED (not unloaded, or no free slot), LIBRARY_TIMEOUT (the move was not made),
        TAPE_POSSIBLY_LOST and others.
        """
        with robot_lock(self._lock_path, self._patience_s, self._on_wait):
            inventory = self._await_released(drive)
            loaded = inventory.drive(drive)
            if not loaded.full:
                return None
            if vid is not None and loaded.vid not in ("", vid[:VID_CHARACTERS]):
                raise CtaError(
                    errors.LIBRARY_VOLUME_MISMATCH,
                    f"library: drive {drive} holds {loaded.barcode}, not {vid}",
                    vid=vid,
                    barcode=loaded.barcode,
                )
            for home in inventory.homes(loaded):
                try:
                    self._move(loaded.vid or vid or "", loaded, home, errors.TAPE_POSSIBLY_LOST)
                except CtaError as error:
                    if error.spec is not errors.LIBRARY_DESTINATION_FULL:
                        raise
                else:
                    return inventory.location(home)
            raise CtaError(
                errors.LIBRARY_DISMOUNT_FAILED,
                f"library: no free slot for {loaded.barcode or 'the cartridge'} of drive {drive}",
                vid=vid,
                barcode=loaded.barcode,
            )

    def close(self) -> None:
        """Release the changer."""
        self._port.close()

    # --- moving ------------------------------------------------------------------------------------------

    def _await_released(self, drive: int) -> Inventory:
        """An inventory in which the drive is empty, or lets the robot take its cartridge."""
        for inventory in self._inventories(self._settle_s):
            element = inventory.drive(drive)
            if element.access or not element.full:
                return inventory
        raise CtaError(
            errors.LIBRARY_DISMOUNT_FAILED,
            f"library: the cartridge in drive {drive} cannot be taken; it is not unloaded",
            barcode=element.barcode,
        )

    def _move(self, vid: str, source: Element, target: Element, unseen: ErrorSpec) -> None:
        """Move and verify. ``unseen``: the failure if a move that was reported good cannot be seen."""
        request = cdb.move_medium(0, source.address, target.address, invert=source.inverted)
        failure: ScsiError | None = None
        try:
            self._patiently(lambda: self._commands.run(request))
        except ScsiError as error:
            failure = error
        try:
            inventory = self._await_outcome(vid, source, target, failure)
        except CtaError as error:
            raise CtaError(
                errors.LIBRARY_TIMEOUT,
                f"library: whether {vid or 'a cartridge'} moved from element {source.address} to "
                f"{target.address} is unknown, and it cannot be asked: {error.detail}",
                **error.evidence,
                vid=vid,
            ) from error
        if not _has_moved(inventory, source, target, vid):
            raise self._move_error(vid, source, target, inventory, failure, unseen)

    def _await_outcome(
        self, vid: str, source: Element, target: Element, failure: ScsiError | None
    ) -> Inventory:
        """The inventory that tells how a move ended.

        A failure with sense is definite: one look. Without sense the robot may still be moving: the cartridge
        must have stayed where it was for ``settle_s`` before the move counts as not made.
        """
        started = time.monotonic()
        for inventory in self._inventories(self._patience_s):
            if _has_moved(inventory, source, target, vid):
                break
            if failure is not None and failure.sense is not None:
                break
            settled = time.monotonic() - started >= self._settle_s
            if settled and (failure is None or _holds(inventory, source, vid)):
                break
        return inventory

    def _move_error(
        self,
        vid: str,
        source: Element,
        target: Element,
        inventory: Inventory,
        failure: ScsiError | None,
        unseen: ErrorSpec,
    ) -> CtaError:
        found = inventory.find(vid) if vid else None
        where = "no element" if found is None else str(inventory.location(found))
        spec = unseen if failure is None else failure.spec
        reason = "the library reported success" if failure is None else failure.detail
        return CtaError(
            spec,
            f"library: {vid or 'the cartridge'} did not get from element {source.address} to element "
            f"{target.address}; it is seen in {where} ({reason})",
            **(failure.evidence if failure is not None else {}),
            vid=vid,
            source=source.address,
            destination=target.address,
            location=where,
        )

    # --- asking ------------------------------------------------------------------------------------------

    def _inventories(self, timeout_s: float) -> Iterator[Inventory]:
        """Fresh inventories with growing pauses until ``timeout_s`` is over; at least one."""
        deadline = time.monotonic() + timeout_s
        pause_s = _FIRST_PAUSE_S
        while True:
            yield self.inventory()
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return
            self._on_wait()
            time.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _patiently(self, action: Callable[[], Answer]) -> Answer:
        """Perform ``action``, and again while the library says that it will be ready soon."""
        deadline = time.monotonic() + self._patience_s
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return action()
            except ScsiError as error:
                if not _passes(error) or time.monotonic() >= deadline:
                    raise
            self._on_wait()
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _read_inventory(self) -> Inventory:
        request = cdb.mode_sense(ADDRESS_PAGE, 0, _ADDRESS_REPLY_BYTES, no_block_descriptor=True)
        addresses = self._commands.ask(request, _ADDRESS_REPLY_BYTES, parse_addresses)
        found = [
            element
            for kind, elements in addresses.items()
            if elements.count
            for element in self._read_elements(kind, elements)
        ]
        return Inventory(tuple(found), {kind: elements.first for kind, elements in addresses.items()})

    def _read_elements(self, kind: ElementType, elements: Range) -> list[Element]:
        identifiers = kind is ElementType.DRIVE and self._identifiers
        try:
            return self._read_status(kind, elements, identifiers)
        except ScsiError as error:
            rejected = error.sense is not None and error.sense.key == SenseKey.ILLEGAL_REQUEST
            if not (identifiers and rejected):
                raise
        # DVCID came with SMC-2: an older library rejects the bit.
        self._identifiers = False
        return self._read_status(kind, elements, False)

    def _read_status(self, kind: ElementType, elements: Range, identifiers: bool) -> list[Element]:
        def request(length: int) -> bytes:
            return cdb.read_element_status(
                kind, elements.first, elements.count, length, identifiers=identifiers
            )

        available = self._commands.ask(request(STATUS_HEADER_BYTES), STATUS_HEADER_BYTES, status_available)
        length = STATUS_HEADER_BYTES + available + _STATUS_SLACK_BYTES
        return self._commands.ask(request(length), length, parse_element_status)


class ManualChanger:
    """A person instead of a robot: nothing is moved, and waiting for the drive is waiting for the person."""

    def mount(self, vid: str, drive: int) -> None:
        """Nothing: the person brings the volume."""

    def dismount(self, drive: int, vid: str | None) -> Location | None:
        """Nothing: the person takes the cartridge out."""
        return None

    def locate_volume(self, vid: str) -> Location | None:
        """Only the person knows."""
        return None

    def loaded(self, drive: int) -> Element | None:
        """Only the drive can tell."""
        return None

    def close(self) -> None:
        """Nothing to release."""


def open_changer(
    url: str, library_slot: str, lock_path: Path, on_wait: Callable[[], None] | None = None
) -> Robot:
    """The changer of a drive: by hand if there is no ``url`` or the slot is ``dummy...``, else a SCSI
    library.

    Raises CONFIG_INVALID, LIBRARY_UNREACHABLE and what else opening the device raises.
    """
    if not url or drive_ordinal(library_slot) is None:
        return ManualChanger()
    return Changer(open_changer_port(url), lock_path, on_wait=on_wait)


def _passes(error: ScsiError) -> bool:
    if error.sense is None:
        return error.spec is errors.LIBRARY_NOT_READY
    return is_passing(error.sense)


def _holds(inventory: Inventory, element: Element, vid: str) -> bool:
    """Whether an element holds the volume; a tag that the library has not read yet counts as the right
    one.
    """
    now = next((one for one in inventory.elements if one.address == element.address), None)
    return now is not None and now.full and (not vid or now.vid in ("", vid[:VID_CHARACTERS]))


def _has_moved(inventory: Inventory, source: Element, target: Element, vid: str) -> bool:
    return _holds(inventory, target, vid) and not _holds(inventory, source, vid)
