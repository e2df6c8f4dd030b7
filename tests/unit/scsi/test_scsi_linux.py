# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel port: structure layouts, and clear failures where there is no device.

No SCSI device is assumed; that commands reach one is shown by the kernel tests.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from pathlib import Path

import pytest

from cta_taped.common import errors
from cta_taped.common.errors import CtaError
from cta_taped.common.scsi import linux
from cta_taped.common.scsi.port import open_changer_port, open_tape_port

OFFSETS = {
    "interface_id": 0,
    "dxfer_direction": 4,
    "cmd_len": 8,
    "mx_sb_len": 9,
    "iovec_count": 10,
    "dxfer_len": 12,
    "dxferp": 16,
    "cmdp": 24,
    "sbp": 32,
    "timeout": 40,
    "flags": 44,
    "pack_id": 48,
    "usr_ptr": 56,
    "status": 64,
    "masked_status": 65,
    "msg_status": 66,
    "sb_len_wr": 67,
    "host_status": 68,
    "driver_status": 70,
    "resid": 72,
    "duration": 76,
    "info": 80,
}


def test_sg_io_header_layout() -> None:
    assert ctypes.sizeof(linux.SgIoHeader) == 88
    assert {name: getattr(linux.SgIoHeader, name).offset for name, *_ in linux.SgIoHeader._fields_} == OFFSETS


def test_mtio_layouts_agree_with_their_ioctl_numbers() -> None:
    assert linux.MT_OPERATION.size == linux.MTIOCTOP >> 16 & 0x3FFF == 8
    assert linux.MT_GET.size == linux.MTIOCGET >> 16 & 0x3FFF == 48
    assert linux.MT_OPERATION.pack(35, 3) == struct.pack("<hxxi", 35, 3)


def test_sg_io_fills_the_header_as_the_kernel_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ioctl itself is replaced, because no device here takes SG_IO."""
    seen = {}

    def kernel(descriptor: int, request: int, header: linux.SgIoHeader) -> int:
        seen["request"] = request
        seen["cdb"] = ctypes.string_at(header.cmdp, header.cmd_len)
        seen["header"] = (header.interface_id, header.dxfer_direction, header.dxfer_len, header.timeout)
        ctypes.memmove(header.dxferp, b"answer", 6)
        ctypes.memmove(header.sbp, b"\x70\x00\x01", 3)
        header.status, header.sb_len_wr, header.resid, header.driver_status = 2, 3, 4, 8
        return 0

    monkeypatch.setattr(fcntl, "ioctl", kernel)
    result = linux.sg_io(7, bytes.fromhex("120000000a00"), b"", 10, 1.5)
    assert seen["request"] == 0x2285
    assert seen["cdb"] == bytes.fromhex("120000000a00")
    assert seen["header"] == (0x53, -3, 10, 1500)
    assert (result.status, result.data, result.sense) == (2, b"answer", b"\x70\x00\x01")
    assert result.driver_status == 8


def test_sg_io_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def kernel(descriptor: int, request: int, header: linux.SgIoHeader) -> int:
        sent = ctypes.string_at(header.dxferp, header.dxfer_len) if header.dxferp else None
        seen.append((header.dxfer_direction, sent))
        return 0

    monkeypatch.setattr(fcntl, "ioctl", kernel)
    assert linux.sg_io(7, bytes(6), b"", 0, 1).data == b""
    assert linux.sg_io(7, bytes(6), b"list\0", 0, 1).data == b""
    assert seen == [(-1, None), (-2, b"list\0")]


def test_sg_io_on_something_else() -> None:
    descriptor = os.open("/dev/null", os.O_RDWR)
    try:
        with pytest.raises(OSError) as caught:
            linux.sg_io(descriptor, bytes(6), b"", 0, 1)
    finally:
        os.close(descriptor)
    assert caught.value.errno == errno.ENOTTY


@pytest.mark.parametrize("opener", [open_tape_port, open_changer_port])
def test_no_device(opener: object, tmp_path: Path) -> None:
    spec = errors.DRIVE_NOT_FOUND if opener is open_tape_port else errors.LIBRARY_UNREACHABLE
    regular = tmp_path / "nst0"
    regular.write_bytes(b"data")
    for path, why in (
        (tmp_path / "missing", "No such file"),
        (regular, "not a character device"),
        (Path("/dev/null"), "not a SCSI device node"),
    ):
        with pytest.raises(CtaError, match=why) as caught:
            opener(str(path))  # type: ignore[operator]
        assert caught.value.spec is spec
        assert str(path) in caught.value.detail


def test_busy_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object) -> int:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(os, "open", busy)
    with pytest.raises(CtaError) as caught:
        open_tape_port("st:/dev/nst0")
    assert caught.value.spec is errors.DRIVE_BUSY


def test_failed_opening_leaves_no_descriptor(tmp_path: Path) -> None:
    regular = tmp_path / "nst0"
    regular.touch()
    before = {path.name for path in Path("/proc/self/fd").iterdir()}
    for url in ("/dev/null", str(regular)):
        with pytest.raises(CtaError):
            open_tape_port(url)
        with pytest.raises(CtaError):
            open_changer_port(url)
    assert {path.name for path in Path("/proc/self/fd").iterdir()} <= before
