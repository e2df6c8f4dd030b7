# SPDX-License-Identifier: GPL-3.0-or-later
"""Sending one SCSI command and judging its outcome; failures come out as CtaError.

Not here: layouts (``cdb``, ``data``) and what a device is for (``tape.drive``, ``tape.changer``). The order
in which the results of SG_IO are judged is decided here once: sense, transport, driver, status (scsi/sg.h).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any, Final, TypeVar

from cta_taped.common.errors import CtaError, ErrorSpec
from cta_taped.common.scsi import cdb as build
from cta_taped.common.scsi.codes import HostStatus, Opcode, SenseKey, Status, timeout_s
from cta_taped.common.scsi.port import Result, ScsiPort
from cta_taped.common.scsi.sense import Sense, Translation, parse

Parsed = TypeVar("Parsed")

# SG_IO reports "sense data present" here, which is no failure of the driver.
_DRIVER_SENSE: Final = 0x08
_TIME_OUTS: Final = {HostStatus.TIME_OUT, HostStatus.ABORT}
_HARMLESS: Final = {SenseKey.NO_SENSE, SenseKey.RECOVERED_ERROR}
_BUSY: Final = {Status.BUSY, Status.TASK_SET_FULL, Status.RESERVATION_CONFLICT}
_ATTEMPTS: Final = 4


class ScsiError(CtaError):
    """A command that failed; ``sense`` is None when the failure lies between host and device."""

    def __init__(self, spec: ErrorSpec, detail: str, sense: Sense | None, **evidence: Any) -> None:
        super().__init__(spec, detail, **evidence)
        self.sense = sense


class ReplyError(CtaError):
    """A command whose reply contradicts its layout."""


def sense_evidence(sense: Sense) -> dict[str, Any]:
    """Sense data as fields of an error's evidence."""
    return {
        "sense_key": sense.key,
        "asc": sense.asc,
        "ascq": sense.ascq,
        "deferred": sense.deferred,
        "sense_text": sense.text,
    }


def _was_not_performed(sense: Sense) -> bool:
    return sense.key == SenseKey.UNIT_ATTENTION or (sense.deferred and sense.key in _HARMLESS)


def opcode_name(opcode: int) -> str:
    """A command's name as the standard writes it, or its number."""
    try:
        name = Opcode(opcode).name
    except ValueError:
        return f"command {opcode:02X}h"
    return re.sub(r"_(\d+)\Z", r"(\1)", name).replace("_", " ")


class Commands:
    """Commands to one device. ``device`` names it in messages.

    ``on_attention`` is told every UNIT ATTENTION before the command is repeated, because one may mean that
    the device was reset or its medium changed.
    """

    def __init__(
        self,
        port: ScsiPort,
        translation: Translation,
        device: str,
        on_attention: Callable[[Sense], None] = lambda sense: None,
    ) -> None:
        self._port = port
        self._translation = translation
        self._device = device
        self._on_attention = on_attention

    def run(
        self,
        cdb: bytes,
        data_out: bytes = b"",
        data_in_length: int = 0,
        *,
        default: ErrorSpec | None = None,
    ) -> bytes:
        """Perform a command and return its data; ``default`` is the failure if no table row knows better.

        UNIT ATTENTION and a deferred *recovered* error mean that this command was not performed: it is
        repeated. Raises ScsiError.
        """
        attempts_left = _ATTEMPTS
        while True:
            result = self._execute(cdb, data_out, data_in_length)
            sense = self._judge(cdb, result)
            if sense is None:
                return result.data
            if sense.key == SenseKey.UNIT_ATTENTION:
                self._on_attention(sense)
            attempts_left -= 1
            if not attempts_left or not _was_not_performed(sense):
                raise self._sense_error(cdb, sense, default)

    def ask(self, cdb: bytes, length: int, parse_reply: Callable[[bytes], Parsed]) -> Parsed:
        """Perform a command that returns up to ``length`` bytes and parse it; a malformed reply is a
        failure.
        """
        reply = self.run(cdb, data_in_length=length)
        try:
            return parse_reply(reply)
        except (ValueError, struct.error, IndexError) as error:
            name = opcode_name(cdb[0])
            raise ReplyError(
                self._translation.transport,
                f"{self._device}: malformed reply to {name}: {error}",
                opcode=cdb[0],
                reply=reply[:64].hex(),
            ) from error

    def readiness(self) -> Sense | None:
        """TEST UNIT READY: None if ready, else the sense that says why not. Raises ScsiError."""
        cdb = build.test_unit_ready()
        sense = self._judge(cdb, self._execute(cdb, b"", 0))
        if sense is not None and sense.key == SenseKey.UNIT_ATTENTION:
            self._on_attention(sense)
        return sense

    def _execute(self, cdb: bytes, data_out: bytes, data_in_length: int) -> Result:
        try:
            return self._port.execute(cdb, data_out, data_in_length, timeout_s(cdb[0]))
        except OSError as error:
            name = opcode_name(cdb[0])
            raise ScsiError(
                self._translation.of_errno(error.errno),
                f"{self._device}: {name} could not be sent: {error.strerror or error}",
                None,
                opcode=cdb[0],
                cdb=cdb.hex(),
                errno=error.errno,
            ) from error

    def _judge(self, cdb: bytes, result: Result) -> Sense | None:
        """None if the command was performed, its sense if the device objected; raises for everything else."""
        name = opcode_name(cdb[0])
        if result.status == Status.CHECK_CONDITION:
            sense = parse(result.sense)
            if sense is not None:
                return None if sense.key in _HARMLESS and not sense.deferred else sense
        if result.host_status in _TIME_OUTS:
            spec, what = self._translation.timeout, "did not end in time, its outcome is unknown"
        elif result.host_status:
            spec, what = self._translation.transport, "was lost on the way"
        elif result.driver_status & ~_DRIVER_SENSE:
            spec, what = self._translation.transport, "was failed by the driver"
        elif result.status in (Status.GOOD, Status.CONDITION_MET):
            return None
        elif result.status in _BUSY:
            spec, what = self._translation.busy, f"was refused, the device is busy ({result.status:02X}h)"
        else:
            spec, what = self._translation.transport, f"ended with status {result.status:02X}h"
        raise ScsiError(
            spec,
            f"{self._device}: {name} {what}",
            None,
            opcode=cdb[0],
            cdb=cdb.hex(),
            status=result.status,
            host_status=result.host_status,
            driver_status=result.driver_status,
        )

    def _sense_error(self, cdb: bytes, sense: Sense, default: ErrorSpec | None) -> ScsiError:
        return ScsiError(
            self._translation.of_sense(sense, default),
            f"{self._device}: {opcode_name(cdb[0])} failed: {sense.text}",
            sense,
            opcode=cdb[0],
            cdb=cdb.hex(),
            **sense_evidence(sense),
        )
