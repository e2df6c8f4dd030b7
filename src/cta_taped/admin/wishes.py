# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's wish for a drive: said where it takes effect soonest, and waited for.

What it is: by the control socket when the drive's daemon runs on this host (works while every database is
away), else into the catalogue, where the daemon reads it. What it is not: a change of the drive's state
itself; only its daemon does that.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from cta_taped.admin.output import note
from cta_taped.admin.selection import Drive, Selection, daemon_of
from cta_taped.admin.site import Site, settled
from cta_taped.common.errors import DRIVE_DOWN_AGAIN, SYSTEM_NO_DAEMON, CtaError, Retry
from cta_taped.common.model import DesiredState, DriveStatus, Grade

_POLL_S: Final = 1.0
_NOT_YET_UP: Final = frozenset(
    {
        DriveStatus.DOWN,
        DriveStatus.PROBING,
        DriveStatus.CLEANINGUP,
        DriveStatus.SHUTDOWN,
        DriveStatus.UNKNOWN,
    }
)


@dataclass(frozen=True, slots=True)
class Wish:
    """Up, or down by a grade (None: as the daemon is configured). ``reason`` may be missing only for up."""

    up: bool
    reason: str | None
    grade: Grade | None = None

    @property
    def word(self) -> str:
        """The wish in a sentence."""
        return "Up" if self.up else "Down"


def express(site: Site, selection: Selection, drive: Drive, wish: Wish) -> str:
    """Say the wish; returns who took it. Raises what the daemon or the catalogue answers."""
    if _told_daemon(site, drive, wish):
        return "by its daemon on this host"
    if selection.outage is not None:
        raise selection.outage
    if wish.grade in (Grade.DRAIN, Grade.QUICK):
        note(
            f"{drive.name}: the catalogue knows no --{wish.grade}; its daemon ends the session as configured"
        )
    desired = DesiredState(wish.up, force=wish.grade is Grade.NOW, reason=wish.reason or "")
    settled(site.catalogue.drives.set_desired_state, drive.name, desired)
    return "in the catalogue, for its daemon to read"


def _told_daemon(site: Site, drive: Drive, wish: Wish) -> bool:
    daemon = daemon_of(site, drive)
    if daemon is None:
        return False
    try:
        daemon.state()
    except CtaError as error:
        # A daemon that does not run is ordinary; one that runs and does not answer must be known.
        if error.spec is not SYSTEM_NO_DAEMON or daemon.config.control_socket.exists():
            note(f"{drive.name}: its daemon is not reached: {error}")
        return False
    if wish.up:
        daemon.set_up(wish.reason)
    else:
        daemon.set_down(wish.grade, wish.reason or "")
    return True


def wait_for(site: Site, drive: Drive, wish: Wish) -> None:
    """Return when the drive is as wished.

    Raises DRIVE_DOWN_AGAIN when it went down instead of up, and every failure that does not pass by itself.
    """
    while not _reached(site, drive, wish):
        time.sleep(_POLL_S)


def _reached(site: Site, drive: Drive, wish: Wish) -> bool:
    daemon = daemon_of(site, drive)
    if daemon is not None:
        try:
            state = daemon.state()
        except CtaError:
            pass  # the catalogue may know; a daemon that restarts answers again
        else:
            _check_still_wished(drive, wish, state.desired == "up", state.reason)
            return state.settled_up if wish.up else state.settled_down
    try:
        row = site.catalogue.drives.get(drive.name)
    except CtaError as error:
        if error.spec.retry not in (Retry.IMMEDIATE, Retry.BACK_OFF):
            raise
        return False
    _check_still_wished(drive, wish, row.desired.up, row.desired.reason)
    return row.status not in _NOT_YET_UP if wish.up else row.status is DriveStatus.DOWN


def _check_still_wished(drive: Drive, wish: Wish, desired_up: bool, reason: str | None) -> None:
    if wish.up and not desired_up:
        raise CtaError(DRIVE_DOWN_AGAIN, f"{drive.name} did not stay up: {reason or 'no reason was given'}")
