# SPDX-License-Identifier: GPL-3.0-or-later
"""What every TapePort must do, seen through TapeDrive: the same tests for an image, a virtual library, a
device.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hardware
import pytest
from hardware import Rig

from cta_taped.common import errors
from cta_taped.common.errors import CtaError
from cta_taped.common.scsi.port import open_tape_port
from cta_taped.tape.changer import open_changer
from cta_taped.tape.drive import PROTECTION_BYTES, BlockProtection, TapeDrive

BLOCK = 262144
LABEL = b"VOL1V00001".ljust(79) + b"3"
RIGS = ["hardware"] if hardware.hardware() else ["image", "library"]


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    return getattr(hardware, request.param)(*([] if request.param == "hardware" else [tmp_path]))


@pytest.fixture
def drive(rig: Rig, tmp_path: Path) -> Iterator[TapeDrive]:
    """A ready drive at the beginning of a scratch tape, without protection or key."""
    robot = open_changer(rig.changer_url, f"smc{rig.drive}", tmp_path / "robot.lock")
    robot.mount(rig.vid, rig.drive)
    drive = TapeDrive(open_tape_port(rig.tape_url))
    drive.wait_ready(300)
    drive.set_block_protection(BlockProtection.OFF)
    drive.clear_encryption()
    drive.rewind()
    yield drive
    drive.set_block_protection(BlockProtection.OFF)
    drive.clear_encryption()
    if rig.changer_url:
        drive.unload()
        robot.dismount(rig.drive, rig.vid)
    drive.close()
    robot.close()


@pytest.fixture
def buffer() -> memoryview:
    return memoryview(bytearray(BLOCK + PROTECTION_BYTES))


def fill(buffer: memoryview, number: int, size: int) -> None:
    buffer[:size] = bytes((number + index) & 0xFF for index in range(256)) * (size // 256) + bytes(size % 256)


def write_file(drive: TapeDrive, buffer: memoryview, sizes: list[int]) -> None:
    for number, size in enumerate(sizes):
        fill(buffer, number, size)
        drive.write_block(buffer, size)
    drive.write_filemarks(1)


def fails(action: object, *arguments: object) -> CtaError:
    with pytest.raises(CtaError) as caught:
        action(*arguments)  # type: ignore[operator]
    return caught.value


def test_identity_and_status(drive: TapeDrive) -> None:
    identity = drive.identity()
    assert identity.vendor
    assert identity.product
    assert identity.serial
    assert drive.is_ready()
    assert drive.has_cartridge()
    assert not drive.write_protected()
    assert drive.density()
    assert drive.position() == 0
    assert drive.position_known


def test_blank_tape(rig: Rig, drive: TapeDrive, buffer: memoryview) -> None:
    if rig.fresh:
        assert drive.is_blank()
        assert fails(drive.read_block, buffer).spec is errors.TAPE_TRUNCATED
        drive.rewind()
    drive.write_labels(LABEL)
    drive.write_filemarks(1, immediate=False)
    assert not drive.is_blank()
    assert drive.position() == 0


def test_blocks_of_all_sizes_come_back(drive: TapeDrive, buffer: memoryview) -> None:
    sizes = [BLOCK, 1, 80, 4096, BLOCK - 1]
    drive.write_labels(LABEL)
    write_file(drive, buffer, sizes)
    drive.flush()
    assert drive.position() == 1 + len(sizes) + 1
    drive.rewind()
    assert drive.read_label() == LABEL
    expected = memoryview(bytearray(BLOCK))
    for number, size in enumerate(sizes):
        fill(expected, number, size)
        assert drive.read_block(buffer) == size
        assert buffer[:size] == expected[:size]
    assert drive.read_block(buffer) == 0
    assert drive.position() == 1 + len(sizes) + 1


def test_end_of_data(drive: TapeDrive, buffer: memoryview) -> None:
    """After a last mark st reads two more marks, then fails (scsi-tape reference 4.2)."""
    write_file(drive, buffer, [100])
    drive.rewind()
    drive.read_block(buffer)
    drive.read_filemark()
    assert [drive.read_block(buffer), drive.read_block(buffer)] == [0, 0]
    assert fails(drive.read_block, buffer).spec is errors.TAPE_TRUNCATED


def test_end_of_data_without_a_mark_before_it(drive: TapeDrive, buffer: memoryview) -> None:
    write_file(drive, buffer, [100, 200])
    drive.locate(1)
    drive.write_block(buffer, 50)
    drive.flush()
    drive.locate(0)
    assert [drive.read_block(buffer), drive.read_block(buffer)] == [100, 50]
    assert fails(drive.read_block, buffer).spec is errors.TAPE_TRUNCATED


def test_writing_in_the_middle_ends_the_tape_there(drive: TapeDrive, buffer: memoryview) -> None:
    write_file(drive, buffer, [10, 20, 30])
    write_file(drive, buffer, [40])
    drive.locate(1)
    write_file(drive, buffer, [25])
    drive.rewind()
    assert [drive.read_block(buffer) for _ in range(3)] == [10, 25, 0]
    assert fails(drive.locate, 5).spec is errors.TAPE_POSITION


def test_locate_and_space(drive: TapeDrive, buffer: memoryview) -> None:
    """Objects: a file of 2 blocks is objects 3n, 3n+1 and its mark 3n+2."""
    for size in (100, 200, 300, 400):
        write_file(drive, buffer, [size, size + 1])
    drive.flush()
    for object_id, size in ((9, 400), (4, 201), (0, 100)):
        drive.locate(object_id)
        assert drive.position() == object_id
        assert drive.read_block(buffer) == size
    drive.locate(8)
    assert drive.read_block(buffer) == 0
    drive.rewind()
    drive.space_filemarks(2)
    assert drive.position() == 6
    assert drive.filemarks_passed() == 2
    assert drive.read_block(buffer) == 300
    drive.space_filemarks(-2)
    assert drive.position() == 2
    drive.read_filemark()
    assert drive.read_block(buffer) == 200


def test_positions_beyond_the_data(drive: TapeDrive, buffer: memoryview) -> None:
    write_file(drive, buffer, [100])
    drive.rewind()
    for action, argument in ((drive.locate, 1000), (drive.space_filemarks, 5)):
        assert fails(action, argument).spec is errors.TAPE_POSITION
        assert not drive.position_known
        assert fails(drive.write_block, buffer, 10).spec is errors.TAPE_POSITION
        drive.rewind()
        assert drive.read_block(buffer) == 100


def test_locate_after_end_of_data(drive: TapeDrive, buffer: memoryview) -> None:
    write_file(drive, buffer, [100, 101])
    drive.rewind()
    while True:
        try:
            drive.read_block(buffer)
        except CtaError:
            break
    drive.locate(1)
    assert drive.read_block(buffer) == 101


def test_wrong_things_where_labels_and_marks_belong(drive: TapeDrive, buffer: memoryview) -> None:
    write_file(drive, buffer, [79, 200, BLOCK])
    drive.rewind()
    assert fails(drive.read_label).spec is errors.TAPE_LABEL_FORMAT
    assert fails(drive.read_label).spec is errors.TAPE_LABEL_FORMAT
    assert fails(drive.read_filemark).spec is errors.TAPE_NOT_A_MARK
    assert fails(drive.read_label).spec is errors.TAPE_LABEL_FORMAT
    assert drive.position() == 4
    drive.locate(1)
    assert fails(drive.read_block, buffer[: 199 + PROTECTION_BYTES]).spec is errors.TAPE_OVERSIZE_BLOCK
    assert drive.position() == 2


def test_a_reopened_drive_reads_on(drive: TapeDrive, buffer: memoryview) -> None:
    write_file(drive, buffer, [100, 200])
    drive.locate(1)
    drive.wait_ready(60)
    assert drive.is_ready()
    drive.rewind()
    assert drive.read_block(buffer) == 100


@pytest.mark.parametrize("mode", [BlockProtection.READ, BlockProtection.WRITE])
def test_block_protection(drive: TapeDrive, buffer: memoryview, mode: BlockProtection) -> None:
    if not drive.identity().protection:
        assert fails(drive.set_block_protection, mode).spec is errors.DRIVE_NO_PROTECTION
        return
    drive.set_block_protection(mode)
    assert drive.block_protection is mode
    drive.write_labels(LABEL)
    write_file(drive, buffer, [BLOCK, 5])
    assert drive.position() == 4
    drive.rewind()
    assert drive.read_label() == LABEL
    assert [drive.read_block(buffer) for _ in range(3)] == [BLOCK, 5, 0]
    drive.set_block_protection(BlockProtection.OFF)
    drive.rewind()
    assert drive.read_label() == LABEL
    assert [drive.read_block(buffer) for _ in range(3)] == [BLOCK, 5, 0]


def test_a_wrong_crc_is_refused_by_the_drive(drive: TapeDrive, buffer: memoryview) -> None:
    """The drive is told to expect CRCs, and TapeDrive is kept from knowing it."""
    if not drive.identity().protection:
        pytest.skip("the drive has no block protection")
    drive.modes.change(protection_method=2, protection_length=4, protection_write=1, protection_read=0)
    error = fails(drive.write_block, buffer, 100)
    assert error.spec in (errors.TAPE_BLOCK_PROTECTION, errors.TAPE_WRITE)
    assert not drive.position_known
    drive.rewind()
    assert drive.block_protection is BlockProtection.WRITE
    assert drive.position() == 0


def test_encryption(drive: TapeDrive, buffer: memoryview) -> None:
    if not drive.encryption_supported():
        assert fails(drive.set_encryption_key, b"key").spec is errors.DRIVE_NO_ENCRYPTION
        return
    drive.write_block(buffer, 100)
    drive.set_encryption_key(b"0123456789abcdef0123456789abcdef")
    drive.write_block(buffer, 200)
    drive.write_filemarks(1)
    drive.rewind()
    assert [drive.read_block(buffer) for _ in range(3)] == [100, 200, 0]
    drive.clear_encryption()
    drive.rewind()
    assert drive.read_block(buffer) == 100
    assert fails(drive.read_block, buffer).spec in (errors.TAPE_ENCRYPTED, errors.TAPE_READ)


def test_compression(drive: TapeDrive) -> None:
    before = drive.compression()
    drive.set_compression(not before)
    assert drive.compression() is not before
    drive.set_compression(before)
    assert drive.compression() is before


def test_knowledge(drive: TapeDrive, buffer: memoryview) -> None:
    write_file(drive, buffer, [BLOCK] * 4)
    drive.flush()
    assert isinstance(drive.tape_alerts(), list)
    assert drive.statistics().get("lifetimeVolumeMounts", 0) >= 0  # type: ignore[operator]
    counters = drive.transferred()
    assert counters is None or counters.from_host_bytes >= 4 * BLOCK


def test_unloaded_drive(rig: Rig, drive: TapeDrive, buffer: memoryview) -> None:
    write_file(drive, buffer, [100])
    drive.unload()
    assert not drive.is_ready()
    assert fails(drive.read_block, buffer).spec in (errors.DRIVE_NO_CARTRIDGE, errors.TAPE_POSITION)
    drive.load()
    drive.wait_ready(300)
    drive.rewind()
    assert drive.read_block(buffer) == 100


def test_second_opener_is_told_so(rig: Rig, drive: TapeDrive) -> None:
    program = f"""
from cta_taped.common.errors import CtaError
from cta_taped.common.scsi.port import open_tape_port
try:
    open_tape_port({rig.tape_url!r})
except CtaError as error:
    print(error.spec.symbol)
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert answer.stdout == "DRIVE_BUSY\n"
