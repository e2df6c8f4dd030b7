# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of ``cta-admin drive ls``: upstream's fields from a catalogue row, or from what a daemon says.

Field names are those of upstream's JSON (its protobuf's DriveLsItem); ``stale`` and ``source`` are ours:
upstream shows staleness only to people. Times are seconds before now, as upstream gives them.
"""

from __future__ import annotations

import time
from typing import Any, Final

from cta_taped.admin.daemon import DaemonState
from cta_taped.admin.output import Column, Row, shown, shown_duration, shown_size
from cta_taped.common.config_schema import Config
from cta_taped.db.catalogue import DriveRow

STALE_AFTER_S: Final = 1200
"""Age of a row from which upstream calls a drive STALE."""


def _shown_age(value: Any) -> str:
    if value is None:
        return "-"
    return shown_duration(value) + (" [STALE]" if value > STALE_AFTER_S else "")


COLUMNS: Final = (
    Column("logicalLibrary", "library"),
    Column("driveName", "drive"),
    Column("host", "host"),
    Column("desiredDriveState", "desired"),
    Column("mountType", "request"),
    Column("driveStatus", "status"),
    Column("driveStatusSince", "since", shown_duration, right=True),
    Column("vid", "vid"),
    Column("tapepool", "tapepool"),
    Column("vo", "vo"),
    Column("filesTransferredInSession", "files", shown, right=True),
    Column("bytesTransferredInSession", "data", shown_size, right=True),
    Column("MB/s", "MB/s", shown, right=True),
    Column("sessionId", "session", shown, right=True),
    Column("schedulerBackendName", "scheduler"),
    Column("timeSinceLastUpdate", "age", _shown_age, right=True),
    Column("reason", "reason"),
)


def for_people(row: Row) -> Row:
    """A row with what upstream shows only to people: ``!`` before a disabled library, and the session's rate
    (from its start, so the mount counts)."""
    disabled = row.get("logicalLibraryDisabled") or row.get("physicalLibraryDisabled")
    size_bytes, elapsed_s = row.get("bytesTransferredInSession"), row.get("sessionElapsedTime")
    return {
        **row,
        "logicalLibrary": ("!" if disabled else "") + row["logicalLibrary"],
        "MB/s": f"{size_bytes / elapsed_s / 1e6:.1f}" if size_bytes and elapsed_s else None,
    }


def from_catalogue(row: DriveRow, instance_name: str) -> dict[str, Any]:
    """The row of a registered drive."""
    now = int(time.time())
    age_s = None if row.last_update_time is None else max(0, now - row.last_update_time)
    return {
        "instanceName": instance_name,
        "ctaVersion": row.version,
        "logicalLibrary": row.logical_library,
        "logicalLibraryDisabled": row.logical_library_disabled,
        "physicalLibrary": row.physical_library,
        "physicalLibraryDisabled": row.physical_library_disabled,
        "driveName": row.name,
        "host": row.host,
        "desiredDriveState": "UP" if row.desired.up else "DOWN",
        "mountType": str(row.mount_type),
        "driveStatus": str(row.status),
        "driveStatusSince": None if row.status_since is None else max(0, now - row.status_since),
        "vid": row.vid,
        "tapepool": row.tape_pool,
        "vo": row.vo,
        "filesTransferredInSession": row.files_transferred,
        "bytesTransferredInSession": row.bytes_transferred,
        "sessionId": row.mount_id,
        "sessionElapsedTime": row.session_elapsed_s,
        "timeSinceLastUpdate": age_s,
        "currentPriority": row.priority,
        "currentActivity": row.activity,
        "schedulerBackendName": row.scheduler_name,
        "devFileName": row.device,
        "rawLibrarySlot": row.library_slot,
        "comment": row.comment,
        "reason": row.desired.reason,
        "diskSystemName": row.disk_system,
        "reservedBytes": row.reserved_bytes,
        "driveConfig": [
            {"category": option.category, "key": option.key, "value": option.value, "source": option.source}
            for option in row.options
        ],
        "stale": age_s is None or age_s > STALE_AFTER_S,
        "source": "catalogue",
    }


def from_daemon(config: Config, state: DaemonState) -> dict[str, Any]:
    """The row of a drive of this host by its daemon; what only the catalogue knows is missing."""
    return {
        "instanceName": config.site.instance_name,
        "ctaVersion": state.version,
        "logicalLibrary": config.drive.logical_library,
        "driveName": state.drive,
        "host": config.host,
        "desiredDriveState": state.desired.upper(),
        "mountType": state.mount_type or "NO_MOUNT",
        "driveStatus": state.status,
        "driveStatusSince": round(state.phase_elapsed_s),
        "vid": state.vid,
        "tapepool": state.tape_pool,
        "vo": state.vo,
        "filesTransferredInSession": state.files,
        "bytesTransferredInSession": state.tape_bytes,
        "sessionId": state.mount_id,
        "timeSinceLastUpdate": 0,
        "schedulerBackendName": config.site.scheduler_backend_name,
        "devFileName": config.drive.device,
        "rawLibrarySlot": config.drive.library_slot,
        "reason": state.reason,
        "stale": False,
        "source": "daemon",
    }
