# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drive's log pages say about drive and cartridge, under the names that CTA's monitoring knows.

A table of parameters by drive family and its evaluation. Statistics are a by-product: a page that a firmware
does not have is left out, and nothing here makes a session fail (SSC-4 8.2; IBM LTO and 3592 SCSI
references).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cta_taped.common.scsi import cdb
from cta_taped.common.scsi.command import Commands, ReplyError, ScsiError
from cta_taped.common.scsi.data import DriveFamily
from cta_taped.common.scsi.pages import parse_log_page

Value = int | float | str

_PAGE_BYTES: Final = 4096


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


def _kibibytes(raw: bytes) -> int:
    return _number(raw) * 1024


def _text(raw: bytes) -> str:
    return raw.decode("ascii", "replace").strip(" \0")


def _quality_percent(raw: bytes) -> float | None:
    """1 is best and 254 worst; 0 means that the drive does not know."""
    value = _number(raw)
    return round(100 - (value - 1) * 100 / 254, 1) if value else None


def _fraction_percent(raw: bytes) -> float:
    return round(_number(raw) * 100 / 65536, 1)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One log parameter: where it is, its name, and how its bytes become a value."""

    page: int
    subpage: int
    code: int
    name: str
    convert: Callable[[bytes], Value | None] = _number


_COMMON: Final = (
    Parameter(0x06, 0x00, 0x0000, "mountTotalNonMediumErrorCounts"),
    Parameter(0x17, 0x00, 0x0000, "validity"),
    Parameter(0x17, 0x00, 0x0001, "lifetimeVolumeMounts"),
    Parameter(0x17, 0x00, 0x0003, "lifetimeVolumeRecoveredWriteErrors"),
    Parameter(0x17, 0x00, 0x0004, "lifetimeVolumeUnrecoveredWriteErrors"),
    Parameter(0x17, 0x00, 0x0008, "lifetimeVolumeRecoveredReadErrors"),
    Parameter(0x17, 0x00, 0x0009, "lifetimeVolumeUnrecoveredReadErrors"),
    Parameter(0x17, 0x00, 0x0046, "volumeManufacturingDate", _text),
    Parameter(0x17, 0x00, 0x0101, "lifetimeBOTPasses"),
    Parameter(0x17, 0x00, 0x0102, "lifetimeMOTPasses"),
    Parameter(0x34, 0x00, 0x0001, "mountServoTransients"),
    Parameter(0x34, 0x00, 0x0002, "mountReadTransients"),
    Parameter(0x34, 0x00, 0x0006, "mountServoTemps"),
    Parameter(0x34, 0x00, 0x0007, "mountTemps"),
    Parameter(0x34, 0x00, 0x0015, "mountTotalReadRetries"),
    Parameter(0x37, 0x40, 0x0000, "mountDriveEfficiencyPrct", _quality_percent),
    Parameter(0x37, 0x40, 0x0001, "mountMediumEfficiencyPrct", _quality_percent),
    Parameter(0x37, 0x40, 0x0011, "mountInterfaceEfficiency0Prct", _quality_percent),
    Parameter(0x37, 0x40, 0x0012, "mountInterfaceEfficiency1Prct", _quality_percent),
    Parameter(0x37, 0x40, 0x001A, "mountLibraryEfficiencyPrct", _quality_percent),
    Parameter(0x37, 0x51, 0x03D0, "mountReadEfficiencyPrct", _fraction_percent),
    Parameter(0x37, 0x51, 0x04D0, "mountWriteEfficiencyPrct", _fraction_percent),
    Parameter(0x37, 0x80, 0x0000, "lifetimeDriveEfficiencyPrct", _quality_percent),
    Parameter(0x37, 0x80, 0x0001, "lifetimeMediumEfficiencyPrct", _quality_percent),
    Parameter(0x37, 0x80, 0x0011, "lifetimeInterfaceEfficiency0Prct", _quality_percent),
    Parameter(0x37, 0x80, 0x0012, "lifetimeInterfaceEfficiency1Prct", _quality_percent),
    Parameter(0x37, 0x80, 0x001A, "lifetimeLibraryEfficiencyPrct", _quality_percent),
    Parameter(0x37, 0x91, 0x03D0, "lifetimeReadEfficiencyPrct", _fraction_percent),
    Parameter(0x37, 0x91, 0x04D0, "lifetimeWriteEfficiencyPrct", _fraction_percent),
)


def _write_errors(page: int) -> tuple[Parameter, ...]:
    return (
        Parameter(page, 0x00, 0x0001, "mountServoTransients"),
        Parameter(page, 0x00, 0x0002, "mountWriteTransients"),
        Parameter(page, 0x00, 0x0006, "mountServoTemps"),
        Parameter(page, 0x00, 0x0007, "mountTemps"),
        Parameter(page, 0x00, 0x0008, "mountTotalWriteRetries"),
    )


# A name that occurs twice is a sum: the drive counts writing and reading apart.
PARAMETERS: Final[dict[DriveFamily, tuple[Parameter, ...]]] = {
    DriveFamily.LTO: (*_COMMON, *_write_errors(0x33)),
    DriveFamily.IBM3592: (
        *_COMMON,
        *_write_errors(0x32),
        Parameter(0x02, 0x00, 0x0003, "mountTotalCorrectedWriteErrors"),
        Parameter(0x02, 0x00, 0x0005, "mountTotalWriteBytesProcessed", _kibibytes),
        Parameter(0x02, 0x00, 0x0006, "mountTotalUncorrectedWriteErrors"),
        Parameter(0x03, 0x00, 0x0003, "mountTotalCorrectedReadErrors"),
        Parameter(0x03, 0x00, 0x0005, "mountTotalReadBytesProcessed", _kibibytes),
        Parameter(0x03, 0x00, 0x0006, "mountTotalUncorrectedReadErrors"),
    ),
}


@dataclass(frozen=True, slots=True)
class Transferred:
    """Bytes moved since the drive last reset its counters; host side and tape side of the compression."""

    from_host_bytes: int
    to_tape_bytes: int
    from_tape_bytes: int
    to_host_bytes: int


def collect(commands: Commands, family: DriveFamily) -> dict[str, Value]:
    """All statistics that a drive of ``family`` offers; empty for a family without a table. Never raises."""
    parameters = PARAMETERS.get(family, ())
    statistics: dict[str, Value] = {}
    for page, subpage in dict.fromkeys((row.page, row.subpage) for row in parameters):
        try:
            values = _log_page(commands, page, subpage)
        except ReplyError:
            continue
        except ScsiError as error:
            if error.sense is not None:
                continue
            # Without sense the path itself is broken: every further page would only wait for its time-out.
            break
        for row in parameters:
            raw = values.get(row.code) if (row.page, row.subpage) == (page, subpage) else None
            if raw:
                _add(statistics, row.name, row.convert(raw))
    return statistics


def transferred(commands: Commands, family: DriveFamily) -> Transferred | None:
    """Byte counters of the compression engine; None if the family has no table. Raises CtaError."""
    if family is DriveFamily.LTO:
        page = _log_page(commands, 0x32, 0x00)
        counts = [
            _number(page.get(code, b"")) * 1_000_000
            + int.from_bytes(page.get(code + 1, b""), "big", signed=True)
            for code in (0x0006, 0x0008, 0x0004, 0x0002)
        ]
        return Transferred(*counts)
    if family is DriveFamily.IBM3592:
        page = _log_page(commands, 0x38, 0x00)
        return Transferred(*(_kibibytes(page.get(code, b"")) for code in (0x0001, 0x0005, 0x0007, 0x0003)))
    return None


def _log_page(commands: Commands, page: int, subpage: int) -> dict[int, bytes]:
    return commands.ask(
        cdb.log_sense(page, subpage, _PAGE_BYTES),
        _PAGE_BYTES,
        lambda reply: parse_log_page(reply, page, subpage),
    )


def _add(statistics: dict[str, Value], name: str, value: Value | None) -> None:
    present = statistics.get(name)
    if isinstance(value, int) and isinstance(present, int):
        statistics[name] = present + value
    elif value is not None:
        statistics[name] = value
