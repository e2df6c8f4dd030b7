# SPDX-License-Identifier: GPL-3.0-or-later
"""A busy Python thread in the transfer process must not starve the drive (performance, pitfall 1)."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator

import pytest
from transfer_parts import ArchiveDesk, Disk, Tape

from cta_taped.session.archive import ArchiveLimits, ArchiveRun
from cta_taped.session.pipeline import BLOCK_BYTES, PipelineSize, share_interpreter
from cta_taped.session.progress import new_totals
from cta_taped.session.stop import StopRequest


@pytest.fixture
def busy_thread() -> Iterator[None]:
    """A thread that computes without ever letting the interpreter go by itself."""
    stopping = False

    def compute() -> None:
        number = 0
        while not stopping:
            number += 1

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=compute)
    thread.start()
    yield
    stopping = True
    thread.join()
    sys.setswitchinterval(interval)


@pytest.mark.bench  # compares two times, so nothing else may run beside it
def test_a_busy_thread_does_not_starve_the_drive(tape: Tape, disk: Disk, busy_thread: None) -> None:
    """The same file is written with the default switch interval and with the session's."""
    took: list[float] = []
    tape.port.write_takes_s = 0.0006
    for prepare in (lambda: None, share_interpreter):
        prepare()
        desk = ArchiveDesk(disk.jobs(60 * BLOCK_BYTES))
        writer = tape.writer()
        begun = time.monotonic()
        ArchiveRun(
            tape.drive, writer, desk, ArchiveLimits(pipeline=PipelineSize(1, 4)), StopRequest(), new_totals()
        ).run()
        took.append(time.monotonic() - begun)
        assert len(desk.written) == 1
    assert took[1] < took[0] / 2
