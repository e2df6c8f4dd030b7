# SPDX-License-Identifier: GPL-3.0-or-later
"""Domain values that several parts speak of: drives, tapes, mounts, jobs.

Plain frozen dataclasses and enumerations with CTA's words; no behaviour beyond derived values, no I/O.
The enumerations' values are those of CTA's catalogue columns (schema 15, docs of DRIVE_STATE and TAPE), so
they need no translation on their way to a database.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class DriveStatus(StrEnum):
    """DRIVE_STATE.DRIVE_STATUS (catalogue schema 15, DRIVE_DS_STRING_CK; the spelling is CTA's)."""

    DOWN = "DOWN"
    UP = "UP"
    PROBING = "PROBING"
    STARTING = "STARTING"
    MOUNTING = "MOUNTING"
    TRANSFERING = "TRANSFERING"
    UNLOADING = "UNLOADING"
    UNMOUNTING = "UNMOUNTING"
    DRAININGTODISK = "DRAININGTODISK"
    CLEANINGUP = "CLEANINGUP"
    SHUTDOWN = "SHUTDOWN"
    UNKNOWN = "UNKNOWN"


class MountType(StrEnum):
    """DRIVE_STATE.MOUNT_TYPE."""

    NO_MOUNT = "NO_MOUNT"
    ARCHIVE_FOR_USER = "ARCHIVE_FOR_USER"
    ARCHIVE_FOR_REPACK = "ARCHIVE_FOR_REPACK"
    RETRIEVE = "RETRIEVE"
    LABEL = "LABEL"


class TapeState(StrEnum):
    """TAPE.TAPE_STATE."""

    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"
    REPACKING_PENDING = "REPACKING_PENDING"
    REPACKING = "REPACKING"
    REPACKING_DISABLED = "REPACKING_DISABLED"
    BROKEN_PENDING = "BROKEN_PENDING"
    BROKEN = "BROKEN"
    EXPORTED_PENDING = "EXPORTED_PENDING"
    EXPORTED = "EXPORTED"


class Grade(StrEnum):
    """How a session is asked to end (DESIGN 7), in rising urgency."""

    DRAIN = "drain"
    QUICK = "quick"
    NOW = "now"


@dataclass(frozen=True, slots=True)
class DriveIdentity:
    """A drive as configuration, catalogue and labels know it."""

    name: str
    host: str
    logical_library: str
    device: str
    library_slot: str


@dataclass(frozen=True, slots=True)
class WriterIdentity:
    """What UHL1/UTL1 and HDR1 say about the writer (tape format reference, 2.2 and 2.4)."""

    site: str
    host: str
    drive_vendor: str
    drive_model: str
    drive_serial: str
    system_version: str = "5.11.20.0"


@dataclass(frozen=True, slots=True)
class Mount:
    """A claimed mount: the decision of the scheduler, reserved for this drive.

    ``mount_id`` is DRIVE_STATE.SESSION_ID of the catalogue and MOUNT_ID of the scheduler's rows.
    ``last_fseq`` is TAPE.LAST_FSEQ at the decision; ``capacity_bytes`` the media type's nominal capacity.
    ``repack`` tells which family of queues a retrieve takes its jobs from.
    """

    mount_id: int
    mount_type: MountType
    vid: str
    tape_pool: str
    vo: str
    media_type: str
    vendor: str
    logical_library: str
    last_fseq: int
    capacity_bytes: int
    label_format: int = 0
    encryption_key_name: str | None = None
    priority: int = 0
    activity: str | None = None
    repack: bool = False


@dataclass(frozen=True, slots=True)
class ArchiveJob:
    """One copy of one file to write. Sizes in bytes; ``adler32`` None when the request carries none."""

    job_id: int
    archive_file_id: int
    copy_nb: int
    request_job_count: int
    source_url: str
    size_bytes: int
    adler32: int | None
    disk_instance: str
    disk_file_id: str
    disk_file_path: str
    owner_uid: int
    gid: int
    storage_class: str


@dataclass(frozen=True, slots=True)
class RetrieveJob:
    """One file to read. ``block_id`` is the logical object number of its HDR1 (0 for fSeq 1)."""

    job_id: int
    archive_file_id: int
    copy_nb: int
    vid: str
    fseq: int
    block_id: int
    destination_url: str
    size_bytes: int
    adler32: int | None
    verify_only: bool = False
    disk_system: str | None = None


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One file, or placeholder (``job`` None), that was written *and flushed* to tape: a ledger entry.

    ``block_id`` as TAPE_FILE.BLOCK_ID: 0 for fSeq 1. ``written_time`` in seconds since the epoch.
    """

    vid: str
    fseq: int
    block_id: int
    size_bytes: int
    adler32: int
    written_time: int
    job: ArchiveJob | None


@dataclass(frozen=True, slots=True)
class JobFailure:
    """A job that failed, and why. ``charged`` False gives it back without touching its counters."""

    job_id: int
    code: str
    text: str
    charged: bool
    retry_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The operator's wish for a drive (DRIVE_STATE.DESIRED_UP, DESIRED_FORCE_DOWN, REASON_UP_DOWN)."""

    up: bool
    force: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class DriveReport:
    """What the supervisor knows of the drive at ``time`` (epoch s); published to the catalogue in order.

    ``sequence`` increases with each report of one supervisor; counters are of the running session.
    ``mount_id`` names the running mount; ``last_mount_id`` the latest mount that the supervisor knew at
    ``time``, ended or not: a report that knows nothing of the claim stored in the catalogue does not erase
    it.
    """

    sequence: int
    time: float
    status: DriveStatus
    mount_id: int | None = None
    mount_type: MountType = MountType.NO_MOUNT
    vid: str | None = None
    tape_pool: str | None = None
    vo: str | None = None
    activity: str | None = None
    bytes_transferred: int = 0
    files_transferred: int = 0
    reason: str | None = None
    last_mount_id: int | None = None


@dataclass(slots=True)
class SessionTotals:
    """What a session moved so far; times in seconds. Field names follow upstream's session line."""

    files: int = 0
    bytes: int = 0
    header_bytes: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    times_s: dict[str, float] = field(default_factory=dict)
