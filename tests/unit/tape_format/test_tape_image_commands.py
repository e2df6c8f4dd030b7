# SPDX-License-Identifier: GPL-3.0-or-later
"""``cta-admin tape scan|extract|write`` as an operator runs them: output, exit status, what is on disk."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from golden_images import GOLDEN, IMAGES, rows

from cta_taped.admin.site import Site
from cta_taped.admin.tape_image import extract_files, scan, write
from cta_taped.common import errors
from cta_taped.common.errors import EX_IOERR, EX_USAGE, CtaError, ErrorSpec

DATA = GOLDEN / "data"
WRITER = ["--site=CERN", "--host=TPSRV01", "--date=025166", "--serial=XVAL000001"]


def run(command: click.Command, tmp_path: Path, *arguments: str | Path) -> Result:
    """Run one command with a site that has no configuration."""
    site = Site(tmp_path / "absent.toml", False)
    return CliRunner().invoke(command, [str(argument) for argument in arguments], obj=site)


def failure(result: Result) -> ErrorSpec:
    """The failure that the command left to the program's top."""
    assert isinstance(result.exception, CtaError)
    return result.exception.spec


def json_rows(result: Result) -> list[dict[str, Any]]:
    """The JSON lines of the standard output."""
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def sizes(tmp_path: Path) -> Path:
    """A copy of the golden image ``sizes``."""
    return Path(shutil.copy(GOLDEN / "sizes.tap", tmp_path / "sizes.tap"))


@pytest.mark.parametrize("name", IMAGES)
def test_scan_json_has_what_cta_prints(name: str, tmp_path: Path) -> None:
    image = Path(shutil.copy(GOLDEN / f"{name}.tap", tmp_path / "image.tap"))
    result = run(scan, tmp_path, "--image", image, "--json")
    assert result.exit_code == 0
    golden = rows(GOLDEN / f"{name}.scan.jsonl")
    found = json_rows(result)
    assert [{key: row[key] for key in wanted} for row, wanted in zip(found, golden, strict=True)] == golden
    assert image.read_bytes() == (GOLDEN / f"{name}.tap").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["image.tap"]


def test_scan_for_people(sizes: Path, tmp_path: Path) -> None:
    result = run(scan, tmp_path, "--image", sizes)
    assert result.exit_code == 0
    assert "c77ec207" in result.stdout
    assert "V00002: 4 good files, 0 damaged; end of data at object 61; LBP_Off" in result.stdout


@pytest.mark.parametrize(
    "name", ["hdr1-vsn", "uhl1-fseq", "utl1-fseq", "lbp-data-flip", "truncated-in-file", "no-trailer-mark"]
)
def test_scan_of_a_damaged_image_fails(name: str, negative: Path, tmp_path: Path) -> None:
    image = Path(shutil.copy(negative / f"{name}.tap", tmp_path / "image.tap"))
    result = run(scan, tmp_path, "--image", image, "--json")
    assert result.exit_code == EX_IOERR
    found = json_rows(result)
    bad = [row for row in found if not row["ok"]]
    assert bad[0]["fSeq"] == rows(negative / f"{name}.scan.jsonl")[-1].get("fSeq", 2)
    assert bad[0]["errorCode"].startswith("CTA-TAPE-")
    assert bad[-1].get("endOfData")
    assert bad[0]["errorCode"] in result.stderr


def test_scan_by_url(sizes: Path, tmp_path: Path) -> None:
    assert run(scan, tmp_path, "--drive", f"tap:{sizes}").exit_code == 0


@pytest.mark.parametrize("arguments", [[], ["--image", "a", "--drive", "b"]])
def test_scan_needs_one_source(arguments: list[str], tmp_path: Path) -> None:
    assert failure(run(scan, tmp_path, *arguments)) is errors.CONFIG_USAGE


def test_scan_of_nothing(tmp_path: Path) -> None:
    assert failure(run(scan, tmp_path, "--image", tmp_path / "absent")) is errors.DISK_SOURCE_GONE
    blank = tmp_path / "blank.tap"
    blank.touch()
    result = run(scan, tmp_path, "--image", blank, "--json")
    assert failure(result) is errors.TAPE_NOT_LABELLED
    assert [row["ok"] for row in json_rows(result)] == [False]


def test_extract_gives_back_what_was_written(sizes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    result = run(extract_files, tmp_path, "--image", sizes, "--to", out, "--json")
    assert result.exit_code == 0
    for row, source in zip(json_rows(result), ["d1", "d262144", "d262145", "d5000000"], strict=True):
        assert Path(row["file"]).read_bytes() == (DATA / source).read_bytes()
    assert sorted(path.name for path in out.iterdir()) == [
        f"V00002-{fseq}-{4294967296 + fseq}" for fseq in (1, 2, 3, 4)
    ]


@pytest.mark.parametrize(("fseq", "files"), [("2", [2]), ("2-3", [2, 3]), ("3-", [3, 4]), ("4-9", [4])])
def test_extract_a_range(fseq: str, files: list[int], sizes: Path, tmp_path: Path) -> None:
    result = run(extract_files, tmp_path, "--image", sizes, "--to", tmp_path, "--fseq", fseq, "--json")
    assert result.exit_code == 0
    assert [row["fSeq"] for row in json_rows(result)] == files


@pytest.mark.parametrize("fseq", ["0", "x", "3-2", "-3", "1,2", "1-2-3", ""])
def test_extract_refuses_a_nonsense_range(fseq: str, sizes: Path, tmp_path: Path) -> None:
    assert run(extract_files, tmp_path, "--image", sizes, "--to", tmp_path, "--fseq", fseq).exit_code != 0


def test_extract_overwrites_nothing(sizes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "V00002-2-4294967298").write_bytes(b"mine")
    (out / "V00002-3-4294967299").symlink_to("/nonexistent")
    result = run(extract_files, tmp_path, "--image", sizes, "--to", out, "--json")
    assert result.exit_code == errors.DISK_EXISTS.exit_status
    assert [row["ok"] for row in json_rows(result)] == [True, False, False, True]
    assert (out / "V00002-2-4294967298").read_bytes() == b"mine"
    assert len(list(out.iterdir())) == 4


def test_extract_leaves_no_half_file(negative: Path, tmp_path: Path) -> None:
    image = Path(shutil.copy(negative / "no-trailer-mark.tap", tmp_path / "image.tap"))
    out = tmp_path / "out"
    out.mkdir()
    result = run(extract_files, tmp_path, "--image", image, "--to", out, "--json")
    assert result.exit_code == EX_IOERR
    assert len(list(out.iterdir())) == 3
    assert json_rows(result)[3]["file"] is None


def test_extract_of_a_placeholder_makes_no_file(tmp_path: Path) -> None:
    image = Path(shutil.copy(GOLDEN / "placeholder.tap", tmp_path / "image.tap"))
    out = tmp_path / "out"
    out.mkdir()
    result = run(extract_files, tmp_path, "--image", image, "--to", out, "--json")
    assert result.exit_code == 0
    assert len(list(out.iterdir())) == 2
    assert json_rows(result)[1]["file"] is None


def test_write_makes_the_golden_image(tmp_path: Path) -> None:
    image = tmp_path / "new.tap"
    sources = [DATA / name for name in ("d1", "d262144", "d262145", "d5000000")]
    options = ["--image", image, "--vid", "V00002", "--json", *WRITER]
    result = run(write, tmp_path, *options, "--archive-file-id", "4294967297", *sources)
    assert result.exit_code == 0, result.stderr
    assert image.read_bytes() == (GOLDEN / "sizes.tap").read_bytes()
    keys = ("ok", "vid", "fSeq", "blockId", "archiveFileId", "size", "adler32", "blocks")
    golden = [{key: row[key] for key in keys} for row in rows(GOLDEN / "sizes.manifest.jsonl")]
    assert [{key: row[key] for key in keys} for row in json_rows(result)] == golden


@pytest.mark.parametrize(
    ("name", "vid", "lbp"), [("labelled", "V00001", "--no-lbp"), ("labelled-lbp", "L00001", "--lbp")]
)
def test_write_a_label_only(name: str, vid: str, lbp: str, tmp_path: Path) -> None:
    image = tmp_path / "new.tap"
    result = run(write, tmp_path, "--image", image, "--vid", vid, lbp, "--label-only", *WRITER)
    assert result.exit_code == 0
    assert image.read_bytes() == (GOLDEN / f"{name}.tap").read_bytes()


def test_write_in_two_steps_is_write_in_one(tmp_path: Path) -> None:
    """With block protection: an appended tape keeps the protection of its label."""
    image = tmp_path / "new.tap"
    sources = [DATA / f"s{number:03d}" for number in range(100)]
    options = ["--image", image, "--vid", "L00004", *WRITER]
    assert run(write, tmp_path, *options, "--lbp", "--archive-file-id", "1000", *sources[:40]).exit_code == 0
    result = run(write, tmp_path, *options, "--append", "--archive-file-id", "1040", *sources[40:])
    assert result.exit_code == 0, result.stderr
    assert image.read_bytes() == (GOLDEN / "small100-lbp.tap").read_bytes()


def test_write_an_empty_file(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    result = run(write, tmp_path, "--image", tmp_path / "new.tap", "--vid", "V00001", "--json", empty)
    assert result.exit_code == errors.DISK_EMPTY_FILE.exit_status == EX_USAGE
    assert json_rows(result)[0]["placeholder"]
    assert run(scan, tmp_path, "--image", tmp_path / "new.tap").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "spec"),
    [
        (["--vid", "V00009"], errors.CONFIG_USAGE),
        (["--vid", "V00009", "--label-only", "FILE"], errors.CONFIG_USAGE),
        (["--vid", "V00009", "--append", "--label-only"], errors.CONFIG_USAGE),
        (["--vid", "TOOLONG", "FILE"], errors.CONFIG_USAGE),
        (["--vid", "V00009", "--date", "2026", "FILE"], errors.CONFIG_USAGE),
        (["--vid", "V00009", "--append", "FILE"], errors.DISK_SOURCE_GONE),
        (["--vid", "V00009", "FILE", "ABSENT"], errors.DISK_SOURCE_GONE),
        (["--vid", "V00009", "FILE", "."], errors.DISK_NOT_A_FILE),
    ],
)
def test_write_refuses_before_anything_is_made(
    arguments: list[str], spec: ErrorSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("FILE").write_text("x")
    assert failure(run(write, tmp_path, "--image", "new.tap", *arguments)) is spec
    assert not Path("new.tap").exists()


def test_write_overwrites_no_image(sizes: Path, tmp_path: Path) -> None:
    before = hashlib.sha256(sizes.read_bytes()).digest()
    options = ["--image", sizes, "--vid", "V00002"]
    assert failure(run(write, tmp_path, *options, DATA / "d1")) is errors.DISK_EXISTS
    result = run(write, tmp_path, "--image", sizes, "--vid", "V00003", "--append", DATA / "d1")
    assert failure(result) is errors.TAPE_WRONG_VOLUME
    assert hashlib.sha256(sizes.read_bytes()).digest() == before
