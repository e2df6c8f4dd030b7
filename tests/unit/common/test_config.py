# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration: strict, with one line for everything wrong, and the source of each value."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cta_taped.admin import config_reference
from cta_taped.common.config import configured_drives, load
from cta_taped.common.config_schema import Config
from cta_taped.common.errors import EX_CONFIG, CtaError

SITE = """\
[catalogue]
url = "sqlite:////tmp/x.db"
[scheduler]
url = "sqlite:////tmp/x.db"
[archive]
flush_files = 3
"""
DRIVE = """\
[drive]
name = "D1"
device = "vtl:/v?drive=0"
library_slot = "smc0"
logical_library = "VTL"
[archive]
flush_files = 4
"""
ETC = Path(__file__).parents[3] / "etc"


@pytest.fixture
def site_file(tmp_path: Path) -> Path:
    (tmp_path / "drives").mkdir()
    (tmp_path / "drives" / "D1.toml").write_text(DRIVE)
    path = tmp_path / "cta-taped.toml"
    path.write_text(SITE)
    return path


def test_drive_file_overrides_site_file_and_sources_are_kept(site_file: Path) -> None:
    loaded = load(site_file, "D1")
    assert loaded.config.archive.flush_files == 4
    values = {value.key: value for value in loaded.values()}
    assert values["archive.flush_files"].source == f"{site_file.parent}/drives/D1.toml:7"
    assert values["catalogue.url"].source == f"{site_file}:2"
    assert values["archive.flush_bytes"].source == "default"
    assert configured_drives(site_file) == ["D1"]


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        (
            "flush_files = 4",
            "flush_files = '4'",
            7,
            "archive.flush_files: expected a whole number",
        ),
        ("flush_files = 4", "flush_files = 4.5", 7, "archive.flush_files: expected a whole number"),
        ("flush_files = 4", "flush_files = 0", 7, "archive.flush_files: expected greater than or equal to 1"),
        (
            "flush_files = 4",
            "flush_file = 4",
            7,
            "archive.flush_file: unknown key, expected one of",
        ),
        ("[archive]", "[archiv]", 6, "archiv: unknown key, expected one of site, catalogue"),
        ('name = "D1"', 'name = "D2"', 2, "drive.name: expected 'D1' as the file is named"),
        ('name = "D1"\n', "", 1, "drive.name: missing, expected Name in the catalogue"),
        ('"smc0"', '"x0"', 4, "drive.library_slot: expected"),
        ("[drive]", "[drive", 1, "not TOML"),
        ("[drive]", "drive = 3\n[x]", 1, "drive: expected a [section], found a value"),
    ],
)
def test_everything_wrong_is_one_line_with_file_line_and_key(
    site_file: Path, old: str, new: str, line: int, expected: str
) -> None:
    path = site_file.parent / "drives" / "D1.toml"
    path.write_text(DRIVE.replace(old, new))
    with pytest.raises(CtaError) as caught:
        load(site_file, "D1")
    assert caught.value.spec.exit_status == EX_CONFIG
    assert caught.value.detail.startswith(f"{path}:{line}: {expected}"), caught.value.detail
    assert "\n" not in caught.value.detail


def test_missing_and_undecodable_files(site_file: Path) -> None:
    with pytest.raises(CtaError, match=r"D2\.toml: No such file"):
        load(site_file, "D2")
    with pytest.raises(CtaError, match="drive name"):
        load(site_file, "../etc")
    site_file.write_bytes(b"[site]\n\xff\n")
    with pytest.raises(CtaError, match="expected UTF-8"):
        load(site_file, "D1")


def test_missing_section_names_it(site_file: Path) -> None:
    site_file.write_text(SITE.replace("[scheduler]\nurl", "[labels]\nsite"))
    with pytest.raises(CtaError, match="scheduler: missing"):
        load(site_file, "D1")


def test_every_key_says_what_it_is() -> None:
    for section in Config.model_fields.values():
        assert isinstance(section.annotation, type)
        for name, field in section.annotation.model_fields.items():
            assert field.description, name


def test_example_files_are_drawn_from_the_schema_and_valid() -> None:
    assert (ETC / "cta-taped.toml").read_text() == config_reference.render_site(), (
        "run: python -m cta_taped.admin.config_reference etc"
    )
    assert (ETC / "drives" / "EXAMPLE.toml").read_text() == config_reference.render_drive()
    load(ETC / "cta-taped.toml", "EXAMPLE")


def test_uncommented_defaults_of_the_example_are_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "drives").mkdir()
    for name in ("cta-taped.toml", "drives/EXAMPLE.toml"):
        lines = (ETC / name).read_text().splitlines()
        plain = [
            line.removeprefix("# ") if " = " in line and "not set" not in line and ". " not in line else line
            for line in lines
        ]
        (tmp_path / name).write_text("\n".join(plain) + "\n")
    shown = load(tmp_path / "cta-taped.toml", "EXAMPLE").config
    assert shown == load(ETC / "cta-taped.toml", "EXAMPLE").config


def test_command_line(site_file: Path) -> None:
    command = [sys.executable, "-m", "cta_taped.supervisor", "D1", "--config", str(site_file)]
    good = subprocess.run([*command, "--check-config"], capture_output=True, text=True, check=False)
    assert good.returncode == 0 and "is good" in good.stdout
    shown = subprocess.run([*command, "--print-config"], capture_output=True, text=True, check=True)
    assert any("archive.flush_files" in line and "D1.toml:7" in line for line in shown.stdout.splitlines())
    site_file.write_text(SITE + "[log]\nlevel = 5\n")
    bad = subprocess.run([*command, "--check-config"], capture_output=True, text=True, check=False)
    assert bad.returncode == EX_CONFIG
    assert bad.stderr.count("\n") == 1 and "log.level" in bad.stderr and "CTA-CONFIG-001" in bad.stderr
    usage = subprocess.run([*command, "--nonsense"], capture_output=True, text=True, check=False)
    assert usage.returncode == 64 and usage.stderr.count("\n") == 1
