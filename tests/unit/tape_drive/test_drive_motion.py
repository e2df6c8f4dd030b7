# SPDX-License-Identifier: GPL-3.0-or-later
"""Positioning, loading and readiness of TapeDrive."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest
from scripted import ScriptedPort, check, failure, position, reply

from cta_taped.common import errors
from cta_taped.common.errors import CtaError, ErrorSpec
from cta_taped.common.scsi.port import Result
from cta_taped.tape.drive import TapeDrive

BECOMING_READY = check(2, 0x04, 0x01)
UNPROTECTED = reply("2b 98 90 08 60000000 00000000 ca f0 001c" + "00" * 28)
ATTENTION = check(6, 0x28, 0x00)


def test_position(port: ScriptedPort, drive: TapeDrive) -> None:
    port.answers[0x34] = [position(42)]
    assert drive.position() == 42


@pytest.mark.parametrize("flags", [0x04, 0x02])
def test_unknown_position(port: ScriptedPort, drive: TapeDrive, flags: int) -> None:
    port.answers[0x34] = [position(42, flags)]
    with pytest.raises(CtaError) as caught:
        drive.position()
    assert caught.value.spec is errors.TAPE_POSITION
    assert not drive.position_known


def test_position_of_a_drive_that_was_reset(port: ScriptedPort, drive: TapeDrive) -> None:
    """The drive answers 0, which is true and not where the session believes to be."""
    port.answers[0x34] = [check(6, 0x29, 0x00), position(0)]
    with pytest.raises(CtaError):
        drive.position()
    assert not drive.position_known


def test_filemarks_passed(port: ScriptedPort, drive: TapeDrive) -> None:
    port.answers[0x34] = [reply("00 000000 00000000 000000000000000e 0000000000000003 0000000000000000")]
    assert drive.filemarks_passed() == 3


def test_locate(port: ScriptedPort, drive: TapeDrive) -> None:
    port.answers[0x34] = [position(7)]
    drive.locate(7)
    assert port.commands(0x2B) == [("2b000000000007000000", "")]
    assert port.mt_calls() == []


def test_locate_after_a_write_flushes_first(port: ScriptedPort, drive: TapeDrive) -> None:
    port.answers[0x34] = [position(7)]
    drive.write_block(memoryview(bytearray(8)), 4)
    drive.locate(7)
    assert [kind for kind, _ in port.log] == ["mt", "scsi", "scsi"]
    assert port.mt_calls() == [(5, 0)]


def test_locate_after_an_eio_rewinds_first(port: ScriptedPort, drive: TapeDrive) -> None:
    """st keeps its end-of-data state over a pass-through LOCATE (scsi-tape reference 2)."""
    port.answers[0x34] = [position(7)]
    port.answers[0x1A] = [UNPROTECTED]
    port.reads = [failure(errno.EIO)]
    with pytest.raises(CtaError):
        drive.read_block(memoryview(bytearray(8)))
    drive.locate(7)
    assert port.mt_calls() == [(6, 1)]
    drive.locate(7)
    assert port.mt_calls() == [(6, 1)]


@pytest.mark.parametrize("object_id", [-1, 2**32])
def test_locate_beyond_its_range(port: ScriptedPort, drive: TapeDrive, object_id: int) -> None:
    with pytest.raises(CtaError) as caught:
        drive.locate(object_id)
    assert caught.value.spec is errors.TAPE_POSITION
    assert port.log == []


def test_locate_that_ends_elsewhere(port: ScriptedPort, drive: TapeDrive) -> None:
    port.answers[0x34] = [position(6)]
    with pytest.raises(CtaError, match="object 7 was asked for, 6 reached"):
        drive.locate(7)
    assert not drive.position_known


def test_locate_that_fails(port: ScriptedPort, drive: TapeDrive) -> None:
    port.answers[0x2B] = [check(8, 0x00, 0x05)]
    with pytest.raises(CtaError) as caught:
        drive.locate(7)
    assert caught.value.spec is errors.TAPE_POSITION
    assert caught.value.evidence["sense_key"] == 8
    assert not drive.position_known


def test_spacing_is_chunked(port: ScriptedPort, drive: TapeDrive) -> None:
    drive.space_filemarks(3)
    drive.space_filemarks(-2)
    drive.space_filemarks(0)
    drive.space_filemarks(0x7FFFFF + 5)
    assert port.mt_calls() == [(1, 3), (2, 2), (1, 0x7FFFFF), (1, 5)]


def test_spacing_beyond_the_data(port: ScriptedPort, drive: TapeDrive) -> None:
    port.operations[1] = [failure(errno.EIO)]
    port.status = replace(port.status, gstat=0x09000000)
    with pytest.raises(CtaError) as caught:
        drive.space_filemarks(3)
    assert caught.value.spec is errors.TAPE_POSITION


def test_wait_ready(port: ScriptedPort, drive: TapeDrive) -> None:
    waits: list[None] = []
    port.answers[0x00] = [check(2, 0x3A, 0), BECOMING_READY, ATTENTION, Result(0)]
    drive.wait_ready(10, lambda: waits.append(None))
    assert len(waits) == 3
    assert port.log[-1] == ("reopen", None)
    assert not drive.position_known


def test_wait_ready_loads_a_cartridge_that_lies_in_the_drive(port: ScriptedPort, drive: TapeDrive) -> None:
    port.answers[0x00] = [check(2, 0x04, 0x02), check(2, 0x04, 0x02), Result(0)]
    drive.wait_ready(10)
    assert port.mt_calls() == [(30, 1)]


def test_wait_ready_times_out(port: ScriptedPort, drive: TapeDrive) -> None:
    port.answers[0x00] = [BECOMING_READY]
    with pytest.raises(CtaError, match="becoming ready") as caught:
        drive.wait_ready(0.02)
    assert caught.value.spec is errors.DRIVE_LOAD_TIMEOUT
    assert caught.value.evidence["asc"] == 4


@pytest.mark.parametrize(
    ("sense", "spec"),
    [
        (check(3, 0x30, 0x00), errors.TAPE_INCOMPATIBLE),
        (check(2, 0x30, 0x03), errors.TAPE_INCOMPATIBLE),
        (check(4, 0x44, 0x00), errors.DRIVE_HARDWARE),
        (check(3, 0x52, 0x00), errors.TAPE_CARTRIDGE_FAULT),
        (check(3, 0x77, 0x00), errors.DRIVE_LOAD_TIMEOUT),
    ],
)
def test_wait_ready_does_not_wait_in_vain(
    port: ScriptedPort, drive: TapeDrive, sense: Result, spec: ErrorSpec
) -> None:
    port.answers[0x00] = [sense]
    with pytest.raises(CtaError) as caught:
        drive.wait_ready(3600)
    assert caught.value.spec is spec


def test_ready_but_not_online(port: ScriptedPort, drive: TapeDrive) -> None:
    port.status = replace(port.status, gstat=0x00040000)
    with pytest.raises(CtaError, match="online"):
        drive.wait_ready(1)


@pytest.mark.parametrize(
    ("answer", "cartridge", "ready"),
    [
        (Result(0), True, True),
        (check(2, 0x3A, 0), False, False),
        (check(2, 0x3A, 0x01), False, False),
        (check(2, 0x04, 0x01), True, False),
        (check(2, 0x04, 0x02), True, False),
        (check(4, 0x44, 0x00), True, False),
    ],
)
def test_cartridge_and_readiness(
    port: ScriptedPort, drive: TapeDrive, answer: Result, cartridge: bool, ready: bool
) -> None:
    """Whatever is not clearly an empty drive counts as one with a cartridge: the rescue looks after it."""
    port.answers[0x00] = [ATTENTION, answer]
    assert drive.has_cartridge() is cartridge
    port.answers[0x00] = [check(6, 0x29, 0), answer]
    assert drive.is_ready() is ready


@pytest.mark.parametrize(
    ("space", "gstat", "blank"),
    [
        (failure(errno.EIO), 0x48000000, True),
        (failure(errno.EIO), 0x08000000, False),
        (failure(errno.EIO), 0x40000000, False),
        (None, 0x41000000, False),
    ],
)
def test_blank(port: ScriptedPort, drive: TapeDrive, space: OSError | None, gstat: int, blank: bool) -> None:
    port.operations[3] = [space]
    port.status = replace(port.status, gstat=gstat)
    assert drive.is_blank() is blank
    assert port.mt_calls() == [(6, 1), (3, 1), (6, 1)]


def test_blank_without_cartridge(port: ScriptedPort, drive: TapeDrive) -> None:
    port.operations[3] = [failure(errno.ENOMEDIUM)]
    with pytest.raises(CtaError) as caught:
        drive.is_blank()
    assert caught.value.spec is errors.DRIVE_NO_CARTRIDGE


def test_status_words(port: ScriptedPort, drive: TapeDrive) -> None:
    assert not drive.write_protected()
    assert drive.density() == "LTO-9"
    port.status = replace(port.status, gstat=0x05000000, dsreg=0x99000000)
    assert drive.write_protected()
    assert drive.density() == ""


def test_stuck_cartridge(port: ScriptedPort, drive: TapeDrive) -> None:
    port.operations[31] = [failure(errno.EIO)]
    port.answers[0x03] = [reply(check(4, 0x53, 0x00).sense)]
    with pytest.raises(CtaError, match="medium load or eject failed") as caught:
        drive.unload()
    assert caught.value.spec is errors.DRIVE_UNLOAD_FAILED
    port.answers[0x03] = [reply("70 00 00" + "00" * 15)]
    with pytest.raises(CtaError) as caught:
        drive.unload()
    assert caught.value.spec is errors.DRIVE_UNLOAD_FAILED


def test_close(port: ScriptedPort, drive: TapeDrive) -> None:
    drive.close()
    assert port.log == [("close", None)]
