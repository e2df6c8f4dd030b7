# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameter data of a drive against bytes written by hand from the standards."""

from __future__ import annotations

import pytest

from cta_taped.common.scsi import data
from cta_taped.common.scsi.data import DriveFamily, Extent


def test_inquiry() -> None:
    raw = bytes.fromhex("01 80 06 02 5b 01 00 02") + b"IBM     ULT3580-TD9     R3G3" + bytes(60)
    assert data.parse_inquiry(raw) == data.Inquiry(1, "IBM", "ULT3580-TD9", "R3G3", True)


def test_inquiry_too_short() -> None:
    with pytest.raises(ValueError, match="at least 36"):
        data.parse_inquiry(bytes(35))


@pytest.mark.parametrize(
    ("product", "serial", "family"),
    [
        ("ULT3580-TD9", "0123456789", DriveFamily.LTO),
        ("Ultrium 9-SCSI", "CZ1", DriveFamily.LTO),
        ("ULTRIUM-HH9", "1", DriveFamily.LTO),
        ("03592E08", "1", DriveFamily.IBM3592),
        ("0359260F", "1", DriveFamily.IBM3592),
        ("T10000D", "1", DriveFamily.T10000),
        ("ULT3580-TD8", "MHVTL01", DriveFamily.MHVTL),
        ("VirtualTape", "1", DriveFamily.UNSUPPORTED),
    ],
)
def test_drive_family(product: str, serial: str, family: DriveFamily) -> None:
    assert data.drive_family(product, serial) is family


def test_unit_serial() -> None:
    assert data.parse_unit_serial(bytes.fromhex("01 80 00 0c") + b"  0123456789rest") == "0123456789"
    with pytest.raises(ValueError, match="83h instead of 80h"):
        data.parse_unit_serial(bytes.fromhex("01 83 00 00"))
    with pytest.raises(ValueError, match="at least 14"):
        data.parse_unit_serial(bytes.fromhex("01 80 00 0a") + b"0123")


def test_identification() -> None:
    raw = bytes.fromhex("01 83 00 14 01 03 00 08 50 01 02 03 04 05 06 07 02 01 00 04") + b"IBM1"
    assert data.parse_identification(raw) == [(3, bytes.fromhex("5001020304050607")), (1, b"IBM1")]


def test_position() -> None:
    raw = bytes.fromhex("80 01 00 00 00 00 00 2a 00 00 00 28 00 00 00 02 00 08 00 00")
    found = data.parse_position(raw)
    assert (found.at_beginning, found.at_end, found.partition) == (True, False, 1)
    assert (found.object_id, found.medium_object_id) == (42, 40)


@pytest.mark.parametrize("flags", ["04", "02"])
def test_position_unknown(flags: str) -> None:
    assert data.parse_position(bytes.fromhex(flags + "00" * 3 + "0000002a" + "00" * 12)).object_id is None


def test_position_long() -> None:
    raw = bytes.fromhex("00 000000 00000001 0000000100000002 0000000000000007 0000000000000000")
    assert data.parse_position_long(raw) == data.LongPosition(1, 2**32 + 2, 7)
    unknown = bytes.fromhex("0c") + raw[1:]
    assert data.parse_position_long(unknown) == data.LongPosition(1, None, None)


def test_security_protocols() -> None:
    assert data.parse_security_protocols(bytes.fromhex("00 00 00 00 00 00 00 02 00 20 ff")) == (0, 0x20)


def test_encryption_page_with_key() -> None:
    page = data.build_encryption_page(b"secret")
    head = "0010 0030 20 00 02 03 01 00 00 00000000000000 0020"
    assert page == bytes.fromhex(head) + b"secret" + bytes(26)
    assert len(page) == 52


def test_encryption_page_cleared() -> None:
    head = "0010 0030 20 00 00 00 01 00 00 00000000000000 0020"
    assert data.build_encryption_page(None) == bytes.fromhex(head) + bytes(32)


RAO_DESCRIPTOR = "001e 000000 31300000000000000000 00 0000000000000104 0000000000000200"


def test_rao_list_is_built() -> None:
    built = data.build_rao_list([Extent("10", 0x104, 0x200)])
    assert built == bytes.fromhex("00000000 00000020" + RAO_DESCRIPTOR)
    assert data.rao_reply_length(1) == len(built) == 40


def test_rao_reply() -> None:
    other = "001e 000000 37000000000000000000 00 0000000000000001 0000000000000009"
    reply = bytes.fromhex("02 00 0000 00000040" + RAO_DESCRIPTOR + other)
    assert data.parse_rao_list(reply) == [Extent("10", 0x104, 0x200), Extent("7", 1, 9)]
    assert data.parse_rao_limits(bytes.fromhex("0a8c 0020")) == 2700


def test_wrap_ends() -> None:
    reply = bytes.fromhex(
        "001a 0000 0000 0000 0000 00000003346a 0001 0000 0000 000100000005" + "0002"
    )  # two whole descriptors, then a torn one
    assert data.parse_wrap_ends(reply) == [0x3346A, 2**32 + 5]
    assert data.wrap_reply_length(280) == 3364


def test_tape_location() -> None:
    sense = bytes(29) + bytes.fromhex("0d 00 00 a8 c0") + bytes(62)
    assert data.parse_tape_location(sense) == (13, 43200)
