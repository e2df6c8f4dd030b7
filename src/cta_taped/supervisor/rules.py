# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from an event: one small pure function a rule, named by the cells of the machine's table.

Each takes the drive, the event and the time (monotonic seconds), and returns the drive as it is then and the
actions to perform. Which rule holds in which phase is the table's business (``machine.TRANSITIONS``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

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


def kind_of(event: Event) -> str:
    """The table's column of an event; a StateChanged has one column a state."""
    if isinstance(event, m.StateChanged):
        return f"StateChanged {event.state}"
    return type(event).__name__


# --- what follows from the end of a child --------------------------------------------------------------
AFTER_CHILD: Final = (Phase.DOWN, Phase.WAITING, Phase.STARTING, Phase.RESCUING, Phase.STOPPED)


def settle(drive: Drive, now: float) -> Step:
    """No child runs: decide what is next from who owns the drive and what is wanted."""
    drive = replace(
        drive, child=None, grade=None, silent_since=None, finished=False, failed=False,
        outage=None,
        tape_bytes=0, disk_bytes=0, files=0,
    )  # fmt: skip
    if drive.occupied:
        return start(drive, "rescue")
    if drive.stopping:
        return replace(drive, phase=Phase.STOPPED), (Exit(),)
    if not drive.desired_up:
        return replace(drive, phase=Phase.DOWN, failures=0), ()
    if drive.failures:
        return replace(drive, phase=Phase.WAITING), ()
    return start(drive, "session")


def start(drive: Drive, role: m.Role) -> Step:
    if role == "rescue":
        return replace(drive, phase=Phase.RESCUING, child=role), (StartRescue(drive.last_vid),)
    return replace(drive, phase=Phase.STARTING, child=role), (StartSession(),)


def session_exited(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, Exited)
    actions: tuple[Action, ...] = ()
    if not drive.finished:
        text = f"session worker {event.how} in {drive.phase}"
        actions = (Report(SYSTEM_CHILD_DIED, text),)
    if drive.mount is not None:
        actions += (Release(drive.mount.mount_id),)
    failures = 0 if drive.finished and not drive.failed else drive.failures + 1
    after, more = settle(replace(drive, failures=failures, mount=None), now)
    return after, actions + more


def rescue_exited(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, Exited)
    if not drive.occupied:
        return settle(replace(drive, last_vid=None, rescues=0), now)
    drive = replace(drive, child=None, rescues=drive.rescues + 1, silent_since=None)
    if not drive.finished and drive.rescues < RESCUE_ATTEMPTS:
        text = f"rescue {event.how}; it is repeated"
        return replace(drive, phase=Phase.WAITING), (Report(SYSTEM_CHILD_DIED, text),)
    text = f"the rescue left a cartridge in the drive ({event.how}); VID {drive.last_vid or 'unknown'}"
    reason = drive.reason if drive.reason and not drive.desired_up else our_reason(SYSTEM_RESCUE_FAILED, text)
    drive = replace(drive, desired_up=False, reason=reason, finished=False, failures=0, rescues=0)
    report = Report(SYSTEM_RESCUE_FAILED, text)
    if drive.stopping:
        return replace(drive, phase=Phase.STOPPED), (report, Exit())
    return replace(drive, phase=Phase.DOWN), (report,)


def aborted_exited(drive: Drive, event: Event, now: float) -> Step:
    return (rescue_exited if drive.child == "rescue" else session_exited)(drive, event, now)


def our_reason(spec: ErrorSpec, text: str) -> str:
    return f"{OUR_REASON}{spec.code} {text}"[:1000]


# --- wishes --------------------------------------------------------------------------------------------
def up_idle(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, WantUp)
    return settle(replace(drive, desired_up=True, reason=event.reason, failures=0), now)


def up_later(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, WantUp)
    return replace(drive, desired_up=True, reason=event.reason), ()


def down_idle(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, WantDown)
    return replace(drive, phase=Phase.DOWN, desired_up=False, reason=event.reason or drive.reason), ()


def down_session(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, WantDown)
    drive = replace(drive, desired_up=False, reason=event.reason or drive.reason)
    return ask_to_end(drive, event.grade, now)


def down_later(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, WantDown)
    return replace(drive, desired_up=False, reason=event.reason or drive.reason), ()


def stop_idle(drive: Drive, event: Event, now: float) -> Step:
    return replace(drive, phase=Phase.STOPPED, stopping=True), (Exit(),)


def stop_session(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, StopAsked)
    return ask_to_end(replace(drive, stopping=True), event.grade, now)


def stop_later(drive: Drive, event: Event, now: float) -> Step:
    return replace(drive, stopping=True), ()


_URGENCY: Final = {None: 0, Grade.DRAIN: 1, Grade.QUICK: 2, Grade.NOW: 3}


def ask_to_end(drive: Drive, grade: Grade, now: float) -> Step:
    if _URGENCY[grade] <= _URGENCY[drive.grade]:
        return drive, ()
    command = m.Drain() if grade is Grade.DRAIN else m.Stop(grade)
    return replace(drive, grade=grade, grade_since=now), (Tell(command),)


# --- deadlines that passed -----------------------------------------------------------------------------
_NEXT_GRADE: Final = {Grade.DRAIN: Grade.QUICK, Grade.QUICK: Grade.NOW}


def expired_session(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, Expired)
    if event.reason == ESCALATE and drive.grade in _NEXT_GRADE:
        return ask_to_end(drive, _NEXT_GRADE[drive.grade], now)
    text = (
        event.reason
        if event.reason != ESCALATE
        else f"{drive.phase}: ending by grade {drive.grade} took too long"
    )
    return abort(drive, SYSTEM_DEADLINE, text)


def abort(drive: Drive, spec: ErrorSpec, text: str) -> Step:
    return replace(drive, phase=Phase.ABORTING, finished=False), (Report(spec, text), Abort())


def expired_waiting(drive: Drive, event: Event, now: float) -> Step:
    if drive.occupied:
        return start(drive, "rescue")
    return start(drive, "session")


def expired_aborting(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, Expired)
    if event.reason == KILL:
        return replace(drive, command=KILL, alive_at=now), (Kill(),)
    text = f"the {drive.child} process is in uninterruptible sleep; nothing else touches the drive"
    reason = our_reason(DRIVE_STUCK, text)
    return replace(drive, phase=Phase.STUCK, desired_up=False, reason=reason), (Report(DRIVE_STUCK, text),)


def violated(drive: Drive, event: Event, now: float) -> Step:
    text = event.text if isinstance(event, Violated) else f"{kind_of(event)} said in {drive.phase}"
    return abort(drive, SYSTEM_PROTOCOL, text)


# --- facts ---------------------------------------------------------------------------------------------
def hello(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, m.Hello)
    if event.version != m.VERSION or event.role != drive.child:
        text = f"worker speaks version {event.version} as {event.role}, expected {m.VERSION} as {drive.child}"
        return abort(drive, SYSTEM_PROTOCOL, text)
    return replace(drive, alive_at=now), ()


def reserved(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, m.MountReserved)
    return replace(drive, mount=event, alive_at=now), ()


def enter(phase: Phase) -> Callable[[Drive, Event, float], Step]:
    def enter(drive: Drive, event: Event, now: float) -> Step:
        drive = replace(drive, phase=phase, outage=None)
        if phase is Phase.MOUNTING:
            vid = drive.mount.vid if drive.mount else None
            return replace(drive, occupied=True, last_vid=vid), ()
        if phase is Phase.TRANSFERING:
            return replace(drive, transfer_since=now), ()
        return drive, ()

    return enter


def command_begun(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, m.CommandBegun)
    return replace(drive, command=event.command, command_until=now + event.timeout_s, alive_at=now), ()


def command_ended(drive: Drive, event: Event, now: float) -> Step:
    return replace(drive, command=None, command_until=0.0, alive_at=now, moved_at=now), ()


def progressed(drive: Drive, event: Event, now: float) -> Step:
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


def outage_began(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, m.OutageBegan)
    since = drive.outage.since if drive.outage and drive.outage.subject == event.subject else now
    # Nothing moves while an outage is waited for; each wait is announced anew.
    outage = Outage(event.subject, event.detail, since)
    return replace(drive, outage=outage, alive_at=now, moved_at=now), ()


def outage_ended(drive: Drive, event: Event, now: float) -> Step:
    return replace(drive, outage=None, alive_at=now, moved_at=now), ()


def drive_empty(drive: Drive, event: Event, now: float) -> Step:
    return replace(drive, occupied=False, last_vid=None, alive_at=now), ()


def quarantined(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, m.Quarantined)
    return replace(drive, last_vid=event.vid, alive_at=now), (Disable(event.vid, event.reason),)


def failed(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, m.Failed)
    drive = replace(drive, alive_at=now)
    # A DOWN of the operator keeps its own reason: it is never overwritten.
    if event.drive_down and drive.desired_up:
        drive = replace(drive, desired_up=False, reason=f"{OUR_REASON}{event.code} {event.text}"[:1000])
    return drive, ()


def finished(drive: Drive, event: Event, now: float) -> Step:
    assert isinstance(event, m.Finished)
    return replace(drive, finished=True, failed=event.outcome == "failure", alive_at=now), ()


def ignored(drive: Drive, event: Event, now: float) -> Step:
    return drive, ()


def silenced(drive: Drive, event: Event, now: float) -> Step:
    return replace(drive, silent_since=now), ()


def reloaded(drive: Drive, event: Event, now: float) -> Step:
    return drive, (Tell(m.Reload()),)
