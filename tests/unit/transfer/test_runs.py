# SPDX-License-Identifier: GPL-3.0-or-later
"""Which neighbours in the order of the tape one disk thread takes together."""

from __future__ import annotations

import pytest

from cta_taped.common.model import ArchiveJob
from cta_taped.session.pipeline import BLOCK_BYTES, runs


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([1] * 7, [3, 3, 1]),
        ([BLOCK_BYTES] * 3, [1, 1, 1]),
        ([BLOCK_BYTES // 2] * 5, [2, 2, 1]),
        ([1, 10 * BLOCK_BYTES, 1, 1], [1, 1, 2]),
        ([BLOCK_BYTES - 1, 1, 1], [2, 1]),
    ],
)
def test_small_neighbours_are_put_together(sizes: list[int], expected: list[int]) -> None:
    jobs = [
        ArchiveJob(number, number, 1, 1, "/s", size, None, "disk", str(number), "/p", 1, 1, "class")
        for number, size in enumerate(sizes)
    ]
    found = list(runs(jobs, 3))
    assert [len(run) for run in found] == expected
    assert [job for run in found for job in run] == jobs
