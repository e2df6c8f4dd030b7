# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m tests.bench [--quick] [--check] [--json FILE]``: the transfer path against its limits.

Works in memory (/dev/shm) and removes what it made. With ``--check`` a missed target is exit status 1.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from tests.bench.rows import FULL, QUICK, Bench, Row

from cta_taped.session.pipeline import share_interpreter

_MEMORY = Path("/dev/shm")


def _print(console: Console, rows: list[Row]) -> None:
    table = Table(title="Transfer path against the physical limit of the same run")
    table.add_column("what")
    for heading in ("value", "limit", "unit", "ratio", "target"):
        table.add_column(heading, justify="right")
    for row in rows:
        colour = "" if row.target is None else "red" if row.missed else "green"
        table.add_row(
            row.name,
            f"{row.value:.3g}" if row.value < 1000 else f"{row.value:,.0f}",
            "" if row.limit is None else f"{row.limit:.3g}" if row.limit < 1000 else f"{row.limit:,.0f}",
            row.unit,
            "" if row.ratio is None else f"{row.ratio:.2f}",
            "" if row.target is None else f"{row.target:.2f}{' missed' * row.missed}",
            style=colour,
        )
    console.print(table)


@click.command()
@click.option("--quick", is_flag=True, help="Less data and fewer rounds: about a minute.")
@click.option("--check", is_flag=True, help="Exit with status 1 if a target is missed.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the rows to this file.")
def main(quick: bool, check: bool, json_path: Path | None) -> None:
    """Measure, print, and optionally judge."""
    console = Console()
    share_interpreter()
    memory = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="cta-taped-bench-", dir=memory) as directory:
        rows = []
        with console.status("measuring") as status:
            for row in Bench(Path(directory), QUICK if quick else FULL).rows():
                rows.append(row)
                status.update(row.name)
    _print(console, rows)
    if json_path is not None:
        listed = [
            {
                "name": row.name,
                "value": row.value,
                "unit": row.unit,
                "limit": row.limit,
                "ratio": row.ratio,
                "target": row.target,
            }
            for row in rows
        ]
        json_path.write_text(json.dumps(listed, indent=1) + "\n")
    if check and any(row.missed for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
