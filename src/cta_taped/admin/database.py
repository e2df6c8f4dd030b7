# SPDX-License-Identifier: GPL-3.0-or-later
"""``cta-admin db``: create the two databases of a site, and check that they are what this version needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cta_taped.admin.output import Problems
from cta_taped.admin.site import Site, pass_site
from cta_taped.common.errors import CATALOGUE_SCHEMA, SCHEDULER_SCHEMA, CtaError
from cta_taped.db.backends import SchemaPart, check_schema, create_own_tables, create_schema


def _parts_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for part in reversed(SchemaPart):
        function = click.option(
            f"--{part}", "only", flag_value=part.value, help=f"Only the {part}. [default: both]"
        )(function)
    return function


@click.group()
def database() -> None:
    """Create and check the databases that the site's configuration names."""


@database.command()
@_parts_options
@pass_site
def create(site: Site, only: str | None) -> None:
    """Create the tables in databases that have none; what is there already is left as it is."""
    _each(site, only, _create)


@database.command()
@_parts_options
@pass_site
def check(site: Site, only: str | None) -> None:
    """Check version and columns."""
    _each(site, only, _check)


def _each(site: Site, only: str | None, do: Callable[[str, SchemaPart], str]) -> None:
    problems = Problems()
    urls = {
        SchemaPart.CATALOGUE: site.config.catalogue.url,
        SchemaPart.SCHEDULER: site.config.scheduler.url,
    }
    for part, url in urls.items():
        if only in (None, part.value):
            try:
                click.echo(f"{part}: {do(url, part)}.")
            except CtaError as error:
                problems.add(error)
    problems.end()


def _create(url: str, part: SchemaPart) -> str:
    try:
        create_schema(url, part)
    except CtaError as error:
        if error.spec not in (CATALOGUE_SCHEMA, SCHEDULER_SCHEMA):
            raise
        try:
            check_schema(url, part)
        except CtaError:
            # A database that CTA made has all but the tables of our own.
            create_own_tables(url, part)
            check_schema(url, part)
            return "made by CTA, now with the tables that cta-taped needs beside CTA's"
        return "is there already and is left as it is"
    return "created"


def _check(url: str, part: SchemaPart) -> str:
    check_schema(url, part)
    return "is as it should be"
