# SPDX-License-Identifier: GPL-3.0-or-later
"""``cta-admin drive``: set drives up or down, list them, describe one, comment on them, forget them.

What it is: the commands. What it is not: how a wish reaches a drive (``wishes``), which drives are meant
(``selection``), or the rows of the listing (``drivelist``).
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from cta_taped.admin import drivelist, wishes
from cta_taped.admin.completion import drive_names, local_drive_names
from cta_taped.admin.daemon import Daemon
from cta_taped.admin.output import Problems, Row, facts, listing, note
from cta_taped.admin.selection import Drive, Selection, select
from cta_taped.admin.site import Site, json_option, pass_site, settled
from cta_taped.common.errors import CATALOGUE_NOT_FOUND, CONFIG_USAGE, CtaError
from cta_taped.common.model import Grade

_GRADES = {"drain": Grade.DRAIN, "quick": Grade.QUICK, "force": Grade.NOW}

pattern_argument = click.argument("pattern", metavar="REGEX", shell_complete=drive_names)
wait_option = click.option("--wait", is_flag=True, help="Wait until the drive is as wished.")


@click.group()
def drive() -> None:
    """Set drives up or down, list, describe and forget them.

    REGEX must match a drive's whole name; 'first' is the first drive that is configured on this host.
    """


@drive.command()
@pattern_argument
@click.option("-r", "--reason", help="Why; replaces the stored reason, which is cleared without this.")
@wait_option
@pass_site
def up(site: Site, pattern: str, reason: str | None, wait: bool) -> None:
    """Set drives up."""
    _wish(site, pattern, wishes.Wish(True, reason), wait)


@drive.command()
@pattern_argument
@click.option("-r", "--reason", required=True, help="Why (shown by 'drive ls').")
@click.option("--drain", "how", flag_value="drain", help="Finish the queued work of a running mount first.")
@click.option("--quick", "how", flag_value="quick", help="Finish the current file, then end the mount.")
@click.option("-f", "--force", "how", flag_value="force", help="Stop at the current block.")
@wait_option
@pass_site
def down(site: Site, pattern: str, reason: str, how: str | None, wait: bool) -> None:
    """Set drives down; a running mount ends as configured, or as the option says."""
    if not reason.strip():
        raise CtaError(CONFIG_USAGE, "--reason must not be empty")
    _wish(site, pattern, wishes.Wish(False, reason, _GRADES[how] if how else None), wait)


def _wish(site: Site, pattern: str, wish: wishes.Wish, wait: bool) -> None:
    selection = select(site, pattern)
    problems = Problems()
    waited_for = []
    for chosen in selection.drives:
        try:
            by = wishes.express(site, selection, chosen, wish)
        except CtaError as error:
            problems.add(error)
            continue
        click.echo(f"Drive {chosen.name}: set {wish.word} {by}.")
        waited_for.append(chosen)
    for chosen in waited_for if wait else ():
        try:
            wishes.wait_for(site, chosen, wish)
        except CtaError as error:
            problems.add(error)
            continue
        click.echo(f"Drive {chosen.name}: is {wish.word}.")
    problems.end()


@drive.command("ls")
@click.argument("pattern", metavar="[REGEX]", required=False, shell_complete=drive_names)
@click.option("-a", "--all", "all_schedulers", is_flag=True, help="Also drives of other schedulers.")
@json_option
@pass_site
def list_drives(site: Site, pattern: str | None, all_schedulers: bool) -> None:
    """List drives; those whose row nobody refreshed for 20 minutes are STALE.

    While the catalogue is away, the drives of this host are listed as their daemons describe them.
    """
    selection = select(site, pattern, all_schedulers)
    if selection.outage is None:
        rows = [
            drivelist.from_catalogue(chosen.row, site.config.site.instance_name)
            for chosen in selection.drives
            if chosen.row is not None
        ]
        if pattern is not None and not rows:
            raise CtaError(CATALOGUE_NOT_FOUND, f"no registered drive matches {pattern!r}")
        _list(site, rows)
        return
    problems = Problems()
    problems.add(selection.outage)
    note("listed are the drives of this host, as their daemons describe them")
    rows = []
    for chosen in selection.drives:
        try:
            daemon = Daemon(site, chosen.name)
            rows.append(drivelist.from_daemon(daemon.config, daemon.state()))
        except CtaError as error:
            problems.add(error)
    _list(site, rows)
    problems.end()


def _list(site: Site, rows: Sequence[Row]) -> None:
    shown = rows if site.as_json else map(drivelist.for_people, rows)
    listing(shown, drivelist.COLUMNS, site.as_json)


@drive.command()
@click.argument("name", metavar="NAME", shell_complete=local_drive_names)
@json_option
@pass_site
def show(site: Site, name: str) -> None:
    """Describe a drive of this host, as its daemon knows it at this moment."""
    facts(Daemon(site, name).state().model_dump(), site.as_json)


@drive.command("ch")
@pattern_argument
@click.option("-m", "--comment", required=True, help="Comment; empty clears it.")
@pass_site
def change(site: Site, pattern: str, comment: str) -> None:
    """Change the comment of drives."""
    for chosen in _registered(site, pattern).drives:
        name = chosen.name
        settled(site.catalogue.drives.set_comment, name, comment, site.author)
        click.echo(f"Drive {name}: comment changed.")


@drive.command("rm")
@pattern_argument
@click.option("-f", "--force", is_flag=True, help="Also a drive that is not down.")
@pass_site
def remove(site: Site, pattern: str, force: bool) -> None:
    """Forget drives that are down. A daemon that runs registers its drive again."""
    problems = Problems()
    for chosen in _registered(site, pattern).drives:
        name = chosen.name
        try:
            settled(site.catalogue.drives.remove, name, force)
        except CtaError as error:
            problems.add(error)
            continue
        click.echo(f"Drive {name}: removed.")
    problems.end()


def _registered(site: Site, pattern: str) -> Selection:
    """The chosen drives that the catalogue knows, whichever scheduler they work for."""
    selection = select(site, pattern, all_schedulers=True)
    if selection.outage is not None:
        raise selection.outage
    known: list[Drive] = [chosen for chosen in selection.drives if chosen.row is not None]
    if not known:
        raise CtaError(CATALOGUE_NOT_FOUND, f"no registered drive matches {pattern!r}; nothing was done")
    return Selection(known, None)
