# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a block to and from the virtual tape: READ, WRITE and WRITE FILEMARKS without their CDBs.

Here are the hot paths, ``read_block`` and ``write_block``: READ(6) and WRITE(6) in variable mode into and out
of the caller's own buffer, with block protection, encryption marks, early warning and faults, for a few
microseconds a block.
"""

from __future__ import annotations

from crc32c import crc32c

from cta_taped.virtual.block_index import MARK
from cta_taped.virtual.cartridge import CRC_BYTES, Cartridge
from cta_taped.virtual.faults import READ, WRITE, Fault, TimedOut
from cta_taped.virtual.loading import NOWHERE, POSITION, LoadingUnit
from cta_taped.virtual.sense import (
    EARLY_WARNING,
    END_NOT_FOUND,
    END_OF_DATA,
    GUARD_CHECK,
    INVALID_CDB_FIELD,
    READ_CRC_ERROR,
    READ_ERROR,
    VOLUME_OVERFLOW,
    WORM_OVERWRITE,
    WRITE_ERROR,
    WRITE_PROTECTED,
    CheckCondition,
)
from cta_taped.virtual.tap_image import DamagedRecord


class RecordingUnit(LoadingUnit):
    """A drive's head."""

    def read_block(self, buffer: memoryview) -> int:
        """READ(6), variable mode: fill ``buffer`` with one block; the block's own length, which may
        exceed the buffer's, or 0 for a filemark.

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

    def _read(self, buffer: memoryview) -> int:
        cartridge = self._ready or self._admit()
        image = cartridge.image
        length = image.peek()
        if length <= 0:
            if length != MARK:
                raise CheckCondition(END_NOT_FOUND if image.damaged else END_OF_DATA)
            image.skip()
            POSITION.pack_into(self._position, 0, image.object)
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
        POSITION.pack_into(self._position, 0, image.object)
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
        POSITION.pack_into(self._position, 0, image.object)
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
            POSITION.pack_into(self._position, 0, image.object)
        if not immediate:
            if self._timing is not None:
                self._timing.flush()
            self.bay.settings.counters.flushes += 1
            self._keep()
        if count and image.offset > self._early_at:
            raise CheckCondition(EARLY_WARNING)
