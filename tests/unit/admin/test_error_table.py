# SPDX-License-Identifier: GPL-3.0-or-later
"""``cta-admin error``, and the message catalogue as systemd's own compiler takes it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from cta_taped.admin.error_table import error, find, render_catalog, render_markdown
from cta_taped.common import events
from cta_taped.common.errors import BY_CODE, TAPE_CHECKSUM, TAPE_FSEQ, CtaError


def run(*arguments: str) -> str:
    result = CliRunner().invoke(error, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_ls_lists_every_code_once() -> None:
    codes = [line.split()[0] for line in run("ls").splitlines()[1:]]
    assert sorted(codes) == sorted(BY_CODE)


def test_ls_json() -> None:
    rows = json.loads(run("ls", "--json"))
    assert {row["code"] for row in rows} == set(BY_CODE)
    [row] = [row for row in rows if row["code"] == "CTA-TAPE-010"]
    assert row["symbol"] == "TAPE_CHECKSUM"
    assert row["charged"] is True
    assert row["exitStatus"] == 74
    assert row["messageId"] == TAPE_CHECKSUM.message_id


@pytest.mark.parametrize(
    "asked",
    [
        "CTA-TAPE-010",
        "cta-tape-010",
        "tape_checksum",
        TAPE_CHECKSUM.message_id,
        "Nov 23 host cta-taped[7]: CTA-TAPE-010 V00001 file 3: adler32 differs archive_file_id=7",
    ],
)
def test_a_code_is_found_by_any_of_its_names(asked: str) -> None:
    assert find(asked) == [TAPE_CHECKSUM]


def test_upstreams_counter_finds_the_code() -> None:
    assert find("Error_tapeFSeqOutOfSequenceForWrite") == [TAPE_FSEQ]


def test_words_find_all_codes_that_have_them() -> None:
    found = find("robot unknown")
    assert [spec.symbol for spec in found] == ["LIBRARY_TIMEOUT"]
    assert find("CTA-TAPE-999 or so") == []
    assert find("  ") == []


def test_explain_prints_all_that_is_known() -> None:
    output = run("explain", "CTA-TAPE-010")
    for part in (
        TAPE_CHECKSUM.meaning,
        TAPE_CHECKSUM.action,
        "other tape",
        "charged to the job",
        "status 74",
    ):
        assert part in output


def test_explain_of_nothing_is_wrong_usage() -> None:
    with pytest.raises(CtaError, match="CTA-CONFIG-004 no error code fits 'flux capacitor'"):
        run("explain", "flux", "capacitor")


def test_render_prints_the_files() -> None:
    assert run("render", "markdown") == render_markdown()
    assert run("render", "catalog") == render_catalog()


@pytest.mark.skipif(shutil.which("journalctl") is None, reason="needs journalctl")
def test_systemd_compiles_the_catalogue_and_finds_every_entry(tmp_path: Path) -> None:
    source = tmp_path / "usr/lib/systemd/catalog"
    source.mkdir(parents=True)
    (tmp_path / "var/lib/systemd/catalog").mkdir(parents=True)
    (source / "cta-taped.catalog").write_text(render_catalog())

    def journalctl(*arguments: str) -> str:
        return subprocess.run(
            ["journalctl", f"--root={tmp_path}", *arguments],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "LC_ALL": "C"},
        ).stdout

    journalctl("--update-catalog")
    known = {line.split()[0] for line in journalctl("--list-catalog").splitlines()}
    assert {spec.message_id for spec in BY_CODE.values()} <= known
    assert events.QUARANTINED.message_id in known
    text = journalctl("--dump-catalog", TAPE_CHECKSUM.message_id)
    assert f"Subject: CTA-TAPE-010 {TAPE_CHECKSUM.meaning}" in text
    assert TAPE_CHECKSUM.action in text
