# SPDX-License-Identifier: GPL-3.0-or-later
"""Which drives a command means: upstream's anchored regular expression, or ``first``.

What it is: the union of the drives that have a file on this host and those that the catalogue knows, and
what was learnt of each. What it is not: fatal when the catalogue is away: drives of this host are found
without it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cta_taped.admin.daemon import Daemon
from cta_taped.admin.site import Site
from cta_taped.common.errors import CATALOGUE_NOT_FOUND, CONFIG_USAGE, CtaError, Subject
from cta_taped.db.catalogue import DriveRow


@dataclass(frozen=True, slots=True)
class Drive:
    """One chosen drive. ``local``: this host has its file; ``row``: the catalogue's, None if it has none."""

    name: str
    local: bool
    row: DriveRow | None


@dataclass(frozen=True, slots=True)
class Selection:
    """The chosen drives by name; ``outage`` is why the catalogue could not be asked, if it could not."""

    drives: list[Drive]
    outage: CtaError | None


def select(site: Site, pattern: str | None, all_schedulers: bool = False) -> Selection:
    """The drives that match ``pattern`` as a whole; None means all.

    ``all_schedulers``: also drives that work for another scheduler. Raises CATALOGUE_NOT_FOUND when nothing
    matches, or the catalogue's own failure when it might have matched there; CONFIG_USAGE for a malformed
    pattern.
    """
    local = set(site.local_drives)
    outage: CtaError | None = None
    rows: dict[str, DriveRow] = {}
    try:
        rows = {row.name: row for row in site.catalogue.drives.all()}
    except CtaError as error:
        if error.spec.subject is not Subject.CATALOGUE:
            raise
        outage = error
    ours = site.config.site.scheduler_backend_name
    names = [
        name
        for name in sorted(local | rows.keys())
        if all_schedulers or name not in rows or rows[name].scheduler_name in (None, ours)
    ]
    if pattern == "first":
        names = site.local_drives[:1]
    elif pattern is not None:
        expression = _compiled(pattern)
        names = [name for name in names if expression.fullmatch(name)]
    if not names and pattern is not None:
        raise outage or CtaError(CATALOGUE_NOT_FOUND, f"no drive matches {pattern!r}; nothing was done")
    host = site.config.host
    drives = [
        Drive(name, name in local and (name not in rows or rows[name].host == host), rows.get(name))
        for name in names
    ]
    return Selection(drives, outage)


def daemon_of(site: Site, drive: Drive) -> Daemon | None:
    """The daemon of a drive of this host, whether or not it runs; None for a drive of another host."""
    return Daemon(site, drive.name) if drive.local else None


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise CtaError(CONFIG_USAGE, f"{pattern!r} is no regular expression: {error}") from None
