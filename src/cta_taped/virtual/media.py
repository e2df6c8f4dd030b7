# SPDX-License-Identifier: GPL-3.0-or-later
"""The media types that the virtual library knows: what a cartridge can hold and what drives say about it.

One table, figures of the vendors' data sheets; no state. Not a list of what CTA supports. ``TEST-*`` are
media of tiny capacity, so that the end of a tape can be reached in a test; they pass for LTO-9.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from cta_taped.common.errors import CONFIG_USAGE, CtaError


@dataclass(frozen=True, slots=True)
class Medium:
    """A media type.

    ``density`` and ``medium_type`` are the codes of the mode parameter header and block descriptor;
    ``suffix`` the two barcode characters of the media domain and generation; ``rate`` in bytes/s, the speeds
    in m/s, the times in s; ``wraps`` end-to-end passes of the tape in four data bands.
    """

    name: str
    suffix: str
    density: int
    medium_type: int
    density_name: str
    capacity_bytes: int
    wraps: int
    length_m: int
    rate: int
    locate_speed: float
    load_s: float
    unload_s: float
    hitch_s: float
    locate_s: float

    @property
    def early_warning_bytes(self) -> int:
        """How far before the end early warning is given: about 0.2 %, at least a few blocks on tiny media."""
        return max(self.capacity_bytes // 500, min(1 << 20, self.capacity_bytes // 8))


_MB: Final = 10**6
_GB: Final = 10**9

# fmt: off
MEDIA: Final[dict[str, Medium]] = {m.name: m for m in (
    Medium("LTO-7", "L7", 0x5C, 0x78, "U-716", 6_000 * _GB, 112, 960, 300 * _MB, 9.5, 15, 20, 3.0, 4.3),
    Medium("LTO-7M", "M8", 0x5D, 0x78, "U-716M", 9_000 * _GB, 168, 960, 300 * _MB, 9.5, 15, 20, 3.0, 4.3),
    Medium("LTO-8", "L8", 0x5E, 0x88, "U-816", 12_000 * _GB, 208, 960, 360 * _MB, 9.5, 15, 24, 3.0, 4.3),
    Medium("LTO-9", "L9", 0x60, 0x98, "U-916", 18_000 * _GB, 280, 1035, 400 * _MB, 11., 17, 30, 3.0, 4.3),
    Medium("3592JE", "JE", 0x57, 0x95, "3592-7", 20_000 * _GB, 272, 1160, 400 * _MB, 12., 15, 23, 2.5, 3.5),
    Medium("3592JF", "JF", 0x59, 0x96, "3592-8", 50_000 * _GB, 592, 1340, 400 * _MB, 12., 15, 25, 2.5, 3.5),
    Medium("TEST-16M", "L9", 0x60, 0x98, "U-916", 16 << 20, 4, 1035, 400 * _MB, 11., 17, 30, 3.0, 4.3),
    Medium("TEST-1G", "L9", 0x60, 0x98, "U-916", 1 << 30, 8, 1035, 400 * _MB, 11., 17, 30, 3.0, 4.3),
)}
# fmt: on
ALIASES: Final[dict[str, str]] = {"M8": "LTO-7M", "LTO7": "LTO-7", "LTO8": "LTO-8", "LTO9": "LTO-9"}


def medium(name: str) -> Medium:
    """The media type of this name, in any case.

    Raises CtaError CONFIG_USAGE for an unknown name.
    """
    wanted = name.upper()
    found = MEDIA.get(ALIASES.get(wanted, wanted))
    if found is None:
        raise CtaError(CONFIG_USAGE, f"unknown media type {name!r}; known are {', '.join(MEDIA)}", media=name)
    return found


def accepted_media(product: str) -> frozenset[str]:
    """Names of the media that a drive of this product takes; every one for a product of no known family."""
    if "03592" in product:
        generation = {"60": "3592JE", "70": "3592JF"}.get(product[5:7])
        return frozenset({generation} if generation else MEDIA)
    found = re.search(r"(?:TD|HH|Ultrium )(\d+)", product)
    if found is None or int(found[1]) not in (7, 8, 9):
        return frozenset(MEDIA)
    level = int(found[1])
    own = {f"LTO-{level}", f"LTO-{level - 1}"} | ({"LTO-7M"} if level == 8 else set())
    return frozenset(own | {name for name in MEDIA if name.startswith("TEST")})
