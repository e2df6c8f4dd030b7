# SPDX-License-Identifier: GPL-3.0-or-later
"""The data path of TapeDrive: blocks, labels, marks, CRCs, and what their failures are called."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest
from scripted import NO_SENSE, SERIAL, ScriptedPort, check, failure, inquiry, position, reply

from cta_taped.common import errors
from cta_taped.common.errors import CtaError, ErrorSpec
from cta_taped.common.scsi.port import Result
from cta_taped.tape.drive import BlockProtection, TapeDrive

# CRC32C of "123456789" is E3069283h; it is appended with the least significant byte first.
CHECK_TEXT = b"123456789"
CHECK_CRC = bytes.fromhex("83 92 06 e3")

PAGE_HEAD = "2b 98 90 08 60000000 00000000 ca f0 001c"
PAGE_OFF = PAGE_HEAD + "00 00 00" + "00" * 25
PAGE_WRITE = PAGE_HEAD + "02 04 c0" + "00" * 25
PAGE_READ = PAGE_HEAD + "02 04 40" + "00" * 25


def protect(port: ScriptedPort, drive: TapeDrive, mode: BlockProtection, page: str) -> None:
    port.answers[0x1A] = [reply(PAGE_OFF), reply(page)]
    drive.set_block_protection(mode)


def test_blocks_without_protection(port: ScriptedPort, drive: TapeDrive) -> None:
    buffer = memoryview(bytearray(b"123456789....spare"))
    drive.write_block(buffer, 9)
    assert port.written == [CHECK_TEXT]
    assert bytes(buffer) == b"123456789....spare"
    port.reads = [b"abc", b"", b"x" * 15]
    assert drive.read_block(buffer) == 3
    assert drive.read_block(buffer) == 0
    with pytest.raises(CtaError) as caught:
        drive.read_block(buffer)
    assert caught.value.spec is errors.TAPE_OVERSIZE_BLOCK


def test_protected_write_appends_the_crc_in_place(port: ScriptedPort, drive: TapeDrive) -> None:
    protect(port, drive, BlockProtection.WRITE, PAGE_WRITE)
    assert port.commands(0x15) == [
        ("151000002c00", "000010086000000000000000" + "4af0001c0204c0" + "00" * 25)
    ]
    buffer = memoryview(bytearray(b"123456789....spare"))
    drive.write_block(buffer, 9)
    assert port.written == [CHECK_TEXT + CHECK_CRC]
    drive.write_labels(b"L" * 80)
    assert len(port.written[1]) == 84


def test_protected_read_verifies(port: ScriptedPort, drive: TapeDrive) -> None:
    protect(port, drive, BlockProtection.READ, PAGE_READ)
    buffer = memoryview(bytearray(13))
    port.reads = [CHECK_TEXT + CHECK_CRC, b"", b"023456789" + CHECK_CRC, b"1234"]
    assert drive.read_block(buffer) == 9
    assert drive.read_block(buffer) == 0
    for _ in range(2):
        with pytest.raises(CtaError) as caught:
            drive.read_block(buffer)
        assert caught.value.spec is errors.TAPE_BLOCK_PROTECTION
    drive.write_block(buffer, 9)
    assert [len(block) for block in port.written] == [9]


def test_protection_needs_the_drive(port: ScriptedPort, drive: TapeDrive) -> None:
    port.answers[0x12] = [inquiry(protection=False), SERIAL]
    drive.set_block_protection(BlockProtection.OFF)
    with pytest.raises(CtaError) as caught:
        drive.set_block_protection(BlockProtection.READ)
    assert caught.value.spec is errors.DRIVE_NO_PROTECTION
    assert port.commands(0x1A) == []


def test_protection_method_rejected_as_by_lto6(port: ScriptedPort, drive: TapeDrive) -> None:
    port.answers[0x1A] = [reply(PAGE_OFF)]
    port.answers[0x15] = [check(5, 0x26, 0)]
    with pytest.raises(CtaError) as caught:
        drive.set_block_protection(BlockProtection.WRITE)
    assert caught.value.spec is errors.DRIVE_NO_PROTECTION
    assert drive.block_protection is BlockProtection.OFF


def test_protection_that_is_silently_ignored(port: ScriptedPort, drive: TapeDrive) -> None:
    port.answers[0x1A] = [reply(PAGE_OFF)]
    with pytest.raises(CtaError, match="kept its own value"):
        drive.set_block_protection(BlockProtection.WRITE)


def test_labels(port: ScriptedPort, drive: TapeDrive) -> None:
    label = bytes(range(32, 112))
    drive.write_labels(label)
    assert port.written == [label]
    port.reads = [label, b"", label[:79], bytes(81)]
    assert drive.read_label() == label
    for found in ("filemark", "79 bytes", "longer"):
        with pytest.raises(CtaError, match=found) as caught:
            drive.read_label()
        assert caught.value.spec is errors.TAPE_LABEL_FORMAT


def test_filemark_must_come(port: ScriptedPort, drive: TapeDrive) -> None:
    port.reads = [b"", b"x" * 5, b"x" * 500]
    drive.read_filemark()
    for found in ("5 bytes", "longer"):
        with pytest.raises(CtaError, match=found) as caught:
            drive.read_filemark()
        assert caught.value.spec is errors.TAPE_NOT_A_MARK


def test_filemarks_and_flush(port: ScriptedPort, drive: TapeDrive) -> None:
    drive.write_filemarks(1)
    drive.write_filemarks(2, immediate=False)
    drive.flush()
    assert port.mt_calls() == [(35, 1), (5, 2), (5, 0)]


@pytest.mark.parametrize(
    ("number", "spec", "known"),
    [
        (errno.ENOSPC, errors.TAPE_FULL, True),
        (errno.EACCES, errors.TAPE_WRITE_PROTECTED, True),
        (errno.EIO, errors.TAPE_WRITE, False),
        (errno.ENODEV, errors.DRIVE_NOT_FOUND, True),
    ],
)
def test_write_failures(
    port: ScriptedPort, drive: TapeDrive, number: int, spec: ErrorSpec, known: bool
) -> None:
    port.writes = [failure(number)]
    with pytest.raises(CtaError) as caught:
        drive.write_block(memoryview(bytearray(84)), 80)
    assert caught.value.spec is spec
    assert caught.value.evidence["errno"] == number
    assert caught.value.evidence["operation"] == "write"
    assert drive.position_known is known


def test_early_warning_costs_no_command(port: ScriptedPort, drive: TapeDrive) -> None:
    port.writes = [failure(errno.ENOSPC)]
    with pytest.raises(CtaError):
        drive.write_block(memoryview(bytearray(84)), 80)
    assert port.log == []
    drive.flush()


@pytest.mark.parametrize(
    ("sense", "gstat", "spec"),
    [
        (check(3, 0x11, 0), 0x01000000, errors.TAPE_READ),
        (check(4, 0x44, 0), 0x01000000, errors.DRIVE_HARDWARE),
        (check(8, 0, 5), 0x01000000, errors.TAPE_TRUNCATED),
        (check(7, 0x74, 3), 0x01000000, errors.TAPE_ENCRYPTED),
        (None, 0x09000000, errors.TAPE_TRUNCATED),
        (None, 0x00040000, errors.DRIVE_NO_CARTRIDGE),
        (None, 0x01000000, errors.TAPE_READ),
        (failure(errno.ENODEV), 0x01000000, errors.DRIVE_NOT_FOUND),
    ],
    ids=str,
)
def test_an_eio_is_explained_afterwards(
    port: ScriptedPort, drive: TapeDrive, sense: object, gstat: int, spec: ErrorSpec
) -> None:
    if isinstance(sense, OSError):
        port.answers[0x03] = [sense]
    else:
        port.answers[0x03] = [NO_SENSE if sense is None else reply(sense.sense)]  # type: ignore[attr-defined]
    port.answers[0x34] = [position(17)]
    port.status = replace(port.status, gstat=gstat)
    port.reads = [failure(errno.EIO)]
    with pytest.raises(CtaError) as caught:
        drive.read_block(memoryview(bytearray(84)))
    assert caught.value.spec is spec
    assert drive.position_known is (spec is errors.TAPE_TRUNCATED)
    if sense is not None and not isinstance(sense, OSError):
        assert caught.value.evidence["sense_key"] == sense.sense[2]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("space", "spec"), [(check(8, 0, 5), errors.TAPE_TRUNCATED), (check(3, 0x11, 0), errors.TAPE_READ)]
)
def test_end_of_data_that_st_does_not_show(
    port: ScriptedPort, drive: TapeDrive, space: Result, spec: ErrorSpec
) -> None:
    port.answers[0x11] = [space]
    port.reads = [failure(errno.EIO)]
    with pytest.raises(CtaError) as caught:
        drive.read_block(memoryview(bytearray(84)))
    assert caught.value.spec is spec


def test_flush_failure_has_its_own_code(port: ScriptedPort, drive: TapeDrive) -> None:
    port.operations[5] = [failure(errno.EIO)]
    with pytest.raises(CtaError) as caught:
        drive.flush()
    assert caught.value.spec is errors.DRIVE_FLUSH_FAILED
    assert not drive.position_known


def test_after_a_failed_write_nothing_is_written_before_a_positioning(
    port: ScriptedPort, drive: TapeDrive
) -> None:
    """Blocks in the drive's buffer may be lost: going on would leave a hole that nobody reports."""
    buffer = memoryview(bytearray(84))
    port.writes = [failure(errno.EIO)]
    with pytest.raises(CtaError):
        drive.write_block(buffer, 80)
    for refused in (
        lambda: drive.write_block(buffer, 80),
        lambda: drive.read_block(buffer),
        lambda: drive.write_filemarks(1),
        drive.flush,
        lambda: drive.space_filemarks(1),
        drive.position,
    ):
        with pytest.raises(CtaError, match="position on tape is lost") as caught:
            refused()
        assert caught.value.spec is errors.TAPE_POSITION
    assert port.written == []
    port.answers[0x1A] = [reply(PAGE_OFF)]
    drive.rewind()
    assert drive.position_known
    drive.write_block(buffer, 80)
    assert len(port.written) == 1


def test_a_reset_switches_protection_off_and_a_rewind_learns_it(port: ScriptedPort, drive: TapeDrive) -> None:
    protect(port, drive, BlockProtection.WRITE, PAGE_WRITE)
    port.answers[0x4D] = [check(6, 0x29, 0), reply("2e 00 0000")]
    assert drive.tape_alerts() == []
    assert not drive.position_known
    port.answers[0x1A] = [reply(PAGE_OFF)]
    drive.rewind()
    assert drive.block_protection is BlockProtection.OFF
    drive.write_block(memoryview(bytearray(84)), 80)
    assert [len(block) for block in port.written] == [80]
