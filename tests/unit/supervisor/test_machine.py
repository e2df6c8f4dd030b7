# SPDX-License-Identifier: GPL-3.0-or-later
"""The state machine: total, within its own table, and true to the ownership rule under any events."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cta_taped.common.config_schema import Deadlines, Ending
from cta_taped.common.ipc import messages as m
from cta_taped.common.model import Grade, MountType
from cta_taped.supervisor import diagram, machine, rules
from cta_taped.supervisor.deadlines import ESCALATE, GIVE_UP, KILL, WAKE, deadline
from cta_taped.supervisor.drive import (
    Abort,
    Disable,
    Drive,
    Exit,
    Exited,
    Expired,
    Kill,
    Phase,
    Release,
    Reloaded,
    Silenced,
    StartRescue,
    StartSession,
    StopAsked,
    Tell,
    Violated,
    WantDown,
    WantUp,
)

RESERVED = m.MountReserved(7, MountType.ARCHIVE_FOR_USER, "V00007", "pool", "vo")
STATES = ("PROBING", "SCHEDULING", "MOUNTING", "TRANSFERING", "UNLOADING", "UNMOUNTING", "DRAINING", "ENDING")
EVENTS = st.one_of(
    st.just(WantUp()),
    st.sampled_from(Grade).map(lambda grade: WantDown(grade, "test")),
    st.sampled_from(Grade).map(StopAsked),
    st.just(Exited("exited with status 0")),
    st.just(Silenced()),
    st.just(Violated("garbage")),
    st.sampled_from((ESCALATE, WAKE, KILL, GIVE_UP, "MOUNTING: 900 s in the state")).map(Expired),
    st.just(Reloaded()),
    st.sampled_from(("session", "rescue", "maintenance")).map(lambda role: m.Hello(role, 1)),
    st.just(RESERVED),
    st.sampled_from(STATES).map(m.StateChanged),
    st.just(m.CommandBegun("mount", 600.0)),
    st.just(m.CommandEnded("mount")),
    st.integers(0, 10).map(lambda number: m.Progressed(number, number, number)),
    st.just(m.OutageBegan("the catalogue", "refused")),
    st.just(m.OutageEnded("the catalogue")),
    st.just(m.DriveEmpty()),
    st.just(m.Quarantined("V00007", "stuck")),
    st.booleans().map(lambda down: m.Failed("CTA-DRIVE-003", "io", down)),
    st.sampled_from(("success", "failure", "nothing")).map(m.Finished),
    st.just(m.DesiredStateRead(True, False, None)),
)


def run(drive: Drive, *events: object, now: float = 1.0) -> tuple[Drive, list[object]]:
    actions: list[object] = []
    for event in events:
        drive, more = machine.step(drive, event, now)  # type: ignore[arg-type]
        actions += more
        now += 1.0
    return drive, actions


def up() -> Drive:
    """A drive that is up and looks for work."""
    drive, _ = run(Drive("D", occupied=False), WantUp(), m.Hello("session", 1), m.StateChanged("PROBING"))
    drive, _ = run(drive, m.DriveEmpty(), m.StateChanged("SCHEDULING"))
    assert drive.phase is Phase.SCHEDULING
    return drive


def mounted() -> Drive:
    drive, _ = run(up(), RESERVED, m.StateChanged("MOUNTING"), m.StateChanged("TRANSFERING"))
    assert drive.phase is Phase.TRANSFERING
    return drive


def test_table_is_total() -> None:
    kinds = {frozenset(row) for row in machine.TRANSITIONS.values()}
    assert set(machine.TRANSITIONS) == set(Phase)
    assert len(kinds) == 1, "every phase answers the same events"
    said = {f"StateChanged {state}" for state in STATES}
    facts = {fact.__name__ for fact in m.Fact.__args__} - {"StateChanged"}
    own = {"WantUp", "WantDown", "StopAsked", "Exited", "Silenced", "Violated", "Expired", "Reloaded"}
    assert kinds.pop() == said | facts | own


@settings(max_examples=400, deadline=None)
@given(st.lists(EVENTS, max_size=40), st.booleans())
def test_any_events_keep_the_promises(events: list[object], occupied: bool) -> None:
    drive, actions = machine.begin(Drive("D", occupied=occupied), 0.0)
    assert not occupied or actions == (StartRescue(None),)
    for number, event in enumerate(events):
        before = drive
        drive, actions = machine.step(before, event, float(number))  # type: ignore[arg-type]
        rule = machine.TRANSITIONS[before.phase][rules.kind_of(event)]  # type: ignore[arg-type]
        assert drive.phase is before.phase or drive.phase in rule.to
        if before.occupied and not drive.occupied:
            assert isinstance(event, m.DriveEmpty), "only DriveEmpty proves an empty drive"
        starts = [action for action in actions if isinstance(action, StartSession | StartRescue)]
        assert len(starts) <= 1
        if StartSession() in actions:
            assert not drive.occupied and drive.desired_up and not drive.stopping
        if Exit() in actions:
            assert drive.phase is Phase.STOPPED
        if drive.phase in (Phase.DOWN, Phase.WAITING):
            assert drive.child is None
        pressing = deadline(drive, Deadlines(), Ending())
        busy = drive.phase not in (Phase.DOWN, Phase.STUCK, Phase.STOPPED)
        assert not busy or pressing is not None, "no busy phase waits for ever"


@pytest.mark.parametrize("phase", list(machine.SESSION_MOVES))
def test_a_child_that_dies_while_the_drive_is_occupied_is_followed_by_the_rescue(phase: Phase) -> None:
    drive = replace(mounted(), phase=phase)
    drive, actions = run(drive, m.Finished("success"), Exited("exited with status 0"))
    assert drive.phase is Phase.RESCUING
    assert StartRescue("V00007") in actions
    assert Release(7) in actions


def test_exit_status_zero_without_drive_empty_proves_nothing() -> None:
    drive, _ = run(mounted(), m.StateChanged("UNLOADING"), m.StateChanged("UNMOUNTING"))
    drive, actions = run(drive, m.StateChanged("ENDING"), m.Finished(), Exited("exited with status 0"))
    assert drive.phase is Phase.RESCUING and StartRescue("V00007") in actions


def test_session_in_order_is_followed_by_the_next() -> None:
    drive, _ = run(mounted(), m.StateChanged("UNLOADING"), m.StateChanged("UNMOUNTING"), m.DriveEmpty())
    drive, actions = run(drive, m.StateChanged("ENDING"), m.Finished(), Exited("exited with status 0"))
    assert drive.phase is Phase.STARTING and actions == [Release(7), StartSession()]
    assert drive.mount is None and drive.failures == 0


def test_down_asks_the_session_and_rests_after_it() -> None:
    drive, actions = run(mounted(), WantDown(Grade.QUICK, "maintenance"))
    assert actions == [Tell(m.Stop(Grade.QUICK))] and drive.phase is Phase.TRANSFERING
    drive, _ = run(drive, m.StateChanged("UNLOADING"), m.StateChanged("UNMOUNTING"), m.DriveEmpty())
    drive, actions = run(drive, m.StateChanged("ENDING"), m.Finished(), Exited("exited with status 0"))
    assert drive.phase is Phase.DOWN and drive.reason == "maintenance"
    assert not any(isinstance(action, StartSession) for action in actions)


def test_grades_escalate_to_a_kill() -> None:
    drive, actions = run(mounted(), WantDown(Grade.DRAIN, "x"), Expired(ESCALATE), Expired(ESCALATE))
    assert actions == [Tell(m.Drain()), Tell(m.Stop(Grade.QUICK)), Tell(m.Stop(Grade.NOW))]
    drive, actions = run(drive, Expired(ESCALATE))
    assert drive.phase is Phase.ABORTING and Abort() in actions
    drive, actions = run(drive, Expired(KILL))
    assert Kill() in actions
    drive, actions = run(drive, Exited("ended by SIGKILL"))
    assert drive.phase is Phase.RESCUING


def test_a_child_that_cannot_be_killed_blocks_the_drive() -> None:
    drive, _ = run(mounted(), Expired("no movement"), Expired(KILL), Expired(GIVE_UP))
    assert drive.phase is Phase.STUCK and "uninterruptible" in (drive.reason or "")
    drive, actions = run(drive, WantUp())
    assert drive.phase is Phase.STUCK and actions == []
    drive, actions = run(drive, Exited("ended by SIGKILL"))
    assert drive.phase is Phase.RESCUING and StartRescue("V00007") in actions


def test_operators_reason_is_never_overwritten() -> None:
    drive, _ = run(mounted(), WantDown(Grade.QUICK, "firmware update"), m.Failed("CTA-DRIVE-004", "hw", True))
    assert drive.reason == "firmware update"
    drive, _ = run(mounted(), m.Failed("CTA-DRIVE-004", "hw", True))
    assert drive.reason == "[cta-taped] CTA-DRIVE-004 hw" and not drive.desired_up


def test_failed_rescue_quarantines_and_up_tries_again() -> None:
    drive, _ = run(mounted(), Exited("ended by SIGKILL"), m.Hello("rescue", 2))
    drive, actions = run(drive, m.Quarantined("V00007", "stuck"), m.Failed("CTA-SYSTEM-009", "stuck", True))
    assert Disable("V00007", "stuck") in actions
    drive, actions = run(drive, m.Finished(), Exited("exited with status 0"))
    assert drive.phase is Phase.DOWN and drive.occupied and "CTA-SYSTEM-009" in (drive.reason or "")
    drive, actions = run(drive, WantUp())
    assert drive.phase is Phase.RESCUING and StartRescue("V00007") in actions


def test_a_rescue_that_is_killed_is_repeated_a_few_times() -> None:
    drive, _ = run(mounted(), Exited("ended by SIGKILL"))
    rescues = 0
    while drive.phase is Phase.RESCUING:
        rescues += 1
        drive, _ = run(drive, Exited("ended by SIGKILL"), Expired(WAKE))
    assert rescues == rules.RESCUE_ATTEMPTS and drive.phase is Phase.DOWN and drive.occupied


def test_stop_keeps_the_operators_wish() -> None:
    drive, actions = run(up(), StopAsked(Grade.QUICK))
    assert actions == [Tell(m.Stop(Grade.QUICK))]
    drive, actions = run(drive, m.StateChanged("ENDING"), m.Finished("nothing"), Exited("exited"))
    assert drive.phase is Phase.STOPPED and Exit() in actions and drive.desired_up


def test_failing_sessions_back_off() -> None:
    drive = up()
    waits = []
    for _ in range(9):
        drive, _ = run(drive, m.StateChanged("ENDING"), m.Finished("failure"), Exited("exited"))
        assert drive.phase is Phase.WAITING
        pressing = deadline(drive, Deadlines(), Ending())
        assert pressing is not None
        waits.append(pressing.when - drive.since)
        drive, _ = run(drive, Expired(WAKE), m.StateChanged("PROBING"), m.StateChanged("SCHEDULING"))
    assert waits == sorted(waits) and waits[0] > 0 and waits[-1] == waits[-2] == 60.0


def test_an_announced_command_holds_the_deadline_off() -> None:
    drive = mounted()
    limits = Deadlines(transferring_heartbeat_s=60.0, transferring_movement_s=900.0)
    pressing = deadline(drive, limits, Ending())
    assert pressing is not None and pressing.when == drive.alive_at + 60.0
    begun, _ = machine.step(drive, m.CommandBegun("locate", 3000.0), 10.0)
    pressing = deadline(begun, limits, Ending())
    assert pressing is not None and pressing.when == 3010.0 and "locate" in pressing.reason
    ended, _ = machine.step(begun, m.CommandEnded("locate"), 20.0)
    pressing = deadline(ended, limits, Ending())
    assert pressing is not None and pressing.when == 80.0


def test_heartbeat_alone_does_not_count_as_movement() -> None:
    drive = mounted()
    for number in range(100):
        drive, _ = machine.step(drive, m.Progressed(5, 0, 0), 100.0 + number)
    pressing = deadline(drive, Deadlines(), Ending())
    assert pressing is not None and pressing.when <= 100.0 + 900.0


def test_an_outage_that_is_waited_for_is_no_stall() -> None:
    """A hold for a database may last longer than a drive may stand still; its silence counts."""
    drive = mounted()
    for now in range(100, 2000, 60):
        drive, _ = machine.step(drive, m.OutageBegan("the catalogue", "refused"), float(now))
        pressing = deadline(drive, Deadlines(), Ending())
        assert pressing is not None and pressing.when > now
    assert drive.outage is not None and drive.outage.since == 100.0


def test_states_document_is_drawn_from_the_table() -> None:
    document = Path(__file__).parents[3] / "docs" / "states.md"
    assert document.read_text() == diagram.render(), (
        "run: python -m cta_taped.supervisor.diagram > docs/states.md"
    )
