# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the virtual library share: where the golden tapes are, and commands byte by byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cta_taped.common.scsi.port import Result, ScsiPort
from cta_taped.virtual.st import SequentialPort

GOLDEN = Path(__file__).resolve().parents[2] / "data/golden"
OpenImage = Callable[..., SequentialPort]
MakeLibrary = Callable[..., Path]


def hexadecimal(text: str) -> bytes:
    return bytes.fromhex(text)


def command(port: ScsiPort, cdb: str, data_out: bytes = b"", length: int = 4096) -> Result:
    """Execute a command descriptor block given in hexadecimal."""
    return port.execute(bytes.fromhex(cdb), data_out, length)


def good(port: ScsiPort, cdb: str, data_out: bytes = b"", length: int = 4096) -> bytes:
    """Execute a command that must succeed; its data."""
    result = command(port, cdb, data_out, length)
    assert (result.status, result.host_status, result.sense) == (0, 0, b""), result
    return result.data


def bad(port: ScsiPort, cdb: str, data_out: bytes = b"", length: int = 4096) -> str:
    """Execute a command that must fail; ``K/AA/QQ`` of its fixed format sense data."""
    result = command(port, cdb, data_out, length)
    assert result.status == 0x02, result
    assert result.sense[0] & 0x7F in (0x70, 0x71)
    return f"{result.sense[2] & 0x0F:X}/{result.sense[12]:02X}/{result.sense[13]:02X}"


def residual(result: Result) -> int:
    """The INFORMATION field, which must be valid."""
    assert result.sense[0] & 0x80
    return int.from_bytes(result.sense[3:7], "big", signed=True)


def flags(result: Result) -> str:
    """F, E and I for FILEMARK, EOM and ILI."""
    return "".join(name for name, bit in (("F", 0x80), ("E", 0x40), ("I", 0x20)) if result.sense[2] & bit)
