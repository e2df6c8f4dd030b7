# SPDX-License-Identifier: GPL-3.0-or-later
"""``cta-admin NOUN add|ch|rm|ls`` for every kind of administrative object, made from two tables.

What it is: commands generated from the catalogue's fields and their spelling (``nouns``). What it is not: any rule on
their values; the catalogue checks them, and says so in a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import click

from cta_taped.admin import objectrows
from cta_taped.admin.completion import object_names
from cta_taped.admin.nouns import NOUNS, Noun
from cta_taped.admin.output import listing
from cta_taped.admin.quantities import Size
from cta_taped.admin.site import Site, json_option, pass_site, settled
from cta_taped.common.errors import CATALOGUE_NOT_FOUND, CONFIG_USAGE, CtaError
from cta_taped.db.backends import open_catalogue
from cta_taped.db.catalogue import ObjectField, ObjectKind, ObjectValue

_KIND_OF: Final = {noun.name: kind for kind, noun in NOUNS.items()}


@cache
def fields(kind: ObjectKind) -> tuple[ObjectField, ...]:
    """The fields of a kind.

    They are the same in every backend and ask no database, so that --help needs no configuration.
    """
    return open_catalogue("sqlite:////never-opened").objects.fields(kind)


def noun_group(name: str) -> click.Group:
    """The command group of a noun: add, ch, rm, ls."""
    kind = _KIND_OF[name]
    noun = NOUNS[kind]
    group = click.Group(name, help=noun.help)
    for make in (add_command, change_command, remove_command, list_command):
        group.add_command(make(kind))
    return group


def add_command(kind: ObjectKind) -> click.Command:
    """``add``: every field that may be set; those must be given that the catalogue demands."""

    @pass_site
    def add(site: Site, **given: ObjectValue) -> None:
        values = _given(given)
        settled(lambda: site.catalogue.objects.add(kind, values, site.author))
        click.echo(f"{_named(kind, values)}: added.")

    options = [_option(kind, field, field.required) for field in fields(kind) if field.settable]
    return click.Command("add", callback=add, params=options, help=f"Add a {kind}.")


def change_command(kind: ObjectKind) -> click.Command:
    """``ch``: the keys name the object, every other field that is given is changed."""

    @pass_site
    def change(site: Site, **given: ObjectValue) -> None:
        key, values = split_key(kind, given)
        if not values:
            raise CtaError(CONFIG_USAGE, f"nothing to change was given; see 'cta-admin {kind} ch --help'")
        settled(lambda: site.catalogue.objects.change(kind, key, values, site.author))
        click.echo(f"{_named(kind, key)}: changed.")

    return click.Command("ch", callback=change, params=change_options(kind), help=f"Change a {kind}.")


def remove_command(kind: ObjectKind) -> click.Command:
    """``rm``: by the keys."""

    @pass_site
    def remove(site: Site, **given: ObjectValue) -> None:
        key = _given(given)
        settled(lambda: site.catalogue.objects.remove(kind, key))
        click.echo(f"{_named(kind, key)}: removed.")

    return click.Command("rm", callback=remove, params=_key_options(kind), help=f"Remove a {kind}.")


def list_command(kind: ObjectKind) -> click.Command:
    """``ls``: all, or those that have the given values."""

    @json_option
    @pass_site
    def list_objects(site: Site, **given: ObjectValue) -> None:
        list_where(site, kind, _given(given))

    return _command(
        "ls", list_objects, filter_options(kind), f"List {NOUNS[kind].name} objects, all or as given."
    )


def list_where(
    site: Site,
    kind: ObjectKind,
    where: Mapping[str, ObjectValue],
    fits: Callable[[Mapping[str, Any]], bool] = lambda row: True,
) -> None:
    """List the objects with these values that fit. Raises CATALOGUE_NOT_FOUND when one was named and is not there."""
    found = [row for row in objectrows.rows(site.catalogue.objects, kind, where) if fits(row)]
    keys = {field.name for field in fields(kind) if field.key}
    if not found and keys & where.keys():
        raise CtaError(CATALOGUE_NOT_FOUND, f"{_named(kind, where)} is not in the catalogue")
    listing(found, objectrows.columns(kind, fields(kind)), site.as_json)


def add_options(kind: ObjectKind) -> list[click.Parameter]:
    """The options of ``add``."""
    return [_option(kind, field, field.required) for field in fields(kind) if field.settable]


def change_options(kind: ObjectKind) -> list[click.Parameter]:
    """The options of ``ch``."""
    others = [_option(kind, field, False) for field in fields(kind) if field.settable and not field.key]
    return [*_key_options(kind), *others]


def filter_options(kind: ObjectKind) -> list[click.Parameter]:
    """An option for each field that has one."""
    return [_option(kind, field, False) for field in fields(kind) if NOUNS[kind].fields[field.name].options]


def split_key(
    kind: ObjectKind, given: Mapping[str, ObjectValue]
) -> tuple[dict[str, ObjectValue], dict[str, ObjectValue]]:
    """The keys and the other values among the options that were given."""
    keys = {field.name for field in fields(kind) if field.key}
    values = _given(given)
    return (
        {name: value for name, value in values.items() if name in keys},
        {name: value for name, value in values.items() if name not in keys},
    )
