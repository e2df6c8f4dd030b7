# SPDX-License-Identifier: GPL-3.0-or-later
"""The thinnest tape drive possible: records of a SIMH image, one system call a block, and nothing else.

What it is not: a simulator. It answers READ POSITION, checks nothing and never fails. Why: beside the C
program, which has no simulator either, it measures the daemon's own code alone; ``PacedPort`` adds a drive's
speed.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from os import preadv, pwrite, pwritev
from pathlib import Path

from cta_taped.common.scsi.codes import MtOp, Opcode
from cta_taped.common.scsi.port import MtStatus, Result, TapePort

_LENGTH = struct.Struct("<I")
_NEXT = struct.Struct("<4xI")
_MARK = bytes(4)
MTWEOFI = int(MtOp.MTWEOFI)
_PAD = b"\0"


class RecordPort(TapePort):
    """Reads and writes ``image`` from its beginning; an image that exists is overwritten in place.

    ``wrap_at``: bytes after which writing begins anew at its beginning, for long runs in little memory.
    """

    def __init__(self, image: Path, wrap_at: int = 1 << 62) -> None:
        self._wrap_at = wrap_at
        self._fd = os.open(image, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Framing, data, framing: kept, so that a write allocates nothing but its length.
        self._vector: list[bytes | memoryview] = [b"", b"", b""]
        self._vector_size = -1
        self._tail = bytearray(8)
        self._pad = bytearray(1)
        self.rewind()

    def write(self, block: memoryview | bytes) -> int:
        size = len(block)
        vector = self._vector
        if size != self._vector_size:
            self._vector_size = size
            vector[0] = length = _LENGTH.pack(size)
            vector[2] = _PAD + length if size & 1 else length
        vector[1] = block
        self.offset = offset = self.offset + pwritev(self._fd, vector, self.offset)
        self.object += 1
        if offset > self._wrap_at:
            self.offset = 0
        return size

    def read(self, buffer: memoryview) -> int:
        self.object += 1
        size = self._next_size
        if size == 0:
            preadv(self._fd, (self._tail,), self.offset)
            self.offset += 4
        else:
            parts = (buffer[:size], self._tail) if size & 1 == 0 else (buffer[:size], self._pad, self._tail)
            preadv(self._fd, parts, self.offset + 4)
            self.offset += 8 + size + (size & 1)
        self._next_size = _NEXT.unpack(self._tail)[0]
        return size

    def mt_op(self, op: int, count: int) -> None:
        if op == MTWEOFI:
            self.offset += pwrite(self._fd, _MARK, self.offset)
            self.object += 1

    def mt_status(self) -> MtStatus:
        return MtStatus(0, 0, 0, 0)

    def execute(
        self, cdb: bytes, data_out: bytes = b"", data_in_length: int = 0, timeout_s: float = 60.0
    ) -> Result:
        if cdb[0] == Opcode.READ_POSITION:
            place = struct.pack(">BBxxIIxxxxxxxx", 0, 0, self.object, self.object)
            return Result(0, place)
        return Result(0)

    def reopen(self) -> None:
        pass

    def rewind(self) -> None:
        """Back to object 0, without a command."""
        self.offset = self.object = 0
        # The length of the record at the head; it is read with the record before it.
        self._next_size = _LENGTH.unpack(os.pread(self._fd, 4, 0).ljust(4, b"\0"))[0]

    def end(self) -> None:
        """Cut the image off here."""
        os.ftruncate(self._fd, self.offset)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class PacedPort(RecordPort):
    """A drive of ``rate`` bytes/s that is busy for size/rate with each block."""

    def __init__(self, image: Path, rate: float, wrap_at: int) -> None:
        super().__init__(image, wrap_at)
        self._rate = rate

    def write(self, block: memoryview | bytes) -> int:
        done_at = time.monotonic() + len(block) / self._rate
        size = super().write(block)
        sleep_until(done_at)
        return size


def sleep_until(when: float) -> None:
    """Sleep until ``time.monotonic()`` shows ``when``."""
    left = when - time.monotonic()
    if left > 0:
        time.sleep(left)


def set_timer_slack() -> None:
    """Let this thread's sleeps be exact to 1 us, as the C program does with PR_SET_TIMERSLACK."""
    Path(f"/proc/{threading.get_native_id()}/timerslack_ns").write_text("1000")
