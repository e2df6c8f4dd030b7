# SPDX-License-Identifier: GPL-3.0-or-later
"""``cta-admin error``: the error table for people, in the forms in which they meet it.

What it is: the commands ``error ls``, ``error explain`` and ``error render``, and the two texts that are made
from the tables: docs/errors.md and the journal's message catalogue (``journalctl -x``). What it is not: a
second place for the meaning of a code; every word comes from common/errors.py and common/events.py. Why a
command renders the texts: whoever adds a code makes both files anew with it, and a test compares them.

Catalogue format: systemd, docs (https://systemd.io/CATALOG).
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Final

import click

from cta_taped.admin.output import Column, Row, listing
from cta_taped.common.errors import BY_CODE, CONFIG_USAGE, CtaError, DriveEffect, ErrorSpec, TapeEffect
from cta_taped.common.events import BY_NAME, Event, Level

if TYPE_CHECKING:  # a site loads the databases' backends, which this noun does not need
    from cta_taped.admin.site import Site

_GENERATED: Final = "Made by 'cta-admin error render {form}'; do not edit."
_CODE: Final = re.compile(r"CTA-[A-Z]+-\d{3}")
_SUBJECT_TITLES: Final = {
    "DRIVE": "The drive",
    "TAPE": "The tape",
    "LIBRARY": "The library",
    "DISK": "The disk",
    "CATALOGUE": "The catalogue",
    "SCHEDULER": "The scheduler",
    "CONFIG": "Configuration",
    "SYSTEM": "The system",
}
_COLUMNS: Final = (Column("code", "code"), Column("severity", "severity"), Column("meaning", "meaning"))
_CONTEXT: Final = "Drive: @CTA_DRIVE@. Cartridge: @CTA_VID@. Mount: @CTA_MOUNT_ID@."


def effects(spec: ErrorSpec) -> str:
    """What follows from the failure, as one sentence."""
    facts = [f"retry: {spec.retry}", "charged to the job" if spec.charged else "not charged to a job"]
    if spec.drive is not DriveEffect.NONE:
        facts.append(f"the drive goes {spec.drive}")
    if spec.tape is not TapeEffect.NONE:
        facts.append(f"the tape is set {spec.tape}")
    facts.append(f"exit status {spec.exit_status}")
    return "; ".join(facts)


def explanation(spec: ErrorSpec) -> str:
    """All that the table knows of one code, for a terminal."""
    lines = [
        f"{spec.code}  {spec.symbol}  ({spec.severity})",
        f"  What:      {spec.meaning}",
        f"  Action:    {spec.action}",
        f"  At fault:  {spec.fault}",
        f"  Effects:   {effects(spec)}",
        f"  Journal:   journalctl CTA_ERROR_CODE={spec.code}  (MESSAGE_ID={spec.message_id})",
    ]
    if spec.alias:
        lines.append(f"  Upstream:  {spec.alias}")
    return "\n".join(lines)


def render_markdown() -> str:
    """docs/errors.md: one section a subject, one heading a code."""
    lines = [
        "# Error codes",
        "",
        f"<!-- {_GENERATED.format(form='markdown')} -->",
        "",
        "Every failure that the daemon reports has one of these codes. `cta-admin error explain CODE`",
        "prints an entry on the host, `journalctl -x` shows it beside the log line, and",
        "`journalctl CTA_ERROR_CODE=CODE` finds the occurrences. A code never changes its meaning and is",
        "never used again.",
        "",
        "* **Retry** says what may be tried: `immediate`, `back-off` (wait longer each time), `other drive`,",
        "  `other tape`, `never`, or `ask first` (the outcome is unknown; the state is asked for before",
        "  anything is repeated).",
        "* **Charged** says whether the job's retry counter increases.",
        "* **Upstream** is the name of the same failure in the counters of CTA's session line.",
    ]
    for subject, specs in groupby(sorted_specs(), key=lambda spec: spec.subject):
        lines += ["", f"## {_SUBJECT_TITLES[subject]}"]
        for spec in specs:
            lines += [
                "",
                f"### {spec.code} {spec.symbol}",
                "",
                spec.meaning,
                "",
                f"*What to do:* {spec.action}",
                "",
                "| severity | at fault | retry | charged | drive | tape | exit status | upstream |",
                "|---|---|---|---|---|---|---|---|",
                f"| {spec.severity} | {spec.fault} | {spec.retry} | {'yes' if spec.charged else 'no'} "
                f"| {spec.drive} | {spec.tape} | {spec.exit_status} | {spec.alias or '-'} |",
            ]
    return "\n".join(lines) + "\n"


def render_catalog() -> str:
    """systemd/cta-taped.catalog: an entry for each code and each event of NOTICE or above."""
    entries = [_catalog_error(spec) for spec in sorted_specs()]
    entries += [_catalog_event(event) for event in BY_NAME.values() if event.level <= Level.NOTICE]
    return f"# {_GENERATED.format(form='catalog')}\n\n" + "\n".join(entries)


def sorted_specs() -> list[ErrorSpec]:
    """The rows by subject, in the order of the table's sections, then by number."""
    return sorted(BY_CODE.values(), key=lambda spec: (list(_SUBJECT_TITLES).index(spec.subject), spec.number))


def _catalog_error(spec: ErrorSpec) -> str:
    return (
        f"-- {spec.message_id}\n"
        f"Subject: {spec.code} {spec.meaning}\n"
        "Defined-By: cta-taped\n"
        "Documentation: man:cta-taped(8)\n"
        "\n"
        "@CTA_DETAIL@\n"
        f"{_CONTEXT}\n"
        "\n"
        f"What to do: {spec.action}\n"
        "\n"
        f"At fault: {spec.fault}; {effects(spec)}.\n"
    )


def _catalog_event(event: Event) -> str:
    return (
        f"-- {event.message_id}\n"
        f"Subject: {event.meaning}\n"
        "Defined-By: cta-taped\n"
        "Documentation: man:cta-taped(8)\n"
        "\n"
        f"Event {event}. {_CONTEXT}\n"
    )


def _row(spec: ErrorSpec) -> Row:
    return {
        "code": spec.code,
        "symbol": spec.symbol,
        "severity": spec.severity,
        "fault": spec.fault,
        "retry": spec.retry,
        "charged": spec.charged,
        "drive": spec.drive,
        "tape": spec.tape,
        "exitStatus": spec.exit_status,
        "alias": spec.alias,
        "meaning": spec.meaning,
        "action": spec.action,
        "messageId": spec.message_id,
    }


def find(text: str) -> list[ErrorSpec]:
    """The rows that ``text`` speaks of.

    Codes in it (a log line pasted whole), else the rows with this symbol, upstream alias or MESSAGE_ID, else
    the rows that contain all its words. Letter case does not matter.
    """
    named = [BY_CODE[code] for code in dict.fromkeys(_CODE.findall(text.upper())) if code in BY_CODE]
    if named:
        return named
    wanted = text.strip().casefold()
    if not wanted:
        return []
    exact = [
        spec
        for spec in sorted_specs()
        if wanted in (spec.symbol.casefold(), spec.alias.casefold(), spec.message_id)
    ]
    return exact or [spec for spec in sorted_specs() if all(word in _words(spec) for word in wanted.split())]


def _words(spec: ErrorSpec) -> str:
    return f"{spec.code} {spec.symbol} {spec.alias} {spec.meaning} {spec.action}".casefold()


@click.group("error")
def error() -> None:
    """Explain the codes of failures."""


@error.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.pass_obj
def list_codes(site: Site | None, as_json: bool) -> None:
    """List every code with its severity and meaning."""
    listing(map(_row, sorted_specs()), _COLUMNS, as_json or (site is not None and site.as_json))


@error.command("explain")
@click.argument("text", nargs=-1, required=True, metavar="CODE|TEXT")
def explain(text: tuple[str, ...]) -> None:
    """Explain a code, a symbol, an upstream counter, a pasted log line, or find codes by words."""
    asked = " ".join(text)
    found = find(asked)
    if not found:
        raise CtaError(CONFIG_USAGE, f"no error code fits {asked!r}; 'cta-admin error ls' lists all of them")
    click.echo("\n\n".join(explanation(spec) for spec in found))


@error.command("render")
@click.argument("form", type=click.Choice(["markdown", "catalog"]))
def render(form: str) -> None:
    """Print docs/errors.md or the journal's message catalogue anew from the tables."""
    click.echo(render_markdown() if form == "markdown" else render_catalog(), nl=False)
