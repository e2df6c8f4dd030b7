# SPDX-License-Identifier: GPL-3.0-or-later
"""How ``cta-admin`` speaks: listings for people, for pipes and for programs; one line for each problem.

What it is: columns, three forms of a listing, the collector of problems of a command that goes on after
one. What it is not: knowledge of any object. Why one place: a listing has the same rows in each of its
forms, and no name that somebody gave to a file can move the cursor of the operator who lists it.

JSON has upstream's field names, and numbers as numbers (upstream's protobuf writes 64-bit ones as text).
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from cta_taped.common.errors import EX_SOFTWARE, CtaError

PROGRAM: Final = "cta-admin"
_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB", "EB")

Row = Mapping[str, Any]


def printable(text: str) -> str:
    """``text`` on one line, with what is no visible character (newline, escape, lone surrogate) as an
    escape.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def shown(value: Any) -> str:
    """Any value as a cell; nothing is a dash, so that the columns of plain text can be counted."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    return printable(str(value))


def shown_size(value: int | None) -> str:
    """A size in bytes with its decimal unit, as tapes are sold."""
    if value is None:
        return "-"
    size, unit = float(value), 0
    while size >= 999.95 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{value} B" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"


def shown_time(value: int | None) -> str:
    """A time (epoch s) as local date and time."""
    return "-" if not value else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value))


def shown_duration(value: float | None) -> str:
    """A duration in seconds as days, hours, minutes and seconds."""
    if value is None:
        return "-"
    minutes, seconds = divmod(max(0, round(value)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return (
        f"{days}d {hours:02}:{minutes:02}:{seconds:02}" if days else f"{hours:02}:{minutes:02}:{seconds:02}"
    )


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: the JSON field it shows, its heading, and how it shows it."""

    field: str
    title: str
    show: Callable[[Any], str] = shown
    right: bool = False


def listing(rows: Iterable[Row], columns: Sequence[Column], as_json: bool) -> None:
    """Print rows: as one JSON array, as a table on a terminal, as aligned text elsewhere."""
    if as_json:
        _print_json(rows)
        return
    cells = [[column.show(row.get(column.field)) for column in columns] for row in rows]
    if sys.stdout.isatty():
        _print_table(cells, columns)
    else:
        _print_aligned(cells, columns)


def _print_json(rows: Iterable[Row]) -> None:
    # Row by row: a tape has millions of files.
    separator = "["
    for row in rows:
        click.echo(separator + json.dumps(row), nl=False)
        separator = ",\n"
    click.echo("]" if separator != "[" else "[]")


def _print_aligned(cells: Sequence[Sequence[str]], columns: Sequence[Column]) -> None:
    titles = [column.title for column in columns]
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    for line in (titles, *cells):
        padded = [
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())


def _print_table(cells: Sequence[Sequence[str]], columns: Sequence[Column]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), header_style="bold")
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
    for line in cells:
        table.add_row(*map(Text, line))
    Console(width=shutil.get_terminal_size().columns).print(table)


def facts(row: Row, as_json: bool) -> None:
    """Print one object: as JSON, or one field a line."""
    if as_json:
        click.echo(json.dumps(row))
        return
    width = max(map(len, row), default=0)
    for name, value in row.items():
        click.echo(f"{name:<{width}}  {shown(value)}")


def note(text: str) -> None:
    """Tell something that is neither result nor failure, on standard error."""
    click.echo(f"{PROGRAM}: {printable(text)}", err=True)


def complain(error: CtaError) -> int:
    """Print a failure as one line; the exit status of its row, never 0."""
    click.echo(f"{PROGRAM}: {printable(str(error))}", err=True)
    return error.spec.exit_status or EX_SOFTWARE


class Problems:
    """The problems of a command that does all it can: each is told at once, the first decides the exit
    status.
    """

    def __init__(self) -> None:
        self.status = 0
        self.count = 0

    def add(self, error: CtaError) -> None:
        """Tell one."""
        status = complain(error)
        self.status = self.status or status
        self.count += 1

    def end(self) -> None:
        """End the command with the status of the first problem, if there was one."""
        if self.status:
            raise click.exceptions.Exit(self.status)
