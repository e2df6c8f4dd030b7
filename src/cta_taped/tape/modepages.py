# SPDX-License-Identifier: GPL-3.0-or-later
"""A drive's settings by name: which mode page holds them, and how one is read and changed.

Every change is read, modified, written and read again, because a drive may round or ignore a value and still
answer GOOD (SPC-4 5.10). What a setting is good for is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from cta_taped.common.errors import DRIVE_COMMAND_REJECTED, CtaError
from cta_taped.common.scsi import cdb
from cta_taped.common.scsi.command import Commands
from cta_taped.common.scsi.pages import ModeData, build_mode_list, parse_mode_data

_REPLY_BYTES: Final = 255


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a setting stands: mode page and subpage, first byte, bytes, and the bits of them that are its
    own.
    """

    page: int
    subpage: int
    byte: int
    size_bytes: int
    mask: int

    def read(self, page: bytes) -> int:
        """The setting's value in a page's bytes. Raises ValueError if the page is too short to hold it."""
        raw = page[self.byte : self.byte + self.size_bytes]
        if len(raw) < self.size_bytes:
            raise ValueError(f"mode page {self.page:02X}h/{self.subpage:02X}h of {len(page)} bytes")
        return (int.from_bytes(raw, "big") & self.mask) >> self._shift

    def write(self, page: bytearray, value: int) -> None:
        """Put ``value`` into a page's bytes, leaving all other bits."""
        whole = int.from_bytes(page[self.byte : self.byte + self.size_bytes], "big")
        whole = whole & ~self.mask | value << self._shift & self.mask
        page[self.byte : self.byte + self.size_bytes] = whole.to_bytes(self.size_bytes, "big")

    @property
    def _shift(self) -> int:
        return (self.mask & -self.mask).bit_length() - 1


# SSC-4 8.3: control data protection, data compression, device configuration (and extension), medium.
SETTINGS: Final[dict[str, Setting]] = {
    "protection_method": Setting(0x0A, 0xF0, 4, 1, 0xFF),
    "protection_length": Setting(0x0A, 0xF0, 5, 1, 0x3F),
    "protection_write": Setting(0x0A, 0xF0, 6, 1, 0x80),
    "protection_read": Setting(0x0A, 0xF0, 6, 1, 0x40),
    "compression": Setting(0x0F, 0x00, 2, 1, 0x80),
    "compression_capable": Setting(0x0F, 0x00, 2, 1, 0x40),
    "write_delay_100ms": Setting(0x10, 0x00, 6, 2, 0xFFFF),
    "compression_algorithm": Setting(0x10, 0x00, 14, 1, 0xFF),
    "write_mode": Setting(0x10, 0x01, 4, 1, 0xF0),
    "programmable_early_warning_mb": Setting(0x10, 0x01, 6, 2, 0xFFFF),
    "worm": Setting(0x1D, 0x00, 2, 1, 0x01),
}


class ModePages:
    """The settings of one drive."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def read(self, name: str) -> int:
        """The present value of a setting of SETTINGS. Raises CtaError (DRIVE_COMMAND_REJECTED if
        unsupported).
        """
        setting = SETTINGS[name]
        return setting.read(self._sense([setting]).page)

    def change(self, **values: int) -> None:
        """Change settings of one page together and verify them; nothing is sent if all stand already.

        Raises CtaError, DRIVE_COMMAND_REJECTED if the drive kept another value.
        """
        wanted = {SETTINGS[name]: value for name, value in values.items()}
        data = self._sense(wanted)
        page = bytearray(data.page)
        for one, value in wanted.items():
            one.write(page, value)
        if bytes(page) == data.page:
            return
        parameters = build_mode_list(data, bytes(page))
        self._commands.run(cdb.mode_select(len(parameters)), parameters)
        kept = self._sense(wanted).page
        differing = [name for name, value in values.items() if SETTINGS[name].read(kept) != value]
        if differing:
            raise CtaError(
                DRIVE_COMMAND_REJECTED,
                f"drive: it accepted a mode page but kept its own value of {', '.join(differing)}",
                page=kept.hex(),
            )

    def _sense(self, settings: Collection[Setting]) -> ModeData:
        """The page that holds ``settings``, which are of one page; a page too short for them is a
        ReplyError.
        """
        one = next(iter(settings))

        def parse(reply: bytes) -> ModeData:
            data = parse_mode_data(reply, one.page, one.subpage)
            for setting in settings:
                setting.read(data.page)
            return data

        return self._commands.ask(cdb.mode_sense(one.page, one.subpage, _REPLY_BYTES), _REPLY_BYTES, parse)
