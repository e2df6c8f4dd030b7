# SPDX-License-Identifier: GPL-3.0-or-later
"""The drive's state machine: ``step(drive, event, now) -> (drive, actions)``, pure and total.

What it is: every state a drive can be in, every event that can happen in it, and what follows, as one table
(``TRANSITIONS``) of the rules in ``rules``; from the table come a test of totality, the reachability walk of
the tests and the diagram in docs/states.md. What it is not: it opens nothing, sends nothing, reads no clock;
the loop performs the actions. Times are seconds of a monotonic clock, handed in.

The ownership rule: ``occupied`` becomes true before a session touches the robot (state MOUNTING) and false
only when a child says DriveEmpty. Whatever ends while ``occupied`` is true, the next child is the rescue. How
a child exited proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from cta_taped.supervisor import rules
from cta_taped.supervisor.drive import Drive, Event, Phase
from cta_taped.supervisor.rules import Step


class Rule(NamedTuple):
    """One cell of the table: what to do, and every phase it may lead to (empty: the phase stays)."""

    apply: Callable[[Drive, Event, float], Step]
    to: tuple[Phase, ...] = ()


def step(drive: Drive, event: Event, now: float) -> Step:
    """What follows from ``event`` at ``now``. Defined for every phase and event."""
    rule = TRANSITIONS[drive.phase][rules.kind_of(event)]
    after, actions = rule.apply(drive, event, now)
    if after.phase is not drive.phase:
        after = replace(after, since=now, alive_at=now, moved_at=now, command=None, command_until=0.0)
    return after, actions


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
    "CommandBegun": Rule(rules.command_begun),
    "CommandEnded": Rule(rules.command_ended),
    "Progressed": Rule(rules.progressed),
    "OutageBegan": Rule(rules.outage_began),
    "OutageEnded": Rule(rules.outage_ended),
    "DriveEmpty": Rule(rules.drive_empty),
    "Quarantined": Rule(rules.quarantined),
    "Failed": Rule(rules.failed),
    "Finished": Rule(rules.finished),
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
    kind: Rule(rules.ignored)
    for kind in (*_FACTS, *_OTHERS, "Exited", "Silenced", "Violated", "Expired", "Reloaded")
}
_ABORT: Final = Rule(rules.violated, (Phase.ABORTING,))


def _session_row(phase: Phase) -> dict[str, Rule]:
    moves = {
        f"StateChanged {state}": Rule(rules.enter(Phase(state)), (Phase(state),))
        for state in SESSION_MOVES[phase]
    }
    return {
        **dict.fromkeys(_FACTS, _ABORT),
        **{kind: Rule(rules.ignored) for kind in _OTHERS},
        **_NOTES,
        **moves,
        "Hello": Rule(rules.hello, (Phase.ABORTING,)) if phase is Phase.STARTING else _ABORT,
        "MountReserved": Rule(rules.reserved) if phase is Phase.SCHEDULING else _ABORT,
        "WantUp": Rule(rules.up_later),
        "WantDown": Rule(rules.down_session),
        "StopAsked": Rule(rules.stop_session),
        "Exited": Rule(rules.session_exited, rules.AFTER_CHILD),
        "Silenced": Rule(rules.silenced),
        "Violated": _ABORT,
        "Expired": Rule(rules.expired_session, (Phase.ABORTING,)),
        "Reloaded": Rule(rules.reloaded),
    }


TRANSITIONS: Final[dict[Phase, dict[str, Rule]]] = {
    Phase.DOWN: {
        **_NO_CHILD,
        "WantUp": Rule(rules.up_idle, (Phase.STARTING, Phase.RESCUING)),
        "WantDown": Rule(rules.down_idle),
        "StopAsked": Rule(rules.stop_idle, (Phase.STOPPED,)),
    },
    Phase.WAITING: {
        **_NO_CHILD,
        "WantUp": Rule(rules.up_idle, (Phase.STARTING, Phase.RESCUING)),
        "WantDown": Rule(rules.down_idle, (Phase.DOWN,)),
        "StopAsked": Rule(rules.stop_idle, (Phase.STOPPED,)),
        "Expired": Rule(rules.expired_waiting, (Phase.STARTING, Phase.RESCUING)),
    },
    **{phase: _session_row(phase) for phase in SESSION_MOVES},
    Phase.RESCUING: {
        **dict.fromkeys(_FACTS, _ABORT),
        **{kind: Rule(rules.ignored) for kind in _OTHERS},
        **_NOTES,
        "Hello": Rule(rules.hello, (Phase.ABORTING,)),
        "WantUp": Rule(rules.up_later),
        "WantDown": Rule(rules.down_later),
        "StopAsked": Rule(rules.stop_later),
        "Exited": Rule(rules.rescue_exited, rules.AFTER_CHILD),
        "Silenced": Rule(rules.silenced),
        "Violated": _ABORT,
        "Expired": Rule(rules.expired_session, (Phase.ABORTING,)),
        "Reloaded": Rule(rules.ignored),
    },
    Phase.ABORTING: {
        **_NO_CHILD,
        **{kind: _NOTES[kind] for kind in ("DriveEmpty", "Quarantined", "Failed")},
        "WantUp": Rule(rules.up_later),
        "WantDown": Rule(rules.down_later),
        "StopAsked": Rule(rules.stop_later),
        "Exited": Rule(rules.aborted_exited, rules.AFTER_CHILD),
        "Expired": Rule(rules.expired_aborting, (Phase.STUCK,)),
    },
    Phase.STUCK: {
        **_NO_CHILD,
        "WantUp": Rule(rules.up_later),
        "WantDown": Rule(rules.down_later),
        "StopAsked": Rule(rules.stop_idle, (Phase.STOPPED,)),
        "Exited": Rule(rules.aborted_exited, rules.AFTER_CHILD),
    },
    Phase.STOPPED: {
        **_NO_CHILD,
        "WantUp": Rule(rules.up_later),
        "WantDown": Rule(rules.down_later),
        "StopAsked": Rule(rules.ignored),
    },
}


def begin(drive: Drive, now: float) -> Step:
    """The first step of a supervisor's life, from the restored state: rescue, session, or nothing."""
    drive = replace(drive, phase=Phase.DOWN, since=now, stopping=False)
    after, actions = rules.settle(drive, now)
    return replace(after, since=now, alive_at=now, moved_at=now), actions
