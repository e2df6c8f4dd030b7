# SPDX-License-Identifier: GPL-3.0-or-later
"""Logical block protection as a drive's setting: CRC32C behind every block (tape format 8, SSC-4 8.3.9).

Computing and comparing the CRC is the data path's work (``tape.drive``).
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from cta_taped.common.errors import DRIVE_COMMAND_REJECTED, DRIVE_NO_PROTECTION, CtaError
from cta_taped.tape.modepages import ModePages

PROTECTION_BYTES: Final = 4
_CRC32C_METHOD: Final = 2


class BlockProtection(Enum):
    """None, on reading only, on reading and writing."""

    OFF = "off"
    READ = "read"
    WRITE = "write"


def switch(modes: ModePages, mode: BlockProtection) -> None:
    """Switch the drive and verify it. Raises DRIVE_NO_PROTECTION if it lacks CRC32C, as LTO-5 and LTO-6
    do.
    """
    on = mode is not BlockProtection.OFF
    try:
        modes.change(
            protection_method=_CRC32C_METHOD if on else 0,
            protection_length=PROTECTION_BYTES if on else 0,
            protection_write=int(mode is BlockProtection.WRITE),
            protection_read=int(on),
        )
    except CtaError as error:
        if on and error.spec is DRIVE_COMMAND_REJECTED:
            raise CtaError(DRIVE_NO_PROTECTION, error.detail, **error.evidence) from error
        raise


def present(modes: ModePages) -> BlockProtection:
    """What the drive does now."""
    if modes.read("protection_write"):
        return BlockProtection.WRITE
    return BlockProtection.READ if modes.read("protection_read") else BlockProtection.OFF
