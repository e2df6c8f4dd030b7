# SPDX-License-Identifier: GPL-3.0-or-later
"""The drive's state machine: ``step(drive, event, now) -> (drive, actions)``, pure and total.

What it is: every state a drive can be in, every event that can happen in it, and what follows, as one table
(``TRANSITIONS``); from the table come a test of totality, the reachability walk of the tests and the diagram
in docs/states.md. What it is not: it opens nothing, sends nothing, reads no clock; the loop performs the
actions. Times are seconds of a monotonic clock, handed in.

The ownership rule: ``occupied`` becomes true before a session touches the robot (state MOUNTING) and false
only when a child says DriveEmpty. Whatever ends while ``occupied`` is true, the next child is the rescue. How
a child exited proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from cta_taped.common.errors import (
    DRIVE_STUCK,
    SYSTEM_CHILD_DIED,
    SYSTEM_DEADLINE,
    SYSTEM_PROTOCOL,
    SYSTEM_RESCUE_FAILED,
    ErrorSpec,
)
from cta_taped.common.ipc import messages as m
from cta_taped.common.model import Grade
from cta_taped.supervisor.deadlines import ESCALATE, KILL
from cta_taped.supervisor.drive import (
    Abort,
    Action,
    Disable,
    Drive,
    Event,
    Exit,
    Exited,
    Expired,
    Kill,
    Outage,
    Phase,
    Release,
    Report,
    StartRescue,
    StartSession,
    StopAsked,
    Tell,
    Violated,
    WantDown,
    WantUp,
)

RESCUE_ATTEMPTS: Final = 3
OUR_REASON: Final = "[cta-taped] "

Step = tuple[Drive, tuple[Action, ...]]


class Rule(NamedTuple):
    """One cell of the table: what to do, and every phase it may lead to (empty: the phase stays)."""

    apply: Callable[[Drive, Event, float], Step]
    to: tuple[Phase, ...] = ()


def kind_of(event: Event) -> str:
    """The table's column of an event; a StateChanged has one column a state."""
    if isinstance(event, m.StateChanged):
        return f"StateChanged {event.state}"
    return type(event).__name__


def step(drive: Drive, event: Event, now: float) -> Step:
    """What follows from ``event`` at ``now``. Defined for every phase and event."""
    rule = TRANSITIONS[drive.phase][kind_of(event)]
    after, actions = rule.apply(drive, event, now)
    if after.phase is not drive.phase:
        after = replace(after, since=now, alive_at=now, moved_at=now, command=None, command_until=0.0)
    return after, actions


# --- what follows from the end of a child --------------------------------------------------------------
AFTER_CHILD: Final = (Phase.DOWN, Phase.WAITING, Phase.STARTING, Phase.RESCUING, Phase.STOPPED)


def _settle(drive: Drive, now: float) -> Step:
    """No child runs: decide what is next from who owns the drive and what is wanted."""
    drive = replace(
        drive, child=None, grade=None, silent_since=None, finished=False, failed=False,
        outage=None,
        tape_bytes=0, disk_bytes=0, files=0,
    )  # fmt: skip
    if drive.occupied:
        return _start(drive, "rescue")
    if drive.stopping:
        return replace(drive, phase=Phase.STOPPED), (Exit(),)
    if not drive.desired_up:
        return replace(drive, phase=Phase.DOWN, failures=0), ()
    if drive.failures:
        return replace(drive, phase=Phase.WAITING), ()
    return _start(drive, "session")


def _start(drive: Drive, role: m.Role) -> Step:
    if role == "rescue":
        return replace(drive, phase=Phase.RESCUING, child=role), (StartRescue(drive.last_vid),)
    return replace(drive, phase=Phase.STARTING, child=role), (StartSession(),)


def _session_exited(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, Exited)
    actions: tuple[Action, ...] = ()
    if not drive.finished:
        text = f"session worker {event.how} in {drive.phase}"
        actions = (Report(SYSTEM_CHILD_DIED, text),)
    if drive.mount is not None:
        actions += (Release(drive.mount.mount_id),)
    failures = 0 if drive.finished and not drive.failed else drive.failures + 1
    after, more = _settle(replace(drive, failures=failures, mount=None), now)
    return after, actions + more


def _rescue_exited(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, Exited)
    if not drive.occupied:
        return _settle(replace(drive, last_vid=None, rescues=0), now)
    drive = replace(drive, child=None, rescues=drive.rescues + 1, silent_since=None)
    if not drive.finished and drive.rescues < RESCUE_ATTEMPTS:
        text = f"rescue {event.how}; it is repeated"
        return replace(drive, phase=Phase.WAITING), (Report(SYSTEM_CHILD_DIED, text),)
    text = f"the rescue left a cartridge in the drive ({event.how}); VID {drive.last_vid or 'unknown'}"
    reason = (
        drive.reason if drive.reason and not drive.desired_up else _our_reason(SYSTEM_RESCUE_FAILED, text)
    )
    drive = replace(drive, desired_up=False, reason=reason, finished=False, failures=0, rescues=0)
    report = Report(SYSTEM_RESCUE_FAILED, text)
    if drive.stopping:
        return replace(drive, phase=Phase.STOPPED), (report, Exit())
    return replace(drive, phase=Phase.DOWN), (report,)


def _aborted_exited(drive: Drive, event: Event, now: float) -> Step:
    return (_rescue_exited if drive.child == "rescue" else _session_exited)(drive, event, now)


def _our_reason(spec: ErrorSpec, text: str) -> str:
    return f"{OUR_REASON}{spec.code} {text}"[:1000]


# --- wishes --------------------------------------------------------------------------------------------
def _up_idle(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, WantUp)
    return _settle(replace(drive, desired_up=True, reason=event.reason, failures=0), now)


def _up_later(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, WantUp)
    return replace(drive, desired_up=True, reason=event.reason), ()


def _down_idle(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, WantDown)
    return replace(drive, phase=Phase.DOWN, desired_up=False, reason=event.reason or drive.reason), ()


def _down_session(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, WantDown)
    drive = replace(drive, desired_up=False, reason=event.reason or drive.reason)
    return _ask_to_end(drive, event.grade, now)


def _down_later(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, WantDown)
    return replace(drive, desired_up=False, reason=event.reason or drive.reason), ()


def _stop_idle(drive: Drive, event: Event, now: float) -> Step:
    return replace(drive, phase=Phase.STOPPED, stopping=True), (Exit(),)


def _stop_session(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, StopAsked)
    return _ask_to_end(replace(drive, stopping=True), event.grade, now)


def _stop_later(drive: Drive, event: Event, now: float) -> Step:
    return replace(drive, stopping=True), ()


_URGENCY: Final = {None: 0, Grade.DRAIN: 1, Grade.QUICK: 2, Grade.NOW: 3}


def _ask_to_end(drive: Drive, grade: Grade, now: float) -> Step:
    if _URGENCY[grade] <= _URGENCY[drive.grade]:
        return drive, ()
    command = m.Drain() if grade is Grade.DRAIN else m.Stop(grade)
    return replace(drive, grade=grade, grade_since=now), (Tell(command),)


# --- deadlines that passed -----------------------------------------------------------------------------
_NEXT_GRADE: Final = {Grade.DRAIN: Grade.QUICK, Grade.QUICK: Grade.NOW}


def _expired_session(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, Expired)
    if event.reason == ESCALATE and drive.grade in _NEXT_GRADE:
        return _ask_to_end(drive, _NEXT_GRADE[drive.grade], now)
    text = (
        event.reason
        if event.reason != ESCALATE
        else f"{drive.phase}: ending by grade {drive.grade} took too long"
    )
    return _abort(drive, SYSTEM_DEADLINE, text)


def _abort(drive: Drive, spec: ErrorSpec, text: str) -> Step:
    return replace(drive, phase=Phase.ABORTING, finished=False), (Report(spec, text), Abort())


def _expired_waiting(drive: Drive, event: Event, now: float) -> Step:
    if drive.occupied:
        return _start(drive, "rescue")
    return _start(drive, "session")


def _expired_aborting(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, Expired)
    if event.reason == KILL:
        return replace(drive, command=KILL, alive_at=now), (Kill(),)
    text = f"the {drive.child} process is in uninterruptible sleep; nothing else touches the drive"
    reason = _our_reason(DRIVE_STUCK, text)
    return replace(drive, phase=Phase.STUCK, desired_up=False, reason=reason), (Report(DRIVE_STUCK, text),)


def _violated(drive: Drive, event: Event, now: float) -> Step:
    text = event.text if isinstance(event, Violated) else f"{kind_of(event)} said in {drive.phase}"
    return _abort(drive, SYSTEM_PROTOCOL, text)


# --- facts ---------------------------------------------------------------------------------------------
def _hello(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, m.Hello)
    if event.version != m.VERSION or event.role != drive.child:
        text = f"worker speaks version {event.version} as {event.role}, expected {m.VERSION} as {drive.child}"
        return _abort(drive, SYSTEM_PROTOCOL, text)
    return replace(drive, alive_at=now), ()


def _reserved(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, m.MountReserved)
    return replace(drive, mount=event, alive_at=now), ()


def _enter(phase: Phase) -> Callable[[Drive, Event, float], Step]:
    def enter(drive: Drive, event: Event, now: float) -> Step:
        drive = replace(drive, phase=phase, outage=None)
        if phase is Phase.MOUNTING:
            vid = drive.mount.vid if drive.mount else None
            return replace(drive, occupied=True, last_vid=vid), ()
        if phase is Phase.TRANSFERING:
            return replace(drive, transfer_since=now), ()
        return drive, ()

    return enter


def _command_begun(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, m.CommandBegun)
    return replace(drive, command=event.command, command_until=now + event.timeout_s, alive_at=now), ()


def _command_ended(drive: Drive, event: Event, now: float) -> Step:
    return replace(drive, command=None, command_until=0.0, alive_at=now, moved_at=now), ()


def _progressed(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, m.Progressed)
    moved = event.tape_bytes != drive.tape_bytes or event.disk_bytes != drive.disk_bytes
    return replace(
        drive,
        alive_at=now,
        moved_at=now if moved else drive.moved_at,
        tape_bytes=event.tape_bytes,
        disk_bytes=event.disk_bytes,
        files=event.files,
    ), ()


def _outage_began(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, m.OutageBegan)
    since = drive.outage.since if drive.outage and drive.outage.subject == event.subject else now
    # Nothing moves while an outage is waited for; each wait is announced anew.
    outage = Outage(event.subject, event.detail, since)
    return replace(drive, outage=outage, alive_at=now, moved_at=now), ()


def _outage_ended(drive: Drive, event: Event, now: float) -> Step:
    return replace(drive, outage=None, alive_at=now, moved_at=now), ()


def _drive_empty(drive: Drive, event: Event, now: float) -> Step:
    return replace(drive, occupied=False, last_vid=None, alive_at=now), ()


def _quarantined(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, m.Quarantined)
    return replace(drive, last_vid=event.vid, alive_at=now), (Disable(event.vid, event.reason),)


def _failed(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, m.Failed)
    drive = replace(drive, alive_at=now)
    # A DOWN of the operator keeps its own reason: it is never overwritten.
    if event.drive_down and drive.desired_up:
        drive = replace(drive, desired_up=False, reason=f"{OUR_REASON}{event.code} {event.text}"[:1000])
    return drive, ()


def _finished(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, m.Finished)
    return replace(drive, finished=True, failed=event.outcome == "failure", alive_at=now), ()


def _ignored(drive: Drive, event: Event, now: float) -> Step:
    return drive, ()


def _silenced(drive: Drive, event: Event, now: float) -> Step:
    return replace(drive, silent_since=now), ()


def _reloaded(drive: Drive, event: Event, now: float) -> Step:
    return drive, (Tell(m.Reload()),)


# --- the table -----------------------------------------------------------------------------------------
SESSION_MOVES: Final[dict[Phase, tuple[str, ...]]] = {
    Phase.STARTING: ("PROBING",),
    Phase.PROBING: ("SCHEDULING", "ENDING"),
    Phase.SCHEDULING: ("MOUNTING", "ENDING"),
    Phase.MOUNTING: ("TRANSFERING", "UNLOADING", "UNMOUNTING", "ENDING"),
    Phase.TRANSFERING: ("UNLOADING", "UNMOUNTING", "ENDING"),
    Phase.UNLOADING: ("UNMOUNTING", "ENDING"),
    Phase.UNMOUNTING: ("DRAINING", "ENDING"),
    Phase.DRAINING: ("ENDING",),
    Phase.ENDING: (),
}
_SESSION_STATES: Final = (
    "PROBING", "SCHEDULING", "MOUNTING", "TRANSFERING", "UNLOADING", "UNMOUNTING", "DRAINING", "ENDING",
)  # fmt: skip
_NOTES: Final[dict[str, Rule]] = {
    "CommandBegun": Rule(_command_begun),
    "CommandEnded": Rule(_command_ended),
    "Progressed": Rule(_progressed),
    "OutageBegan": Rule(_outage_began),
    "OutageEnded": Rule(_outage_ended),
    "DriveEmpty": Rule(_drive_empty),
    "Quarantined": Rule(_quarantined),
    "Failed": Rule(_failed),
    "Finished": Rule(_finished),
}
_FACTS: Final = ("Hello", "MountReserved", *_NOTES, *(f"StateChanged {state}" for state in _SESSION_STATES))
# Facts of the maintenance worker concern the loop's outbox, not the drive's state.
_OTHERS: Final = (
    "DesiredStateRead",
    "DesiredStateWritten",
    "ReportPublished",
    "MountReleased",
    "TapeDisabled",
)
_NO_CHILD: Final[dict[str, Rule]] = {
    kind: Rule(_ignored)
    for kind in (*_FACTS, *_OTHERS, "Exited", "Silenced", "Violated", "Expired", "Reloaded")
}
_ABORT: Final = Rule(_violated, (Phase.ABORTING,))


def _session_row(phase: Phase) -> dict[str, Rule]:
    moves = {
        f"StateChanged {state}": Rule(_enter(Phase(state)), (Phase(state),)) for state in SESSION_MOVES[phase]
    }
    return {
        **dict.fromkeys(_FACTS, _ABORT),
        **{kind: Rule(_ignored) for kind in _OTHERS},
        **_NOTES,
        **moves,
        "Hello": Rule(_hello, (Phase.ABORTING,)) if phase is Phase.STARTING else _ABORT,
        "MountReserved": Rule(_reserved) if phase is Phase.SCHEDULING else _ABORT,
        "WantUp": Rule(_up_later),
        "WantDown": Rule(_down_session),
        "StopAsked": Rule(_stop_session),
        "Exited": Rule(_session_exited, AFTER_CHILD),
        "Silenced": Rule(_silenced),
        "Violated": _ABORT,
        "Expired": Rule(_expired_session, (Phase.ABORTING,)),
        "Reloaded": Rule(_reloaded),
    }


TRANSITIONS: Final[dict[Phase, dict[str, Rule]]] = {
    Phase.DOWN: {
        **_NO_CHILD,
        "WantUp": Rule(_up_idle, (Phase.STARTING, Phase.RESCUING)),
        "WantDown": Rule(_down_idle),
        "StopAsked": Rule(_stop_idle, (Phase.STOPPED,)),
    },
    Phase.WAITING: {
        **_NO_CHILD,
        "WantUp": Rule(_up_idle, (Phase.STARTING, Phase.RESCUING)),
        "WantDown": Rule(_down_idle, (Phase.DOWN,)),
        "StopAsked": Rule(_stop_idle, (Phase.STOPPED,)),
        "Expired": Rule(_expired_waiting, (Phase.STARTING, Phase.RESCUING)),
    },
    **{phase: _session_row(phase) for phase in SESSION_MOVES},
    Phase.RESCUING: {
        **dict.fromkeys(_FACTS, _ABORT),
        **{kind: Rule(_ignored) for kind in _OTHERS},
        **_NOTES,
        "Hello": Rule(_hello, (Phase.ABORTING,)),
        "WantUp": Rule(_up_later),
        "WantDown": Rule(_down_later),
        "StopAsked": Rule(_stop_later),
        "Exited": Rule(_rescue_exited, AFTER_CHILD),
        "Silenced": Rule(_silenced),
        "Violated": _ABORT,
        "Expired": Rule(_expired_session, (Phase.ABORTING,)),
        "Reloaded": Rule(_ignored),
    },
    Phase.ABORTING: {
        **_NO_CHILD,
        **{kind: _NOTES[kind] for kind in ("DriveEmpty", "Quarantined", "Failed")},
        "WantUp": Rule(_up_later),
        "WantDown": Rule(_down_later),
        "StopAsked": Rule(_stop_later),
        "Exited": Rule(_aborted_exited, AFTER_CHILD),
        "Expired": Rule(_expired_aborting, (Phase.STUCK,)),
    },
    Phase.STUCK: {
        **_NO_CHILD,
        "WantUp": Rule(_up_later),
        "WantDown": Rule(_down_later),
        "StopAsked": Rule(_stop_idle, (Phase.STOPPED,)),
        "Exited": Rule(_aborted_exited, AFTER_CHILD),
    },
    Phase.STOPPED: {
        **_NO_CHILD,
        "WantUp": Rule(_up_later),
        "WantDown": Rule(_down_later),
        "StopAsked": Rule(_ignored),
    },
}


def begin(drive: Drive, now: float) -> Step:
    """The first step of a supervisor's life, from the restored state: rescue, session, or nothing."""
    drive = replace(drive, phase=Phase.DOWN, since=now, stopping=False)
    after, actions = _settle(drive, now)
    return replace(after, since=now, alive_at=now, moved_at=now), actions
