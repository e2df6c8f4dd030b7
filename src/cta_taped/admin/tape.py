# SPDX-License-Identifier: GPL-3.0-or-later
"""``cta-admin tape``: the administrative object with more to it: states, reclaiming, labels, contents.

What it is: the generated commands of ``objects`` where they suffice, and the others. Why a tape's state is
not a field like the others: it needs a reason, who changed it is recorded, and drives change it too.
"""

from __future__ import annotations

from typing import Any, Final

import click

from cta_taped.admin import objects
from cta_taped.admin.completion import object_names
from cta_taped.admin.label import label
from cta_taped.admin.nouns import NOUNS
from cta_taped.admin.site import Site, json_option, pass_site, settled
from cta_taped.admin.tape_image import extract_files, scan, write
from cta_taped.common.errors import CONFIG_USAGE, CtaError
from cta_taped.common.model import TapeState
from cta_taped.db.catalogue import ObjectKind, ObjectValue

_KIND: Final = ObjectKind.TAPE
# Those a drive or the maintenance passes through (upstream: Scheduler::triggerTapeStateChange).
_STATES: Final = tuple(state.value for state in TapeState if not state.value.endswith("_PENDING"))

_state_option = click.option("-s", "--state", type=click.Choice(_STATES, case_sensitive=False), help="State.")
_reason_option = click.option("-r", "--reason", help="Why; needed for every state but ACTIVE.")

tape = click.Group("tape", help=NOUNS[_KIND].help)
tape.add_command(objects.remove_command(_KIND))
tape.add_command(label)
tape.add_command(scan)
tape.add_command(extract_files)
tape.add_command(write)


@tape.command("add", params=objects.add_options(_KIND))
@_state_option
@_reason_option
@pass_site
def add(site: Site, /, state: str | None, reason: str | None, **given: ObjectValue) -> None:
    """Add a tape."""
    _check_reason(state, reason)
    values = objects.chosen(given)
    objects.add_object(site, _KIND, values)
    if state is not None:
        _set_state(site, str(values["vid"]), state, reason)


@tape.command("ch", params=objects.change_options(_KIND))
@_state_option
@_reason_option
@click.option(
    "--verificationstatus", "--vs", "verification", help="Text of the last verification; empty clears."
)
@pass_site
def change(
    site: Site, /, state: str | None, reason: str | None, verification: str | None, **given: ObjectValue
) -> None:
    """Change a tape."""
    _check_reason(state, reason)
    key, values = objects.split_key(_KIND, objects.chosen(given))
    if not values and state is None and verification is None:
        raise CtaError(CONFIG_USAGE, "nothing to change was given; see 'cta-admin tape ch --help'")
    vid = str(key["vid"])
    if values:
        settled(site.catalogue.objects.change, _KIND, key, values, site.author)
    if verification is not None:
        settled(site.catalogue.tapes.set_verification_status, vid, verification or None)
    if state is not None:
        _set_state(site, vid, state, reason)
    click.echo(f"{objects.named(_KIND, key)}: changed.")


def _check_reason(state: str | None, reason: str | None) -> None:
    if reason is not None and state is None:
        raise CtaError(CONFIG_USAGE, "--reason belongs to --state")
    if state not in (None, TapeState.ACTIVE) and not (reason or "").strip():
        raise CtaError(CONFIG_USAGE, f"--state {state} needs a --reason")


def _set_state(site: Site, vid: str, state: str, reason: str | None) -> None:
    settled(site.catalogue.tapes.set_state, vid, TapeState(state), reason or "", site.author)


@tape.command("ls", params=[one for one in objects.filter_options(_KIND) if one.name != "state"])
@_state_option
@click.option(
    "--virtualorganisation",
    "--virtualorganization",
    "--vo",
    "vo",
    shell_complete=object_names(ObjectKind.VIRTUAL_ORGANIZATION, "vo"),
    help="Virtual organization.",
)
@click.option(
    "--physicallibrary",
    "--pl",
    "physical_library",
    shell_complete=object_names(ObjectKind.PHYSICAL_LIBRARY, "name"),
    help="Physical library.",
)
@click.option("-a", "--all", "everything", is_flag=True, help="All tapes, as without any condition.")
@json_option
@pass_site
def list_tapes(
    site: Site, /, vo: str | None, physical_library: str | None, everything: bool, **given: ObjectValue
) -> None:
    """List tapes that fulfil all conditions."""
    where = objects.chosen(given)
    if everything and (where or vo or physical_library):
        raise CtaError(CONFIG_USAGE, "--all and conditions exclude each other")

    def fits(row: Any) -> bool:
        return vo in (None, row["vo"]) and physical_library in (None, row["physicalLibrary"])

    objects.list_objects(site, _KIND, where, fits)


@tape.command()
@click.option(
    "-v", "--vid", required=True, shell_complete=object_names(_KIND, "vid"), help="Volume identifier."
)
@click.option(
    "--quarantine",
    "quarantine_s",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seconds that must have passed since the last of its files was deleted.",
)
@pass_site
def reclaim(site: Site, vid: str, quarantine_s: int) -> None:
    """Make a full tape without files writable again, from its beginning."""
    settled(site.catalogue.tapes.reclaim, vid, site.author, quarantine_s)
    click.echo(f"tape {vid}: reclaimed.")
