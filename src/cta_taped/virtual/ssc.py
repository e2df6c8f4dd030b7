# SPDX-License-Identifier: GPL-3.0-or-later
"""A streaming tape drive at the level of its commands (SSC-4, SPC-4; IBM LTO and 3592 references).

``execute`` takes any command descriptor block and answers with data or sense. Strict where real drives are
strict; one partition, one initiator, variable blocks only, no compression that changes sizes. Errno and file
positions are the port's business, not a drive's.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Final

from cta_taped.common.scsi.port import Result
from cta_taped.virtual import log_pages, serpentine
from cta_taped.virtual.cartridge import Cartridge
from cta_taped.virtual.density import report_densities
from cta_taped.virtual.faults import LOAD, READ, TIMED_OUT, WRITE, TimedOut
from cta_taped.virtual.inquiry import inquiry
from cta_taped.virtual.loading import NOWHERE
from cta_taped.virtual.media import MEDIA
from cta_taped.virtual.positioning import PositioningUnit
from cta_taped.virtual.sense import (
    FILEMARK,
    INVALID_CDB_FIELD,
    INVALID_OPCODE,
    LIST_LENGTH,
    NO_SENSE,
    WRITE_ERROR,
    WRONG_LENGTH,
    CheckCondition,
    lto_sense,
)

_SHORT_POSITION: Final = struct.Struct(">BBxxIIxBHI")
_LONG_POSITION: Final = struct.Struct(">BxxxIQQ8x")
_CDB_LENGTH: Final = (6, 10, 10, 6, 16, 12, 6, 6)
# Where a command's allocation length lies: offset, width.
_ALLOCATION: Final[dict[int, tuple[int, int]]] = {
    0x03: (4, 1),
    0x12: (3, 2),
    0x1A: (4, 1),
    0x44: (7, 2),
    0x4D: (7, 2),
    0x5A: (7, 2),
    0xA0: (6, 4),
    0xA2: (6, 4),
    0xA3: (6, 4),
}
# Where the length of its parameter list lies.
_LIST: Final[dict[int, tuple[int, int]]] = {
    0x0A: (2, 3),
    0x15: (4, 1),
    0x4C: (7, 2),
    0x55: (7, 2),
    0xA4: (6, 4),
    0xB5: (6, 4),
}


def _fault_code(cdb: bytes) -> int:
    return LOAD if cdb[0] == LOAD & 0xFF and cdb[4] & 0x01 else cdb[0]


class StreamingDrive(PositioningUnit):
    """A drive with its command set."""

    def execute(
        self, cdb: bytes, data_out: bytes = b"", data_in_length: int = 0, timeout_s: float = math.inf
    ) -> Result:
        """Execute one command. Raises OSError for a drive that a fault disconnected."""
        self.timeout_s = timeout_s
        try:
            return Result(0, self.perform(cdb, data_out, data_in_length))
        except CheckCondition as check:
            return check.sense.result(check.data[:data_in_length])
        except TimedOut:
            return TIMED_OUT
        finally:
            self.timeout_s = math.inf

    def perform(self, cdb: bytes, data_out: bytes = b"", data_in_length: int = 0) -> bytes:
        """Execute one command; its data. Raises CheckCondition; TimedOut and OSError for a fault."""
        if self.faults.look():
            self._adopt_standing()
        self._blocks_left = 0
        opcode = cdb[0]
        if opcode not in (READ, WRITE):  # these two ask block by block
            try:
                for fault in self.faults.strike(_fault_code(cdb), self.timeout_s):
                    self._own(fault)
            except TimedOut as timed_out:
                if timed_out.executed:
                    self._run(cdb, data_out, data_in_length)
                raise
        return self._run(cdb, data_out, data_in_length)

    def _run(self, cdb: bytes, data_out: bytes, data_in_length: int) -> bytes:
        command = _COMMANDS.get(cdb[0])
        if command is None:
            raise CheckCondition(INVALID_OPCODE)
        if len(cdb) < _CDB_LENGTH[cdb[0] >> 5]:
            raise CheckCondition(INVALID_CDB_FIELD)
        if cdb[0] in _LIST:
            offset, width = _LIST[cdb[0]]
            wanted = int.from_bytes(cdb[offset : offset + width], "big")
            if len(data_out) < wanted:
                raise CheckCondition(LIST_LENGTH)
            data_out = data_out[:wanted]
        data = command(self, cdb, data_out)
        if cdb[0] in _ALLOCATION:
            offset, width = _ALLOCATION[cdb[0]]
            data = data[: int.from_bytes(cdb[offset : offset + width], "big")]
        return data[:data_in_length]

    def _test_unit_ready(self, cdb: bytes, data_out: bytes) -> bytes:
        self._admit()
        return b""

    def _inquiry(self, cdb: bytes, data_out: bytes) -> bytes:
        return inquiry(self.identity, cdb)

    def _report_luns(self, cdb: bytes, data_out: bytes) -> bytes:
        return struct.pack(">IIQ", 8, 0, 0)

    def _request_sense(self, cdb: bytes, data_out: bytes) -> bytes:
        try:
            cartridge = self._admit()
        except CheckCondition as check:
            return check.sense.pack()
        if self.identity.is_3592:
            return NO_SENSE.pack()
        wrap, lpos = serpentine.wrap_and_lpos(cartridge)
        return lto_sense(NO_SENSE, wrap, lpos, cartridge.image.object, cartridge.medium.medium_type)

    def _read_block_limits(self, cdb: bytes, data_out: bytes) -> bytes:
        return struct.pack(">IH", self.max_block_bytes, 1)

    def _report_density(self, cdb: bytes, data_out: bytes) -> bytes:
        if cdb[1] & 0x02:
            raise CheckCondition(INVALID_CDB_FIELD)
        mounted = self._admit().medium if cdb[1] & 0x01 else None
        media = [mounted] if mounted else [MEDIA[name] for name in MEDIA if name in self._accepted]
        return report_densities(media)

    # --- reading and writing by CDB ------------------------------------------------------------------------

    def _read_6(self, cdb: bytes, data_out: bytes) -> bytes:
        requested = int.from_bytes(cdb[2:5], "big")
        if cdb[1] & 0x01:
            raise CheckCondition(INVALID_CDB_FIELD)
        if not requested:
            return b""
        buffer = memoryview(bytearray(requested))
        try:
            length = self.read_block(buffer)
        except CheckCondition as check:
            raise CheckCondition(check.sense.with_information(requested)) from None
        if length == 0:
            raise CheckCondition(FILEMARK.with_information(requested))
        data = bytes(buffer[:length])
        silent = cdb[1] & 0x02 and length < requested
        if length != requested and not silent:
            raise CheckCondition(WRONG_LENGTH.with_information(requested - length), data)
        return data

    def _write_6(self, cdb: bytes, data_out: bytes) -> bytes:
        if cdb[1] & 0x01:
            raise CheckCondition(INVALID_CDB_FIELD)
        if data_out:
            self.write_block(data_out)
        return b""

    def _write_filemarks(self, cdb: bytes, data_out: bytes) -> bytes:
        count = int.from_bytes(cdb[2:5], "big")
        if cdb[1] & 0x02:
            raise CheckCondition(INVALID_CDB_FIELD)
        self.write_filemarks(count, immediate=bool(cdb[1] & 0x01))
        return b""

    def _erase(self, cdb: bytes, data_out: bytes) -> bytes:
        cartridge = self._admit()
        self._prepare_write(cartridge)
        try:
            cartridge.image.erase()
        except OSError as error:
            raise CheckCondition(WRITE_ERROR) from error
        self._append_at = NOWHERE
        return b""

    # --- positioning ---------------------------------------------------------------------------------------

    def _rewind(self, cdb: bytes, data_out: bytes) -> bytes:
        self.rewind()
        return b""

    def _locate_10(self, cdb: bytes, data_out: bytes) -> bytes:
        if cdb[1] & 0x02 and cdb[8]:
            raise CheckCondition(INVALID_CDB_FIELD)
        self.locate(int.from_bytes(cdb[3:7], "big"))
        return b""

    def _locate_16(self, cdb: bytes, data_out: bytes) -> bytes:
        kind, identifier = cdb[1] >> 3 & 0x03, int.from_bytes(cdb[4:12], "big")
        if kind == 2 or (cdb[1] & 0x02 and cdb[3]):
            raise CheckCondition(INVALID_CDB_FIELD)
        if kind == 3:
            self.locate_end()
        elif kind == 1:
            self.locate_file(identifier)
        else:
            self.locate(identifier)
        return b""

    def _space_6(self, cdb: bytes, data_out: bytes) -> bytes:
        self.space(cdb[1] & 0x0F, int.from_bytes(cdb[2:5], "big", signed=True))
        return b""

    def _space_16(self, cdb: bytes, data_out: bytes) -> bytes:
        self.space(cdb[1] & 0x0F, int.from_bytes(cdb[4:12], "big", signed=True))
        return b""

    def _read_position(self, cdb: bytes, data_out: bytes) -> bytes:
        action = cdb[1] & 0x1F
        if action not in (0x00, 0x01, 0x06) or (action != 0x06 and any(cdb[7:9])):
            raise CheckCondition(INVALID_CDB_FIELD)
        cartridge = self._admit()
        image = cartridge.image
        flags = (image.object == 0) << 7 | (image.offset > self._early_at) << 6
        if action == 0x06:
            return _LONG_POSITION.pack(flags, 0, image.object, image.marks_before())
        place = image.object
        if place > 0xFFFFFFFF:
            flags, place = flags | 0x02, 0
        return _SHORT_POSITION.pack(flags, 0, place, place, 0, 0, 0)

    # --- loading -------------------------------------------------------------------------------------------

    def _load_unload(self, cdb: bytes, data_out: bytes) -> bytes:
        if cdb[4] & 0x01:
            self.load()
        else:
            self.unload()
        return b""

    def _prevent(self, cdb: bytes, data_out: bytes) -> bytes:
        self.bay.settings.prevented = bool(cdb[4] & 0x01)
        self.bay.save()
        return b""

    # --- modes, logs, keys, order --------------------------------------------------------------------------

    def _mode_sense(self, cdb: bytes, data_out: bytes) -> bytes:
        cartridge = self._cartridge or self._visible()
        buffered = 0x10
        if cartridge is None:
            return self._mode.sense(cdb, 0, buffered, 0, False)
        memory, medium = cartridge.memory, cartridge.medium
        specific = buffered | (0x80 if self._protected else 0)
        return self._mode.sense(cdb, medium.medium_type, specific, medium.density, memory.worm)

    def _visible(self) -> Cartridge | None:
        """The cartridge for commands that do not need one."""
        try:
            return self._admit()
        except CheckCondition as check:
            if check.sense.key == 0x6:
                raise
            return None

    def _mode_select(self, cdb: bytes, data_out: bytes) -> bytes:
        cartridge = self._cartridge or self._visible()
        self._mode.select(cdb, data_out, cartridge.medium.density if cartridge else 0)
        self._lbp_write, self._lbp_read = self._mode.protection
        self._append_at = NOWHERE
        self.bay.save()
        return b""

    def _log_sense(self, cdb: bytes, data_out: bytes) -> bytes:
        settings = self.bay.settings
        self._visible()
        self._keep()
        source = log_pages.LogSource(
            counters=settings.counters,
            zero=settings.zero,
            cartridge=self._cartridge,
            alerts=settings.alerts,
        )
        data = log_pages.log_sense(self._pages, cdb, source)
        if cdb[2] & 0x3F == log_pages.TAPE_ALERT and settings.alerts:
            settings.alerts = []
            self.bay.save()
        return data

    def _log_select(self, cdb: bytes, data_out: bytes) -> bytes:
        settings = self.bay.settings
        self._keep()
        log_pages.log_select(self._pages, cdb, data_out, settings.counters, settings.zero)
        self.bay.save()
        return b""

    def _security_in(self, cdb: bytes, data_out: bytes) -> bytes:
        cartridge = self._visible()
        ahead = None
        if cartridge is not None and cartridge.image.peek() > 0:
            ahead = cartridge.key_at(cartridge.image.object)
        return self.bay.settings.encryption.receive(cdb, ahead)

    def _security_out(self, cdb: bytes, data_out: bytes) -> bytes:
        self._visible()
        self.bay.settings.encryption.take(cdb, data_out)
        self._append_at = NOWHERE
        self.bay.save()
        return b""

    def _has_order(self) -> bool:
        """RAO exists in full-height LTO-9 drives and in the 3592 family."""
        return self.identity.is_3592 or "TD9" in self.identity.product

    def _maintenance_in(self, cdb: bytes, data_out: bytes) -> bytes:
        action = cdb[1] & 0x1F
        if action == 0x1D and self._has_order():
            return self._order.receive(cdb)
        if action == 0x1F and cdb[2] == 0x45 and not self.identity.is_3592:
            return serpentine.wrap_ends(self._admit(), cdb)
        raise CheckCondition(INVALID_OPCODE if action == 0x1D else INVALID_CDB_FIELD)

    def _maintenance_out(self, cdb: bytes, data_out: bytes) -> bytes:
        if cdb[1] & 0x1F != 0x1D or not self._has_order():
            raise CheckCondition(INVALID_OPCODE)
        self._order.generate(cdb, data_out, self._admit())
        return b""


_COMMANDS: Final[dict[int, Callable[[StreamingDrive, bytes, bytes], bytes]]] = {
    0x00: StreamingDrive._test_unit_ready,
    0x01: StreamingDrive._rewind,
    0x03: StreamingDrive._request_sense,
    0x05: StreamingDrive._read_block_limits,
    0x08: StreamingDrive._read_6,
    0x0A: StreamingDrive._write_6,
    0x10: StreamingDrive._write_filemarks,
    0x11: StreamingDrive._space_6,
    0x12: StreamingDrive._inquiry,
    0x15: StreamingDrive._mode_select,
    0x19: StreamingDrive._erase,
    0x1A: StreamingDrive._mode_sense,
    0x1B: StreamingDrive._load_unload,
    0x1E: StreamingDrive._prevent,
    0x2B: StreamingDrive._locate_10,
    0x34: StreamingDrive._read_position,
    0x44: StreamingDrive._report_density,
    0x4C: StreamingDrive._log_select,
    0x4D: StreamingDrive._log_sense,
    0x55: StreamingDrive._mode_select,
    0x5A: StreamingDrive._mode_sense,
    0x91: StreamingDrive._space_16,
    0x92: StreamingDrive._locate_16,
    0xA0: StreamingDrive._report_luns,
    0xA2: StreamingDrive._security_in,
    0xA3: StreamingDrive._maintenance_in,
    0xA4: StreamingDrive._maintenance_out,
    0xB5: StreamingDrive._security_out,
}
