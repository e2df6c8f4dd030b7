# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameter data of a media changer: element address assignment and element status.

Layouts of SMC-3 (mode page 1Dh, READ ELEMENT STATUS); no commands, no decisions. Parsers raise ValueError for
a reply that contradicts itself.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cta_taped.common.scsi.codes import ElementType
from cta_taped.common.scsi.data import need
from cta_taped.common.scsi.pages import parse_mode_data

ADDRESS_PAGE: Final = 0x1D
STATUS_HEADER_BYTES: Final = 8
PAGE_HEADER_BYTES: Final = 8
VID_CHARACTERS: Final = 6

_ADDRESSES: Final = struct.Struct(">xxHHHHHHHH")
_STATUS_HEADER: Final = struct.Struct(">HHI")
_PAGE_HEADER: Final = struct.Struct(">BBHI")
_DESCRIPTOR: Final = struct.Struct(">HBxBBxxxBH")
_TAG: Final = struct.Struct(">32s4x")
_IDENTIFIER: Final = struct.Struct(">BBxB")
_VENDOR_AND_PRODUCT: Final = 8 + 16
_LENGTH_24: Final = 0xFFFFFF


@dataclass(frozen=True, slots=True)
class Range:
    """Elements of one type: the first address and how many there are."""

    first: int
    count: int


def parse_addresses(reply: bytes) -> dict[ElementType, Range]:
    """Mode page 1Dh, element address assignment (SMC-3 7.3.4), read with MODE SENSE(6)."""
    page = parse_mode_data(reply, ADDRESS_PAGE, 0).page
    need(page, _ADDRESSES.size, "element address assignment")
    numbers = _ADDRESSES.unpack_from(page)
    kinds = (ElementType.TRANSPORT, ElementType.STORAGE, ElementType.PORT, ElementType.DRIVE)
    return {kind: Range(*numbers[2 * index : 2 * index + 2]) for index, kind in enumerate(kinds)}


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a library (SMC-3 6.11.4).

    ``barcode``: the whole volume tag without padding, empty if there is none. ``source``: address of the
    storage element the cartridge came from, None if not valid. ``access``: the robot may take the cartridge
    (for a drive: it is unloaded). ``exception``: (ASC, ASCQ) of an abnormal state. ``serial``: a drive's
    serial number.
    """

    address: int
    kind: ElementType
    full: bool
    barcode: str = ""
    source: int | None = None
    access: bool = True
    exception: tuple[int, int] | None = None
    serial: str = ""
    inverted: bool = False
    disabled: bool = False
    placed_by_operator: bool = False

    @property
    def vid(self) -> str:
        """The volume name CTA uses: the first six characters of the tag, cut at a space."""
        return self.barcode[:VID_CHARACTERS].split(" ", 1)[0]


def status_available(reply: bytes) -> int:
    """The header of READ ELEMENT STATUS data: how many bytes follow it in the whole report."""
    need(reply, STATUS_HEADER_BYTES, "element status")
    available: int = _STATUS_HEADER.unpack_from(reply)[2] & _LENGTH_24
    return available


def parse_element_status(reply: bytes) -> list[Element]:
    """READ ELEMENT STATUS data (SMC-3 6.11.2): pages of one type may be split, fewer elements may come."""
    end = STATUS_HEADER_BYTES + status_available(reply)
    need(reply, end, "element status")
    elements: list[Element] = []
    offset = STATUS_HEADER_BYTES
    while offset + PAGE_HEADER_BYTES <= end:
        kind, flags, descriptor_bytes, page_length = _PAGE_HEADER.unpack_from(reply, offset)
        page_length &= _LENGTH_24
        offset += PAGE_HEADER_BYTES
        if offset + page_length > end:
            raise ValueError(f"element status page of {page_length} bytes exceeds the reply")
        if not page_length:
            continue
        if descriptor_bytes < _DESCRIPTOR.size:
            raise ValueError(f"element descriptor of {descriptor_bytes} bytes")
        page = reply[offset : offset + page_length]
        elements.extend(_elements(page, ElementType(kind), flags, descriptor_bytes))
        offset += page_length
    return elements


def _elements(page: bytes, kind: ElementType, flags: int, descriptor_bytes: int) -> Iterator[Element]:
    for start in range(0, len(page) - descriptor_bytes + 1, descriptor_bytes):
        yield _element(page[start : start + descriptor_bytes], kind, flags)


def _element(descriptor: bytes, kind: ElementType, page_flags: int) -> Element:
    address, flags, asc, ascq, source_flags, source = _DESCRIPTOR.unpack_from(descriptor)
    offset = _DESCRIPTOR.size
    barcode = ""
    if page_flags & 0x80:
        barcode = _tag_text(descriptor[offset : offset + _TAG.size])
        offset += _TAG.size
    if page_flags & 0x40:
        offset += _TAG.size
    return Element(
        address=address,
        kind=kind,
        full=bool(flags & 0x01),
        barcode=barcode,
        source=source if source_flags & 0x80 else None,
        access=bool(flags & 0x08),
        exception=(asc, ascq) if flags & 0x04 else None,
        serial=_serial(descriptor[offset:]) if kind is ElementType.DRIVE else "",
        inverted=bool(source_flags & 0x40),
        disabled=bool(source_flags & 0x08),
        placed_by_operator=kind is ElementType.PORT and bool(flags & 0x02),
    )


def _tag_text(raw: bytes) -> str:
    """A volume tag; one that begins with NUL or space is no name."""
    if len(raw) < _TAG.size or raw[0] in b"\0 ":
        return ""
    tag: bytes = _TAG.unpack(raw)[0]
    return tag.split(b"\0", 1)[0].decode("ascii", "replace").rstrip()


def _serial(rest: bytes) -> str:
    """The serial number in a drive's identifier: alone, or behind vendor (8) and product (16) characters."""
    if len(rest) < _IDENTIFIER.size:
        return ""
    code_set, _, length = _IDENTIFIER.unpack_from(rest)
    raw = rest[_IDENTIFIER.size : _IDENTIFIER.size + length]
    if code_set & 0x0F != 0x02 or len(raw) < length:
        return ""
    if length > _VENDOR_AND_PRODUCT:
        raw = raw[_VENDOR_AND_PRODUCT:]
    return raw.decode("ascii", "replace").strip(" \0")
