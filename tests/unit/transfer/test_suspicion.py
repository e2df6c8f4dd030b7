# SPDX-License-Identifier: GPL-3.0-or-later
"""One tape that cannot be opened is the tape; two in a row are the drive."""

from __future__ import annotations

from pathlib import Path

from cta_taped.session.suspicion import FILE_NAME, Suspicion


def test_two_tapes_in_a_row_make_the_drive_suspect(tmp_path: Path) -> None:
    assert Suspicion(tmp_path).failed("V00001") is None
    assert Suspicion(tmp_path).failed("V00001") is None, "one tape twice is one tape"
    assert Suspicion(tmp_path).failed("V00002") == "V00001"
    assert Suspicion(tmp_path).failed("V00003") is None, "after an operator's repair the row begins anew"


def test_a_tape_that_opens_clears_the_drive(tmp_path: Path) -> None:
    Suspicion(tmp_path).failed("V00001")
    Suspicion(tmp_path).opened()
    assert Suspicion(tmp_path).failed("V00002") is None


def test_what_cannot_be_remembered_is_the_tape(tmp_path: Path) -> None:
    nowhere = Suspicion(tmp_path / "none")
    assert nowhere.failed("V00001") is None and nowhere.failed("V00002") is None
    nowhere.opened()
    (tmp_path / FILE_NAME).write_bytes(b"\xff")
    assert Suspicion(tmp_path).failed("V00002") is None
