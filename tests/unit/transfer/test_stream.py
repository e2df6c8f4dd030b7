# SPDX-License-Identifier: GPL-3.0-or-later
"""The free list's order, and that no slot is lost between a failing destination and the tape thread."""

from __future__ import annotations

from queue import Empty

import pytest

from cta_taped.common.errors import DISK_WRITE, CtaError
from cta_taped.common.model import RetrieveJob
from cta_taped.session.pipeline import BLOCK_BYTES, CLOSING, FreeSlots, PipelineSize, Slots
from cta_taped.session.writers import LAST, MORE, Stream
from cta_taped.tape.drive import PROTECTION_BYTES

JOB = RetrieveJob(1, 1, 1, "V00001", 1, 0, "/nowhere", 1, None)


def test_returned_slots_are_taken_before_untouched_ones() -> None:
    free = FreeSlots(range(3))
    first = free.take()
    free.give(first)
    assert free.take() == first
    assert {free.take(), free.take()} == {0, 1, 2} - {first}
    with pytest.raises(Empty):
        free.take(0.001)
    free.give(CLOSING)
    assert free.take() == CLOSING


def test_a_failed_stream_frees_what_waits_and_what_comes() -> None:
    free = FreeSlots(range(3))
    taken = [free.take() for _ in range(3)]
    stream = Stream(JOB, free)
    stream.put(taken[0], 10, MORE)
    stream.put(taken[1], 10, MORE)
    stream.fail(CtaError(DISK_WRITE, "full"))
    stream.put(taken[2], 10, LAST)
    assert sorted(free.take(0.001) for _ in range(3)) == [0, 1, 2]


def test_a_stream_that_ends_and_fails_counts_no_slot_twice() -> None:
    free = FreeSlots(range(1))
    slot = free.take()
    stream = Stream(JOB, free)
    stream.put(slot, 10, MORE)
    stream.end(CtaError(DISK_WRITE, "the tape failed"))
    stream.fail(CtaError(DISK_WRITE, "and the disk"))
    assert free.take(0.001) == slot
    with pytest.raises(Empty):
        free.take(0.001)


@pytest.mark.parametrize(("threads", "slots", "share"), [(10, 64, 6), (64, 64, 2), (1, 64, 64), (128, 4, 2)])
def test_every_disk_thread_has_two_slots_at_least(threads: int, slots: int, share: int) -> None:
    assert PipelineSize(threads, slots).slots_a_thread == share


def test_slots_are_page_aligned_and_apart() -> None:
    slots = Slots(3)
    assert {len(buffer) for buffer in slots.buffers} == {BLOCK_BYTES + PROTECTION_BYTES}
    for number, buffer in enumerate(slots.buffers):
        buffer[:] = bytes([number + 1]) * len(buffer)
    assert [payload[0] for payload in slots.payloads] == [1, 2, 3]
    assert [buffer[-1] for buffer in slots.buffers] == [1, 2, 3]
