# SPDX-License-Identifier: GPL-3.0-or-later
"""The 64 TapeAlert flags of a drive: what each means, whom it concerns, and which forbid writing.

A table and one question to it; reading the flags is ``TapeDrive.tape_alerts``. Upstream refuses to write on
any flag but "lost statistics"; here only flags that endanger data do (critical ones and 7, 8, 9, 17), because
a fan or a wish for cleaning must not stop a drive (SSC-4 annex A, TapeAlert specification 3).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class AlertSeverity(StrEnum):
    """The TapeAlert specification's three grades."""

    INFORMATION = "information"
    WARNING = "warning"
    CRITICAL = "critical"


class AlertSubject(StrEnum):
    """What has to be looked at."""

    MEDIUM = "medium"
    MEDIUM_OR_DRIVE = "medium or drive"
    DRIVE = "drive"
    LIBRARY = "library"
    CLEANING = "cleaning"
    FIRMWARE = "firmware"
    HOST = "host interface"
    ENVIRONMENT = "environment"
    KEYS = "key management"
    NONE = "nothing"


@dataclass(frozen=True, slots=True)
class Alert:
    """One flag. ``stops_write``: nothing is written to this cartridge in this drive while it is active."""

    number: int
    name: str
    severity: AlertSeverity
    subject: AlertSubject
    stops_write: bool
    meaning: str


_I, _W, _C = AlertSeverity
_M, _MD, _D, _L, _CL, _F, _H, _E, _K, _N = AlertSubject

# fmt: off
_ROWS: Final = (
    (1, "read warning", _W, _MD, False, "reading is degraded, nothing is lost yet"),
    (2, "write warning", _W, _MD, False, "writing is degraded"),
    (3, "hard error", _W, _MD, False, "an unrecoverable read, write or position error"),
    (4, "medium", _C, _M, True, "the medium can no longer be read or written"),
    (5, "read failure", _C, _MD, True, "an unrecoverable read error of medium or drive"),
    (6, "write failure", _C, _MD, True, "an unrecoverable write error of medium or drive"),
    (7, "medium life", _W, _M, True, "the medium reached the end of its life"),
    (8, "not data grade", _W, _M, True, "the cartridge is not data grade"),
    (9, "write protect", _C, _M, True, "a write to a protected medium was tried"),
    (10, "volume removal prevented", _I, _H, False, "an unload was tried while removal is prevented"),
    (11, "cleaning volume", _I, _CL, False, "a cleaning cartridge is in the drive"),
    (12, "unsupported format", _I, _M, False, "cartridge or format is not supported"),
    (13, "recoverable mechanical cartridge failure", _C, _M, True, "the cartridge is broken but ejectable"),
    (14, "unrecoverable mechanical cartridge failure", _C, _MD, True, "the tape is broken and stuck"),
    (15, "memory chip in cartridge failure", _W, _M, False, "the cartridge memory is bad, locating is slow"),
    (16, "forced eject", _C, _L, True, "the cartridge was ejected by hand during use"),
    (17, "read-only format", _W, _M, True, "this drive can only read the format"),
    (18, "tape directory corrupted on load", _W, _M, False, "locating is slow until the tape is read again"),
    (19, "nearing medium life", _I, _M, False, "the medium should be replaced soon"),
    (20, "clean now", _C, _CL, True, "the drive must be cleaned"),
    (21, "clean periodic", _W, _CL, False, "cleaning is due"),
    (22, "expired cleaning volume", _C, _CL, True, "the cleaning cartridge is used up"),
    (23, "invalid cleaning volume", _C, _CL, True, "the cleaning cartridge is of a wrong type"),
    (24, "retension requested", _W, _M, False, "a retension pass is advised"),
    (25, "multi-port interface error on a primary port", _W, _H, False, "one port of the drive is failing"),
    (26, "cooling fan failure", _W, _D, False, "a fan of the drive has failed"),
    (27, "power supply failure", _W, _E, False, "a power supply has failed"),
    (28, "power consumption", _W, _E, False, "power consumption is out of range"),
    (29, "drive preventive maintenance required", _W, _D, False, "the drive wants maintenance"),
    (30, "hardware A", _C, _D, True, "a drive fault, a reset may help"),
    (31, "hardware B", _C, _D, True, "a drive fault, power-cycle or replace the drive"),
    (32, "primary interface", _W, _H, False, "a fault of the host interface"),
    (33, "eject volume", _C, _MD, True, "the cartridge must be ejected and loaded again"),
    (34, "microcode update fail", _W, _F, False, "a firmware download failed"),
    (35, "drive humidity", _W, _E, False, "humidity is out of range"),
    (36, "drive temperature", _W, _E, False, "temperature is out of range"),
    (37, "drive voltage", _W, _E, False, "voltage is out of range"),
    (38, "predictive failure", _C, _D, True, "a failure of the drive is expected"),
    (39, "diagnostics required", _W, _D, False, "the drive's diagnostics should be run"),
    (40, "obsolete 28h", _C, _L, False, "formerly loader hardware A"),
    (41, "obsolete 29h", _C, _L, False, "formerly loader stray tape"),
    (42, "obsolete 2Ah", _W, _L, False, "formerly loader hardware B"),
    (43, "obsolete 2Bh", _C, _L, False, "formerly loader door"),
    (44, "obsolete 2Ch", _C, _L, False, "formerly loader hardware C"),
    (45, "obsolete 2Dh", _C, _L, False, "formerly loader magazine"),
    (46, "obsolete 2Eh", _W, _L, False, "formerly loader predictive failure"),
    (47, "encryption control communication failure", _W, _K, False, "the path to the key manager is lost"),
    (48, "encryption control key manager error", _W, _K, False, "the key manager returned an error"),
    (49, "diminished native capacity", _I, _M, False, "the tape holds less than its nominal capacity"),
    (50, "lost statistics", _W, _N, False, "statistics in the cartridge memory are lost"),
    (51, "tape directory invalid at unload", _W, _M, False, "locating will be slow at the next mount"),
    (52, "tape system area write failure", _C, _M, True, "copy the data to another tape"),
    (53, "tape system area read failure", _C, _M, True, "copy the data to another tape"),
    (54, "no start of data", _C, _M, True, "the tape is erased, damaged or of a wrong format"),
    (55, "loading or threading failure", _C, _MD, True, "the cartridge cannot be loaded"),
    (56, "unrecoverable unload failure", _C, _D, True, "the cartridge is stuck in the drive"),
    (57, "automation interface failure", _C, _L, True, "the link between drive and library has failed"),
    (58, "microcode failure", _W, _F, False, "the drive's firmware failed"),
    (59, "WORM volume integrity check failed", _W, _M, False, "a WORM cartridge may have been tampered with"),
    (60, "WORM volume overwrite attempted", _W, _M, False, "an overwrite of a WORM cartridge was tried"),
    (61, "encryption policy violation", _W, _K, False, "the volume breaks the drive's encryption policy"),
    (62, "reserved 3Eh", _W, _N, False, "not defined"),
    (63, "reserved 3Fh", _W, _N, False, "not defined"),
    (64, "reserved 40h", _W, _N, False, "not defined"),
)
# fmt: on

ALERTS: Final[dict[int, Alert]] = {row[0]: Alert(*row) for row in _ROWS}


def blocking_for_write(flags: Iterable[Alert]) -> list[Alert]:
    """Those of the active flags that forbid writing to this cartridge in this drive."""
    return [flag for flag in flags if flag.stops_write]
