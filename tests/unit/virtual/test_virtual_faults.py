# SPDX-License-Identifier: GPL-3.0-or-later
"""The fault file: each kind strikes the command it names, as often as it says, once for all processes."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from crc32c import crc32c
from virtualsite import MakeLibrary, bad, good

from cta_taped.common.errors import CONFIG_USAGE, CONFIG_VTL, CtaError
from cta_taped.common.scsi.port import open_changer_port, open_tape_port
from cta_taped.virtual.faults import Fault, edited_faults, read_faults
from cta_taped.virtual.library import Library
from cta_taped.virtual.smc import MediaChanger
from cta_taped.virtual.st import SequentialPort

TUR = "000000000000"
REWIND = "010000000000"
MOVE = "a50000000400010000000000"
Arm = Callable[..., None]


@pytest.fixture
def directory(make_library: MakeLibrary) -> Path:
    return make_library(capacity_bytes=16 << 20)


@pytest.fixture
def arm(directory: Path) -> Arm:
    def arm(device: str = "drive0", **fields: object) -> None:
        with edited_faults(directory / "faults.json") as content:
            content.faults.append(Fault.model_validate({"id": content.next_id, "device": device, **fields}))
            content.next_id += 1

    return arm


def open_drive(directory: Path) -> SequentialPort:
    port = open_tape_port(f"vtl:{directory}?drive=0")
    assert isinstance(port, SequentialPort)
    return port


@pytest.fixture
def drive(directory: Path) -> Iterator[SequentialPort]:
    library = Library(directory)
    library.move(1024, 256)
    library.close()
    port = open_drive(directory)
    good(port, TUR)
    yield port
    port.close()


@pytest.fixture
def changer(directory: Path) -> Iterator[MediaChanger]:
    port = open_changer_port(f"vtl:{directory}")
    assert isinstance(port, MediaChanger)
    yield port
    port.close()


def left(directory: Path) -> list[int]:
    return [fault.count for fault in read_faults(directory / "faults.json").faults]


def test_sense_on_the_third_rewind_twice(drive: SequentialPort, directory: Path, arm: Arm) -> None:
    arm(kind="sense", command="REWIND", after=2, count=2, key=4, asc=0x15, ascq=1)
    good(drive, TUR)
    assert [drive.execute(bytes.fromhex(REWIND)).status for _ in range(5)] == [0, 0, 2, 2, 0]
    assert left(directory) == []


def test_sense_of_the_fault_is_what_comes_back(drive: SequentialPort, arm: Arm) -> None:
    arm(kind="sense", command="0x10", key=3, asc=0x0C, ascq=7, deferred=True)
    result = drive.execute(bytes.fromhex("100000000100"))
    assert (result.sense[0], result.sense[2], result.sense[12:14]) == (0x71, 3, b"\x0c\7")
    assert good(drive, "34000000000000000000")[4:8] == bytes(4)


def test_block_commands_are_counted_one_by_one(drive: SequentialPort, directory: Path, arm: Arm) -> None:
    arm(kind="sense", command="WRITE", after=37, key=3, asc=0x0C)
    good(drive, TUR)
    for _ in range(37):
        drive.write(b"block")
    with pytest.raises(OSError) as caught:
        drive.write(b"block")
    assert caught.value.errno == errno.EIO
    assert left(directory) == []
    drive.write(b"block")


def test_a_fault_is_noticed_while_blocks_stream(drive: SequentialPort, arm: Arm) -> None:
    for _ in range(100):
        drive.write(b"block")
    arm(kind="sense", command="WRITE", key=3, asc=0x0C)
    with pytest.raises(OSError):
        for _ in range(50):
            drive.write(b"block")


def test_a_fault_for_ever_until_it_is_cleared(drive: SequentialPort, directory: Path, arm: Arm) -> None:
    arm(kind="sense", command="UNLOAD", count=-1, key=4, asc=0x53)
    for _ in range(3):
        assert bad(drive, "1b0000000000") == "4/53/00"
    good(drive, "1b0000000100")
    with edited_faults(directory / "faults.json") as content:
        content.faults.clear()
    good(drive, "1b0000000000")


def test_load_and_unload_are_told_apart(drive: SequentialPort, arm: Arm) -> None:
    arm(kind="sense", command="LOAD", key=4, asc=0x44)
    good(drive, "1b0000000000")
    assert bad(drive, "1b0000000100") == "4/44/00"


def test_faults_of_another_device_do_not_strike(drive: SequentialPort, directory: Path, arm: Arm) -> None:
    arm("drive1", kind="sense")
    arm("changer", kind="sense")
    good(drive, TUR)
    assert left(directory) == [1, 1]


def test_disconnected_drive(drive: SequentialPort, arm: Arm) -> None:
    arm(kind="disconnect", count=2)
    for action in (lambda: drive.execute(bytes(6)), lambda: drive.write(b"x")):
        with pytest.raises(OSError) as caught:
            action()
        assert caught.value.errno == errno.ENODEV
    good(drive, TUR)


def test_time_out_with_and_without_effect(drive: SequentialPort, arm: Arm) -> None:
    drive.write(b"one")
    arm(kind="timeout", command="WRITE", executed=True)
    good(drive, TUR)
    with pytest.raises(OSError):
        drive.write(b"two")
    arm(kind="timeout", command="REWIND")
    assert drive.execute(bytes.fromhex(REWIND)).host_status == 3
    assert good(drive, "34000000000000000000")[4:8] == b"\0\0\0\2"


def test_delay_beyond_the_hosts_patience_is_a_time_out(drive: SequentialPort, arm: Arm) -> None:
    arm(kind="delay", command="REWIND", delay_s=0.05)
    started = time.monotonic()
    assert drive.execute(bytes.fromhex(REWIND)).status == 0
    assert time.monotonic() - started >= 0.05
    arm(kind="delay", command="REWIND", delay_s=3600)
    assert drive.execute(bytes.fromhex(REWIND), timeout_s=0.05).host_status == 3


def test_hang_ends_when_the_fault_is_cleared(drive: SequentialPort, directory: Path, arm: Arm) -> None:
    arm(kind="hang", command="REWIND")

    def clear() -> None:
        with edited_faults(directory / "faults.json") as content:
            content.faults.clear()

    assert drive.execute(bytes.fromhex(REWIND), timeout_s=0.05).host_status == 3
    timer = threading.Timer(0.1, clear)
    timer.start()
    assert drive.execute(bytes.fromhex(REWIND), timeout_s=30).status == 0
    timer.join()
    assert left(directory) == []


def test_tape_alerts_are_raised_and_cleared_by_reading(drive: SequentialPort, arm: Arm) -> None:
    arm(kind="alert", alerts=[20, 4])
    good(drive, TUR)
    data = good(drive, "4d006e00000000ffff00")
    assert [n + 1 for n, value in enumerate(data[8::5]) if value] == [4, 20]
    assert not any(good(drive, "4d006e00000000ffff00")[8::5])


def test_reset(drive: SequentialPort, directory: Path, arm: Arm) -> None:
    drive.write(b"block")
    good(drive, "151000002400", bytes(4) + bytes.fromhex("4af0001c0204c0") + bytes(25))
    arm(kind="reset")
    assert bad(drive, TUR) == "6/29/00"
    assert good(drive, "1a080af0ff00")[8:11] == bytes(3)
    assert good(drive, "34000000000000000000")[0] & 0x80


def test_flipped_bit_while_reading(drive: SequentialPort, arm: Arm) -> None:
    for data in (b"0000", b"1111", b"2222"):
        drive.write(data)
    good(drive, REWIND)
    arm(kind="flip", command="READ", object_id=1, bit=9)
    good(drive, TUR)
    buffer = memoryview(bytearray(4))
    found = []
    for _ in range(3):
        drive.read(buffer)
        found.append(bytes(buffer))
    assert found == [b"0000", b"1" + bytes((ord("1") ^ 2,)) + b"11", b"2222"]
    good(drive, "2b000000000001000000")
    drive.read(buffer)
    assert bytes(buffer) == b"1111"


def test_flipped_bit_on_the_medium(drive: SequentialPort, arm: Arm) -> None:
    """The drive has checked the CRC by then; who reads with protection sees it."""
    good(drive, "151000002400", bytes(4) + bytes.fromhex("4af0001c0204c0") + bytes(25))
    arm(kind="flip", command="WRITE", object_id=0)
    good(drive, TUR)
    block = b"0123456789"
    drive.write(block + crc32c(block).to_bytes(4, "little"))
    good(drive, REWIND)
    buffer = memoryview(bytearray(14))
    assert drive.read(buffer) == 14
    assert crc32c(buffer[:10]) != int.from_bytes(buffer[10:], "little")


def test_standing_faults_of_the_medium(drive: SequentialPort, directory: Path, arm: Arm) -> None:
    arm(kind="write-protect")
    assert bad(drive, "0a0000000400", b"data") == "7/27/00"
    assert good(drive, "1a0000000c00")[2] & 0x80
    with edited_faults(directory / "faults.json") as content:
        content.faults.clear()
    good(drive, "0a0000000400", b"data")
    arm(kind="early-end", size_bytes=1000)
    assert bad(drive, "0a0000040000", bytes(1024)) == "D/00/02"
    assert left(directory) == [1]


def test_dropped_cartridge_stays_in_the_hand(changer: MediaChanger, directory: Path, arm: Arm) -> None:
    arm("changer", kind="drop")
    assert bad(changer, MOVE) == "4/15/01"
    library = Library(directory)
    assert library.find("V00001").address == 1
    library.close()
    assert bad(changer, "a50000000401010000000000") == "4/40/02"
    good(changer, "a50000000001040000000000")


def test_robot_that_times_out_but_moves(changer: MediaChanger, directory: Path, arm: Arm) -> None:
    arm("changer", kind="timeout", command="MOVE_MEDIUM", executed=True)
    assert changer.execute(bytes.fromhex(MOVE)).host_status == 3
    library = Library(directory)
    assert library.find("V00001").address == 256
    library.close()


def test_changer_alerts_and_sense(changer: MediaChanger, arm: Arm) -> None:
    arm("changer", kind="alert", alerts=[1])
    arm("changer", kind="sense", command="READ_ELEMENT_STATUS", key=2, asc=4, ascq=1)
    assert good(changer, "4d006e00000000ffff00")[8] == 1
    assert bad(changer, "b8100000ffff000010000000") == "2/04/01"


DYING = """
import os, sys
from cta_taped.common.scsi.port import open_tape_port
port = open_tape_port(sys.argv[1])
print(port.execute(bytes.fromhex("010000000000")).status, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_fault_is_consumed_once_even_by_a_dying_process(directory: Path, arm: Arm) -> None:
    library = Library(directory)
    library.move(1024, 256)
    library.close()
    arm(kind="sense", command="REWIND", count=2)
    seen = [
        subprocess.run(
            [sys.executable, "-c", DYING, f"vtl:{directory}?drive=0"], capture_output=True, text=True
        ).stdout
        for _ in range(3)
    ]
    assert seen == ["2\n", "2\n", "0\n"]


@pytest.mark.parametrize("content", ["{", "[]", '{"faults": [{"id": 1}]}', '{"fault": []}'])
def test_wrong_fault_file_is_told_in_one_line(directory: Path, content: str) -> None:
    (directory / "faults.json").write_text(content)
    with pytest.raises(CtaError) as caught:
        open_drive(directory)
    assert caught.value.spec is CONFIG_VTL
    assert "\n" not in caught.value.detail


def test_unknown_command_name(directory: Path, arm: Arm) -> None:
    arm(kind="sense", command="FLY")
    with pytest.raises(CtaError) as caught:
        open_drive(directory)
    assert caught.value.spec is CONFIG_USAGE
