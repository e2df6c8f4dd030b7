# SPDX-License-Identifier: GPL-3.0-or-later
"""A cartridge: a tape image, its media type, and the memory chip in its shell.

The chip's content is a JSON file beside the image; it holds what the image cannot say (barcode, media
type, write protect tab, life counters, which objects were written with which key). It is written when a
cartridge is unloaded and when a fact must not be lost, never per block. Where no file is given (a bare
image) the memory lives as long as the process, except that encrypted objects always get their file.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from pathlib import Path
from typing import Final

import crc32c
from pydantic import BaseModel, ConfigDict, ValidationError

from cta_taped.common.errors import CONFIG_VTL, CtaError
from cta_taped.virtual.media import Medium, medium
from cta_taped.virtual.tap_image import TapImage

CRC_BYTES: Final = 4
_LABEL_BYTES: Final = 80
_SMALL_IMAGE: Final = 64 << 20


class KeyMark(BaseModel):
    """From this object on, blocks are enciphered with the key of this fingerprint ("" for in the clear)."""

    model_config = ConfigDict(frozen=True)
    first: int
    fingerprint: str


class CartridgeMemory(BaseModel):
    """The content of the chip. Bytes, counts; ``protected`` None until the first object is written."""

    model_config = ConfigDict(extra="forbid")
    barcode: str
    media: str
    capacity_bytes: int
    early_warning_bytes: int
    serial: str = ""
    manufactured: str = "20260101"
    write_protected: bool = False
    worm: bool = False
    protected: bool | None = None
    loads: int = 0
    written_bytes: int = 0
    read_bytes: int = 0
    uncorrected_writes: int = 0
    uncorrected_reads: int = 0
    beginning_passes: int = 0
    middle_passes: int = 0
    keys: list[KeyMark] = []


def new_memory(vid: str, media: str, capacity_bytes: int | None = None) -> CartridgeMemory:
    """The chip of a new cartridge; a VID of six characters gets the media suffix of its type.

    Raises CtaError CONFIG_USAGE for an unknown media type.
    """
    kind = medium(media)
    capacity = capacity_bytes or kind.capacity_bytes
    warning = min(kind.early_warning_bytes, max(capacity // 500, min(1 << 20, capacity // 8)))
    return CartridgeMemory(
        barcode=vid + kind.suffix if len(vid) <= 6 else vid,
        media=kind.name,
        capacity_bytes=capacity,
        early_warning_bytes=warning,
        serial=vid[:6].rjust(10, "0"),
    )


def load_memory(path: Path) -> CartridgeMemory:
    """Read a chip.

    Raises CtaError CONFIG_VTL when the file is missing or not one.
    """
    try:
        return CartridgeMemory.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a cartridge memory"
        raise CtaError(CONFIG_VTL, f"cartridge memory {path}: {reason}", path=str(path)) from error


def store_text(path: Path, text: str) -> None:
    """Replace a small file atomically, so that a reader or a dying writer never sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


class Cartridge:
    """A cartridge whose image is open. ``protected``: its records end in the four CRC bytes of their
    block.
    """

    def __init__(
        self,
        image_path: Path,
        memory: CartridgeMemory,
        memory_path: Path,
        *,
        bare: bool,
        fixed_protection: bool | None = None,
    ) -> None:
        """Open a cartridge. ``bare``: an image without a library around it, beside which no file should
        appear as long as it is small. ``fixed_protection``: what records carry if the image is blank or is
        written anew from object 0; None leaves it to the drive's mode at that moment.

        Raises OSError when the image cannot be opened.
        """
        self.memory = memory
        self._memory_path = memory_path
        self._bare = bare
        self.medium: Medium = medium(memory.media)
        self.image = TapImage(image_path, self._index_path(image_path))
        self.vid = memory.barcode[:6]
        self.write_protected = memory.write_protected or not self.image.writable
        recorded = self._detect_protection()
        if recorded is None:
            recorded = bool(memory.protected) if fixed_protection is None else fixed_protection
        self.protected = recorded
        self._fixed_protection = fixed_protection
        self.early_warning_at = memory.capacity_bytes - memory.early_warning_bytes
        self.end_at = memory.capacity_bytes

    def _index_path(self, image_path: Path) -> Path | None:
        path = image_path.with_suffix(".index")
        if not self._bare or path.exists():
            return path
        large = image_path.stat().st_size >= _SMALL_IMAGE
        return path if large and os.access(image_path.parent, os.W_OK) else None

    def _detect_protection(self) -> bool | None:
        """Recorded labels tell by themselves: an 84-byte VOL1 whose last bytes are its CRC32C."""
        image = self.image
        length = image.peek()
        if length <= 0:
            return None
        label = bytearray(min(length, _LABEL_BYTES + CRC_BYTES))
        image.take([label])
        image.locate(0)
        if label[:4] != b"VOL1":
            return None
        crc = crc32c.crc32c(label[:_LABEL_BYTES]).to_bytes(CRC_BYTES, "little")
        return length == _LABEL_BYTES + CRC_BYTES and label[_LABEL_BYTES:] == crc

    def decide_protection(self, protected: bool) -> None:
        """Object 0 is about to be written: whether the medium's records carry their protection
        information.
        """
        self.protected = protected if self._fixed_protection is None else self._fixed_protection
        if self.memory.protected != self.protected:
            self.memory.protected = self.protected
            self.save()

    # --- encryption ----------------------------------------------------------------------------------------

    def key_at(self, object_id: int) -> str:
        """Fingerprint of the key of the block at this object, "" for a clear one."""
        keys = self.memory.keys
        place = bisect_right(keys, object_id, key=lambda mark: mark.first) - 1
        return keys[place].fingerprint if place >= 0 else ""

    def seal(self, object_id: int, fingerprint: str) -> None:
        """From this object on blocks are written with this key; known durably before the first of them."""
        keys = [mark for mark in self.memory.keys if mark.first < object_id]
        if (keys[-1].fingerprint if keys else "") != fingerprint:
            keys.append(KeyMark(first=object_id, fingerprint=fingerprint))
        if keys != self.memory.keys:
            self.memory.keys = keys
            self.save()

    # --- life ----------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the chip."""
        if self._bare and not self.memory.keys and not self._memory_path.exists():
            return
        store_text(self._memory_path, self.memory.model_dump_json(indent=1))

    def close(self) -> None:
        """Close the image; a second call does nothing."""
        self.image.close()
