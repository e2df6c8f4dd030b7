# SPDX-License-Identifier: GPL-3.0-or-later
"""Which program part serves a database URL.

What it is: a table from URL scheme to the part that opens it, resolved by name. What it is not: a registry
that others add to, or knowledge of any database. Why: nobody imports a database driver who does not use it.

URLs: ``sqlite:///DIRECTORY/FILE`` (absolute path), ``postgresql://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE``.
Catalogue and scheduler may share one database.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from contextlib import closing
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from cta_taped.common.errors import CONFIG_INVALID, CtaError

if TYPE_CHECKING:
    from cta_taped.db.catalogue import Catalogue
    from cta_taped.db.scheduler import Scheduler

BACKENDS: Final[dict[str, str]] = {
    "sqlite": "cta_taped.db.sql.sqlite",
    "postgresql": "cta_taped.db.sql.postgresql",
}


class SchemaPart(StrEnum):
    """Which of the two schemas is meant."""

    CATALOGUE = "catalogue"
    SCHEDULER = "scheduler"


def _resolve(url: str, name: str) -> Callable[..., Any]:
    scheme = url.partition(":")[0]
    module = BACKENDS.get(scheme)
    if module is None:
        known = ", ".join(sorted(BACKENDS))
        raise CtaError(CONFIG_INVALID, f"database {scheme!r}: unknown scheme, expected one of {known}")
    function: Callable[..., Any] = pkgutil.resolve_name(f"{module}:{name}")
    return function


def open_catalogue(url: str) -> Catalogue:
    """Open a catalogue; nothing is connected before the first question.

    Raises CONFIG_INVALID for a bad URL.
    """
    catalogue: Catalogue = _resolve(url, "open_catalogue")(url)
    return catalogue


def open_scheduler(url: str, catalogue_url: str, backend_name: str) -> Scheduler:
    """Open a scheduler beside its catalogue (mount decisions and requests read both).

    ``backend_name``: SchedulerBackendName of this instance; drives of other names do not count as existing
    mounts (scheduler reference 4). Raises CONFIG_INVALID for a bad URL.
    """
    scheduler: Scheduler = _resolve(url, "open_scheduler")(url, catalogue_url, backend_name)
    return scheduler


def create_schema(url: str, part: SchemaPart) -> None:
    """Create the tables of one part in a database that has none of them, and our own tables beside them.

    Raises *_SCHEMA when it has some already: an existing schema is never altered.
    """
    with closing(_resolve(url, "installation")(url, part, create=True)) as installation:
        installation.create()


def create_own_tables(url: str, part: SchemaPart) -> None:
    """Create only our own tables, in a database whose other tables CTA created."""
    with closing(_resolve(url, "installation")(url, part, create=False)) as installation:
        installation.create_own()


def check_schema(url: str, part: SchemaPart) -> None:
    """Ask whether version and columns are as they should be. Raises *_SCHEMA naming what is missing."""
    with closing(_resolve(url, "installation")(url, part, create=False)) as installation:
        installation.check()
