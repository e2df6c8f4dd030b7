# SPDX-License-Identifier: GPL-3.0-or-later
"""The grades of a stop, and what a quick one means for the file in hand."""

from __future__ import annotations

import time

import pytest

from cta_taped.common.model import Grade
from cta_taped.session.stop import StopRequest

GB = 10**9


@pytest.mark.parametrize(
    ("grade", "flags"),
    [
        (Grade.DRAIN, (True, False, False)),
        (Grade.QUICK, (True, True, False)),
        (Grade.NOW, (True, True, True)),
    ],
)
def test_a_grade_includes_the_milder_ones_and_is_never_taken_back(
    grade: Grade, flags: tuple[bool, bool, bool]
) -> None:
    stop = StopRequest()
    stop.request(grade)
    stop.request(Grade.DRAIN)
    assert (stop.drain, stop.quick, stop.now) == flags


@pytest.mark.parametrize(
    ("left_bytes", "moved_bytes", "spent_s", "ends"),
    [
        (2 * GB, 10 * GB, 10.0, False),
        (200 * GB, 10 * GB, 10.0, True),
        (2 * GB, 0, 0.0, False),
        (0, 0, 9.0, False),
    ],
)
def test_a_rest_that_fits_into_the_share_is_finished(
    left_bytes: int, moved_bytes: int, spent_s: float, ends: bool
) -> None:
    """At 1 GB/s, a share of 60 s that has just begun; without any observation it is tried."""
    stop = StopRequest()
    stop.request(Grade.QUICK)
    assert stop.ends_file(left_bytes, moved_bytes, spent_s, share_s=60.0) is ends


def test_the_share_begins_with_the_first_wish_and_ends() -> None:
    stop = StopRequest()
    stop.request(Grade.QUICK)
    time.sleep(0.02)
    stop.request(Grade.QUICK)
    assert stop.ends_file(1, 0, 0.0, share_s=0.01)
    assert stop.ends_file(0, 0, 0.0, share_s=0.01)


def test_now_finishes_nothing() -> None:
    stop = StopRequest()
    stop.request(Grade.NOW)
    assert stop.ends_file(1, GB, 1.0, share_s=600.0)
