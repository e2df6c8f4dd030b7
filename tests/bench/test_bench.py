# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark runs in its quick form, measures every row, and leaves nothing in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _left() -> set[Path]:
    return set(Path("/dev/shm").glob("cta-taped-bench-*"))


@pytest.mark.bench
@pytest.mark.timeout(600)
def test_the_quick_benchmark(tmp_path: Path) -> None:
    """No ratio is judged here: other work on the machine decides them; ``--check`` is for a quiet one."""
    before = _left()
    output = tmp_path / "rows.json"
    command = [sys.executable, "-m", "tests.bench", "--quick", "--json", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads(output.read_text())
    assert {tuple(row) for row in rows} == {("name", "value", "unit", "limit", "ratio", "target")}
    assert all(row["value"] > 0 for row in rows)
    assert len({row["name"] for row in rows}) == len(rows)
    for what in (
        "archive loop",
        "archive session",
        "retrieve session",
        "virtual drive",
        "paced drive",
        "opens",
    ):
        assert any(what in row["name"] for row in rows), what
    assert _left() == before
