# SPDX-License-Identifier: GPL-3.0-or-later
"""The rescue ladder: after a session that did not confirm an empty drive, bring the cartridge to a slot.

Rungs (DESIGN 7): ask the drive, ask the library, end encryption and block protection, unload (what is on
the tape does not matter), dismount by the barcode that the library reports, verify. Each rung's outcome
is logged. What cannot be brought home is quarantined with its location. The rescue needs no database.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

from cta_taped.common import events
from cta_taped.common.config_schema import Config
from cta_taped.common.errors import (
    CONFIG_INVALID,
    DRIVE_NO_CARTRIDGE,
    DRIVE_NOT_EMPTY,
    LIBRARY_ELEMENT,
    SYSTEM_RESCUE_FAILED,
    CtaError,
)
from cta_taped.common.log import get_logger, log_error, log_event
from cta_taped.common.scsi.elements import Element
from cta_taped.common.scsi.port import open_tape_port
from cta_taped.session.home import UNLOAD_TIMEOUT_S
from cta_taped.session.link import Link, command
from cta_taped.tape.changer import Robot, open_changer
from cta_taped.tape.drive import BlockProtection, TapeDrive
from cta_taped.tape.slots import drive_ordinal

# Waits before each further attempt of a rung, in seconds: a drive that is still loading or a robot that is
# still scanning is usually back within them.
_T = TypeVar("_T")

WAITS_S: Final = (0.0, 2.0, 10.0, 30.0)
# A drive that does not exist does not appear by waiting for it.
_OF_THE_CONFIGURATION: Final = (CONFIG_INVALID, LIBRARY_ELEMENT)


def _seen(element: Element | None) -> str:
    return "empty" if element is None else f"{element.barcode or 'a cartridge'} from element {element.source}"


class Rescue:
    """The ladder for one drive; ``climb`` is called once."""

    def __init__(self, config: Config, vid: str | None, link: Link) -> None:
        """``vid``: the cartridge that the supervisor last knew in the drive, for the quarantine's report."""
        self._config = config
        self._vid = vid
        self._link = link
        self._ordinal = drive_ordinal(config.drive.library_slot) or 0
        self._asked = False
        self._log = get_logger()

    def climb(self) -> bool:
        """Whether the drive is empty at the end; then the supervisor was told."""
        log_event(self._log, events.RESCUE_STARTED, vid=self._vid)
        try:
            where = self._climb()
        except CtaError as error:
            self._quarantine(error)
            return False
        log_event(self._log, events.RESCUE_FINISHED, outcome=where)
        self._link.drive_empty()
        return True

    def _climb(self) -> str:
        changer = self._rung("open library", self._open_changer, lambda _: "open")
        drive = self._rung("open drive", self._open_drive, lambda _: "open")
        try:
            return self._empty(drive, changer)
        finally:
            drive.close()
            changer.close()

    def _empty(self, drive: TapeDrive, changer: Robot) -> str:
        in_drive = self._rung("ask drive", drive.has_cartridge)
        self._asked = True
        element = self._rung("ask library", lambda: changer.loaded(self._ordinal), _seen)
        if not in_drive and element is None:
            return "the drive is empty"
        if element is not None and element.vid:
            self._vid = element.vid
        with suppress(CtaError):
            drive.clear_encryption()
        # ACCESS: the drive let go of the cartridge already, and would refuse a second unload (SMC-3 6.11.4).
        if in_drive and not (element is not None and element.access):
            self._rung("unload", lambda: self._unload(drive))
        with suppress(CtaError):
            drive.set_block_protection(BlockProtection.OFF)
        location = self._rung("dismount", lambda: self._dismount(changer))
        element = self._rung("verify", lambda: changer.loaded(self._ordinal), _seen)
        if drive.has_cartridge() or element is not None:
            raise CtaError(DRIVE_NOT_EMPTY, f"{self._vid or 'a cartridge'} was dismounted and is still there")
        return f"{self._vid or 'the cartridge'} is in {location}"

    def _rung(self, name: str, attempt: Callable[[], _T], tell: Callable[[_T], str] = str) -> _T:
        """One rung: several attempts with growing waits, each outcome logged as ``tell`` says it."""
        failure: CtaError | None = None
        for wait_s in WAITS_S:
            if wait_s:
                self._link.wait(wait_s)
            try:
                result = attempt()
            except CtaError as error:
                failure = error
                log_error(self._log, error, event=events.RESCUE_STEP, rung=name, outcome="failed")
                if error.spec in _OF_THE_CONFIGURATION:
                    break
                continue
            log_event(self._log, events.RESCUE_STEP, rung=name, outcome=tell(result))
            return result
        assert failure is not None
        raise failure

    def _open_drive(self) -> TapeDrive:
        return TapeDrive(open_tape_port(self._config.drive.device))

    def _open_changer(self) -> Robot:
        drive = self._config.drive
        return open_changer(drive.changer, drive.library_slot, self._config.changer_lock)

    def _unload(self, drive: TapeDrive) -> str:
        try:
            with command(self._link, "unload", UNLOAD_TIMEOUT_S):
                drive.unload()
        except CtaError as error:
            if error.spec is not DRIVE_NO_CARTRIDGE:
                raise
            return "nothing is loaded"
        return "unloaded"

    def _dismount(self, changer: Robot) -> str:
        with command(self._link, "dismount", self._config.library.move_timeout_s):
            return str(changer.dismount(self._ordinal, None))

    def _quarantine(self, error: CtaError) -> None:
        vid, drive = self._vid or "", self._config.drive.name
        if self._asked or vid:
            text = f"{vid or 'a cartridge'} could not be brought home from {drive}: {error}"
        else:
            text = f"it cannot be found out whether {drive} holds a cartridge: {error}"
        failure = CtaError(SYSTEM_RESCUE_FAILED, text, cause_code=error.code)
        log_error(self._log, failure, event=events.QUARANTINED, location=drive)
        if vid:
            self._link.quarantined(vid, f"[cta-taped] {failure}")
        self._link.failed(failure, drive_down=True)
