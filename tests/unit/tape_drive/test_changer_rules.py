# SPDX-License-Identifier: GPL-3.0-or-later
"""What Changer decides when a library misbehaves: unknown outcomes, lost cartridges, scanning, refusals.

The library here is a few lines that answer in SMC bytes and can be told to fail at any point; ordinary mounts
are tested against the virtual library (tests/contract).
"""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest
from scripted import check, failure

from cta_taped.common import errors
from cta_taped.common.errors import CtaError, ErrorSpec
from cta_taped.common.scsi.codes import ElementType
from cta_taped.common.scsi.port import Result
from cta_taped.tape.changer import Changer, ManualChanger, open_changer
from cta_taped.tape.inventory import Location
from cta_taped.tape.lock import robot_lock
from cta_taped.tape.slots import drive_ordinal

HAND, FIRST_SLOT, PORT, FIRST_DRIVE = 0, 1000, 700, 500
LOST = Result(0, host_status=3)


class TinyLibrary:
    """One hand, three slots, one port, two drives. ``where``: element address to barcode."""

    def __init__(self) -> None:
        self.where = {1000: b"V00001L9", 1001: b"V00002L9"}
        self.source = {500: 0, 501: 0}
        self.not_released: dict[int, int] = {}
        self.untagged: set[int] = set()
        self.moves: list[tuple[int, int, int]] = []
        self.before: list[Result | OSError] = []
        self.identifiers = True
        self.moving = True
        self.destination: int | None = None
        self.outcome: Result | OSError = Result(0)
        self.asked = 0
        self.closed = False

    def execute(
        self, cdb: bytes, data_out: bytes = b"", data_in_length: int = 0, timeout_s: float = 60.0
    ) -> Result:
        if self.before:
            answer = self.before.pop(0)
            if isinstance(answer, OSError):
                raise answer
            if answer.status or answer.host_status:
                return answer
        if cdb[0] == 0x1A:
            numbers = (HAND, 1, FIRST_SLOT, 3, PORT, 1, FIRST_DRIVE, 2, 0)
            page = bytes((0x1D, 0x12)) + b"".join(one.to_bytes(2, "big") for one in numbers)
            return Result(0, data=(bytes((23, 0, 0, 0)) + page)[:data_in_length])
        if cdb[0] == 0xB8:
            return self._status(cdb, data_in_length)
        assert cdb[0] == 0xA5
        return self._move(cdb)

    def _status(self, cdb: bytes, length: int) -> Result:
        if cdb[6] & 1 and not self.identifiers:
            return check(5, 0x24, 0)
        self.asked += 1
        kind, first, count = cdb[1] & 15, int.from_bytes(cdb[2:4], "big"), int.from_bytes(cdb[4:6], "big")
        body = b"".join(self._descriptor(kind, first + index) for index in range(count))
        size = len(body) // count
        page = bytes((kind, 0x80)) + size.to_bytes(2, "big") + len(body).to_bytes(4, "big") + body
        header = first.to_bytes(2, "big") + count.to_bytes(2, "big") + len(page).to_bytes(4, "big")
        return Result(0, data=(header + page)[:length])

    def _descriptor(self, kind: int, address: int) -> bytes:
        barcode = self.where.get(address)
        access = 0x08
        if self.not_released.get(address, 0) > 0:
            self.not_released[address] -= 1
            access = 0
        source = self.source.get(address, 0)
        tag = b"" if barcode is None or address in self.untagged else barcode
        serial = b"SERIAL%04d" % address if kind == 4 and self.identifiers else b""
        return (
            address.to_bytes(2, "big")
            + bytes((access | (barcode is not None), 0, 0, 0, 0, 0, 0, 0x80 if source else 0))
            + source.to_bytes(2, "big")
            + tag.ljust(32)
            + bytes(4)
            + bytes((2, 0, 0, len(serial)))
            + serial
        )

    def _move(self, cdb: bytes) -> Result:
        source, target = int.from_bytes(cdb[4:6], "big"), int.from_bytes(cdb[6:8], "big")
        self.moves.append((source, target, cdb[10]))
        if self.where.get(target) is not None:
            return check(5, 0x3B, 0x0D)
        if self.moving and source in self.where:
            landed = target if self.destination is None else self.destination
            self.where[landed] = self.where.pop(source)
            if FIRST_SLOT <= source < FIRST_SLOT + 3:
                self.source[landed] = source
        if isinstance(self.outcome, OSError):
            raise self.outcome
        return self.outcome

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def library() -> TinyLibrary:
    return TinyLibrary()


@pytest.fixture
def changer(library: TinyLibrary, tmp_path: Path) -> Changer:
    return Changer(library, tmp_path / "robot.lock", patience_s=0.4, settle_s=0.2)


def fails(action: object, *arguments: object) -> CtaError:
    with pytest.raises(CtaError) as caught:
        action(*arguments)  # type: ignore[operator]
    return caught.value


def test_mount_and_dismount(library: TinyLibrary, changer: Changer) -> None:
    changer.mount("V00002", 1)
    assert library.moves == [(1001, 501, 0)]
    assert changer.locate_volume("V00002") == Location(ElementType.DRIVE, 501, 1)
    assert changer.dismount(1, "V00002") == Location(ElementType.STORAGE, 1001, 1)
    assert changer.dismount(1, "V00002") is None
    assert library.where == {1000: b"V00001L9", 1001: b"V00002L9"}
    assert str(changer.locate_volume("V00002")) == "slot 1 (element 1001)"


def test_serials(library: TinyLibrary, changer: Changer) -> None:
    assert changer.ordinal_of("SERIAL0501") == 1
    assert changer.ordinal_of("other") is None
    library.identifiers = False
    assert changer.ordinal_of("SERIAL0501") is None
    assert len(changer.elements()) == 7


def test_nothing_is_moved_for_a_wrong_request(library: TinyLibrary, changer: Changer) -> None:
    library.where[500] = b"V00003L9"
    library.where[700] = b"V00004L9"
    assert fails(changer.mount, "V00009", 1).spec is errors.LIBRARY_VOLUME_UNKNOWN
    assert fails(changer.mount, "V00003", 1).spec is errors.LIBRARY_VOLUME_IN_USE
    assert "import/export slot 0" in fails(changer.mount, "V00004", 1).detail
    assert fails(changer.mount, "V00001", 0).spec is errors.LIBRARY_DESTINATION_FULL
    assert fails(changer.mount, "V00001", 2).spec is errors.LIBRARY_ELEMENT
    assert fails(changer.dismount, 0, "V00001").spec is errors.LIBRARY_VOLUME_MISMATCH
    assert library.moves == []


def test_dismount_of_whatever_is_there(library: TinyLibrary, changer: Changer) -> None:
    library.where[500] = b"X00003L9"
    assert changer.dismount(0, None) == Location(ElementType.STORAGE, 1002, 2)


def test_dismount_of_a_cartridge_without_tag(library: TinyLibrary, changer: Changer) -> None:
    library.where[500] = b"V00003L9"
    library.untagged = {500, 1002}
    assert changer.dismount(0, "V00003") == Location(ElementType.STORAGE, 1002, 2)


def test_home_slot_taken_by_another(library: TinyLibrary, changer: Changer) -> None:
    changer.mount("V00001", 0)
    library.where[1000] = b"V00007L9"
    assert changer.dismount(0, "V00001") == Location(ElementType.STORAGE, 1002, 2)


def test_another_cartridges_home_is_not_free(library: TinyLibrary, changer: Changer) -> None:
    changer.mount("V00001", 0)
    library.where[501] = b"V00007L9"
    library.where[1002] = b"V00008L9"
    library.source[501] = 0
    assert fails(changer.dismount, 1, "V00007").spec is errors.LIBRARY_DISMOUNT_FAILED
    assert library.where[501] == b"V00007L9"


def test_slot_that_fills_up_meanwhile(library: TinyLibrary, changer: Changer) -> None:
    """The inventory said that the home slot was free; the move says otherwise; the next slot is taken."""
    changer.mount("V00001", 0)
    move = library._move

    def another_host_was_faster(cdb: bytes) -> Result:
        library.where.setdefault(1000, b"V00009L9")
        library.untagged.add(1000)
        return move(cdb)

    library._move = another_host_was_faster  # type: ignore[method-assign]
    assert changer.dismount(0, "V00001") == Location(ElementType.STORAGE, 1002, 2)
    assert [target for _, target, _ in library.moves] == [500, 1000, 1002]


def test_drive_releases_late(library: TinyLibrary, changer: Changer) -> None:
    changer.mount("V00001", 0)
    library.not_released[500] = 3
    assert changer.dismount(0, "V00001") is not None


def test_drive_does_not_release(library: TinyLibrary, changer: Changer) -> None:
    changer.mount("V00001", 0)
    library.not_released[500] = 1000
    error = fails(changer.dismount, 0, "V00001")
    assert error.spec is errors.LIBRARY_DISMOUNT_FAILED
    assert "not unloaded" in error.detail


def test_time_out_of_a_move_that_was_made(library: TinyLibrary, changer: Changer) -> None:
    library.outcome = LOST
    changer.mount("V00001", 0)
    assert changer.dismount(0, "V00001") is not None


def test_time_out_of_a_move_that_was_not_made(library: TinyLibrary, changer: Changer) -> None:
    library.outcome, library.moving = LOST, False
    error = fails(changer.mount, "V00001", 0)
    assert error.spec is errors.LIBRARY_TIMEOUT
    assert error.evidence["location"] == "slot 0 (element 1000)"
    assert len(library.moves) == 1


def test_time_out_with_the_cartridge_in_the_hand(library: TinyLibrary, changer: Changer) -> None:
    library.outcome, library.destination = LOST, HAND
    error = fails(changer.mount, "V00001", 0)
    assert error.spec is errors.LIBRARY_TIMEOUT
    assert error.evidence["location"] == "robot hand 0 (element 0)"


def test_time_out_and_silence(library: TinyLibrary, changer: Changer) -> None:
    library.outcome = LOST
    move = library._move

    def then_dead(cdb: bytes) -> Result:
        library.before = [failure(19)] * 100
        return move(cdb)

    library._move = then_dead  # type: ignore[method-assign]
    error = fails(changer.mount, "V00001", 0)
    assert error.spec is errors.LIBRARY_TIMEOUT
    assert "cannot be asked" in error.detail


@pytest.mark.parametrize(
    ("outcome", "spec"),
    [
        (check(4, 0x15, 0x01), errors.LIBRARY_HARDWARE),
        (check(5, 0x21, 0x01), errors.LIBRARY_ELEMENT),
        (check(2, 0x04, 0x03), errors.LIBRARY_UNREACHABLE),
    ],
)
def test_robot_failure_is_not_repeated(
    library: TinyLibrary, changer: Changer, outcome: Result, spec: ErrorSpec
) -> None:
    library.outcome, library.moving = outcome, False
    error = fails(changer.mount, "V00001", 0)
    assert error.spec is spec
    assert error.evidence["location"] == "slot 0 (element 1000)"
    assert len(library.moves) == 1


def test_cartridge_that_vanishes_on_its_way_home(library: TinyLibrary, changer: Changer) -> None:
    changer.mount("V00001", 0)
    library.destination = 9999
    error = fails(changer.dismount, 0, "V00001")
    assert error.spec is errors.TAPE_POSSIBLY_LOST
    assert error.evidence["location"] == "no element"


def test_mount_reported_good_but_not_seen(library: TinyLibrary, changer: Changer) -> None:
    library.moving = False
    assert fails(changer.mount, "V00001", 0).spec is errors.LIBRARY_MOUNT_FAILED


def test_scanning_library_is_waited_for(library: TinyLibrary, changer: Changer) -> None:
    library.before = [check(6, 0x29, 0), check(6, 0x28, 1), check(2, 0x04, 0x01), Result(8)]
    changer.mount("V00001", 0)


def test_library_that_never_gets_ready(library: TinyLibrary, changer: Changer) -> None:
    library.before = [check(2, 0x04, 0x01)] * 100
    assert fails(changer.inventory).spec is errors.LIBRARY_NOT_READY


def test_open_door_is_reported_at_once(library: TinyLibrary, changer: Changer) -> None:
    library.before = [check(2, 0x04, 0x03)]
    assert fails(changer.inventory).spec is errors.LIBRARY_UNREACHABLE
    assert library.before == []


def test_waiting_is_told(library: TinyLibrary, tmp_path: Path) -> None:
    waits: list[None] = []
    library.before = [check(2, 0x04, 0x01)]
    changer = Changer(library, tmp_path / "lock", on_wait=lambda: waits.append(None))
    changer.inventory()
    changer.close()
    assert waits == [None]
    assert library.closed


def _hold(path: Path, held: object) -> None:
    with robot_lock(path, 5, lambda: None):
        held.set()  # type: ignore[attr-defined]
        time.sleep(60)


def test_lock_excludes_processes_and_dies_with_its_holder(library: TinyLibrary, tmp_path: Path) -> None:
    path = tmp_path / "robot.lock"
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    holder = context.Process(target=_hold, args=(path, held))
    holder.start()
    try:
        assert held.wait(30)
        changer = Changer(library, path, patience_s=0.1)
        error = fails(changer.mount, "V00001", 0)
        assert error.spec is errors.LIBRARY_NOT_READY
        assert str(path) in error.detail
        assert library.moves == []
    finally:
        holder.kill()
        holder.join()
    changer.mount("V00001", 0)


def test_lock_that_cannot_be_created(library: TinyLibrary, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    changer = Changer(library, tmp_path / "file" / "lock")
    assert fails(changer.mount, "V00001", 0).spec is errors.SYSTEM_STATE_LOST
    Changer(library, tmp_path / "missing" / "lock").mount("V00001", 0)


def test_lock_leaves_no_descriptor(library: TinyLibrary, changer: Changer, tmp_path: Path) -> None:
    changer.mount("V00001", 0)
    fails(changer.mount, "V00001", 0)
    assert (tmp_path / "robot.lock").exists()
    assert tmp_path / "robot.lock" not in {Path(link).resolve() for link in Path("/proc/self/fd").iterdir()}


@pytest.mark.parametrize(
    ("slot", "ordinal"), [("smc0", 0), ("smc65535", 65535), ("dummy", None), ("dummy7", None)]
)
def test_library_slots(slot: str, ordinal: int | None) -> None:
    assert drive_ordinal(slot) == ordinal


@pytest.mark.parametrize("slot", ["smc", "smcX", "smc1 ", "SMC1", "smc65536", "acs0,0,0,0", ""])
def test_impossible_library_slots(slot: str) -> None:
    with pytest.raises(CtaError) as caught:
        drive_ordinal(slot)
    assert caught.value.spec is errors.CONFIG_INVALID


@pytest.mark.parametrize(("url", "slot"), [("", "smc0"), ("/dev/missing", "dummy1")])
def test_a_person_as_robot(tmp_path: Path, url: str, slot: str) -> None:
    robot = open_changer(url, slot, tmp_path / "lock")
    assert isinstance(robot, ManualChanger)
    robot.mount("V00001", 0)
    assert robot.dismount(0, "V00001") is None
    assert robot.locate_volume("V00001") is None
    robot.close()
    assert list(tmp_path.iterdir()) == []


def test_missing_changer(tmp_path: Path) -> None:
    with pytest.raises(CtaError) as caught:
        open_changer(str(tmp_path / "sg9"), "smc0", tmp_path / "lock")
    assert caught.value.spec is errors.LIBRARY_UNREACHABLE
