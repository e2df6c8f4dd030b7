# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration's schema: every section and key, its type, range, default and meaning.

What it is: the table that the files are checked against, and the paths that follow from it. What it is not:
the reading of files (``config``). Why a table: field descriptions are the documentation; the example files in
``etc/`` are drawn from them.
"""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from cta_taped.common.model import DriveIdentity, Grade

DRIVE_NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"

Seconds = Annotated[float, Field(gt=0, strict=False)]
Count = Annotated[int, Field(ge=1)]
Bytes = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """One table of the file: strict, closed, immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Site(Section):
    """Who we are and where our files are."""

    instance_name: str = Field("cta", description="Name of the CTA instance, shown by tools.")
    scheduler_backend_name: str = Field(
        "cta", description="Name of the scheduler; other tape servers ignore drives that publish another one."
    )
    state_dir: Path | None = Field(
        None,
        strict=False,
        description="Directory for state and ledger. Default: $STATE_DIRECTORY of systemd.",
    )
    runtime_dir: Path | None = Field(
        None, strict=False, description="Directory for the control sockets. Default: $RUNTIME_DIRECTORY."
    )
    operators_group: str | None = Field(
        None,
        description="Unix group whose members may use every control command, beside root and our own user.",
    )


class Database(Section):
    """A database connection."""

    url: str = Field(
        description="SQLAlchemy URL: sqlite:////path/file.db, or postgresql://host/name?options=... ."
    )


class Drive(Section):
    """The drive that one service instance serves (drive file only)."""

    name: str = Field(
        pattern=DRIVE_NAME_PATTERN, description="Name in the catalogue, as in cta-taped@NAME.service."
    )
    device: str = Field(
        description="Tape device: /dev/tape/by-id/...-nst, or vtl:/DIR?drive=0 of a virtual library."
    )
    changer: str = Field(
        "", description="Media changer: /dev/sg3 or vtl:/DIR; empty where a person moves cartridges."
    )
    library_slot: str = Field(
        pattern=r"^(smc\d{1,5}|dummy.*)$",
        description="How the library knows the drive: smcN is its N-th drive element, dummy no robot.",
    )
    logical_library: str = Field(
        min_length=1, description="The logical library of the catalogue that it belongs to."
    )


class Labels(Section):
    """What the labels on tape say about the writer. Empty: found out."""

    site: str | None = Field(
        None, description="Site, 8 characters. Default: search domain of /etc/resolv.conf."
    )
    host: str | None = Field(None, description="Host, 10 characters. Default: the short host name.")
    system_version: str = Field("5.11.20.0", description="Version in HDR1's system code behind 'CTA '.")


class Archive(Section):
    """Writing files to tape."""

    fetch_files: Count = Field(4000, description="Most files taken from the queue at once.")
    fetch_bytes: Bytes = Field(80_000_000_000, description="Most bytes taken from the queue at once.")
    flush_files: Count = Field(
        200, description="Files after which the drive's buffer is synchronised to the medium."
    )
    flush_bytes: Bytes = Field(32_000_000_000, description="Bytes after which it is synchronised.")
    catalogue_hold_s: Seconds = Field(
        600.0, description="Seconds to hold the position at a flush while the catalogue is away."
    )


class Retrieve(Section):
    """Reading files from tape."""

    fetch_files: Count = Field(4000, description="Most files taken from the queue at once.")
    fetch_bytes: Bytes = Field(80_000_000_000, description="Most bytes taken from the queue at once.")
    deliver_files: Count = Field(2000, description="Files after which results are reported.")
    deliver_interval_s: Seconds = Field(180.0, description="Seconds after which results are reported.")


class MountCriteria(Section):
    """When a mount is worth its time."""

    criteria_files: Count = Field(10_000, description="Queued files that justify a mount.")
    criteria_bytes: Bytes = Field(50_000_000_000, description="Queued bytes that justify a mount.")
    idle_poll_s: Seconds = Field(
        10.0, description="Seconds between two looks at the queues by an idle drive."
    )


class Transfer(Section):
    """The transfer path."""

    disk_threads: Annotated[int, Field(ge=1, le=128)] = Field(
        10, description="Threads that open, read (or write) and checksum disk files."
    )
    slots: Annotated[int, Field(ge=4, le=65536)] = Field(
        64, description="Blocks of 256 KiB between disk and tape; more only to ride out disk stalls."
    )
    block_protection: bool = Field(
        True, description="Use logical block protection (CRC32C) on tapes that are labelled with it."
    )
    load_timeout_s: Seconds = Field(300.0, description="Seconds for a mounted cartridge to become ready.")


class Library(Section):
    """The robot."""

    move_timeout_s: Seconds = Field(600.0, description="Seconds for one robot move.")
    lock_dir: Path | None = Field(
        None,
        strict=False,
        description="Directory of the per-library locks of this host. Default: the state directory's parent.",
    )


class Deadlines(Section):
    """Longest times a session may spend, enforced by the supervisor; live on reload."""

    starting_s: Seconds = Field(60.0, description="From the start of a worker to its Hello.")
    probing_s: Seconds = Field(120.0, description="Looking whether the drive is empty.")
    scheduling_heartbeat_s: Seconds = Field(
        300.0, description="Without a sign of life while looking for work."
    )
    mounting_s: Seconds = Field(
        900.0, description="Robot move, load and label check, beside announced commands."
    )
    transferring_heartbeat_s: Seconds = Field(
        60.0, description="Without a sign of life from the tape thread."
    )
    transferring_movement_s: Seconds = Field(900.0, description="Without a byte moved to or from tape.")
    unloading_s: Seconds = Field(900.0, description="Rewind and unload.")
    unmounting_s: Seconds = Field(900.0, description="Robot move back and verification.")
    draining_heartbeat_s: Seconds = Field(
        300.0, description="Without a byte written while the rest goes to disk."
    )
    draining_s: Seconds = Field(1800.0, description="Writing the rest to disk after the tape was released.")
    ending_s: Seconds = Field(60.0, description="From the last word of a worker to its exit.")
    rescuing_s: Seconds = Field(3600.0, description="The whole rescue ladder.")
    abort_grace_s: Seconds = Field(5.0, description="Between SIGABRT (stack dump) and SIGKILL.")


class Ending(Section):
    """How sessions are brought to an end."""

    down_grade: Grade = Field(
        Grade.QUICK, strict=False, description="'drain', 'quick' or 'now': drive down without flags."
    )
    drain_s: Seconds = Field(28_800.0, description="Longest drain before it becomes quick.")
    quick_file_s: Seconds = Field(
        1.0,
        description="Longest rest of the current file that a quick ending still finishes; "
        "a longer one is given back uncharged.",
    )
    quick_s: Seconds = Field(900.0, description="Longest quick ending before it becomes now.")
    now_s: Seconds = Field(
        300.0, description="Longest immediate ending before the session is killed and rescued."
    )


class Maintenance(Section):
    """The maintenance worker."""

    publish_interval_s: Seconds = Field(15.0, description="Heartbeat of the drive's row in the catalogue.")
    desired_poll_s: Seconds = Field(
        5.0, description="Between two looks at the desired state in the catalogue."
    )
    routine_interval_s: Seconds = Field(10.0, description="Between two rounds of the routines.")
    dead_mount_s: Seconds = Field(
        900.0, description="Age of a mount's last sign of life before its jobs are given back."
    )
    report_batch: Count = Field(500, description="Finished jobs reported in one transaction.")
    failed_keep_s: Seconds = Field(1_209_600.0, description="How long failed requests are kept.")


class Restart(Section):
    """After a stop, crash or reboot."""

    desired_state: Literal["resume", "down"] = Field(
        "resume", description="'resume' the operator's wish, or come up 'down' as upstream does."
    )


class Log(Section):
    """Logging."""

    level: Literal["DEBUG", "INFO", "NOTICE", "WARNING", "ERROR"] = Field(
        "INFO", description="Least level written."
    )
    format: Literal["auto", "journal", "json", "console"] = Field(
        "auto", description="'auto' is the journal under systemd, else console on a terminal, else JSON."
    )


class SiteConfig(Section):
    """What the site file says for all drives: as much as a tool without a drive needs."""

    site: Site = Site()
    catalogue: Database
    scheduler: Database
    labels: Labels = Labels()
    archive: Archive = Archive()
    retrieve: Retrieve = Retrieve()
    mount: MountCriteria = MountCriteria()
    transfer: Transfer = Transfer()
    library: Library = Library()
    deadlines: Deadlines = Deadlines()
    ending: Ending = Ending()
    maintenance: Maintenance = Maintenance()
    restart: Restart = Restart()
    log: Log = Log()

    @property
    def host(self) -> str:
        """The short name of this host."""
        return socket.gethostname().partition(".")[0]


class Config(SiteConfig):
    """Everything one drive's daemon is told. ``sources`` of the values are kept beside it (``Loaded``)."""

    drive: Drive

    @property
    def identity(self) -> DriveIdentity:
        """The drive as the catalogue knows it."""
        drive = self.drive
        return DriveIdentity(drive.name, self.host, drive.logical_library, drive.device, drive.library_slot)

    @property
    def state_dir(self) -> Path:
        """Where this drive's persisted state and ledger live (a directory of its own)."""
        return _directory(self.site.state_dir, "STATE_DIRECTORY", "/var/lib/cta-taped") / self.drive.name

    @property
    def control_socket(self) -> Path:
        """The Varlink control socket of this drive's supervisor."""
        runtime_dir = _directory(self.site.runtime_dir, "RUNTIME_DIRECTORY", "/run/cta-taped")
        return runtime_dir / f"{self.drive.name}.socket"

    @property
    def changer_lock(self) -> Path:
        """The lock file that serialises robot moves of this drive's library on this host."""
        lock_dir = self.library.lock_dir or self.state_dir.parent
        digest = hashlib.sha256(self.drive.changer.encode()).hexdigest()[:16]
        return lock_dir / f"library-{digest}.lock"


def _directory(configured: Path | None, variable: str, default: str) -> Path:
    if configured is not None:
        return configured
    return Path(os.environ.get(variable, default).partition(":")[0])
