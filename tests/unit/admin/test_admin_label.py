# SPDX-License-Identifier: GPL-3.0-or-later
"""cta-admin tape label with a virtual library: real changer and drive code; cartridges always go home."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from adminsite import Admin, Tape
from controlsocket import STATE, ControlSocket

from cta_taped.admin import daemon, label
from cta_taped.common.errors import DRIVE_IO, DRIVE_LOAD_TIMEOUT, CtaError
from cta_taped.common.scsi.port import open_tape_port
from cta_taped.tape.changer import Robot, open_changer
from cta_taped.tape.drive import TapeDrive
from cta_taped.tape.labels import ProtectionMethod
from cta_taped.tape.volume import identify
from cta_taped.virtual.__main__ import cli

DRIVE_FILE = """\
[drive]
name = "VD1"
device = "vtl:{library}?drive=0"
changer = "vtl:{library}"
library_slot = "smc0"
logical_library = "lib"
"""


@pytest.fixture
def library(admin: Admin) -> Path:
    """A virtual library with three cartridges, all in the catalogue, and the drive VD1 of this host."""
    library = admin.root / "library"
    options = ["--cartridges", "V00001..V00003", "--capacity", "64MiB", "--slots", "4"]
    cli.main(["create", str(library), *options], standalone_mode=False)
    for name in ("drives", "state"):
        (admin.root / name).mkdir()
    (admin.root / "drives" / "VD1.toml").write_text(DRIVE_FILE.format(library=library))
    for vid in ("V00002", "V00003"):
        admin.ok(*f"tape add -v {vid} --mt LTO9 --ve IBM -l lib -t pool".split())
    return library


@pytest.fixture
def robot(library: Path, admin: Admin) -> Iterator[Robot]:
    """The library's changer, to look at."""
    changer = open_changer(f"vtl:{library}", "smc0", admin.root / "test.lock")
    yield changer
    changer.close()


def _protection(library: Path, robot: Robot, vid: str) -> ProtectionMethod:
    """What VOL1 of a cartridge says; it is mounted for that, and brought back."""
    robot.mount(vid, 0)
    drive = TapeDrive(open_tape_port(f"vtl:{library}?drive=0"))
    drive.wait_ready(5)
    found = identify(drive)
    drive.unload()
    robot.dismount(0, vid)
    drive.close()
    assert found.vid == vid
    return found.protection


def _at_home(robot: Robot) -> bool:
    return robot.loaded(0) is None


def test_several_cartridges(admin: Admin, library: Path, robot: Robot) -> None:
    outcome = admin.ok("tape", "label", "-v", "V00001", "-v", "V00002", "--drive", "VD1", "--no-lbp")
    assert outcome.out.splitlines() == ["tape V00001: labelled.", "tape V00002: labelled."]
    assert _at_home(robot)
    assert _protection(library, robot, "V00001") is ProtectionMethod.NONE
    rows = {row["vid"]: row for row in admin.json("tape", "ls")}
    assert rows["V00002"]["labelLog"]["drive"] == "VD1"
    assert (rows["V00002"]["labelFormat"], rows["V00003"]["labelLog"]["drive"]) == ("0", None)


def test_protection_is_the_default_of_the_configuration(admin: Admin, library: Path, robot: Robot) -> None:
    outcome = admin.ok("tape", "label", "-v", "V00001", "-d", "VD1")
    assert outcome.out == "tape V00001: labelled with block protection.\n"
    assert _protection(library, robot, "V00001") is ProtectionMethod.CRC32C


def test_another_label_is_not_overwritten(admin: Admin, library: Path, robot: Robot) -> None:
    """A cartridge that changed its sticker."""
    _label_as(library, robot, "V00001", "OTHER1")
    refused = admin("tape", "label", "-v", "V00001", "-d", "VD1")
    assert (refused.status, refused.err.split()[1]) == (74, "CTA-TAPE-004")
    assert "OTHER1" in refused.err and refused.err.count("\n") == 1
    assert _at_home(robot)
    assert admin("tape", "label", "-v", "V00001", "-d", "VD1", "--old-label", "OTHER2").status == 74
    admin.ok("tape", "label", "-v", "V00001", "-d", "VD1", "--old-label", "OTHER1")
    _label_as(library, robot, "V00001", "OTHER1")
    admin.ok("tape", "label", "-v", "V00001", "-d", "VD1", "--force")


def _label_as(library: Path, robot: Robot, vid: str, name: str) -> None:
    robot.mount(vid, 0)
    drive = TapeDrive(open_tape_port(f"vtl:{library}?drive=0"))
    drive.wait_ready(5)
    label.label_volume(
        drive, name, protection=False, identity=label.WriterIdentity("S", "H", "V", "M", "N"), force=True
    )
    drive.unload()
    robot.dismount(0, vid)
    drive.close()


def test_a_tape_with_files_is_refused_before_it_is_mounted(
    admin: Admin, library: Path, robot: Robot, tape: Tape
) -> None:
    (admin.root / "file").write_text("data")
    admin.ok("archive", "-s", "single", admin.root / "file")
    tape.write_all()
    outcome = admin("tape", "label", "-v", "V00001", "-v", "V00002", "-d", "VD1", "--force")
    assert (outcome.status, outcome.err.split()[1]) == (64, "CTA-TAPE-018")
    assert outcome.out == "tape V00002: labelled with block protection.\n"
    assert _at_home(robot)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("-v NOPE -d VD1", "CTA-TAPE-019"),
        ("-v v00001 -d VD1", "CTA-CONFIG-004"),
        ("-v V00001 -d NOPE", "CTA-CONFIG-002"),
        ("-v V00001", "CTA-CONFIG-004"),
        ("-d VD1", "CTA-CONFIG-004"),
        ("-v V00001 -v V00002 -d VD1 --old-label X", "CTA-CONFIG-004"),
    ],
)
def test_bad_input(admin: Admin, library: Path, line: str, code: str) -> None:
    outcome = admin("tape", "label", *line.split())
    assert outcome.status != 0
    assert outcome.err.startswith(f"cta-admin: {code} ")


def test_a_cartridge_that_the_library_does_not_hold(admin: Admin, library: Path, robot: Robot) -> None:
    admin.ok(*["tape", "add", "-v", "V00009", "--mt", "LTO9", "--ve", "IBM", "-l", "lib", "-t", "pool"])
    outcome = admin("tape", "label", "-v", "V00009", "-v", "V00001", "-d", "VD1")
    assert (outcome.status, outcome.err.split()[1]) == (74, "CTA-LIBRARY-004")
    assert outcome.err.count("\n") == 1
    assert _at_home(robot)


def test_a_drive_that_is_not_empty_is_left_alone(admin: Admin, library: Path, robot: Robot) -> None:
    robot.mount("V00003", 0)
    outcome = admin("tape", "label", "-v", "V00001", "-d", "VD1")
    assert (outcome.status, outcome.err.split()[1]) == (74, "CTA-DRIVE-002")
    loaded = robot.loaded(0)
    assert loaded is not None and loaded.vid == "V00003"


@pytest.mark.parametrize("spec", [DRIVE_IO, DRIVE_LOAD_TIMEOUT])
def test_a_failure_brings_the_cartridge_home(
    admin: Admin, library: Path, robot: Robot, monkeypatch: pytest.MonkeyPatch, spec: object
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise CtaError(spec, "it broke")  # type: ignore[arg-type]

    monkeypatch.setattr(label, "label_volume", broken)
    outcome = admin("tape", "label", "-v", "V00001", "-v", "V00002", "-d", "VD1")
    assert outcome.status == 74
    assert outcome.err.endswith(" it broke\n") and outcome.err.count("\n") == 1
    assert _at_home(robot)
    assert admin.json("tape", "ls", "-v", "V00001")[0]["labelFormat"] is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_brings_the_cartridge_home(
    admin: Admin, library: Path, robot: Robot, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        assert not _at_home(robot)
        os.kill(os.getpid(), number)
        threading.Event().wait(10)

    before = signal.getsignal(number)
    monkeypatch.setattr(label, "label_volume", interrupted)
    assert admin("tape", "label", "-v", "V00001", "-d", "VD1").status == 130
    assert _at_home(robot)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("state", "free"),
    [
        ({"phase": "DOWN"}, True),
        ({"phase": "DOWN", "occupied": True}, False),
        ({"phase": "SCHEDULING"}, False),
        (None, False),
    ],
)
def test_the_daemon_must_have_the_drive_down(
    admin: Admin,
    library: Path,
    robot: Robot,
    monkeypatch: pytest.MonkeyPatch,
    state: dict[str, object] | None,
    free: bool,
) -> None:
    """A daemon that is silent may have a session in the drive."""
    monkeypatch.setattr(daemon, "QUESTION_TIMEOUT_S", 0.2)
    reply = None if state is None else {"parameters": {"state": {**STATE, "drive": "VD1", **state}}}
    with ControlSocket(admin.root / "run" / "VD1.socket", lambda _: reply):
        outcome = admin("tape", "label", "-v", "V00001", "-d", "VD1")
    assert (outcome.status == 0) is free
    if not free:
        assert outcome.err.split()[1] == ("CTA-SYSTEM-012" if state is None else "CTA-DRIVE-012")
        assert outcome.out == ""
