# SPDX-License-Identifier: GPL-3.0-or-later
"""What the supervisor remembers beyond its own life: one JSON file, replaced atomically at each change.

Holds the ownership of a cartridge, the operator's wish, and what the maintenance worker has not yet
carried out. An unreadable file is treated as a drive that may hold a cartridge and is wanted down: the
safe side of both.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from cta_taped.common.config_schema import Config
from cta_taped.common.errors import CONFIG_DRIVE_TAKEN, SYSTEM_STATE_LOST, CtaError
from cta_taped.supervisor.drive import Drive
from cta_taped.supervisor.rules import OUR_REASON

VERSION: Final = 1
AT_REST: Final = frozenset({"DOWN", "STOPPED", "WAITING"})
"""Phases in which no session runs."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """The content of the file. ``wish_revision`` counts local wishes; ``wish_written`` is the last one that
    reached the catalogue. ``dead_mounts`` are to be released, ``bad_tapes`` (VID, reason) to be disabled."""

    occupied: bool = True
    desired_up: bool = False
    reason: str | None = None
    vid: str | None = None
    mount_id: int | None = None
    phase: str = "DOWN"
    wish_revision: int = 0
    wish_written: int = 0
    dead_mounts: tuple[int, ...] = ()
    bad_tapes: tuple[tuple[str, str], ...] = ()
    version: int = field(default=VERSION)


_ADAPTER: Final = TypeAdapter(Remembered)


def restored(config: Config, remembered: Remembered) -> Drive:
    """The drive as an earlier life left it.

    A life that ended in the middle of a session may have left a cartridge, whatever it remembered last.
    """
    drive = Drive(
        name=config.drive.name,
        occupied=remembered.occupied or remembered.phase not in AT_REST,
        desired_up=remembered.desired_up,
        reason=remembered.reason,
        last_vid=remembered.vid,
    )
    if config.restart.desired_state == "down" and drive.desired_up:
        drive = replace(drive, desired_up=False, reason=f"{OUR_REASON}Startup")
    return drive


class StateFile:
    """``state.json`` of one drive, and the lock that makes this process its only owner."""

    def __init__(self, directory: Path) -> None:
        """Create the directory if needed and take the lock.

        Raises CtaError CONFIG_DRIVE_TAKEN when another daemon serves this drive, SYSTEM_STATE_LOST when the
        directory cannot be used.
        """
        self._path = directory / "state.json"
        self._written: Remembered | None = None
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CtaError(SYSTEM_STATE_LOST, f"{directory}: {error.strerror}") from None
        try:
            os.lockf(self._lock, os.F_TLOCK, 0)
        except OSError:
            os.close(self._lock)
            raise CtaError(
                CONFIG_DRIVE_TAKEN, f"{directory}: another cta-taped serves this drive; stop it first"
            ) from None

    def load(self) -> tuple[Remembered, CtaError | None]:
        """What was remembered, and what was wrong with it (then the safe default is returned)."""
        try:
            remembered = _ADAPTER.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return Remembered(), None
        except (OSError, ValidationError):
            text = f"{self._path}: not readable; the drive is taken to be wanted down and to hold a cartridge"
            return Remembered(), CtaError(SYSTEM_STATE_LOST, text)
        self._written = remembered
        return remembered, None

    def save(self, remembered: Remembered) -> None:
        """Replace the file when something changed, durably.

        Raises CtaError SYSTEM_STATE_LOST when the disk does not take it.
        """
        if remembered == self._written:
            return
        new = self._path.with_suffix(".new")
        try:
            with new.open("wb") as file:
                file.write(_ADAPTER.dump_json(remembered))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise CtaError(SYSTEM_STATE_LOST, f"{self._path}: {error.strerror}") from None
        self._written = remembered

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._lock)
