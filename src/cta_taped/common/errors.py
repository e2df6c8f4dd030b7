# SPDX-License-Identifier: GPL-3.0-or-later
"""The error code table: every failure the daemon can report, and what follows from it.

What it is: one row per stable code ``CTA-<SUBJECT>-<NNN>``; the exception that carries a row; nothing else.
What it is not: a place for messages about one occurrence (those travel in ``CtaError.detail``), or for the
translation of sense data, errno or SQLSTATE (each of those has its table beside the code that meets it).
Why: the behaviour of a failure (is it retried, is the retry charged to the job, does the drive go down) is
decided once, here, and read by sessions, supervisor, log, journal catalogue and documentation alike.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

_MESSAGE_ID_NAMESPACE: Final = uuid.UUID("5c3b9c4e-0a56-4a55-9a1e-6f0f5c7a2d11")

EX_OK: Final = 0
EX_USAGE: Final = 64
EX_UNAVAILABLE: Final = 69
EX_SOFTWARE: Final = 70
EX_CANTCREAT: Final = 73
EX_IOERR: Final = 74
EX_TEMPFAIL: Final = 75
EX_NOPERM: Final = 77
EX_CONFIG: Final = 78


class Subject(StrEnum):
    """Who a failure is about."""

    DRIVE = "DRIVE"
    TAPE = "TAPE"
    LIBRARY = "LIBRARY"
    DISK = "DISK"
    CATALOGUE = "CATALOGUE"
    SCHEDULER = "SCHEDULER"
    CONFIG = "CONFIG"
    SYSTEM = "SYSTEM"


class Severity(StrEnum):
    """Syslog levels used for failures."""

    NOTICE = "NOTICE"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"
    ALERT = "ALERT"


class Retry(StrEnum):
    """What may sensibly be tried after a failure."""

    IMMEDIATE = "immediate"
    BACK_OFF = "back-off"
    OTHER_DRIVE = "other drive"
    OTHER_TAPE = "other tape"
    NEVER = "never"
    ASK_FIRST = "ask first"  # the outcome is unknown: query the state before anything is repeated


class DriveEffect(StrEnum):
    """What a failure does to the drive."""

    NONE = "none"
    DOWN = "down"


class TapeEffect(StrEnum):
    """What a failure does to the cartridge in the drive."""

    NONE = "none"
    FULL = "full"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class ErrorSpec:
    """One row of the table.

    ``charged`` tells whether a job's retry counters increase; ``alias`` is upstream's ``Error_*`` or
    ``Info_*`` counter name of the same failure, which monitoring of CTA sites already knows.
    """

    number: int
    subject: Subject
    symbol: str
    severity: Severity
    fault: str
    retry: Retry
    charged: bool
    drive: DriveEffect
    tape: TapeEffect
    exit_status: int
    alias: str
    meaning: str
    action: str

    @property
    def code(self) -> str:
        """The stable code, ``CTA-<SUBJECT>-<NNN>``."""
        return f"CTA-{self.subject}-{self.number:03d}"

    @property
    def message_id(self) -> str:
        """The journal MESSAGE_ID: 32 hexadecimal digits, derived from the code so that it can never drift."""
        return uuid.uuid5(_MESSAGE_ID_NAMESPACE, self.code).hex


class CtaError(Exception):
    """A failure with a code.

    ``spec`` is a row of the table, ``detail`` one line about this occurrence (what, where, what to do),
    ``evidence`` fields for the log (sense key, errno, SQLSTATE, block id ...).
    """

    def __init__(self, spec: ErrorSpec, detail: str, **evidence: Any) -> None:
        super().__init__(detail)
        self.spec = spec
        self.detail = detail
        self.evidence = evidence

    @property
    def code(self) -> str:
        """The stable code of the failure."""
        return self.spec.code

    def __str__(self) -> str:
        return f"{self.code} {self.detail}"


_D, _T, _L, _K, _C, _S, _G, _Y = Subject
_N, _W, _E, _CR, _A = Severity
_IMM, _BACK, _ODRV, _OTAPE, _NEVER, _ASK = Retry
_DN, _DD = DriveEffect
_TN, _TF, _TD = TapeEffect


def _row(*cells: Any) -> ErrorSpec:
    spec = ErrorSpec(*cells)
    if spec.code in BY_CODE or spec.symbol in BY_SYMBOL:
        raise ValueError(f"duplicate error code {spec.code} {spec.symbol}")
    BY_CODE[spec.code] = spec
    BY_SYMBOL[spec.symbol] = spec
    return spec


BY_CODE: Final[dict[str, ErrorSpec]] = {}
BY_SYMBOL: Final[dict[str, ErrorSpec]] = {}

# fmt: off
# ruff: noqa: E501
# --- the drive -----------------------------------------------------------------------------------------
DRIVE_NOT_FOUND = _row(1, _D, "DRIVE_NOT_FOUND", _E, "host", _BACK, False, _DD, _TN, EX_UNAVAILABLE, "", "The drive's device cannot be found or opened.", "Check cabling and zoning, that the device named in the drive's configuration exists, and its permissions.")
DRIVE_NOT_EMPTY = _row(2, _D, "DRIVE_NOT_EMPTY", _E, "drive", _ASK, False, _DN, _TN, EX_IOERR, "", "A cartridge was found in a drive that should be empty.", "The rescue returns it. If it cannot, ask the library where the cartridge belongs and move it by hand.")
DRIVE_IO = _row(3, _D, "DRIVE_IO", _E, "drive or path", _ODRV, False, _DN, _TN, EX_IOERR, "", "A command failed between host and drive (transport, bus or driver).", "Check HBA, cables and switch counters; the medium is not suspected.")
DRIVE_HARDWARE = _row(4, _D, "DRIVE_HARDWARE", _CR, "drive", _ODRV, False, _DD, _TN, EX_IOERR, "", "The drive reports a hardware error (sense key 4).", "Take a drive dump and call service.")
DRIVE_TIMEOUT = _row(5, _D, "DRIVE_TIMEOUT", _E, "drive", _ASK, False, _DN, _TN, EX_IOERR, "", "A drive command did not end in time; its outcome is unknown.", "The state is queried before anything is repeated; repeated time-outs of one drive call for service.")
DRIVE_RESET = _row(6, _D, "DRIVE_RESET", _E, "drive or path", _IMM, False, _DN, _TN, EX_IOERR, "", "The drive was reset or power-cycled during a session; the position is lost.", "The session ends and the label is verified again on the next mount.")
DRIVE_LOAD_TIMEOUT = _row(7, _D, "DRIVE_LOAD_TIMEOUT", _E, "drive or tape", _ODRV, False, _DN, _TN, EX_IOERR, "Error_tapeLoad", "The mounted cartridge did not become ready in time.", "New LTO-9 cartridges need up to two hours at first load; else try the cartridge in another drive.")
DRIVE_UNLOAD_FAILED = _row(8, _D, "DRIVE_UNLOAD_FAILED", _CR, "drive", _ASK, False, _DD, _TD, EX_IOERR, "Error_tapeUnload", "The cartridge cannot be unloaded.", "Use the drive's front panel or the library's service menu to eject, then set drive and tape usable again.")
DRIVE_STUCK = _row(9, _D, "DRIVE_STUCK", _CR, "drive or host", _ASK, False, _DD, _TN, EX_IOERR, "", "A process using the drive is in uninterruptible sleep and cannot be ended.", "Nothing else touches the drive until the kernel lets go; power-cycle the drive, or reboot the host.")
DRIVE_NO_PROTECTION = _row(10, _D, "DRIVE_NO_PROTECTION", _E, "drive", _ODRV, False, _DN, _TN, EX_IOERR, "", "The drive has no logical block protection of the method that the tape needs.", "Use an LTO-7 or later drive, or switch block protection off for this site.")
DRIVE_COMMAND_REJECTED = _row(11, _D, "DRIVE_COMMAND_REJECTED", _E, "drive", _NEVER, False, _DN, _TN, EX_IOERR, "", "The drive rejected a command as illegal.", "Check the drive's firmware level; report the CDB and sense data of the log line.")
DRIVE_BUSY = _row(12, _D, "DRIVE_BUSY", _E, "host", _BACK, False, _DN, _TN, EX_TEMPFAIL, "", "Another process holds the drive.", "Find it with lsof on the device; two services may be configured for one drive.")
DRIVE_FLUSH_FAILED = _row(13, _D, "DRIVE_FLUSH_FAILED", _E, "drive or tape", _ODRV, False, _DN, _TN, EX_IOERR, "Error_tapeFlush", "Buffered data could not be synchronised to the medium.", "Everything written since the last flush is given back to the queue; watch the tape and the drive for repetition.")
DRIVE_TAPE_ALERT = _row(14, _D, "DRIVE_TAPE_ALERT", _E, "drive or tape", _ODRV, False, _DN, _TN, EX_IOERR, "Error_checkingTapeAlert", "A TapeAlert flag forbids writing to this cartridge in this drive.", "See the flag's own advice in the log line.")
DRIVE_NO_ENCRYPTION = _row(15, _D, "DRIVE_NO_ENCRYPTION", _E, "drive", _ODRV, False, _DN, _TN, EX_IOERR, "Error_tapeEncryptionEnable", "The drive cannot encrypt, or its library does not let the host set a key.", "Use an encryption-capable drive, or set its encryption method to application managed.")
DRIVE_NO_CARTRIDGE = _row(16, _D, "DRIVE_NO_CARTRIDGE", _E, "drive or library", _ASK, False, _DN, _TN, EX_IOERR, "", "There is no cartridge in the drive, or it is not loaded.", "Ask the library where the cartridge is; somebody may have taken it out.")
DRIVE_DOWN_AGAIN = _row(17, _D, "DRIVE_DOWN_AGAIN", _E, "drive", _NEVER, False, _DN, _TN, EX_IOERR, "", "A drive that was set up went down instead.", "The message has the reason; remove it, then set the drive up again.")
DRIVE_SUSPECT = _row(18, _D, "DRIVE_SUSPECT", _CR, "drive", _NEVER, False, _DD, _TN, EX_IOERR, "", "Two tapes in a row could not be opened in this drive.", "Clean it or call service, and try both tapes in another drive; the first of them was disabled and may be sound.")
# --- the tape ------------------------------------------------------------------------------------------
TAPE_NOT_LABELLED = _row(1, _T, "TAPE_NOT_LABELLED", _E, "tape", _NEVER, False, _DN, _TD, EX_IOERR, "Error_tapesCheckLabelBeforeReading", "The cartridge is blank or carries no readable VOL1 label.", "Label it with 'cta-admin tape label' if it is new; otherwise find out who erased it.")
TAPE_WRONG_VOLUME = _row(2, _T, "TAPE_WRONG_VOLUME", _CR, "library or tape", _NEVER, False, _DN, _TD, EX_IOERR, "Error_tapesCheckLabelBeforeReading", "The label names another volume than the one asked for.", "Compare barcode and label; never relabel before its files are known to be elsewhere.")
TAPE_LABEL_FORMAT = _row(3, _T, "TAPE_LABEL_FORMAT", _E, "tape", _OTAPE, True, _DN, _TN, EX_IOERR, "Error_tapesCheckLabelBeforeReading", "A label field is not as CTA's format demands.", "Look at the tape with 'cta-admin tape scan'; it may be foreign or damaged.")
TAPE_FOREIGN = _row(4, _T, "TAPE_FOREIGN", _E, "operator", _NEVER, False, _DN, _TN, EX_IOERR, "", "The cartridge is not empty or belongs to another volume; it is not labelled.", "Give --old-label with its present label, or --force if its content may be destroyed.")
TAPE_TRAILER_MISMATCH = _row(5, _T, "TAPE_TRAILER_MISMATCH", _CR, "tape or catalogue", _NEVER, False, _DN, _TD, EX_IOERR, "Error_tapePositionForWrite", "The last file's trailer on tape is not the one that the catalogue records; nothing was written.", "Scan the tape and compare with the catalogue before it is used again.")
TAPE_HEADER_MISMATCH = _row(6, _T, "TAPE_HEADER_MISMATCH", _E, "tape or catalogue", _OTAPE, True, _DN, _TN, EX_IOERR, "Error_tapePositionForRead", "A file's header on tape is not the one that was asked for.", "Compare fSeq and block id of the catalogue with 'cta-admin tape scan'.")
TAPE_NOT_A_MARK = _row(7, _T, "TAPE_NOT_A_MARK", _E, "tape", _OTAPE, True, _DN, _TN, EX_IOERR, "Error_tapeReadData", "A filemark was expected and something else was found.", "The layout of this file is damaged; recover from another copy.")
TAPE_READ = _row(8, _T, "TAPE_READ", _E, "tape or drive", _ODRV, True, _DN, _TN, EX_IOERR, "Error_tapeReadData", "A block could not be read (medium error).", "Try in another drive; repack the tape if it repeats.")
TAPE_WRITE = _row(9, _T, "TAPE_WRITE", _E, "tape or drive", _ODRV, True, _DN, _TN, EX_IOERR, "Error_tapeWriteData", "A block could not be written (medium error).", "The same tape failing in two drives is the tape; two tapes failing in one drive is the drive.")
TAPE_CHECKSUM = _row(10, _T, "TAPE_CHECKSUM", _CR, "tape or drive", _OTAPE, True, _DN, _TN, EX_IOERR, "Error_tapeReadData", "What was read from tape has another checksum than the catalogue records; it was not delivered.", "Recover from another copy; try another drive before the tape is declared bad.")
TAPE_SIZE = _row(11, _T, "TAPE_SIZE", _E, "tape or catalogue", _OTAPE, True, _DN, _TN, EX_IOERR, "Error_tapeReadData", "The file on tape is longer or shorter than the catalogue records.", "Compare with 'cta-admin tape scan'; recover from another copy.")
TAPE_BLOCK_PROTECTION = _row(12, _T, "TAPE_BLOCK_PROTECTION", _CR, "drive or path", _ODRV, True, _DN, _TN, EX_IOERR, "Error_tapeReadData", "A block's CRC is wrong: data changed between drive and host or on the medium.", "Suspect the path first (HBA, cable), then the drive, then the medium.")
TAPE_WRITE_PROTECTED = _row(13, _T, "TAPE_WRITE_PROTECTED", _E, "operator", _NEVER, False, _DN, _TD, EX_IOERR, "Error_tapeNotWriteable", "The cartridge is write protected.", "Move the write protect tab, or set the tape full.")
TAPE_FULL = _row(14, _T, "TAPE_FULL", _N, "nobody", _OTAPE, False, _DN, _TF, 0, "Info_tapeFilledUp", "The end of the tape was reached; the rest goes to another tape.", "Nothing to do.")
TAPE_POSITION = _row(15, _T, "TAPE_POSITION", _E, "tape or drive", _ODRV, True, _DN, _TN, EX_IOERR, "Error_tapePositionForRead", "The position asked for could not be reached.", "Try in another drive; compare block ids with 'cta-admin tape scan'.")
TAPE_TRUNCATED = _row(16, _T, "TAPE_TRUNCATED", _E, "tape", _OTAPE, True, _DN, _TN, EX_IOERR, "Error_tapeReadData", "The recorded data end in the middle of a file.", "Recover from another copy. If the file is the last one, it was never recorded in the catalogue.")
TAPE_PROTECTION_METHOD = _row(17, _T, "TAPE_PROTECTION_METHOD", _E, "tape or configuration", _NEVER, False, _DN, _TN, EX_IOERR, "Error_tapesCheckLabelBeforeReading", "The label names a block protection method that cannot be used.", "Enable block protection for this site, or read the tape elsewhere (Reed-Solomon is not supported).")
TAPE_NOT_EMPTY = _row(18, _T, "TAPE_NOT_EMPTY", _E, "operator", _NEVER, False, _DN, _TN, EX_USAGE, "", "The catalogue still records files on this tape.", "Reclaim or repack it first.")
TAPE_UNKNOWN = _row(19, _T, "TAPE_UNKNOWN", _E, "operator", _NEVER, False, _DN, _TN, EX_USAGE, "", "The catalogue knows no tape of this VID.", "Check the VID, or add the tape with 'cta-admin tape add'.")
TAPE_IMAGE_CORRUPT = _row(20, _T, "TAPE_IMAGE_CORRUPT", _E, "file", _NEVER, False, _DN, _TN, EX_IOERR, "", "A tape image file is damaged: its record lengths do not agree.", "Restore the image from a copy; 'cta-admin tape scan' shows what is still readable.")
TAPE_FSEQ = _row(21, _T, "TAPE_FSEQ", _CR, "catalogue", _NEVER, False, _DN, _TD, EX_IOERR, "Error_tapeFSeqOutOfSequenceForWrite", "Files are not contiguous with the tape's last fSeq; somebody else wrote to this tape.", "Compare tape and catalogue; both versions are in the log line.")
TAPE_OVERSIZE_BLOCK = _row(22, _T, "TAPE_OVERSIZE_BLOCK", _E, "tape", _OTAPE, True, _DN, _TN, EX_IOERR, "Error_tapeReadData", "A block is longer than the header of its file declares.", "The file was not written by CTA or is damaged; recover from another copy.")
TAPE_POSSIBLY_LOST = _row(23, _T, "TAPE_POSSIBLY_LOST", _A, "library", _NEVER, False, _DD, _TD, EX_IOERR, "Error_tapeDismount", "A cartridge left the drive and was not seen in a slot, or cannot be brought there.", "Find it: the log line says where it was last seen. Then set tape and drive usable again.")
TAPE_INCOMPATIBLE = _row(24, _T, "TAPE_INCOMPATIBLE", _E, "tape or drive", _ODRV, False, _DN, _TN, EX_IOERR, "Error_tapeLoad", "The drive cannot use this cartridge: wrong generation, unknown format or a cleaning cartridge.", "Compare the media type in the catalogue with the cartridge; check which drives its logical library holds.")
TAPE_ENCRYPTED = _row(25, _T, "TAPE_ENCRYPTED", _E, "configuration", _NEVER, True, _DN, _TN, EX_IOERR, "Error_tapeReadData", "A block is encrypted and the key is missing or wrong.", "Check the tape's encryption key name and the key script.")
TAPE_CARTRIDGE_FAULT = _row(26, _T, "TAPE_CARTRIDGE_FAULT", _CR, "tape", _NEVER, False, _DN, _TD, EX_IOERR, "", "The cartridge itself is faulty (memory chip, leader or tape broken).", "Do not load it again; recover its files from another copy.")
# --- the library ---------------------------------------------------------------------------------------
LIBRARY_UNREACHABLE = _row(1, _L, "LIBRARY_UNREACHABLE", _E, "library", _BACK, False, _DN, _TN, EX_UNAVAILABLE, "", "The media changer does not answer.", "Check the changer device or the cta-rmcd daemon.")
LIBRARY_MOUNT_FAILED = _row(2, _L, "LIBRARY_MOUNT_FAILED", _E, "library", _BACK, False, _DN, _TN, EX_IOERR, "Error_tapeMountForWrite", "The library could not put the cartridge into the drive.", "See the sense data; ask the library for its own fault list.")
LIBRARY_DISMOUNT_FAILED = _row(3, _L, "LIBRARY_DISMOUNT_FAILED", _CR, "library", _ASK, False, _DD, _TD, EX_IOERR, "Error_tapeDismount", "The library could not return the cartridge to a slot.", "Return it by the library's panel, run an inventory, then set drive and tape usable again.")
LIBRARY_VOLUME_UNKNOWN = _row(4, _L, "LIBRARY_VOLUME_UNKNOWN", _E, "library or catalogue", _NEVER, False, _DN, _TD, EX_IOERR, "", "The library does not hold this cartridge.", "Bring the cartridge back, or correct its logical library or state in the catalogue.")
LIBRARY_VOLUME_IN_USE = _row(5, _L, "LIBRARY_VOLUME_IN_USE", _W, "library", _BACK, False, _DN, _TN, EX_TEMPFAIL, "", "The cartridge is not in a storage slot (in another drive, port or hand).", "It is mounted when it is back; see the location in the log line.")
LIBRARY_NOT_READY = _row(6, _L, "LIBRARY_NOT_READY", _W, "library", _BACK, False, _DN, _TN, EX_TEMPFAIL, "", "The library is starting, scanning or paused.", "Wait; close its doors.")
LIBRARY_TIMEOUT = _row(7, _L, "LIBRARY_TIMEOUT", _E, "library", _ASK, False, _DN, _TN, EX_TEMPFAIL, "", "A robot command did not end in time; its outcome is unknown.", "The library is asked where the cartridge is before anything is repeated.")
LIBRARY_HARDWARE = _row(8, _L, "LIBRARY_HARDWARE", _CR, "library", _BACK, False, _DN, _TN, EX_IOERR, "", "The library reports a hardware error.", "Look at the library's panel and call service.")
LIBRARY_ELEMENT = _row(9, _L, "LIBRARY_ELEMENT", _E, "configuration", _NEVER, False, _DD, _TN, EX_CONFIG, "", "The library has no such drive element or rejects the address.", "Check library_slot in the drive's configuration against 'cta-admin device ls'.")
LIBRARY_DESTINATION_FULL = _row(10, _L, "LIBRARY_DESTINATION_FULL", _E, "library", _ASK, False, _DN, _TN, EX_IOERR, "", "The destination of a move already holds a cartridge.", "Run an inventory of the library; somebody else moves cartridges too.")
LIBRARY_VOLUME_MISMATCH = _row(11, _L, "LIBRARY_VOLUME_MISMATCH", _E, "library", _ASK, False, _DN, _TN, EX_IOERR, "", "The library says that the drive holds another cartridge than the one named.", "Compare barcodes in the log line; dismount by the barcode that the library reports.")
LIBRARY_REFUSED = _row(12, _L, "LIBRARY_REFUSED", _E, "library", _NEVER, False, _DN, _TN, EX_IOERR, "", "The library rejected a command as illegal.", "Check its firmware level; report the CDB and sense data of the log line.")
# --- the disk ------------------------------------------------------------------------------------------
DISK_SOURCE_GONE = _row(1, _K, "DISK_SOURCE_GONE", _W, "user", _NEVER, True, _DN, _TN, EX_IOERR, "Error_diskOpenForRead", "The file to archive no longer exists; its user may have deleted it.", "Usually nothing; cancel the request if the file was deleted on purpose.")
DISK_PERMISSION = _row(2, _K, "DISK_PERMISSION", _E, "site", _BACK, True, _DN, _TN, EX_NOPERM, "Error_diskOpenForRead", "The daemon may not read the source or write the destination.", "Check ownership and the daemon's user.")
DISK_READ = _row(3, _K, "DISK_READ", _E, "disk", _BACK, True, _DN, _TN, EX_IOERR, "Error_diskRead", "Reading the source file failed.", "Check the disk server.")
DISK_WRITE = _row(4, _K, "DISK_WRITE", _E, "disk", _BACK, True, _DN, _TN, EX_IOERR, "Error_diskWrite", "Writing the destination file failed.", "Check the disk server.")
DISK_NO_SPACE = _row(5, _K, "DISK_NO_SPACE", _E, "disk", _BACK, False, _DN, _TN, EX_IOERR, "Error_diskWrite", "The destination has no space left.", "Free space on the disk buffer; the request stays queued.")
DISK_SIZE_MISMATCH = _row(6, _K, "DISK_SIZE_MISMATCH", _E, "user", _NEVER, True, _DN, _TN, EX_IOERR, "Error_diskFileToReadSizeMismatch", "The source file has another size than the request says; it was changed or truncated.", "Archive the file again with its present size.")
DISK_CHECKSUM = _row(7, _K, "DISK_CHECKSUM", _CR, "disk", _BACK, True, _DN, _TN, EX_IOERR, "Error_diskRead", "The source file has another checksum than the request says.", "Compare the file with its origin; the disk may be corrupting data.")
DISK_UNREACHABLE = _row(8, _K, "DISK_UNREACHABLE", _E, "disk", _BACK, False, _DN, _TN, EX_UNAVAILABLE, "Error_diskOpenForRead", "The disk server does not answer.", "Check the disk server; jobs go back to the queue uncharged.")
DISK_TIMEOUT = _row(9, _K, "DISK_TIMEOUT", _E, "disk", _BACK, False, _DN, _TN, EX_TEMPFAIL, "", "A disk operation did not end in time.", "Check the disk server's load.")
DISK_NOT_A_FILE = _row(10, _K, "DISK_NOT_A_FILE", _E, "user", _NEVER, True, _DN, _TN, EX_USAGE, "Error_diskOpenForRead", "The path is a directory, device or socket, not a regular file.", "Give a regular file.")
DISK_EMPTY_FILE = _row(11, _K, "DISK_EMPTY_FILE", _W, "user", _NEVER, True, _DN, _TN, EX_USAGE, "Info_fileSkipped", "A zero-length file cannot be recorded to tape.", "Keep empty files on disk only.")
DISK_EXISTS = _row(12, _K, "DISK_EXISTS", _E, "user", _NEVER, True, _DN, _TN, EX_CANTCREAT, "Error_diskOpenForWrite", "The destination exists already and is not overwritten.", "Choose another destination or remove the old file.")
DISK_OPEN_WRITE = _row(13, _K, "DISK_OPEN_WRITE", _E, "disk", _BACK, True, _DN, _TN, EX_CANTCREAT, "Error_diskOpenForWrite", "The destination cannot be created.", "Check that its directory exists and may be written.")
DISK_NAME = _row(14, _K, "DISK_NAME", _E, "user", _NEVER, True, _DN, _TN, EX_USAGE, "", "A path cannot be used (scheme, length or encoding).", "Use an absolute path or a URL of a supported scheme.")
# --- the catalogue -------------------------------------------------------------------------------------
CATALOGUE_LOST = _row(1, _C, "CATALOGUE_LOST", _E, "database", _BACK, False, _DN, _TN, EX_UNAVAILABLE, "", "The catalogue database cannot be reached.", "Nothing on the tape server: the daemon waits and goes on.")
CATALOGUE_SCHEMA = _row(2, _C, "CATALOGUE_SCHEMA", _CR, "site", _NEVER, False, _DN, _TN, EX_CONFIG, "", "The catalogue is not of schema 15, or a column is missing.", "Upgrade or create the schema; see 'cta-admin db check'.")
CATALOGUE_REFUSED = _row(3, _C, "CATALOGUE_REFUSED", _E, "site", _NEVER, False, _DN, _TN, EX_IOERR, "Error_reporting", "The catalogue refused a statement (constraint or wrong value).", "See the statement's reason in the log line.")
CATALOGUE_CORRUPT = _row(4, _C, "CATALOGUE_CORRUPT", _CR, "database", _NEVER, False, _DN, _TN, EX_IOERR, "", "The database file is damaged.", "Restore it from a backup; files on tape can be listed with 'cta-admin tape scan'.")
CATALOGUE_CHECKSUM = _row(5, _C, "CATALOGUE_CHECKSUM", _CR, "site", _NEVER, True, _DN, _TN, EX_IOERR, "Error_reporting", "The written file's size or checksum is not the one that the catalogue already records.", "The source changed after it was first archived; find out which copy is right.")
CATALOGUE_CONFLICT = _row(6, _C, "CATALOGUE_CONFLICT", _W, "nobody", _IMM, False, _DN, _TN, EX_TEMPFAIL, "", "Two transactions met; one must be repeated.", "Nothing to do.")
CATALOGUE_NOT_FOUND = _row(7, _C, "CATALOGUE_NOT_FOUND", _E, "operator", _NEVER, False, _DN, _TN, EX_USAGE, "", "The catalogue has no such object.", "Check the name; list with the noun's 'ls'.")
CATALOGUE_EXISTS = _row(8, _C, "CATALOGUE_EXISTS", _E, "operator", _NEVER, False, _DN, _TN, EX_USAGE, "", "The catalogue already has an object of this name.", "Choose another name, or change the existing one with 'ch'.")
CATALOGUE_IN_USE = _row(9, _C, "CATALOGUE_IN_USE", _E, "operator", _NEVER, False, _DN, _TN, EX_USAGE, "", "The object is still referred to and cannot be removed.", "Remove what refers to it first.")
CATALOGUE_DRIVE_TAKEN = _row(10, _C, "CATALOGUE_DRIVE_TAKEN", _CR, "configuration", _NEVER, False, _DD, _TN, EX_CONFIG, "", "A drive of this name is registered by another host or logical library.", "Rename one of the two, or remove the stale one with 'cta-admin drive rm'.")
# --- the scheduler -------------------------------------------------------------------------------------
SCHEDULER_LOST = _row(1, _S, "SCHEDULER_LOST", _E, "database", _BACK, False, _DN, _TN, EX_UNAVAILABLE, "", "The scheduler database cannot be reached.", "Nothing on the tape server: the daemon waits and goes on.")
SCHEDULER_SCHEMA = _row(2, _S, "SCHEDULER_SCHEMA", _CR, "site", _NEVER, False, _DN, _TN, EX_CONFIG, "", "The scheduler database is not of schema 1.0, or a column is missing.", "Create the schema; see 'cta-admin db check'.")
SCHEDULER_REFUSED = _row(3, _S, "SCHEDULER_REFUSED", _E, "site", _NEVER, False, _DN, _TN, EX_IOERR, "", "The scheduler database refused a statement.", "See the statement's reason in the log line.")
SCHEDULER_JOB_GONE = _row(4, _S, "SCHEDULER_JOB_GONE", _W, "nobody", _NEVER, False, _DN, _TN, 0, "", "A job was given to another mount or cancelled meanwhile; its result is not reported twice.", "Nothing to do.")
SCHEDULER_CONFLICT = _row(5, _S, "SCHEDULER_CONFLICT", _W, "nobody", _IMM, False, _DN, _TN, EX_TEMPFAIL, "", "Two transactions met; one must be repeated.", "Nothing to do.")
SCHEDULER_NOT_FOUND = _row(6, _S, "SCHEDULER_NOT_FOUND", _E, "operator", _NEVER, False, _DN, _TN, EX_USAGE, "", "The scheduler has no such request.", "List requests with 'cta-admin showqueues' and 'cta-admin failedrequest ls'.")
SCHEDULER_NO_ROUTE = _row(7, _S, "SCHEDULER_NO_ROUTE", _E, "operator", _NEVER, False, _DN, _TN, EX_USAGE, "", "A request cannot be queued: storage class, archive route, mount policy or copy is missing.", "Add what the message names.")
SCHEDULER_CORRUPT = _row(8, _S, "SCHEDULER_CORRUPT", _CR, "database", _NEVER, False, _DN, _TN, EX_IOERR, "", "The scheduler's database file is damaged.", "Restore it from a backup or create it anew; queued requests must then be queued again, files on tape are safe.")
SCHEDULER_REQUEST_FAILED = _row(9, _S, "SCHEDULER_REQUEST_FAILED", _E, "site", _NEVER, False, _DN, _TN, EX_IOERR, "", "A request that was waited for failed or was cancelled.", "The listing has the reason of each; correct it and queue the files again.")
SCHEDULER_QUEUED = _row(10, _S, "SCHEDULER_QUEUED", _W, "user", _NEVER, False, _DN, _TN, EX_USAGE, "", "A file is queued to be archived already.", "Nothing: the request that the message names is worked on; see 'cta-admin request show'.")
# --- configuration -------------------------------------------------------------------------------------
CONFIG_INVALID = _row(1, _G, "CONFIG_INVALID", _CR, "operator", _NEVER, False, _DN, _TN, EX_CONFIG, "", "The configuration has an unknown key, a wrong type or a missing key.", "Correct the file and line that the message names; 'cta-taped --check-config' checks.")
CONFIG_MISSING = _row(2, _G, "CONFIG_MISSING", _CR, "operator", _NEVER, False, _DN, _TN, EX_CONFIG, "", "A configuration file cannot be read.", "Create it from the example in etc/, or correct --config.")
CONFIG_DRIVE_TAKEN = _row(3, _G, "CONFIG_DRIVE_TAKEN", _CR, "operator", _NEVER, False, _DN, _TN, EX_CONFIG, "", "Another cta-taped already serves this drive.", "Stop it first: systemctl stop cta-taped@DRIVE.")
CONFIG_USAGE = _row(4, _G, "CONFIG_USAGE", _E, "operator", _NEVER, False, _DN, _TN, EX_USAGE, "", "A command was used wrongly.", "See --help of the command.")
CONFIG_VTL = _row(5, _G, "CONFIG_VTL", _E, "operator", _NEVER, False, _DN, _TN, EX_CONFIG, "", "The directory is not a virtual tape library, or its state is damaged.", "Create one with 'cta-vtl create'.")
# --- the system ----------------------------------------------------------------------------------------
SYSTEM_CHILD_DIED = _row(1, _Y, "SYSTEM_CHILD_DIED", _CR, "daemon", _BACK, False, _DN, _TN, EX_SOFTWARE, "Error_sessionKilled", "A worker process died without having finished.", "The rescue follows by itself; a core or stack is in the journal.")
SYSTEM_DEADLINE = _row(2, _Y, "SYSTEM_DEADLINE", _CR, "drive or daemon", _BACK, False, _DN, _TN, EX_SOFTWARE, "Error_sessionKilled", "A worker exceeded a deadline of its state and was ended.", "The stacks of all its threads are in the journal; the state's name tells what it waited for.")
SYSTEM_PROTOCOL = _row(3, _Y, "SYSTEM_PROTOCOL", _CR, "daemon", _NEVER, False, _DN, _TN, EX_SOFTWARE, "", "A message between the daemon's processes was malformed or of another version.", "Restart the service; mixed versions run after an upgrade without restart.")
SYSTEM_STATE_LOST = _row(4, _Y, "SYSTEM_STATE_LOST", _E, "host", _IMM, False, _DN, _TN, EX_IOERR, "", "The persisted state of the drive cannot be read or written.", "Check the state directory's space and permissions; an unreadable state is treated as a drive that may hold a cartridge.")
SYSTEM_INTERNAL = _row(5, _Y, "SYSTEM_INTERNAL", _CR, "daemon", _BACK, False, _DN, _TN, EX_SOFTWARE, "", "An unexpected exception: a defect of this program.", "Report it with the traceback of the journal.")
SYSTEM_NO_DAEMON = _row(6, _Y, "SYSTEM_NO_DAEMON", _E, "operator", _BACK, False, _DN, _TN, EX_UNAVAILABLE, "", "No daemon answers for this drive on this host.", "Start it: systemctl start cta-taped@DRIVE.")
SYSTEM_PEER_REFUSED = _row(7, _Y, "SYSTEM_PEER_REFUSED", _W, "user", _NEVER, False, _DN, _TN, EX_NOPERM, "", "A client of the control socket may not do this.", "Use an account of the operators' group.")
SYSTEM_LEDGER = _row(8, _Y, "SYSTEM_LEDGER", _CR, "host", _ASK, False, _DD, _TN, EX_IOERR, "", "The ledger of files on tape but not yet recorded cannot be written or read.", "Check space and health of the state directory's disk; files of this flush are not reported archived.")
SYSTEM_RESCUE_FAILED = _row(9, _Y, "SYSTEM_RESCUE_FAILED", _A, "drive or library", _NEVER, False, _DD, _TD, EX_IOERR, "", "The rescue could not bring the cartridge to a slot; drive and tape are quarantined.", "The location is in the log line; eject and return the cartridge by hand, then set both usable again.")
SYSTEM_BAD_REQUEST = _row(10, _Y, "SYSTEM_BAD_REQUEST", _W, "user", _NEVER, False, _DN, _TN, EX_USAGE, "", "A request on the control socket is malformed.", "Use cta-admin, or see docs/protocol.md.")
SYSTEM_RESOURCES = _row(11, _Y, "SYSTEM_RESOURCES", _E, "host", _BACK, False, _DN, _TN, EX_TEMPFAIL, "", "The host ran out of memory, file descriptors or threads.", "Look for what uses them up on this host; raise LimitNOFILE or MemoryMax of the unit if it is this service.")
SYSTEM_DAEMON_SILENT = _row(12, _Y, "SYSTEM_DAEMON_SILENT", _E, "daemon or host", _BACK, False, _DN, _TN, EX_UNAVAILABLE, "", "A daemon holds this drive's control socket and does not answer.", "Look at its journal and the host's load; 'systemctl restart' ends its session by grades and keeps what is on tape.")
# fmt: on

OUTAGES: Final = frozenset(
    {
        CATALOGUE_LOST, CATALOGUE_CONFLICT, CATALOGUE_CORRUPT, CATALOGUE_SCHEMA,
        SCHEDULER_LOST, SCHEDULER_CONFLICT, SCHEDULER_CORRUPT, SCHEDULER_SCHEMA,
    }
)  # fmt: skip
"""A database is away, busy, damaged, or in the middle of an upgrade: waited for, never charged to a job."""
