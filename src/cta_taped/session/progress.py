# SPDX-License-Identifier: GPL-3.0-or-later
"""The accounts of a session: what moved, where the time went, which failures were met; and the beat.

What it is not: a log. The session's end turns ``SessionTotals`` into upstream's session line (upstream
reference, B.8), so the names of times and counters are those that CTA's monitoring knows.
Why the beat is here: liveness is proved by the thread that moves the tape, by the very call that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

from cta_taped.common.errors import CtaError, Retry
from cta_taped.common.events import SESSION_TIMES
from cta_taped.common.model import JobFailure, SessionTotals
from cta_taped.session.pipeline import BEAT_S

LABEL_BYTES_A_FILE: Final = 480
"""headerVolume: three labels of 80 bytes before and three behind each file (tape format reference, 2)."""


def new_totals() -> SessionTotals:
    """Accounts with every time at zero, so that the session line always has the same fields.

    Times of the disk threads (checksumingTime, deliveryTime, and in an archive mount waitFreeMemoryTime) are
    sums over the threads; all others are times of the tape thread.
    """
    return SessionTotals(times_s=dict.fromkeys(SESSION_TIMES, 0.0))


def job_failure(totals: SessionTotals, job_id: int, error: CtaError) -> JobFailure:
    """The verdict on one job, counted under upstream's counter name (its own code if upstream has none)."""
    name = error.spec.alias or error.code
    totals.errors[name] = totals.errors.get(name, 0) + 1
    elsewhere = error.spec.retry in (Retry.OTHER_DRIVE, Retry.OTHER_TAPE)
    return JobFailure(job_id, error.code, error.detail, error.spec.charged, elsewhere)


@contextmanager
def timed(totals: SessionTotals, name: str) -> Iterator[None]:
    """Add the time spent inside to ``name`` of SESSION_TIMES."""
    begun = monotonic()
    try:
        yield
    finally:
        totals.times_s[name] += monotonic() - begun


class Beat:
    """Tells a listener what moved, at most once in BEAT_S however often the tape thread looks at it.

    ``tape_bytes`` grows block by block, unlike the totals, which count whole files: a file of a terabyte must
    not look like a drive that stands. ``due`` is compared with a clock value that the tape thread has anyway.
    """

    __slots__ = ("_disk_bytes", "_tell", "due", "files", "tape_bytes")

    def __init__(self, tell: Callable[[int, int, int], None], disk_bytes: Callable[[], int]) -> None:
        self._tell = tell
        self._disk_bytes = disk_bytes
        self.tape_bytes = 0
        self.files = 0
        self.due = 0.0

    def now(self, clock: float) -> None:
        """Tell, ``clock`` being the present ``time.monotonic()``."""
        self.due = clock + BEAT_S
        self._tell(self.tape_bytes, self._disk_bytes(), self.files)
