# SPDX-License-Identifier: GPL-3.0-or-later
"""The wish that a session ends, in the three grades of the design (drain, quick, now).

What it is: three attributes that the channel's thread sets and the tape thread reads. What it is not: an
event to wait for; the tape thread meets it between two blocks, or at the next beat when it waits for a disk.
Why attributes: one is read for every block of 256 KiB, and an attribute of a slotted object costs 20 ns.
"""

from __future__ import annotations

from cta_taped.common.model import Grade


class StopRequest:
    """How urgently the session is to end; a grade includes the milder ones and is never taken back.

    ``drain``: claim no more jobs, finish those claimed. ``quick``: begin no more files. ``now``: stop at the
    current block.
    """

    __slots__ = ("drain", "now", "quick")

    def __init__(self) -> None:
        self.drain = False
        self.quick = False
        self.now = False

    def request(self, grade: Grade) -> None:
        """Ask for an end of this grade; may be called from any thread."""
        self.drain = True
        self.quick = self.quick or grade is not Grade.DRAIN
        self.now = self.now or grade is Grade.NOW
