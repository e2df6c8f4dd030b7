# SPDX-License-Identifier: GPL-3.0-or-later
"""Log pages of the virtual drive: LOG SENSE and LOG SELECT (SPC-4 7.3, SSC-4 8.3; vendors' references).

One function a page gives its parameters from the drive's counters and the cartridge's chip; which function
answers for a page depends on the family, as on real drives (32h is compression on LTO, write errors on 3592).
A page that a drive lacks is refused with 5/24/00.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict

from cta_taped.virtual.cartridge import Cartridge
from cta_taped.virtual.sense import INVALID_CDB_FIELD, CheckCondition

TAPE_ALERT: Final = 0x2E
_MB: Final = 10**6
_KIB: Final = 1024
_BINARY: Final = 0x03
_ASCII: Final = 0x01
_ALERTS: Final = 64


class Counters(BaseModel):
    """What the drive counted since the last load; bytes and events. Survives the process with the drive."""

    model_config = ConfigDict(extra="forbid")
    host_written: int = 0
    host_read: int = 0
    tape_written: int = 0
    tape_read: int = 0
    write_errors: int = 0
    read_errors: int = 0
    non_medium_errors: int = 0
    flushes: int = 0


@dataclass(frozen=True, slots=True)
class LogSource:
    """What the pages are made of; ``zero`` is subtracted (LOG SELECT with PCR)."""

    counters: Counters
    zero: Counters
    cartridge: Cartridge | None
    alerts: list[int]

    def since(self, name: str) -> int:
        """A counter since it was last reset."""
        value: int = getattr(self.counters, name) - getattr(self.zero, name)
        return value


Parameter = tuple[int, bytes, int]


def _number(code: int, value: int, width: int = 4) -> Parameter:
    return code, min(value, (1 << 8 * width) - 1).to_bytes(width, "big"), _BINARY


def _text(code: int, value: str) -> Parameter:
    return code, value.encode(), _ASCII


def _errors(uncorrected: str, processed: str, unit: int) -> Callable[[LogSource], Iterable[Parameter]]:
    def page(source: LogSource) -> Iterable[Parameter]:
        for code in range(5):
            yield _number(code, 0)
        yield _number(5, source.since(processed) // unit, 8)
        yield _number(6, source.since(uncorrected))

    return page


def _non_medium(source: LogSource) -> Iterable[Parameter]:
    yield _number(0, source.since("non_medium_errors"))


def _sequential_access(source: LogSource) -> Iterable[Parameter]:
    for code, name in enumerate(("host_written", "tape_written", "tape_read", "host_read")):
        yield _number(code, source.since(name), 8)


def _volume(source: LogSource) -> Iterable[Parameter]:
    cartridge, counters = source.cartridge, source.counters
    yield _number(0x0000, cartridge is not None, 1)
    if cartridge is None:
        return
    memory = cartridge.memory
    lifetime_written = memory.written_bytes + counters.host_written
    lifetime_read = memory.read_bytes + counters.host_read
    used = cartridge.image.end_offset
    yield _number(0x0001, memory.loads)
    yield _number(0x0003, 0)
    yield _number(0x0004, memory.uncorrected_writes + counters.write_errors)
    yield _number(0x0005, counters.flushes)
    yield _number(0x0008, 0)
    yield _number(0x0009, memory.uncorrected_reads + counters.read_errors)
    yield _number(0x000C, counters.write_errors)
    yield _number(0x000D, counters.read_errors)
    yield _number(0x000E, counters.host_written // _MB)
    yield _number(0x000F, counters.host_read // _MB)
    yield _number(0x0010, lifetime_written // _MB, 8)
    yield _number(0x0011, lifetime_read // _MB, 8)
    yield _number(0x0016, memory.capacity_bytes // _MB)
    yield _number(0x0017, used // _MB)
    yield _text(0x0040, memory.serial.ljust(32))
    yield _text(0x0042, memory.barcode.ljust(32))
    yield _text(0x0046, memory.manufactured)
    yield _number(0x0080, memory.write_protected, 1)
    yield _number(0x0081, memory.worm, 1)
    yield _number(0x0101, memory.beginning_passes)
    yield _number(0x0102, memory.middle_passes)


def _compression(source: LogSource) -> Iterable[Parameter]:
    yield _number(0, 100, 2)
    yield _number(1, 100, 2)
    for code, name in ((2, "host_read"), (4, "tape_read"), (6, "host_written"), (8, "tape_written")):
        value = source.since(name)
        yield _number(code, value // _MB)
        yield _number(code + 1, value % _MB)


def _transferred(source: LogSource) -> Iterable[Parameter]:
    for code, name in ((1, "host_written"), (3, "host_read"), (5, "tape_written"), (7, "tape_read")):
        yield _number(code, source.since(name) // _KIB, 8)


def _alerts(source: LogSource) -> Iterable[Parameter]:
    for flag in range(1, _ALERTS + 1):
        yield _number(flag, flag in source.alerts, 1)


def _capacity(source: LogSource) -> Iterable[Parameter]:
    cartridge = source.cartridge
    total = cartridge.memory.capacity_bytes if cartridge else 0
    used = cartridge.image.end_offset if cartridge else 0
    for code, value in enumerate((max(0, total - used), 0, total, 0), start=1):
        yield _number(code, value // _MB)


def _drive_writes(source: LogSource) -> Iterable[Parameter]:
    for code in (0x0001, 0x0002, 0x0006):
        yield _number(code, 0)
    yield _number(0x0007, source.since("write_errors"))
    yield _number(0x0008, 0)


def _drive_reads(source: LogSource) -> Iterable[Parameter]:
    for code in (0x0001, 0x0002, 0x0006):
        yield _number(code, 0)
    yield _number(0x0007, source.since("read_errors"))
    yield _number(0x0015, 0)


_Pages = dict[int, Callable[[LogSource], Iterable[Parameter]]]
_COMMON: Final[_Pages] = {
    0x02: _errors("write_errors", "tape_written", 1),
    0x03: _errors("read_errors", "tape_read", 1),
    0x06: _non_medium,
    0x0C: _sequential_access,
    0x17: _volume,
    TAPE_ALERT: _alerts,
    0x31: _capacity,
    0x34: _drive_reads,
}
LTO_PAGES: Final[_Pages] = _COMMON | {0x1B: _compression, 0x32: _compression, 0x33: _drive_writes}
PAGES_3592: Final[_Pages] = _COMMON | {
    0x02: _errors("write_errors", "tape_written", _KIB),
    0x03: _errors("read_errors", "tape_read", _KIB),
    0x32: _drive_writes,
    0x36: _drive_reads,
    0x38: _transferred,
}


def log_sense(pages: _Pages, cdb: bytes, source: LogSource) -> bytes:
    """Answer LOG SENSE from the parameter pointer on.

    Raises CheckCondition 5/24/00 for an unknown page, subpage or parameter pointer.
    """
    page, subpage, pointer = cdb[2] & 0x3F, cdb[3], int.from_bytes(cdb[5:7], "big")
    if page == 0 and subpage == 0:
        codes = bytes(sorted({0, *pages}))
        return struct.pack(">BBH", 0, 0, len(codes)) + codes
    build = pages.get(page)
    if build is None or subpage:
        raise CheckCondition(INVALID_CDB_FIELD)
    parameters = list(build(source))
    if pointer > parameters[-1][0]:
        raise CheckCondition(INVALID_CDB_FIELD)
    body = b"".join(
        struct.pack(">HBB", code, control, len(value)) + value
        for code, value, control in parameters
        if code >= pointer
    )
    return struct.pack(">BBH", page, 0, len(body)) + body


# Counters that a reset of one page sets to zero; page 0 means all of them.
RESETS: Final[dict[int, tuple[str, ...]]] = {
    0x02: ("write_errors", "tape_written"),
    0x03: ("read_errors", "tape_read"),
    0x06: ("non_medium_errors",),
    0x0C: ("host_written", "host_read", "tape_written", "tape_read"),
    0x1B: ("host_written", "host_read", "tape_written", "tape_read"),
    0x32: ("host_written", "host_read", "tape_written", "tape_read"),
    0x33: ("write_errors",),
    0x34: ("read_errors",),
    0x38: ("host_written", "host_read", "tape_written", "tape_read"),
    0x00: tuple(Counters.model_fields),
}


def log_select(pages: _Pages, cdb: bytes, parameters: bytes, counters: Counters, zero: Counters) -> None:
    """Carry out LOG SELECT: only the reset (PCR) is supported, as on LTO drives.

    Raises CheckCondition 5/24/00 without PCR, with a parameter list, or for an unknown page.
    """
    page = cdb[2] & 0x3F
    if not cdb[1] & 0x02 or parameters or (page and page not in pages):
        raise CheckCondition(INVALID_CDB_FIELD)
    for name in RESETS.get(page, ()):
        setattr(zero, name, getattr(counters, name))
