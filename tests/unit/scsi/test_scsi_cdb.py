# SPDX-License-Identifier: GPL-3.0-or-later
"""Command descriptor blocks against bytes written by hand from the standards."""

from __future__ import annotations

import pytest

from cta_taped.common.scsi import cdb
from cta_taped.common.scsi.codes import ElementType

BLOCKS = {
    "test unit ready": (cdb.test_unit_ready(), "00 00 00 00 00 00"),
    "request sense": (cdb.request_sense(), "03 00 00 00 60 00"),
    "inquiry": (cdb.inquiry(), "12 00 00 00 60 00"),
    "inquiry page": (cdb.inquiry(255, 0x80), "12 01 80 00 ff 00"),
    "read position": (cdb.read_position(), "34 00 00 00 00 00 00 00 00 00"),
    "read position long": (cdb.read_position_long(), "34 06 00 00 00 00 00 00 00 00"),
    "locate": (cdb.locate(0x01020304), "2b 00 00 01 02 03 04 00 00 00"),
    "space": (cdb.space_blocks(1), "11 00 00 00 01 00"),
    "space back": (cdb.space_blocks(-2), "11 00 ff ff fe 00"),
    "mode sense": (cdb.mode_sense(0x0A, 0xF0, 48), "1a 00 0a f0 30 00"),
    "mode sense addresses": (
        cdb.mode_sense(0x1D, 0, 24, no_block_descriptor=True),
        "1a 08 1d 00 18 00",
    ),
    "mode select": (cdb.mode_select(44), "15 10 00 00 2c 00"),
    "log sense": (cdb.log_sense(0x37, 0x51, 0x1000), "4d 00 77 51 00 00 00 10 00 00"),
    "security in": (cdb.security_protocol_in(0, 0, 264), "a2 00 00 00 00 00 00 00 01 08 00 00"),
    "security out": (cdb.security_protocol_out(0x20, 0x10, 52), "b5 20 00 10 00 00 00 00 00 34 00 00"),
    "rao limits": (cdb.receive_rao(4, limits=True), "a3 9d 00 00 00 00 00 00 00 04 00 00"),
    "rao list": (cdb.receive_rao(0x1234, limits=False), "a3 1d 00 00 00 00 00 00 12 34 00 00"),
    "generate rao": (cdb.generate_rao(0x48), "a4 1d 02 00 00 00 00 00 00 48 00 00"),
    "end of wrap": (cdb.read_end_of_wrap_position(3364), "a3 1f 45 02 00 00 00 00 0d 24 00 00"),
    "element status": (
        cdb.read_element_status(ElementType.DRIVE, 256, 4, 0x012345, identifiers=True),
        "b8 14 01 00 00 04 01 01 23 45 00 00",
    ),
    "element status plain": (
        cdb.read_element_status(ElementType.ALL, 0, 0xFFFF, 8),
        "b8 10 00 00 ff ff 00 00 00 08 00 00",
    ),
    "move medium": (
        cdb.move_medium(0, 0x0401, 0x0101, invert=True),
        "a5 00 00 00 04 01 01 01 00 00 01 00",
    ),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_block(name: str) -> None:
    built, expected = BLOCKS[name]
    assert built.hex(" ") == expected
