# SPDX-License-Identifier: GPL-3.0-or-later
"""cta-admin drive: by the catalogue, by a real control socket, and by sockets that misbehave."""

from __future__ import annotations

import socket
import sqlite3
import time
from pathlib import Path

import pytest
from adminsite import Admin
from controlsocket import STATE, ControlSocket, DriveDaemon, failing

from cta_taped.admin import daemon, wishes
from cta_taped.common.model import DriveReport, DriveStatus

DRIVE_KEYS = {
    "instanceName",
    "ctaVersion",
    "logicalLibrary",
    "logicalLibraryDisabled",
    "physicalLibrary",
    "physicalLibraryDisabled",
    "driveName",
    "host",
    "desiredDriveState",
    "mountType",
    "driveStatus",
    "driveStatusSince",
    "vid",
    "tapepool",
    "vo",
    "filesTransferredInSession",
    "bytesTransferredInSession",
    "sessionId",
    "sessionElapsedTime",
    "timeSinceLastUpdate",
    "currentPriority",
    "currentActivity",
    "schedulerBackendName",
    "devFileName",
    "rawLibrarySlot",
    "comment",
    "reason",
    "diskSystemName",
    "reservedBytes",
    "driveConfig",
    "stale",
    "source",
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a silent daemon."""
    monkeypatch.setattr(daemon, "QUESTION_TIMEOUT_S", 0.2)
    monkeypatch.setattr(wishes, "_POLL_S", 0.02)


def _socket(admin: Admin, name: str = "TD1") -> Path:
    return admin.root / "run" / f"{name}.socket"


def _desired(admin: Admin, name: str) -> tuple[str, str | None]:
    (row,) = admin.json("drive", "ls", name)
    return row["desiredDriveState"], row["reason"]


def test_remote_drives_are_wished_in_the_catalogue(admin: Admin) -> None:
    admin.register("TD1", "elsewhere")
    admin.register("TD2", "elsewhere")
    outcome = admin.ok("drive", "down", "TD.", "--reason", "new firmware")
    assert outcome.out.splitlines() == [
        "Drive TD1: set Down in the catalogue, for its daemon to read.",
        "Drive TD2: set Down in the catalogue, for its daemon to read.",
    ]
    assert _desired(admin, "TD2") == ("DOWN", "new firmware")
    admin.ok("dr", "up", "TD1")
    assert _desired(admin, "TD1") == ("UP", None)
    assert _desired(admin, "TD2") == ("DOWN", "new firmware")


def test_up_with_a_reason(admin: Admin) -> None:
    admin.register("TD1", "elsewhere")
    admin.ok("drive", "up", "TD1", "-r", "repaired")
    assert _desired(admin, "TD1") == ("UP", "repaired")


@pytest.mark.parametrize(("option", "force"), [("--force", True), ("--quick", False), ("--drain", False)])
def test_grades_in_the_catalogue(admin: Admin, option: str, force: bool) -> None:
    admin.register("TD1", "elsewhere")
    outcome = admin.ok("drive", "down", "TD1", "-r", "x", option)
    site = admin.site()
    assert site.catalogue.drives.desired_state("TD1").force is force
    site.close()
    assert (f"knows no {option}" in outcome.err) is not force


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("drive down TD1", "CTA-CONFIG-004"),
        ("drive down TD1 --reason=", "CTA-CONFIG-004"),
        ("drive up NOPE", "CTA-CATALOGUE-007"),
        ("drive up TD", "CTA-CATALOGUE-007"),
        ("drive up D1", "CTA-CATALOGUE-007"),
        ("drive up first", "CTA-CATALOGUE-007"),
        ("drive up [", "CTA-CONFIG-004"),
        ("drive ls NOPE", "CTA-CATALOGUE-007"),
        ("drive rm NOPE", "CTA-CATALOGUE-007"),
        ("drive ch NOPE -m c", "CTA-CATALOGUE-007"),
        ("drive show NOPE", "CTA-CONFIG-002"),
    ],
)
def test_nothing_matched_is_an_error(admin: Admin, line: str, code: str) -> None:
    admin.register("TD1", "elsewhere")
    outcome = admin(*line.split())
    assert outcome.status != 0
    assert outcome.out == ""
    assert outcome.err.startswith(f"cta-admin: {code} ")
    assert outcome.err.count("\n") == 1


def test_listing_has_upstreams_fields(admin: Admin) -> None:
    admin.register("TD1", "elsewhere")
    (row,) = admin.json("drive", "ls")
    assert row.keys() == DRIVE_KEYS
    assert (row["driveName"], row["host"], row["driveStatus"]) == ("TD1", "elsewhere", "DOWN")
    assert (row["stale"], row["source"]) == (False, "catalogue")
    assert "TD1" in admin.ok("drive", "ls").out


def test_people_see_disabled_libraries_and_the_rate(admin: Admin) -> None:
    admin.register("TD1", "elsewhere")
    assert admin.ok("drive", "ls").out.splitlines()[1].startswith("lib ")
    admin.ok("logicallibrary", "ch", "--name", "lib", "--disabled", "true", "--disabledreason", "robot")
    assert admin.ok("drive", "ls").out.splitlines()[1].startswith("!lib ")
    assert admin.json("drive", "ls")[0]["logicalLibrary"] == "lib"
    with sqlite3.connect(admin.root / "catalogue.db") as connection:
        connection.execute(
            "UPDATE DRIVE_STATE SET SESSION_ELAPSED_TIME = 10, BYTES_TRANSFERED_IN_SESSION = 3e9"
        )
    connection.close()
    heading, line = admin.ok("drive", "ls").out.splitlines()
    end = heading.index("MB/s") + len("MB/s")
    assert line[:end].split()[-1] == "300.0"


def test_a_row_that_nobody_refreshes_is_stale(admin: Admin) -> None:
    admin.register("TD1", "elsewhere")
    with sqlite3.connect(admin.root / "catalogue.db") as connection:
        connection.execute("UPDATE DRIVE_STATE SET LAST_UPDATE_TIME = ?", (int(time.time()) - 1300,))
    connection.close()
    (row,) = admin.json("drive", "ls")
    assert row["stale"] is True
    assert "[STALE]" in admin.ok("drive", "ls").out


def test_other_schedulers_only_with_all(admin: Admin) -> None:
    admin.register("TD1", "elsewhere")
    admin.file.write_text(admin.file.read_text().replace("[site]", '[site]\nscheduler_backend_name = "new"'))
    assert admin.json("drive", "ls") == []
    assert admin("drive", "up", "TD1").status == 64
    assert len(admin.json("drive", "ls", "--all")) == 1


def test_comment_and_removal(admin: Admin) -> None:
    identity = admin.register("TD1", "elsewhere")
    admin.ok("drive", "ch", "TD1", "-m", "behind the pillar")
    assert admin.json("drive", "ls")[0]["comment"] == "behind the pillar"
    site = admin.site()
    site.catalogue.drives.publish(identity, [DriveReport(1, time.time(), DriveStatus.UP)])
    site.close()
    refused = admin("drive", "rm", "TD1")
    assert (refused.status, refused.err.split()[1]) == (64, "CTA-CATALOGUE-009")
    assert admin.ok("drive", "rm", "TD1", "--force").out == "Drive TD1: removed.\n"
    assert admin.json("drive", "ls") == []


def test_local_daemon_is_told_without_any_database(bare: Admin) -> None:
    bare.add_drive("TD1")
    with ControlSocket(_socket(bare), DriveDaemon()) as server:
        outcome = bare.ok("drive", "down", "TD1", "-r", "clean it", "--drain", "--wait")
        assert outcome.out.splitlines() == [
            "Drive TD1: set Down by its daemon on this host.",
            "Drive TD1: is Down.",
        ]
        assert ("SetDown", {"grade": "drain", "reason": "clean it"}) in server.requests
        bare.ok("drive", "down", "first", "-r", "x")
        assert server.requests[-1] == ("SetDown", {"grade": None, "reason": "x"})
        bare.ok("drive", "down", "TD1", "-r", "x", "--force")
        assert server.requests[-1] == ("SetDown", {"grade": "now", "reason": "x"})
        bare.ok("drive", "up", "TD1", "--wait")
        assert ("SetUp", {"reason": None}) in server.requests


def test_local_daemon_goes_before_the_catalogue(admin: Admin) -> None:
    admin.add_drive("TD1")
    admin.register("TD1")
    with ControlSocket(_socket(admin), DriveDaemon()):
        assert "by its daemon" in admin.ok("drive", "down", "TD1", "-r", "x").out
    assert _desired(admin, "TD1") == ("UP", None)


def test_a_configured_name_of_another_host_is_not_local(admin: Admin) -> None:
    admin.add_drive("TD1")
    admin.register("TD1", "elsewhere")
    with ControlSocket(_socket(admin), DriveDaemon()) as server:
        assert "in the catalogue" in admin.ok("drive", "down", "TD1", "-r", "x").out
        assert server.requests == []


def test_wait_up_that_goes_down_again(bare: Admin) -> None:
    bare.add_drive("TD1")

    def answer(request: dict[str, object]) -> dict[str, object]:
        state = {**STATE, "phase": "DOWN", "desired": "down", "reason": "cartridge in drive"}
        return {"parameters": {"state": state} if request["method"] == "GetState" else {}}

    with ControlSocket(_socket(bare), answer):
        outcome = bare("drive", "up", "TD1", "--wait")
    assert outcome.status == 74
    assert "CTA-DRIVE-017 TD1 did not stay up: cartridge in drive" in outcome.err


def test_wait_in_the_catalogue(admin: Admin) -> None:
    admin.register("TD1", "elsewhere")
    assert "Drive TD1: is Down." in admin.ok("drive", "down", "TD1", "-r", "x", "--wait").out


def test_a_refusal_of_the_daemon_is_final(admin: Admin) -> None:
    admin.add_drive("TD1")
    admin.register("TD1")
    with ControlSocket(_socket(admin), failing("CTA-SYSTEM-007", "operators only")):
        outcome = admin("drive", "down", "TD1", "-r", "x")
    assert outcome.status == 77
    assert outcome.err == "cta-admin: CTA-SYSTEM-007 operators only\n"
    assert _desired(admin, "TD1") == ("UP", None)


GARBAGE = [
    None,
    b"nonsense\0",
    b"\0",
    b"[]\0",
    b"{}\0",
    b"{",
    b'{"parameters": {"state": {"drive": 3}}}\0',
    b'{"parameters": {"state": []}}\0',
    b"\xff\xfe\0",
    b"x" * 70000,
    b'{"parameters": [1]}\0',
    b'{"parameters": "x"}\0',
    b'{"parameters": []}\0',
    b'{"error": 3, "parameters": "x"}\0',
]


@pytest.mark.parametrize("reply", GARBAGE)
def test_a_daemon_that_talks_nonsense_is_named_and_passed_by(admin: Admin, reply: bytes | None) -> None:
    admin.add_drive("TD1")
    admin.register("TD1")
    with ControlSocket(_socket(admin), lambda _: reply):
        outcome = admin.ok("drive", "down", "TD1", "-r", "x")
    assert outcome.err.startswith("cta-admin: TD1: its daemon is not reached: CTA-SYSTEM-")
    assert outcome.err.count("\n") == 1
    assert "in the catalogue" in outcome.out
    assert _desired(admin, "TD1") == ("DOWN", "x")


@pytest.mark.parametrize("reply", GARBAGE)
def test_show_of_nonsense_is_one_line(bare: Admin, reply: bytes | None) -> None:
    bare.add_drive("TD1")
    with ControlSocket(_socket(bare), lambda _: reply):
        outcome = bare("drive", "show", "TD1")
    assert outcome.status in (64, 69, 70)
    assert outcome.out == ""
    assert outcome.err.startswith("cta-admin: CTA-SYSTEM-0") and outcome.err.count("\n") == 1


def test_a_socket_left_behind_is_no_daemon(admin: Admin) -> None:
    admin.add_drive("TD1")
    admin.register("TD1")
    _socket(admin).parent.mkdir()
    left_behind = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    left_behind.bind(str(_socket(admin)))
    left_behind.close()
    outcome = admin.ok("drive", "down", "TD1", "-r", "x")
    assert "in the catalogue" in outcome.out
    assert "refused" in outcome.err
    shown = admin("drive", "show", "TD1")
    assert (shown.status, shown.err.split()[1]) == (69, "CTA-SYSTEM-006")


def test_show(bare: Admin) -> None:
    bare.add_drive("TD1")
    with ControlSocket(_socket(bare), DriveDaemon(vid="V00001")):
        assert bare.json("drive", "show", "TD1") == {**STATE, "vid": "V00001"}
        assert "vid              V00001" in bare.ok("drive", "show", "TD1").out.splitlines()


def test_listing_without_the_catalogue(bare: Admin) -> None:
    bare.add_drive("TD1")
    bare.add_drive("TD2")
    with ControlSocket(_socket(bare), DriveDaemon(vid="V00001", phase="TRANSFERING")):
        outcome = bare("--json", "drive", "ls")
    assert outcome.status == 69
    (row,) = outcome.json
    assert row.keys() <= DRIVE_KEYS
    assert (row["driveName"], row["vid"], row["source"], row["stale"]) == ("TD1", "V00001", "daemon", False)
    assert [line.split()[1] for line in outcome.err.splitlines()] == [
        "CTA-CATALOGUE-001",
        "listed",
        "CTA-SYSTEM-006",
    ]


def test_an_outage_is_the_error_for_a_drive_that_only_the_catalogue_may_know(bare: Admin) -> None:
    outcome = bare("drive", "up", "TD1")
    assert (outcome.status, outcome.err.split()[1]) == (69, "CTA-CATALOGUE-001")
