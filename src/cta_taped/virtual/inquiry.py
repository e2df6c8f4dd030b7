# SPDX-License-Identifier: GPL-3.0-or-later
"""INQUIRY data and vital product data of the virtual devices (SPC-4 6.6, 7.8; SSC-4 8.5).

Builds bytes from an identity; knows nothing of commands in progress.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from cta_taped.virtual.sense import INVALID_CDB_FIELD, CheckCondition

SEQUENTIAL_ACCESS: Final = 0x01
MEDIA_CHANGER: Final = 0x08
_STANDARD: Final = struct.Struct(">BBBBBBBB8s16s4s60x")
_PAGE: Final = struct.Struct(">BBH")


@dataclass(frozen=True, slots=True)
class UnitIdentity:
    """Who a device says it is. Product decides the family: ``ULT...`` LTO, ``03592...`` IBM 3592."""

    vendor: str
    product: str
    revision: str
    serial: str
    device_type: int = SEQUENTIAL_ACCESS

    @property
    def is_3592(self) -> bool:
        """Whether the drive speaks the log pages of the 3592 family."""
        return "03592" in self.product

    def designator(self) -> bytes:
        """Vendor, product and serial number as one T10 identifier."""
        return _padded(self.vendor, 8) + _padded(self.product, 16) + self.serial.encode()


def _padded(text: str, width: int) -> bytes:
    return text.encode("ascii", "replace")[:width].ljust(width)


def standard(identity: UnitIdentity) -> bytes:
    """96 bytes of standard INQUIRY data; a tape drive has PROTECT set."""
    tape = identity.device_type == SEQUENTIAL_ACCESS
    return _STANDARD.pack(
        identity.device_type,
        0x80,  # removable medium
        0x06,  # SPC-4
        0x02,
        91,
        0x01 if tape else 0x00,
        0,
        0x02,
        _padded(identity.vendor, 8),
        _padded(identity.product, 16),
        _padded(identity.revision, 4),
    )


def _designators(identity: UnitIdentity) -> bytes:
    t10 = identity.designator()
    # An NAA 3 (locally assigned) name, made from the serial number so that it stays the same.
    number = int.from_bytes(identity.serial.encode()[-8:].rjust(8, b"\0"), "big") & ((1 << 60) - 1)
    naa = (0x3 << 60 | number).to_bytes(8, "big")
    return bytes((0x02, 0x01, 0, len(t10))) + t10 + bytes((0x01, 0x03, 0, len(naa))) + naa


def vital_product_data(identity: UnitIdentity, page: int) -> bytes:
    """One VPD page.

    Raises CheckCondition 5/24/00 for a page that the device does not have.
    """
    serial = identity.serial.encode()
    pages = {0x80: serial, 0x83: _designators(identity)}
    if identity.device_type == SEQUENTIAL_ACCESS:
        pages |= {
            0xB0: b"\x01\x00",  # WORM capable
            0xB1: serial,
            0xB2: b"\xff" * 8,  # every TapeAlert flag is supported
            0xB3: serial,
        }
    pages[0x00] = bytes(sorted({0x00, *pages}))
    body = pages.get(page)
    if body is None:
        raise CheckCondition(INVALID_CDB_FIELD)
    return _PAGE.pack(identity.device_type, page, len(body)) + body


def inquiry(identity: UnitIdentity, cdb: bytes) -> bytes:
    """Answer an INQUIRY; the caller cuts it to the allocation length. Raises as ``vital_product_data``."""
    if cdb[1] & 0x01:
        return vital_product_data(identity, cdb[2])
    if cdb[2]:
        raise CheckCondition(INVALID_CDB_FIELD)
    return standard(identity)
