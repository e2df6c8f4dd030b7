# SPDX-License-Identifier: GPL-3.0-or-later
"""Sense data and its translation, against bytes written by hand."""

from __future__ import annotations

import errno

import pytest

from cta_taped.common import errors
from cta_taped.common.errors import ErrorSpec
from cta_taped.common.scsi.sense import DRIVE, LIBRARY, Sense, is_passing, parse


def test_fixed_format_with_filemark_and_residue() -> None:
    raw = bytes.fromhex("f0 00 80 ff ff ff fe 0a 00 00 00 00 00 01 00 00 00 00")
    sense = parse(raw)
    assert sense == Sense(key=0, asc=0, ascq=1, information=-2, filemark=True)


def test_fixed_format_marks() -> None:
    assert parse(bytes.fromhex("70 00 4d 00 00 00 00 0a 00 00 00 00 00 02")) == Sense(
        key=0xD, asc=0, ascq=2, eom=True
    )
    ili = parse(bytes.fromhex("f0 00 20 00 00 00 50 0a 00 00 00 00 00 00 00 00 00 00"))
    assert ili is not None
    assert ili.ili
    assert ili.information == 80


def test_deferred_fixed_format() -> None:
    sense = parse(bytes.fromhex("71 00 03 00 00 00 00 0a 00 00 00 00 0c 00 00 00 00 00"))
    assert sense == Sense(key=3, asc=0x0C, ascq=0, deferred=True)
    assert sense.text == "deferred medium error, write error (3/0C/00)"


def test_descriptor_format() -> None:
    raw = bytes.fromhex(
        "72 08 00 05 00 00 00 10"  # header: blank check, end of data
        "00 0a 80 00 ff ff ff ff ff ff ff fd"  # information: -3
        "04 02 00 c0"  # stream: filemark and EOM
    )
    assert parse(raw) == Sense(key=8, asc=0, ascq=5, information=-3, filemark=True, eom=True)


def test_deferred_descriptor_format_without_descriptors() -> None:
    assert parse(bytes.fromhex("73 04 44 00 00 00 00 00")) == Sense(4, 0x44, 0, deferred=True)


def test_nothing_and_vendor_formats_are_no_sense() -> None:
    assert parse(b"") is None
    assert parse(bytes.fromhex("7f 00 03 00")) is None


def test_short_sense_is_padded() -> None:
    assert parse(bytes.fromhex("70 00 02")) == Sense(key=2, asc=0, ascq=0)


@pytest.mark.parametrize(
    ("key", "asc", "ascq", "spec"),
    [
        (0x3, 0x0C, 0x00, errors.TAPE_WRITE),
        (0x3, 0x11, 0x01, errors.TAPE_READ),
        (0x3, 0x14, 0x00, errors.TAPE_POSITION),
        (0x3, 0x30, 0x01, errors.TAPE_INCOMPATIBLE),
        (0x3, 0x52, 0x00, errors.TAPE_CARTRIDGE_FAULT),
        (0x4, 0x44, 0x00, errors.DRIVE_HARDWARE),
        (0x4, 0x10, 0x01, errors.TAPE_BLOCK_PROTECTION),
        (0xB, 0x10, 0x01, errors.TAPE_BLOCK_PROTECTION),
        (0x4, 0x53, 0x00, errors.DRIVE_UNLOAD_FAILED),
        (0x5, 0x24, 0x00, errors.DRIVE_COMMAND_REJECTED),
        (0x6, 0x29, 0x00, errors.DRIVE_RESET),
        (0x7, 0x27, 0x00, errors.TAPE_WRITE_PROTECTED),
        (0x7, 0x74, 0x03, errors.TAPE_ENCRYPTED),
        (0x2, 0x3A, 0x00, errors.DRIVE_NO_CARTRIDGE),
        (0xD, 0x00, 0x02, errors.TAPE_FULL),
    ],
)
def test_drive_sense_has_a_code(key: int, asc: int, ascq: int, spec: ErrorSpec) -> None:
    assert DRIVE.of_sense(Sense(key, asc, ascq)) is spec


def test_what_no_row_knows_is_the_operations_own_failure() -> None:
    assert DRIVE.of_sense(Sense(3, 0x77, 0x77), errors.DRIVE_FLUSH_FAILED) is errors.DRIVE_FLUSH_FAILED
    assert DRIVE.of_sense(Sense(3, 0x77, 0x77)) is errors.DRIVE_IO


@pytest.mark.parametrize(
    ("key", "asc", "ascq", "spec", "passing"),
    [
        (0x2, 0x04, 0x01, errors.LIBRARY_NOT_READY, True),
        (0x2, 0x04, 0x00, errors.LIBRARY_NOT_READY, True),
        (0x2, 0x04, 0x02, errors.LIBRARY_NOT_READY, False),
        (0x2, 0x04, 0x03, errors.LIBRARY_UNREACHABLE, False),
        (0x5, 0x04, 0x85, errors.LIBRARY_NOT_READY, True),
        (0x6, 0x28, 0x01, errors.LIBRARY_NOT_READY, True),
        (0x6, 0x54, 0x00, errors.LIBRARY_HARDWARE, False),
        (0x5, 0x21, 0x01, errors.LIBRARY_ELEMENT, False),
        (0x5, 0x3B, 0x0D, errors.LIBRARY_DESTINATION_FULL, False),
        (0x5, 0x3B, 0x0E, errors.LIBRARY_VOLUME_UNKNOWN, False),
        (0x4, 0x40, 0x02, errors.LIBRARY_HARDWARE, False),
        (0x5, 0x24, 0x00, errors.LIBRARY_REFUSED, False),
    ],
)
def test_library_sense_has_a_code_and_a_class(
    key: int, asc: int, ascq: int, spec: ErrorSpec, passing: bool
) -> None:
    sense = Sense(key, asc, ascq)
    assert LIBRARY.of_sense(sense) is spec
    assert is_passing(sense) is passing


@pytest.mark.parametrize(
    ("number", "spec"),
    [
        (errno.ENOSPC, errors.TAPE_FULL),
        (errno.ENOMEM, errors.TAPE_OVERSIZE_BLOCK),
        (errno.EACCES, errors.TAPE_WRITE_PROTECTED),
        (errno.ENOMEDIUM, errors.DRIVE_NO_CARTRIDGE),
        (errno.EBUSY, errors.DRIVE_BUSY),
        (errno.ENODEV, errors.DRIVE_NOT_FOUND),
        (errno.EIO, errors.TAPE_READ),
        (None, errors.TAPE_READ),
    ],
)
def test_errno_has_a_code(number: int | None, spec: ErrorSpec) -> None:
    assert DRIVE.of_errno(number, errors.TAPE_READ) is spec
