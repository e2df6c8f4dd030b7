# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages between supervisor and workers: one frozen dataclass is one packet is one fact or command.

Facts (past participle) travel from a worker to the supervisor, commands (imperative) the other way. Both
unions are discriminated by ``kind`` and validated on arrival, so a malformed packet is SYSTEM_PROTOCOL and
nothing else. ``Hello`` comes first and carries ``VERSION``. docs/protocol.md describes the conversation; a
test keeps the two in agreement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from cta_taped.common.errors import SYSTEM_PROTOCOL, CtaError
from cta_taped.common.model import DriveReport, Grade, MountType

_T = TypeVar("_T")

VERSION: Final = 1
PACKET_LIMIT_BYTES: Final = 65536

Role = Literal["session", "rescue", "maintenance"]
SessionState = Literal[
    "PROBING", "SCHEDULING", "MOUNTING", "TRANSFERING", "UNLOADING", "UNMOUNTING", "DRAINING", "ENDING"
]


# --- facts: worker to supervisor -----------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Hello:
    """The first packet of a worker."""

    role: Role
    pid: int
    version: int = VERSION
    kind: Literal["Hello"] = "Hello"


@dataclass(frozen=True, slots=True)
class MountReserved:
    """A mount id that the session is about to commit as claimed; sent before the commit.

    Whatever becomes of the session, the supervisor then knows every mount that may have been claimed.
    """

    mount_id: int
    mount_type: MountType
    vid: str
    tape_pool: str
    vo: str
    activity: str | None = None
    kind: Literal["MountReserved"] = "MountReserved"


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The session entered a state. ``MOUNTING`` is said before the robot is asked, and takes ownership."""

    state: SessionState
    kind: Literal["StateChanged"] = "StateChanged"


@dataclass(frozen=True, slots=True)
class CommandBegun:
    """A long drive or library command begins; deadlines wait ``timeout_s`` for it."""

    command: str
    timeout_s: float
    kind: Literal["CommandBegun"] = "CommandBegun"


@dataclass(frozen=True, slots=True)
class CommandEnded:
    """The command announced last came back."""

    command: str
    kind: Literal["CommandEnded"] = "CommandEnded"


@dataclass(frozen=True, slots=True)
class Progressed:
    """A sign of life of the thread that moves the tape, with the session's totals so far (bytes, files)."""

    tape_bytes: int = 0
    disk_bytes: int = 0
    files: int = 0
    kind: Literal["Progressed"] = "Progressed"


@dataclass(frozen=True, slots=True)
class OutageBegan:
    """Something outside is away and the worker waits for it."""

    subject: str
    detail: str
    kind: Literal["OutageBegan"] = "OutageBegan"


@dataclass(frozen=True, slots=True)
class OutageEnded:
    """It is back."""

    subject: str
    kind: Literal["OutageEnded"] = "OutageEnded"


@dataclass(frozen=True, slots=True)
class DriveEmpty:
    """The drive was seen to hold no cartridge, and the library agrees where it was asked."""

    kind: Literal["DriveEmpty"] = "DriveEmpty"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A cartridge could not be brought home: its tape is to be disabled with this reason and location."""

    vid: str
    reason: str
    kind: Literal["Quarantined"] = "Quarantined"


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker met a failure that ends it. ``drive_down`` asks that the drive be set down."""

    code: str
    text: str
    drive_down: bool = False
    kind: Literal["Failed"] = "Failed"


@dataclass(frozen=True, slots=True)
class Finished:
    """The last packet of a worker that came to its planned end."""

    outcome: Literal["success", "failure", "nothing"] = "success"
    kind: Literal["Finished"] = "Finished"


@dataclass(frozen=True, slots=True)
class DesiredStateRead:
    """What the catalogue says that the operator wants."""

    up: bool
    force: bool
    reason: str | None
    kind: Literal["DesiredStateRead"] = "DesiredStateRead"


@dataclass(frozen=True, slots=True)
class DesiredStateWritten:
    """A local wish reached the catalogue."""

    revision: int
    kind: Literal["DesiredStateWritten"] = "DesiredStateWritten"


@dataclass(frozen=True, slots=True)
class ReportPublished:
    """All reports up to ``sequence`` are in the catalogue."""

    sequence: int
    kind: Literal["ReportPublished"] = "ReportPublished"


@dataclass(frozen=True, slots=True)
class MountReleased:
    """The jobs of a dead mount are back in their queue."""

    mount_id: int
    kind: Literal["MountReleased"] = "MountReleased"


@dataclass(frozen=True, slots=True)
class TapeDisabled:
    """A quarantined tape is disabled in the catalogue."""

    vid: str
    kind: Literal["TapeDisabled"] = "TapeDisabled"


# --- commands: supervisor to worker --------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Drain:
    """Take no new mount; finish the queued work of this one."""

    kind: Literal["Drain"] = "Drain"


@dataclass(frozen=True, slots=True)
class Stop:
    """End: ``QUICK`` after the current file unless its rest takes too long, ``NOW`` at the current block.

    ``NOW`` overtakes ``QUICK``.
    """

    grade: Grade = Grade.QUICK
    kind: Literal["Stop"] = "Stop"


@dataclass(frozen=True, slots=True)
class Reload:
    """The configuration changed: a worker that holds nothing ends, to be started with the new one."""

    kind: Literal["Reload"] = "Reload"


@dataclass(frozen=True, slots=True)
class Publish:
    """Write this report to the catalogue after all earlier ones."""

    report: DriveReport
    kind: Literal["Publish"] = "Publish"


@dataclass(frozen=True, slots=True)
class WriteDesired:
    """Write a wish that was expressed on this host to the catalogue; answered by DesiredStateWritten."""

    revision: int
    up: bool
    force: bool
    reason: str | None
    kind: Literal["WriteDesired"] = "WriteDesired"


@dataclass(frozen=True, slots=True)
class ReleaseMount:
    """A mount is dead: deliver its ledger, then give its other jobs back uncharged."""

    mount_id: int
    kind: Literal["ReleaseMount"] = "ReleaseMount"


@dataclass(frozen=True, slots=True)
class DisableTape:
    """Disable a quarantined tape in the catalogue."""

    vid: str
    reason: str
    kind: Literal["DisableTape"] = "DisableTape"


Fact = (
    Hello
    | MountReserved
    | StateChanged
    | CommandBegun
    | CommandEnded
    | Progressed
    | OutageBegan
    | OutageEnded
    | DriveEmpty
    | Quarantined
    | Failed
    | Finished
    | DesiredStateRead
    | DesiredStateWritten
    | ReportPublished
    | MountReleased
    | TapeDisabled
)
Command = Drain | Stop | Reload | Publish | WriteDesired | ReleaseMount | DisableTape

FACTS: Final[TypeAdapter[Fact]] = TypeAdapter(Annotated[Fact, Field(discriminator="kind")])
COMMANDS: Final[TypeAdapter[Command]] = TypeAdapter(Annotated[Command, Field(discriminator="kind")])


def encode(message: Fact | Command) -> bytes:
    """One message as one packet (JSON).

    Raises CtaError SYSTEM_PROTOCOL when it would not fit into a packet.
    """
    adapter = FACTS if isinstance(message, Fact) else COMMANDS
    packet = adapter.dump_json(message)  # type: ignore[arg-type]
    if len(packet) > PACKET_LIMIT_BYTES:
        raise CtaError(SYSTEM_PROTOCOL, f"{message.kind}: {len(packet)} bytes do not fit into one packet")
    return packet


def decode_fact(packet: bytes) -> Fact:
    """A worker's packet. Raises CtaError SYSTEM_PROTOCOL for anything that is not a fact."""
    return _decode(FACTS, packet)


def decode_command(packet: bytes) -> Command:
    """The supervisor's packet. Raises CtaError SYSTEM_PROTOCOL for anything that is not a command."""
    return _decode(COMMANDS, packet)


def _decode(adapter: TypeAdapter[_T], packet: bytes) -> _T:
    try:
        return adapter.validate_json(packet)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise CtaError(SYSTEM_PROTOCOL, f"malformed packet {packet[:80]!r}: {first['msg']}") from None
