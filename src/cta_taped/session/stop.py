# SPDX-License-Identifier: GPL-3.0-or-later
"""The wish that a session ends, in the three grades of the design (drain, quick, now).

What it is: attributes that the channel's thread sets and the tape thread reads, and the judgement of what a
quick ending means for the file in hand. What it is not: an event to wait for; the tape thread meets it
between two blocks, or at the next look when it waits for a disk.
Why attributes: one is read for every block of 256 KiB, and an attribute of a slotted object costs 20 ns.
"""

from __future__ import annotations

from time import monotonic

from cta_taped.common.model import Grade


class StopRequest:
    """How urgently the session is to end; a grade includes the milder ones and is never taken back.

    ``drain``: claim no more jobs, finish those claimed. ``quick``: begin no more files, and finish the file
    in hand only if that takes no longer than its share of time. ``now``: stop at the current block.
    """

    __slots__ = ("_quick_since", "drain", "now", "quick")

    def __init__(self) -> None:
        self.drain = False
        self.quick = False
        self.now = False
        self._quick_since = 0.0

    def request(self, grade: Grade) -> None:
        """Ask for an end of this grade; may be called from any thread."""
        # The most urgent first: a thread that meets the milder one asks for the other at once.
        self.now = self.now or grade is Grade.NOW
        if grade is not Grade.DRAIN and not self.quick:
            self._quick_since = monotonic()
            self.quick = True
        self.drain = True

    def ends_file(self, left_bytes: int, moved_bytes: int, spent_s: float, share_s: float) -> bool:
        """Whether the file in hand is abandoned at this block, once ``quick`` is set.

        It is finished when ``left_bytes`` move within what is left of ``share_s``, counted from the moment of
        the wish, at the rate observed so far (``moved_bytes`` in ``spent_s``). When the rate does not last,
        it is abandoned at the end of the share.
        """
        left_s = self._quick_since + share_s - monotonic()
        return self.now or left_s <= 0 or left_bytes * spent_s > moved_bytes * left_s
