# SPDX-License-Identifier: GPL-3.0-or-later
"""The event table: every fact that the programs log, under one stable name.

What it is: one row per event (name, level, fields that it must carry, meaning), and the fields of upstream's
session line, which CTA sites' monitoring reads. What it is not: failures; those have codes (errors.py) and
travel under one of these names. Why: a log line is an interface. Who watches for ``CTA_EVENT=flush_done`` or for
a MESSAGE_ID must not be broken by someone who improves a sentence.

Names that upstream has too (``program_starting``, ``program_exiting``, ``putting_tape_drive_up``,
``putting_tape_drive_down``, ``tape_session_finished``: CTA's log schema 0.2.0) are kept.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from cta_taped.common.model import MountType

_MESSAGE_ID_NAMESPACE: Final = uuid.UUID("0b2f0d3e-7d0c-4a39-8f6a-2a8f7f1f4c55")


class Level(IntEnum):
    """Syslog severities (RFC 5424 6.2.1); the number is the journal's PRIORITY."""

    ALERT = 1
    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


class Event(str):
    """One row of the table; equal to its name, so that it is the event of a structlog call as it stands.

    ``level`` is used by ``log_event``; ``fields`` must be present in every line of this event; ``message_id``,
    32 hexadecimal digits, is derived from the name so that it can never drift.
    """

    __slots__ = ("fields", "level", "meaning", "message_id")

    level: Level
    fields: tuple[str, ...]
    meaning: str
    message_id: str

    def __new__(cls, name: str, level: Level, fields: str, meaning: str) -> Event:
        """``fields``: names separated by blanks."""
        self = super().__new__(cls, name)
        self.level = level
        self.fields = tuple(fields.split())
        self.meaning = meaning
        self.message_id = uuid.uuid5(_MESSAGE_ID_NAMESPACE, name).hex
        return self


BY_NAME: Final[dict[str, Event]] = {}

_A, _C, _E, _W, _N, _I, _D = Level


def _row(name: str, level: Level, fields: str, meaning: str) -> Event:
    if name in BY_NAME:
        raise ValueError(f"duplicate event {name}")
    return BY_NAME.setdefault(name, Event(name, level, fields, meaning))


# fmt: off
# ruff: noqa: E501
# --- programs ------------------------------------------------------------------------------------------
PROGRAM_STARTING = _row("program_starting", _I, "version", "A program of the daemon starts")
PROGRAM_EXITING = _row("program_exiting", _I, "exit_status", "A program of the daemon ends")
READY = _row("ready", _I, "", "The service is ready")
STOPPING = _row("stopping", _N, "grade", "The service was asked to stop")
STOP_ESCALATED = _row("stop_escalated", _W, "grade", "A grade of ending passed its deadline; the next, more urgent one begins")
CONFIGURATION_RELOADED = _row("configuration_reloaded", _N, "", "The configuration was read again and is in force")
CONFIGURATION_REJECTED = _row("configuration_rejected", _E, "", "A changed configuration is invalid; the one before stays in force")
FAILURE = _row("failure", _E, "", "A failure that no more special event names")
LOG_LINES_DROPPED = _row("log_lines_dropped", _W, "lines", "Log lines were lost because the journal did not take them")
# --- the drive -----------------------------------------------------------------------------------------
DRIVE_UP = _row("putting_tape_drive_up", _N, "", "The drive is up")
DRIVE_DOWN = _row("putting_tape_drive_down", _N, "reason", "The drive is down")
DRIVE_REGISTERED = _row("drive_registered", _I, "", "The drive is registered in the catalogue")
DESIRED_STATE_CHANGED = _row("desired_state_changed", _N, "desired", "The operator's wish for the drive changed")
STATE_CHANGED = _row("state_changed", _I, "state previous", "The drive's state changed")
STATE_RESTORED = _row("state_restored", _N, "state", "The drive's state before the restart was found")
DRIVE_PROBED = _row("drive_probed", _D, "outcome", "The drive was asked whether it is empty")
DRIVE_EMPTY = _row("drive_empty", _I, "", "The drive is known to be empty")
DRIVE_RESET = _row("drive_reset_seen", _W, "", "The drive reports that it was reset")
TAPE_ALERT = _row("tape_alert", _W, "flag", "The drive raised a TapeAlert flag")
CLEANING_REQUESTED = _row("cleaning_requested", _W, "", "The drive asks to be cleaned")
MODE_PAGE_DRIFT = _row("mode_page_drift", _W, "page", "A mode page is not as configured")
MODE_PAGES_APPLIED = _row("mode_pages_applied", _I, "", "Mode pages were set as configured")
MOUNT_STATISTICS = _row("mount_statistics", _I, "", "Logging mount general statistics")
DRIVE_STATISTICS = _row("drive_statistics", _I, "", "Logging drive statistics")
VOLUME_STATISTICS = _row("volume_statistics", _I, "", "Logging volume statistics")
# --- a mount -------------------------------------------------------------------------------------------
SESSION_STARTED = _row("session_started", _I, "", "A tape session starts")
SESSION_FINISHED = _row("tape_session_finished", _I, "logicalLibrary mountType status tapePool tapeVid vo volReqId tapeDrive filesCount dataVolume driveTransferSpeedMBps mountAttempted", "Tape session finished")
SESSION_STOP_ASKED = _row("session_stop_asked", _N, "grade", "The session was asked to end early")
NO_MOUNT = _row("no_mount", _D, "", "The scheduler has no work for this drive")
MOUNT_CLAIMED = _row("mount_claimed", _I, "vid mount_id mount_type", "A mount was claimed for this drive")
MOUNT_GIVEN_BACK = _row("mount_given_back", _N, "vid mount_id", "A claimed mount was given back")
CARTRIDGE_MOUNTED = _row("cartridge_mounted", _I, "vid", "The library put the cartridge into the drive")
CARTRIDGE_LOADED = _row("cartridge_loaded", _I, "vid", "The cartridge is loaded and ready")
LABEL_VERIFIED = _row("label_verified", _I, "vid", "The cartridge's VOL1 label is the one that was asked for")
POSITION_VERIFIED = _row("position_verified", _I, "fseq", "The trailer before the write position agrees with the catalogue")
ENCRYPTION_SET = _row("encryption_set", _I, "", "The drive's encryption key was set")
ENCRYPTION_CLEARED = _row("encryption_cleared", _D, "", "The drive's encryption key was cleared")
RECALL_ORDERED = _row("recall_ordered", _I, "files", "The order of reading was planned")
BATCH_TAKEN = _row("batch_taken", _I, "files", "A batch of jobs was taken from the scheduler")
FILE_ARCHIVED = _row("file_archived", _I, "archive_file_id fseq size_bytes", "A file is on tape, synchronised and recorded")
FILE_RETRIEVED = _row("file_retrieved", _I, "archive_file_id fseq size_bytes", "A file was read, verified and delivered to disk")
FILE_VERIFIED = _row("file_verified", _I, "archive_file_id fseq size_bytes", "A file was read and verified, not delivered")
FILE_SKIPPED = _row("file_skipped", _N, "archive_file_id", "A file was left out of the session and given back")
FILE_FAILED = _row("file_failed", _E, "archive_file_id", "A file could not be transferred")
JOB_FAILED = _row("job_failed", _E, "job_id", "A job failed and is tried again or given up")
PLACEHOLDER_WRITTEN = _row("placeholder_written", _N, "fseq", "A placeholder was written where a file could not be read")
FLUSH_DONE = _row("flush_done", _I, "files size_bytes", "Everything written is synchronised to the medium")
FILES_RECORDED = _row("files_recorded", _I, "files", "Files were recorded in the catalogue and their jobs done")
TAPE_FULL = _row("tape_full", _N, "vid", "The tape is full")
TAPE_LABELLED = _row("tape_labelled", _N, "vid", "A cartridge was labelled")
TAPE_DISABLED = _row("tape_disabled", _W, "vid reason", "A tape was disabled")
DRAINING_TO_DISK = _row("draining_to_disk", _I, "", "The tape is done; the disks still write")
CARTRIDGE_UNLOADED = _row("cartridge_unloaded", _I, "", "The cartridge is unloaded and can be taken")
CARTRIDGE_DISMOUNTED = _row("cartridge_dismounted", _I, "vid location", "The cartridge is in a slot, as the library says")
LOCATION_CHANGED = _row("location_changed", _N, "vid location", "A cartridge was seen in another place than before")
# --- ledger --------------------------------------------------------------------------------------------
LEDGER_APPENDED = _row("ledger_appended", _I, "vid files", "Flushed files were appended to the ledger")
LEDGER_DELIVERED = _row("ledger_delivered", _I, "files", "Files of the ledger are recorded in the databases")
LEDGER_WAITING = _row("ledger_waiting", _W, "files", "The ledger holds files that no database has taken yet")
# --- rescue --------------------------------------------------------------------------------------------
RESCUE_STARTED = _row("rescue_started", _W, "", "The drive may hold a cartridge; the rescue begins")
RESCUE_STEP = _row("rescue_step", _N, "rung outcome", "A rung of the rescue ladder was tried")
RESCUE_FINISHED = _row("rescue_finished", _N, "outcome", "The rescue ended")
QUARANTINED = _row("quarantined", _A, "location", "Drive and tape are out of use until an operator has looked")
# --- children ------------------------------------------------------------------------------------------
CHILD_STARTED = _row("child_started", _I, "child child_pid", "A worker process was started")
CHILD_ENDED = _row("child_ended", _I, "child child_pid", "A worker process ended in order")
CHILD_DIED = _row("child_died", _C, "child child_pid", "A worker process died without having finished")
CHILD_SIGNALLED = _row("child_signalled", _W, "child child_pid signal", "A worker process was sent a signal")
CHILD_STUCK = _row("child_stuck", _C, "child child_pid", "A worker process is in uninterruptible sleep")
DEADLINE_EXCEEDED = _row("deadline_exceeded", _C, "state deadline", "A worker exceeded a deadline of its state")
SESSION_ADOPTED = _row("session_adopted", _N, "child_pid", "A running session was taken over from the supervisor before")
# --- the world outside ---------------------------------------------------------------------------------
OUTAGE_BEGUN = _row("outage_begun", _W, "resource", "Something outside cannot be reached; the daemon waits")
OUTAGE_ENDED = _row("outage_ended", _N, "resource duration_s", "What could not be reached answers again")
RETRYING = _row("retrying", _N, "operation", "An operation is tried again")
JOB_GONE = _row("job_gone", _N, "job_id", "A job was taken or cancelled elsewhere; its result is not reported twice")
JOBS_DIVERTED = _row(
    "jobs_diverted", _N, "vid jobs", "Retrieve jobs of a disabled tape were moved to their next copy"
)
JOBS_GIVEN_BACK = _row("jobs_given_back", _N, "jobs", "Jobs were given back to the queue uncharged")
# --- control -------------------------------------------------------------------------------------------
CONTROL_REQUEST = _row("control_request", _I, "method uid", "A request came over the control socket")
CONTROL_REFUSED = _row("control_refused", _W, "method uid", "A request over the control socket was refused")
# --- maintenance ---------------------------------------------------------------------------------------
ROUTINE_STARTED = _row("routine_started", _D, "routine", "A maintenance routine starts")
ROUTINE_FINISHED = _row("routine_finished", _I, "routine", "A maintenance routine ended")
ROUTINE_FAILED = _row("routine_failed", _E, "routine", "A maintenance routine failed; it runs again later")
JOBS_COLLECTED = _row("jobs_collected", _N, "jobs", "Jobs of a holder whose lease ran out went back to the queue")
DISK_REPORTED = _row("disk_reported", _I, "jobs", "Results were reported to the disk system")
JOBS_KEPT = _row("jobs_kept", _W, "jobs", "Failed requests that nobody asked to be told of wait for an operator")
INCIDENT_RAISED = _row("incident_raised", _W, "incident_id", "An incident for an operator was recorded")
INCIDENT_CLOSED = _row("incident_closed", _N, "incident_id", "An incident was closed")
INVENTORY_TAKEN = _row("inventory_taken", _I, "cartridges", "The library was asked what is where")
# fmt: on

UPSTREAM_EVENTS: Final = frozenset(
    {PROGRAM_STARTING, PROGRAM_EXITING, DRIVE_UP, DRIVE_DOWN, SESSION_FINISHED}
)
"""The names that CTA's log schema 0.2.0 admits as ``event_name``."""


_UPSTREAM_MOUNT_TYPE: Final[dict[MountType, str]] = {
    MountType.NO_MOUNT: "NoMount",
    MountType.ARCHIVE_FOR_USER: "ArchiveForUser",
    MountType.ARCHIVE_FOR_REPACK: "ArchiveForRepack",
    MountType.RETRIEVE: "Retrieve",
    MountType.LABEL: "Label",
}

SESSION_TIMES: Final = (
    "mountTime",
    "positionTime",
    "waitInstructionsTime",
    "waitFreeMemoryTime",
    "waitDataTime",
    "waitReportingTime",
    "checksumingTime",
    "readWriteTime",
    "flushTime",
    "unloadTime",
    "unmountTime",
    "encryptionControlTime",
    "transferTime",
    "totalTime",
    "deliveryTime",
    "drainingTime",
)
"""Upstream's times of a session in seconds, its spelling; the keys of ``SessionTotals.times_s``."""


@dataclass(frozen=True, slots=True)
class SessionFinished:
    """What one tape session did, for upstream's session line. Volumes in bytes, times in seconds.

    ``times_s`` by the names of ``SESSION_TIMES`` (absent: 0), ``counters`` by upstream's ``Error_*`` and
    ``Info_*`` names. ``kill_signal`` of a session that was killed. Retrieve sessions split their files into
    those of users, of repack and verify-only; for archive sessions these counts stay 0.
    """

    tape_drive: str
    logical_library: str
    mount_type: MountType
    success: bool
    mount_attempted: bool
    tape_vid: str = ""
    mount_id: int = 0
    vendor: str = ""
    vo: str = ""
    media_type: str = ""
    tape_pool: str = ""
    capacity_bytes: int = 0
    files: int = 0
    data_bytes: int = 0
    header_bytes: int = 0
    repack_files: int = 0
    repack_bytes: int = 0
    user_files: int = 0
    user_bytes: int = 0
    verified_files: int = 0
    verified_bytes: int = 0
    times_s: Mapping[str, float] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)
    kill_signal: int | None = None


def session_finished_fields(session: SessionFinished) -> dict[str, str]:
    """The fields of ``tape_session_finished``: upstream's names, every value a string as upstream prints it.

    Upstream sends the parameters as text from session to parent (WatchdogMessage.proto), so numbers arrive as
    strings: integers in decimal, flags as 1 or 0, real numbers with six decimals. Both speeds are over the
    total time, in 10^6 bytes per second. ``tapeDrive`` and ``drive_name`` are one drive: upstream's lines use
    both. Raises ValueError for a time that upstream does not know.
    """
    unknown = session.times_s.keys() - set(SESSION_TIMES)
    if unknown:
        raise ValueError(f"unknown session times {sorted(unknown)}")
    total_s = session.times_s.get("totalTime", 0.0)
    payload_mb = session.data_bytes / 1e6
    drive_mb = (session.data_bytes + session.header_bytes) / 1e6
    fields = {
        "tapeDrive": session.tape_drive,
        "drive_name": session.tape_drive,
        "logicalLibrary": session.logical_library,
        "tapeVid": session.tape_vid,
        "mountType": _UPSTREAM_MOUNT_TYPE[session.mount_type],
        "mountId": str(session.mount_id),
        "volReqId": str(session.mount_id),
        "vendor": session.vendor,
        "vo": session.vo,
        "mediaType": session.media_type,
        "tapePool": session.tape_pool,
        "capacityInBytes": str(session.capacity_bytes),
        "mountAttempted": str(int(session.mount_attempted)),
        "wasTapeMounted": str(int(session.times_s.get("mountTime", 0.0) > 0)),
        "status": "success" if session.success else "failure",
        "filesCount": str(session.files),
        "dataVolume": str(session.data_bytes),
        "headerVolume": str(session.header_bytes),
        "repackFilesCount": str(session.repack_files),
        "repackBytesCount": str(session.repack_bytes),
        "userFilesCount": str(session.user_files),
        "userBytesCount": str(session.user_bytes),
        "verifiedFilesCount": str(session.verified_files),
        "verifiedBytesCount": str(session.verified_bytes),
        "payloadTransferSpeedMBps": f"{payload_mb / total_s if total_s else 0.0:.6f}",
        "driveTransferSpeedMBps": f"{drive_mb / total_s if total_s else 0.0:.6f}",
    }
    fields |= {name: f"{session.times_s.get(name, 0.0):.6f}" for name in SESSION_TIMES}
    fields |= {name: str(count) for name, count in session.counters.items()}
    if session.kill_signal is not None:
        fields |= {"killSignal": str(session.kill_signal), "Error_sessionKilled": "1"}
    return fields
