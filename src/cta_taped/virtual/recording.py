# SPDX-License-Identifier: GPL-3.0-or-later
"""The inside of a virtual drive: the cartridge threaded or not, and the way of a block to and from the tape.

Here are the hot paths, ``read_block`` and ``write_block``: READ(6) and WRITE(6) in variable mode into and out of
the caller's own buffer, with block protection, encryption marks, early warning and faults, for a few
microseconds a block. Commands other than these are in ``ssc``; what holds the cartridge is the bay's business.
"""

from __future__ import annotations

import math
import re
import struct
from typing import Final

from crc32c import crc32c

from cta_taped.virtual import log_pages, mode_pages, serpentine
from cta_taped.virtual.bay import Bay
from cta_taped.virtual.block_index import MARK
from cta_taped.virtual.cartridge import CRC_BYTES, Cartridge
from cta_taped.virtual.faults import READ, WRITE, Fault, Faults, Kind, TimedOut
from cta_taped.virtual.inquiry import UnitIdentity
from cta_taped.virtual.media import MEDIA
from cta_taped.virtual.sense import (
    EARLY_WARNING,
    END_NOT_FOUND,
    END_OF_DATA,
    GUARD_CHECK,
    INCOMPATIBLE_MEDIUM,
    INVALID_CDB_FIELD,
    MEDIUM_CHANGED,
    NOT_LOADED,
    POWER_ON,
    READ_CRC_ERROR,
    READ_ERROR,
    REMOVAL_PREVENTED,
    VOLUME_OVERFLOW,
    WORM_OVERWRITE,
    WRITE_ERROR,
    WRITE_PROTECTED,
    CheckCondition,
    Sense,
)
from cta_taped.virtual.tap_image import DamagedRecord
from cta_taped.virtual.timing import Timing

MAX_BLOCK_LTO: Final = 0x800000
MAX_BLOCK_3592: Final = 0x200000
_POSITION: Final = struct.Struct("<Q")
NOWHERE: Final = -1
_PREVENTED_ALERT: Final = 10


def _accepted(product: str) -> frozenset[str]:
    """Names of the media that a drive of this product takes; every one for a product of no known family."""
    if "03592" in product:
        generation = {"60": "3592JE", "70": "3592JF"}.get(product[5:7])
        return frozenset({generation} if generation else MEDIA)
    found = re.search(r"(?:TD|HH|Ultrium )(\d+)", product)
    if found is None or int(found[1]) not in (7, 8, 9):
        return frozenset(MEDIA)
    level = int(found[1])
    own = {f"LTO-{level}", f"LTO-{level - 1}"} | ({"LTO-7M"} if level == 8 else set())
    return frozenset(own | {name for name in MEDIA if name.startswith("TEST")})


class RecordingUnit:
    """A drive's inside. Not for two threads at once, as a drive executes one command at a time."""

    def __init__(self, identity: UnitIdentity, bay: Bay, faults: Faults, speed: float) -> None:
        """``speed``: divisor of all times, 0 for none (see ``timing``)."""
        self.identity = identity
        self.bay = bay
        self.faults = faults
        self.max_block_bytes = MAX_BLOCK_3592 if identity.is_3592 else MAX_BLOCK_LTO
        self._speed = speed
        self._timing: Timing | None = None
        self._accepted = _accepted(identity.product)
        self._cartridge: Cartridge | None = None
        self._ready: Cartridge | None = None
        self._order = serpentine.AccessOrder()
        self._mode = mode_pages.ModePages(bay.settings.mode)
        self._pages = log_pages.PAGES_3592 if identity.is_3592 else log_pages.LTO_PAGES
        self._position = bay.position
        self._append_at = NOWHERE
        self._early_at = self._end_at = 0
        self._protected = False
        self._host_written = bay.settings.counters.host_written
        self._host_read = bay.settings.counters.host_read
        self._blocks_left = 0
        self.timeout_s = math.inf  # of the command in execution; st's own are longer than any test
        self._lbp_write, self._lbp_read = self._mode.protection

    # --- the cartridge -------------------------------------------------------------------------------------

    def _admit(self) -> Cartridge:
        """The threaded cartridge. Raises CheckCondition: not ready, or an attention that is still to be told."""
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
            raise CheckCondition(Sense(0x3, INCOMPATIBLE_MEDIUM.asc, INCOMPATIBLE_MEDIUM.ascq))
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
        self._protected = cartridge.memory.write_protected or Kind.WRITE_PROTECT in standing
        self._append_at = NOWHERE

    def _moved(self, cartridge: Cartridge) -> None:
        _POSITION.pack_into(self._position, 0, cartridge.image.object)

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
        self._keep()
        if self._cartridge is not None:
            self._cartridge.close()
            self._cartridge = self._ready = None
        self.bay.close()

    # --- blocks --------------------------------------------------------------------------------------------

    def read_block(self, buffer: memoryview) -> int:
        """READ(6), variable mode: fill ``buffer`` with one block; the block's own length, which may exceed the
        buffer's, or 0 for a filemark.

        Raises CheckCondition; TimedOut and OSError for a fault.
        """
        if self._blocks_left > 0:
            self._blocks_left -= 1
            return self._read(buffer)
        flips = self._strike_block(READ)
        length = self._read(buffer)
        for fault in flips:
            buffer[fault.bit // 8 % max(1, min(length, len(buffer)))] ^= 1 << fault.bit % 8
        return length

    def write_block(self, block: bytes | memoryview) -> None:
        """WRITE(6), variable mode: record one block.

        Raises CheckCondition, also for a block that was recorded behind early warning (EOM, no sense key);
        TimedOut and OSError for a fault.
        """
        if self._blocks_left > 0:
            self._blocks_left -= 1
            self._write(block)
            return
        try:
            flips = self._strike_block(WRITE)
        except TimedOut as timed_out:
            if timed_out.executed:
                self._write(block)
            raise
        if not flips:
            self._write(block)
            return
        self._check_guard(block)
        damaged = bytearray(block)
        for fault in flips:
            damaged[fault.bit // 8 % len(damaged)] ^= 1 << fault.bit % 8
        self._write(memoryview(damaged), guarded=False)

    def _strike_block(self, opcode: int) -> list[Fault]:
        if self.faults.look():
            self._adopt_standing()
        self._blocks_left = self.faults.blocks_until_look
        at_object = self._cartridge.image.object if self._cartridge else NOWHERE
        return [fault for fault in self.faults.strike(opcode, self.timeout_s, at_object) if self._own(fault)]

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

    def _read(self, buffer: memoryview) -> int:
        cartridge = self._ready or self._admit()
        image = cartridge.image
        length = image.peek()
        if length <= 0:
            if length != MARK:
                raise CheckCondition(END_NOT_FOUND if image.damaged else END_OF_DATA)
            image.skip()
            _POSITION.pack_into(self._position, 0, image.object)
            return 0
        if cartridge.memory.keys or self.bay.settings.encryption.decrypting:
            refused = self.bay.settings.encryption.refusal(cartridge.key_at(image.object))
            if refused is not None:
                raise CheckCondition(refused)
        if self._timing is not None:
            self._timing.transfer(length)
        try:
            if self._lbp_read == cartridge.protected:
                image.take((buffer if len(buffer) <= length else buffer[:length],))
            else:
                length = self._read_converted(cartridge, buffer, length)
        except DamagedRecord:
            return self._read_again(cartridge, buffer)
        except OSError as error:
            self.bay.settings.counters.read_errors += 1
            raise CheckCondition(READ_ERROR) from error
        _POSITION.pack_into(self._position, 0, image.object)
        self._host_read += length
        return length

    def _read_converted(self, cartridge: Cartridge, buffer: memoryview, length: int) -> int:
        """A block of a medium with protection to a host without it, or the reverse."""
        image = cartridge.image
        if cartridge.protected:
            if length <= CRC_BYTES:
                raise CheckCondition(READ_ERROR)
            payload = length - CRC_BYTES
            if len(buffer) < payload:
                image.take((buffer,))
                return payload
            stored = bytearray(CRC_BYTES)
            image.take((buffer[:payload], stored))
            if crc32c(buffer[:payload]) != int.from_bytes(stored, "little"):
                # The host cannot find out any more, so the drive must tell.
                self.bay.settings.counters.read_errors += 1
                raise CheckCondition(READ_CRC_ERROR)
            return payload
        room = len(buffer)
        if room >= length + CRC_BYTES:
            image.take((buffer[:length],))
            buffer[length : length + CRC_BYTES] = crc32c(buffer[:length]).to_bytes(CRC_BYTES, "little")
        else:
            image.take((buffer[: min(room, length)],))
        return length + CRC_BYTES

    def _read_again(self, cartridge: Cartridge, buffer: memoryview) -> int:
        """The record is not where the index says: believe the image; if it is damaged, so is the tape."""
        image = cartridge.image
        image.rebuild()
        try:
            if image.peek() > 0:
                image.take((buffer[: image.length],))
                image.locate(image.object - 1)
                return self._read(buffer)
        except DamagedRecord:
            pass
        self.bay.settings.counters.read_errors += 1
        raise CheckCondition(READ_ERROR)

    def _write(self, block: bytes | memoryview, *, guarded: bool = True) -> None:
        cartridge = self._ready or self._admit()
        image = cartridge.image
        if image.object != self._append_at:
            self._prepare_write(cartridge)
        size = len(block)
        if self._lbp_write and guarded:
            self._check_guard(block)
        if size > self.max_block_bytes + CRC_BYTES * self._lbp_write:
            raise CheckCondition(INVALID_CDB_FIELD)
        if image.offset + size > self._end_at:
            raise CheckCondition(VOLUME_OVERFLOW.with_information(size))
        if self._timing is not None:
            self._timing.transfer(size)
        try:
            if self._lbp_write == cartridge.protected:
                image.append(block)
            elif cartridge.protected:
                image.append_split(block, crc32c(block).to_bytes(CRC_BYTES, "little"))
            else:
                image.append(memoryview(block)[:-CRC_BYTES])
        except OSError as error:
            self.bay.settings.counters.write_errors += 1
            raise CheckCondition(WRITE_ERROR) from error
        self._append_at = image.object
        _POSITION.pack_into(self._position, 0, image.object)
        self._host_written += size
        if image.offset > self._early_at:
            raise CheckCondition(EARLY_WARNING)

    def _check_guard(self, block: bytes | memoryview) -> None:
        if not self._lbp_write:
            return
        view = memoryview(block)
        if len(view) <= CRC_BYTES:
            raise CheckCondition(INVALID_CDB_FIELD)
        if crc32c(view[:-CRC_BYTES]) != int.from_bytes(view[-CRC_BYTES:], "little"):
            raise CheckCondition(GUARD_CHECK)

    def _prepare_write(self, cartridge: Cartridge) -> None:
        """The first write at a place: may it be written at all, and what must be known before it is."""
        image = cartridge.image
        if self._protected:
            raise CheckCondition(WRITE_PROTECTED)
        if image.object != image.objects and (cartridge.memory.worm or self._mode.append_only):
            raise CheckCondition(WORM_OVERWRITE)
        if image.object == 0:
            cartridge.decide_protection(self._lbp_write)
        cartridge.seal(image.object, self.bay.settings.encryption.write_fingerprint)

    def write_filemarks(self, count: int, *, immediate: bool) -> None:
        """WRITE FILEMARKS(6); ``count`` 0 only flushes. Raises CheckCondition as ``write_block``."""
        cartridge = self._ready or self._admit()
        image = cartridge.image
        if count:
            if image.object != self._append_at:
                self._prepare_write(cartridge)
            if image.offset + 4 * count > self._end_at:
                raise CheckCondition(VOLUME_OVERFLOW.with_information(count))
            try:
                image.append_marks(count)
            except OSError as error:
                self.bay.settings.counters.write_errors += 1
                raise CheckCondition(WRITE_ERROR) from error
            self._append_at = image.object
            _POSITION.pack_into(self._position, 0, image.object)
        if not immediate:
            if self._timing is not None:
                self._timing.flush()
            self.bay.settings.counters.flushes += 1
            self._keep()
        if count and image.offset > self._early_at:
            raise CheckCondition(EARLY_WARNING)

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
        self.bay.unload()
