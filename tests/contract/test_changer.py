# SPDX-License-Identifier: GPL-3.0-or-later
"""What every media changer must do, seen through Changer: a virtual library, or one named by environment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hardware
import pytest
from hardware import Rig

from cta_taped.common import errors
from cta_taped.common.errors import CtaError, ErrorSpec
from cta_taped.common.scsi.codes import ElementType
from cta_taped.common.scsi.port import open_changer_port, open_tape_port
from cta_taped.tape.changer import Changer
from cta_taped.tape.drive import TapeDrive


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return hardware.hardware() or hardware.library(tmp_path)


@pytest.fixture
def changer(rig: Rig, tmp_path: Path) -> Iterator[Changer]:
    if not rig.changer_url:
        pytest.skip("the hardware named has no changer")
    changer = Changer(open_changer_port(rig.changer_url), tmp_path / "robot.lock", settle_s=1)
    yield changer
    changer.close()


def spec_of(action: object, *arguments: object) -> ErrorSpec:
    with pytest.raises(CtaError) as caught:
        action(*arguments)  # type: ignore[operator]
    return caught.value.spec


def unload(rig: Rig) -> None:
    drive = TapeDrive(open_tape_port(rig.tape_url))
    drive.wait_ready(300)
    drive.unload()
    drive.close()


def test_inventory(rig: Rig, changer: Changer) -> None:
    elements = changer.elements()
    kinds = {element.kind for element in elements}
    assert {ElementType.STORAGE, ElementType.DRIVE} <= kinds
    addresses = [element.address for element in elements]
    assert len(addresses) == len(set(addresses))
    home = changer.find(rig.vid)
    assert home is not None
    assert home.kind is ElementType.STORAGE
    assert home.barcode.startswith(rig.vid)
    assert changer.find("NOSUCH") is None
    assert changer.locate_volume("NOSUCH") is None


def test_the_librarys_drive_is_the_one_that_is_opened(rig: Rig, changer: Changer) -> None:
    drive = TapeDrive(open_tape_port(rig.tape_url))
    serial = drive.identity().serial
    drive.close()
    assert changer.ordinal_of(serial) == rig.drive


def test_mount_and_dismount(rig: Rig, changer: Changer) -> None:
    home = changer.locate_volume(rig.vid)
    drive = TapeDrive(open_tape_port(rig.tape_url))
    assert not drive.is_ready()
    assert not drive.has_cartridge()
    drive.close()
    changer.mount(rig.vid, rig.drive)
    where = changer.locate_volume(rig.vid)
    assert where is not None
    assert (where.kind, where.number) == (ElementType.DRIVE, rig.drive)
    assert spec_of(changer.mount, rig.vid, rig.drive) is errors.LIBRARY_VOLUME_IN_USE
    unload(rig)
    assert changer.dismount(rig.drive, rig.vid) == home
    assert changer.locate_volume(rig.vid) == home
    assert changer.dismount(rig.drive, rig.vid) is None


def test_loaded_cartridge_is_not_torn_out(rig: Rig, changer: Changer) -> None:
    changer.mount(rig.vid, rig.drive)
    drive = TapeDrive(open_tape_port(rig.tape_url))
    drive.wait_ready(300)
    drive.close()
    assert spec_of(changer.dismount, rig.drive, rig.vid) is errors.LIBRARY_DISMOUNT_FAILED
    unload(rig)
    assert changer.dismount(rig.drive, rig.vid) is not None


def test_wrong_requests_move_nothing(rig: Rig, changer: Changer) -> None:
    before = changer.elements()
    assert spec_of(changer.mount, "NOSUCH", rig.drive) is errors.LIBRARY_VOLUME_UNKNOWN
    assert spec_of(changer.mount, rig.vid, 60000) is errors.LIBRARY_ELEMENT
    assert spec_of(changer.dismount, 60000, None) is errors.LIBRARY_ELEMENT
    assert changer.elements() == before


def test_drive_in_use_by_another_volume(rig: Rig, changer: Changer) -> None:
    other = next(
        element
        for element in changer.elements()
        if element.kind is ElementType.STORAGE and element.full and element.vid != rig.vid
    )
    changer.mount(other.vid, rig.drive)
    assert spec_of(changer.mount, rig.vid, rig.drive) is errors.LIBRARY_DESTINATION_FULL
    assert spec_of(changer.dismount, rig.drive, rig.vid) in (
        errors.LIBRARY_VOLUME_MISMATCH,
        errors.LIBRARY_DISMOUNT_FAILED,
    )
    unload(rig)
    assert spec_of(changer.dismount, rig.drive, rig.vid) is errors.LIBRARY_VOLUME_MISMATCH
    went = changer.dismount(rig.drive, None)
    assert went is not None
    assert went.address == other.address
