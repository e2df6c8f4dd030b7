# SPDX-License-Identifier: GPL-3.0-or-later
"""A tape drive: the one class between a ``TapePort`` and everything that reads or writes tapes.

It moves blocks, marks and the tape, and turns every errno and sense into a CtaError. It knows nothing of
labels, files, sessions or libraries. No fake of it exists: tests put a virtual drive under it.

Buffers: a payload buffer handed to ``write_block`` or ``read_block`` always has PROTECTION_BYTES spare bytes
at its end, whether or not block protection is on, so that a CRC never costs a copy.

A lost position is contained here: after a reset, a changed medium or a failed write nothing more is read or
written until ``rewind`` or ``locate`` succeeded, because a write at a wrong place destroys data (scsi-tape
reference 4.4: pass-through commands can swallow the unit attention that would have made st refuse).
"""

from __future__ import annotations

import errno
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NoReturn

from crc32c import crc32c

from cta_taped.common import errors
from cta_taped.common.errors import CtaError, ErrorSpec
from cta_taped.common.scsi import cdb, data
from cta_taped.common.scsi.codes import DENSITY_NAMES, Gmt, MtOp, SenseKey
from cta_taped.common.scsi.command import Commands, ScsiError, sense_evidence
from cta_taped.common.scsi.data import DriveFamily
from cta_taped.common.scsi.pages import TAPE_ALERT_PAGE, parse_tape_alerts
from cta_taped.common.scsi.port import MtStatus, TapePort
from cta_taped.common.scsi.sense import DRIVE, Sense, parse
from cta_taped.tape import statistics
from cta_taped.tape.alerts import ALERTS, Alert
from cta_taped.tape.encryption import Encryption
from cta_taped.tape.modepages import ModePages
from cta_taped.tape.statistics import Transferred, Value

PROTECTION_BYTES: Final = 4
LABEL_BYTES: Final = 80
MAX_OBJECT_ID: Final = 2**32 - 1

_CRC: Final = struct.Struct("<I")
_CRC32C_METHOD: Final = 2
# SPACE takes a signed 24-bit count.
_MAX_SPACE: Final = 0x7FFFFF
_FIRST_PAUSE_S: Final = 0.01
_LONGEST_PAUSE_S: Final = 1.0
_ATTENTIONS: Final = 4


class BlockProtection(Enum):
    """Logical block protection with CRC32C (tape format 8): none, on reading only, on reading and writing."""

    OFF = "off"
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class DriveInquiry:
    """Standard INQUIRY and VPD page 80h; texts without padding. ``protection``: the PROTECT bit."""

    vendor: str
    product: str
    revision: str
    serial: str
    protection: bool
    family: DriveFamily


@dataclass(frozen=True, slots=True)
class _Operation:
    """What a failure of one st operation means: ``medium`` for an unexplained EIO, ``blank`` at end of data.
    """

    name: str
    medium: ErrorSpec
    blank: ErrorSpec
    loses_position: bool = False


_READ: Final = _Operation("read", errors.TAPE_READ, errors.TAPE_TRUNCATED)
_WRITE: Final = _Operation("write", errors.TAPE_WRITE, errors.TAPE_WRITE, True)
_MARK: Final = _Operation("write of filemarks", errors.TAPE_WRITE, errors.TAPE_WRITE, True)
_FLUSH: Final = _Operation("flush", errors.DRIVE_FLUSH_FAILED, errors.DRIVE_FLUSH_FAILED, True)
_SPACE: Final = _Operation("spacing", errors.TAPE_POSITION, errors.TAPE_POSITION, True)
_REWIND: Final = _Operation("rewind", errors.TAPE_POSITION, errors.TAPE_POSITION, True)
_LOAD: Final = _Operation("load", errors.DRIVE_LOAD_TIMEOUT, errors.DRIVE_LOAD_TIMEOUT, True)
_UNLOAD: Final = _Operation("unload", errors.DRIVE_UNLOAD_FAILED, errors.DRIVE_UNLOAD_FAILED, True)
_STATUS: Final = _Operation("status", errors.DRIVE_IO, errors.DRIVE_IO)


class TapeDrive:
    """A drive under one open port.

    Every failure is a CtaError; its evidence has operation or opcode, errno, and sense_key, asc, ascq if
    there was sense. ``position_known`` is False after a failure that lost the position. ``commands`` serves
    parts that have SCSI commands of their own, ``modes`` the drive's settings by name.
    """

    def __init__(self, port: TapePort) -> None:
        self._port = port
        self.commands = Commands(port, DRIVE, "drive", self._attention)
        self.modes = ModePages(self.commands)
        self.position_known = True
        self._read: Callable[[memoryview], int] = port.read
        self._write: Callable[[memoryview], int] = port.write
        self._protection = BlockProtection.OFF
        self._protect_read = False
        self._protect_write = False
        self._unmarked = False
        self._confused_st = False
        self._encryption = Encryption(self.commands)
        self._identity: DriveInquiry | None = None
        self._alerts: set[int] = set()
        self._label = memoryview(bytearray(LABEL_BYTES + PROTECTION_BYTES))

    # --- data path -------------------------------------------------------------------------------------

    def write_block(self, buffer: memoryview, size_bytes: int) -> None:
        """Write ``buffer[:size_bytes]`` as one block; the PROTECTION_BYTES behind it belong to this call.

        Raises TAPE_FULL (this very block is not on tape), TAPE_WRITE, TAPE_WRITE_PROTECTED and others.
        """
        if self._protect_write:
            _CRC.pack_into(buffer, size_bytes, crc32c(buffer[:size_bytes]))
            size_bytes += PROTECTION_BYTES
        self._unmarked = True
        try:
            self._write(buffer[:size_bytes])
        except OSError as error:
            raise self._failure(_WRITE, error) from error

    def read_block(self, buffer: memoryview) -> int:
        """Read a block of at most ``len(buffer) - PROTECTION_BYTES`` bytes; its payload length, 0 at a
        filemark.

        Raises TAPE_OVERSIZE_BLOCK, TAPE_BLOCK_PROTECTION, TAPE_TRUNCATED (end of data), TAPE_READ and others.
        """
        try:
            if not self._protect_read:
                # Not the whole buffer: a drive answers CHECK CONDITION to each read longer than the block.
                return self._read(buffer[:-PROTECTION_BYTES])
            length = self._read(buffer)
        except OSError as error:
            raise self._failure(_READ, error) from error
        if not length:
            return 0
        payload = length - PROTECTION_BYTES
        if payload <= 0 or crc32c(buffer[:payload]) != _CRC.unpack_from(buffer, payload)[0]:
            raise CtaError(
                errors.TAPE_BLOCK_PROTECTION,
                f"drive: a block of {length} bytes does not match its CRC32C",
                operation=_READ.name,
                length=length,
            )
        return payload

    def write_label(self, label: bytes) -> None:
        """Write one label block of LABEL_BYTES. Raises as ``write_block``."""
        self._label[:LABEL_BYTES] = label
        self.write_block(self._label, LABEL_BYTES)

    def read_label(self) -> bytes:
        """Read one label block. Raises TAPE_LABEL_FORMAT for a filemark or another length; as ``read_block``.
        """
        try:
            length = self.read_block(self._label)
        except CtaError as error:
            if error.spec is not errors.TAPE_OVERSIZE_BLOCK:
                raise
            length = None
        if length != LABEL_BYTES:
            found = "a longer block" if length is None else f"a block of {length} bytes" if length else "a
            filemark" raise CtaError(errors.TAPE_LABEL_FORMAT, f"a label of {LABEL_BYTES} bytes expected,
            {found} found")
        return bytes(self._label[:LABEL_BYTES])

    def read_filemark(self) -> None:
        """Read the filemark that must come next. Raises TAPE_NOT_A_MARK, TAPE_TRUNCATED."""
        try:
            length = self._read(self._label)
        except OSError as error:
            if error.errno != errno.ENOMEM:
                raise self._failure(_READ, error) from error
            length = None
        if length != 0:
            found = "a longer block" if length is None else f"a block of {length} bytes"
            raise CtaError(errors.TAPE_NOT_A_MARK, f"a filemark expected, {found} found")

    def write_filemarks(self, count: int, immediate: bool = True) -> None:
        """Write ``count`` >= 1 filemarks; unless ``immediate``, wait until they are on the medium.

        Raises TAPE_FULL, TAPE_WRITE, DRIVE_FLUSH_FAILED and others.
        """
        self._check_position()
        if immediate:
            self._mt(MtOp.MTWEOFI, count, _MARK)
        else:
            self._mt(MtOp.MTWEOF, count, _FLUSH)
        self._unmarked = False

    def flush(self) -> None:
        """Wait until everything written is on the medium. Raises DRIVE_FLUSH_FAILED, TAPE_FULL and others."""
        self._check_position()
        self._mt(MtOp.MTWEOF, 0, _FLUSH)
        self._unmarked = False

    # --- position --------------------------------------------------------------------------------------

    def rewind(self) -> None:
        """Go to the beginning of the tape. Raises TAPE_POSITION and others."""
        self._mt(MtOp.MTREW, 1, _REWIND)
        self._unmarked = False
        self._confused_st = False
        self._regain_position()

    def space_filemarks(self, count: int) -> None:
        """Space over ``count`` filemarks, backward if negative. Raises TAPE_POSITION and others."""
        self._check_position()
        operation = MtOp.MTFSF if count > 0 else MtOp.MTBSF
        left = abs(count)
        while left:
            step = min(left, _MAX_SPACE)
            self._mt(operation, step, _SPACE)
            left -= step

    def position(self) -> int:
        """The logical object number of the next block or filemark. Raises TAPE_POSITION if it is not known.
        """
        found = self.commands.ask(cdb.read_position(), 20, data.parse_position)
        self._check_position()
        if found.object_id is None:
            self._lose_position()
            self._check_position()
        return found.object_id  # type: ignore[return-value]

    def filemarks_passed(self) -> int | None:
        """How many filemarks lie before the position; None if the drive does not know."""
        return self.commands.ask(cdb.read_position_long(), 32, data.parse_position_long).filemarks

    def locate(self, object_id: int) -> None:
        """Go to a logical object number. Raises TAPE_POSITION, also if the drive ends up elsewhere."""
        if not 0 <= object_id <= MAX_OBJECT_ID:
            raise CtaError(errors.TAPE_POSITION, f"object {object_id} is beyond what LOCATE(10) can address")
        if self._confused_st or not self.position_known:
            self.rewind()
        if self._unmarked:
            # st would write its closing filemark at the place located to (st.c: st_flush).
            self.flush()
        try:
            self.commands.run(cdb.locate(object_id), default=errors.TAPE_POSITION)
        except ScsiError:
            self._lose_position()
            raise
        reached = self.position()
        if reached != object_id:
            self._lose_position()
            raise CtaError(errors.TAPE_POSITION, f"object {object_id} was asked for, {reached} reached")

    # --- cartridge -------------------------------------------------------------------------------------

    def wait_ready(self, timeout_s: float, on_wait: Callable[[], None] | None = None) -> None:
        """Wait until the cartridge is ready and let st learn of it; ``on_wait`` is called before each pause.

        Rewind before anything is read or written: a newly loaded tape's position is not known here. Raises
        DRIVE_LOAD_TIMEOUT, and what the drive reports if waiting cannot help.
        """
        deadline = time.monotonic() + timeout_s
        pause_s = _FIRST_PAUSE_S
        load_asked = False
        while (sense := self.commands.readiness()) is not None:
            self._check_waitable(sense)
            if (sense.asc, sense.ascq) == (0x04, 0x02) and not load_asked:
                load_asked = True
                self.load()
                continue
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise CtaError(
                    errors.DRIVE_LOAD_TIMEOUT,
                    f"drive: not ready within {timeout_s:g} s: {sense.text}",
                    **sense_evidence(sense),
                )
            if on_wait is not None:
                on_wait()
            time.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
        self._reopen()
        if not self._status().gstat & Gmt.ONLINE:
            raise CtaError(errors.DRIVE_LOAD_TIMEOUT, "drive: ready, but the tape driver does not see it
            online")

    def has_cartridge(self) -> bool:
        """Whether there may be a cartridge: everything but "medium not present" counts as one."""
        sense = self._readiness()
        return sense is None or sense.asc != 0x3A

    def is_ready(self) -> bool:
        """Whether a cartridge is loaded and ready."""
        return self._readiness() is None

    def write_protected(self) -> bool:
        """Whether the cartridge is write protected, as found when the device was opened."""
        return bool(self._status().gstat & Gmt.WR_PROT)

    def density(self) -> str:
        """The recording format's name, empty if unknown."""
        return DENSITY_NAMES.get(self._status().dsreg >> 24 & 0xFF, "")

    def is_blank(self) -> bool:
        """Whether nothing is recorded: one record cannot be spaced over, and that is at once begin and end.

        Leaves the tape at its beginning.
        """
        self.rewind()
        blank = False
        try:
            self._port.mt_op(MtOp.MTFSR, 1)
        except OSError as error:
            if error.errno != errno.EIO:
                raise self._failure(_SPACE, error) from error
            gstat = self._status().gstat
            blank = bool(gstat & Gmt.EOD and gstat & Gmt.BOT)
        self.rewind()
        return blank

    def load(self) -> None:
        """Load a cartridge that lies in the drive. Raises DRIVE_LOAD_TIMEOUT, DRIVE_NO_CARTRIDGE and others.
        """
        self._mt(MtOp.MTLOAD, 1, _LOAD)

    def unload(self) -> None:
        """Rewind and unload the cartridge. Raises DRIVE_UNLOAD_FAILED and others."""
        self._mt(MtOp.MTUNLOAD, 1, _UNLOAD)
        self._unmarked = False
        self._alerts.clear()

    # --- settings and knowledge ------------------------------------------------------------------------

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

    @property
    def block_protection(self) -> BlockProtection:
        """The mode that is in force."""
        return self._protection

    def set_block_protection(self, mode: BlockProtection) -> None:
        """Switch logical block protection and verify it. Raises DRIVE_NO_PROTECTION if the drive lacks
        CRC32C.
        """
        if self.identity().protection:
            on = mode is not BlockProtection.OFF
            try:
                self.modes.change(
                    protection_method=_CRC32C_METHOD if on else 0,
                    protection_length=PROTECTION_BYTES if on else 0,
                    protection_write=int(mode is BlockProtection.WRITE),
                    protection_read=int(on),
                )
            except CtaError as error:
                if on and error.spec is errors.DRIVE_COMMAND_REJECTED:
                    raise CtaError(errors.DRIVE_NO_PROTECTION, error.detail, **error.evidence) from error
                raise
        elif mode is not BlockProtection.OFF:
            raise CtaError(errors.DRIVE_NO_PROTECTION, "drive: it has no logical block protection")
        self._note_protection(mode)

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

    def close(self) -> None:
        """Release the device."""
        self._port.close()

    # --- failures --------------------------------------------------------------------------------------

    def _mt(self, op: MtOp, count: int, operation: _Operation) -> None:
        try:
            self._port.mt_op(op, count)
        except OSError as error:
            raise self._failure(operation, error) from error

    def _status(self) -> MtStatus:
        try:
            return self._port.mt_status()
        except OSError as error:
            raise self._failure(_STATUS, error) from error

    def _reopen(self) -> None:
        try:
            self._port.reopen()
        except OSError as error:
            raise self._failure(_STATUS, error) from error

    def _readiness(self) -> Sense | None:
        for _ in range(_ATTENTIONS):
            sense = self.commands.readiness()
            if sense is None or sense.key != SenseKey.UNIT_ATTENTION:
                break
        return sense

    def _check_waitable(self, sense: Sense) -> None:
        """Raise if a drive that is not ready will not become so by waiting."""
        if sense.key not in (SenseKey.NOT_READY, SenseKey.UNIT_ATTENTION) or sense.asc in (0x30, 0x52, 0x53):
            spec = DRIVE.of_sense(sense, errors.DRIVE_LOAD_TIMEOUT)
            raise CtaError(spec, f"drive: will not become ready: {sense.text}", **sense_evidence(sense))

    def _failure(self, operation: _Operation, error: OSError) -> CtaError:
        """What an errno of st means. EIO says nothing, so the drive is asked afterwards."""
        evidence: dict[str, Any] = {"operation": operation.name, "errno": error.errno}
        reason = error.strerror or str(error)
        if error.errno == errno.EIO:
            self._confused_st = True
            spec, sense = self._ask_why(operation)
            if sense is not None:
                evidence |= sense_evidence(sense)
                reason = sense.text
            if operation.loses_position or not self._drive_knows_position():
                self._lose_position()
        else:
            spec = DRIVE.of_errno(error.errno, operation.medium)
        evidence["position_known"] = self.position_known
        return CtaError(spec, f"drive: {operation.name} failed: {reason}", **evidence)

    def _ask_why(self, operation: _Operation) -> tuple[ErrorSpec, Sense | None]:
        try:
            sense = parse(self.commands.run(cdb.request_sense(), data_in_length=96))
        except CtaError as error:
            return error.spec, None
        if sense is not None and sense.key not in (SenseKey.NO_SENSE, SenseKey.RECOVERED_ERROR):
            if sense.key == SenseKey.UNIT_ATTENTION:
                self._attention(sense)
            if sense.key == SenseKey.BLANK_CHECK:
                return operation.blank, sense
            return DRIVE.of_sense(sense, operation.medium), sense
        # The kernel consumed the sense of the failed command; its own memory of it is mt_gstat.
        try:
            gstat = self._port.mt_status().gstat
        except OSError:
            return operation.medium, None
        if gstat & Gmt.DR_OPEN:
            return errors.DRIVE_NO_CARTRIDGE, None
        return operation.blank if gstat & Gmt.EOD else operation.medium, None

    def _drive_knows_position(self) -> bool:
        try:
            found = self.commands.ask(cdb.read_position(), 20, data.parse_position)
        except CtaError:
            return False
        return found.object_id is not None and self.position_known

    def _attention(self, sense: Sense) -> None:
        if sense.asc in (0x28, 0x29):
            self._lose_position()

    def _lose_position(self) -> None:
        self.position_known = False
        self._read = self._write = self._refuse

    def _regain_position(self) -> None:
        if self.position_known:
            return
        self.position_known = True
        self._read = self._port.read
        self._write = self._port.write
        if self.identity().protection:
            # A reset switches protection off: what the drive does now decides how long a block is.
            write, read = self.modes.read("protection_write"), self.modes.read("protection_read")
            self._note_protection(
                BlockProtection.WRITE if write else BlockProtection.READ if read else BlockProtection.OFF
            )

    def _note_protection(self, mode: BlockProtection) -> None:
        self._protection = mode
        self._protect_read = mode is not BlockProtection.OFF
        self._protect_write = mode is BlockProtection.WRITE

    def _check_position(self) -> None:
        if not self.position_known:
            self._refuse()

    def _refuse(self, *_: object) -> NoReturn:
        raise CtaError(errors.TAPE_POSITION, "drive: the position on tape is lost; rewind or locate first")
