# SPDX-License-Identifier: GPL-3.0-or-later
"""The hardware seam: what a tape drive or a media changer offers to the rest of the program.

Five verbs for a tape (``TapePort``), one of them alone for any other SCSI device (``ScsiPort``). Under it
is either the kernel or the virtual library; above it one concrete ``TapeDrive`` and one ``Changer``. No
layout of any command or reply is known here. ``read`` fills a caller's buffer instead of returning new bytes,
because an allocation of 256 KiB a block costs more than the copy (docs/decisions/0002).
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import SplitResult, urlsplit

from cta_taped.common.errors import CONFIG_INVALID, CtaError


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one SCSI command.

    ``status``: SCSI status byte (SAM-5 5.3.1; 0x00 GOOD, 0x02 CHECK CONDITION ...). ``sense``: raw sense data
    (SPC-4 4.5), empty if none. ``data``: what the device returned, cut to the length it transferred.
    ``host_status`` and ``driver_status`` as in struct sg_io_hdr (scsi/sg.h); 0 where there is no such layer.
    """

    status: int
    data: bytes = b""
    sense: bytes = b""
    host_status: int = 0
    driver_status: int = 0


@dataclass(frozen=True, slots=True)
class MtStatus:
    """struct mtget of MTIOCGET (linux/mtio.h). ``gstat``: the GMT_* bits; numbers are -1 when unknown."""

    gstat: int
    dsreg: int
    fileno: int
    blkno: int
    resid: int = 0
    erreg: int = 0


class ScsiPort(Protocol):
    """A SCSI device that executes commands."""

    def execute(
        self, cdb: bytes, data_out: bytes = b"", data_in_length: int = 0, timeout_s: float = 60.0
    ) -> Result:
        """Send one command descriptor block and wait for its end.

        Raises OSError when the command could not be sent at all (ENODEV, ENXIO, EBUSY ...).
        """
        ...

    def close(self) -> None:
        """Release the device; a second call does nothing."""
        ...


class TapePort(ScsiPort, Protocol):
    """A tape drive as st(4) shows it: variable block mode, non-rewinding.

    read and write raise OSError exactly as the driver does: ENOSPC at early warning or end of medium, ENOMEM
    for a block longer than the buffer, EIO for everything the driver has no better number for, EACCES when
    write protected, ENOMEDIUM without a cartridge (drivers/scsi/st.c, Documentation/scsi/st.rst).
    """

    def read(self, buffer: memoryview) -> int:
        """Read one block into ``buffer`` (writable, bytes); its length, or 0 for a filemark."""
        ...

    def write(self, block: memoryview | bytes) -> int:
        """Write one block; returns its length."""
        ...

    def mt_op(self, op: int, count: int) -> None:
        """MTIOCTOP with an mt_op code of linux/mtio.h."""
        ...

    def mt_status(self) -> MtStatus:
        """MTIOCGET."""
        ...

    def reopen(self) -> None:
        """Close and open the device again: st learns of a newly loaded cartridge only at open()."""
        ...


TAPE_PORTS: Final[dict[str, str]] = {
    "": "cta_taped.common.scsi.linux:open_tape",
    "st": "cta_taped.common.scsi.linux:open_tape",
    "vtl": "cta_taped.virtual.port:open_tape",
    "tap": "cta_taped.virtual.port:open_image",
}
CHANGER_PORTS: Final[dict[str, str]] = {
    "": "cta_taped.common.scsi.linux:open_generic",
    "sg": "cta_taped.common.scsi.linux:open_generic",
    "vtl": "cta_taped.virtual.port:open_changer",
}


def _resolve(
    table: dict[str, str], url: str, what: str
) -> tuple[Callable[[SplitResult], object], SplitResult]:
    parts = urlsplit(url)
    target = table.get(parts.scheme)
    if target is None:
        known = ", ".join(sorted(scheme or "a plain path" for scheme in table))
        raise CtaError(CONFIG_INVALID, f"{what} {url!r}: unknown scheme, expected one of {known}")
    opener: Callable[[SplitResult], object] = pkgutil.resolve_name(target)
    return opener, parts


def open_tape_port(url: str) -> TapePort:
    """Open the tape drive named by ``url``: ``[st:]/dev/nst0``, ``vtl:/DIR?drive=0``, ``tap:/FILE``.

    Raises CtaError CONFIG_INVALID for an unknown scheme, and what the backend raises for a missing device.
    """
    opener, parts = _resolve(TAPE_PORTS, url, "device")
    port: TapePort = opener(parts)  # type: ignore[assignment]
    return port


def open_changer_port(url: str) -> ScsiPort:
    """Open the media changer named by ``url``: ``/dev/sg3``, ``sg:/dev/sg3`` or ``vtl:/DIR``.

    Raises CtaError CONFIG_INVALID for an unknown scheme, and what the backend raises for a missing device.
    """
    opener, parts = _resolve(CHANGER_PORTS, url, "changer")
    port: ScsiPort = opener(parts)  # type: ignore[assignment]
    return port
