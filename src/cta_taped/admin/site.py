# SPDX-License-Identifier: GPL-3.0-or-later
"""What every command is given: the site's configuration, its two databases, and who is asking.

What it is: the object that click hands to each command; everything in it is made when first asked for, so
that a command which needs no database works without one. What it is not: a cache of anything that may
change.
"""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import click

from cta_taped.common.config import configured_drives, load_site
from cta_taped.common.config_schema import SiteConfig
from cta_taped.common.errors import CONFIG_USAGE, CtaError, Retry
from cta_taped.db.backends import open_catalogue, open_scheduler
from cta_taped.db.catalogue import Author, Catalogue, ObjectKind
from cta_taped.db.scheduler import Scheduler

_P = ParamSpec("_P")
_T = TypeVar("_T")

_ATTEMPTS: Final = 6
_FIRST_PAUSE_S: Final = 0.05


class Site:
    """The site as one run of ``cta-admin`` sees it. ``as_json``: listings are for programs."""

    def __init__(self, file: Path, as_json: bool) -> None:
        self.file = file
        self.as_json = as_json

    @cached_property
    def config(self) -> SiteConfig:
        """The site file. Raises CONFIG_MISSING, CONFIG_INVALID."""
        return load_site(self.file)

    @cached_property
    def catalogue(self) -> Catalogue:
        """The catalogue; nothing is connected before the first question."""
        return open_catalogue(self.config.catalogue.url)

    @cached_property
    def scheduler(self) -> Scheduler:
        """The scheduler, likewise."""
        config = self.config
        return open_scheduler(config.scheduler.url, config.catalogue.url, config.site.scheduler_backend_name)

    @cached_property
    def author(self) -> Author:
        """The user of this process, by the password database and not by what the environment says."""
        try:
            name = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            name = f"uid{os.getuid()}"
        return Author(name, self.config.host)

    @property
    def local_drives(self) -> list[str]:
        """Names of the drives that have a file on this host."""
        return configured_drives(self.file)

    def disk_instance(self, name: str | None) -> str:
        """``name``, or the only disk instance there is. Raises CONFIG_USAGE when that is no answer."""
        if name is not None:
            return name
        names = [str(row["name"]) for row in self.catalogue.objects.find(ObjectKind.DISK_INSTANCE)]
        if len(names) == 1:
            return names[0]
        found = f"one of {', '.join(names)}" if names else "add one with 'cta-admin diskinstance add'"
        raise CtaError(CONFIG_USAGE, f"--instance is needed: {found}")

    def close(self) -> None:
        """Let the connections go, if there are any."""
        for name in ("catalogue", "scheduler"):
            database = self.__dict__.pop(name, None)
            if database is not None:
                database.close()


pass_site = click.make_pass_decorator(Site)


def settled(action: Callable[_P, _T], *arguments: _P.args, **options: _P.kwargs) -> _T:
    """The answer of ``action``, which is repeated a few times while transactions meet."""
    pause_s = _FIRST_PAUSE_S
    for _ in range(_ATTEMPTS - 1):
        try:
            return action(*arguments, **options)
        except CtaError as error:
            if error.spec.retry is not Retry.IMMEDIATE:
                raise
            time.sleep(pause_s)
            pause_s *= 2
    return action(*arguments, **options)


def _make_listing_json(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and isinstance(context.obj, Site):
        context.obj.as_json = True


json_option = click.option(
    "--json",
    is_flag=True,
    expose_value=False,
    callback=_make_listing_json,
    help="Print JSON (as 'cta-admin --json ...').",
)
