# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor's loop: it waits, feeds events to the machine, performs its actions, and tells the world.

One thread, one selector, no database, no tape, no disk but its own state file. A turn never blocks; the
watchdog is fed after a full turn and by nothing else. What the drive *is* and what *follows* is decided
in ``machine``.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Mapping
from typing import Any, Final

from cta_taped import __version__
from cta_taped.common import config_snapshot, events
from cta_taped.common.config import Loaded, load
from cta_taped.common.errors import (
    SYSTEM_RESOURCES,
    CtaError,
)
from cta_taped.common.ipc import channel
from cta_taped.common.ipc import messages as m
from cta_taped.common.log import get_logger, log_error, log_event
from cta_taped.common.model import Grade
from cta_taped.common.notify import Notifier, watchdog_interval_s
from cta_taped.supervisor import machine, status
from cta_taped.supervisor.child import Child
from cta_taped.supervisor.control import ControlServer, down_wish, text
from cta_taped.supervisor.deadlines import deadline
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
    Release,
    Reloaded,
    Report,
    Silenced,
    StartRescue,
    StartSession,
    StopAsked,
    Tell,
    Violated,
    WantDown,
    WantUp,
)  # fmt: skip
from cta_taped.supervisor.maintenance_link import MaintenanceLink
from cta_taped.supervisor.outbox import Outbox
from cta_taped.supervisor.signals import CaughtSignals
from cta_taped.supervisor.state import Remembered, StateFile, restored

FAREWELL_S: Final = 5.0
EXTEND_S: Final = 30.0


class Supervisor:
    """One drive's supervisor, from its start to its exit."""

    def __init__(self, loaded: Loaded) -> None:
        """Take the drive's lock, restore its state, open the control socket.

        Raises CtaError CONFIG_DRIVE_TAKEN, SYSTEM_STATE_LOST or CONFIG_INVALID.
        """
        self._loaded = loaded
        self._log = get_logger()
        self._notifier = Notifier()
        self._selector = selectors.DefaultSelector()
        self._state = StateFile(self._config.state_dir)
        self._snapshot = self._config.control_socket.with_suffix(".configuration.json")
        config_snapshot.write(loaded, self._snapshot)
        remembered, trouble = self._state.load()
        if trouble is not None:
            log_error(self._log, trouble)
        self._outbox = Outbox(remembered)
        self._last_mount_id = remembered.mount_id
        self._drive = restored(loaded.config, remembered)
        self._control = ControlServer(
            self._config.control_socket,
            self._config.site.operators_group,
            readers={"GetState": self._get_state},
            writers={"SetUp": self._set_up, "SetDown": self._set_down, "Reload": self._reload_asked},
            observe=self._observe_control,
        )
        self._control.register(self._selector)
        self._session: Child | None = None
        self._maintenance = MaintenanceLink(
            self._selector, self._outbox, self._start_maintenance, self._desired_read, self._remember
        )
        self._sequence = int(time.time() * 1000)
        self._report_due = 0.0
        self._extend_due = 0.0
        self._ready = False
        self._exit_asked = False
        self._forgetful = False
        self._status_told = ""

    @property
    def _config(self) -> Any:
        return self._loaded.config

    # --- life --------------------------------------------------------------------------------------------
    def run(self) -> int:
        """Serve until asked to stop; the exit status."""
        log_event(self._log, events.PROGRAM_STARTING, version=__version__)
        signals = CaughtSignals(self._selector, self._signalled)
        watchdog_s = watchdog_interval_s()
        log_event(
            self._log, events.STATE_RESTORED, state=str(self._drive.phase), occupied=self._drive.occupied
        )
        now = time.monotonic()
        before = self._drive
        self._apply(before, *machine.begin(before, now))
        while not self._exit_asked:
            self._turn(self._wait_s(watchdog_s))
            if watchdog_s is not None:
                self._notifier.watchdog()
        self._farewell()
        signals.close()
        self._selector.close()
        log_event(self._log, events.PROGRAM_EXITING, exit_status=0)
        return 0

    def _wait_s(self, watchdog_s: float | None) -> float:
        now = time.monotonic()
        due = [self._report_due]
        pressing = deadline(self._drive, self._config.deadlines, self._config.ending)
        if pressing is not None:
            due.append(pressing.when)
        if self._maintenance.due is not None:
            due.append(self._maintenance.due)
        wait_s = max(min(due) - now, 0.0)
        return wait_s if watchdog_s is None else min(wait_s, watchdog_s)

    def _turn(self, wait_s: float) -> None:
        for key, _ in self._selector.select(wait_s):
            key.data()
        now = time.monotonic()
        pressing = deadline(self._drive, self._config.deadlines, self._config.ending)
        if pressing is not None and now >= pressing.when:
            self._feed(Expired(pressing.reason))
        if self._maintenance.due is not None and now >= self._maintenance.due:
            self._maintenance.start()
        if now >= self._report_due:
            self._publish(now)
        self._tell_systemd(now)

    def _tell_systemd(self, now: float) -> None:
        line = status.line(self._drive, now)
        if line != self._status_told:
            self._status_told = line
            self._notifier.status(line)
        session_ready = self._session is None or self._session.said_hello
        if not self._ready and session_ready and self._maintenance.said_hello:
            self._ready = True
            self._notifier.ready()
            log_event(self._log, events.READY)
        if self._drive.stopping and now >= self._extend_due:
            self._extend_due = now + EXTEND_S / 3
            self._notifier.extend_timeout(EXTEND_S)

    def _farewell(self) -> None:
        """Give the maintenance worker a moment to publish the last word, then end it."""
        until = time.monotonic() + FAREWELL_S
        while self._maintenance.pid is not None and time.monotonic() < until:
            self._maintenance.say_farewell()
            self._turn(0.1)
        self._maintenance.kill()
        if self._session is not None:
            self._session.signal(signal.SIGKILL)
        self._control.close()
        self._snapshot.unlink(missing_ok=True)
        self._state.close()

    def _signalled(self, number: signal.Signals) -> None:
        if number is signal.SIGHUP:
            self._reload()
            return
        grade = Grade.NOW if self._drive.stopping else Grade.QUICK
        log_event(self._log, events.STOPPING, grade=str(grade))
        self._notifier.stopping()
        self._feed(StopAsked(grade))

    # --- the machine -------------------------------------------------------------------------------------
    def _feed(self, event: Event, from_catalogue: bool = False) -> None:
        before = self._drive
        after, actions = machine.step(before, event, time.monotonic())
        self._apply(before, after, actions, from_catalogue)

    def _apply(
        self, before: Drive, after: Drive, actions: tuple[Action, ...], from_catalogue: bool = False
    ) -> None:
        self._drive = after
        if after.mount is not None:
            self._last_mount_id = after.mount.mount_id
        wish = (after.desired_up, after.reason)
        if wish != (before.desired_up, before.reason) and not from_catalogue:
            self._maintenance.send(self._outbox.wish(after.desired_up, False, after.reason))
        for action in actions:
            if isinstance(action, Release):
                self._maintenance.send(self._outbox.release(action.mount_id))
            elif isinstance(action, Disable):
                self._maintenance.send(self._outbox.disable(action.vid, action.reason))
        # What is remembered is on disk before a child that relies on it starts.
        self._remember()
        for action in actions:
            self._perform(action)
        if after.phase is not before.phase:
            self._report_due = 0.0
            vid = after.mount.vid if after.mount else after.last_vid
            states = {"state": str(after.phase), "previous": str(before.phase)}
            log_event(self._log, events.STATE_CHANGED, **states, vid=vid)

    def _perform(self, action: Action) -> None:
        match action:
            case StartSession():
                self._start_session("session")
            case StartRescue(vid=vid):
                self._start_session("rescue", *(("--vid", vid) if vid else ()))
            case Tell(command=command):
                if self._session is not None:
                    self._session.tell(command)
            case Abort():
                self._signal_session(signal.SIGABRT)
            case Kill():
                self._signal_session(signal.SIGKILL)
            case Report(spec=spec, text=text):
                log_error(self._log, CtaError(spec, text), phase=str(self._drive.phase))
            case Exit():
                self._exit_asked = True
            case Release() | Disable():
                pass

    def _remember(self) -> None:
        drive = self._drive
        remembered = Remembered(
            occupied=drive.occupied,
            desired_up=drive.desired_up,
            reason=drive.reason,
            vid=drive.mount.vid if drive.mount else drive.last_vid,
            mount_id=self._last_mount_id,
            phase=str(drive.phase),
            wish_revision=self._outbox.wish_revision,
            wish_written=self._outbox.wish_written,
            dead_mounts=tuple(self._outbox.dead_mounts),
            bad_tapes=tuple(self._outbox.bad_tapes.items()),
        )
        try:
            self._state.save(remembered)
        except CtaError as error:
            # Told once, not at every change while the disk is full.
            if not self._forgetful:
                log_error(self._log, error)
            self._forgetful = True
        else:
            self._forgetful = False

    # --- children ----------------------------------------------------------------------------------------
    def _start_session(self, role: m.Role, *extra: str) -> None:
        try:
            child = Child(role, self._snapshot, *extra)
        except OSError as error:
            log_error(self._log, CtaError(SYSTEM_RESOURCES, f"cannot start the {role} worker: {error}"))
            self._feed(Exited(f"not started: {error.strerror}"))
            return
        self._session = child
        log_event(self._log, events.CHILD_STARTED, child=role, child_pid=child.pid)
        self._selector.register(child.channel, selectors.EVENT_READ, lambda: self._session_said(child))
        self._selector.register(child.pidfd, selectors.EVENT_READ, lambda: self._session_ended(child))

    def _start_maintenance(self) -> Child:
        return Child("maintenance", self._snapshot)

    def _signal_session(self, number: signal.Signals) -> None:
        if self._session is not None:
            log_event(
                self._log,
                events.CHILD_SIGNALLED,
                child=self._session.role,
                child_pid=self._session.pid,
                signal=number.name,
            )
            self._session.signal(number)

    def _session_said(self, child: Child) -> None:
        try:
            for fact in channel.receive(child.channel):
                if fact is None:
                    self._selector.unregister(child.channel)
                    self._feed(Silenced())
                    return
                if isinstance(fact, m.Hello):
                    child.said_hello = True
                self._feed(fact)
        except CtaError as error:
            self._feed(Violated(error.detail))

    def _session_ended(self, child: Child) -> None:
        how = child.reap()
        if how is None:
            return
        if child.channel in self._selector.get_map():
            self._session_said(child)  # the last words that were still in the socket
        if child.channel in self._selector.get_map():
            self._selector.unregister(child.channel)
        self._selector.unregister(child.pidfd)
        child.close()
        self._session = None
        log_event(self._log, events.CHILD_ENDED, child=child.role, child_pid=child.pid, how=how)
        self._feed(Exited(how))

    def _desired_read(self, fact: m.DesiredStateRead) -> None:
        if not self._outbox.wish_pending and fact.up != self._drive.desired_up:
            self._want(fact.up, Grade.NOW if fact.force else None, fact.reason, from_catalogue=True)

    def _publish(self, now: float) -> None:
        self._report_due = now + self._config.maintenance.publish_interval_s
        self._sequence += 1
        report = status.report(self._drive, self._sequence, time.time(), self._last_mount_id)
        if report is None:
            return
        command = self._outbox.report(report)
        # Before the catalogue's own wish is known, a DOWN would overwrite it.
        if self._maintenance.wish_known:
            self._maintenance.send(command)

    # --- wishes and control ------------------------------------------------------------------------------
    def _want(self, up: bool, grade: Grade | None, reason: str | None, from_catalogue: bool = False) -> None:
        log_event(
            self._log,
            events.DESIRED_STATE_CHANGED,
            desired="up" if up else "down",
            reason=reason,
            origin="catalogue" if from_catalogue else "control socket",
        )
        wish = WantUp(reason) if up else WantDown(grade or self._config.ending.down_grade, reason)
        self._feed(wish, from_catalogue)

    def _get_state(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        state = status.as_dict(self._drive, time.monotonic())
        state |= {
            "ready": self._ready,
            "unpublished": self._outbox.unpublished,
            "supervisor_pid": os.getpid(),
            "session_pid": self._session.pid if self._session else None,
            "maintenance_pid": self._maintenance.pid,
            "version": __version__,
        }
        return {"state": state}

    def _set_up(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        self._want(True, None, text(parameters, "reason"))
        return {}

    def _set_down(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        self._want(False, *down_wish(parameters))
        return {}

    def _reload_asked(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {"changed": self._reload(raise_errors=True)}

    def _reload(self, raise_errors: bool = False) -> list[str]:
        """Read the configuration again; a bad one is refused while the old one stays in force."""
        self._notifier.reloading()
        try:
            loaded = load(self._loaded.site_file, self._drive.name)
            config_snapshot.write(loaded, self._snapshot)
        except CtaError as error:
            log_error(self._log, error, event=events.CONFIGURATION_REJECTED)
            if raise_errors:
                raise
            return []
        finally:
            self._notifier.ready()
        changed = loaded.changes_from(self._loaded)
        self._loaded = loaded
        log_event(self._log, events.CONFIGURATION_RELOADED, changed=changed)
        if changed:
            self._feed(Reloaded())
            self._maintenance.send(m.Reload())
        return changed

    def _observe_control(self, method: str, uid: int, refusal: CtaError | None) -> None:
        if refusal is None:
            log_event(self._log, events.CONTROL_REQUEST, method=method, uid=uid)
        else:
            log_error(self._log, refusal, event=events.CONTROL_REFUSED, method=method, uid=uid)
