# SPDX-License-Identifier: GPL-3.0-or-later
"""A drive of a library directory: its lock, its cartridge, and the memory it keeps across processes.

One process at a time has the drive, by a lock that dies with it. The position is a mapped file of eight
bytes, so that keeping it costs a store a block; the rest lies in the library's database and is written
when it changes. The robot cannot take a threaded cartridge, so a drive that has one need not ask where it
is.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import time
from typing import Final

from pydantic import ValidationError

from cta_taped.common.errors import CONFIG_VTL, DRIVE_BUSY, CtaError
from cta_taped.virtual.bay import DriveSettings
from cta_taped.virtual.cartridge import Cartridge
from cta_taped.virtual.elements import DriveState
from cta_taped.virtual.library import Library
from cta_taped.virtual.reservation import Reservation
from cta_taped.virtual.sense import BECOMING_READY, CARTRIDGE_FAULT, NO_MEDIUM, NOT_LOADED, Sense

_POSITION_BYTES: Final = 8


class LibraryBay:
    """A ``Bay`` in a library. It owns the library object that it is given."""

    def __init__(self, library: Library, number: int) -> None:
        """Reserve the drive. Raises CtaError LIBRARY_ELEMENT, DRIVE_BUSY, CONFIG_VTL."""
        self._library = library
        self._number = number
        library.drive(number)
        kept = library.drive_record(number)["settings"]
        try:
            self.settings = DriveSettings.model_validate_json(kept)
        except ValidationError as error:
            text = f"{library.directory}: what drive {number} remembered cannot be read"
            raise CtaError(CONFIG_VTL, text, drive_number=number) from error
        directory = library.directory / "drives"
        lock = directory / f"{number}.lock"
        lock.touch()
        try:
            self._reservation = Reservation(lock)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            text = f"drive {number} of {library.directory} is held by another process"
            raise CtaError(DRIVE_BUSY, text, errno=errno.EBUSY) from None
        fd = os.open(directory / f"{number}.position", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.ftruncate(fd, _POSITION_BYTES)
            self.position: bytearray | mmap.mmap = mmap.mmap(fd, _POSITION_BYTES)
        finally:
            os.close(fd)
        self._kept = kept
        self._closed = False

    def look(self) -> Cartridge | Sense:
        """Ask the directory what the robot has put here, and thread it in time."""
        record = self._library.drive_record(self._number)
        vid = record["vid"]
        if vid is None:
            return NO_MEDIUM
        if record["state"] == DriveState.UNLOADED:
            return NOT_LOADED
        if record["ready_at"] > time.time():
            return BECOMING_READY
        image, memory_path = self._library.image_path(vid), self._library.memory_path(vid)
        try:
            cartridge = Cartridge(image, self._library.memory(vid), memory_path, bare=False)
        except OSError:
            return CARTRIDGE_FAULT
        if record["fresh"]:
            self.settings.attention[:] = [(asc, ascq) for asc, ascq in json.loads(record["attention"])]
            self.position[:] = bytes(_POSITION_BYTES)
            cartridge.memory.loads += 1
            cartridge.save()
            self._kept = self.settings.model_dump_json()
            self._library.update_drive(self._number, fresh=False, attention="[]", settings=self._kept)
        cartridge.image.locate(int.from_bytes(self.position[:], "little"))
        return cartridge

    def load(self) -> None:
        """Begin to thread what sits here."""
        record = self._library.drive_record(self._number)
        ready_at = time.time() + self._library.load_time_s(record["vid"])
        self.position[:] = bytes(_POSITION_BYTES)
        self._library.update_drive(self._number, state=DriveState.LOADED, ready_at=ready_at, fresh=False)

    def unload(self, cartridge: Cartridge) -> None:
        """Offer the cartridge to the robot."""
        cartridge.close()
        self.position[:] = bytes(_POSITION_BYTES)
        self._kept = self.settings.model_dump_json()
        self._library.update_drive(self._number, state=DriveState.UNLOADED, settings=self._kept)

    def save(self) -> None:
        """Keep the settings, if they changed."""
        settings = self.settings.model_dump_json()
        if settings != self._kept:
            self._library.update_drive(self._number, settings=settings)
            self._kept = settings

    def close(self) -> None:
        """Let go of the drive; the cartridge stays where it is."""
        if self._closed:
            return
        self._closed = True
        if isinstance(self.position, mmap.mmap):
            self.position.close()
        self._reservation.release()
        self._library.close()
