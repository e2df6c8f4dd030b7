# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory across processes: what survives death, who may hold a drive, moves that meet, slowness."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from virtualsite import MakeLibrary, bad, good

from cta_taped.common.errors import CONFIG_USAGE, DRIVE_BUSY, LIBRARY_ELEMENT, CtaError
from cta_taped.common.scsi.port import open_changer_port, open_tape_port
from cta_taped.virtual.elements import Kind, MoveRefused
from cta_taped.virtual.library import Library
from cta_taped.virtual.library_plan import Plan, create_library
from cta_taped.virtual.media import MEDIA
from cta_taped.virtual.st import SequentialPort
from cta_taped.virtual.timing import BUFFER_BYTES, Timing, parse_factor

TUR = "000000000000"
SLOT, DRIVE = 1024, 256


def tape(directory: Path, number: int = 0) -> SequentialPort:
    port = open_tape_port(f"vtl:{directory}?drive={number}")
    assert isinstance(port, SequentialPort)
    return port


def mount(directory: Path, slot: int = SLOT, drive: int = DRIVE) -> None:
    library = Library(directory)
    library.move(slot, drive)
    library.close()


def position(port: SequentialPort) -> int:
    return int.from_bytes(good(port, "34000000000000000000")[4:8], "big")


def test_mounting_as_a_host_sees_it(make_library: MakeLibrary) -> None:
    directory = make_library()
    with closing(tape(directory)) as port:
        assert bad(port, TUR) == "2/3A/00"
        mount(directory)
        assert bad(port, TUR) == "6/28/00"
        good(port, TUR)
        good(port, "0a0000000500", b"hello")
        good(port, "1b0000000000")
        assert bad(port, TUR) == "2/04/02"
        with closing(open_changer_port(f"vtl:{directory}")) as changer:
            good(changer, f"a500000001000{SLOT:03x}00000000")
        assert bad(port, TUR) == "2/3A/00"
    assert (directory / "cartridges/V00001.tap").stat().st_size == 14


def test_attention_of_a_load_is_told_once_even_to_another_process(make_library: MakeLibrary) -> None:
    directory = make_library()
    mount(directory)
    with closing(tape(directory)) as port:
        assert port.mt_status().blkno == 0
        good(port, TUR)
    with closing(tape(directory)) as port:
        good(port, TUR)


SESSION = """
import os, signal, sys
from cta_taped.common.scsi.port import open_tape_port
port = open_tape_port(sys.argv[1])
page = bytes.fromhex("4af0001c") + bytes((2, 4, 0x40)) + bytes(25)
assert port.execute(bytes.fromhex("151000002400"), bytes(4) + page).status == 0
for number in range(5):
    port.write(bytes(100 + number))
port.mt_op(35, 1)
port.write(b"last")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_drive_remembers_when_its_process_is_killed(make_library: MakeLibrary) -> None:
    directory = make_library()
    mount(directory)
    died = subprocess.run([sys.executable, "-c", SESSION, f"vtl:{directory}?drive=0"])
    assert died.returncode == -signal.SIGKILL
    with closing(tape(directory)) as port:
        good(port, TUR)
        assert position(port) == 7
        assert (port.mt_status().fileno, port.mt_status().blkno) == (1, 1)
        assert good(port, "1a080af0ff00")[8:11] == bytes((2, 4, 0x40))
        good(port, "151000002400", bytes(4) + bytes.fromhex("4af0001c") + bytes(28))
        good(port, "010000000000")
        assert [port.read(memoryview(bytearray(200))) for _ in range(7)] == [100, 101, 102, 103, 104, 0, 4]
    with closing(open_changer_port(f"vtl:{directory}")) as changer:
        assert bad(changer, f"a50000000100{SLOT:04x}00000000") == "5/53/03"


def test_position_in_the_middle_survives(make_library: MakeLibrary) -> None:
    directory = make_library()
    mount(directory)
    with closing(tape(directory)) as port:
        for _ in range(3):
            port.write(b"block")
        port.mt_op(35, 1)
        good(port, "2b000000000001000000")
    with closing(tape(directory)) as port:
        assert position(port) == 1
        port.write(b"x")
        assert position(port) == 2
        assert bad(port, "080200000a00") == "8/00/05"


def test_unloaded_cartridge_stays_in_the_drive(make_library: MakeLibrary) -> None:
    directory = make_library()
    mount(directory)
    with closing(tape(directory)) as port:
        good(port, "1b0000000000")
    with closing(tape(directory)) as port:
        assert bad(port, TUR) == "2/04/02"
        good(port, "1b0000000100")
        assert bad(port, TUR) == "6/28/00"
        good(port, TUR)


def test_a_drive_has_one_holder(make_library: MakeLibrary) -> None:
    directory = make_library()
    program = "import sys; from cta_taped.common.scsi.port import open_tape_port; open_tape_port(sys.argv[1])"
    with closing(tape(directory)):
        with pytest.raises(CtaError) as caught:
            tape(directory)
        assert caught.value.spec is DRIVE_BUSY
        other = subprocess.run(
            [sys.executable, "-c", program, f"vtl:{directory}?drive=0"], capture_output=True, text=True
        )
        assert DRIVE_BUSY.code in other.stderr
        with closing(tape(directory, 1)):
            pass
    with closing(tape(directory)):
        pass


def test_the_lock_dies_with_its_holder(make_library: MakeLibrary) -> None:
    directory = make_library()
    program = (
        "import sys; from cta_taped.common.scsi.port import open_tape_port; p = open_tape_port(sys.argv[1]);"
        " print('open', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, f"vtl:{directory}?drive=0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == b"open\n"
    with pytest.raises(CtaError):
        tape(directory)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    holder.stdin.close()
    with closing(tape(directory)):
        pass


def test_no_such_drive(make_library: MakeLibrary) -> None:
    directory = make_library()
    with pytest.raises(CtaError) as caught:
        tape(directory, 7)
    assert caught.value.spec is LIBRARY_ELEMENT


MOVER = """
import sys
from pathlib import Path
from cta_taped.virtual.elements import MoveRefused
from cta_taped.virtual.library import Library
library = Library(Path(sys.argv[1]))
made = refused = 0
for _ in range(60):
    for source, destination in ((1024, 1026), (1026, 1024)):
        try:
            library.move(source, destination)
            made += 1
        except MoveRefused:
            refused += 1
print(made, refused)
"""


def test_two_movers_never_lose_or_double_a_cartridge(make_library: MakeLibrary) -> None:
    directory = make_library(cartridges=["V00001"])
    movers = [
        subprocess.Popen([sys.executable, "-c", MOVER, str(directory)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    counts = [list(map(int, mover.communicate(timeout=60)[0].split())) for mover in movers]
    assert [mover.returncode for mover in movers] == [0, 0]
    made = sum(made for made, _ in counts)
    library = Library(directory)
    full = [element for element in library.elements() if element.vid]
    library.close()
    assert [element.vid for element in full] == ["V00001"]
    assert full[0].address == (1026 if made % 2 else 1024)


def test_refused_move_changes_nothing(make_library: MakeLibrary) -> None:
    library = Library(make_library())
    before = library.elements()
    for source, destination in ((1024, 1025), (1026, 1027), (5000, 1026), (1024, 5000)):
        with pytest.raises(MoveRefused):
            library.move(source, destination)
    assert library.elements() == before
    library.close()


def test_cartridge_memory_counts_mounts_and_bytes(make_library: MakeLibrary) -> None:
    directory = make_library()
    library = Library(directory)
    for _ in range(2):
        library.move(SLOT, DRIVE)
        with closing(tape(directory)) as port:
            good(port, TUR)
            port.write(bytes(1000))
            good(port, "1b0000000000")
        library.move(DRIVE, SLOT)
    memory = library.memory("V00001")
    library.close()
    assert (memory.loads, memory.written_bytes, memory.read_bytes) == (2, 2000, 0)


def test_incompatible_cartridge_is_refused_by_the_drive_and_can_be_unloaded(
    make_library: MakeLibrary,
) -> None:
    directory = make_library(media="LTO-7")
    mount(directory)
    with closing(tape(directory)) as port:
        assert bad(port, TUR) == "3/30/00"
        assert bad(port, "080200000a00") == "3/30/00"
        good(port, "1b0000000000")
    mount(directory, DRIVE, SLOT)


def test_missing_image_is_a_faulty_cartridge(make_library: MakeLibrary) -> None:
    directory = make_library()
    (directory / "cartridges/V00001.tap").unlink()
    mount(directory)
    with closing(tape(directory)) as port:
        assert bad(port, TUR) == "3/52/00"


@pytest.mark.parametrize(
    "change",
    [
        {"slots": 1},
        {"drives": 0},
        {"slots": 0, "cartridges": []},
        {"ports": -1},
        {"media": "VHS"},
        {"timing": "fast"},
        {"timing": "fast:0"},
    ],
)
def test_impossible_plans_leave_nothing(tmp_path: Path, change: dict[str, object]) -> None:
    plan: dict[str, object] = {
        "drives": 1,
        "slots": 2,
        "ports": 1,
        "cartridges": ["V00001", "V00002"],
        "media": "LTO-9",
        "capacity_bytes": None,
        "logical_library": "VTL",
    }
    with pytest.raises(CtaError) as caught:
        create_library(tmp_path / "library", Plan(**{**plan, **change}))  # type: ignore[arg-type]
    assert caught.value.spec is CONFIG_USAGE
    assert not (tmp_path / "library").exists()


def test_elements_are_of_their_kinds(make_library: MakeLibrary) -> None:
    library = Library(make_library(drives=3, slots=5, ports=2))
    kinds = [element.kind for element in library.elements()]
    library.close()
    assert {kind: kinds.count(kind) for kind in Kind} == {1: 1, 2: 5, 3: 2, 4: 3}


# --- slow hardware ---


def test_loading_takes_its_time(make_library: MakeLibrary) -> None:
    directory = make_library(timing="fast:100")
    with closing(tape(directory)) as port:
        with closing(open_changer_port(f"vtl:{directory}")) as changer:
            started = time.monotonic()
            good(changer, f"a5000000{SLOT:04x}010000000000")
            assert time.monotonic() - started >= 15.0 / 100
        assert bad(port, TUR) == "2/04/01"
        while bad_or_good(port) == "2/04/01":
            time.sleep(0.01)
        good(port, TUR)


def bad_or_good(port: SequentialPort) -> str:
    result = port.execute(bytes(6))
    return f"{result.sense[2] & 0xF:X}/{result.sense[12]:02X}/{result.sense[13]:02X}" if result.sense else ""


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses of the drive model instead of waiting for them; the clock stands still otherwise."""
    pauses: list[float] = []
    now = [1000.0]

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr("cta_taped.virtual.timing.time.sleep", sleep)
    monkeypatch.setattr("cta_taped.virtual.timing.time.monotonic", lambda: now[0])
    return pauses


def model(factor: float = 1.0) -> Timing:
    medium = MEDIA["LTO-9"]
    return Timing(factor, medium, medium.capacity_bytes)


def test_buffer_takes_a_burst_and_then_the_native_rate(slept: list[float]) -> None:
    timing = model()
    timing.transfer(BUFFER_BYTES)
    assert slept == [3.0]
    slept.clear()
    # The pause drained 1.2 GB: the buffer is empty again, and takes one buffer at once.
    timing.transfer(BUFFER_BYTES)
    assert not slept
    timing.transfer(400_000_000)
    assert slept == [pytest.approx(1.0)]


def test_flush_drains_and_the_next_write_pays_for_the_stop(slept: list[float]) -> None:
    timing = model()
    timing.transfer(0)
    slept.clear()
    timing.transfer(200_000_000)
    timing.flush()
    assert slept == [pytest.approx(0.5)]
    timing.transfer(1)
    assert slept[1] == pytest.approx(3.0)


def test_positions_cost_by_distance_along_the_tape(slept: list[float]) -> None:
    timing = model()
    wrap = 18 * 10**12 // 280
    assert timing.metres(0) == 0
    assert timing.metres(wrap) == pytest.approx(1035)
    assert timing.metres(2 * wrap) == pytest.approx(0, abs=1e-3)
    timing.locate(0, wrap)
    timing.rewind(wrap)
    assert slept == [pytest.approx(4.3 + 1035 / 11), pytest.approx(1035 / 11 + 5)]
    slept.clear()
    timing.locate(5, 5)
    timing.rewind(0)
    assert not slept


def test_factor_divides_every_time(slept: list[float]) -> None:
    model(10).unload()
    assert slept == [pytest.approx(3.0)]


@pytest.mark.parametrize(("text", "factor"), [("none", 0), ("real", 1), ("fast:50", 50), ("fast:0.5", 0.5)])
def test_factor_is_parsed(text: str, factor: float) -> None:
    assert parse_factor(text) == factor
