# SPDX-License-Identifier: GPL-3.0-or-later
"""Mode pages and log pages: headers, block descriptor, parameters.

The frames only; which page holds which value is said by ``tape.modepages``, ``tape.statistics`` and
``tape.alerts``. Parsers raise ValueError for a reply that is too short or is another page (SPC-4 7.3, 7.5).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from cta_taped.common.scsi.data import need

TAPE_ALERT_PAGE: Final = 0x2E

_MODE_HEADER: Final = struct.Struct(">BBBB")
_BLOCK_DESCRIPTOR_BYTES: Final = 8
_SUBPAGE_FORMAT: Final = 0x40
_PARAMETERS_SAVEABLE: Final = 0x80
_LOG_HEADER: Final = struct.Struct(">BBH")
_LOG_PARAMETER: Final = struct.Struct(">HBB")


@dataclass(frozen=True, slots=True)
class ModeData:
    """A reply of MODE SENSE(6): header fields, block descriptor (empty or 8 bytes) and one page."""

    medium_type: int
    device_specific: int
    block_descriptor: bytes
    page: bytes

    @property
    def density(self) -> int | None:
        """Density code of the block descriptor (SSC-4 8.3), None without one."""
        return self.block_descriptor[0] if self.block_descriptor else None


def parse_mode_data(reply: bytes, page: int, subpage: int) -> ModeData:
    """MODE SENSE(6) data (SPC-4 7.5.5) that must hold ``page`` and ``subpage`` first."""
    need(reply, _MODE_HEADER.size, "mode data")
    length, medium_type, device_specific, descriptor_length = _MODE_HEADER.unpack_from(reply)
    start = _MODE_HEADER.size + descriptor_length
    body = reply[start : length + 1]
    need(body, 2, f"mode page {page:02X}h")
    if body[0] & 0x3F != page:
        raise ValueError(f"mode page {body[0] & 0x3F:02X}h instead of {page:02X}h")
    if body[0] & _SUBPAGE_FORMAT:
        need(body, 4, f"mode page {page:02X}h")
        if body[1] != subpage:
            raise ValueError(f"mode page {page:02X}h/{body[1]:02X}h instead of {page:02X}h/{subpage:02X}h")
        page_length = 4 + int.from_bytes(body[2:4], "big")
    else:
        if subpage:
            raise ValueError(f"mode page {page:02X}h without subpage {subpage:02X}h")
        page_length = 2 + body[1]
    need(body, page_length, f"mode page {page:02X}h")
    return ModeData(medium_type, device_specific, reply[_MODE_HEADER.size : start], body[:page_length])


def build_mode_list(data: ModeData, page: bytes) -> bytes:
    """MODE SELECT(6) list that gives back what was sensed, with ``page`` instead of its page.

    The data length, the medium type and the write-protect bit are reserved in a SELECT (SPC-4 7.5.5,
    SSC-4 8.3), and so is the page's PS bit.
    """
    header = _MODE_HEADER.pack(0, 0, data.device_specific & 0x7F, len(data.block_descriptor))
    return header + data.block_descriptor + bytes((page[0] & ~_PARAMETERS_SAVEABLE,)) + page[1:]


def parse_log_page(reply: bytes, page: int, subpage: int = 0) -> dict[int, bytes]:
    """LOG SENSE data (SPC-4 7.3.2), parameter code to value; a last one that was cut off is left out."""
    need(reply, _LOG_HEADER.size, f"log page {page:02X}h")
    code, sub, length = _LOG_HEADER.unpack_from(reply)
    if code & 0x3F != page or (code & _SUBPAGE_FORMAT and sub != subpage):
        raise ValueError(f"log page {code & 0x3F:02X}h/{sub:02X}h instead of {page:02X}h/{subpage:02X}h")
    values = {}
    offset = _LOG_HEADER.size
    end = min(len(reply), _LOG_HEADER.size + length)
    while offset + _LOG_PARAMETER.size <= end:
        parameter, _, size = _LOG_PARAMETER.unpack_from(reply, offset)
        offset += _LOG_PARAMETER.size
        if offset + size > end:
            break
        values[parameter] = reply[offset : offset + size]
        offset += size
    return values


def parse_tape_alerts(reply: bytes) -> list[int]:
    """TapeAlert log page 2Eh (SSC-4 8.2.3): the numbers of the active flags, ascending, 1 to 64."""
    values = parse_log_page(reply, TAPE_ALERT_PAGE)
    return sorted(flag for flag, value in values.items() if 1 <= flag <= 64 and value and value[0] & 0x01)
