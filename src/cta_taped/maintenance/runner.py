# SPDX-License-Identifier: GPL-3.0-or-later
"""The maintenance worker's loop: errands first, routines when due, a stop at once.

One thread works, one listens to the supervisor. A routine that fails is tried again after a growing pause and
delays no other. A database that is away is an outage, told to the log once and waited for.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from cta_taped import __version__
from cta_taped.common import events
from cta_taped.common.config import Loaded
from cta_taped.common.errors import OUTAGES, SYSTEM_INTERNAL, CtaError
from cta_taped.common.ipc import messages as m
from cta_taped.common.log import get_logger, log_error, log_event
from cta_taped.db.catalogue import DriveOption
from cta_taped.maintenance.errands import BACK_OFF_S, Errands
from cta_taped.maintenance.routines import ROUTINES, Routine
from cta_taped.maintenance.station import Station, open_station


class Runner:
    """Runs until told to stop, or to read its configuration again."""

    def __init__(
        self, loaded: Loaded, commands: SimpleQueue[m.Command], say: Callable[[m.Fact], None]
    ) -> None:
        self._station: Station = open_station(loaded, say)
        self._commands = commands
        self._errands = Errands(self._station, self._register)
        now = time.monotonic()
        self._due = dict.fromkeys(ROUTINES, now)
        self._failures = dict.fromkeys(ROUTINES, 0)
        self._registered = False
        self._register_due = now
        self._register_failures = 0
        self._stop = False
        self._reload = False
        self._log = get_logger()

    def run(self) -> bool:
        """Work until stopped (False) or until the configuration is to be read again (True)."""
        try:
            while not (self._reload or (self._stop and self._errands.idle)):
                self._obey(self._wait_s())
                now = time.monotonic()
                if not self._registered and now >= self._register_due:
                    self._try_to_register(now)
                if self._registered:
                    self._errands.run(now)
                    for routine in ROUTINES:
                        if not self._stop and now >= self._due[routine]:
                            self._perform(routine)
                if self._stop:
                    break
        finally:
            self._station.close()
        return self._reload

    def _wait_s(self) -> float:
        if not self._registered:
            due = self._register_due
        else:
            due = min(self._due.values())
            for lane in (self._errands.drive_row, self._errands.dead_mounts):
                if not lane.idle:
                    due = min(due, lane.due)
        return max(due - time.monotonic(), 0.0)

    def _obey(self, wait_s: float) -> None:
        """Take what the supervisor asked; wait for the first command only."""
        try:
            command = self._commands.get(timeout=wait_s) if wait_s > 0 else self._commands.get_nowait()
            while True:
                if isinstance(command, m.Stop):
                    self._stop = True
                elif isinstance(command, m.Reload):
                    self._reload = True
                else:
                    self._errands.add(command)
                command = self._commands.get_nowait()
        except Empty:
            return

    def _perform(self, routine: Routine) -> None:
        station = self._station
        try:
            routine.run(station)
        except CtaError as error:
            self._failed(routine, error)
        except Exception as error:
            text = f"{routine.name}: {type(error).__name__}: {error}"
            self._failed(routine, CtaError(SYSTEM_INTERNAL, text, exception=error))
        else:
            if self._failures[routine]:
                station.outage_ended = time.time()
                log_event(self._log, events.OUTAGE_ENDED, resource=routine.name, duration_s=0)
            self._failures[routine] = 0
            period_s = routine.period_s(station.config.maintenance)
            self._due[routine] = time.monotonic() + period_s * random.uniform(0.9, 1.1)  # noqa: S311

    def _failed(self, routine: Routine, error: CtaError) -> None:
        failures = self._failures[routine]
        if not failures or error.spec not in OUTAGES:
            log_error(self._log, error, event=events.ROUTINE_FAILED, routine=routine.name)
        self._failures[routine] = failures + 1
        self._due[routine] = time.monotonic() + BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)]

    def _try_to_register(self, now: float) -> None:
        try:
            self._register()
        except CtaError as error:
            if not self._register_failures or error.spec not in OUTAGES:
                log_error(self._log, error)
            self._register_due = now + BACK_OFF_S[min(self._register_failures, len(BACK_OFF_S) - 1)]
            self._register_failures += 1
            return
        self._registered = True
        if self._register_failures:
            self._station.outage_ended = time.time()

    def _register(self) -> None:
        station = self._station
        config = station.config
        options = [
            DriveOption("taped", value.key, value.value, value.source) for value in station.loaded.values()
        ]
        registration = station.catalogue.drives.register(
            config.identity, __version__, config.site.scheduler_backend_name, options
        )
        log_event(self._log, events.DRIVE_REGISTERED)
        desired = registration.desired
        station.say(m.DesiredStateRead(desired.up, desired.force, desired.reason))
