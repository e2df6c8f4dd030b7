# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark runs in its quick form, measures every row, and leaves nothing in memory."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

RATES = {"GB/s", "MB/s", "files/s"}
ROOT = Path(__file__).resolve().parents[2]


def _left() -> set[Path]:
    return set(Path("/dev/shm").glob("cta-taped-bench-*"))


@pytest.mark.bench
@pytest.mark.timeout(600)
def test_the_quick_benchmark(tmp_path: Path) -> None:
    """Targets are for a quiet machine (``--check``); a ratio must only not have fallen to a third of one.

    Only ratios to a limit of the same run are judged, and no CPU: other work on the machine meets both sides
    of the former alike.
    """
    before = _left()
    output = tmp_path / "rows.json"
    command = [sys.executable, "-m", "tests.bench", "--quick", "--json", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads(output.read_text())
    assert {tuple(row) for row in rows} == {("name", "value", "unit", "limit", "ratio", "target")}
    for row in rows:
        numbers = [row["value"], *(row[key] for key in ("limit", "ratio", "target") if row[key] is not None)]
        assert all(math.isfinite(number) and number > 0 for number in numbers), row
    fallen = [
        row for row in rows if row["target"] and row["unit"] in RATES and row["ratio"] < row["target"] / 3
    ]
    assert not fallen, fallen
    assert len({row["name"] for row in rows}) == len(rows)
    for what in (
        "archive loop",
        "archive session",
        "retrieve session",
        "virtual drive",
        "paced drive",
        "opens",
        "CPU of a paced",
        "start to READY",
        "memory of an idle drive service",
    ):
        assert any(what in row["name"] for row in rows), what
    assert _left() == before
