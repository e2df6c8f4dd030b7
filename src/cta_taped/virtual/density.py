# SPDX-License-Identifier: GPL-3.0-or-later
"""REPORT DENSITY SUPPORT data of the virtual drive (SSC-4 7.13): one 52-byte descriptor a density."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from cta_taped.virtual.media import Medium

_DENSITY: Final = struct.Struct(">BBBHBHHHI8s8s20s")
_WRITABLE, _DEFAULT = 0x80, 0x20
_TAPE_WIDTH: Final = 127  # tenths of a millimetre
_TRACKS_PER_WRAP: Final = 32


def report_densities(media: Sequence[Medium]) -> bytes:
    """The reply for these media, each density once; the last is the default for writing."""
    seen: dict[int, Medium] = {}
    for medium in media:
        seen.setdefault(medium.density, medium)
    body = b"".join(_descriptor(medium, medium is media[-1]) for medium in seen.values())
    return struct.pack(">HH", len(body) + 2, 0) + body


def _descriptor(medium: Medium, default: bool) -> bytes:
    return _DENSITY.pack(
        medium.density,
        medium.density,
        _WRITABLE | (_DEFAULT if default else 0),
        0,
        0,
        0,
        _TAPE_WIDTH,
        medium.wraps * _TRACKS_PER_WRAP & 0xFFFF,
        min(0xFFFFFFFF, medium.capacity_bytes // 10**6),
        b"LTO-CVE " if medium.suffix[0] in "LM" else b"IBM     ",
        medium.density_name.encode().ljust(8)[:8],
        medium.name.encode().ljust(20),
    )
