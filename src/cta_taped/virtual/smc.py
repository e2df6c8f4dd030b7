# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual media changer at the level of its commands (SMC-3, SPC-4).

``execute`` turns a command descriptor block into a question to, or a move in, the library directory.
Strict as libraries are; SEND VOLUME TAG is refused, as most libraries today do, so that clients must read
the inventory.
"""

from __future__ import annotations

import math
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Final

from cta_taped.common.scsi.port import Result
from cta_taped.virtual.elements import FIRST_ADDRESS, Element, Kind, MoveRefused, Refusal
from cta_taped.virtual.faults import CHANGER, TIMED_OUT, Fault, Faults, TimedOut
from cta_taped.virtual.faults import Kind as FaultKind
from cta_taped.virtual.inquiry import MEDIA_CHANGER, UnitIdentity, inquiry
from cta_taped.virtual.library import FAULTS, Library
from cta_taped.virtual.sense import (
    DESTINATION_FULL,
    DRIVE_NOT_UNLOADED,
    INVALID_CDB_FIELD,
    INVALID_ELEMENT,
    INVALID_OPCODE,
    MECHANICAL_POSITION,
    NO_SENSE,
    PORT_ACCESSED,
    REMOVAL_PREVENTED,
    SOURCE_EMPTY,
    TRANSPORT_FAILED,
    CheckCondition,
    Sense,
)

_REFUSALS: Final[dict[Refusal, Sense]] = {
    Refusal.NO_ELEMENT: INVALID_ELEMENT,
    Refusal.SOURCE_EMPTY: SOURCE_EMPTY,
    Refusal.DESTINATION_FULL: DESTINATION_FULL,
    Refusal.NOT_UNLOADED: DRIVE_NOT_UNLOADED,
    Refusal.REMOVAL_PREVENTED: REMOVAL_PREVENTED,
    Refusal.HAND_FULL: TRANSPORT_FAILED,
}
_CDB_LENGTH: Final = (6, 10, 10, 6, 16, 12, 6, 6)
_ALLOCATION: Final = {0x03: (4, 1), 0x12: (3, 2), 0x1A: (4, 1), 0x4D: (7, 2), 0x5A: (7, 2), 0xB8: (7, 3)}
_ATTENTION_EXEMPT: Final = frozenset({0x03, 0x12})
_DESCRIPTOR: Final = struct.Struct(">HBxBB3xBH")
_PAGE: Final = struct.Struct(">BBHI")
_REPORT: Final = struct.Struct(">HHI")
_FULL, _BY_OPERATOR, _ACCESS, _EXPORTS, _IMPORTS = 0x01, 0x02, 0x08, 0x10, 0x20
_SOURCE_VALID: Final = 0x80
_DATA_MEDIUM: Final = 1
_VOLUME_TAG_BYTES: Final = 36
_ALERTS: Final = 64


class MediaChanger:
    """A ``ScsiPort`` over a library directory."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._faults = Faults(library.directory / FAULTS, CHANGER)
        self._identity = UnitIdentity("IBM", "03584L32", "VTL1", library.serial, MEDIA_CHANGER)
        self._alerts: set[int] = set()
        self._prevented = False
        self._dropping = False

    def close(self) -> None:
        """Close the library; a second call does nothing."""
        self._library.close()

    def execute(
        self, cdb: bytes, data_out: bytes = b"", data_in_length: int = 0, timeout_s: float = math.inf
    ) -> Result:
        """Execute one command. Raises OSError for a changer that a fault disconnected."""
        try:
            self._faults.look()
            try:
                for fault in self._faults.strike(cdb[0], timeout_s):
                    self._own(fault)
            except TimedOut as timed_out:
                if timed_out.executed:
                    self._run(cdb)
                return TIMED_OUT
            return Result(0, self._run(cdb)[:data_in_length])
        except CheckCondition as check:
            return check.sense.result()
        finally:
            self._dropping = False

    def _own(self, fault: Fault) -> None:
        if fault.kind is FaultKind.ALERT:
            self._alerts.update(fault.alerts)
        elif fault.kind is FaultKind.DROP:
            self._dropping = True

    def _run(self, cdb: bytes) -> bytes:
        command = _COMMANDS.get(cdb[0])
        if command is None:
            raise CheckCondition(INVALID_OPCODE)
        if len(cdb) < _CDB_LENGTH[cdb[0] >> 5]:
            raise CheckCondition(INVALID_CDB_FIELD)
        if cdb[0] not in _ATTENTION_EXEMPT and self._library.take_announcement():
            raise CheckCondition(PORT_ACCESSED)
        data = command(self, cdb)
        if cdb[0] in _ALLOCATION and cdb[0] != 0xB8:
            offset, width = _ALLOCATION[cdb[0]]
            data = data[: int.from_bytes(cdb[offset : offset + width], "big")]
        return data

    # --- asking --------------------------------------------------------------------------------------------

    def _test_unit_ready(self, cdb: bytes) -> bytes:
        return b""

    def _request_sense(self, cdb: bytes) -> bytes:
        sense = PORT_ACCESSED if self._library.take_announcement() else NO_SENSE
        return sense.pack()

    def _inquiry(self, cdb: bytes) -> bytes:
        return inquiry(self._identity, cdb)

    def _mode_sense(self, cdb: bytes) -> bytes:
        """Pages 1Dh (element address assignment) and 1Fh (device capabilities: any move to any element)."""
        page, control = cdb[2] & 0x3F, cdb[2] >> 6
        counts = dict.fromkeys(Kind, 0)
        for element in self._library.elements():
            counts[element.kind] += 1
        order = (Kind.TRANSPORT, Kind.STORAGE, Kind.PORT, Kind.DRIVE)
        pages = {
            0x1D: b"".join(struct.pack(">HH", FIRST_ADDRESS[kind], counts[kind]) for kind in order)
            + bytes(2),
            0x1F: bytes((0x0E, 0, 0x0F, 0x0E, 0x0E, 0x0E))
            + bytes(4)
            + bytes((0x0F, 0x0E, 0x0E, 0x0E))
            + bytes(4),
        }
        wanted = pages if page == 0x3F else {page: pages[page]} if page in pages else {}
        if not wanted or cdb[3] or control == 3:
            raise CheckCondition(INVALID_CDB_FIELD)
        body = b"".join(
            bytes((code, len(content))) + (bytes(len(content)) if control == 1 else content)
            for code, content in wanted.items()
        )
        if cdb[0] == 0x1A:
            return bytes((len(body) + 3, 0, 0, 0)) + body
        return struct.pack(">H6x", len(body) + 6) + body

    def _log_sense(self, cdb: bytes) -> bytes:
        page = cdb[2] & 0x3F
        if page == 0 and not cdb[3]:
            return struct.pack(">BBHBB", 0, 0, 2, 0x00, 0x2E)
        if page != 0x2E or cdb[3]:
            raise CheckCondition(INVALID_CDB_FIELD)
        body = b"".join(
            struct.pack(">HBBB", flag, 0x03, 1, flag in self._alerts) for flag in range(1, _ALERTS + 1)
        )
        self._alerts.clear()
        return struct.pack(">BBH", page, 0, len(body)) + body

    def _read_element_status(self, cdb: bytes) -> bytes:
        """The elements asked for, in status pages by type; only whole descriptors are transferred."""
        kind, first, count = cdb[1] & 0x0F, int.from_bytes(cdb[2:4], "big"), int.from_bytes(cdb[4:6], "big")
        if kind > max(Kind):
            raise CheckCondition(INVALID_CDB_FIELD)
        found = [
            element
            for element in self._library.elements()
            if element.address >= first and kind in (0, element.kind)
        ][:count]
        if not found and count:
            raise CheckCondition(INVALID_ELEMENT)
        tags, identifiers = bool(cdb[1] & 0x10), bool(cdb[6] & 0x01)
        pages: list[tuple[Kind, list[bytes]]] = []
        for code, members in groupby(sorted(found, key=lambda e: (e.kind, e.address)), key=lambda e: e.kind):
            pages.append((code, [_descriptor(element, tags, identifiers) for element in members]))
        total = sum(_PAGE.size + sum(map(len, descriptors)) for _, descriptors in pages)
        lowest = min((element.address for element in found), default=0)
        room = int.from_bytes(cdb[7:10], "big")
        data = bytearray(_REPORT.pack(lowest, len(found), total))
        for code, descriptors in pages:
            size = sum(map(len, descriptors))
            data += _PAGE.pack(code, 0x80 if tags else 0, len(descriptors[0]), size)
            for descriptor in descriptors:
                if len(data) + len(descriptor) > room:
                    return bytes(data[:room])
                data += descriptor
        return bytes(data[:room])

    # --- moving --------------------------------------------------------------------------------------------

    @contextmanager
    def _robot(self) -> Iterator[None]:
        """One hand: while it travels for one process, the others wait. The cartridge itself moves at once, so
        that a process that dies of impatience does not undo what the robot was told."""
        duration = self._library.robot_time_s
        if not duration:
            yield
            return
        fd = os.open(self._library.directory / "robot.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.lockf(fd, os.F_LOCK, 0)
            yield
            time.sleep(duration)
        finally:
            os.close(fd)

    def _move_medium(self, cdb: bytes) -> bytes:
        hand, source, destination = struct.unpack_from(">HHH", cdb, 2)
        self._check_hand(hand)
        try:
            with self._robot():
                self._check_prevented(destination)
                if self._dropping:
                    self._library.check_move(source, destination)
                    self._library.move(source, FIRST_ADDRESS[Kind.TRANSPORT])
                    raise CheckCondition(MECHANICAL_POSITION)
                self._library.move(source, destination, delay_s=self._library.robot_time_s)
        except MoveRefused as refused:
            raise CheckCondition(_REFUSALS[refused.refusal]) from None
        return b""

    def _exchange_medium(self, cdb: bytes) -> bytes:
        hand, source, first, second = struct.unpack_from(">HHHH", cdb, 2)
        self._check_hand(hand)
        try:
            with self._robot():
                self._library.exchange(source, first, second, delay_s=self._library.robot_time_s)
        except MoveRefused as refused:
            raise CheckCondition(_REFUSALS[refused.refusal]) from None
        return b""

    def _check_hand(self, address: int) -> None:
        if address not in (0, FIRST_ADDRESS[Kind.TRANSPORT]):
            raise CheckCondition(INVALID_ELEMENT)

    def _check_prevented(self, destination: int) -> None:
        ports = {element.address for element in self._library.elements() if element.kind is Kind.PORT}
        if self._prevented and destination in ports:
            raise MoveRefused(Refusal.REMOVAL_PREVENTED)

    def _position(self, cdb: bytes) -> bytes:
        hand, destination = struct.unpack_from(">HH", cdb, 2)
        self._check_hand(hand)
        if all(element.address != destination for element in self._library.elements()):
            raise CheckCondition(INVALID_ELEMENT)
        return b""

    def _initialize(self, cdb: bytes) -> bytes:
        with self._robot():
            return b""

    def _prevent(self, cdb: bytes) -> bytes:
        self._prevented = bool(cdb[4] & 0x01)
        return b""


def _descriptor(element: Element, tags: bool, identifiers: bool) -> bytes:
    """An element descriptor (SMC-3 6.11.5); the identifier fields are there also when they are empty."""
    flags = 0
    if element.vid is not None:
        flags |= _FULL
    if element.kind is Kind.PORT:
        flags |= _EXPORTS | _IMPORTS | (_BY_OPERATOR if element.by_operator else 0)
    if element.kind is not Kind.TRANSPORT and element.accessible:
        flags |= _ACCESS
    valid = element.source is not None and element.vid is not None
    kind = _DATA_MEDIUM if element.vid is not None else 0
    data = _DESCRIPTOR.pack(
        element.address, flags, 0, 0, (_SOURCE_VALID if valid else 0) | kind, element.source if valid else 0
    )
    if tags:
        data += (element.barcode or "").encode().ljust(_VOLUME_TAG_BYTES - 4) + bytes(4)
    if identifiers and element.drive is not None:
        name = element.drive.identity.designator()
        return data + bytes((0x02, 0x01, 0x00, len(name))) + name
    return data + bytes(4)


_COMMANDS: Final[dict[int, Callable[[MediaChanger, bytes], bytes]]] = {
    0x00: MediaChanger._test_unit_ready,
    0x03: MediaChanger._request_sense,
    0x07: MediaChanger._initialize,
    0x12: MediaChanger._inquiry,
    0x1A: MediaChanger._mode_sense,
    0x1E: MediaChanger._prevent,
    0x2B: MediaChanger._position,
    0x37: MediaChanger._initialize,
    0x4D: MediaChanger._log_sense,
    0x5A: MediaChanger._mode_sense,
    0xA5: MediaChanger._move_medium,
    0xA6: MediaChanger._exchange_medium,
    0xB8: MediaChanger._read_element_status,
}
