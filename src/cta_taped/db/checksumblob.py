# SPDX-License-Identifier: GPL-3.0-or-later
"""CTA's checksum blob: the Protocol Buffers message in CHECKSUM_BLOB and CHECKSUMBLOB columns.

What it is: encoder and decoder of that one message (catalogue reference, section 4; wire format: proto3
encoding, varints and length-delimited fields). What it is not: a computation of checksums, or a general
protobuf reader. Why by hand: two fields do not justify a code generator and its runtime.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum


class ChecksumType(IntEnum):
    """ChecksumBlob.Checksum.Type."""

    NONE = 0
    ADLER32 = 1
    CRC32 = 2
    CRC32C = 3
    MD5 = 4
    SHA1 = 5


_LENGTHS = {
    ChecksumType.ADLER32: 4,
    ChecksumType.CRC32: 4,
    ChecksumType.CRC32C: 4,
    ChecksumType.MD5: 16,
    ChecksumType.SHA1: 20,
}
_CHECKSUM_FIELD = 0x0A  # field 1, length-delimited
_TYPE_FIELD = 0x08  # field 1, varint
_VALUE_FIELD = 0x12  # field 2, length-delimited


def encode(checksums: Mapping[ChecksumType, int]) -> bytes:
    """The blob of checksums given as numbers; types in numerical order, NONE left out."""
    blob = bytearray()
    for kind in sorted(checksums):
        if kind is ChecksumType.NONE:
            continue
        value = checksums[kind].to_bytes(_LENGTHS[kind], "little")
        entry = bytes((_TYPE_FIELD, kind, _VALUE_FIELD, len(value))) + value
        blob += bytes((_CHECKSUM_FIELD, len(entry))) + entry
    return bytes(blob)


def encode_adler32(adler32: int) -> bytes:
    """The ten bytes of a blob with one ADLER32."""
    return b"\x0a\x08\x08\x01\x12\x04" + adler32.to_bytes(4, "little")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("truncated number")
        value |= (data[at] & 0x7F) << shift
        if data[at] < 0x80:
            return value, at + 1
        shift += 7
        at += 1


def _fields(data: bytes) -> list[tuple[int, int | bytes]]:
    fields: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire_type = tag & 7
        if wire_type == 0:
            value, at = _varint(data, at)
            fields.append((tag, value))
        elif wire_type == 2:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise ValueError("truncated field")
            fields.append((tag, data[at : at + length]))
            at += length
        else:
            raise ValueError(f"wire type {wire_type}")
    return fields


def decode(blob: bytes) -> dict[ChecksumType, int]:
    """The checksums of a blob as numbers. Raises ValueError when it is not a well-formed blob."""
    checksums: dict[ChecksumType, int] = {}
    for tag, entry in _fields(blob):
        if tag != _CHECKSUM_FIELD or not isinstance(entry, bytes):
            continue
        kind, value = ChecksumType.NONE, b""
        for inner_tag, inner in _fields(entry):
            if inner_tag == _TYPE_FIELD and isinstance(inner, int):
                kind = ChecksumType(inner)
            elif inner_tag == _VALUE_FIELD and isinstance(inner, bytes):
                value = inner
        if kind is ChecksumType.NONE:
            continue
        if kind in checksums:
            raise ValueError(f"two entries of {kind.name}")
        if len(value) != _LENGTHS[kind]:
            raise ValueError(f"{kind.name} of {len(value)} bytes")
        checksums[kind] = int.from_bytes(value, "little")
    return checksums


def adler32_of(blob: bytes | None, fallback: int | None = None) -> int | None:
    """The ADLER32 of a stored file, or None; an absent or unreadable blob falls back to the number column."""
    if blob:
        try:
            return decode(blob).get(ChecksumType.ADLER32)
        except ValueError:
            pass
    return fallback or None
