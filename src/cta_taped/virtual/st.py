# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual drive as the Linux st driver shows it: five verbs, errno, file and block numbers.

Transfers become commands of the drive, and their sense becomes errno by the rules of drivers/scsi/st.c in its
default set-up: variable blocks, no driver buffering, one filemark at close after a write. Not a tape drive:
what lies on the tape is the drive's business; operations other than transfers are in ``st_device``.
"""

from __future__ import annotations

import errno
from typing import Final

from cta_taped.common.scsi.port import Result
from cta_taped.virtual.faults import TimedOut
from cta_taped.virtual.sense import CheckCondition, Sense
from cta_taped.virtual.ssc import StreamingDrive
from cta_taped.virtual.st_device import Direction, End, StDevice, failure

_VOLUME_OVERFLOW: Final = 0xD
_BLANK_CHECK: Final = 0x8


class SequentialPort(StDevice):
    """A ``TapePort`` over a virtual drive."""

    def __init__(self, drive: StreamingDrive) -> None:
        """Open the device. Raises OSError when a fault has disconnected the drive."""
        super().__init__(drive)
        self._write_block = drive.write_block
        self._read_block = drive.read_block
        self._closed = False

    def reopen(self) -> None:
        """Close and open the device; the drive stays reserved for this process meanwhile."""
        self._finish_writing()
        self._open()

    def close(self) -> None:
        """Close the device and let go of the drive; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            self._finish_writing()
        except OSError:
            pass  # a disconnected drive: nothing can be written any more, and close() must release it
        finally:
            self._drive.close()

    def execute(
        self, cdb: bytes, data_out: bytes = b"", data_in_length: int = 0, timeout_s: float = 60.0
    ) -> Result:
        """SG_IO on the same device; the driver's file and block numbers do not follow."""
        return self._drive.execute(cdb, data_out, data_in_length, timeout_s)

    def write(self, block: memoryview | bytes) -> int:
        """Write one block; returns its length. Raises OSError as the driver does."""
        if self._blocked:
            self._refuse()
        if self._write_protected:
            raise failure(errno.EACCES)
        if self._end is End.WARNED:
            self._end = End.END_1
            raise failure(errno.ENOSPC)
        size = len(block)
        if size == 0:
            return 0
        self._direction = Direction.WRITING
        try:
            self._write_block(block)
        except CheckCondition as check:
            sense = self._judged(check.sense)
            if sense is not None:
                return self._end_of_write(sense, size)
        except TimedOut:
            self._block = -1
            raise failure(errno.EIO) from None
        if self._block >= 0:
            self._block += 1
        if self._end is not End.NONE:
            self._end = End.WARNED if self._end is End.END_1 else End.NONE
        return size

    def _end_of_write(self, sense: Sense, size: int) -> int:
        if not sense.eom:
            self._block = -1
            raise failure(errno.EIO)
        undone = sense.information
        if undone is None:
            undone = size if sense.key == _VOLUME_OVERFLOW else 0
        self._end = End.WARNED
        if undone >= size:
            raise failure(errno.ENOSPC)
        if self._block >= 0:
            self._block += 1
        return size - undone

    def read(self, buffer: memoryview) -> int:
        """Read one block; its length, or 0 for a filemark. Raises OSError as the driver does."""
        if self._blocked:
            self._refuse()
        size = len(buffer)
        if size == 0:
            return 0
        if self._end >= End.END_1:
            if self._end is End.DATA:
                raise failure(errno.EIO)
            self._end = End(self._end + 1)
            return 0
        self._direction = Direction.READING
        try:
            length = self._read_block(buffer)
        except CheckCondition as check:
            return self._end_of_read(check.sense)
        except TimedOut:
            self._block = -1
            raise failure(errno.EIO) from None
        if length == 0:
            self._end = End.FILEMARK
            self._block = 0
            if self._file >= 0:
                self._file += 1
            return 0
        if self._block >= 0:
            self._block += 1
        if length > size:
            raise failure(errno.ENOMEM)
        if self._end is End.FILEMARK:
            self._end = End.NONE
        return length

    def _end_of_read(self, sense: Sense) -> int:
        self._judged(sense)
        self._block = -1
        if sense.key == _BLANK_CHECK and self._end is End.FILEMARK:
            # One zero for this read, and one more before the driver says EIO.
            self._end = End.END_2
            return 0
        raise failure(errno.EIO)
