# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor's errands: what it wants written to the databases, in its order, until it is done.

Two lanes, because two databases may be away at different times: the drive's row (reports, wishes,
quarantined tapes) and the release of dead mounts. An errand stays at the head of its lane until it
succeeded or was refused for good; each is acknowledged, so a worker that dies loses nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from cta_taped.common import events
from cta_taped.common.errors import (
    CATALOGUE_NOT_FOUND,
    OUTAGES,
    CtaError,
)
from cta_taped.common.ipc import messages as m
from cta_taped.common.log import get_logger, log_error, log_event
from cta_taped.common.model import DesiredState
from cta_taped.db.catalogue import Author, take_out_of_use
from cta_taped.maintenance import undelivered
from cta_taped.maintenance.station import Station

# A damaged database, or one in the middle of an upgrade, is away until somebody has dealt with it.
BACK_OFF_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class Lane:
    """Errands to one database, in order, with back-off while it is away."""

    def __init__(self, perform: Callable[[m.Command], None]) -> None:
        self._perform = perform
        self._waiting: deque[m.Command] = deque()
        self._failures = 0
        self.due = 0.0
        self._log = get_logger()

    def add(self, errand: m.Command) -> None:
        """Append; it is tried at the next turn unless the database is known to be away."""
        self._waiting.append(errand)

    @property
    def idle(self) -> bool:
        """Nothing waits."""
        return not self._waiting

    def run(self, now: float) -> None:
        """Perform what waits, until it is empty or the database is away. ``now``: monotonic seconds."""
        while self._waiting and now >= self.due:
            errand = self._waiting[0]
            try:
                self._perform(errand)
            except CtaError as error:
                if error.spec in OUTAGES:
                    if not self._failures:
                        log_error(self._log, error, event=events.OUTAGE_BEGUN, resource="a database")
                    self.due = now + BACK_OFF_S[min(self._failures, len(BACK_OFF_S) - 1)]
                    self._failures += 1
                    return
                log_error(self._log, error, errand=errand.kind)
            self._failures = 0
            self._waiting.popleft()


class Errands:
    """Performs and acknowledges errands."""

    def __init__(self, station: Station, register: Callable[[], None]) -> None:
        """``register`` enters the drive into the catalogue again, when an operator removed its row."""
        self._station = station
        self._register = register
        self._log = get_logger()
        self.drive_row = Lane(self._write_drive_row)
        self.dead_mounts = Lane(self._release)

    def add(self, errand: m.Command) -> None:
        """Into its lane."""
        lane = self.dead_mounts if isinstance(errand, m.ReleaseMount) else self.drive_row
        lane.add(errand)

    def run(self, now: float) -> None:
        """Both lanes."""
        self.drive_row.run(now)
        self.dead_mounts.run(now)

    @property
    def idle(self) -> bool:
        """Nothing waits in either lane."""
        return self.drive_row.idle and self.dead_mounts.idle

    def _write_drive_row(self, errand: m.Command) -> None:
        try:
            self._write(errand)
        except CtaError as error:
            if error.spec is not CATALOGUE_NOT_FOUND:
                raise
            self._register()
            self._write(errand)

    def _write(self, errand: m.Command) -> None:
        station = self._station
        catalogue, identity = station.catalogue, station.config.identity
        match errand:
            case m.Publish(report=report):
                if report.mount_id is None:
                    undelivered.secure(station)
                catalogue.drives.publish(identity, [report])
                station.say(m.ReportPublished(report.sequence))
            case m.WriteDesired(revision=revision, up=up, force=force, reason=reason):
                catalogue.drives.set_desired_state(identity.name, DesiredState(up, force, reason or ""))
                station.say(m.DesiredStateWritten(revision))
            case m.DisableTape(vid=vid, reason=reason):
                self._disable(vid, reason)
                station.say(m.TapeDisabled(vid))
            case _:
                pass

    def _disable(self, vid: str, reason: str) -> None:
        tapes, author = self._station.catalogue.tapes, Author("cta-taped", self._station.config.host)
        try:
            if take_out_of_use(tapes, vid, reason, author):
                log_event(self._log, events.TAPE_DISABLED, vid=vid, reason=reason)
        except CtaError as error:
            if error.spec in OUTAGES:
                raise
            log_error(self._log, error, vid=vid)

    def _release(self, errand: m.Command) -> None:
        """First what the mount left in the ledger, then its other jobs: no file is written twice."""
        assert isinstance(errand, m.ReleaseMount)
        station = self._station
        undelivered.run(station)
        jobs = station.scheduler.upkeep.release_mount(errand.mount_id)
        if jobs:
            log_event(self._log, events.JOBS_GIVEN_BACK, jobs=jobs, mount_id=errand.mount_id)
        station.say(m.MountReleased(errand.mount_id))
