# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameter data of a tape drive: replies parsed, parameter lists built.

INQUIRY and its pages, READ POSITION, encryption, access order and end of wrap. Mode and log pages are in
``pages``, media changer elements in ``elements``. Parsers raise ValueError for a reply that is too short or
is not what was asked for. Integers are big-endian (SPC-4, SSC-4, SSC-5).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

TAPE_ENCRYPTION_KEY_BYTES: Final = 32
UNIT_SERIAL_PAGE: Final = 0x80
IDENTIFICATION_PAGE: Final = 0x83

_INQUIRY: Final = struct.Struct(">BBBBBBBB8s16s4s")
_PAGE_HEADER: Final = struct.Struct(">BBH")
_DESIGNATOR: Final = struct.Struct(">BBBB")
_POSITION: Final = struct.Struct(">BBxxII")
_POSITION_LONG: Final = struct.Struct(">BxxxIQQ")
_KEY_PAGE: Final = struct.Struct(">HHBBBBBBB7xH")
_RAO_HEADER: Final = struct.Struct(">BBxxI")
_RAO_DESCRIPTOR: Final = struct.Struct(">H3x10sBQQ")
_RAO_LIMITS: Final = struct.Struct(">HH")
_WRAPS_HEADER: Final = struct.Struct(">Hxx")
_WRAP_END: Final = struct.Struct(">HHxxHI")


def need(reply: bytes, length: int, what: str) -> None:
    """Raise ValueError if a reply is shorter than its layout."""
    if len(reply) < length:
        raise ValueError(f"{what}: {len(reply)} bytes, at least {length} expected")


def _text(raw: bytes) -> str:
    return raw.decode("ascii", "replace").rstrip(" \0").lstrip(" ")


# --- identification --------------------------------------------------------------------------------------


class DriveFamily(StrEnum):
    """Which vendor's log pages and commands a drive has."""

    LTO = "LTO"
    IBM3592 = "IBM3592"
    T10000 = "T10000"
    MHVTL = "MHVTL"
    UNSUPPORTED = "unsupported"


# Upstream's rule: the first name found in the product id decides.
_FAMILIES: Final[dict[str, DriveFamily]] = {
    "MHVTL": DriveFamily.MHVTL,
    "T10000": DriveFamily.T10000,
    "ULT": DriveFamily.LTO,
    "Ultrium": DriveFamily.LTO,
    "03592": DriveFamily.IBM3592,
}


def drive_family(product: str, serial: str) -> DriveFamily:
    """The family of a drive by its product id; mhvtl can hide behind another product, but not its serial."""
    if "MHVTL" in serial:
        return DriveFamily.MHVTL
    for name, family in _FAMILIES.items():
        if name in product:
            return family
    return DriveFamily.UNSUPPORTED


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Standard INQUIRY data (SPC-4 6.6.2); texts without padding. ``protection``: the PROTECT bit."""

    device_type: int
    vendor: str
    product: str
    revision: str
    protection: bool


def parse_inquiry(reply: bytes) -> Inquiry:
    """Standard INQUIRY data."""
    need(reply, _INQUIRY.size, "INQUIRY data")
    device_type, _, _, _, _, flags, _, _, vendor, product, revision = _INQUIRY.unpack_from(reply)
    return Inquiry(device_type & 0x1F, _text(vendor), _text(product), _text(revision), bool(flags & 0x01))


def _page_body(reply: bytes, page: int) -> bytes:
    need(reply, _PAGE_HEADER.size, f"VPD page {page:02X}h")
    _, code, length = _PAGE_HEADER.unpack_from(reply)
    if code != page:
        raise ValueError(f"VPD page {code:02X}h instead of {page:02X}h")
    need(reply, _PAGE_HEADER.size + length, f"VPD page {page:02X}h")
    return reply[_PAGE_HEADER.size : _PAGE_HEADER.size + length]


def parse_unit_serial(reply: bytes) -> str:
    """VPD page 80h, unit serial number (SPC-4 7.8.17)."""
    return _text(_page_body(reply, UNIT_SERIAL_PAGE))


def parse_identification(reply: bytes) -> list[tuple[int, bytes]]:
    """VPD page 83h (SPC-4 7.8.6): (designator type, designator) in the order of the reply; type 3 is NAA."""
    body = _page_body(reply, IDENTIFICATION_PAGE)
    found = []
    offset = 0
    while offset + _DESIGNATOR.size <= len(body):
        _, kind, _, length = _DESIGNATOR.unpack_from(body, offset)
        offset += _DESIGNATOR.size
        found.append((kind & 0x0F, body[offset : offset + length]))
        offset += length
    return found


# --- position --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Position:
    """READ POSITION, short form (SSC-4 7.7.2). ``object_id`` is None when the drive does not know it."""

    at_beginning: bool
    at_end: bool
    partition: int
    object_id: int | None
    medium_object_id: int | None


def parse_position(reply: bytes) -> Position:
    """Short form: LOLU (object location unknown) or PERR (overflow) make the numbers invalid."""
    need(reply, 20, "READ POSITION data")
    flags, partition, first, last = _POSITION.unpack_from(reply)
    unknown = bool(flags & 0x06)
    return Position(
        at_beginning=bool(flags & 0x80),
        at_end=bool(flags & 0x40),
        partition=partition,
        object_id=None if unknown else first,
        medium_object_id=None if unknown else last,
    )


@dataclass(frozen=True, slots=True)
class LongPosition:
    """READ POSITION, long form (SSC-4 7.7.4); ``filemarks`` counted from the partition's beginning."""

    partition: int
    object_id: int | None
    filemarks: int | None


def parse_position_long(reply: bytes) -> LongPosition:
    """Long form: LONU makes the object number invalid, MPU the number of filemarks."""
    need(reply, 32, "READ POSITION data")
    flags, partition, object_id, filemarks = _POSITION_LONG.unpack_from(reply)
    return LongPosition(partition, None if flags & 0x04 else object_id, None if flags & 0x08 else filemarks)


# --- encryption ------------------------------------------------------------------------------------------


def parse_security_protocols(reply: bytes) -> tuple[int, ...]:
    """SECURITY PROTOCOL IN 00h/0000h: the list of supported protocols (SPC-4 7.7.1.2)."""
    need(reply, 8, "security protocol list")
    length = int.from_bytes(reply[6:8], "big")
    need(reply, 8 + length, "security protocol list")
    return tuple(reply[8 : 8 + length])


def build_encryption_page(key: bytes | None) -> bytes:
    """Set Data Encryption page 0010h (SSC-4 8.5.3.2), scope local: AES-256-GCM with ``key``, or all off.

    Decryption is "mixed", so that clear blocks (labels of an earlier use) stay readable.
    """
    encrypt, decrypt = (0x02, 0x03) if key is not None else (0x00, 0x00)
    return _KEY_PAGE.pack(
        0x0010, 0x0030, 0x20, 0x00, encrypt, decrypt, 0x01, 0x00, 0x00, TAPE_ENCRYPTION_KEY_BYTES
    ) + (key or b"").ljust(TAPE_ENCRYPTION_KEY_BYTES, b"\0")


# --- access order and wraps ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Extent:
    """One user data segment of an access order: objects ``begin`` to ``end``; ``name`` at most 10 bytes."""

    name: str
    begin: int
    end: int


def parse_rao_limits(reply: bytes) -> int:
    """RECEIVE RAO with UDS_LIMITS: how many segments one list may hold."""
    need(reply, _RAO_LIMITS.size, "access order limits")
    count: int = _RAO_LIMITS.unpack_from(reply)[0]
    return count


def build_rao_list(extents: Sequence[Extent]) -> bytes:
    """GENERATE RAO parameter list."""
    body = b"".join(
        _RAO_DESCRIPTOR.pack(
            _RAO_DESCRIPTOR.size - 2, extent.name.encode("ascii"), 0, extent.begin, extent.end
        )
        for extent in extents
    )
    return struct.pack(">4xI", len(body)) + body


def rao_reply_length(count: int) -> int:
    """Allocation length for ``count`` segments, in bytes."""
    return _RAO_HEADER.size + count * _RAO_DESCRIPTOR.size


def parse_rao_list(reply: bytes) -> list[Extent]:
    """RECEIVE RAO: the segments in recommended order."""
    need(reply, _RAO_HEADER.size, "access order")
    length = _RAO_HEADER.unpack_from(reply)[2]
    need(reply, _RAO_HEADER.size + length, "access order")
    return list(_extents(reply, _RAO_HEADER.size + length))


def _extents(reply: bytes, end: int) -> Iterator[Extent]:
    offset = _RAO_HEADER.size
    while offset + _RAO_DESCRIPTOR.size <= end:
        additional, name, _, first, last = _RAO_DESCRIPTOR.unpack_from(reply, offset)
        yield Extent(_text(name), first, last)
        offset += 2 + additional


def wrap_reply_length(wraps: int) -> int:
    """Allocation length of READ END OF WRAP POSITION for ``wraps`` wraps, in bytes."""
    return _WRAPS_HEADER.size + wraps * _WRAP_END.size


def parse_wrap_ends(reply: bytes) -> list[int]:
    """READ END OF WRAP POSITION, all wraps: the logical object id at the end of each wrap, by wrap number."""
    need(reply, _WRAPS_HEADER.size, "end of wrap positions")
    length = min(_WRAPS_HEADER.unpack_from(reply)[0], len(reply) - _WRAPS_HEADER.size)
    ends = {}
    for wrap, _, high, low in _WRAP_END.iter_unpack(
        reply[_WRAPS_HEADER.size : _WRAPS_HEADER.size + length // _WRAP_END.size * _WRAP_END.size]
    ):
        ends[wrap] = high << 32 | low
    return [ends[wrap] for wrap in sorted(ends)]


def parse_tape_location(sense: bytes) -> tuple[int, int]:
    """REQUEST SENSE of an IBM LTO drive: (wrap, longitudinal position in LPOS units)."""
    need(sense, 34, "sense data")
    return sense[29], int.from_bytes(sense[30:34], "big")
