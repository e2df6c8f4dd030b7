# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory of a virtual library: cartridges, elements, drives, and what is where.

``library.db`` (SQLite, WAL) holds the elements and what they contain; each move is one transaction, so
that the processes of several drives and operators share one library and always see each other's moves.
Cartridges are ``cartridges/VID.tap`` with their memory and index beside them. Nothing here speaks SCSI:
``smc`` and ``ssc`` do, over this.

A drive's cartridge stays loaded whatever becomes of the processes, as in iron.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cta_taped.common.errors import (
    CONFIG_VTL,
    LIBRARY_DESTINATION_FULL,
    LIBRARY_ELEMENT,
    LIBRARY_VOLUME_IN_USE,
    LIBRARY_VOLUME_UNKNOWN,
    CtaError,
)
from cta_taped.virtual.cartridge import CartridgeMemory, load_memory
from cta_taped.virtual.elements import (
    FIRST_ADDRESS,
    DriveRow,
    DriveState,
    Element,
    Kind,
    MoveRefused,
    Refusal,
)
from cta_taped.virtual.inquiry import UnitIdentity
from cta_taped.virtual.media import medium
from cta_taped.virtual.sense import MEDIUM_CHANGED
from cta_taped.virtual.timing import ROBOT_S, parse_factor

DATABASE: Final = "library.db"
FAULTS: Final = "faults.json"
_BUSY_TIMEOUT_S: Final = 60.0


class Library:
    """An open library directory. One connection: not for two threads at once."""

    def __init__(self, directory: Path) -> None:
        """Open an existing library.

        Raises CtaError CONFIG_VTL when the directory is none, or its database is damaged.
        """
        self.directory = directory
        path = directory / DATABASE
        if not path.is_file():
            raise CtaError(
                CONFIG_VTL,
                f"{directory} is not a virtual library; make one with 'cta-vtl create'",
                path=str(path),
            )
        try:
            self._database = connect(path)
            self.name = self.meta("logical_library")
            self.factor = parse_factor(self.meta("timing"))
            self.serial = self.meta("serial")
        except sqlite3.Error as error:
            raise CtaError(CONFIG_VTL, f"{path}: {error}", path=str(path)) from error

    def close(self) -> None:
        """Close the database; a second call does nothing."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One writer at a time, all or nothing."""
        with self._translated():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise CtaError(CONFIG_VTL, f"{self.directory / DATABASE}: {error}") from error

    def _rows(self, statement: str, *values: object) -> list[sqlite3.Row]:
        with self._translated():
            return self._database.execute(statement, values).fetchall()

    def meta(self, name: str) -> str:
        """A setting of the library. Raises CtaError CONFIG_VTL when it is missing."""
        rows = self._rows("SELECT value FROM meta WHERE name = ?", name)
        if not rows:
            raise CtaError(CONFIG_VTL, f"{self.directory}: setting {name} is missing from {DATABASE}")
        return str(rows[0][0])

    # --- what is where -------------------------------------------------------------------------------------

    def elements(self) -> list[Element]:
        """Every element, by address."""
        rows = self._rows(
            "SELECT e.address, e.kind, e.vid, c.barcode, e.source, e.by_operator,"
            " d.number, d.vendor, d.product, d.revision, d.serial, d.state, d.ready_at FROM element e"
            " LEFT JOIN cartridge c ON c.vid = e.vid LEFT JOIN drive d ON d.address = e.address"
            " ORDER BY e.address"
        )
        return [_element(row) for row in rows]

    def drive(self, number: int) -> Element:
        """The element of a drive. Raises CtaError LIBRARY_ELEMENT when there is no such drive."""
        for element in self.elements():
            if element.drive is not None and element.drive.number == number:
                return element
        raise CtaError(LIBRARY_ELEMENT, f"{self.directory} has no drive {number}", drive_number=number)

    def find(self, vid: str) -> Element:
        """Where a cartridge is, by VID or barcode. Raises CtaError LIBRARY_VOLUME_UNKNOWN."""
        for element in self.elements():
            if vid in (element.vid, element.barcode) and element.vid is not None:
                return element
        raise CtaError(LIBRARY_VOLUME_UNKNOWN, f"{self.directory} holds no cartridge {vid}", vid=vid)

    def image_path(self, vid: str) -> Path:
        """The image file of a cartridge."""
        return self.directory / "cartridges" / f"{vid}.tap"

    def memory_path(self, vid: str) -> Path:
        """The memory file of a cartridge."""
        return self.directory / "cartridges" / f"{vid}.memory.json"

    def memory(self, vid: str) -> CartridgeMemory:
        """What the chip of a cartridge says. Raises CtaError CONFIG_VTL."""
        return load_memory(self.memory_path(vid))

    # --- moving --------------------------------------------------------------------------------------------

    def move(self, source: int, destination: int, *, delay_s: float = 0.0) -> None:
        """Move a cartridge between two elements; a drive begins to thread it ``delay_s`` from now.

        Raises MoveRefused; nothing has changed then.
        """
        with self.transaction() as database:
            self._check(source, destination)
            self._transfer(database, source, destination, delay_s)

    def exchange(self, source: int, first: int, second: int, *, delay_s: float = 0.0) -> None:
        """Move what is in ``first`` to ``second`` and what is in ``source`` to ``first``. Raises
        MoveRefused.
        """
        with self.transaction() as database:
            if second != source:
                self._check(first, second)
            else:
                self._check_source(first)
            self._check_source(source)
            hand = FIRST_ADDRESS[Kind.TRANSPORT]
            self._transfer(database, first, hand, 0)
            self._transfer(database, source, first, delay_s)
            self._transfer(database, hand, second, delay_s)

    def check_move(self, source: int, destination: int) -> None:
        """Whether a move could be made now. Raises MoveRefused."""
        self._check(source, destination)

    def _element_at(self, address: int) -> Element:
        for element in self.elements():
            if element.address == address:
                return element
        raise MoveRefused(Refusal.NO_ELEMENT)

    def _check_source(self, address: int) -> None:
        element = self._element_at(address)
        if element.vid is None:
            raise MoveRefused(Refusal.SOURCE_EMPTY)
        if not element.accessible:
            raise MoveRefused(Refusal.NOT_UNLOADED)

    def _check(self, source: int, destination: int) -> None:
        target = self._element_at(destination)
        self._check_source(source)
        if target.vid is not None and source != destination:
            raise MoveRefused(Refusal.DESTINATION_FULL)
        hand = FIRST_ADDRESS[Kind.TRANSPORT]
        if source != hand and self._element_at(hand).vid is not None:
            raise MoveRefused(Refusal.HAND_FULL)

    def _transfer(self, database: sqlite3.Connection, source: int, destination: int, delay_s: float) -> None:
        origin, target = self._element_at(source), self._element_at(destination)
        home = source if origin.kind is Kind.STORAGE else origin.source
        database.execute(
            "UPDATE element SET vid = NULL, source = NULL, by_operator = 0 WHERE address = ?", (source,)
        )
        database.execute(
            "UPDATE element SET vid = ?, source = ? WHERE address = ?",
            (origin.vid, None if target.kind is Kind.STORAGE else home, destination),
        )
        if origin.kind is Kind.DRIVE:
            database.execute("UPDATE drive SET state = 'empty' WHERE address = ?", (source,))
        if target.kind is Kind.DRIVE and origin.vid is not None:
            self._thread(database, destination, origin.vid, delay_s)

    def _thread(self, database: sqlite3.Connection, address: int, vid: str, delay_s: float) -> None:
        """A drive loads by itself what it is given; it tells so once it is ready."""
        ready_at = time.time() + delay_s + self.load_time_s(vid)
        attention = json.dumps([(MEDIUM_CHANGED.asc, MEDIUM_CHANGED.ascq)])
        database.execute(
            "UPDATE drive SET state = 'loaded', fresh = 1, ready_at = ?, attention = ? WHERE address = ?",
            (ready_at, attention, address),
        )

    def load_time_s(self, vid: str) -> float:
        """How long a drive threads this cartridge."""
        if not self.factor:
            return 0.0
        return medium(self.memory(vid).media).load_s / self.factor

    @property
    def robot_time_s(self) -> float:
        """How long a move takes."""
        return ROBOT_S / self.factor if self.factor else 0.0

    # --- the operator's hand -------------------------------------------------------------------------------

    def import_cartridge(self, vid: str) -> int:
        """Put an exported or new cartridge into the first free port; its address.

        Raises CtaError LIBRARY_VOLUME_IN_USE, LIBRARY_VOLUME_UNKNOWN, LIBRARY_DESTINATION_FULL.
        """
        with self.transaction() as database:
            known = database.execute(
                "SELECT vid FROM cartridge WHERE vid = ? OR barcode = ?", (vid, vid)
            ).fetchone()
            if known is None:
                raise CtaError(LIBRARY_VOLUME_UNKNOWN, f"{self.directory} knows no cartridge {vid}", vid=vid)
            for element in self.elements():
                if element.vid == known[0]:
                    raise CtaError(
                        LIBRARY_VOLUME_IN_USE,
                        f"cartridge {vid} is inside already, in element {element.address}",
                        vid=vid,
                    )
            port = self._free(Kind.PORT)
            database.execute(
                "UPDATE element SET vid = ?, source = NULL, by_operator = 1 WHERE address = ?",
                (known[0], port),
            )
            self._announce(database)
        return port

    def export_cartridge(self, vid: str) -> None:
        """Take a cartridge out of a port.

        Raises CtaError LIBRARY_VOLUME_UNKNOWN, or LIBRARY_VOLUME_IN_USE when it is not in a port.
        """
        with self.transaction() as database:
            element = self.find(vid)
            if element.kind is not Kind.PORT:
                raise CtaError(
                    LIBRARY_VOLUME_IN_USE,
                    f"cartridge {vid} is in element {element.address}, not in a port; move it there first",
                    vid=vid,
                )
            database.execute(
                "UPDATE element SET vid = NULL, source = NULL, by_operator = 0 WHERE address = ?",
                (element.address,),
            )
            self._announce(database)

    def free_element(self, kind: Kind) -> int:
        """Address of the first free element of a kind. Raises CtaError LIBRARY_DESTINATION_FULL."""
        return self._free(kind)

    def _free(self, kind: Kind) -> int:
        for element in self.elements():
            if element.kind is kind and element.vid is None:
                return element.address
        raise CtaError(LIBRARY_DESTINATION_FULL, f"{self.directory}: no free {kind.name.lower()} element")

    def _announce(self, database: sqlite3.Connection) -> None:
        database.execute("UPDATE meta SET value = '1' WHERE name = 'port_accessed'")

    def take_announcement(self) -> bool:
        """Whether a port was opened since this was last asked."""
        if self.meta("port_accessed") == "0":
            return False
        with self.transaction() as database:
            changed = database.execute(
                "UPDATE meta SET value = '0' WHERE name = 'port_accessed' AND value = '1'"
            ).rowcount
        return bool(changed)

    # --- drives --------------------------------------------------------------------------------------------

    def drive_record(self, number: int) -> sqlite3.Row:
        """The row of an existing drive, with the cartridge in it (``vid``)."""
        (row,) = self._rows(
            "SELECT d.*, e.vid FROM drive d JOIN element e ON e.address = d.address WHERE d.number = ?",
            number,
        )
        return row

    def update_drive(
        self,
        number: int,
        *,
        state: DriveState | None = None,
        ready_at: float | None = None,
        fresh: bool | None = None,
        attention: str | None = None,
        settings: str | None = None,
    ) -> None:
        """Change what is given of a drive's row."""
        with self.transaction() as database:
            database.execute(
                "UPDATE drive SET state = coalesce(?, state), ready_at = coalesce(?, ready_at),"
                " fresh = coalesce(?, fresh), attention = coalesce(?, attention),"
                " settings = coalesce(?, settings) WHERE number = ?",
                (state, ready_at, fresh, attention, settings, number),
            )


def _element(row: sqlite3.Row) -> Element:
    drive = None
    if row["number"] is not None:
        identity = UnitIdentity(row["vendor"], row["product"], row["revision"], row["serial"])
        drive = DriveRow(row["number"], identity, DriveState(row["state"]), row["ready_at"])
    return Element(
        row["address"],
        Kind(row["kind"]),
        row["vid"],
        row["barcode"],
        row["source"],
        bool(row["by_operator"]),
        drive,
    )


def connect(path: Path) -> sqlite3.Connection:
    """The library's database, for several processes at once."""
    database = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    database.row_factory = sqlite3.Row
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    return database
