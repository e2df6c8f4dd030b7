# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drive's status means for the columns of its DRIVE_STATE row (catalogue reference 5.11), as a table.

What it is: for each status, the columns to write when the drive enters it, and the column that holds since
when. What it is not: a statement. Why: the table is upstream's, cell by cell, and is easier to compare with
it than code is. Columns not named for a status keep their value.
"""

from __future__ import annotations

from typing import Any, Final

from cta_taped.common.model import DriveReport, DriveStatus

SINCE: Final[dict[DriveStatus, str]] = {
    DriveStatus.DOWN: "down_or_up_start_time",
    DriveStatus.UP: "down_or_up_start_time",
    DriveStatus.PROBING: "probe_start_time",
    DriveStatus.STARTING: "start_start_time",
    DriveStatus.MOUNTING: "mount_start_time",
    DriveStatus.TRANSFERING: "transfer_start_time",
    DriveStatus.UNLOADING: "unload_start_time",
    DriveStatus.UNMOUNTING: "unmount_start_time",
    DriveStatus.DRAININGTODISK: "draining_start_time",
    DriveStatus.CLEANINGUP: "cleanup_start_time",
    DriveStatus.SHUTDOWN: "shutdown_time",
}

# Times that every change of status clears, except the new status's own.
_CLEARED: Final = (
    "transfer_start_time",
    "unload_start_time",
    "unmount_start_time",
    "draining_start_time",
    "down_or_up_start_time",
    "probe_start_time",
    "cleanup_start_time",
    "shutdown_time",
)

_NO_SESSION: Final[dict[str, Any]] = {
    "session_id": None,
    "bytes_transfered_in_session": None,
    "files_transfered_in_session": None,
    "session_start_time": None,
    "session_elapsed_time": None,
    "mount_start_time": None,
}
_NO_TAPE: Final[dict[str, Any]] = {
    "mount_type": "NO_MOUNT",
    "current_vid": None,
    "current_tape_pool": None,
    "current_vo": None,
    "current_activity": None,
}
_NO_RESERVATION: Final[dict[str, Any]] = {
    "disk_system_name": None,
    "reserved_bytes": None,
    "reservation_session_id": None,
}
_NO_TRANSFER: Final[dict[str, Any]] = {
    "bytes_transfered_in_session": None,
    "files_transfered_in_session": None,
    "session_elapsed_time": None,
}
_UNLOADED: Final[dict[str, Any]] = {**_NO_TRANSFER, "session_start_time": None, "mount_start_time": None}
_ENDED: Final[dict[str, Any]] = {**_NO_SESSION, "current_activity": None}

_FIXED: Final[dict[DriveStatus, dict[str, Any]]] = {
    DriveStatus.DOWN: {**_NO_SESSION, **_NO_TAPE, "desired_up": False, "desired_force_down": False},
    DriveStatus.UP: {**_NO_SESSION, **_NO_TAPE, **_NO_RESERVATION},
    DriveStatus.PROBING: {**_NO_SESSION, **_NO_TAPE},
    DriveStatus.STARTING: {**_NO_TRANSFER, "mount_start_time": None},
    DriveStatus.MOUNTING: _NO_TRANSFER,
    DriveStatus.TRANSFERING: {"session_elapsed_time": 0},
    DriveStatus.UNLOADING: _UNLOADED,
    DriveStatus.UNMOUNTING: _UNLOADED,
    DriveStatus.DRAININGTODISK: _UNLOADED,
    DriveStatus.CLEANINGUP: _ENDED,
    DriveStatus.SHUTDOWN: _ENDED,
}

_IN_SESSION: Final = frozenset(
    {
        DriveStatus.STARTING,
        DriveStatus.MOUNTING,
        DriveStatus.TRANSFERING,
        DriveStatus.UNLOADING,
        DriveStatus.UNMOUNTING,
        DriveStatus.DRAININGTODISK,
    }
)
_AFTER_SESSION: Final = frozenset({DriveStatus.CLEANINGUP, DriveStatus.SHUTDOWN})

# Rows in one of these statuses are existing mounts for the mount decision (catalogue reference 5.14).
MOUNTED: Final = _IN_SESSION


def entering(report: DriveReport) -> dict[str, Any]:
    """The columns to write when the drive enters ``report.status``, by column name.

    Times are whole seconds.
    """
    status, time = report.status, int(report.time)
    values: dict[str, Any] = {"drive_status": status.value}
    values.update(dict.fromkeys(_CLEARED))
    values.update(_FIXED.get(status, {}))
    if status in SINCE:
        values[SINCE[status]] = time
    if status in _IN_SESSION:
        values["session_id"] = report.mount_id
        values["mount_type"] = report.mount_type.value
        values["current_vid"] = report.vid
        values["current_tape_pool"] = report.tape_pool
        values["current_vo"] = report.vo
    elif status in _AFTER_SESSION:
        values["mount_type"] = report.mount_type.value
        given = {
            "current_vid": report.vid,
            "current_tape_pool": report.tape_pool,
            "current_vo": report.vo,
        }
        values.update({column: value for column, value in given.items() if value})
    if status is DriveStatus.STARTING:
        values["session_start_time"] = time
        values["current_activity"] = report.activity or None
    elif status is DriveStatus.TRANSFERING:
        values["bytes_transfered_in_session"] = report.bytes_transferred
        values["files_transfered_in_session"] = report.files_transferred
    elif status in (DriveStatus.DOWN, DriveStatus.UP) and report.reason is not None:
        values["reason_up_down"] = report.reason[:1000] or None
    return values
