# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be asked of a drive, and set in it, by pass-through commands alone.

Identity, encryption, compression, TapeAlert, statistics: nothing that moves the tape or depends on where it
stands. ``tape.drive`` adds the data path to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from cta_taped.common.errors import CtaError
from cta_taped.common.scsi import cdb, data
from cta_taped.common.scsi.command import Commands
from cta_taped.common.scsi.data import DriveFamily
from cta_taped.common.scsi.pages import TAPE_ALERT_PAGE, parse_tape_alerts
from cta_taped.tape import statistics
from cta_taped.tape.alerts import ALERTS, Alert
from cta_taped.tape.encryption import Encryption
from cta_taped.tape.modepages import ModePages
from cta_taped.tape.statistics import Transferred, Value


@dataclass(frozen=True, slots=True)
class DriveInquiry:
    """Standard INQUIRY and VPD page 80h; texts without padding. ``protection``: the PROTECT bit."""

    vendor: str
    product: str
    revision: str
    serial: str
    protection: bool
    family: DriveFamily


class DriveControls:
    """The controls of one drive.

    ``commands`` serves parts that have SCSI commands of their own, ``modes`` the settings by name. Every
    failure is a CtaError whose evidence has opcode, and sense_key, asc and ascq if there was sense.
    """

    def __init__(self, commands: Commands) -> None:
        self.commands = commands
        self.modes = ModePages(commands)
        self._encryption = Encryption(commands)
        self._identity: DriveInquiry | None = None
        self._alerts: set[int] = set()

    def identity(self) -> DriveInquiry:
        """Who the drive says it is; asked once."""
        if self._identity is None:
            inquiry = self.commands.ask(cdb.inquiry(), 96, data.parse_inquiry)
            request = cdb.inquiry(255, data.UNIT_SERIAL_PAGE)
            serial = self.commands.ask(request, 255, data.parse_unit_serial)
            self._identity = DriveInquiry(
                inquiry.vendor,
                inquiry.product,
                inquiry.revision,
                serial,
                inquiry.protection,
                data.drive_family(inquiry.product, serial),
            )
        return self._identity

    def encryption_supported(self) -> bool:
        """Whether the host may set a key."""
        return self._encryption.supported()

    def set_encryption_key(self, key: bytes) -> None:
        """Use a key of 1 to 32 bytes from now on. Raises DRIVE_NO_ENCRYPTION and others."""
        self._encryption.set_key(key)

    def clear_encryption(self) -> None:
        """Forget the key; does nothing on a drive without encryption."""
        self._encryption.clear()

    def compression(self) -> bool:
        """Whether the drive compresses what is written."""
        return bool(self.modes.read("compression"))

    def set_compression(self, enabled: bool) -> None:
        """Switch the drive's compression. Raises DRIVE_COMMAND_REJECTED."""
        self.modes.change(compression=int(enabled))

    def tape_alerts(self) -> list[Alert]:
        """All TapeAlert flags seen since the last unload: reading the page clears it in the drive, so they
        are kept.
        """
        self._alerts.update(self.commands.ask(cdb.log_sense(TAPE_ALERT_PAGE), 4096, parse_tape_alerts))
        return [ALERTS[number] for number in sorted(self._alerts)]

    def statistics(self) -> dict[str, Value]:
        """What the drive's log pages tell, by upstream's names; empty rather than an error."""
        try:
            return statistics.collect(self.commands, self.identity().family)
        except CtaError:
            return {}

    def transferred(self) -> Transferred | None:
        """Byte counters before and behind the drive's compression; None if this family is not known."""
        return statistics.transferred(self.commands, self.identity().family)
