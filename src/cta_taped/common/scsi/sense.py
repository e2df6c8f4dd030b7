# SPDX-License-Identifier: GPL-3.0-or-later
"""Sense data: how it is read, and which failure of the error table it means, for a drive and for a library.

Not here: sending commands (``command``) and the words for a code (``codes``). Sense and errno are translated
by tables so that the same condition has the same code wherever it is met.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Final

from cta_taped.common import errors
from cta_taped.common.errors import ErrorSpec
from cta_taped.common.scsi.codes import SenseKey, asc_text

_FIXED: Final = {0x70: False, 0x71: True}
_DESCRIPTOR: Final = {0x72: False, 0x73: True}
_DESCRIPTOR_INFORMATION: Final = 0x00
_DESCRIPTOR_STREAM: Final = 0x04


@dataclass(frozen=True, slots=True)
class Sense:
    """Decoded sense data (SPC-4 4.5, SSC-4 5.2.4).

    ``deferred``: it is about an earlier command, and the present one was not performed. ``information``: for
    READ, WRITE and SPACE the signed residue, requested minus actual; None if not valid.
    """

    key: int
    asc: int
    ascq: int
    deferred: bool = False
    information: int | None = None
    filemark: bool = False
    eom: bool = False
    ili: bool = False

    @property
    def text(self) -> str:
        """One phrase for a log line: key, code and the standard's words."""
        name = SenseKey(self.key).name.replace("_", " ").lower()
        deferred = "deferred " if self.deferred else ""
        return (
            f"{deferred}{name}, {asc_text(self.asc, self.ascq)} ({self.key:X}/{self.asc:02X}/{self.ascq:02X})"
        )


def parse(raw: bytes) -> Sense | None:
    """Decode fixed or descriptor format; None for nothing or for a vendor's own response code."""
    if not raw:
        return None
    response = raw[0] & 0x7F
    if response in _FIXED:
        return _parse_fixed(raw, _FIXED[response])
    if response in _DESCRIPTOR:
        return _parse_descriptors(raw, _DESCRIPTOR[response])
    return None


def _parse_fixed(raw: bytes, deferred: bool) -> Sense:
    fields = raw[:18].ljust(18, b"\0")
    valid = bool(fields[0] & 0x80)
    return Sense(
        key=fields[2] & 0x0F,
        asc=fields[12],
        ascq=fields[13],
        deferred=deferred,
        information=int.from_bytes(fields[3:7], "big", signed=True) if valid else None,
        filemark=bool(fields[2] & 0x80),
        eom=bool(fields[2] & 0x40),
        ili=bool(fields[2] & 0x20),
    )


def _parse_descriptors(raw: bytes, deferred: bool) -> Sense:
    header = raw[:8].ljust(8, b"\0")
    information: int | None = None
    marks = 0
    offset = 8
    end = min(len(raw), 8 + header[7])
    while offset + 2 <= end:
        kind, length = raw[offset], raw[offset + 1]
        body = raw[offset : offset + 2 + length]
        if kind == _DESCRIPTOR_INFORMATION and len(body) >= 12 and body[2] & 0x80:
            information = int.from_bytes(body[4:12], "big", signed=True)
        elif kind == _DESCRIPTOR_STREAM and len(body) >= 4:
            marks = body[3]
        offset += 2 + length
    return Sense(
        key=header[1] & 0x0F,
        asc=header[2],
        ascq=header[3],
        deferred=deferred,
        information=information,
        filemark=bool(marks & 0x80),
        eom=bool(marks & 0x40),
        ili=bool(marks & 0x20),
    )


Row = tuple[int | None, int | None, int | None]


@dataclass(frozen=True, slots=True)
class Translation:
    """How failures of one kind of device become rows of the error table.

    ``rows``: (key, ASC, ASCQ), None standing for "any"; the most exact row wins. ``errnos``: what the kernel
    says when it has no sense data to give. ``transport`` serves whatever has no row.
    """

    rows: dict[Row, ErrorSpec]
    errnos: dict[int, ErrorSpec]
    transport: ErrorSpec
    timeout: ErrorSpec
    busy: ErrorSpec

    def of_sense(self, sense: Sense, default: ErrorSpec | None = None) -> ErrorSpec:
        """The failure that ``sense`` means; ``default`` is the operation's own, if no row knows better."""
        key, asc, ascq = sense.key, sense.asc, sense.ascq
        for row in (
            (key, asc, ascq),
            (key, asc, None),
            (None, asc, ascq),
            (None, asc, None),
            (key, None, None),
        ):
            spec = self.rows.get(row)
            if spec is not None:
                return spec
        return default or self.transport

    def of_errno(self, number: int | None, default: ErrorSpec | None = None) -> ErrorSpec:
        """The failure that an errno means; ``default`` as for ``of_sense``."""
        return self.errnos.get(number or 0, default or self.transport)


_MEDIUM = SenseKey.MEDIUM_ERROR
_ILLEGAL = SenseKey.ILLEGAL_REQUEST

# MEDIUM ERROR and BLANK CHECK have no row for the key alone: what they mean depends on the operation.
DRIVE: Final = Translation(
    rows={
        (None, 0x10, 0x01): errors.TAPE_BLOCK_PROTECTION,
        (None, 0x30, None): errors.TAPE_INCOMPATIBLE,
        (None, 0x3A, None): errors.DRIVE_NO_CARTRIDGE,
        (None, 0x74, None): errors.TAPE_ENCRYPTED,
        (None, 0x29, None): errors.DRIVE_RESET,
        (None, 0x28, None): errors.DRIVE_RESET,
        (None, 0x52, 0x00): errors.TAPE_CARTRIDGE_FAULT,
        (_MEDIUM, 0x0C, None): errors.TAPE_WRITE,
        (_MEDIUM, 0x11, None): errors.TAPE_READ,
        (_MEDIUM, 0x14, None): errors.TAPE_POSITION,
        (_MEDIUM, 0x15, None): errors.TAPE_POSITION,
        (_MEDIUM, 0x31, None): errors.TAPE_READ,
        (_MEDIUM, 0x50, None): errors.TAPE_WRITE,
        (_MEDIUM, 0x51, None): errors.TAPE_WRITE,
        (_MEDIUM, 0x53, 0x00): errors.DRIVE_UNLOAD_FAILED,
        (SenseKey.HARDWARE_ERROR, 0x53, 0x00): errors.DRIVE_UNLOAD_FAILED,
        (SenseKey.HARDWARE_ERROR, None, None): errors.DRIVE_HARDWARE,
        (SenseKey.DATA_PROTECT, None, None): errors.TAPE_WRITE_PROTECTED,
        (SenseKey.VOLUME_OVERFLOW, None, None): errors.TAPE_FULL,
        (_ILLEGAL, 0x53, None): errors.DRIVE_UNLOAD_FAILED,
        (_ILLEGAL, None, None): errors.DRIVE_COMMAND_REJECTED,
        (SenseKey.NOT_READY, None, None): errors.DRIVE_NO_CARTRIDGE,
        (SenseKey.UNIT_ATTENTION, None, None): errors.DRIVE_RESET,
        (SenseKey.ABORTED_COMMAND, None, None): errors.DRIVE_IO,
    },
    errnos={
        errno.ENOSPC: errors.TAPE_FULL,
        errno.ENOMEM: errors.TAPE_OVERSIZE_BLOCK,
        errno.EACCES: errors.TAPE_WRITE_PROTECTED,
        errno.EROFS: errors.TAPE_WRITE_PROTECTED,
        errno.ENOMEDIUM: errors.DRIVE_NO_CARTRIDGE,
        errno.EBUSY: errors.DRIVE_BUSY,
        errno.ENOENT: errors.DRIVE_NOT_FOUND,
        errno.ENODEV: errors.DRIVE_NOT_FOUND,
        errno.ENXIO: errors.DRIVE_NOT_FOUND,
        errno.ETIMEDOUT: errors.DRIVE_TIMEOUT,
        errno.EINVAL: errors.DRIVE_COMMAND_REJECTED,
        errno.EOVERFLOW: errors.DRIVE_COMMAND_REJECTED,
        errno.ENOTTY: errors.DRIVE_NOT_FOUND,
    },
    transport=errors.DRIVE_IO,
    timeout=errors.DRIVE_TIMEOUT,
    busy=errors.DRIVE_BUSY,
)

LIBRARY: Final = Translation(
    rows={
        (SenseKey.NOT_READY, 0x04, 0x03): errors.LIBRARY_UNREACHABLE,
        (SenseKey.NOT_READY, 0x44, None): errors.LIBRARY_HARDWARE,
        (SenseKey.NOT_READY, 0x4C, None): errors.LIBRARY_HARDWARE,
        (SenseKey.NOT_READY, None, None): errors.LIBRARY_NOT_READY,
        (SenseKey.UNIT_ATTENTION, 0x54, 0x00): errors.LIBRARY_HARDWARE,
        (SenseKey.UNIT_ATTENTION, None, None): errors.LIBRARY_NOT_READY,
        (SenseKey.MEDIUM_ERROR, None, None): errors.LIBRARY_HARDWARE,
        (SenseKey.HARDWARE_ERROR, None, None): errors.LIBRARY_HARDWARE,
        (_ILLEGAL, 0x21, 0x01): errors.LIBRARY_ELEMENT,
        (_ILLEGAL, 0x3B, 0x0D): errors.LIBRARY_DESTINATION_FULL,
        (_ILLEGAL, 0x3B, 0x0E): errors.LIBRARY_VOLUME_UNKNOWN,
        (_ILLEGAL, 0x3B, 0x18): errors.LIBRARY_ELEMENT,
        (_ILLEGAL, 0x3B, 0x1A): errors.LIBRARY_ELEMENT,
        (_ILLEGAL, 0x3B, None): errors.LIBRARY_NOT_READY,
        (_ILLEGAL, 0x3A, 0x00): errors.LIBRARY_VOLUME_UNKNOWN,
        (_ILLEGAL, None, None): errors.LIBRARY_REFUSED,
        (None, 0x04, 0x85): errors.LIBRARY_NOT_READY,
    },
    errnos={
        errno.EBUSY: errors.LIBRARY_NOT_READY,
        errno.ETIMEDOUT: errors.LIBRARY_TIMEOUT,
    },
    transport=errors.LIBRARY_UNREACHABLE,
    timeout=errors.LIBRARY_TIMEOUT,
    busy=errors.LIBRARY_NOT_READY,
)

# Conditions of a library that pass by themselves (cta-rmcd's class "fast retry", and the paused state).
_PASSING: Final = {
    (SenseKey.NOT_READY, 0x04, 0x00),
    (SenseKey.NOT_READY, 0x04, 0x01),
}


def is_passing(sense: Sense) -> bool:
    """Whether a library's sense says "try again soon"; a UNIT ATTENTION command was not performed either."""
    if sense.key == SenseKey.UNIT_ATTENTION:
        return (sense.asc, sense.ascq) != (0x54, 0x00)
    return (sense.asc, sense.ascq) == (0x04, 0x85) or (sense.key, sense.asc, sense.ascq) in _PASSING
