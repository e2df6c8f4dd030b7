# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a library directory and cartridges: the schema, and what is in it at the beginning.

Only what happens once; what is where afterwards is ``library``'s business.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cta_taped.common.errors import CONFIG_USAGE, CtaError
from cta_taped.virtual.cartridge import new_memory, store_text
from cta_taped.virtual.elements import FIRST_ADDRESS, Kind
from cta_taped.virtual.faults import FaultFile
from cta_taped.virtual.library import DATABASE, FAULTS, Library, connect
from cta_taped.virtual.timing import parse_factor

_SCHEMA: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE cartridge (vid TEXT PRIMARY KEY, barcode TEXT NOT NULL UNIQUE);
CREATE TABLE element (
    address INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    vid TEXT UNIQUE REFERENCES cartridge(vid),
    source INTEGER,
    by_operator INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE drive (
    number INTEGER PRIMARY KEY,
    address INTEGER NOT NULL UNIQUE REFERENCES element(address),
    vendor TEXT NOT NULL,
    product TEXT NOT NULL,
    revision TEXT NOT NULL,
    serial TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'empty',
    ready_at REAL NOT NULL DEFAULT 0,
    fresh INTEGER NOT NULL DEFAULT 0,
    attention TEXT NOT NULL DEFAULT '[]',
    settings TEXT NOT NULL DEFAULT '{}'
);
"""
_LIMITS: Final = {Kind.PORT: 240, Kind.DRIVE: 768, Kind.STORAGE: 64000}


@dataclass(frozen=True, slots=True)
class Plan:
    """A library to be made. ``cartridges``: VIDs, put into the first slots in this order."""

    drives: int
    slots: int
    ports: int
    cartridges: list[str]
    media: str
    capacity_bytes: int | None
    logical_library: str
    timing: str = "none"
    drive_vendor: str = "IBM"
    drive_product: str = "ULT3580-TD9"


def create_library(directory: Path, plan: Plan) -> None:
    """Make a library directory, with blank cartridges.

    Raises CtaError CONFIG_USAGE for a plan that does not fit, or when there is a library already.
    """
    parse_factor(plan.timing)
    if (directory / DATABASE).exists():
        raise CtaError(CONFIG_USAGE, f"{directory} holds a virtual library already")
    if len(plan.cartridges) > plan.slots:
        raise CtaError(CONFIG_USAGE, f"{len(plan.cartridges)} cartridges do not fit into {plan.slots} slots")
    counts = {Kind.TRANSPORT: 1, Kind.PORT: plan.ports, Kind.DRIVE: plan.drives, Kind.STORAGE: plan.slots}
    for kind, limit in _LIMITS.items():
        if not (kind is Kind.PORT or counts[kind] > 0) or counts[kind] > limit or counts[kind] < 0:
            raise CtaError(CONFIG_USAGE, f"the number of {kind.name.lower()} elements must be 1 to {limit}")
    memories = {vid: new_memory(vid, plan.media, plan.capacity_bytes) for vid in plan.cartridges}
    (directory / "cartridges").mkdir(parents=True, exist_ok=True)
    (directory / "drives").mkdir(exist_ok=True)
    for vid, memory in memories.items():
        (directory / "cartridges" / f"{vid}.tap").touch()
        store_text(directory / "cartridges" / f"{vid}.memory.json", memory.model_dump_json(indent=1))
    store_text(directory / FAULTS, FaultFile().model_dump_json(indent=1))
    number = zlib.crc32(str(directory.resolve()).encode()) % 10**7
    # Built under another name, so that a half-made library is never taken for one.
    building = directory / f".{DATABASE}.new"
    building.unlink(missing_ok=True)
    database = connect(building)
    database.executescript(_SCHEMA)
    with database:
        database.execute("BEGIN")
        database.executemany(
            "INSERT INTO meta VALUES (?, ?)",
            [
                ("logical_library", plan.logical_library),
                ("timing", plan.timing),
                ("serial", f"VTL{number:07d}"),
                ("port_accessed", "0"),
            ],
        )
        database.executemany(
            "INSERT INTO cartridge VALUES (?, ?)", [(vid, memory.barcode) for vid, memory in memories.items()]
        )
        database.executemany(
            "INSERT INTO element (address, kind) VALUES (?, ?)",
            [(FIRST_ADDRESS[kind] + n, kind) for kind, count in counts.items() for n in range(count)],
        )
        first = FIRST_ADDRESS[Kind.STORAGE]
        database.executemany(
            "UPDATE element SET vid = ? WHERE address = ?",
            [(vid, first + n) for n, vid in enumerate(plan.cartridges)],
        )
        database.executemany(
            "INSERT INTO drive (number, address, vendor, product, revision, serial)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    n,
                    FIRST_ADDRESS[Kind.DRIVE] + n,
                    plan.drive_vendor,
                    plan.drive_product,
                    "R3G3",
                    _serial(number, n),
                )
                for n in range(plan.drives)
            ],
        )
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    building.replace(directory / DATABASE)


def _serial(library: int, drive: int) -> str:
    """Ten digits, different for every drive of a host's libraries."""
    return f"{library:07d}{drive:03d}"


def add_cartridge(library: Library, vid: str, media: str, capacity_bytes: int | None) -> None:
    """Make a blank cartridge that is outside the library.

    Raises CtaError CONFIG_USAGE when the library knows this VID or barcode already, or not this media type.
    """
    memory = new_memory(vid, media, capacity_bytes)
    with library.transaction() as database:
        known = database.execute(
            "SELECT 1 FROM cartridge WHERE vid = ? OR barcode = ?", (vid, memory.barcode)
        ).fetchone()
        if known is not None:
            raise CtaError(CONFIG_USAGE, f"{library.directory} has a cartridge {vid} already", vid=vid)
        library.image_path(vid).touch()
        store_text(library.memory_path(vid), memory.model_dump_json(indent=1))
        database.execute("INSERT INTO cartridge VALUES (?, ?)", (vid, memory.barcode))
