# SPDX-License-Identifier: GPL-3.0-or-later
"""TapeDrive and Changer over a virtual library that fails: every fault becomes the right failure, and no data
goes to a wrong place.

The faults are those that the library itself injects below the port (its ``faults.json``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import hardware
import pytest
from hardware import Rig

from cta_taped.common import errors
from cta_taped.common.errors import CtaError, ErrorSpec
from cta_taped.common.scsi.codes import ElementType
from cta_taped.common.scsi.port import open_changer_port, open_tape_port
from cta_taped.tape.alerts import blocking_for_write
from cta_taped.tape.changer import Changer
from cta_taped.tape.drive import PROTECTION_BYTES, BlockProtection, TapeDrive

BLOCK = 262144
Arm = Callable[..., None]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return hardware.library(tmp_path)


@pytest.fixture
def arm(rig: Rig) -> Arm:
    """Arm one fault of drive 0 or of the changer; it learns of it when it is opened."""
    path = Path(rig.changer_url.removeprefix("vtl:")) / "faults.json"

    def arm(kind: str, device: str = "drive0", **fields: object) -> None:
        fault = {"id": 1, "device": device, "kind": kind, **fields}
        waiting = path.with_suffix(".new")
        waiting.write_text(json.dumps({"next_id": 2, "faults": [fault]}))
        waiting.replace(path)

    return arm


@pytest.fixture
def changer(rig: Rig, tmp_path: Path) -> Iterator[Changer]:
    port = open_changer_port(rig.changer_url)
    changer = Changer(port, tmp_path / "robot.lock", patience_s=0.3, settle_s=0.1)
    yield changer
    changer.close()


@pytest.fixture
def drive(rig: Rig, changer: Changer) -> Iterator[TapeDrive]:
    changer.mount(rig.vid, 0)
    drive = TapeDrive(open_tape_port(rig.tape_url))
    drive.wait_ready(60)
    drive.rewind()
    yield drive
    drive.close()


@pytest.fixture
def buffer() -> memoryview:
    return memoryview(bytearray(BLOCK + PROTECTION_BYTES))


def fails(action: Callable[..., object], *arguments: object) -> CtaError:
    with pytest.raises(CtaError) as caught:
        action(*arguments)
    return caught.value


def write_blocks(drive: TapeDrive, buffer: memoryview, count: int) -> None:
    for number in range(count):
        buffer[0] = number
        drive.write_block(buffer, BLOCK)


def test_read_error_in_the_middle(rig: Rig, drive: TapeDrive, buffer: memoryview, arm: Arm) -> None:
    write_blocks(drive, buffer, 4)
    drive.write_filemarks(1)
    drive.close()
    arm("sense", command="READ", after=1, key=3, asc=0x11)
    with closing(TapeDrive(open_tape_port(rig.tape_url))) as again:
        again.rewind()
        assert again.read_block(buffer) == BLOCK
        assert fails(again.read_block, buffer).spec is errors.TAPE_READ
        assert not again.position_known
        again.locate(3)
        assert again.read_block(buffer) == BLOCK
        assert buffer[0] == 3


def test_write_error(drive: TapeDrive, buffer: memoryview, arm: Arm) -> None:
    arm("sense", command="WRITE", after=2, key=3, asc=0x0C)
    drive.position()
    assert fails(write_blocks, drive, buffer, 5).spec is errors.TAPE_WRITE
    assert fails(drive.write_block, buffer, BLOCK).spec is errors.TAPE_POSITION
    assert fails(drive.flush).spec is errors.TAPE_POSITION
    drive.rewind()
    drive.write_block(buffer, BLOCK)


def test_deferred_error_surfaces_at_the_flush(drive: TapeDrive, buffer: memoryview, arm: Arm) -> None:
    write_blocks(drive, buffer, 3)
    arm("sense", command="WRITE_FILEMARKS", key=3, asc=0x0C, deferred=True)
    assert fails(drive.flush).spec in (errors.DRIVE_FLUSH_FAILED, errors.TAPE_WRITE)
    assert not drive.position_known


def test_reset_in_the_middle_of_writing(drive: TapeDrive, buffer: memoryview, arm: Arm) -> None:
    """The tape stands at its beginning afterwards: one more block would destroy the label."""
    drive.write_labels(b"VOL1".ljust(80))
    write_blocks(drive, buffer, 2)
    drive.write_filemarks(1, immediate=False)
    arm("reset", command="READ_POSITION")
    fails(drive.position)
    assert not drive.position_known
    assert fails(drive.write_block, buffer, BLOCK).spec is errors.TAPE_POSITION
    drive.rewind()
    assert drive.read_label() == b"VOL1".ljust(80)


def test_reset_switches_block_protection_off(drive: TapeDrive, buffer: memoryview, arm: Arm) -> None:
    drive.set_block_protection(BlockProtection.WRITE)
    write_blocks(drive, buffer, 1)
    drive.write_filemarks(1)
    arm("reset", command="READ_POSITION")
    fails(drive.position)
    drive.rewind()
    assert drive.block_protection is BlockProtection.OFF
    assert drive.read_block(buffer) == BLOCK


@pytest.mark.parametrize("action", ["write", "read", "flush", "rewind", "position", "alerts"])
def test_disconnected_drive(drive: TapeDrive, buffer: memoryview, arm: Arm, action: str) -> None:
    arm("disconnect", count=-1)
    actions = {
        "write": lambda: write_blocks(drive, buffer, 100),
        "read": lambda: [drive.read_block(buffer) for _ in range(100)],
        "flush": drive.flush,
        "rewind": drive.rewind,
        "position": drive.position,
        "alerts": drive.tape_alerts,
    }
    assert fails(actions[action]).spec in (errors.DRIVE_NOT_FOUND, errors.TAPE_TRUNCATED)
    assert drive.statistics() == {}


@pytest.mark.parametrize(
    ("command", "action", "specs"),
    [
        ("REWIND", "rewind", (errors.DRIVE_TIMEOUT, errors.TAPE_POSITION)),
        ("READ_POSITION", "position", (errors.DRIVE_TIMEOUT,)),
        ("UNLOAD", "unload", (errors.DRIVE_TIMEOUT, errors.DRIVE_UNLOAD_FAILED)),
    ],
)
def test_time_outs(
    drive: TapeDrive, arm: Arm, command: str, action: str, specs: tuple[ErrorSpec, ...]
) -> None:
    arm("timeout", command=command)
    assert fails(getattr(drive, action)).spec in specs


def test_stuck_cartridge(drive: TapeDrive, changer: Changer, rig: Rig, arm: Arm) -> None:
    arm("sense", command="UNLOAD", count=2, key=4, asc=0x53)
    assert fails(drive.unload).spec is errors.DRIVE_UNLOAD_FAILED
    assert fails(changer.dismount, 0, rig.vid).spec is errors.LIBRARY_DISMOUNT_FAILED
    assert fails(drive.unload).spec is errors.DRIVE_UNLOAD_FAILED
    drive.unload()
    assert changer.dismount(0, rig.vid) is not None


def test_end_of_tape(drive: TapeDrive, buffer: memoryview, arm: Arm) -> None:
    """A block that ENOSPC refused is not on tape; what came before can be closed and flushed."""
    arm("early-end", size_bytes=20 * BLOCK)
    drive.rewind()
    written = 0
    with pytest.raises(CtaError) as caught:
        while written < 100:
            drive.write_block(buffer, BLOCK)
            written += 1
    assert caught.value.spec is errors.TAPE_FULL
    assert drive.position_known
    assert drive.position() == written
    drive.write_filemarks(1)
    drive.flush()
    drive.locate(written)
    drive.read_filemark()


def test_write_protected_cartridge(drive: TapeDrive, buffer: memoryview, arm: Arm) -> None:
    arm("write-protect", count=-1)
    drive.wait_ready(60)
    drive.rewind()
    assert drive.write_protected()
    assert fails(drive.write_block, buffer, BLOCK).spec is errors.TAPE_WRITE_PROTECTED


def test_tape_alerts(drive: TapeDrive, arm: Arm) -> None:
    arm("alert", command="TEST_UNIT_READY", alerts=[4, 21, 50])
    assert drive.is_ready()
    assert [flag.number for flag in drive.tape_alerts()] == [4, 21, 50]
    assert [flag.number for flag in blocking_for_write(drive.tape_alerts())] == [4]


def test_flipped_bit_is_seen_with_block_protection(
    rig: Rig, drive: TapeDrive, buffer: memoryview, arm: Arm
) -> None:
    drive.set_block_protection(BlockProtection.WRITE)
    write_blocks(drive, buffer, 3)
    drive.write_filemarks(1)
    drive.close()
    arm("flip", command="READ", object_id=1, bit=77)
    with closing(TapeDrive(open_tape_port(rig.tape_url))) as again:
        again.set_block_protection(BlockProtection.READ)
        again.rewind()
        assert again.read_block(buffer) == BLOCK
        assert fails(again.read_block, buffer).spec is errors.TAPE_BLOCK_PROTECTION
        assert again.read_block(buffer) == BLOCK


def test_robot_time_out_after_the_move(changer: Changer, rig: Rig, arm: Arm) -> None:
    arm("timeout", "changer", command="MOVE_MEDIUM", executed=True)
    changer.mount(rig.vid, 0)
    where = changer.locate_volume(rig.vid)
    assert where is not None
    assert where.kind is ElementType.DRIVE


def test_robot_time_out_without_a_move(changer: Changer, rig: Rig, arm: Arm) -> None:
    arm("timeout", "changer", command="MOVE_MEDIUM")
    assert fails(changer.mount, rig.vid, 0).spec is errors.LIBRARY_TIMEOUT
    changer.mount(rig.vid, 0)


def test_robot_drops_the_cartridge(changer: Changer, rig: Rig, arm: Arm) -> None:
    arm("drop", "changer")
    error = fails(changer.mount, rig.vid, 0)
    assert error.spec is errors.LIBRARY_HARDWARE
    assert error.evidence["location"].startswith("robot hand")


def test_library_that_scans(changer: Changer, rig: Rig, arm: Arm) -> None:
    arm("sense", "changer", count=2, key=2, asc=0x04, ascq=0x01)
    changer.mount(rig.vid, 0)


def test_library_with_an_open_door(changer: Changer, rig: Rig, arm: Arm) -> None:
    arm("sense", "changer", count=-1, key=2, asc=0x04, ascq=0x03)
    assert fails(changer.mount, rig.vid, 0).spec is errors.LIBRARY_UNREACHABLE
