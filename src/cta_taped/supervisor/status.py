# SPDX-License-Identifier: GPL-3.0-or-later
"""How a drive's state is told: to systemctl (STATUS), to the catalogue, to the control socket."""

from __future__ import annotations

from typing import Any, Final

from cta_taped.common.model import DriveReport, DriveStatus, Grade, MountType
from cta_taped.supervisor.drive import Drive, Phase

# ENDING has no status of its own: the row keeps the last one until the drive is up or down again.
STATUSES: Final[dict[Phase, DriveStatus | None]] = {
    Phase.DOWN: DriveStatus.DOWN,
    Phase.WAITING: DriveStatus.UP,
    Phase.STARTING: DriveStatus.PROBING,
    Phase.PROBING: DriveStatus.PROBING,
    Phase.SCHEDULING: DriveStatus.UP,
    Phase.MOUNTING: DriveStatus.MOUNTING,
    Phase.TRANSFERING: DriveStatus.TRANSFERING,
    Phase.UNLOADING: DriveStatus.UNLOADING,
    Phase.UNMOUNTING: DriveStatus.UNMOUNTING,
    Phase.DRAINING: DriveStatus.DRAININGTODISK,
    Phase.ENDING: None,
    Phase.RESCUING: DriveStatus.CLEANINGUP,
    Phase.ABORTING: DriveStatus.CLEANINGUP,
    Phase.STUCK: DriveStatus.DOWN,
    Phase.STOPPED: DriveStatus.SHUTDOWN,
}
_IN_MOUNT: Final = frozenset(
    {Phase.MOUNTING, Phase.TRANSFERING, Phase.UNLOADING, Phase.UNMOUNTING, Phase.DRAINING}
)
_ENDINGS: Final = {
    Grade.DRAIN: "draining",
    Grade.QUICK: "ending after the current file",
    Grade.NOW: "ending at once",
}


def size(count: float) -> str:
    """Bytes in decimal units, as tape people speak: ``41.2 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def line(drive: Drive, now: float) -> str:
    """One line that an operator likes to read. ``now`` in seconds of the loop's clock."""
    parts = [_sentence(drive, now)]
    if drive.command is not None and drive.phase not in (Phase.ABORTING, Phase.STUCK):
        parts.append(f"{drive.command} since {duration(now - drive.alive_at)}")
    if drive.outage is not None:
        parts.append(f"waiting for {drive.outage.subject} since {duration(now - drive.outage.since)}")
    if drive.grade is not None:
        parts.append(_ENDINGS[drive.grade])
    if drive.stopping and drive.phase is not Phase.STOPPED:
        parts.append("stopping")
    return ", ".join(parts)


def _sentence(drive: Drive, now: float) -> str:
    vid = drive.mount.vid if drive.mount else drive.last_vid
    tape = vid or "a cartridge"
    match drive.phase:
        case Phase.DOWN:
            held = f", {tape} may still be in the drive" if drive.occupied else ""
            return f"Down{held}: {drive.reason or 'no reason given'}"
        case Phase.WAITING:
            return f"Waiting after {drive.failures} failed attempts"
        case Phase.STARTING:
            return "Starting a session"
        case Phase.PROBING:
            return "Looking whether the drive is empty"
        case Phase.SCHEDULING:
            return "Up, waiting for work"
        case Phase.MOUNTING:
            return f"Mounting {tape}"
        case Phase.TRANSFERING:
            return _transfer(drive, tape, now)
        case Phase.UNLOADING:
            return f"Unloading {tape}"
        case Phase.UNMOUNTING:
            return f"Returning {tape} to its slot"
        case Phase.DRAINING:
            return f"Writing the rest to disk: {drive.files} files, {size(drive.disk_bytes)}"
        case Phase.ENDING:
            return "Ending the session"
        case Phase.RESCUING:
            return f"Rescue: bringing {tape} home" if drive.occupied else "Rescue: the drive is empty"
        case Phase.ABORTING:
            return f"Ending a worker that hangs, {tape} may be in the drive"
        case Phase.STUCK:
            return "Stuck: a process using the drive cannot be killed"
        case Phase.STOPPED:
            return "Stopped"


def _transfer(drive: Drive, tape: str, now: float) -> str:
    archive = drive.mount is not None and drive.mount.mount_type is not MountType.RETRIEVE
    verb = f"Archiving to {tape}" if archive else f"Retrieving from {tape}"
    rate = drive.tape_bytes / max(now - drive.transfer_since, 0.001)
    return f"{verb}: {drive.files} files, {size(drive.tape_bytes)}, {rate / 1e6:.0f} MB/s"


def report(drive: Drive, sequence: int, time_s: float, last_mount_id: int | None) -> DriveReport | None:
    """The drive as the catalogue is to show it at ``time_s`` (epoch), or None where its row stays as it
    is.
    """
    status = STATUSES[drive.phase]
    if status is None:
        return None
    mount = drive.mount if drive.phase in _IN_MOUNT else None
    return DriveReport(
        sequence=sequence,
        time=time_s,
        status=status,
        mount_id=mount.mount_id if mount else None,
        mount_type=mount.mount_type if mount else MountType.NO_MOUNT,
        vid=mount.vid if mount else None,
        tape_pool=mount.tape_pool if mount else None,
        vo=mount.vo if mount else None,
        activity=mount.activity if mount else None,
        bytes_transferred=max(drive.tape_bytes, drive.disk_bytes),
        files_transferred=drive.files,
        reason=drive.reason if status is DriveStatus.DOWN else None,
        last_mount_id=last_mount_id,
    )


def as_dict(drive: Drive, now: float) -> dict[str, Any]:
    """The part of the control socket's ``State`` that comes from the drive itself."""
    status = STATUSES[drive.phase]
    mount = drive.mount
    return {
        "drive": drive.name,
        "phase": str(drive.phase),
        "status": line(drive, now),
        "drive_status": str(status) if status else None,
        "desired": "up" if drive.desired_up else "down",
        "reason": drive.reason,
        "occupied": drive.occupied,
        "vid": mount.vid if mount else drive.last_vid,
        "mount_id": mount.mount_id if mount else None,
        "mount_type": str(mount.mount_type) if mount else None,
        "tape_pool": mount.tape_pool if mount else None,
        "vo": mount.vo if mount else None,
        "files": drive.files,
        "tape_bytes": drive.tape_bytes,
        "disk_bytes": drive.disk_bytes,
        "phase_elapsed_s": round(now - drive.since, 3),
        "command": drive.command,
        "outage": drive.outage.detail if drive.outage else None,
        "ending": str(drive.grade) if drive.grade else None,
        "stopping": drive.stopping,
    }
