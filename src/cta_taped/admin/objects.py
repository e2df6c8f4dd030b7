# SPDX-License-Identifier: GPL-3.0-or-later
"""``cta-admin NOUN add|ch|rm|ls`` for every kind of administrative object, made from two tables.

What it is: commands generated from the catalogue's fields and their spelling (``nouns``). What it is not:
any rule on their values; the catalogue checks them, and says so in a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import click

from cta_taped.admin import objectrows
from cta_taped.admin.completion import object_names
from cta_taped.admin.nouns import NOUNS
from cta_taped.admin.output import listing, printable
from cta_taped.admin.quantities import Size
from cta_taped.admin.site import Site, json_option, pass_site, settled
from cta_taped.common.errors import CATALOGUE_NOT_FOUND, CONFIG_USAGE, CtaError
from cta_taped.db.backends import open_catalogue
from cta_taped.db.catalogue import ObjectField, ObjectKind, ObjectValue

_TYPES: Final[dict[type, click.ParamType[Any]]] = {
    str: click.STRING,
    int: click.IntRange(min=0),
    bool: click.BOOL,
}
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
    group = click.Group(name, help=NOUNS[kind].help)
    for make in (add_command, change_command, remove_command, list_command):
        group.add_command(make(kind))
    return group


def add_command(kind: ObjectKind) -> click.Command:
    """``add``: every field that may be set; those must be given that the catalogue demands."""

    @click.command("add", params=add_options(kind), help=f"Add a {kind}.")
    @pass_site
    def add(site: Site, /, **given: ObjectValue) -> None:
        add_object(site, kind, chosen(given))

    return add


def change_command(kind: ObjectKind) -> click.Command:
    """``ch``: the keys name the object, every other field that is given is changed."""

    @click.command("ch", params=change_options(kind), help=f"Change a {kind}.")
    @pass_site
    def change(site: Site, /, **given: ObjectValue) -> None:
        key, values = split_key(kind, chosen(given))
        if not values:
            raise CtaError(CONFIG_USAGE, f"nothing to change was given; see 'cta-admin {kind} ch --help'")
        settled(site.catalogue.objects.change, kind, key, values, site.author)
        click.echo(f"{named(kind, key)}: changed.")

    return change


def remove_command(kind: ObjectKind) -> click.Command:
    """``rm``: by the keys."""

    @click.command("rm", params=_key_options(kind), help=f"Remove a {kind}.")
    @pass_site
    def remove(site: Site, /, **given: ObjectValue) -> None:
        key = chosen(given)
        settled(site.catalogue.objects.remove, kind, key)
        click.echo(f"{named(kind, key)}: removed.")

    return remove


def list_command(kind: ObjectKind) -> click.Command:
    """``ls``: all, or those that have the given values."""

    @click.command("ls", params=filter_options(kind), help=f"List each {kind}, or those with given values.")
    @json_option
    @pass_site
    def list_all(site: Site, /, **given: ObjectValue) -> None:
        list_objects(site, kind, chosen(given))

    return list_all


def add_object(site: Site, kind: ObjectKind, values: Mapping[str, ObjectValue]) -> None:
    """Add one and say so."""
    settled(site.catalogue.objects.add, kind, values, site.author)
    click.echo(f"{named(kind, values)}: added.")


def list_objects(
    site: Site,
    kind: ObjectKind,
    where: Mapping[str, ObjectValue],
    fits: Callable[[Mapping[str, Any]], bool] = lambda row: True,
) -> None:
    """List objects with these values that fit.

    Raises CATALOGUE_NOT_FOUND when one was named and is not there.
    """
    found = [row for row in objectrows.rows(site.catalogue.objects, kind, where) if fits(row)]
    if not found and where.keys() & {field.name for field in fields(kind) if field.key}:
        raise CtaError(CATALOGUE_NOT_FOUND, f"{named(kind, where)} is not in the catalogue")
    listing(found, objectrows.columns(kind, fields(kind)), site.as_json)


def chosen(given: Mapping[str, ObjectValue]) -> dict[str, ObjectValue]:
    """The options that were given."""
    return {name: value for name, value in given.items() if value is not None}


def split_key(
    kind: ObjectKind, values: Mapping[str, ObjectValue]
) -> tuple[dict[str, ObjectValue], dict[str, ObjectValue]]:
    """The keys, and the other values."""
    keys = {field.name for field in fields(kind) if field.key}
    return (
        {name: value for name, value in values.items() if name in keys},
        {name: value for name, value in values.items() if name not in keys},
    )


def named(kind: ObjectKind, values: Mapping[str, ObjectValue]) -> str:
    """An object in a sentence: its noun and its keys."""
    keys = [str(values[field.name]) for field in fields(kind) if field.key and field.name in values]
    return printable(" ".join((kind, *keys)))


def add_options(kind: ObjectKind) -> list[click.Parameter]:
    """The options of ``add``."""
    return [_option(kind, field, field.required) for field in fields(kind) if field.settable]


def change_options(kind: ObjectKind) -> list[click.Parameter]:
    """The options of ``ch``."""
    others = [_option(kind, field, False) for field in fields(kind) if field.settable and not field.key]
    return [*_key_options(kind), *others]


def filter_options(kind: ObjectKind) -> list[click.Parameter]:
    """An option for each field that has a spelling as one."""
    return [_option(kind, field, False) for field in fields(kind) if NOUNS[kind].fields[field.name].options]


def _key_options(kind: ObjectKind) -> list[click.Parameter]:
    options = []
    for field in fields(kind):
        if field.key:
            default = NOUNS[kind].fields[field.name].default
            options.append(_option(kind, field, required=default is None, default=default))
    return options


def _option(
    kind: ObjectKind, field: ObjectField, required: bool, default: str | None = None
) -> click.Parameter:
    spelling = NOUNS[kind].fields[field.name]
    other = field.reference or (kind if field.key else None)
    completer = None
    if other is not None:
        completer = object_names(other, [one.name for one in fields(other) if one.key][-1])
    # click takes even a default of None for a value that was given.
    assumed: dict[str, Any] = {} if default is None else {"default": default, "show_default": True}
    return click.Option(
        [*spelling.options.split(), field.name],
        type=Size() if field.name.endswith("_bytes") else _TYPES[field.type],
        required=required,
        help=spelling.help,
        shell_complete=completer,
        **assumed,
    )
