# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that a test or a trainer asks for: ``faults.json`` in the library's directory.

A fault names a device, a command, how many matching commands pass before it strikes, how often it
strikes, and what happens then. It is struck off in the file *before* it takes effect, so that it is
consumed once even if the process dies of it. Not a list of what real devices do by themselves; without
the file nothing is injected.

A stuck cartridge is kind ``sense`` on UNLOAD with 4/53/00 for ever; a robot that fails is ``sense`` on
MOVE_MEDIUM, one that loses its grip ``drop``, one that moves but does not answer ``timeout`` with
``executed``.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cta_taped.common.errors import CONFIG_USAGE, CONFIG_VTL, CtaError
from cta_taped.common.scsi.port import Result
from cta_taped.virtual.cartridge import store_text
from cta_taped.virtual.sense import CheckCondition, Sense

CHANGER: Final = "changer"
FOREVER: Final = -1
BLOCKS_BETWEEN_LOOKS: Final = 16
_HANG_POLL_S: Final = 0.02

# fmt: off
COMMANDS: Final[dict[str, int]] = {
    "TEST_UNIT_READY": 0x00, "REWIND": 0x01, "REQUEST_SENSE": 0x03, "READ_BLOCK_LIMITS": 0x05,
    "INITIALIZE_ELEMENT_STATUS": 0x07, "READ": 0x08, "WRITE": 0x0A, "WRITE_FILEMARKS": 0x10, "SPACE": 0x11,
    "INQUIRY": 0x12, "MODE_SELECT": 0x15, "ERASE": 0x19, "MODE_SENSE": 0x1A, "UNLOAD": 0x1B, "LOAD": 0x11B,
    "PREVENT_REMOVAL": 0x1E, "LOCATE": 0x2B, "READ_POSITION": 0x34, "REPORT_DENSITY_SUPPORT": 0x44,
    "LOG_SELECT": 0x4C, "LOG_SENSE": 0x4D, "LOCATE_16": 0x92, "SECURITY_PROTOCOL_IN": 0xA2,
    "MAINTENANCE_IN": 0xA3, "MAINTENANCE_OUT": 0xA4, "MOVE_MEDIUM": 0xA5, "SECURITY_PROTOCOL_OUT": 0xB5,
    "READ_ELEMENT_STATUS": 0xB8,
}
# fmt: on
READ: Final = COMMANDS["READ"]
WRITE: Final = COMMANDS["WRITE"]
MOVE_MEDIUM: Final = COMMANDS["MOVE_MEDIUM"]
# LOAD and UNLOAD share an operation code; a LOAD is told apart by this bit above it.
LOAD: Final = COMMANDS["LOAD"]


class Kind(StrEnum):
    """What happens when a fault strikes."""

    SENSE = "sense"  # CHECK CONDITION with key, asc, ascq
    DELAY = "delay"  # the command takes delay_s longer
    HANG = "hang"  # the command does not end until the fault is cleared
    DISCONNECT = "disconnect"  # ENODEV
    TIMEOUT = "timeout"  # host status TIME_OUT; with ``executed`` the device did it nevertheless
    DROP = "drop"  # changer: the cartridge of a move stays in the hand, 4/15/01
    ALERT = "alert"  # the flags of ``alerts`` are raised
    FLIP = "flip"  # one bit of block ``object_id`` changes on its way
    RESET = "reset"  # the drive loses power: position, modes and key are gone
    WRITE_PROTECT = "write-protect"  # standing: the loaded cartridge counts as protected
    EARLY_END = "early-end"  # standing: the tape ends after ``size_bytes``


STANDING: Final = frozenset({Kind.WRITE_PROTECT, Kind.EARLY_END})


class Fault(BaseModel):
    """One entry of the file. ``command`` is a name of ``COMMANDS``, a number, or ``any``; ``after`` matching
    commands pass first; ``count`` strikes are left, -1 for ever."""

    model_config = ConfigDict(extra="forbid")
    id: int
    device: str
    kind: Kind
    command: str = "any"
    after: int = Field(default=0, ge=0)
    count: int = 1
    key: int = Field(default=4, ge=0, le=15)
    asc: int = Field(default=0x44, ge=0, le=255)
    ascq: int = Field(default=0, ge=0, le=255)
    deferred: bool = False
    delay_s: float = Field(default=0.0, ge=0)
    alerts: list[int] = []
    executed: bool = False
    object_id: int = 0
    bit: int = 0
    size_bytes: int = 0

    @property
    def opcode(self) -> int | None:
        """The operation code that it strikes; None for any command."""
        return _opcode(self.command)


class FaultFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid")
    next_id: int = 1
    faults: list[Fault] = []


def _opcode(command: str) -> int | None:
    if command == "any":
        return None
    name = command.upper().replace("-", "_").replace(" ", "_")
    if name in COMMANDS:
        return COMMANDS[name]
    try:
        return int(command, 0)
    except ValueError:
        raise CtaError(
            CONFIG_USAGE, f"unknown command {command!r}; known are any, {', '.join(COMMANDS)} or a number"
        ) from None


TIMED_OUT: Final = Result(0, host_status=0x03)


class TimedOut(Exception):
    """The host gives the command up; ``executed`` when the device carries it out all the same."""

    def __init__(self, *, executed: bool) -> None:
        super().__init__("command timed out")
        self.executed = executed


def read_faults(path: Path) -> FaultFile:
    """The file's content; empty when there is none.

    Raises CtaError CONFIG_VTL when it is not a fault file.
    """
    try:
        return FaultFile.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return FaultFile()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CtaError(CONFIG_VTL, f"fault file {path}: {where}: {first['msg']}", path=str(path)) from error


@contextmanager
def edited_faults(path: Path) -> Iterator[FaultFile]:
    """Change the file under its lock; what the block leaves in the value is written."""
    fd = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.lockf(fd, os.F_LOCK, 0)
        content = read_faults(path)
        yield content
        store_text(path, content.model_dump_json(indent=1, exclude_defaults=False))
    finally:
        os.close(fd)


class Faults:
    """The faults of one device, as its process sees them."""

    def __init__(self, path: Path | None, device: str) -> None:
        """``path`` None: there is no fault file (a bare image)."""
        self._path = path
        self._device = device
        self._stamp: tuple[int, int] | None = None
        self._armed: list[Fault] = []
        self.standing: list[Fault] = []
        self.blocks_until_look = 0

    def look(self) -> bool:
        """Read the file again if it changed; whether it did. Sets ``blocks_until_look``: the block commands
        that need not ask (1 while a fault could strike them)."""
        if self._path is None:
            self.blocks_until_look = 1 << 62
            return False
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
        except FileNotFoundError:
            stamp = None
        changed = stamp != self._stamp
        if changed:
            self._stamp = stamp
            self._adopt(read_faults(self._path))
        strikes_blocks = any(fault.opcode in (None, READ, WRITE) for fault in self._armed)
        self.blocks_until_look = 0 if strikes_blocks else BLOCKS_BETWEEN_LOOKS
        return changed

    def _adopt(self, content: FaultFile) -> None:
        mine = [fault for fault in content.faults if fault.device == self._device and fault.count != 0]
        passed = {fault.id: fault.after for fault in self._armed}
        self._armed = [fault for fault in mine if fault.kind not in STANDING]
        self.standing = [fault for fault in mine if fault.kind in STANDING]
        for fault in self._armed:
            fault.after = min(fault.after, passed.get(fault.id, fault.after))

    def strike(self, opcode: int, timeout_s: float, object_id: int = -1) -> list[Fault]:
        """Let the faults strike that are due for this command, which the host gives ``timeout_s``.

        Returns those whose effect is the device's own business. Raises CheckCondition or TimedOut when the
        command ends here, OSError(ENODEV) when the device is gone.
        """
        due: list[Fault] = []
        for fault in list(self._armed):
            wanted = MOVE_MEDIUM if fault.kind is Kind.DROP else fault.opcode
            if wanted is not None and wanted != opcode:
                continue
            if fault.kind is Kind.FLIP and (opcode not in (READ, WRITE) or object_id != fault.object_id):
                continue
            if fault.after > 0:
                fault.after -= 1
                continue
            due.append(fault)
        own: list[Fault] = []
        for fault in due:
            self._consume(fault)
            self._take_effect(fault, own, timeout_s)
        return own

    def _consume(self, fault: Fault) -> None:
        if self._path is None or fault.count == FOREVER or fault.kind is Kind.HANG:
            return
        with edited_faults(self._path) as content:
            for entry in content.faults:
                if entry.id == fault.id:
                    entry.count -= 1
                    entry.after = 0
            content.faults = [entry for entry in content.faults if entry.count != 0]
        self.look()

    def _take_effect(self, fault: Fault, own: list[Fault], timeout_s: float) -> None:
        if fault.kind is Kind.SENSE:
            raise CheckCondition(Sense(fault.key, fault.asc, fault.ascq, deferred=fault.deferred))
        if fault.kind is Kind.TIMEOUT:
            raise TimedOut(executed=fault.executed)
        if fault.kind is Kind.DISCONNECT:
            raise OSError(errno.ENODEV, "the virtual device is disconnected by a fault")
        if fault.kind is Kind.DELAY:
            time.sleep(min(fault.delay_s, timeout_s))
            if fault.delay_s > timeout_s:
                raise TimedOut(executed=True)
        elif fault.kind is Kind.HANG:
            self._hang(fault, time.monotonic() + timeout_s)
        else:
            own.append(fault)

    def _hang(self, fault: Fault, deadline: float) -> None:
        while any(armed.id == fault.id for armed in self._armed):
            if time.monotonic() > deadline:
                raise TimedOut(executed=False)
            time.sleep(_HANG_POLL_S)
            self.look()
