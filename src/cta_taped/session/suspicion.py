# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the two is at fault when a tape cannot be opened: the tape, or the drive.

A tape whose label cannot be read is disabled, or it would be mounted for ever. A drive that reads nothing
would so disable one tape after another. What it is: the one fact that tells them apart, kept in the drive's
state directory because a session lives for one mount: the tape that could not be opened last, until another
one could. What it is not: a statistic.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

FILE_NAME = "unopened"


class Suspicion:
    """The drive's memory of the last tape that it could not open.

    A state directory that is full or unreadable means that nothing is remembered: then the tape is at fault.
    """

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE_NAME

    def opened(self) -> None:
        """A tape was opened: the drive reads."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def failed(self, vid: str) -> str | None:
        """``vid`` could not be opened; the other tape that could not be just before, if there is one.

        That ends the row: the drive goes down, and what an operator did to it meanwhile is not known.
        """
        with suppress(OSError, UnicodeDecodeError):
            before = self._path.read_text(encoding="utf-8")
            if before not in ("", vid):
                self.opened()
                return before
        with suppress(OSError):
            self._path.write_text(vid, encoding="utf-8")
        return None
