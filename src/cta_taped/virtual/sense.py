# SPDX-License-Identifier: GPL-3.0-or-later
"""Sense data as the virtual devices build it, and the conditions that they report.

Only building, for the simulator's side; the driver has its own parser (common.scsi), and they share nothing,
so that an offset wrong on one side shows. Fixed format (SPC-4 4.5.3), with what IBM LTO drives append.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Final

from cta_taped.common.scsi.port import Result

CHECK_CONDITION: Final = 0x02
LTO_LENGTH: Final = 96
_FIXED: Final = struct.Struct(">BBBiBI BBBB2x")  # bytes 0 to 17


@dataclass(frozen=True, slots=True)
class Sense:
    """One condition: key, ASC, ASCQ and what a streaming device adds (SSC-4 table of sense data fields).

    ``information`` is the signed residual (requested minus actual), None when not valid. ``deferred``:
    about an earlier, buffered command (response code 71h).
    """

    key: int
    asc: int
    ascq: int
    information: int | None = None
    filemark: bool = False
    eom: bool = False
    ili: bool = False
    deferred: bool = False

    def pack(self) -> bytes:
        """The 18 bytes of fixed format sense data."""
        valid = 0x80 if self.information is not None else 0
        return _FIXED.pack(
            valid | (0x71 if self.deferred else 0x70),
            0,
            (self.filemark << 7) | (self.eom << 6) | (self.ili << 5) | self.key,
            self.information or 0,
            10,
            0,
            self.asc,
            self.ascq,
            0,
            0,
        )

    def result(self, data: bytes = b"") -> Result:
        """The command's outcome with this condition."""
        return Result(CHECK_CONDITION, data, self.pack())

    def with_information(self, residual: int) -> Sense:
        """The same condition with a residual count."""
        return replace(self, information=residual)


class CheckCondition(Exception):
    """A command ends with CHECK CONDITION; ``data`` is what it transferred nevertheless."""

    def __init__(self, sense: Sense, data: bytes = b"") -> None:
        super().__init__(f"{sense.key:X}/{sense.asc:02X}/{sense.ascq:02X}")
        self.sense = sense
        self.data = data


# fmt: off
NO_SENSE: Final               = Sense(0x0, 0x00, 0x00)
FILEMARK: Final               = Sense(0x0, 0x00, 0x01, filemark=True)
EARLY_WARNING: Final          = Sense(0x0, 0x00, 0x02, 0, eom=True)
BEGINNING: Final              = Sense(0x0, 0x00, 0x04, eom=True)
WRONG_LENGTH: Final           = Sense(0x0, 0x00, 0x00, ili=True)
BECOMING_READY: Final         = Sense(0x2, 0x04, 0x01)
NOT_LOADED: Final             = Sense(0x2, 0x04, 0x02)
NO_MEDIUM: Final              = Sense(0x2, 0x3A, 0x00)
WRITE_ERROR: Final            = Sense(0x3, 0x0C, 0x00)
READ_ERROR: Final             = Sense(0x3, 0x11, 0x00)
READ_CRC_ERROR: Final         = Sense(0x3, 0x10, 0x01)
CARTRIDGE_FAULT: Final        = Sense(0x3, 0x52, 0x00)
END_NOT_FOUND: Final          = Sense(0x3, 0x14, 0x03)
MECHANICAL_POSITION: Final    = Sense(0x4, 0x15, 0x01)
TRANSPORT_FAILED: Final       = Sense(0x4, 0x40, 0x02)
LIST_LENGTH: Final            = Sense(0x5, 0x1A, 0x00)
INVALID_OPCODE: Final         = Sense(0x5, 0x20, 0x00)
INVALID_ELEMENT: Final        = Sense(0x5, 0x21, 0x01)
INVALID_CDB_FIELD: Final      = Sense(0x5, 0x24, 0x00)
INVALID_LIST_FIELD: Final     = Sense(0x5, 0x26, 0x00)
INCOMPATIBLE_MEDIUM: Final    = Sense(0x3, 0x30, 0x00)
DESTINATION_FULL: Final       = Sense(0x5, 0x3B, 0x0D)
SOURCE_EMPTY: Final           = Sense(0x5, 0x3B, 0x0E)
REMOVAL_PREVENTED: Final      = Sense(0x5, 0x53, 0x02)
DRIVE_NOT_UNLOADED: Final     = Sense(0x5, 0x53, 0x03)
MEDIUM_CHANGED: Final         = Sense(0x6, 0x28, 0x00)
PORT_ACCESSED: Final          = Sense(0x6, 0x28, 0x01)
POWER_ON: Final               = Sense(0x6, 0x29, 0x00)
WRITE_PROTECTED: Final        = Sense(0x7, 0x27, 0x00)
WORM_OVERWRITE: Final         = Sense(0x7, 0x30, 0x0C)
CANNOT_DECRYPT: Final         = Sense(0x7, 0x74, 0x01)
NOT_ENCRYPTED: Final          = Sense(0x7, 0x74, 0x02)
INCORRECT_KEY: Final          = Sense(0x7, 0x74, 0x03)
END_OF_DATA: Final            = Sense(0x8, 0x00, 0x05)
# SSC-4 leaves the key to the drive: LTO answers ABORTED COMMAND, some 3592 levels HARDWARE ERROR.
GUARD_CHECK: Final            = Sense(0xB, 0x10, 0x01)
VOLUME_OVERFLOW: Final        = Sense(0xD, 0x00, 0x02, eom=True)
# fmt: on


def lto_sense(sense: Sense, wrap: int, lpos: int, object_id: int, medium_type: int) -> bytes:
    """The 96 bytes of an IBM LTO drive: fixed format, wrap at 29, LPOS at 30 to 33, object at 45 to 48."""
    data = bytearray(LTO_LENGTH)
    data[:18] = sense.pack()
    data[7] = LTO_LENGTH - 8
    data[29] = wrap & 0xFF
    struct.pack_into(">I", data, 30, lpos)
    data[42] = medium_type
    struct.pack_into(">I", data, 45, object_id & 0xFFFFFFFF)
    return bytes(data)
