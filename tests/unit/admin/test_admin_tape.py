# SPDX-License-Identifier: GPL-3.0-or-later
"""cta-admin tape: what the generated commands do not do."""

from __future__ import annotations

import pytest
from adminsite import Admin


def test_state_needs_a_reason(admin: Admin) -> None:
    refused = admin("tape", "ch", "-v", "V00001", "--state", "DISABLED")
    assert (refused.status, refused.err.split()[1]) == (64, "CTA-CONFIG-004")
    admin.ok("tape", "ch", "-v", "V00001", "--state", "disabled", "--reason", "worn out", "-m", "c")
    (row,) = admin.json("tape", "ls", "--state", "disabled")
    assert (row["state"], row["stateReason"], row["comment"]) == ("DISABLED", "worn out", "c")
    assert "@" in row["stateModifiedBy"]
    admin.ok("tape", "ch", "-v", "V00001", "--state", "ACTIVE")
    assert admin.json("tape", "ls", "--state", "DISABLED") == []


def test_added_with_a_state(admin: Admin) -> None:
    line = "tape add -v V00002 --mt LTO9 --ve IBM -l lib -t pool --state BROKEN -r dropped --full true"
    admin.ok(*line.split())
    (row,) = admin.json("tape", "ls", "--vid", "V00002")
    assert (row["state"], row["stateReason"], row["full"]) == ("BROKEN", "dropped", True)


def test_a_refused_reason_adds_no_tape(admin: Admin) -> None:
    line = "tape add -v V00002 --mt LTO9 --ve IBM -l lib -t pool --state BROKEN"
    assert admin(*line.split()).status == 64
    assert admin("tape", "ls", "-v", "V00002").status == 64


@pytest.mark.parametrize(
    ("filters", "vids"),
    [
        ("", ["V00001", "V00002"]),
        ("--all", ["V00001", "V00002"]),
        ("--full true", ["V00002"]),
        ("--full false", ["V00001"]),
        ("--tapepool pool --vid V00001", ["V00001"]),
        ("--vo vo1 --logicallibrary lib --mediatype LTO9 --state ACTIVE", ["V00001", "V00002"]),
        ("--vo other", []),
        ("--pl nowhere", []),
    ],
)
def test_filters(admin: Admin, filters: str, vids: list[str]) -> None:
    admin.ok(
        *[
            "tape",
            "add",
            "-v",
            "V00002",
            "--mt",
            "LTO9",
            "--ve",
            "IBM",
            "-l",
            "lib",
            "-t",
            "pool",
            "--full",
            "true",
        ]
    )
    assert [row["vid"] for row in admin.json("tape", "ls", *filters.split())] == vids


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("tape ls --vid NOPE", "CTA-CATALOGUE-007"),
        ("tape ls --tapepool nope", "CTA-CATALOGUE-007"),
        ("tape ls --all --full true", "CTA-CONFIG-004"),
        ("tape ch -v V00001", "CTA-CONFIG-004"),
        ("tape ch -v V00001 -r why", "CTA-CONFIG-004"),
        ("tape ch -v NOPE -s ACTIVE", "CTA-TAPE-019"),
        ("tape ch -v V00001 -s BROKEN_PENDING -r x", "CTA-CONFIG-004"),
        ("tape reclaim -v V00001", "CTA-CATALOGUE-003"),
        ("tape reclaim -v NOPE", "CTA-TAPE-019"),
        ("tape rm -v NOPE", "CTA-CATALOGUE-007"),
    ],
)
def test_bad_input(admin: Admin, line: str, code: str) -> None:
    outcome = admin(*line.split())
    assert outcome.status != 0
    assert outcome.err.startswith(f"cta-admin: {code} ")


def test_reclaim_a_full_tape(admin: Admin) -> None:
    admin.ok("tape", "ch", "-v", "V00001", "--full", "true")
    assert admin.ok("tape", "reclaim", "-v", "V00001").out == "tape V00001: reclaimed.\n"
    assert admin.json("tape", "ls")[0]["full"] is False


def test_verification_status(admin: Admin) -> None:
    admin.ok("tape", "ch", "-v", "V00001", "--vs", "read on Monday")
    assert admin.json("tape", "ls")[0]["verificationStatus"] == "read on Monday"
    admin.ok("tape", "ch", "-v", "V00001", "--vs", "")
    assert admin.json("tape", "ls")[0]["verificationStatus"] is None
