# SPDX-License-Identifier: GPL-3.0-or-later
"""The hardware seam over the Linux kernel: st(4) for tape drives, SG_IO for any SCSI device.

The only place that meets ioctl structures. It judges nothing: results and errno go up as they are. One
descriptor serves data, mtio and SG_IO, because two openers of one drive would shut each other out (st.c:
EBUSY).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import struct
from typing import Final
from urllib.parse import SplitResult

from cta_taped.common.errors import (
    CONFIG_INVALID,
    DRIVE_BUSY,
    DRIVE_NOT_FOUND,
    LIBRARY_NOT_READY,
    LIBRARY_UNREACHABLE,
    CtaError,
    ErrorSpec,
)
from cta_taped.common.scsi.port import MtStatus, Result, ScsiPort, TapePort

MTIOCTOP: Final = 0x40086D01
MTIOCGET: Final = 0x80306D02
SG_IO: Final = 0x2285
SG_GET_VERSION_NUM: Final = 0x2282

MT_OPERATION: Final = struct.Struct("@hi")
MT_GET: Final = struct.Struct("@lllllii")

_TO_DEVICE: Final = -2
_FROM_DEVICE: Final = -3
_NO_DATA: Final = -1
_SENSE_BYTES: Final = 255
# Minor numbers of the nodes that do not rewind at close have this bit (drivers/scsi/st.c, TAPE_MINOR).
_NO_REWIND_MINOR: Final = 0x80
_ST_MAJOR: Final = 9


class SgIoHeader(ctypes.Structure):
    """struct sg_io_hdr (scsi/sg.h), 88 bytes on 64-bit Linux."""

    _fields_ = (
        ("interface_id", ctypes.c_int),
        ("dxfer_direction", ctypes.c_int),
        ("cmd_len", ctypes.c_ubyte),
        ("mx_sb_len", ctypes.c_ubyte),
        ("iovec_count", ctypes.c_ushort),
        ("dxfer_len", ctypes.c_uint),
        ("dxferp", ctypes.c_void_p),
        ("cmdp", ctypes.c_void_p),
        ("sbp", ctypes.c_void_p),
        ("timeout", ctypes.c_uint),
        ("flags", ctypes.c_uint),
        ("pack_id", ctypes.c_int),
        ("usr_ptr", ctypes.c_void_p),
        ("status", ctypes.c_ubyte),
        ("masked_status", ctypes.c_ubyte),
        ("msg_status", ctypes.c_ubyte),
        ("sb_len_wr", ctypes.c_ubyte),
        ("host_status", ctypes.c_ushort),
        ("driver_status", ctypes.c_ushort),
        ("resid", ctypes.c_int),
        ("duration", ctypes.c_uint),
        ("info", ctypes.c_uint),
    )


def sg_io(descriptor: int, cdb: bytes, data_out: bytes, data_in_length: int, timeout_s: float) -> Result:
    """One command by SG_IO on an open descriptor. Raises OSError if the kernel did not take it."""
    command = ctypes.create_string_buffer(cdb, len(cdb))
    sense = ctypes.create_string_buffer(_SENSE_BYTES)
    length = data_in_length or len(data_out)
    data = ctypes.create_string_buffer(data_out, length) if data_out else ctypes.create_string_buffer(length)
    direction = _FROM_DEVICE if data_in_length else _TO_DEVICE if data_out else _NO_DATA
    header = SgIoHeader(
        interface_id=ord("S"),
        dxfer_direction=direction,
        cmd_len=len(cdb),
        mx_sb_len=_SENSE_BYTES,
        dxfer_len=length,
        dxferp=ctypes.addressof(data) if length else None,
        cmdp=ctypes.addressof(command),
        sbp=ctypes.addressof(sense),
        timeout=round(timeout_s * 1000),
    )
    fcntl.ioctl(descriptor, SG_IO, header)
    received = data.raw[: max(0, length - header.resid)] if data_in_length else b""
    return Result(
        status=header.status,
        data=received,
        sense=sense.raw[: header.sb_len_wr],
        host_status=header.host_status,
        driver_status=header.driver_status,
    )


class GenericDevice:
    """A ScsiPort over /dev/sgN (or any node that takes SG_IO)."""

    def __init__(self, path: str) -> None:
        self._descriptor = _open_character_device(path, LIBRARY_UNREACHABLE, LIBRARY_NOT_READY)
        try:
            fcntl.ioctl(self._descriptor, SG_GET_VERSION_NUM, bytes(4))
        except OSError as error:
            self.close()
            raise _open_error(path, error, LIBRARY_UNREACHABLE, LIBRARY_NOT_READY) from error

    def execute(
        self, cdb: bytes, data_out: bytes = b"", data_in_length: int = 0, timeout_s: float = 60.0
    ) -> Result:
        """See ScsiPort."""
        return sg_io(self._descriptor, cdb, data_out, data_in_length, timeout_s)

    def close(self) -> None:
        """See ScsiPort."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class StTape:
    """A TapePort over /dev/nstN in variable block mode."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1
        self._open()

    def _open(self) -> None:
        self._descriptor = _open_character_device(self._path, DRIVE_NOT_FOUND, DRIVE_BUSY)
        try:
            self.mt_status()
        except OSError as error:
            self.close()
            raise _open_error(self._path, error, DRIVE_NOT_FOUND, DRIVE_BUSY) from error
        device = os.fstat(self._descriptor).st_rdev
        if os.major(device) == _ST_MAJOR and not os.minor(device) & _NO_REWIND_MINOR:
            self.close()
            raise CtaError(
                CONFIG_INVALID,
                f"{self._path} rewinds when it is closed; name the drive's non-rewinding node (/dev/nst...)",
            )

    def read(self, buffer: memoryview) -> int:
        """See TapePort."""
        return os.readv(self._descriptor, (buffer,))

    def write(self, block: memoryview | bytes) -> int:
        """See TapePort."""
        return os.write(self._descriptor, block)

    def mt_op(self, op: int, count: int) -> None:
        """See TapePort."""
        fcntl.ioctl(self._descriptor, MTIOCTOP, MT_OPERATION.pack(op, count))

    def mt_status(self) -> MtStatus:
        """See TapePort."""
        answer = fcntl.ioctl(self._descriptor, MTIOCGET, bytes(MT_GET.size))
        _, resid, dsreg, gstat, erreg, fileno, blkno = MT_GET.unpack(answer)
        return MtStatus(
            gstat=gstat & 0xFFFFFFFF,
            dsreg=dsreg & 0xFFFFFFFF,
            fileno=fileno,
            blkno=blkno,
            resid=resid,
            erreg=erreg & 0xFFFFFFFF,
        )

    def execute(
        self, cdb: bytes, data_out: bytes = b"", data_in_length: int = 0, timeout_s: float = 60.0
    ) -> Result:
        """See ScsiPort."""
        return sg_io(self._descriptor, cdb, data_out, data_in_length, timeout_s)

    def reopen(self) -> None:
        """See TapePort."""
        self.close()
        self._open()

    def close(self) -> None:
        """See ScsiPort. A failure of the mark that st writes at close concerns only unflushed data."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with contextlib.suppress(OSError):
                os.close(descriptor)


def open_tape(parts: SplitResult) -> TapePort:
    """Open ``/dev/nstN``. Raises DRIVE_NOT_FOUND, DRIVE_BUSY, CONFIG_INVALID for the rewinding node."""
    return StTape(parts.path)


def open_generic(parts: SplitResult) -> ScsiPort:
    """Open a media changer's ``/dev/sgN``. Raises LIBRARY_UNREACHABLE, LIBRARY_NOT_READY if it is busy."""
    return GenericDevice(parts.path)


def _open_character_device(path: str, missing: ErrorSpec, busy: ErrorSpec) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise _open_error(path, error, missing, busy) from error
    if not stat.S_ISCHR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise CtaError(
            missing, f"{path} is not a character device; name the drive's /dev/nst or /dev/sg node"
        )
    return descriptor


def _open_error(path: str, error: OSError, missing: ErrorSpec, busy: ErrorSpec) -> CtaError:
    spec = busy if error.errno == errno.EBUSY else missing
    reason = "it is not a SCSI device node of this kind" if error.errno == errno.ENOTTY else error.strerror
    return CtaError(spec, f"{path} cannot be opened: {reason}", path=path, errno=error.errno)
