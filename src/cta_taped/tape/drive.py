# SPDX-License-Identifier: GPL-3.0-or-later
"""A tape drive: the one class between a ``TapePort`` and everything that reads or writes tapes.

It moves blocks, marks and the tape, and turns every errno and sense into a CtaError. It knows nothing of
labels, files, sessions or libraries. No fake of it exists: tests put a virtual drive under it.

Buffers: a payload buffer handed to ``write_block`` or ``read_block`` always has PROTECTION_BYTES spare bytes
at its end, whether or not block protection is on, so that a CRC never costs a copy.

A lost position is contained here: after a reset, a changed medium or most EIO nothing more is read or written
until ``rewind`` or ``locate`` succeeded, because a write at a wrong place destroys data (scsi-tape
reference 4.4: pass-through commands can swallow the unit attention that would have made st refuse).
"""

from __future__ import annotations

import errno
import struct
import time
from collections.abc import Callable
from typing import Final, NoReturn

from crc32c import crc32c

from cta_taped.common import errors
from cta_taped.common.errors import CtaError
from cta_taped.common.scsi import cdb, data
from cta_taped.common.scsi.codes import DENSITY_NAMES, Gmt, MtOp, SenseKey
from cta_taped.common.scsi.command import Commands, ScsiError, sense_evidence
from cta_taped.common.scsi.port import MtStatus, TapePort
from cta_taped.common.scsi.sense import DRIVE, Sense
from cta_taped.tape import failure, protection
from cta_taped.tape.controls import DriveControls
from cta_taped.tape.failure import Operation
from cta_taped.tape.protection import PROTECTION_BYTES, BlockProtection

__all__ = ["LABEL_BYTES", "MAX_OBJECT_ID", "PROTECTION_BYTES", "BlockProtection", "TapeDrive"]

LABEL_BYTES: Final = 80
MAX_OBJECT_ID: Final = 2**32 - 1

_CRC: Final = struct.Struct("<I")
# SPACE takes a signed 24-bit count.
_MAX_SPACE: Final = 0x7FFFFF
_FIRST_PAUSE_S: Final = 0.01
_LONGEST_PAUSE_S: Final = 1.0
_ATTENTIONS: Final = 4
_OVERLONG: Final = -1
_MARK_SOON: Final = (int(MtOp.MTWEOFI), failure.MARK)
_MARK_NOW: Final = (int(MtOp.MTWEOF), failure.FLUSH)


def _found(length: int) -> str:
    if length == _OVERLONG:
        return "a longer block"
    return f"a block of {length} bytes" if length else "a filemark"


class TapeDrive(DriveControls):
    """A drive under one open port.

    Every failure is a CtaError; its evidence has operation (or opcode), errno, and sense_key, asc, ascq if
    there was sense. ``position_known`` is False after a failure that lost the position.
    """

    def __init__(self, port: TapePort) -> None:
        self._port = port
        super().__init__(Commands(port, DRIVE, "drive", self._attention))
        self.position_known = True
        self._read: Callable[[memoryview], int] = port.read
        self._write: Callable[[memoryview | bytes], int] = port.write
        self._protection = BlockProtection.OFF
        self._protect_read = False
        self._protect_write = False
        self._unmarked = False
        self._confused_st = False
        self._label = memoryview(bytearray(LABEL_BYTES + PROTECTION_BYTES))
        self._label_payload = self._label[:LABEL_BYTES]

    # --- data path -------------------------------------------------------------------------------------

    def write_block(self, buffer: memoryview, size_bytes: int) -> None:
        """Write ``buffer[:size_bytes]`` as one block; the PROTECTION_BYTES behind it belong to this call.

        Raises TAPE_FULL (this very block is not on tape), TAPE_WRITE, TAPE_WRITE_PROTECTED and others.
        """
        if self._protect_write:
            _CRC.pack_into(buffer, size_bytes, crc32c(buffer[:size_bytes]))
            size_bytes += PROTECTION_BYTES
        self._unmarked = True
        try:
            self._write(buffer[:size_bytes])
        except OSError as error:
            raise self._failure(failure.WRITE, error) from error

    def read_block(self, buffer: memoryview) -> int:
        """Read a block of at most ``len(buffer) - PROTECTION_BYTES`` bytes; its payload length, 0 at a
        filemark.

        Raises TAPE_OVERSIZE_BLOCK, TAPE_BLOCK_PROTECTION, TAPE_TRUNCATED (end of data), TAPE_READ and others.
        """
        try:
            if not self._protect_read:
                # Not the whole buffer: a drive answers CHECK CONDITION to each read longer than the block.
                return self._read(buffer[:-PROTECTION_BYTES])
            length = self._read(buffer)
        except OSError as error:
            raise self._failure(failure.READ, error) from error
        if not length:
            return 0
        payload = length - PROTECTION_BYTES
        if payload <= 0 or crc32c(buffer[:payload]) != _CRC.unpack_from(buffer, payload)[0]:
            raise CtaError(
                errors.TAPE_BLOCK_PROTECTION,
                f"drive: a block of {length} bytes does not match its CRC32C",
                operation=failure.READ.name,
                length=length,
            )
        return payload

    def write_labels(self, *labels: bytes) -> None:
        """Write label blocks of LABEL_BYTES each. Raises as ``write_block``."""
        self._unmarked = True
        write, protect = self._write, self._protect_write
        try:
            for label in labels:
                write(label + _CRC.pack(crc32c(label)) if protect else label)
        except OSError as error:
            raise self._failure(failure.WRITE, error) from error

    def read_label(self) -> bytes:
        """Read one label block. Raises TAPE_LABEL_FORMAT for a filemark or another length; as
        ``read_block``.
        """
        try:
            length = self.read_block(self._label)
        except CtaError as error:
            if error.spec is not errors.TAPE_OVERSIZE_BLOCK:
                raise
            length = _OVERLONG
        if length != LABEL_BYTES:
            detail = f"a label of {LABEL_BYTES} bytes expected, {_found(length)} found"
            raise CtaError(errors.TAPE_LABEL_FORMAT, detail)
        return bytes(self._label_payload)

    def read_filemark(self) -> None:
        """Read the filemark that must come next. Raises TAPE_NOT_A_MARK, TAPE_TRUNCATED."""
        try:
            length = self._read(self._label)
        except OSError as error:
            if error.errno != errno.ENOMEM:
                raise self._failure(failure.READ, error) from error
            length = _OVERLONG
        if length:
            raise CtaError(errors.TAPE_NOT_A_MARK, f"a filemark expected, {_found(length)} found")

    def write_filemarks(self, count: int, immediate: bool = True) -> None:
        """Write ``count`` >= 1 filemarks; unless ``immediate``, wait until they are on the medium.

        Raises TAPE_FULL, TAPE_WRITE, DRIVE_FLUSH_FAILED and others.
        """
        if not self.position_known:
            self._refuse()
        op, operation = _MARK_SOON if immediate else _MARK_NOW
        try:
            self._port.mt_op(op, count)
        except OSError as error:
            raise self._failure(operation, error) from error
        self._unmarked = False

    def flush(self) -> None:
        """Wait until everything written is on the medium. Raises DRIVE_FLUSH_FAILED, TAPE_FULL and others."""
        self._check_position()
        self._mt(MtOp.MTWEOF, 0, failure.FLUSH)
        self._unmarked = False

    # --- position --------------------------------------------------------------------------------------

    def rewind(self) -> None:
        """Go to the beginning of the tape. Raises TAPE_POSITION and others."""
        self._mt(MtOp.MTREW, 1, failure.REWIND)
        self._unmarked = False
        self._confused_st = False
        self._regain_position()

    def space_filemarks(self, count: int) -> None:
        """Space over ``count`` filemarks, backward if negative. Raises TAPE_POSITION and others."""
        self._check_position()
        operation = MtOp.MTFSF if count > 0 else MtOp.MTBSF
        left = abs(count)
        while left:
            step = min(left, _MAX_SPACE)
            self._mt(operation, step, failure.SPACE)
            left -= step

    def position(self) -> int:
        """The logical object number of the next block or filemark. Raises TAPE_POSITION if unknown."""
        self._check_position()
        object_id = self._ask_position()
        if object_id is None:
            self._lose_position()
            self._refuse()
        return object_id

    def filemarks_passed(self) -> int | None:
        """How many filemarks lie before the position; None if the drive does not know."""
        return self.commands.ask(cdb.read_position_long(), 32, data.parse_position_long).filemarks

    def locate(self, object_id: int) -> None:
        """Go to a logical object number. Raises TAPE_POSITION, also if the drive ends up elsewhere."""
        if not 0 <= object_id <= MAX_OBJECT_ID:
            raise CtaError(errors.TAPE_POSITION, f"object {object_id} is beyond what LOCATE(10) can address")
        if self._confused_st or not self.position_known:
            self.rewind()
        if self._unmarked:
            # st would write its closing filemark at the place located to (st.c: st_flush).
            self.flush()
        try:
            self.commands.run(cdb.locate(object_id), default=errors.TAPE_POSITION)
        except ScsiError:
            self._lose_position()
            raise
        reached = self.position()
        if reached != object_id:
            self._lose_position()
            raise CtaError(errors.TAPE_POSITION, f"object {object_id} was asked for, {reached} reached")

    # --- cartridge -------------------------------------------------------------------------------------

    def wait_ready(self, timeout_s: float, on_wait: Callable[[], None] | None = None) -> None:
        """Wait until the cartridge is ready and let st learn of it; ``on_wait`` is called before each pause.

        Rewind before anything is read or written: a newly loaded tape's position is not known here. Raises
        DRIVE_LOAD_TIMEOUT, and what the drive reports if waiting cannot help.
        """
        deadline = time.monotonic() + timeout_s
        pause_s = _FIRST_PAUSE_S
        load_asked = False
        while (sense := self.commands.readiness()) is not None:
            self._check_waitable(sense)
            if (sense.asc, sense.ascq) == (0x04, 0x02) and not load_asked:
                load_asked = True
                self.load()
                continue
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise CtaError(
                    errors.DRIVE_LOAD_TIMEOUT,
                    f"drive: not ready within {timeout_s:g} s: {sense.text}",
                    **sense_evidence(sense),
                )
            if on_wait is not None:
                on_wait()
            time.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
        self._reopen()
        if not self._status().gstat & Gmt.ONLINE:
            raise CtaError(errors.DRIVE_LOAD_TIMEOUT, "drive: ready, but st does not see it online")

    def has_cartridge(self) -> bool:
        """Whether there may be a cartridge: everything but "medium not present" counts as one."""
        sense = self._readiness()
        return sense is None or sense.asc != 0x3A

    def is_ready(self) -> bool:
        """Whether a cartridge is loaded and ready."""
        return self._readiness() is None

    def write_protected(self) -> bool:
        """Whether the cartridge is write protected, as found when the device was opened."""
        return bool(self._status().gstat & Gmt.WR_PROT)

    def density(self) -> str:
        """The recording format's name, empty if unknown."""
        return DENSITY_NAMES.get(self._status().dsreg >> 24 & 0xFF, "")

    def is_blank(self) -> bool:
        """Whether nothing is recorded: one record cannot be spaced over, and that is at once begin and end.

        Leaves the tape at its beginning.
        """
        self.rewind()
        blank = False
        try:
            self._port.mt_op(MtOp.MTFSR, 1)
        except OSError as error:
            if error.errno != errno.EIO:
                raise self._failure(failure.SPACE, error) from error
            gstat = self._status().gstat
            blank = bool(gstat & Gmt.EOD and gstat & Gmt.BOT)
        self.rewind()
        return blank

    def load(self) -> None:
        """Load a cartridge that lies in the drive. Raises DRIVE_LOAD_TIMEOUT and others."""
        self._mt(MtOp.MTLOAD, 1, failure.LOAD)

    def unload(self) -> None:
        """Rewind and unload the cartridge. Raises DRIVE_UNLOAD_FAILED and others."""
        self._mt(MtOp.MTUNLOAD, 1, failure.UNLOAD)
        self._unmarked = False
        self._alerts.clear()

    # --- settings and knowledge ------------------------------------------------------------------------

    @property
    def block_protection(self) -> BlockProtection:
        """The mode that is in force."""
        return self._protection

    def set_block_protection(self, mode: BlockProtection) -> None:
        """Switch block protection and verify it. Raises DRIVE_NO_PROTECTION if the drive lacks CRC32C."""
        if self.identity().protection:
            protection.switch(self.modes, mode)
        elif mode is not BlockProtection.OFF:
            raise CtaError(errors.DRIVE_NO_PROTECTION, "drive: it has no logical block protection")
        self._note_protection(mode)

    def close(self) -> None:
        """Release the device."""
        self._port.close()

    # --- failures --------------------------------------------------------------------------------------

    def _mt(self, op: MtOp, count: int, operation: Operation) -> None:
        try:
            self._port.mt_op(op, count)
        except OSError as error:
            raise self._failure(operation, error) from error

    def _status(self) -> MtStatus:
        try:
            return self._port.mt_status()
        except OSError as error:
            raise self._failure(failure.STATUS, error) from error

    def _reopen(self) -> None:
        try:
            self._port.reopen()
        except OSError as error:
            raise self._failure(failure.STATUS, error) from error

    def _readiness(self) -> Sense | None:
        for _ in range(_ATTENTIONS):
            sense = self.commands.readiness()
            if sense is None or sense.key != SenseKey.UNIT_ATTENTION:
                break
        return sense

    def _check_waitable(self, sense: Sense) -> None:
        """Raise if a drive that is not ready will not become so by waiting."""
        if sense.key not in (SenseKey.NOT_READY, SenseKey.UNIT_ATTENTION) or sense.asc in (0x30, 0x52, 0x53):
            spec = DRIVE.of_sense(sense, errors.DRIVE_LOAD_TIMEOUT)
            raise CtaError(spec, f"drive: will not become ready: {sense.text}", **sense_evidence(sense))

    def _failure(self, operation: Operation, error: OSError) -> CtaError:
        explained = failure.explain(operation, error, self.commands, self._port)
        if error.errno == errno.EIO:
            self._confused_st = True
            # At the end of data nothing has moved; every other EIO may have.
            if explained.spec is not errors.TAPE_TRUNCATED:
                self._lose_position()
        explained.evidence["position_known"] = self.position_known
        return explained

    def _ask_position(self) -> int | None:
        """READ POSITION; None also if a unit attention on the way says that the drive was reset."""
        found = self.commands.ask(cdb.read_position(), 20, data.parse_position)
        return found.object_id if self.position_known else None

    def _attention(self, sense: Sense) -> None:
        if sense.asc in (0x28, 0x29):
            self._lose_position()

    def _lose_position(self) -> None:
        self.position_known = False
        self._read = self._write = self._refuse

    def _regain_position(self) -> None:
        if self.position_known:
            return
        self.position_known = True
        self._read = self._port.read
        self._write = self._port.write
        if self.identity().protection:
            # A reset switches protection off: what the drive does now decides how long a block is.
            self._note_protection(protection.present(self.modes))

    def _note_protection(self, mode: BlockProtection) -> None:
        self._protection = mode
        self._protect_read = mode is not BlockProtection.OFF
        self._protect_write = mode is BlockProtection.WRITE

    def _check_position(self) -> None:
        if not self.position_known:
            self._refuse()

    def _refuse(self, *_: object) -> NoReturn:
        raise CtaError(errors.TAPE_POSITION, "drive: the position on tape is lost; rewind or locate first")
