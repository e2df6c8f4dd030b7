# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of numbers: operation codes, mtio operations, status bits, sense codes, time-outs, densities.

Only names for numbers that standards or the kernel fix (SPC-4, SSC-4, SMC-3, linux/mtio.h, scsi/sg.h); what a
sense code means for the program is in ``sense``, what a command looks like in ``cdb``.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final


class Opcode(IntEnum):
    """First byte of a CDB (SPC-4 annex D, SSC-4 table 13, SMC-3 table 3)."""

    TEST_UNIT_READY = 0x00
    REQUEST_SENSE = 0x03
    SPACE_6 = 0x11
    INQUIRY = 0x12
    MODE_SELECT_6 = 0x15
    MODE_SENSE_6 = 0x1A
    LOCATE_10 = 0x2B
    READ_POSITION = 0x34
    LOG_SENSE = 0x4D
    SECURITY_PROTOCOL_IN = 0xA2
    MAINTENANCE_IN = 0xA3
    MAINTENANCE_OUT = 0xA4
    MOVE_MEDIUM = 0xA5
    SECURITY_PROTOCOL_OUT = 0xB5
    READ_ELEMENT_STATUS = 0xB8


class MtOp(IntEnum):
    """mt_op of MTIOCTOP (linux/mtio.h)."""

    MTFSF = 1
    MTBSF = 2
    MTFSR = 3
    MTWEOF = 5
    MTREW = 6
    MTLOAD = 30
    MTUNLOAD = 31
    MTWEOFI = 35


class Gmt(IntFlag):
    """mt_gstat bits of MTIOCGET (linux/mtio.h)."""

    EOF = 0x80000000
    BOT = 0x40000000
    EOT = 0x20000000
    SM = 0x10000000
    EOD = 0x08000000
    WR_PROT = 0x04000000
    ONLINE = 0x01000000
    DR_OPEN = 0x00040000
    IM_REP_EN = 0x00010000
    CLN = 0x00008000


class Status(IntEnum):
    """SCSI status byte (SAM-5 5.3.1)."""

    GOOD = 0x00
    CHECK_CONDITION = 0x02
    CONDITION_MET = 0x04
    BUSY = 0x08
    RESERVATION_CONFLICT = 0x18
    TASK_SET_FULL = 0x28
    ACA_ACTIVE = 0x30
    TASK_ABORTED = 0x40


class HostStatus(IntEnum):
    """host_status of struct sg_io_hdr (DID_* of the Linux SCSI layer)."""

    OK = 0
    NO_CONNECT = 1
    BUS_BUSY = 2
    TIME_OUT = 3
    BAD_TARGET = 4
    ABORT = 5
    PARITY = 6
    ERROR = 7
    RESET = 8
    BAD_INTR = 9
    PASSTHROUGH = 10
    SOFT_ERROR = 11
    IMM_RETRY = 12
    REQUEUE = 13
    TRANSPORT_DISRUPTED = 14
    TRANSPORT_FAILFAST = 15


class SenseKey(IntEnum):
    """Sense key (SPC-4 table 48)."""

    NO_SENSE = 0x0
    RECOVERED_ERROR = 0x1
    NOT_READY = 0x2
    MEDIUM_ERROR = 0x3
    HARDWARE_ERROR = 0x4
    ILLEGAL_REQUEST = 0x5
    UNIT_ATTENTION = 0x6
    DATA_PROTECT = 0x7
    BLANK_CHECK = 0x8
    VENDOR_SPECIFIC = 0x9
    COPY_ABORTED = 0xA
    ABORTED_COMMAND = 0xB
    RESERVED = 0xC
    VOLUME_OVERFLOW = 0xD
    MISCOMPARE = 0xE
    COMPLETED = 0xF


class ElementType(IntEnum):
    """Element type code of a media changer (SMC-3 table 10)."""

    ALL = 0
    TRANSPORT = 1
    STORAGE = 2
    PORT = 3
    DRIVE = 4


# A key of (ASC, None) serves every qualifier that has no row of its own.
ASC_TEXTS: Final[dict[tuple[int, int | None], str]] = {
    (0x00, 0x00): "no additional sense information",
    (0x00, 0x01): "filemark detected",
    (0x00, 0x02): "end of partition or medium detected",
    (0x00, 0x04): "beginning of partition detected",
    (0x00, 0x05): "end of data detected",
    (0x00, 0x07): "programmable early warning detected",
    (0x00, 0x17): "cleaning requested",
    (0x04, 0x00): "not ready, cause not reportable",
    (0x04, 0x01): "becoming ready",
    (0x04, 0x02): "not ready, initializing command required",
    (0x04, 0x03): "not ready, manual intervention required",
    (0x04, 0x12): "not ready, offline",
    (0x04, 0x85): "library paused",
    (0x04, None): "not ready",
    (0x08, None): "logical unit communication failure",
    (0x0C, None): "write error",
    (0x10, 0x01): "logical block guard check failed",
    (0x11, None): "unrecovered read error",
    (0x14, 0x03): "end of data not found",
    (0x14, None): "recorded entity not found",
    (0x15, 0x01): "mechanical positioning error",
    (0x15, 0x02): "positioning error detected by read of medium",
    (0x15, None): "random positioning error",
    (0x1A, 0x00): "parameter list length error",
    (0x20, 0x00): "invalid command operation code",
    (0x21, 0x01): "invalid element address",
    (0x24, 0x00): "invalid field in CDB",
    (0x25, 0x00): "logical unit not supported",
    (0x26, None): "invalid field in parameter list",
    (0x27, None): "write protected",
    (0x28, 0x00): "not ready to ready change, medium may have changed",
    (0x28, 0x01): "import or export element accessed",
    (0x29, None): "power on or reset occurred",
    (0x2A, 0x01): "mode parameters changed",
    (0x2A, 0x11): "data encryption parameters changed by another initiator",
    (0x2A, None): "parameters changed",
    (0x30, 0x03): "cleaning cartridge installed",
    (0x30, None): "incompatible medium installed",
    (0x31, None): "medium format corrupted",
    (0x33, 0x00): "tape length error",
    (0x3A, None): "medium not present",
    (0x3B, 0x0D): "medium destination element full",
    (0x3B, 0x0E): "medium source element empty",
    (0x3B, 0x11): "medium magazine not accessible",
    (0x3B, 0x12): "medium magazine removed",
    (0x3B, 0x18): "element disabled",
    (0x3B, 0x1A): "data transfer element removed",
    (0x3B, None): "sequential positioning error",
    (0x3F, 0x01): "microcode has been changed",
    (0x3F, None): "target operating conditions have changed",
    (0x40, None): "diagnostic failure on component",
    (0x43, 0x00): "message error",
    (0x44, None): "internal target failure",
    (0x45, 0x00): "select or reselect failure",
    (0x47, None): "parity error",
    (0x48, 0x00): "initiator detected error message received",
    (0x4B, None): "data phase error",
    (0x4C, 0x00): "logical unit failed self-configuration",
    (0x4E, 0x00): "overlapped commands attempted",
    (0x50, 0x01): "write append position error",
    (0x50, None): "write append error",
    (0x51, None): "erase failure",
    (0x52, 0x00): "cartridge fault",
    (0x53, 0x00): "medium load or eject failed",
    (0x53, 0x02): "medium removal prevented",
    (0x53, 0x03): "medium removal prevented by data transfer element",
    (0x53, None): "medium load or eject failed",
    (0x54, 0x00): "host interface failure",
    (0x5A, 0x01): "operator medium removal request",
    (0x5D, None): "failure prediction threshold exceeded",
    (0x74, 0x01): "unable to decrypt data",
    (0x74, 0x02): "unencrypted data encountered while decrypting",
    (0x74, 0x03): "incorrect data encryption key",
    (0x74, 0x05): "error decrypting data",
    (0x74, 0x21): "data encryption configuration prevented",
    (0x74, None): "security error",
}

# Upper bounds over the drive generations that the vendors recommend; a command not named takes SHORT_S.
SHORT_S: Final = 60.0
ROBOT_S: Final = 900.0
TIMEOUTS_S: Final[dict[int, float]] = {
    Opcode.SPACE_6: 2940.0,
    Opcode.LOCATE_10: 2940.0,
    Opcode.MOVE_MEDIUM: ROBOT_S,
    Opcode.READ_ELEMENT_STATUS: ROBOT_S,
}

# Old LTO codes collide with those of STK 9840/9940: interpret them together with the product id.
DENSITY_NAMES: Final[dict[int, str]] = {
    0x40: "LTO-1",
    0x42: "LTO-2",
    0x44: "LTO-3",
    0x46: "LTO-4",
    0x4A: "T10000A",
    0x4B: "T10000B",
    0x4C: "T10000C",
    0x4D: "T10000D",
    0x51: "3592-J1A",
    0x52: "3592-E05",
    0x53: "3592-E06",
    0x54: "3592-E07",
    0x55: "3592-E08",
    0x56: "3592-55F",
    0x57: "3592-60F",
    0x58: "LTO-5",
    0x59: "3592-70F",
    0x5A: "LTO-6",
    0x5C: "LTO-7",
    0x5D: "LTO-7M8",
    0x5E: "LTO-8",
    0x60: "LTO-9",
    0x62: "LTO-10",
    0x63: "LTO-10P",
    0x71: "3592-J1A encrypted",
    0x72: "3592-E05 encrypted",
    0x73: "3592-E06 encrypted",
    0x74: "3592-E07 encrypted",
    0x75: "3592-E08 encrypted",
    0x76: "3592-55F encrypted",
    0x77: "3592-60F encrypted",
    0x79: "3592-70F encrypted",
}


def asc_text(asc: int, ascq: int) -> str:
    """The standard's words for an additional sense code, or its numbers when it is not in the table."""
    text = ASC_TEXTS.get((asc, ascq)) or ASC_TEXTS.get((asc, None))
    return text or f"additional sense {asc:02X}/{ascq:02X}"


def timeout_s(opcode: int) -> float:
    """How long a command may take, in seconds."""
    return TIMEOUTS_S.get(opcode, SHORT_S)
