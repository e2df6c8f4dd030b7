# SPDX-License-Identifier: GPL-3.0-or-later
"""``cta-vtl`` as an operator uses it: what it makes, shows and moves, and one line for what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cta_taped.common.errors import CtaError
from cta_taped.common.scsi.port import open_tape_port
from cta_taped.virtual.__main__ import cli, parse_size, parse_vids


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: object) -> str:
    with pytest.raises(CtaError) as caught:
        run(*arguments)
    assert "\n" not in caught.value.detail
    return caught.value.code


def shown(directory: Path) -> dict[str, dict[str, object]]:
    """Elements that hold something, by VID."""
    content = json.loads(run("show", directory, "--json"))
    return {element["vid"]: element for element in content["elements"] if element["vid"]}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "library"
    run(
        "create",
        path,
        "--drives",
        2,
        "--slots",
        4,
        "--cartridges",
        "V00001..V00002,X00009",
        "--capacity",
        "64MiB",
    )
    return path


def test_create_and_show(directory: Path) -> None:
    content = shown(directory)
    assert list(content) == ["V00001", "V00002", "X00009"]
    assert content["V00001"]["barcode"] == "V00001L9"
    assert content["V00001"]["capacity_bytes"] == 64 << 20
    table = run("show", directory)
    assert "X00009L9" in table
    assert "drive 1" in table


def test_move_by_hand(directory: Path) -> None:
    run("move", directory, "V00001", "drive0")
    assert shown(directory)["V00001"]["state"] == "loaded"
    assert refused("move", directory, "V00001", "slot") == "CTA-LIBRARY-005"
    assert refused("move", directory, "V00002", "drive0") == "CTA-LIBRARY-010"
    port = open_tape_port(f"vtl:{directory}?drive=0")
    port.mt_op(31, 1)
    port.close()
    run("move", directory, "V00001", "slot3")
    assert shown(directory)["V00001"]["address"] == 1027
    run("move", directory, "V00001L9", "1024")
    assert refused("move", directory, "NOSUCH", "slot") == "CTA-LIBRARY-004"
    assert refused("move", directory, "V00001", "moon") == "CTA-LIBRARY-009"
    assert refused("move", directory, "V00001", "drive9") == "CTA-LIBRARY-009"


def test_export_and_import(directory: Path) -> None:
    assert refused("export", directory, "V00001") == "CTA-LIBRARY-005"
    run("move", directory, "V00001", "port")
    run("export", directory, "V00001")
    assert "V00001" not in shown(directory)
    run("import", directory, "V00001")
    assert shown(directory)["V00001"]["kind"] == "port"
    assert refused("import", directory, "V00001") == "CTA-LIBRARY-005"
    run("import", directory, "N00001", "--media", "LTO-8", "--capacity", "1G")
    assert shown(directory)["N00001"]["media"] == "LTO-8"
    assert refused("import", directory, "N00002", "--media", "LTO-8") == "CTA-LIBRARY-010"
    assert refused("import", directory, "UNKNOWN") == "CTA-LIBRARY-004"
    assert refused("import", directory, "N00001", "--media", "LTO-8") == "CTA-CONFIG-004"


def test_faults(directory: Path) -> None:
    number = run(
        "fault", "add", directory, "drive0", "sense", "--command", "WRITE", "--sense", "3/0C/00"
    ).strip()
    run("fault", "add", directory, "changer", "drop", "--after", 2)
    entries = json.loads(run("fault", "ls", directory, "--json"))
    assert [(entry["device"], entry["kind"], entry["asc"]) for entry in entries] == [
        ("drive0", "sense", 0x0C),
        ("changer", "drop", 0x44),
    ]
    assert "drop" in run("fault", "ls", directory)
    run("fault", "clear", directory, number)
    assert len(json.loads(run("fault", "ls", directory, "--json"))) == 1
    assert refused("fault", "clear", directory, 99) == "CTA-CONFIG-004"
    run("fault", "clear", directory)
    assert json.loads(run("fault", "ls", directory, "--json")) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("drive7", "sense"),
        ("drive0", "sense", "--sense", "bad"),
        ("drive0", "sense", "--command", "FLY"),
        ("drive0", "sense", "--count", "0"),
        ("drive0", "delay", "--delay-s", "-1"),
        ("drive0", "sense", "--after", "-1"),
        ("drive0", "early-end", "--size", "much"),
    ],
)
def test_wrong_faults_are_not_stored(directory: Path, arguments: tuple[str, ...]) -> None:
    assert refused("fault", "add", directory, *arguments) == "CTA-CONFIG-004"
    assert json.loads(run("fault", "ls", directory, "--json")) == []


def test_media() -> None:
    assert "LTO-9" in run("media", "ls")
    assert {"LTO-7", "LTO-8", "LTO-9", "LTO-7M", "3592JE", "3592JF"} <= {
        entry["name"] for entry in json.loads(run("media", "ls", "--json"))
    }


@pytest.mark.parametrize(
    ("text", "size"), [("1", 1), ("18T", 18 * 10**12), ("64 MiB", 64 << 20), ("5kB", 5000)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "1X", "1.5G"])
def test_wrong_sizes(text: str) -> None:
    with pytest.raises(CtaError):
        parse_size(text)


def test_vids() -> None:
    assert parse_vids("v00009..V00011,A1") == ["V00009", "V00010", "V00011", "A1"]


@pytest.mark.parametrize("text", ["V1..X2", "V9..V10", "V2..V1", "V 1", "../x", "TOOLONG99", "V1,V1"])
def test_wrong_vids(text: str) -> None:
    with pytest.raises(CtaError):
        parse_vids(text)


def test_a_failure_is_one_line_and_its_exit_status(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "cta_taped.virtual", "show", str(tmp_path / "nowhere")],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 78
    assert ended.stdout == ""
    assert ended.stderr.startswith("cta-vtl: CTA-CONFIG-005 ")
    assert ended.stderr.count("\n") == 1


def test_a_library_is_not_made_twice(directory: Path) -> None:
    assert refused("create", directory) == "CTA-CONFIG-004"
