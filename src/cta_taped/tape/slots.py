# SPDX-License-Identifier: GPL-3.0-or-later
"""Library slot strings: how a drive's configuration names the drive to its library.

``smcN`` is drive number N of a SCSI library, counted from its first data transfer element; whatever begins
with ``dummy`` has no robot. Upstream stores the string in the catalogue as it is (media changer reference,
1).
"""

from __future__ import annotations

import re
from typing import Final

from cta_taped.common.errors import CONFIG_INVALID, CtaError

_SCSI: Final = re.compile(r"smc([0-9]{1,5})")
_LAST_ORDINAL: Final = 0xFFFF


def drive_ordinal(library_slot: str) -> int | None:
    """The drive's ordinal in its library, None for a drive without robot. Raises CONFIG_INVALID."""
    if library_slot.startswith("dummy"):
        return None
    match = _SCSI.fullmatch(library_slot)
    if match is None or int(match[1]) > _LAST_ORDINAL:
        raise CtaError(
            CONFIG_INVALID,
            f"library_slot {library_slot!r}: expected smcN (N: the drive's number in the library) or dummy",
        )
    return int(match[1])
