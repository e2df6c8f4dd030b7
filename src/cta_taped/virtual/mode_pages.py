# SPDX-License-Identifier: GPL-3.0-or-later
"""Mode pages of the virtual drive: MODE SENSE and MODE SELECT in both sizes (SPC-4 7.5, SSC-4 8.3).

A table says each page's default and which bits may be changed; the rest follows. The drive is strict
where real ones are: a set PS bit, a changed read-only bit or a wrong length in a parameter list is
refused.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from cta_taped.virtual.sense import (
    INVALID_CDB_FIELD,
    INVALID_LIST_FIELD,
    LIST_LENGTH,
    CheckCondition,
)

_PS: Final = 0x80
_SPF: Final = 0x40
_ALL_PAGES: Final = 0x3F
_ALL_SUBPAGES: Final = 0xFF
DATA_PROTECTION: Final = (0x0A, 0xF0)
COMPRESSION: Final = (0x0F, 0x00)
CONFIGURATION: Final = (0x10, 0x00)
CONFIGURATION_EXTENSION: Final = (0x10, 0x01)
MEDIUM_CONFIGURATION: Final = (0x1D, 0x00)
CRC32C_METHOD: Final = 2
CRC32C_LENGTH: Final = 4


class Page(NamedTuple):
    """Default content and changeable bits, both without the page header."""

    default: bytes
    changeable: bytes


def _page(length: int, default: dict[int, int], changeable: dict[int, int]) -> Page:
    """Offsets count from the start of the page, as the standards do."""
    start = 4 if length > 0x100 else 2
    content, mask = bytearray(length & 0xFF), bytearray(length & 0xFF)
    for cells, target in ((default, content), (changeable, mask)):
        for offset, value in cells.items():
            target[offset - start] = value
    return Page(bytes(content), bytes(mask))


_SUB: Final = 0x100  # marks a page in subpage format, whose content starts at offset 4
# fmt: off
PAGES: Final[dict[tuple[int, int], Page]] = {
    (0x01, 0x00): _page(0x0A, {3: 0x08, 8: 0x08}, {}),                      # read-write error recovery
    (0x02, 0x00): _page(0x0E, {}, {}),                                      # disconnect-reconnect
    (0x0A, 0x00): _page(0x0A, {2: 0x02}, {2: 0x04}),                        # control: D_SENSE fixed at 0
    DATA_PROTECTION: _page(_SUB | 0x1C, {}, {4: 0xFF, 5: 0x3F, 6: 0xC0}),
    COMPRESSION: _page(0x0E, {2: 0xC0, 3: 0x80, 7: 0xFF, 11: 0xFF}, {2: 0x80}),
    CONFIGURATION: _page(0x0E, {7: 0x32, 8: 0x40, 10: 0x18, 14: 0x01}, {6: 0xFF, 7: 0xFF, 14: 0xFF}),
    CONFIGURATION_EXTENSION: _page(_SUB | 0x1C, {5: 0x00}, {4: 0xF0, 6: 0xFF, 7: 0xFF}),
    (0x11, 0x00): _page(0x0E, {2: 0x03, 4: 0x3C, 5: 0x03, 6: 0x09}, {}),    # medium partition: one partition
    (0x1C, 0x00): _page(0x0A, {2: 0x08, 3: 0x03}, {2: 0x88, 3: 0x0F}),      # informational exceptions
    MEDIUM_CONFIGURATION: _page(0x1E, {}, {}),
}
# fmt: on


class ModePages:
    """The current values; ``changes`` (page "PP/SS" to content in hexadecimal) is what survives the
    process.
    """

    def __init__(self, changes: dict[str, str]) -> None:
        self.changes = changes

    def current(self, key: tuple[int, int]) -> bytes:
        """Content of a page, without its header."""
        changed = self.changes.get(f"{key[0]:02X}/{key[1]:02X}")
        return bytes.fromhex(changed) if changed is not None else PAGES[key].default

    def set(self, key: tuple[int, int], content: bytes) -> None:
        """Change a page."""
        self.changes[f"{key[0]:02X}/{key[1]:02X}"] = content.hex()

    def reset(self, key: tuple[int, int]) -> None:
        """Return a page to its default."""
        self.changes.pop(f"{key[0]:02X}/{key[1]:02X}", None)

    @property
    def protection(self) -> tuple[bool, bool]:
        """Whether blocks carry protection information on write, on read."""
        content = self.current(DATA_PROTECTION)
        on = content[0] == CRC32C_METHOD
        return on and bool(content[2] & 0x80), on and bool(content[2] & 0x40)

    @property
    def append_only(self) -> bool:
        """Device configuration extension, write mode 1."""
        return self.current(CONFIGURATION_EXTENSION)[0] >> 4 == 1

    def sense(self, cdb: bytes, medium_type: int, specific: int, density: int, worm: bool) -> bytes:
        """Answer MODE SENSE(6) or (10). Raises CheckCondition 5/24/00 for an unknown page."""
        control, page, subpage = cdb[2] >> 6, cdb[2] & 0x3F, cdb[3]
        body = b"".join(self._image(key, control, worm) for key in _selected(page, subpage))
        descriptor = b"" if cdb[1] & 0x08 else bytes((density, 0, 0, 0, 0, 0, 0, 0))
        length = len(descriptor) + len(body)
        if cdb[0] == 0x1A:
            header = bytes((min(0xFF, length + 3), medium_type, specific, len(descriptor)))
        else:
            header = struct.pack(">HBBBxH", length + 6, medium_type, specific, 0, len(descriptor))
        return header + descriptor + body

    def _image(self, key: tuple[int, int], control: int, worm: bool) -> bytes:
        table = PAGES[key]
        content = {0: self.current(key), 1: table.changeable}.get(control, table.default)
        if key == MEDIUM_CONFIGURATION and control != 1:
            content = bytes((worm,)) + content[1:]
        page, subpage = key
        if subpage:
            return struct.pack(">BBH", _PS | _SPF | page, subpage, len(content)) + content
        return bytes((_PS | page, len(content))) + content

    def select(self, cdb: bytes, parameters: bytes, density: int) -> list[tuple[int, int]]:
        """Take over a MODE SELECT list; returns the pages that it holds.

        Raises CheckCondition 5/24/00 (SP set, PF clear with pages), 5/1A/00, 5/26/00; nothing is changed
        then.
        """
        if cdb[1] & 0x01:
            raise CheckCondition(INVALID_CDB_FIELD)
        ten = cdb[0] == 0x55
        header = 8 if ten else 4
        if not parameters:
            return []
        if len(parameters) < header:
            raise CheckCondition(LIST_LENGTH)
        descriptor = int.from_bytes(parameters[6:8], "big") if ten else parameters[3]
        if any(parameters[: 2 if ten else 1]) or descriptor not in (0, 8):
            raise CheckCondition(INVALID_LIST_FIELD)
        offset = header + descriptor
        if len(parameters) < offset:
            raise CheckCondition(LIST_LENGTH)
        if descriptor:
            block = parameters[header:offset]
            if block[0] not in (0x00, 0x7F, density) or any(block[5:8]):
                raise CheckCondition(INVALID_LIST_FIELD)
        if offset < len(parameters) and not cdb[1] & 0x10:
            raise CheckCondition(INVALID_CDB_FIELD)
        found: dict[tuple[int, int], bytes] = {}
        while offset < len(parameters):
            key, content, offset = _next_page(parameters, offset)
            self._check(key, content)
            found[key] = content
        for key, content in found.items():
            self.set(key, content)
        return list(found)

    def _check(self, key: tuple[int, int], content: bytes) -> None:
        table = PAGES.get(key)
        if table is None or len(content) != len(table.default):
            raise CheckCondition(INVALID_LIST_FIELD)
        current = self.current(key)
        for old, new, mask in zip(current, content, table.changeable, strict=True):
            if (old ^ new) & ~mask & 0xFF:
                raise CheckCondition(INVALID_LIST_FIELD)
        if key == DATA_PROTECTION:
            off = content[0] == 0 and content[1] == 0 and content[2] == 0
            on = content[0] == CRC32C_METHOD and content[1] == CRC32C_LENGTH
            if not (off or on):
                raise CheckCondition(INVALID_LIST_FIELD)


def _selected(page: int, subpage: int) -> list[tuple[int, int]]:
    if page == 0 and subpage == 0:
        return []  # header and block descriptor alone, which is what st asks for
    keys = sorted(
        key
        for key in PAGES
        if page in (_ALL_PAGES, key[0]) and (subpage == _ALL_SUBPAGES or key[1] == subpage)
    )
    if not keys:
        raise CheckCondition(INVALID_CDB_FIELD)
    return keys


def _next_page(parameters: bytes, offset: int) -> tuple[tuple[int, int], bytes, int]:
    head = parameters[offset]
    if head & _PS:
        raise CheckCondition(INVALID_LIST_FIELD)
    long = bool(head & _SPF)
    start = offset + (4 if long else 2)
    if len(parameters) < start:
        raise CheckCondition(LIST_LENGTH)
    length = int.from_bytes(parameters[offset + 2 : offset + 4], "big") if long else parameters[offset + 1]
    if len(parameters) < start + length:
        raise CheckCondition(LIST_LENGTH)
    key = (head & 0x3F, parameters[offset + 1] if long else 0)
    return key, parameters[start : start + length], start + length
