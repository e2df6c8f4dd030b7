# SPDX-License-Identifier: GPL-3.0-or-later
"""The Linux st driver's state of a virtual drive, and its operations: MTIOCTOP, MTIOCGET, open.

Each operation becomes commands of the drive, and their sense becomes errno, file and block numbers by the
rules of drivers/scsi/st.c in its default set-up. Transfers are in ``st``, which is the port itself.
"""

from __future__ import annotations

import errno
import os
from enum import IntEnum
from typing import Final, NamedTuple, NoReturn

from cta_taped.common.scsi.port import MtStatus
from cta_taped.virtual.faults import TimedOut
from cta_taped.virtual.sense import CheckCondition, Sense
from cta_taped.virtual.ssc import StreamingDrive

(MTFSF, MTBSF, MTFSR, MTBSR, MTWEOF, MTREW, MTOFFL, MTNOP, MTRETEN, MTBSFM, MTFSFM, MTEOM, MTERASE) = range(
    1, 14
)
MTSETBLK, MTSETDENSITY, MTSEEK = 20, 21, 22
MTLOCK, MTUNLOCK, MTLOAD, MTUNLOAD, MTCOMPRESSION = 28, 29, 30, 31, 32
MTWEOFI = 35

GMT_EOF, GMT_BOT, GMT_EOT, GMT_EOD = 0x80000000, 0x40000000, 0x20000000, 0x08000000
GMT_WR_PROT, GMT_ONLINE, GMT_DR_OPEN, GMT_IM_REP_EN = 0x04000000, 0x01000000, 0x00040000, 0x00010000

_FILEMARK_AT_SWITCH: Final = frozenset({MTREW, MTOFFL, MTSEEK, MTBSF, MTBSFM})
_ALLOWED_WHEN_LOST: Final = frozenset({MTREW, MTOFFL, MTRETEN, MTERASE, MTSEEK, MTEOM})
_KEEP_DIRECTION: Final = frozenset({MTNOP, MTSETBLK, MTSETDENSITY})
_TO_THE_END: Final = 0x7FFFFF
_OPEN_ATTEMPTS: Final = 10


class Ready(IntEnum):
    """What open() found."""

    READY = 0
    NOT_READY = 1
    NO_TAPE = 2


class End(IntEnum):
    """The driver's idea of what lies ahead, in its own order."""

    NONE = 0
    FILEMARK = 2
    WARNED = 3  # early warning met: the next write is refused
    END_1 = 5  # refused once: the next write is tried
    END_2 = 6
    DATA = 7


class Direction(IntEnum):
    """What the last transfer was."""

    IDLE = 0
    READING = 1
    WRITING = 2


class _Motion(NamedTuple):
    """A positioning operation: SPACE code and sign."""

    code: int
    sign: int


_SPACE: Final = {
    MTFSF: _Motion(1, 1),
    MTFSFM: _Motion(1, 1),
    MTBSF: _Motion(1, -1),
    MTBSFM: _Motion(1, -1),
    MTFSR: _Motion(0, 1),
    MTBSR: _Motion(0, -1),
}


def failure(number: int) -> OSError:
    """The exception of an errno."""
    return OSError(number, os.strerror(number))


class StDevice:
    """What st keeps of one device, and MTIOCTOP and MTIOCGET on it."""

    def __init__(self, drive: StreamingDrive) -> None:
        """Open the device.

        Raises OSError when a fault has disconnected the drive.
        """
        self._drive = drive
        self._ready = Ready.NOT_READY
        self._lost = False
        self._end = End.NONE
        self._direction = Direction.IDLE
        self._file = self._block = -1
        self._write_protected = False
        self._density = 0
        self._recovered = 0
        self._open()
        if self._ready is Ready.READY and self._file < 0 and not self._lost:
            self._file, self._block = drive.file_and_block()
        self._blocked = self._is_blocked()

    def _is_blocked(self) -> bool:
        return self._ready is not Ready.READY or self._lost

    # --- open and close ------------------------------------------------------------------------------------

    def _open(self) -> None:
        new_tape = False
        self._ready = Ready.NOT_READY
        for _ in range(_OPEN_ATTEMPTS):
            sense = self._try(bytes(6))
            if sense is None:
                self._ready = Ready.READY
                break
            if sense.key == 0x6:
                new_tape = new_tape or sense.asc == 0x28
                continue
            self._ready = Ready.NO_TAPE if (sense.key, sense.asc) == (0x2, 0x3A) else Ready.NOT_READY
            break
        if self._ready is not Ready.READY:
            self._file = self._block = -1
            self._write_protected = False
            self._density = 0
        else:
            if new_tape:
                self._lost = False
                self._end = End.NONE
                self._direction = Direction.IDLE
                self._file = self._block = 0
            header = self._drive.perform(b"\x1a\0\0\0\x0c\0", b"", 12)
            self._write_protected = bool(header[2] & 0x80)
            self._density = header[4]
        self._blocked = self._is_blocked()

    def _finish_writing(self) -> None:
        if self._direction is Direction.WRITING and not self._blocked:
            self._direction = Direction.IDLE
            if self._try(b"\x10\0\0\0\1\0") is None and self._file >= 0:
                self._file += 1
                self._block = 0

    # --- commands ------------------------------------------------------------------------------------------

    def _try(self, cdb: bytes, data_out: bytes = b"", data_in_length: int = 0) -> Sense | None:
        """A command of the driver's own: what is wrong, or None. Raises OSError(EIO) for a time-out."""
        try:
            self._drive.perform(cdb, data_out, data_in_length)
        except CheckCondition as check:
            return self._judged(check.sense)
        except TimedOut:
            raise failure(errno.EIO) from None
        return None

    def _judged(self, sense: Sense) -> Sense | None:
        if sense.key == 0x6 and sense.asc == 0x29:
            self._lost = True
            self._blocked = True
        if sense.key == 0x1 and not (sense.eom or sense.filemark or sense.ili):
            self._recovered += 1
            return None
        return sense

    def _refuse(self) -> NoReturn:
        if self._ready is Ready.NO_TAPE:
            raise failure(errno.ENOMEDIUM)
        raise failure(errno.EIO)

    # --- operations ----------------------------------------------------------------------------------------

    def mt_op(self, op: int, count: int) -> None:
        """MTIOCTOP. Raises OSError as the driver does; ENOSYS for an operation that it does not have."""
        if self._lost:
            if op not in _ALLOWED_WHEN_LOST:
                raise failure(errno.EIO)
            self._lost = False
            self._direction = Direction.IDLE
            self._end = End.NONE
            self._file = self._block = -1
            self._blocked = self._is_blocked()
        elif self._direction is Direction.WRITING and op in _FILEMARK_AT_SWITCH:
            self._operate(MTWEOF, 1)
            if op in (MTBSF, MTBSFM):
                count += 1
        if op not in _KEEP_DIRECTION:
            self._direction = Direction.IDLE
        if op == MTNOP and self._ready is Ready.READY:
            return
        if op == MTSEEK:
            self._seek(count)
        elif op in (MTOFFL, MTUNLOAD):
            if op == MTOFFL:
                self._try(b"\x1e\0\0\0\0\0")
            self._unload()
        elif op == MTLOAD:
            self._run(b"\x1b\0\0\0\1\0")
            self._open()
        elif op in (MTLOCK, MTUNLOCK):
            self._run(bytes((0x1E, 0, 0, 0, op == MTLOCK, 0)))
        else:
            if self._ready is not Ready.READY:
                self._refuse()
            if op == MTCOMPRESSION:
                self._set_compression(bool(count & 1))
            else:
                self._operate(op, count)

    def _run(self, cdb: bytes, data_out: bytes = b"") -> None:
        if self._try(cdb, data_out) is not None:
            raise failure(errno.EIO)

    def _seek(self, object_id: int) -> None:
        if self._ready is not Ready.READY:
            raise failure(errno.EIO)
        # st sets BT, asking for the drive's own addresses; LTO and 3592 drives have no others.
        sense = self._try(b"\x2b\x04\0" + object_id.to_bytes(4, "big") + bytes(3))
        self._file = self._block = -1
        self._end = End.NONE
        if sense is not None:
            raise failure(errno.EIO)
        if object_id == 0:
            self._file = self._block = 0

    def _unload(self) -> None:
        if self._ready is not Ready.READY:
            self._refuse()
        if self._try(b"\x1b\0\0\0\0\0") is not None:
            self._file = self._block = -1
            raise failure(errno.EIO)
        self._ready = Ready.NO_TAPE
        self._blocked = True

    def _set_compression(self, on: bool) -> None:
        try:
            page = bytearray(self._drive.perform(b"\x1a\0\x0f\0\xff\0", b"", 255))
        except (CheckCondition, TimedOut):
            raise failure(errno.EIO) from None
        start = 4 + page[3]
        page[0] = page[1] = 0
        page[2] &= 0x7F
        page[start] &= 0x3F
        page[start + 2] = page[start + 2] & 0x7F | on << 7
        self._run(bytes((0x15, 0x10, 0, 0, len(page), 0)), bytes(page))

    def _operate(self, op: int, count: int) -> None:
        """The operations that become one command, and what their sense does to the driver's state."""
        file, block = self._file, self._block
        if op in _SPACE:
            motion = _SPACE[op]
            cdb = bytes((0x11, motion.code)) + (motion.sign * count & 0xFFFFFF).to_bytes(3, "big") + b"\0"
            if motion.code == 1:
                file = file + motion.sign * count if file >= 0 else file
                block = 0 if motion.sign > 0 else -1
            elif block >= 0:
                block += motion.sign * count
        elif op in (MTWEOF, MTWEOFI):
            if self._write_protected:
                raise failure(errno.EACCES)
            cdb = bytes((0x10, op == MTWEOFI)) + (count & 0xFFFFFF).to_bytes(3, "big") + b"\0"
            file = file + count if file >= 0 else file
            block = 0
        elif op == MTREW:
            cdb, file, block = b"\x01\0\0\0\0\0", 0, 0
        elif op == MTRETEN:
            cdb, file, block = b"\x1b\0\0\0\3\0", 0, 0
        elif op == MTEOM:
            self._to_end_of_data()
            return
        elif op == MTERASE:
            if self._write_protected:
                raise failure(errno.EACCES)
            cdb, file, block = bytes((0x19, count != 0, 0, 0, 0, 0)), 0, 0
        elif op in (MTSETBLK, MTSETDENSITY):
            self._set_descriptor(op, count)
            return
        else:
            raise failure(errno.ENOSYS)
        sense = self._try(cdb)
        if sense is not None:
            self._after_failure(op, count, sense, file, block)
            return
        self._file, self._block = file, block
        self._end = End.FILEMARK if op == MTFSF else End.NONE
        if op == MTFSFM:
            self._operate(MTBSF, 1)
        elif op == MTBSFM:
            self._operate(MTFSF, 1)

    def _after_failure(self, op: int, count: int, sense: Sense, file: int, block: int) -> None:
        backward = op in (MTBSF, MTBSFM, MTBSR)
        undone = abs(sense.information or 0)
        if sense.eom:
            self._block = 0
            if not backward:
                self._end = End.WARNED
        if op in (MTWEOF, MTWEOFI) and sense.eom:
            written = sense.key in (0x0, 0x1)
            self._file = file if written or file < 0 else file - undone
            if written:
                self._end = End.NONE
                return
            if undone < count:
                self._end = End.NONE
        elif op in (MTFSF, MTFSFM):
            self._file, self._block, self._end = (file - undone if file >= 0 else file), -1, End.NONE
        elif op in (MTBSF, MTBSFM):
            self._file = file + undone if self._file >= 0 else self._file
            self._block, self._end = 0, End.NONE
        elif op == MTFSR and sense.filemark:
            self._file, self._block, self._end = (self._file + 1 if self._file >= 0 else -1), 0, End.FILEMARK
        elif op == MTFSR:
            self._block, self._end = (block - undone if block >= undone else -1), End.NONE
        elif op == MTBSR and sense.filemark:
            self._file, self._block, self._end = self._file - 1, -1, End.NONE
        elif op == MTBSR:
            self._block, self._end = (block + undone if self._block >= 0 else self._block), End.NONE
        else:
            self._end = End.NONE
        if sense.key == 0x8:
            self._end = End.DATA
        raise failure(errno.EIO)

    def _to_end_of_data(self) -> None:
        """MTEOM without the fast option: over every filemark, so that the file number stays known."""
        try:
            self._operate(MTFSF, _TO_THE_END)
        except OSError:
            if self._end is End.DATA:
                return
            raise
        self._run(b"\x11\x03\0\0\0\0")
        self._block = -1
        self._end = End.DATA

    def _set_descriptor(self, op: int, count: int) -> None:
        density = count & 0xFF if op == MTSETDENSITY else self._density
        length = count & 0xFFFFFF if op == MTSETBLK else 0
        parameters = bytes((0, 0, 0x10, 8, density, 0, 0, 0, 0)) + length.to_bytes(3, "big")
        self._run(bytes((0x15, 0x10, 0, 0, len(parameters), 0)), parameters)

    # --- status --------------------------------------------------------------------------------------------

    def mt_status(self) -> MtStatus:
        """MTIOCGET. Raises OSError(EIO) while the position is unknown."""
        if self._lost:
            raise failure(errno.EIO)
        gstat = GMT_IM_REP_EN
        if self._write_protected:
            gstat |= GMT_WR_PROT
        if self._block == 0:
            gstat |= GMT_BOT if self._file == 0 else GMT_EOF
        if self._end is End.WARNED:
            gstat |= GMT_EOT
        elif self._end > End.WARNED:
            gstat |= GMT_EOD
        if self._ready is Ready.READY:
            gstat |= GMT_ONLINE
        elif self._ready is Ready.NO_TAPE:
            gstat |= GMT_DR_OPEN
        recovered, self._recovered = self._recovered, 0
        return MtStatus(
            gstat=gstat,
            dsreg=self._density << 24,
            fileno=self._file,
            blkno=self._block,
            erreg=recovered & 0xFFFF,
        )
