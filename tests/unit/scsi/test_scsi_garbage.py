# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever bytes a device sends, a parser either understands them or says ValueError; none runs for ever."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cta_taped.common.scsi import data, elements, pages, sense

PARSERS: dict[str, Callable[[bytes], object]] = {
    "inquiry": data.parse_inquiry,
    "serial": data.parse_unit_serial,
    "identification": data.parse_identification,
    "position": data.parse_position,
    "long position": data.parse_position_long,
    "protocols": data.parse_security_protocols,
    "access order": data.parse_rao_list,
    "wrap ends": data.parse_wrap_ends,
    "location": data.parse_tape_location,
    "mode page": lambda reply: pages.parse_mode_data(reply, 0x0A, 0xF0),
    "log page": lambda reply: pages.parse_log_page(reply, 0x17),
    "alerts": pages.parse_tape_alerts,
    "addresses": elements.parse_addresses,
    "elements": elements.parse_element_status,
}


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=60, deadline=None)
@given(reply=st.binary(max_size=200))
def test_reply(name: str, reply: bytes) -> None:
    with contextlib.suppress(ValueError):
        PARSERS[name](reply)


@settings(max_examples=60, deadline=None)
@given(first=st.sampled_from([0x70, 0x71, 0x72, 0x73, 0xF0, 0x00]), rest=st.binary(max_size=60))
def test_sense(first: int, rest: bytes) -> None:
    found = sense.parse(bytes((first,)) + rest)
    if found is not None:
        assert found.text
        assert sense.DRIVE.of_sense(found).code.startswith("CTA-")
        assert sense.LIBRARY.of_sense(found).code.startswith("CTA-")


@settings(max_examples=60, deadline=None)
@given(
    kind=st.integers(0, 5),
    flags=st.sampled_from([0x00, 0x80, 0xC0]),
    size=st.integers(0, 120),
    body=st.binary(max_size=300),
)
def test_framed_elements(kind: int, flags: int, size: int, body: bytes) -> None:
    """A right frame around any content."""
    page = bytes((kind, flags)) + size.to_bytes(2, "big") + len(body).to_bytes(4, "big") + body
    with contextlib.suppress(ValueError):
        for element in elements.parse_element_status(bytes(4) + len(page).to_bytes(4, "big") + page):
            assert len(element.vid) <= 6
