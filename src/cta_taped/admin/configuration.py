# SPDX-License-Identifier: GPL-3.0-or-later
"""``cta-admin config``: check the configuration of this host, and show it with the source of each value."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import click

from cta_taped.admin.completion import local_drive_names
from cta_taped.admin.output import Column, Problems, listing
from cta_taped.admin.site import Site, json_option, pass_site
from cta_taped.common.config import load, load_site
from cta_taped.common.errors import CtaError

_COLUMNS = (Column("key", "key"), Column("value", "value"), Column("source", "source"))


@click.group()
def configuration() -> None:
    """Check and show the configuration of this host."""


@configuration.command()
@pass_site
def check(site: Site) -> None:
    """Check the site file and the file of every drive; each wrong file is one line."""
    problems = Problems()
    checks: dict[str, Callable[[], object]] = {str(site.file): partial(load_site, site.file)}
    checks |= {f"drive {name}": partial(load, site.file, name) for name in site.local_drives}
    for what, read in checks.items():
        try:
            read()
        except CtaError as error:
            problems.add(error)
            continue
        click.echo(f"{what}: is right.")
    problems.end()


@configuration.command()
@click.argument("drive", metavar="DRIVE", shell_complete=local_drive_names)
@json_option
@pass_site
def show(site: Site, drive: str) -> None:
    """Show every value that is in force for a drive, and the file and line that it comes from."""
    values = load(site.file, drive).values()
    rows = [{"key": value.key, "value": value.value, "source": value.source} for value in values]
    listing(rows, _COLUMNS, site.as_json)
