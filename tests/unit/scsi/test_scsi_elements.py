# SPDX-License-Identifier: GPL-3.0-or-later
"""Element status of a library against bytes written by hand from SMC-3."""

from __future__ import annotations

import pytest

from cta_taped.common.scsi.codes import ElementType
from cta_taped.common.scsi.elements import (
    Element,
    Range,
    parse_addresses,
    parse_element_status,
    status_available,
)

TAG = b"L80001L8".ljust(32) + bytes(4)
NO_TAG = bytes(36)


def descriptor(head: str, *parts: bytes) -> bytes:
    return bytes.fromhex(head) + b"".join(parts)


def page(kind: int, flags: int, size: int, *descriptors: bytes) -> bytes:
    body = b"".join(descriptors)
    return bytes((kind, flags)) + size.to_bytes(2, "big") + len(body).to_bytes(4, "big") + body


def report(*pages: bytes) -> bytes:
    body = b"".join(pages)
    return bytes.fromhex("0400 0003") + len(body).to_bytes(4, "big") + body


def test_addresses() -> None:
    raw = bytes.fromhex("17 00 00 00 9d 12 0000 0001 0400 0064 0300 000a 0100 0004 0000")
    assert parse_addresses(raw) == {
        ElementType.TRANSPORT: Range(0, 1),
        ElementType.STORAGE: Range(1024, 100),
        ElementType.PORT: Range(768, 10),
        ElementType.DRIVE: Range(256, 4),
    }


def test_slots_with_volume_tags_in_split_pages() -> None:
    full = descriptor("0400 09 00 00 00 000000 81 0400", TAG)
    empty = descriptor("0401 08 00 00 00 000000 00 0000", NO_TAG)
    abnormal = descriptor("0402 0d 00 83 01 000000 08 0000", b" " * 32 + bytes(4))
    raw = report(page(2, 0x80, 48, full), page(2, 0x80, 48, empty, abnormal))
    assert status_available(raw) == len(raw) - 8
    first, second, third = parse_element_status(raw)
    assert first == Element(1024, ElementType.STORAGE, True, "L80001L8", 1024)
    assert first.vid == "L80001"
    assert second == Element(1025, ElementType.STORAGE, False)
    assert third == Element(1026, ElementType.STORAGE, True, exception=(0x83, 1), disabled=True)


def test_mixed_types_with_and_without_tags() -> None:
    hand = descriptor("0000 00 00 00 00 000000 00 0000")
    port = descriptor("0300 3b 00 00 00 000000 00 0000", b"V1 X    ".ljust(32) + bytes(4), NO_TAG)
    found = parse_element_status(report(page(1, 0, 12, hand), page(3, 0xC0, 84, port)))
    assert found[0] == Element(0, ElementType.TRANSPORT, False, access=False)
    assert found[1].placed_by_operator
    assert (found[1].barcode, found[1].vid) == ("V1 X", "V1")


@pytest.mark.parametrize(
    ("identifier", "serial"),
    [
        ("02 00 00 0a" + b"0123456789".hex(), "0123456789"),
        ("02 01 00 22" + b"IBM     ULT3580-TD9     0123456789".hex(), "0123456789"),
        ("01 03 00 08 5001020304050607", ""),
        ("00 00 00 00", ""),
    ],
)
def test_drive_serial(identifier: str, serial: str) -> None:
    rest = bytes.fromhex(identifier).ljust(40, b"\0")
    drive = descriptor("0101 01 00 00 00 000000 c0 0405", TAG, rest)
    (found,) = parse_element_status(report(page(4, 0x80, 88, drive)))
    assert found == Element(
        257, ElementType.DRIVE, True, "L80001L8", 1029, access=False, serial=serial, inverted=True
    )


def test_serial_without_tags() -> None:
    drive = descriptor("0101 08 00 00 00 000000 00 0000", bytes.fromhex("02 00 00 04") + b"S123")
    (found,) = parse_element_status(report(page(4, 0x00, 20, drive)))
    assert (found.serial, found.barcode) == ("S123", "")


def test_empty_report() -> None:
    assert parse_element_status(bytes.fromhex("0000 0000 00000000")) == []


@pytest.mark.parametrize(
    "raw",
    [
        bytes(7),
        report(page(2, 0x80, 48, bytes(48)))[:-1],
        report(page(2, 0x80, 4, bytes(48))),
        report(bytes.fromhex("02 80 0030 00000100") + bytes(48)),
        report(page(9, 0x80, 48, bytes(48))),
    ],
    ids=["short header", "cut off", "tiny descriptor", "page too long", "unknown type"],
)
def test_contradictions_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"bytes|ElementType"):
        parse_element_status(raw)
