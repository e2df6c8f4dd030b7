# SPDX-License-Identifier: GPL-3.0-or-later
"""The checksum blob's bytes are those of the reference, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cta_taped.db import checksumblob
from cta_taped.db.checksumblob import ChecksumType

_BITS = {
    ChecksumType.ADLER32: 32,
    ChecksumType.CRC32: 32,
    ChecksumType.CRC32C: 32,
    ChecksumType.MD5: 128,
    ChecksumType.SHA1: 160,
}


def test_worked_examples() -> None:
    assert checksumblob.encode_adler32(0x12345678) == bytes.fromhex("0a080801120478563412")
    assert checksumblob.encode_adler32(0x091E01DE) == bytes.fromhex("0a0808011204de011e09")
    assert checksumblob.encode({ChecksumType.ADLER32: 0x091E01DE}) == checksumblob.encode_adler32(0x091E01DE)


@given(
    st.dictionaries(st.sampled_from(sorted(_BITS)), st.integers(min_value=0)).map(
        lambda sums: {kind: value % 2 ** _BITS[kind] for kind, value in sums.items()}
    )
)
def test_round_trip(sums: dict[ChecksumType, int]) -> None:
    assert checksumblob.decode(checksumblob.encode(sums)) == sums


@given(st.binary(max_size=60))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    try:
        sums = checksumblob.decode(data)
    except ValueError:
        return
    assert set(sums) <= set(_BITS)


@pytest.mark.parametrize(
    "blob",
    ["0a", "0a080801", "0a0708011203010203", "0a08080112040102030" + "40a0808011204010203", "0aff"],
    ids=["tag only", "cut", "three bytes", "cut second", "bad length"],
)
def test_damaged_blobs_are_refused(blob: str) -> None:
    with pytest.raises(ValueError):
        checksumblob.decode(bytes.fromhex(blob))


def test_a_damaged_blob_falls_back_to_the_number() -> None:
    assert checksumblob.adler32_of(b"\xff", 7) == 7
    assert checksumblob.adler32_of(None, 0) is None
    assert checksumblob.adler32_of(checksumblob.encode_adler32(5), 7) == 5
    assert checksumblob.adler32_of(checksumblob.encode({ChecksumType.MD5: 1}), 0) is None
