# SPDX-License-Identifier: GPL-3.0-or-later
"""Check values of both checksums from their definitions, and continuation over slices."""

from __future__ import annotations

import zlib

from hypothesis import given
from hypothesis import strategies as st

from cta_taped.common.checksum import ADLER32_OF_NOTHING, adler32, crc32c


def test_check_values() -> None:
    assert adler32(b"") == ADLER32_OF_NOTHING
    assert adler32(b"123456789") == 0x091E01DE
    assert adler32(bytes(262144)) == 0x003C0001
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(262144)) == 0xF032BCF3


@given(st.lists(st.binary(max_size=9000), max_size=6))
def test_slices_continue(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    checksum, protection = ADLER32_OF_NOTHING, 0
    for part in parts:
        checksum = adler32(memoryview(part), checksum)
        protection = crc32c(memoryview(part), protection)
    assert checksum == zlib.adler32(whole)
    assert protection == crc32c(whole)
