# SPDX-License-Identifier: GPL-3.0-or-later
"""What a failed operation of the tape driver means.

st(4) reports nearly everything as EIO and has consumed the sense by then. So the drive is asked again
(REQUEST SENSE), then the driver's own memory (mt_gstat), and only then the operation decides. Pass-through
commands are not treated here: their sense is at hand (``common.scsi.command``).
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Any, Final

from cta_taped.common import errors
from cta_taped.common.errors import CtaError, ErrorSpec
from cta_taped.common.scsi import cdb
from cta_taped.common.scsi.codes import Gmt, SenseKey
from cta_taped.common.scsi.command import Commands, ScsiError, sense_evidence
from cta_taped.common.scsi.port import TapePort
from cta_taped.common.scsi.sense import DRIVE, Sense, parse

_SENSE_BYTES: Final = 96


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of st: what an unexplained EIO means (``medium``), and what end of data means
    (``blank``).
    """

    name: str
    medium: ErrorSpec
    blank: ErrorSpec


READ: Final = Operation("read", errors.TAPE_READ, errors.TAPE_TRUNCATED)
WRITE: Final = Operation("write", errors.TAPE_WRITE, errors.TAPE_WRITE)
MARK: Final = Operation("write of filemarks", errors.TAPE_WRITE, errors.TAPE_WRITE)
FLUSH: Final = Operation("flush", errors.DRIVE_FLUSH_FAILED, errors.DRIVE_FLUSH_FAILED)
SPACE: Final = Operation("spacing", errors.TAPE_POSITION, errors.TAPE_POSITION)
REWIND: Final = Operation("rewind", errors.TAPE_POSITION, errors.TAPE_POSITION)
LOAD: Final = Operation("load", errors.DRIVE_LOAD_TIMEOUT, errors.DRIVE_LOAD_TIMEOUT)
UNLOAD: Final = Operation("unload", errors.DRIVE_UNLOAD_FAILED, errors.DRIVE_UNLOAD_FAILED)
STATUS: Final = Operation("status", errors.DRIVE_IO, errors.DRIVE_IO)


def explain(operation: Operation, error: OSError, commands: Commands, port: TapePort) -> CtaError:
    """The failure behind an errno of ``port``. Never raises.

    After EIO the drive is asked, which moves the tape by one object unless it stands at the end of data.
    """
    evidence: dict[str, Any] = {"operation": operation.name, "errno": error.errno}
    reason = error.strerror or str(error)
    if error.errno == errno.EIO:
        spec, sense = _ask_why(operation, commands, port)
        if sense is not None:
            evidence |= sense_evidence(sense)
            reason = sense.text
    else:
        spec = DRIVE.of_errno(error.errno, operation.medium)
    return CtaError(spec, f"drive: {operation.name} failed: {reason}", **evidence)


def _ask_why(operation: Operation, commands: Commands, port: TapePort) -> tuple[ErrorSpec, Sense | None]:
    try:
        sense = parse(commands.run(cdb.request_sense(_SENSE_BYTES), data_in_length=_SENSE_BYTES))
    except CtaError as error:
        return error.spec, None
    if sense is not None and sense.key not in (SenseKey.NO_SENSE, SenseKey.RECOVERED_ERROR):
        if sense.key == SenseKey.BLANK_CHECK:
            return operation.blank, sense
        return DRIVE.of_sense(sense, operation.medium), sense
    try:
        gstat = port.mt_status().gstat
    except OSError:
        return operation.medium, None
    if gstat & Gmt.DR_OPEN:
        return errors.DRIVE_NO_CARTRIDGE, None
    if operation.blank is operation.medium:
        return operation.medium, None
    at_end = gstat & Gmt.EOD or _is_end_of_data(commands)
    return operation.blank if at_end else operation.medium, None


def _is_end_of_data(commands: Commands) -> bool:
    """Whether nothing is recorded from here on. st shows end of data only behind a filemark (st.c:
    read_tape).
    """
    try:
        commands.run(cdb.space_blocks(1))
    except ScsiError as error:
        return error.sense is not None and error.sense.key == SenseKey.BLANK_CHECK
    return False
