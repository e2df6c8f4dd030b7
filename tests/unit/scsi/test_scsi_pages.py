# SPDX-License-Identifier: GPL-3.0-or-later
"""Mode and log pages against bytes written by hand from the standards."""

from __future__ import annotations

import pytest

from cta_taped.common.scsi import pages

DESCRIPTOR = "60 000000 00 000000"
PROTECTION = "ca f0 001c 00 00 00" + "00" * 25


def test_mode_data_with_subpage() -> None:
    raw = bytes.fromhex("2b 98 90 08" + DESCRIPTOR + PROTECTION) + bytes(20)
    found = pages.parse_mode_data(raw, 0x0A, 0xF0)
    assert (found.medium_type, found.device_specific, found.density) == (0x98, 0x90, 0x60)
    assert found.page == bytes.fromhex(PROTECTION)


def test_mode_select_list_clears_what_is_reserved() -> None:
    raw = bytes.fromhex("2b 98 90 08" + DESCRIPTOR + PROTECTION)
    found = pages.parse_mode_data(raw, 0x0A, 0xF0)
    page = bytearray(found.page)
    page[4:7] = bytes.fromhex("02 04 c0")
    built = pages.build_mode_list(found, bytes(page))
    assert built.hex() == ("00 00 10 08" + DESCRIPTOR + "4a f0 001c 02 04 c0" + "00" * 25).replace(" ", "")
    assert len(built) == 44


def test_mode_data_without_descriptor() -> None:
    found = pages.parse_mode_data(bytes.fromhex("13 00 10 00 0f 0e c0") + bytes(13), 0x0F, 0)
    assert found.density is None
    assert found.page[:3] == bytes.fromhex("0f 0e c0")
    assert len(found.page) == 16


@pytest.mark.parametrize(
    ("reply", "match"),
    [
        ("13 00", "at least 4"),
        ("05 00 10 00 10 00", "10h instead of 0Fh"),
        ("05 00 10 00 0f 0e", "at least 16"),
    ],
)
def test_wrong_mode_data(reply: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        pages.parse_mode_data(bytes.fromhex(reply), 0x0F, 0)


def test_wrong_subpage() -> None:
    with pytest.raises(ValueError, match="0Ah/01h instead of 0Ah/F0h"):
        pages.parse_mode_data(bytes.fromhex("07 00 00 00 4a 01 0000"), 0x0A, 0xF0)
    with pytest.raises(ValueError, match="without subpage"):
        pages.parse_mode_data(bytes.fromhex("05 00 00 00 0a 00"), 0x0A, 0xF0)


def test_log_page() -> None:
    raw = bytes.fromhex("17 00 0011 0001 03 04 00000007 0046 01 08") + b"2026"
    assert pages.parse_log_page(raw, 0x17) == {1: bytes.fromhex("00000007")}
    with pytest.raises(ValueError, match="17h/00h instead of 2Eh/00h"):
        pages.parse_log_page(raw, 0x2E)


def test_log_subpage() -> None:
    raw = bytes.fromhex("77 51 0006 03d0 03 02 8000")
    assert pages.parse_log_page(raw, 0x37, 0x51) == {0x03D0: bytes.fromhex("8000")}
    with pytest.raises(ValueError, match="51h instead"):
        pages.parse_log_page(raw, 0x37, 0x91)


def test_tape_alerts() -> None:
    raw = bytes.fromhex("2e 00 0014 0001 60 01 00 0004 60 01 01 0032 60 01 01 0041 60 01 01")
    assert pages.parse_tape_alerts(raw) == [4, 50]
