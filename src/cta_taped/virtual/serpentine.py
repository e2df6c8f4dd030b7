# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an object lies on the serpentine tape: wrap ends, physical positions, recommended access order.

Answers READ END OF WRAP POSITION, the wrap and LPOS of REQUEST SENSE, and the RAO commands (SSC-5 draft; IBM
LTO SCSI Reference). Takes capacity over wraps as the length of a wrap; the order is nearest-first over the
model's locate times, which is what makes it worth asking.
"""

from __future__ import annotations

import struct
from typing import Final

from cta_taped.virtual.cartridge import Cartridge
from cta_taped.virtual.sense import INVALID_CDB_FIELD, INVALID_LIST_FIELD, LIST_LENGTH, CheckCondition
from cta_taped.virtual.timing import Timing

MIN_LPOS: Final = 2696
MAX_LPOS: Final = 171097
UDS_LIMIT: Final = 2730
UDS_BYTES: Final = 32
_UDS: Final = struct.Struct(">H3x10sBQQ")
_UDS_LENGTH: Final = UDS_BYTES - 2
_REORDER: Final = 2


def wrap_and_lpos(cartridge: Cartridge) -> tuple[int, int]:
    """Wrap and longitudinal position of the head."""
    wrap_bytes = max(1, cartridge.memory.capacity_bytes // cartridge.medium.wraps)
    wrap, inside = divmod(cartridge.image.offset, wrap_bytes)
    way = inside * (MAX_LPOS - MIN_LPOS) // wrap_bytes
    return wrap, MIN_LPOS + way if wrap % 2 == 0 else MAX_LPOS - way


def wrap_ends(cartridge: Cartridge, cdb: bytes) -> bytes:
    """Answer READ END OF WRAP POSITION: the last object of a wrap, or of all wraps in use.

    Raises CheckCondition 5/24/00 for a wrap that is not written.
    """
    image = cartridge.image
    wrap_bytes = max(1, cartridge.memory.capacity_bytes // cartridge.medium.wraps)
    used = max(1, -(-image.end_offset // wrap_bytes))
    ends = [image.object_at(wrap_bytes * (wrap + 1)) for wrap in range(used - 1)] + [image.objects]
    if cdb[3] & 0x02:
        body = b"".join(
            struct.pack(">HHH", wrap, 0, 0) + end.to_bytes(6, "big") for wrap, end in enumerate(ends)
        )
        return struct.pack(">HH", len(body) + 2, 0) + body
    wrap = cdb[5] if cdb[3] & 0x01 else 0
    if wrap >= used:
        raise CheckCondition(INVALID_CDB_FIELD)
    return struct.pack(">HH", 8, 0) + ends[wrap].to_bytes(6, "big")


class AccessOrder:
    """The drive's RAO list: made by GENERATE, given out by RECEIVE, forgotten at unload."""

    def __init__(self) -> None:
        self._list: list[bytes] = []

    def forget(self) -> None:
        """A new load discards the list."""
        self._list = []

    def generate(self, cdb: bytes, parameters: bytes, cartridge: Cartridge) -> None:
        """Carry out GENERATE RAO. Raises CheckCondition 5/24/00, 5/1A/00, 5/26/00."""
        if cdb[2] & 0x07 != _REORDER or cdb[3] & 0x07:
            raise CheckCondition(INVALID_CDB_FIELD)
        if len(parameters) < 8:
            raise CheckCondition(LIST_LENGTH)
        length = int.from_bytes(parameters[4:8], "big")
        segments = parameters[8 : 8 + length]
        if len(segments) != length or length % UDS_BYTES or length > UDS_LIMIT * UDS_BYTES:
            raise CheckCondition(LIST_LENGTH)
        pieces = [segments[at : at + UDS_BYTES] for at in range(0, length, UDS_BYTES)]
        image = cartridge.image
        timing = Timing(1, cartridge.medium, cartridge.memory.capacity_bytes)
        ends: list[tuple[int, int, bytes]] = []
        for piece in pieces:
            additional, _, partition, first, last = _UDS.unpack(piece)
            if additional != _UDS_LENGTH or partition or first > last:
                raise CheckCondition(INVALID_LIST_FIELD)
            ends.append((image.offset_of(first), image.offset_of(last), piece))
        self._list = []
        here = image.offset
        while ends:
            nearest = min(ends, key=lambda segment: timing.travel_s(here, segment[0]))
            ends.remove(nearest)
            here = nearest[1]
            self._list.append(nearest[2])

    def receive(self, cdb: bytes) -> bytes:
        """Answer RECEIVE RAO: the limits, or the list."""
        if cdb[1] & 0x80:
            return struct.pack(">HH", UDS_LIMIT, UDS_BYTES)
        body = b"".join(self._list)
        return struct.pack(">BBHI", _REORDER, 0, 0, len(body)) + body
