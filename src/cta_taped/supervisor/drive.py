# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of the supervisor: the drive as it knows it, the events it meets, the actions it takes.

Values only: no behaviour, no I/O. ``machine`` says what follows from what.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cta_taped.common.errors import ErrorSpec
from cta_taped.common.ipc import messages as m
from cta_taped.common.model import Grade


class Phase(StrEnum):
    """Where the drive is, seen from the supervisor."""

    DOWN = "DOWN"
    WAITING = "WAITING"
    STARTING = "STARTING"
    PROBING = "PROBING"
    SCHEDULING = "SCHEDULING"
    MOUNTING = "MOUNTING"
    TRANSFERING = "TRANSFERING"
    UNLOADING = "UNLOADING"
    UNMOUNTING = "UNMOUNTING"
    DRAINING = "DRAINING"
    ENDING = "ENDING"
    RESCUING = "RESCUING"
    ABORTING = "ABORTING"
    STUCK = "STUCK"
    STOPPED = "STOPPED"


# --- events --------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class WantUp:
    """The operator wants the drive up."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class WantDown:
    """The operator wants the drive down, by this grade."""

    grade: Grade
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class StopAsked:
    """The service is to stop; the operator's wish for the drive is kept."""

    grade: Grade


@dataclass(frozen=True, slots=True)
class Exited:
    """The child is gone; ``how`` tells of its exit status or signal."""

    how: str


@dataclass(frozen=True, slots=True)
class Silenced:
    """The child closed its channel and still lives."""


@dataclass(frozen=True, slots=True)
class Violated:
    """The child sent something that is no message."""

    text: str


@dataclass(frozen=True, slots=True)
class Expired:
    """The deadline that ``deadline`` named has passed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The configuration was read again."""


Event = WantUp | WantDown | StopAsked | Exited | Silenced | Violated | Expired | Reloaded | m.Fact


# --- actions -------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class StartSession:
    """Fork a session worker."""


@dataclass(frozen=True, slots=True)
class StartRescue:
    """Fork the rescue."""

    vid: str | None


@dataclass(frozen=True, slots=True)
class Tell:
    """Send a command to the child."""

    command: m.Command


@dataclass(frozen=True, slots=True)
class Abort:
    """SIGABRT: the child's stacks go to the journal."""


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL."""


@dataclass(frozen=True, slots=True)
class Release:
    """Have the maintenance worker release a mount that no session serves any more."""

    mount_id: int


@dataclass(frozen=True, slots=True)
class Disable:
    """Have the maintenance worker disable a quarantined tape."""

    vid: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """Log a failure of the drive's children."""

    spec: ErrorSpec
    text: str


@dataclass(frozen=True, slots=True)
class Exit:
    """The supervisor's work is done."""


Action = StartSession | StartRescue | Tell | Abort | Kill | Release | Disable | Report | Exit


@dataclass(frozen=True, slots=True)
class Outage:
    """Something outside is away since ``since`` (monotonic seconds)."""

    subject: str
    detail: str
    since: float


@dataclass(frozen=True, slots=True)
class Drive:
    """Everything the supervisor knows of its drive.

    ``occupied``: a cartridge may be in the drive. ``grade``: how the running session was asked to end,
    with ``grade_since``. ``silent_since``: the child closed its channel then. ``failures``: consecutive
    sessions that failed or did not come to their planned end; ``rescues``: consecutive rescues that
    died. Counters are the running session's, in bytes and files.
    """

    name: str
    phase: Phase = Phase.DOWN
    occupied: bool = True
    desired_up: bool = False
    reason: str | None = None
    stopping: bool = False
    child: m.Role | None = None
    mount: m.MountReserved | None = None
    last_vid: str | None = None
    grade: Grade | None = None
    grade_since: float = 0.0
    since: float = 0.0
    alive_at: float = 0.0
    moved_at: float = 0.0
    transfer_since: float = 0.0
    silent_since: float | None = None
    command: str | None = None
    command_until: float = 0.0
    tape_bytes: int = 0
    disk_bytes: int = 0
    files: int = 0
    failures: int = 0
    rescues: int = 0
    finished: bool = False
    failed: bool = False
    outage: Outage | None = None
