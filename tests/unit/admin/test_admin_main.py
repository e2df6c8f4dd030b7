# SPDX-License-Identifier: GPL-3.0-or-later
"""cta-admin as a program: exit statuses, one-line failures, pipes, completion, and how it shows things."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from adminsite import Admin

from cta_taped.admin import database, output
from cta_taped.admin.__main__ import COMMANDS, cta_admin, run
from cta_taped.admin.output import Column, listing, printable, shown_duration, shown_size

TWO_DATABASES = "[catalogue]\nurl = 'sqlite:////x.db'\n[scheduler]\nurl = 'sqlite:////x.db'\n"
PROGRAM = [sys.executable, "-m", "cta_taped.admin"]


def test_no_command_is_wrong_usage(admin: Admin) -> None:
    outcome = admin()
    assert outcome.status == 64
    assert outcome.err == "cta-admin: CTA-CONFIG-004 Missing command. See 'cta-admin --help'.\n"


def test_no_argument_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 64
    assert "Usage: cta-admin" in capsys.readouterr().err


def test_every_command_has_help(admin: Admin) -> None:
    """Each target exists, needs no database for its help, and appears in the list."""
    listed = admin.ok("--help").out
    for name, entry in COMMANDS.items():
        assert name in listed
        for spelling in filter(None, (name, entry.alias)):
            assert "Usage:" in admin.ok(spelling, "--help").out


def test_help_needs_no_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = Admin(tmp_path / "nowhere", capsys)
    assert "--vendor" in nowhere.ok("tape", "add", "--help").out


def test_version(admin: Admin) -> None:
    assert admin.ok("--version").out.startswith("cta-admin, version ")


def test_missing_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = Admin(tmp_path, capsys)("tape", "ls")
    assert outcome.status == 78
    assert outcome.err == f"cta-admin: CTA-CONFIG-002 {tmp_path}/site.toml: No such file or directory\n"


@pytest.mark.parametrize(
    ("text", "code", "part"),
    [
        ("[catalogue]\nurl = 'sqlite:////x.db'\n", "CTA-CONFIG-001", "scheduler"),
        ("[catalogue]\nurl = 3\n[scheduler]\nurl = 'sqlite:////x.db'\n", "CTA-CONFIG-001", "site.toml:2: "),
        ("[drive]\nname = 'x'\n", "CTA-CONFIG-001", "drives"),
        (TWO_DATABASES + "[nonsense]\n", "CTA-CONFIG-001", "nonsense"),
        ("nonsense", "CTA-CONFIG-001", "not TOML"),
        ("[catalogue]\nurl = 'oracle:x'\n[scheduler]\nurl = 'oracle:x'\n", "CTA-CONFIG-001", "oracle"),
    ],
)
def test_wrong_configuration(bare: Admin, text: str, code: str, part: str) -> None:
    bare.file.write_text(text)
    outcome = bare("tape", "ls")
    assert outcome.status == 78
    assert outcome.err.startswith(f"cta-admin: {code} ")
    assert part in outcome.err
    assert outcome.err.count("\n") == 1


def test_no_database(bare: Admin) -> None:
    outcome = bare("tape", "ls")
    assert (outcome.status, outcome.err.split()[1]) == (69, "CTA-CATALOGUE-001")
    assert not (bare.root / "catalogue.db").exists()


def test_a_defect_is_one_line_with_a_hint(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(database, "check_schema", broken)
    outcome = admin("db", "check")
    assert outcome.status == 70
    assert outcome.err == (
        "cta-admin: CTA-SYSTEM-005 ZeroDivisionError: division\\nby zero "
        "(set CTA_TAPED_DEBUG=1 for the traceback)\n"
    )
    monkeypatch.setenv("CTA_TAPED_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        admin("db", "check")


def test_a_reader_that_goes_away_is_no_complaint(admin: Admin) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "--config", str(admin.file), "error", "ls"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1


def test_an_interrupt_ends_quietly(admin: Admin) -> None:
    (admin.root / "file").write_text("data")
    process = subprocess.Popen(
        [*PROGRAM, "-c", str(admin.file), "archive", "-s", "single", "--wait", str(admin.root / "file")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "1 files (4 B) queued" in line
    while "waiting for" not in line:
        line = process.stderr.readline()
        assert line
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130
    assert "cta-admin request show archive-1" in err
    assert "Traceback" not in err + out
    assert [row["state"] for row in admin.json("request", "show", "archive-1")] == ["queued"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("cta-admin dri", "drive"),
        ("cta-admin drive up T", "TD1"),
        ("cta-admin tape ls --vid V", "V00001"),
        ("cta-admin sc ch --name s", "single"),
        ("cta-admin archive -s s", "single"),
    ],
)
def test_completion(admin: Admin, words: str, expected: str) -> None:
    admin.add_drive("TD1")
    environment = {
        **os.environ,
        "_CTA_ADMIN_COMPLETE": "bash_complete",
        "CTA_TAPED_CONFIG": str(admin.file),
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    answer = subprocess.run(PROGRAM, env=environment, capture_output=True, text=True, check=False)
    assert f"plain,{expected}" in answer.stdout.splitlines()


def test_completion_is_silent_without_a_site(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "_CTA_ADMIN_COMPLETE": "bash_complete",
        "CTA_TAPED_CONFIG": str(tmp_path / "nothing"),
        "COMP_WORDS": "cta-admin tape ls --vid V",
        "COMP_CWORD": "4",
    }
    answer = subprocess.run(PROGRAM, env=environment, capture_output=True, text=True, check=False)
    assert (answer.stdout.strip(), answer.stderr) == ("", "")


def test_config_check_names_every_wrong_file(admin: Admin) -> None:
    admin.add_drive("GOOD")
    admin.add_drive("BAD")
    (admin.root / "drives" / "BAD.toml").write_text("[drive]\nname = 'BAD'\n")
    outcome = admin("config", "check")
    assert outcome.status == 78
    assert "drive GOOD: is right." in outcome.out
    assert outcome.err.startswith("cta-admin: CTA-CONFIG-001 ") and "BAD.toml" in outcome.err


def test_config_show_names_sources(admin: Admin) -> None:
    admin.add_drive("GOOD")
    rows = {row["key"]: row for row in admin.json("config", "show", "GOOD")}
    assert rows["drive.name"] == {
        "key": "drive.name",
        "value": "GOOD",
        "source": f"{admin.root}/drives/GOOD.toml:2",
    }
    assert rows["transfer.slots"]["source"] == "default"


def test_db_create_and_check(bare: Admin) -> None:
    assert bare("db", "check").status == 69
    assert bare.ok("db", "create", "--catalogue").out == "catalogue: created.\n"
    assert bare("db", "check", "--scheduler").status == 69
    assert bare.ok("db", "create").out == (
        "catalogue: is there already and is left as it is.\nscheduler: created.\n"
    )
    assert bare.ok("db", "check").out.count("as it should be") == 2


def test_db_check_of_something_else(bare: Admin) -> None:
    (bare.root / "catalogue.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    outcome = bare("db", "check", "--catalogue")
    assert outcome.status != 0
    assert outcome.err.startswith("cta-admin: CTA-CATALOGUE-004 ")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü", "plain ü"),
        ("a\nb\x1b[2J", "a\\nb\\x1b[2J"),
        ("bad\udcff", "bad\\udcff"),
        ("tab\t", "tab\\t"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (18 * 10**12, "18.0 TB"),
        (None, "-"),
    ],
)
def test_shown_size(size_bytes: int | None, text: str) -> None:
    assert shown_size(size_bytes) == text


def test_shown_duration() -> None:
    assert [shown_duration(seconds) for seconds in (0, 3661, 90_061, None)] == [
        "00:00:00",
        "01:01:01",
        "1d 01:01:01",
        "-",
    ]


def test_plain_listing_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    columns = (Column("name", "name"), Column("size", "size", shown_size, right=True))
    listing([{"name": "a\nb", "size": 1}, {"name": "", "size": 2000}], columns, as_json=False)
    assert capsys.readouterr().out == "name    size\na\\nb     1 B\n-     2.0 kB\n"


def test_terminal_listing_is_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    listing([{"name": "[red]x[/red]"}], (Column("name", "name"),), as_json=False)
    assert "[red]x[/red]" in capsys.readouterr().out


def test_json_listing_is_one_array(capsys: pytest.CaptureFixture[str]) -> None:
    for rows in ([], [{"a": 1}], [{"a": "\udcff"}, {"a": None}]):
        listing(rows, (), as_json=True)
        assert json.loads(capsys.readouterr().out) == rows


def test_the_first_problem_decides(capsys: pytest.CaptureFixture[str]) -> None:
    from cta_taped.common.errors import DISK_EMPTY_FILE, DISK_SOURCE_GONE, CtaError

    problems = output.Problems()
    problems.add(CtaError(DISK_EMPTY_FILE, "one"))
    problems.add(CtaError(DISK_SOURCE_GONE, "two"))
    assert (problems.status, problems.count) == (64, 2)
    assert capsys.readouterr().err.count("cta-admin: CTA-DISK-") == 2


def test_names_are_upstreams() -> None:
    aliases = {entry.alias for entry in COMMANDS.values()}
    assert {"dr", "ta", "tp", "ll", "pl", "mt", "vo", "sc", "ar", "mp", "di", "dis", "ds"} <= aliases
    assert {"rmr", "gmr", "amr", "ad", "sq", "fr", "tf", "rtf"} <= aliases
    assert cta_admin.name == "cta-admin"
