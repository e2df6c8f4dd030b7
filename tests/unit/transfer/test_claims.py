# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs fetched ahead: how many are held, when the scheduler is asked, and that none is lost."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import pytest

from cta_taped.common.errors import SCHEDULER_LOST, CtaError
from cta_taped.common.model import Grade
from cta_taped.session.claims import ClaimAhead
from cta_taped.session.stop import StopRequest


@dataclass(frozen=True)
class Job:
    number: int
    size_bytes: int = 10


class Queue:
    def __init__(self, count: int, size_bytes: int = 10) -> None:
        self.left = [Job(n, size_bytes) for n in range(count)]
        self.asked: list[int] = []
        self.accepted: list[Job] = []

    def claim(self, files: int, size_bytes: int) -> list[Job]:
        count = min(files, max(1, size_bytes // 10))
        batch, self.left = self.left[:count], self.left[count:]
        self.asked.append(len(batch))
        return batch


def never() -> None:
    raise AssertionError("waited although jobs are pending")


def test_every_job_comes_once_in_order() -> None:
    queue, stop = Queue(25), StopRequest()
    claims = ClaimAhead(queue.claim, 4, 1000, queue.accepted.extend)
    got = []
    while (job := claims.next(stop, lambda: None)) is not None:
        got.append(job.number)
    assert claims.close() == []
    assert got == list(range(25))
    assert [job.number for job in queue.accepted] == got
    # An empty answer at the very end is asked for at most twice: ahead, and when nothing is left.
    assert queue.asked.count(0) in (1, 2)


@pytest.mark.parametrize(("files", "size_bytes", "held"), [(10, 10**9, 20), (10**6, 100, 20)])
def test_never_more_than_two_batches_are_held(files: int, size_bytes: int, held: int) -> None:
    """The limit in files, and the limit in bytes."""
    queue, stop = Queue(1000), StopRequest()
    claims = ClaimAhead(queue.claim, files, size_bytes, queue.accepted.extend)
    for taken in range(1, 200):
        assert claims.next(stop, lambda: None) is not None
        time.sleep(0.0005)
        assert 1000 - len(queue.left) - taken <= held
    claims.close()


def test_the_tape_waits_for_no_claim_while_jobs_are_pending() -> None:
    queue, stop = Queue(6), StopRequest()
    hang = threading.Event()

    def slow(files: int, size_bytes: int) -> list[Job]:
        if queue.asked:
            hang.wait(60)
        return queue.claim(files, size_bytes)

    claims = ClaimAhead(slow, 3, 1000, queue.accepted.extend)
    assert claims.next(stop, lambda: None) == Job(0)
    assert claims.next(stop, never) == Job(1)
    assert claims.next(stop, never) == Job(2)
    waits: list[int] = []

    def beat() -> None:
        waits.append(1)
        hang.set()

    assert claims.next(stop, beat) == Job(3)
    assert waits
    assert claims.close() == [Job(4), Job(5)]


def test_close_gives_back_what_came_too_late() -> None:
    queue, stop = Queue(9), StopRequest()
    claims = ClaimAhead(queue.claim, 3, 1000, queue.accepted.extend)
    first = claims.next(stop, lambda: None)
    assert first == Job(0)
    claims.next(stop, lambda: None)
    stop.request(Grade.QUICK)
    assert claims.next(stop, never) is None
    left = claims.close()
    assert [job.number for job in left] == list(range(2, 9 - len(queue.left)))


def test_a_drain_before_the_first_batch_lets_that_batch_be_done() -> None:
    """It was claimed with the mount; a tape is not mounted to give its work back."""
    queue, stop = Queue(9), StopRequest()
    stop.request(Grade.DRAIN)
    claims = ClaimAhead(queue.claim, 3, 1000, queue.accepted.append)
    got = []
    while (job := claims.next(stop, lambda: None)) is not None:
        got.append(job.number)
    assert (got, queue.asked, claims.close()) == ([0, 1, 2], [3], [])


def test_a_failure_ends_the_stream_behind_the_pending_jobs() -> None:
    queue, stop = Queue(3), StopRequest()

    def once(files: int, size_bytes: int) -> list[Job]:
        if queue.asked:
            raise CtaError(SCHEDULER_LOST, "away")
        return queue.claim(files, size_bytes)

    claims = ClaimAhead(once, 3, 1000, queue.accepted.extend)
    got = []
    while (job := claims.next(stop, lambda: None)) is not None:
        got.append(job.number)
    assert got == [0, 1, 2]
    assert claims.failure is not None
    assert claims.failure.spec is SCHEDULER_LOST
    claims.close()


def test_a_defect_in_claim_has_a_code() -> None:
    def broken(files: int, size_bytes: int) -> list[Job]:
        raise KeyError("x")

    claims = ClaimAhead(broken, 3, 1000, lambda job: None)
    assert claims.next(StopRequest(), lambda: None) is None
    assert claims.failure is not None
    assert claims.failure.code == "CTA-SYSTEM-005"
    claims.close()
