# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual drive with its cartridge: threading and unthreading it, and what the drive remembers.

The state of the unit and its changes by load, unload, reset and faults; what passes the head is in
``recording``, the command set in ``ssc``, the place that holds the cartridge in ``bay``.
"""

from __future__ import annotations

import math
import struct
from typing import Final

from cta_taped.virtual import log_pages, mode_pages, serpentine
from cta_taped.virtual.bay import Bay
from cta_taped.virtual.cartridge import Cartridge
from cta_taped.virtual.faults import Fault, Faults, Kind
from cta_taped.virtual.inquiry import UnitIdentity
from cta_taped.virtual.media import accepted_media
from cta_taped.virtual.sense import (
    INCOMPATIBLE_MEDIUM,
    MEDIUM_CHANGED,
    NOT_LOADED,
    POWER_ON,
    REMOVAL_PREVENTED,
    CheckCondition,
    Sense,
)
from cta_taped.virtual.timing import Timing

MAX_BLOCK_LTO: Final = 0x800000
MAX_BLOCK_3592: Final = 0x200000
POSITION: Final = struct.Struct("<Q")
NOWHERE: Final = -1
_PREVENTED_ALERT: Final = 10


class LoadingUnit:
    """A drive's inside. Not for two threads at once, as a drive executes one command at a time."""

    def __init__(self, identity: UnitIdentity, bay: Bay, faults: Faults, speed: float) -> None:
        """``speed``: divisor of all times, 0 for none (see ``timing``)."""
        self.identity = identity
        self.bay = bay
        self.faults = faults
        self.max_block_bytes = MAX_BLOCK_3592 if identity.is_3592 else MAX_BLOCK_LTO
        self._speed = speed
        self._timing: Timing | None = None
        self._accepted = accepted_media(identity.product)
        self._cartridge: Cartridge | None = None
        self._ready: Cartridge | None = None
        self._order = serpentine.AccessOrder()
        self._mode = mode_pages.ModePages(bay.settings.mode)
        self._pages = log_pages.PAGES_3592 if identity.is_3592 else log_pages.LTO_PAGES
        self._position = bay.position
        self._append_at = NOWHERE
        self._early_at = self._end_at = 0
        self._protected = self._closed = False
        self._host_written = bay.settings.counters.host_written
        self._host_read = bay.settings.counters.host_read
        self._blocks_left = 0
        self.timeout_s = math.inf  # of the command in execution; st's own are longer than any test
        self._lbp_write, self._lbp_read = self._mode.protection

    # --- the cartridge -------------------------------------------------------------------------------------

    def _admit(self) -> Cartridge:
        """The threaded cartridge. Raises CheckCondition: not ready, or an attention that is still to be
        told.
        """
        attention = self.bay.settings.attention
        if not attention and self._cartridge is None:
            found = self.bay.look()
            if isinstance(found, Sense):
                raise CheckCondition(found)
            self._thread(found)
        if attention:
            asc, ascq = attention.pop(0)
            self.bay.save()
            raise CheckCondition(Sense(0x6, asc, ascq))
        assert self._cartridge is not None
        self._ready = self._cartridge
        return self._ready

    def _thread(self, cartridge: Cartridge) -> None:
        if cartridge.medium.name not in self._accepted:
            cartridge.close()
            self.bay.settings.attention.clear()
            raise CheckCondition(INCOMPATIBLE_MEDIUM)
        self._cartridge = cartridge
        self._append_at = NOWHERE
        if self._speed:
            self._timing = Timing(self._speed, cartridge.medium, cartridge.memory.capacity_bytes)
        self._adopt_standing()

    def _adopt_standing(self) -> None:
        """Take over what the standing faults say about the medium."""
        cartridge = self._cartridge
        if cartridge is None:
            return
        standing = {fault.kind: fault for fault in self.faults.standing}
        end = standing.get(Kind.EARLY_END)
        self._end_at = end.size_bytes if end else cartridge.end_at
        self._early_at = self._end_at - cartridge.memory.early_warning_bytes
        self._protected = cartridge.write_protected or Kind.WRITE_PROTECT in standing
        self._append_at = NOWHERE

    def _moved(self, cartridge: Cartridge) -> None:
        POSITION.pack_into(self._position, 0, cartridge.image.object)

    def file_and_block(self) -> tuple[int, int]:
        """Filemarks before the head, and blocks since the last of them. Raises CheckCondition: not ready."""
        image = self._admit().image
        marks = image.marks_before()
        return marks, image.object - (image.object_after_mark(marks) if marks else 0)

    def _keep(self) -> None:
        """Bring the counters into the settings, and those and the index to disk."""
        counters = self.bay.settings.counters
        counters.host_written = counters.tape_written = self._host_written
        counters.host_read = counters.tape_read = self._host_read
        if self._cartridge is not None:
            self._cartridge.image.checkpoint()
        self.bay.save()

    def power_cycle(self) -> None:
        """The drive loses power: modes, key and position are gone, the cartridge is at its beginning."""
        settings = self.bay.settings
        settings.mode.clear()
        settings.encryption = type(settings.encryption)()
        settings.prevented = False
        settings.attention[:] = [(POWER_ON.asc, POWER_ON.ascq)]
        self._lbp_write = self._lbp_read = False
        self._append_at = NOWHERE
        self._ready = None
        if self._cartridge is not None:
            self._cartridge.image.locate(0)
            self._moved(self._cartridge)
        self.bay.save()

    def close(self) -> None:
        """Let go of drive and cartridge; what the drive knows stays with it. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._keep()
        if self._cartridge is not None:
            self._cartridge.close()
            self._cartridge = self._ready = None
        self.bay.close()

    # --- loading -------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Thread the cartridge, or rewind a threaded one. Raises CheckCondition when there is none."""
        settings = self.bay.settings
        if self._cartridge is None:
            found = self.bay.look()
            if found is NOT_LOADED:
                self.bay.load()
                settings.attention[:] = [(MEDIUM_CHANGED.asc, MEDIUM_CHANGED.ascq)]
                self.bay.save()
                return
            if isinstance(found, Sense):
                raise CheckCondition(found)
            self._thread(found)
        cartridge = self._admit()
        cartridge.image.locate(0)
        self._moved(cartridge)

    def unload(self) -> None:
        """Rewind and unthread the cartridge; one that is unthreaded already is left so.

        Raises CheckCondition: none there, still loading, removal prevented.
        """
        settings = self.bay.settings
        if self._cartridge is None:
            found = self.bay.look()
            if found is NOT_LOADED:
                return
            if isinstance(found, Sense):
                raise CheckCondition(found)
            self._cartridge = found
        if settings.prevented:
            self._raise_alerts([_PREVENTED_ALERT])
            raise CheckCondition(REMOVAL_PREVENTED)
        cartridge = self._cartridge
        if self._timing is not None:
            self._timing.rewind(cartridge.image.offset)
            self._timing.unload()
        cartridge.image.locate(0)
        self._moved(cartridge)
        self._keep()
        memory, counters = cartridge.memory, settings.counters
        memory.written_bytes += counters.host_written
        memory.read_bytes += counters.host_read
        memory.uncorrected_writes += counters.write_errors
        memory.uncorrected_reads += counters.read_errors
        cartridge.save()
        settings.counters, settings.zero = type(counters)(), type(counters)()
        self._host_written = self._host_read = 0
        settings.alerts = []
        settings.attention.clear()
        self._mode.reset(mode_pages.DATA_PROTECTION)  # IBM drives end block protection with the mount
        self._lbp_write = self._lbp_read = False
        self._order.forget()
        self._cartridge = self._ready = self._timing = None
        self._append_at = NOWHERE
        self.bay.unload(cartridge)

    # --- faults --------------------------------------------------------------------------------------------

    def _own(self, fault: Fault) -> bool:
        """Carry out a fault of the drive's own; whether it is one that concerns the block's bits."""
        if fault.kind is Kind.ALERT:
            self._raise_alerts(fault.alerts)
        elif fault.kind is Kind.RESET:
            self.power_cycle()
        return fault.kind is Kind.FLIP

    def _raise_alerts(self, flags: list[int]) -> None:
        settings = self.bay.settings
        settings.alerts = sorted({*settings.alerts, *flags})
        self.bay.save()
