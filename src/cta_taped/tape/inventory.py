# SPDX-License-Identifier: GPL-3.0-or-later
"""What a library holds, as one answer of its changer: elements, and questions to them.

A value, taken at one moment; other hosts move cartridges too. Reading it and moving things is ``changer``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cta_taped.common.errors import LIBRARY_ELEMENT, CtaError
from cta_taped.common.scsi.codes import ElementType
from cta_taped.common.scsi.elements import VID_CHARACTERS, Element


@dataclass(frozen=True, slots=True)
class Location:
    """Where a cartridge is. ``number`` counts from the first element of its kind (a drive's ordinal)."""

    kind: ElementType
    address: int
    number: int

    def __str__(self) -> str:
        return f"{_NAMES[self.kind]} {self.number} (element {self.address})"


_NAMES = {
    ElementType.TRANSPORT: "robot hand",
    ElementType.STORAGE: "slot",
    ElementType.PORT: "import/export slot",
    ElementType.DRIVE: "drive",
}


@dataclass(frozen=True, slots=True)
class Inventory:
    """All elements of a library, and the first address of each kind: ordinals count from there."""

    elements: tuple[Element, ...]
    first: Mapping[ElementType, int]

    def of_kind(self, kind: ElementType) -> list[Element]:
        """The elements of one kind."""
        return [element for element in self.elements if element.kind is kind]

    def drive(self, ordinal: int) -> Element:
        """The element of a drive. Raises LIBRARY_ELEMENT if the library has no such drive."""
        address = self.first[ElementType.DRIVE] + ordinal
        drives = self.of_kind(ElementType.DRIVE)
        for drive in drives:
            if drive.address == address:
                return drive
        raise CtaError(
            LIBRARY_ELEMENT, f"library: it has {len(drives)} drives, none of them is number {ordinal}"
        )

    def find(self, vid: str) -> Element | None:
        """The element that holds a volume: the first six characters of its barcode are the VID."""
        wanted = vid[:VID_CHARACTERS]
        return next((one for one in self.elements if one.full and one.vid == wanted), None)

    def location(self, element: Element) -> Location:
        """Where an element is, in an operator's words."""
        return Location(element.kind, element.address, element.address - self.first[element.kind])

    def homes(self, loaded: Element) -> Iterator[Element]:
        """Where the cartridge of a drive may go: the slot it came from, then free slots, if usable.

        A slot that is the home of a cartridge in another drive is not free.
        """
        taken = {one.source for one in self.elements if one.full and one.address != loaded.address}
        slots = [
            slot
            for slot in self.of_kind(ElementType.STORAGE)
            if not slot.full and not slot.disabled and slot.exception is None
        ]
        yield from (slot for slot in slots if slot.address == loaded.source)
        yield from (slot for slot in slots if slot.address != loaded.source and slot.address not in taken)
