# SPDX-License-Identifier: GPL-3.0-or-later
"""``cta-vtl``: make a virtual tape library, look at it, be its operator's hand, and make it fail.

The command line over ``library`` and ``faults``; whatever a drive or the robot does, they do through
their ports.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from cta_taped.common.errors import CONFIG_USAGE, LIBRARY_ELEMENT, CtaError
from cta_taped.virtual.elements import FIRST_ADDRESS, Kind, MoveRefused
from cta_taped.virtual.faults import COMMANDS, FOREVER, Fault, edited_faults, read_faults
from cta_taped.virtual.faults import Kind as FaultKind
from cta_taped.virtual.library import FAULTS, Library
from cta_taped.virtual.library_plan import Plan, add_cartridge, create_library
from cta_taped.virtual.media import MEDIA

_UNITS: Final = {
    "": 1,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "KI": 1 << 10,
    "MI": 1 << 20,
    "GI": 1 << 30,
}
_VID: Final = re.compile(r"[A-Z0-9]{1,8}")
_RANGE: Final = re.compile(r"([A-Z]*)(\d+)\.\.([A-Z]*)(\d+)")
_PLACE: Final = re.compile(r"(drive|slot|port|hand)?(\d+)?")
_KINDS: Final = {"drive": Kind.DRIVE, "slot": Kind.STORAGE, "port": Kind.PORT, "hand": Kind.TRANSPORT}
_DIRECTORY: Final = click.argument("directory", type=click.Path(path_type=Path, file_okay=False))


def parse_size(text: str) -> int:
    """Bytes from ``16MiB``, ``18T``, ``1000``. Raises CtaError CONFIG_USAGE."""
    found = re.fullmatch(r"(\d+)\s*([KMGT]?I?)B?", text.strip().upper())
    if found is None or found[2] not in _UNITS or int(found[1]) == 0:
        raise CtaError(CONFIG_USAGE, f"size {text!r}: expected a number with K, M, G, T, Ki, Mi or Gi")
    return int(found[1]) * _UNITS[found[2]]


def parse_vids(text: str) -> list[str]:
    """VIDs from ``V00001..V00010,V00020``. Raises CtaError CONFIG_USAGE."""
    vids: list[str] = []
    for piece in filter(None, text.upper().split(",")):
        found = _RANGE.fullmatch(piece)
        if found is None:
            vids.append(piece)
            continue
        prefix, first, other, last = found.groups()
        if prefix != other or len(first) != len(last) or int(first) > int(last):
            raise CtaError(CONFIG_USAGE, f"range {piece!r}: both ends need one prefix and rising numbers")
        vids += [f"{prefix}{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
    for vid in vids:
        if not _VID.fullmatch(vid):
            raise CtaError(CONFIG_USAGE, f"VID {vid!r}: expected 1 to 8 letters and digits", vid=vid)
    if len(set(vids)) != len(vids):
        raise CtaError(CONFIG_USAGE, "a VID is named twice")
    return vids


def parse_place(library: Library, text: str) -> int:
    """Element address from ``drive0``, ``slot3``, ``slot`` (first free), ``port``, ``hand`` or an address.

    Raises CtaError LIBRARY_ELEMENT, LIBRARY_DESTINATION_FULL.
    """
    found = _PLACE.fullmatch(text.lower())
    if not text or found is None:
        raise CtaError(LIBRARY_ELEMENT, f"{text!r}: expected driveN, slotN, portN, slot, port or an address")
    word, number = found.groups()
    if word is None:
        return int(number)
    kind = _KINDS[word]
    return FIRST_ADDRESS[kind] + int(number) if number else library.free_element(kind)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Virtual tape libraries: directories that behave like a library with drives."""


@cli.command()
@_DIRECTORY
@click.option("--drives", type=int, default=1, show_default=True)
@click.option("--slots", type=int, default=20, show_default=True)
@click.option("--io-slots", type=int, default=2, show_default=True, help="Import/export elements.")
@click.option("--cartridges", default="", help="VIDs: V00001..V00010, or a list with commas.")
@click.option("--media", default="LTO-9", show_default=True, help="See 'cta-vtl media ls'.")
@click.option("--capacity", default=None, help="Of each cartridge, e.g. 64MiB; default: the medium's.")
@click.option("--logical-library", default="VTL", show_default=True)
@click.option("--timing", default="none", show_default=True, help="none, real, or fast:FACTOR.")
@click.option("--drive-vendor", default="IBM", show_default=True)
@click.option("--drive-product", default="ULT3580-TD9", show_default=True)
def create(directory: Path, cartridges: str, capacity: str | None, io_slots: int, **options: Any) -> None:
    """Make a library in DIRECTORY."""
    plan = Plan(
        ports=io_slots,
        cartridges=parse_vids(cartridges),
        capacity_bytes=parse_size(capacity) if capacity else None,
        **options,
    )
    create_library(directory, plan)


def _content(library: Library) -> dict[str, Any]:
    elements = []
    for element in library.elements():
        entry: dict[str, Any] = {
            "address": element.address,
            "kind": element.kind.name.lower(),
            "vid": element.vid,
            "barcode": element.barcode,
            "source": element.source,
        }
        if element.drive is not None:
            loading = element.drive.ready_at > time.time()
            entry |= {
                "drive": element.drive.number,
                "serial": element.drive.identity.serial,
                "product": element.drive.identity.product,
                "state": "loading"
                if element.drive.state == "loaded" and loading
                else str(element.drive.state),
            }
        if element.vid is not None:
            memory = library.memory(element.vid)
            image = library.image_path(element.vid)
            entry |= {
                "media": memory.media,
                "used_bytes": image.stat().st_size if image.exists() else 0,
                "capacity_bytes": memory.capacity_bytes,
                "write_protected": memory.write_protected,
            }
        elements.append(entry)
    faults = read_faults(library.directory / FAULTS).faults
    return {
        "logical_library": library.name,
        "elements": elements,
        "faults": [fault.model_dump(mode="json", exclude_defaults=True) for fault in faults],
    }


@cli.command()
@_DIRECTORY
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def show(directory: Path, as_json: bool) -> None:
    """Show elements, cartridges, drives and faults."""
    library = Library(directory)
    try:
        content = _content(library)
    finally:
        library.close()
    if as_json:
        click.echo(json.dumps(content))
        return
    table = Table(title=f"virtual library {content['logical_library']}")
    for heading in ("address", "element", "barcode", "media", "used", "state"):
        table.add_column(heading, justify="right" if heading in ("address", "used") else "left")
    for entry in content["elements"]:
        if entry["vid"] is None and entry["kind"] == "storage":
            continue
        used = f"{entry['used_bytes'] / 1e6:.1f} MB" if entry["vid"] else ""
        name = f"drive {entry['drive']}" if "drive" in entry else entry["kind"]
        state = entry.get("state", "write protected" if entry.get("write_protected") else "")
        table.add_row(str(entry["address"]), name, entry["barcode"], entry.get("media", ""), used, state)
    console = Console()
    console.print(table)
    for fault in content["faults"]:
        console.print(f"fault {json.dumps(fault)}", highlight=False)


@cli.command()
@_DIRECTORY
@click.argument("vid")
@click.argument("to")
def move(directory: Path, vid: str, to: str) -> None:
    """Move cartridge VID TO driveN, slotN, slot, portN, port or an element address."""
    library = Library(directory)
    try:
        element = library.find(vid)
        library.move(element.address, parse_place(library, to))
    except MoveRefused as refused:
        raise refused.as_error(f"{vid} to {to}") from None
    finally:
        library.close()


@cli.command(name="import")
@_DIRECTORY
@click.argument("vid")
@click.option("--media", default=None, help="Make a blank cartridge of this medium.")
@click.option("--capacity", default=None)
def import_(directory: Path, vid: str, media: str | None, capacity: str | None) -> None:
    """Put cartridge VID into a free port; with --media a new one."""
    library = Library(directory)
    try:
        if media is not None:
            (vid,) = parse_vids(vid)
            add_cartridge(library, vid, media, parse_size(capacity) if capacity else None)
        library.import_cartridge(vid)
    finally:
        library.close()


@cli.command()
@_DIRECTORY
@click.argument("vid")
def export(directory: Path, vid: str) -> None:
    """Take cartridge VID out of its port."""
    library = Library(directory)
    try:
        library.export_cartridge(vid)
    finally:
        library.close()


@cli.group()
def fault() -> None:
    """Make devices fail: faults.json of the directory."""


@fault.command(name="add")
@_DIRECTORY
@click.argument("device")
@click.argument("kind", type=click.Choice([kind.value for kind in FaultKind]))
@click.option("--command", default="any", help=f"{', '.join(COMMANDS)}, a number, or any.")
@click.option("--after", type=int, default=0, help="Matching commands that pass first.")
@click.option("--count", type=int, default=1, help="Strikes; -1 for ever.")
@click.option("--sense", default=None, help="KEY/ASC/ASCQ in hexadecimal, for kind sense.")
@click.option("--deferred", is_flag=True, help="As an error of an earlier command.")
@click.option("--delay-s", type=float, default=0.0, help="For kind delay.")
@click.option("--alert", "alerts", type=int, multiple=True, help="TapeAlert flag, for kind alert.")
@click.option("--executed", is_flag=True, help="For kind timeout: the device does it all the same.")
@click.option("--object", "object_id", type=int, default=0, help="For kind flip: logical object number.")
@click.option("--bit", type=int, default=0, help="For kind flip: bit in the block.")
@click.option("--size", default=None, help="For kind early-end: where the tape ends.")
def fault_add(
    directory: Path, device: str, kind: str, sense: str | None, size: str | None, **options: Any
) -> None:
    """Let DEVICE (drive0, drive1 ..., changer) fail; prints the fault's number."""
    library = Library(directory)
    try:
        drives = [f"drive{e.drive.number}" for e in library.elements() if e.drive is not None]
    finally:
        library.close()
    if device not in (*drives, "changer"):
        raise CtaError(CONFIG_USAGE, f"unknown device {device!r}; known are {', '.join(drives)}, changer")
    if sense is not None:
        found = re.fullmatch(r"([0-9a-fA-F])/([0-9a-fA-F]{1,2})/([0-9a-fA-F]{1,2})", sense)
        if found is None:
            raise CtaError(
                CONFIG_USAGE, f"sense {sense!r}: expected KEY/ASC/ASCQ in hexadecimal, e.g. 3/0C/00"
            )
        options |= dict(zip(("key", "asc", "ascq"), (int(cell, 16) for cell in found.groups()), strict=True))
    if options["count"] < FOREVER or options["count"] == 0:
        raise CtaError(CONFIG_USAGE, "count must be 1 or more, or -1 for ever")
    with edited_faults(directory / FAULTS) as content:
        try:
            entry = Fault(
                id=content.next_id,
                device=device,
                kind=FaultKind(kind),
                size_bytes=parse_size(size) if size else 0,
                **options,
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise CtaError(CONFIG_USAGE, f"{first['loc'][0]}: {first['msg']}") from None
        _ = entry.opcode
        content.faults.append(entry)
        content.next_id += 1
    click.echo(entry.id)


@fault.command(name="ls")
@_DIRECTORY
@click.option("--json", "as_json", is_flag=True)
def fault_ls(directory: Path, as_json: bool) -> None:
    """List the faults that are left."""
    entries = read_faults(directory / FAULTS).faults
    if as_json:
        click.echo(json.dumps([entry.model_dump(mode="json") for entry in entries]))
        return
    table = Table("number", "device", "kind", "command", "after", "strikes")
    for entry in entries:
        strikes = "for ever" if entry.count == FOREVER else str(entry.count)
        table.add_row(str(entry.id), entry.device, entry.kind, entry.command, str(entry.after), strikes)
    Console().print(table)


@fault.command(name="clear")
@_DIRECTORY
@click.argument("numbers", type=int, nargs=-1)
def fault_clear(directory: Path, numbers: tuple[int, ...]) -> None:
    """Remove the faults with these NUMBERS, or all."""
    with edited_faults(directory / FAULTS) as content:
        unknown = set(numbers) - {entry.id for entry in content.faults}
        if unknown:
            raise CtaError(CONFIG_USAGE, f"no fault {', '.join(map(str, sorted(unknown)))}")
        content.faults = [entry for entry in content.faults if numbers and entry.id not in numbers]


@cli.group()
def media() -> None:
    """What cartridges there can be."""


@media.command(name="ls")
@click.option("--json", "as_json", is_flag=True)
def media_ls(as_json: bool) -> None:
    """List the media types."""
    if as_json:
        rows = [
            {"name": m.name, "suffix": m.suffix, "capacity_bytes": m.capacity_bytes} for m in MEDIA.values()
        ]
        click.echo(json.dumps(rows))
        return
    table = Table("media", "suffix", "density", "capacity", "wraps")
    for m in MEDIA.values():
        table.add_row(m.name, m.suffix, f"{m.density:02X}h", f"{m.capacity_bytes / 1e9:g} GB", str(m.wraps))
    Console().print(table)


def main(run: Callable[[], Any] = cli) -> None:
    """Run the command; every failure is one line and its exit status."""
    try:
        run()
    except CtaError as error:
        click.echo(f"cta-vtl: {error}", err=True)
        sys.exit(error.spec.exit_status)
    except OSError as error:
        click.echo(f"cta-vtl: {error.filename or ''}: {error.strerror}", err=True)
        sys.exit(74)


if __name__ == "__main__":
    main()
