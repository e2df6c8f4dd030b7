# SPDX-License-Identifier: GPL-3.0-or-later
"""Builders of command descriptor blocks, one function a command; no execution, no replies.

Layouts: SPC-4 clause 6, SSC-4 clause 7, SMC-3 clause 6; integers are big-endian.
"""

from __future__ import annotations

import struct
from typing import Final

from cta_taped.common.scsi.codes import ElementType, Opcode

SECURITY_PROTOCOL_INFORMATION: Final = 0x00
SECURITY_PROTOCOL_TAPE_ENCRYPTION: Final = 0x20
_RAO_SERVICE_ACTION: Final = 0x1D
_REOWP_SERVICE_ACTION: Final = 0x1F


def test_unit_ready() -> bytes:
    """TEST UNIT READY (SPC-4 6.47)."""
    return bytes(6)


def request_sense(length: int = 96) -> bytes:
    """REQUEST SENSE in fixed format (SPC-4 6.39)."""
    return struct.pack(">BBxxBx", Opcode.REQUEST_SENSE, 0, length)


def inquiry(length: int = 96, page: int | None = None) -> bytes:
    """INQUIRY (SPC-4 6.6): standard data, or the vital product data page ``page``."""
    return struct.pack(">BBBHx", Opcode.INQUIRY, page is not None, page or 0, length)


def read_position() -> bytes:
    """READ POSITION, short form with block identifiers (SSC-4 7.7); the allocation length must be 0."""
    return struct.pack(">B9x", Opcode.READ_POSITION)


def read_position_long() -> bytes:
    """READ POSITION, long form (SSC-4 7.7.4)."""
    return struct.pack(">BB5xHx", Opcode.READ_POSITION, 0x06, 0)


def locate(object_id: int) -> bytes:
    """LOCATE(10) to a logical object of the current partition, waiting for the end (SSC-4 7.3)."""
    return struct.pack(">BBxIxxx", Opcode.LOCATE_10, 0, object_id)


def space_blocks(count: int) -> bytes:
    """SPACE(6) over blocks, backward if negative (SSC-4 7.12)."""
    return struct.pack(">BB", Opcode.SPACE_6, 0) + count.to_bytes(3, "big", signed=True) + bytes(1)


def mode_sense(page: int, subpage: int, length: int, *, no_block_descriptor: bool = False) -> bytes:
    """MODE SENSE(6), current values (SPC-4 6.12); every page used here fits its 255 bytes."""
    flags = 0x08 if no_block_descriptor else 0
    return struct.pack(">BBBBBx", Opcode.MODE_SENSE_6, flags, page, subpage, length)


def mode_select(length: int) -> bytes:
    """MODE SELECT(6) of pages in the standard's format, not saved (SPC-4 6.10)."""
    return struct.pack(">BBxxBx", Opcode.MODE_SELECT_6, 0x10, length)


def log_sense(page: int, subpage: int = 0, length: int = 4096) -> bytes:
    """LOG SENSE, current cumulative values from the first parameter on (SPC-4 6.9)."""
    return struct.pack(">BBBBxHHx", Opcode.LOG_SENSE, 0, 0x40 | page, subpage, 0, length)


def security_protocol_in(protocol: int, specific: int, length: int) -> bytes:
    """SECURITY PROTOCOL IN with a byte allocation length (SPC-4 6.40)."""
    return struct.pack(">BBHBxIxx", Opcode.SECURITY_PROTOCOL_IN, protocol, specific, 0, length)


def security_protocol_out(protocol: int, specific: int, length: int) -> bytes:
    """SECURITY PROTOCOL OUT with a byte transfer length (SPC-4 6.41)."""
    return struct.pack(">BBHBxIxx", Opcode.SECURITY_PROTOCOL_OUT, protocol, specific, 0, length)


def receive_rao(length: int, *, limits: bool) -> bytes:
    """RECEIVE RECOMMENDED ACCESS ORDER (SSC-5): the drive's limits, or the ordered list."""
    action = _RAO_SERVICE_ACTION | (0x80 if limits else 0)
    return struct.pack(">BBIIBx", Opcode.MAINTENANCE_IN, action, 0, length, 0)


def generate_rao(length: int, *, process: int = 2) -> bytes:
    """GENERATE RECOMMENDED ACCESS ORDER (SSC-5); process 2 reorders the list."""
    return struct.pack(">BBBBxxIxx", Opcode.MAINTENANCE_OUT, _RAO_SERVICE_ACTION, process, 0, length)


def read_end_of_wrap_position(length: int) -> bytes:
    """READ END OF WRAP POSITION of all wraps (IBM LTO SCSI reference)."""
    return struct.pack(">BBBBBBIxx", Opcode.MAINTENANCE_IN, _REOWP_SERVICE_ACTION, 0x45, 0x02, 0, 0, length)


def read_element_status(
    element_type: ElementType, start: int, count: int, length: int, *, identifiers: bool = False
) -> bytes:
    """READ ELEMENT STATUS with volume tags (SMC-3 6.11); ``identifiers`` asks for drive serials (DVCID)."""
    return struct.pack(
        ">BBHHBBHxx",
        Opcode.READ_ELEMENT_STATUS,
        0x10 | element_type,
        start,
        count,
        0x01 if identifiers else 0,
        length >> 16,
        length & 0xFFFF,
    )


def move_medium(transport: int, source: int, destination: int, *, invert: bool) -> bytes:
    """MOVE MEDIUM between two elements (SMC-3 6.6); transport 0 is the default robot hand."""
    return struct.pack(">BxHHHxxBx", Opcode.MOVE_MEDIUM, transport, source, destination, invert)
