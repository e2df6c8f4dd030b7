# SPDX-License-Identifier: GPL-3.0-or-later
"""Lock numbers are upstream's (scheduler reference, section 3)."""

from __future__ import annotations

import pytest

from cta_taped.db.lockname import lock_number


@pytest.mark.parametrize(
    ("name", "number"),
    [("", 1266203134), ("L80001", 925859383), ("lib1", 3566341584), ("TestLogicalLibrary", 3574817631)],
)
def test_worked_examples(name: str, number: int) -> None:
    assert lock_number(name) == number
