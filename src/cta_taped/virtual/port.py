# SPDX-License-Identifier: GPL-3.0-or-later
"""What the URLs ``vtl:`` and ``tap:`` open: the virtual side of the hardware seam (common.scsi.port).

``vtl:/DIR?drive=N`` a drive of a library, ``vtl:/DIR`` its changer, ``tap:/FILE`` a drive with this one
image loaded and ready at its beginning. Parameters of ``tap:``: ``create=1`` make the file if it is
missing; ``vid``, ``media`` (default LTO-9) and ``capacity`` (bytes) of a cartridge without a memory file;
``vendor``, ``product`` and ``serial`` of the drive; ``lbp``: whether records of a medium written from its
beginning carry protection information (default: as the drive's mode is when object 0 is written).
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote

from cta_taped.common.errors import CONFIG_INVALID, DRIVE_BUSY, DRIVE_NOT_FOUND, TAPE_INCOMPATIBLE, CtaError
from cta_taped.virtual.bay import ImageBay
from cta_taped.virtual.cartridge import Cartridge, load_memory, new_memory
from cta_taped.virtual.faults import Faults
from cta_taped.virtual.inquiry import UnitIdentity
from cta_taped.virtual.library import FAULTS, Library
from cta_taped.virtual.library_bay import LibraryBay
from cta_taped.virtual.media import accepted_media
from cta_taped.virtual.reservation import Reservation
from cta_taped.virtual.smc import MediaChanger
from cta_taped.virtual.ssc import StreamingDrive
from cta_taped.virtual.st import SequentialPort

_IMAGE_PARAMETERS: Final = frozenset(
    {"create", "vid", "media", "capacity", "vendor", "product", "serial", "revision", "lbp"}
)
_SWITCH: Final = {"0": False, "1": True}


def _path(parts: SplitResult) -> Path:
    return Path(unquote(parts.netloc + parts.path))


def _parameters(parts: SplitResult, known: frozenset[str]) -> dict[str, str]:
    values = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in values:
        if name not in known:
            raise CtaError(
                CONFIG_INVALID,
                f"{parts.geturl()}: unknown parameter {name!r}; known are {', '.join(sorted(known))}",
            )
    return values


def _number(parts: SplitResult, name: str, text: str) -> int:
    if not text.isdecimal():
        raise CtaError(CONFIG_INVALID, f"{parts.geturl()}: {name} must be a number, not {text!r}")
    return int(text)


def _switch(parts: SplitResult, name: str, text: str) -> bool:
    if text not in _SWITCH:
        raise CtaError(CONFIG_INVALID, f"{parts.geturl()}: {name} must be 0 or 1, not {text!r}")
    return _SWITCH[text]


def open_image(parts: SplitResult) -> SequentialPort:
    """Open ``tap:/FILE``.

    Raises CtaError DRIVE_NOT_FOUND (no such file, or it cannot be opened), DRIVE_BUSY (another process has it
    open), CONFIG_INVALID or CONFIG_USAGE (parameters), TAPE_INCOMPATIBLE.
    """
    path = _path(parts)
    values = _parameters(parts, _IMAGE_PARAMETERS)
    memory_path = path.with_suffix(".memory.json")
    if memory_path.exists():
        memory = load_memory(memory_path)
    else:
        capacity = _number(parts, "capacity", values["capacity"]) if "capacity" in values else None
        memory = new_memory(values.get("vid", path.stem), values.get("media", "LTO-9"), capacity)
    lbp = _switch(parts, "lbp", values["lbp"]) if "lbp" in values else None
    create = _switch(parts, "create", values.get("create", "0"))
    reservation = None
    try:
        if create:
            path.touch()
        if os.access(path, os.W_OK):
            reservation = Reservation(path)
        cartridge = Cartridge(path, memory, memory_path, bare=True, fixed_protection=lbp)
    except OSError as error:
        if reservation is not None:
            reservation.release()
        if error.errno == errno.EBUSY:
            raise CtaError(DRIVE_BUSY, f"tape image {path} is in use already", errno=errno.EBUSY) from None
        reason = error.strerror or os.strerror(error.errno or errno.EIO)
        raise CtaError(DRIVE_NOT_FOUND, f"tape image {path}: {reason}", errno=error.errno) from error
    bay = ImageBay(cartridge, reservation)
    identity = UnitIdentity(
        values.get("vendor", "IBM"),
        values.get("product", "ULT3580-TD9"),
        values.get("revision", "R3G3"),
        values.get("serial", "VTL0000000"),
    )
    if cartridge.medium.name not in accepted_media(identity.product):
        bay.close()
        text = f"tape image {path}: a drive {identity.product} takes no {cartridge.medium.name} cartridge"
        raise CtaError(TAPE_INCOMPATIBLE, text)
    return SequentialPort(StreamingDrive(identity, bay, Faults(None, "image"), 0))


def open_tape(parts: SplitResult) -> SequentialPort:
    """Open ``vtl:/DIR?drive=N``.

    Raises CtaError CONFIG_VTL (no library there), LIBRARY_ELEMENT (no such drive), DRIVE_BUSY,
    CONFIG_INVALID.
    """
    values = _parameters(parts, frozenset({"drive"}))
    number = _number(parts, "drive", values.get("drive", "0"))
    library = Library(_path(parts))
    try:
        bay = LibraryBay(library, number)
    except CtaError:
        library.close()
        raise
    element = library.drive(number)
    assert element.drive is not None
    faults = Faults(library.directory / FAULTS, f"drive{number}")
    drive = StreamingDrive(element.drive.identity, bay, faults, library.factor)
    try:
        return SequentialPort(drive)
    except BaseException:
        drive.close()
        raise


def open_changer(parts: SplitResult) -> MediaChanger:
    """Open ``vtl:/DIR``. Raises CtaError CONFIG_VTL, CONFIG_INVALID."""
    _parameters(parts, frozenset())
    return MediaChanger(Library(_path(parts)))
