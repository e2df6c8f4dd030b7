# SPDX-License-Identifier: GPL-3.0-or-later
"""Setting and clearing the data encryption key of a drive.

Only the drive's side: which key a tape needs is asked elsewhere, and keys never reach an error or a log line.
SECURITY PROTOCOL 20h, tape data encryption (SSC-4 8.5).
"""

from __future__ import annotations

from typing import Final

from cta_taped.common.errors import CONFIG_INVALID, DRIVE_NO_ENCRYPTION, CtaError
from cta_taped.common.scsi import cdb
from cta_taped.common.scsi.cdb import (
    SECURITY_PROTOCOL_INFORMATION,
    SECURITY_PROTOCOL_TAPE_ENCRYPTION,
)
from cta_taped.common.scsi.codes import SenseKey
from cta_taped.common.scsi.command import Commands, ScsiError
from cta_taped.common.scsi.data import (
    TAPE_ENCRYPTION_KEY_BYTES,
    build_encryption_page,
    parse_security_protocols,
)

_SET_DATA_ENCRYPTION_PAGE: Final = 0x0010
_PROTOCOL_LIST_BYTES: Final = 264


class Encryption:
    """The encryption of one drive."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def supported(self) -> bool:
        """Whether the drive lets the host set a key. A library that manages keys itself switches this off."""
        request = cdb.security_protocol_in(SECURITY_PROTOCOL_INFORMATION, 0, _PROTOCOL_LIST_BYTES)
        try:
            protocols = self._commands.ask(request, _PROTOCOL_LIST_BYTES, parse_security_protocols)
        except ScsiError as error:
            if error.sense is not None and error.sense.key == SenseKey.ILLEGAL_REQUEST:
                return False
            raise
        return SECURITY_PROTOCOL_TAPE_ENCRYPTION in protocols

    def set_key(self, key: bytes) -> None:
        """Encrypt what is written from now on, and decrypt what was written with ``key`` (1 to 32 bytes).

        Raises DRIVE_NO_ENCRYPTION, CONFIG_INVALID for a key of another length.
        """
        if not 0 < len(key) <= TAPE_ENCRYPTION_KEY_BYTES:
            raise CtaError(
                CONFIG_INVALID,
                f"an encryption key of {len(key)} bytes; 1 to 32 are possible, check the script",
            )
        if not self.supported():
            raise CtaError(DRIVE_NO_ENCRYPTION, "the drive does not let the host set an encryption key")
        self._send(key)

    def clear(self) -> None:
        """Forget the key; drives that never had one are left alone."""
        if self.supported():
            self._send(None)

    def _send(self, key: bytes | None) -> None:
        page = build_encryption_page(key)
        request = cdb.security_protocol_out(
            SECURITY_PROTOCOL_TAPE_ENCRYPTION, _SET_DATA_ENCRYPTION_PAGE, len(page)
        )
        self._commands.run(request, page, default=DRIVE_NO_ENCRYPTION)
