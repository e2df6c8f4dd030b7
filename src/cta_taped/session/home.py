# SPDX-License-Identifier: GPL-3.0-or-later
"""The way home of a cartridge after a mount: key and protection off, unload, dismount, verified.

Tried after every mount, whatever ended it. If it fails, the session ends without DriveEmpty, and the rescue,
which has more rungs, follows.
"""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import Final

from cta_taped.common import events
from cta_taped.common.errors import DRIVE_NOT_EMPTY, CtaError
from cta_taped.common.log import get_logger, log_event
from cta_taped.common.model import SessionTotals
from cta_taped.session.link import Link, command
from cta_taped.session.pipeline import as_cta_error
from cta_taped.tape.changer import Robot
from cta_taped.tape.drive import BlockProtection, TapeDrive

UNLOAD_TIMEOUT_S: Final = 960.0


class WayHome:
    """Brings one cartridge home, once."""

    def __init__(
        self,
        drive: TapeDrive,
        changer: Robot,
        ordinal: int,
        vid: str,
        move_timeout_s: float,
        link: Link,
        totals: SessionTotals,
    ) -> None:
        self._drive = drive
        self._changer = changer
        self._ordinal = ordinal
        self._vid = vid
        self._move_timeout_s = move_timeout_s
        self._link = link
        self._totals = totals
        self._done = False
        self._failure: CtaError | None = None
        self._log = get_logger()

    def go(self) -> None:
        """Unload and dismount; on return the drive is empty and the supervisor knows.

        Raises CtaError of the drive or the library when the cartridge may still be there, the same one at a
        second call: further attempts are the rescue's.
        """
        if self._failure is not None:
            raise self._failure
        if self._done:
            return
        try:
            self._go()
        except Exception as error:
            self._failure = as_cta_error(error, "the way home")
            raise self._failure from error
        self._done = True
        self._link.drive_empty()

    def _go(self) -> None:
        times = self._totals.times_s
        self._link.state("UNLOADING")
        begun = monotonic()
        self._unload()
        times["unloadTime"] += monotonic() - begun
        self._link.state("UNMOUNTING")
        begun = monotonic()
        with command(self._link, "dismount", self._move_timeout_s):
            location = self._changer.dismount(self._ordinal, self._vid)
        times["unmountTime"] += monotonic() - begun
        log_event(self._log, events.CARTRIDGE_DISMOUNTED, vid=self._vid, location=str(location))
        if self._drive.has_cartridge():
            raise CtaError(DRIVE_NOT_EMPTY, f"{self._vid}: dismounted, yet the drive still holds a cartridge")

    def _unload(self) -> None:
        drive = self._drive
        # A drive that refuses these must still give its cartridge back.
        with suppress(CtaError):
            drive.clear_encryption()
        if drive.has_cartridge():
            with command(self._link, "unload", UNLOAD_TIMEOUT_S):
                drive.unload()
            log_event(self._log, events.CARTRIDGE_UNLOADED, vid=self._vid)
        with suppress(CtaError):
            drive.set_block_protection(BlockProtection.OFF)
