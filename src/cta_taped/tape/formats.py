# SPDX-License-Identifier: GPL-3.0-or-later
"""The formats that a retrieve can read, by the number that the catalogue keeps of each tape.

What it is: the choice of the function that opens a volume, by TAPE.LABEL_FORMAT. What it is not: a guess;
a tape is read in the format that the catalogue names and in no other. Only CTA's own (0) is ever written.
"""

from __future__ import annotations

from enum import IntEnum

from cta_taped.common.errors import TAPE_LABEL_FORMAT, CtaError
from cta_taped.tape.drive import TapeDrive
from cta_taped.tape.enstore import open_enstore, open_enstore_large
from cta_taped.tape.files import VolumeReader
from cta_taped.tape.osm import open_osm
from cta_taped.tape.volume import ProtectionUse, open_for_read


class LabelFormat(IntEnum):
    """TAPE.LABEL_FORMAT of the catalogue."""

    CTA = 0
    OSM = 1
    ENSTORE = 2
    ENSTORE_LARGE = 3


def open_volume(
    drive: TapeDrive, vid: str, label_format: int, *, protection_enabled: bool
) -> tuple[VolumeReader, ProtectionUse]:
    """Open ``vid`` for reading in the format that the catalogue names.

    Raises CtaError TAPE_LABEL_FORMAT for an unknown format, and as the opener of each.
    """
    match label_format:
        case LabelFormat.CTA:
            return open_for_read(drive, vid, protection_enabled=protection_enabled)
        case LabelFormat.OSM:
            return open_osm(drive, vid, protection_enabled=protection_enabled)
        case LabelFormat.ENSTORE:
            return open_enstore(drive, vid), ProtectionUse.OFF
        case LabelFormat.ENSTORE_LARGE:
            return open_enstore_large(drive, vid), ProtectionUse.OFF
    known = ", ".join(f"{known.value} {known.name}" for known in LabelFormat)
    raise CtaError(TAPE_LABEL_FORMAT, f"{vid}: label format {label_format} is unknown; known are {known}")
