# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs fetched ahead: one helper thread asks the scheduler while the tape moves.

What it is not: a scheduler; it knows nothing of a job but its size.
Why: a claim takes milliseconds at best and minutes in an outage, and the tape must never wait for a database
as long as claimed jobs are left.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, Protocol, TypeVar

from cta_taped.common.errors import CtaError
from cta_taped.session.pipeline import JOIN_S, LOOK_S, as_cta_error, join_all
from cta_taped.session.stop import StopRequest


class _Sized(Protocol):
    @property
    def size_bytes(self) -> int: ...


_Job = TypeVar("_Job", bound=_Sized)


class ClaimAhead(Generic[_Job]):
    """The pending jobs of one run, and the thread that claims more; all methods belong to the tape thread.

    More is asked for while at most half a batch is pending, so never more than two batches are claimed and
    not begun. An empty answer that was asked for while jobs were pending is not the end: it is asked once
    more when they are used up, since work may have arrived meanwhile.
    """

    def __init__(
        self,
        claim: Callable[[int, int], list[_Job]],
        files: int,
        size_bytes: int,
        accept: Callable[[list[_Job]], None],
    ) -> None:
        """``claim(files, size_bytes)`` returns a batch; ``accept`` is called with each, in order."""
        self.failure: CtaError | None = None
        self._claim = claim
        self._files = files
        self._size_bytes = size_bytes
        self._accept = accept
        self._pending: deque[_Job] = deque()
        self._pending_bytes = 0
        self._asked = False
        self._answered = False
        self._last_call = False
        self._exhausted = False
        self._ended = False
        self._wanted: SimpleQueue[bool] = SimpleQueue()
        self._batches: SimpleQueue[list[_Job] | CtaError] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="claim-ahead", daemon=True)
        self._thread.start()

    def next(self, stop: StopRequest, on_wait: Callable[[], None]) -> _Job | None:
        """The next job; None if there is no more work, a claim failed (``failure``), or ``stop`` forbids it.

        ``on_wait`` is called every LOOK_S while the scheduler is waited for.
        """
        pending = self._pending
        while not stop.quick:
            # A mount that is asked to drain before its first batch came still does that batch.
            claimable = not self._ended and not (stop.drain and self._answered)
            if (
                claimable
                and len(pending) <= self._files // 2
                and self._pending_bytes <= self._size_bytes // 2
            ):
                self._ask()
                if not self._take(0.0 if pending else LOOK_S) and not pending:
                    on_wait()
            if pending:
                job = pending.popleft()
                self._pending_bytes -= job.size_bytes
                return job
            if not claimable:
                return None
        return None

    def close(self, within_s: float = JOIN_S) -> list[_Job]:
        """End the thread; the jobs that were claimed and not begun, in order.

        A claim that still hangs after ``within_s`` keeps its jobs until the mount is released: nobody can
        know whether it comes back.
        """
        self._wanted.put(False)
        join_all((self._thread,), within_s)
        left = list(self._pending)
        while True:
            try:
                batch = self._batches.get_nowait()
            except Empty:
                return left
            if not isinstance(batch, CtaError):
                left += batch

    def _ask(self) -> None:
        if not self._asked and not (self._exhausted and self._pending):
            self._asked = True
            self._last_call = not self._pending
            self._wanted.put(True)

    def _take(self, timeout_s: float) -> bool:
        """Make the batch pending that was asked for; whether it has come."""
        try:
            batch = self._batches.get(timeout_s > 0, timeout_s)
        except Empty:
            return False
        self._asked = False
        self._answered = True
        if isinstance(batch, CtaError):
            self.failure = batch
            self._ended = True
            return True
        self._exhausted = not batch
        self._ended = self._exhausted and self._last_call
        self._pending += batch
        self._pending_bytes += sum(job.size_bytes for job in batch)
        self._accept(batch)
        return True

    def _serve(self) -> None:
        while self._wanted.get():
            try:
                batch = self._claim(self._files, self._size_bytes)
            except Exception as error:
                self._batches.put(as_cta_error(error, "claiming jobs"))
                return
            self._batches.put(batch)
