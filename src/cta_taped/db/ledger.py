# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger: files that are on tape and not yet known to be recorded, kept durably on the tape server.

One SQLite file a drive (WAL, synchronous=FULL), written after each flush and before any database is
told. It answers promise 1 of the design: whatever dies or is away, what is on tape is not forgotten.
``deliver`` records the entries in the catalogue, then marks their jobs done, then drops them; each step
may be repeated, so session and maintenance worker can both do it. It lives beside the databases because
both of those programs use it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

from cta_taped.common.errors import (
    CATALOGUE_CHECKSUM,
    CATALOGUE_REFUSED,
    OUTAGES,
    SYSTEM_LEDGER,
    CtaError,
)
from cta_taped.common.model import ArchiveJob, JobFailure, Mount, MountType, WrittenFile
from cta_taped.db.catalogue import Author, Catalogue, take_out_of_use
from cta_taped.db.scheduler import Scheduler

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS LEDGER_MOUNT (
  MOUNT_ID INTEGER PRIMARY KEY, VID TEXT NOT NULL, MOUNT TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS LEDGER_FILE (
  VID TEXT NOT NULL, FSEQ INTEGER NOT NULL, MOUNT_ID INTEGER NOT NULL REFERENCES LEDGER_MOUNT(MOUNT_ID),
  BLOCK_ID INTEGER NOT NULL, SIZE_IN_BYTES INTEGER NOT NULL, ADLER32 INTEGER NOT NULL,
  WRITTEN_TIME INTEGER NOT NULL, JOB TEXT, RECORDED INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (VID, FSEQ));
CREATE TABLE IF NOT EXISTS LEDGER_REFUSED (
  MOUNT_ID INTEGER NOT NULL REFERENCES LEDGER_MOUNT(MOUNT_ID), JOB_ID INTEGER NOT NULL, CODE TEXT NOT NULL,
  DETAIL TEXT NOT NULL, PRIMARY KEY (MOUNT_ID, JOB_ID));
"""
_ONE_FILE_REFUSED: Final = (CATALOGUE_CHECKSUM, CATALOGUE_REFUSED)
_BUSY_S: Final = 20.0


class Ledger:
    """The ledger of one drive. Every method raises CtaError SYSTEM_LEDGER when the file cannot be used."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "ledger.db"
        with self._connection() as connection:
            connection.executescript(_TABLES)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """One transaction on a connection of its own: threads and processes need share nothing."""
        try:
            connection = sqlite3.connect(self._path, timeout=_BUSY_S)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                with connection:
                    yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise CtaError(SYSTEM_LEDGER, f"{self._path}: {error}") from error

    def append(self, mount: Mount, files: Sequence[WrittenFile]) -> None:
        """Remember flushed files; on return they are on the disk of this host."""
        rows = [
            (
                file.vid,
                file.fseq,
                mount.mount_id,
                file.block_id,
                file.size_bytes,
                file.adler32,
                file.written_time,
                None if file.job is None else json.dumps(asdict(file.job)),
            )
            for file in files
        ]
        with self._connection() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO LEDGER_MOUNT VALUES (?, ?, ?)",
                (mount.mount_id, mount.vid, json.dumps(asdict(mount))),
            )
            connection.executemany(
                "INSERT OR REPLACE INTO LEDGER_FILE (VID, FSEQ, MOUNT_ID, BLOCK_ID, SIZE_IN_BYTES, ADLER32,"
                " WRITTEN_TIME, JOB) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def vids(self, recorded: bool | None = None) -> list[str]:
        """Tapes with undelivered files: they take no archive mount. ``recorded`` as for ``files``."""
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT DISTINCT VID FROM LEDGER_FILE WHERE ? IS NULL OR RECORDED = ? ORDER BY VID",
                (recorded, recorded),
            )
            return [vid for (vid,) in rows]

    def count(self) -> int:
        """How many files wait."""
        with self._connection() as connection:
            row: tuple[int] = connection.execute("SELECT COUNT(*) FROM LEDGER_FILE").fetchone()
            return row[0]

    def mounts(self, vid: str) -> list[Mount]:
        """The mounts that wrote undelivered files on a tape, oldest first."""
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT MOUNT FROM LEDGER_MOUNT M WHERE EXISTS (SELECT 1 FROM LEDGER_FILE F"
                " WHERE F.MOUNT_ID = M.MOUNT_ID AND F.VID = ?) ORDER BY MOUNT_ID",
                (vid,),
            ).fetchall()
        return [_mount(text) for (text,) in rows]

    def files(self, mount: Mount, recorded: bool | None = None) -> list[WrittenFile]:
        """A mount's undelivered files in fSeq order; those recorded in the catalogue, those not, or all."""
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT VID, FSEQ, BLOCK_ID, SIZE_IN_BYTES, ADLER32, WRITTEN_TIME, JOB FROM LEDGER_FILE"
                " WHERE MOUNT_ID = ? AND (? IS NULL OR RECORDED = ?) ORDER BY FSEQ",
                (mount.mount_id, recorded, recorded),
            ).fetchall()
        return [
            WrittenFile(vid, fseq, block_id, size, adler32, time, None if job is None else _job(job))
            for vid, fseq, block_id, size, adler32, time, job in rows
        ]

    def mark_recorded(self, files: Sequence[WrittenFile]) -> None:
        """The catalogue has these files; their jobs are still to be marked done."""
        with self._connection() as connection:
            connection.executemany(
                "UPDATE LEDGER_FILE SET RECORDED = 1 WHERE VID = ? AND FSEQ = ?",
                [(file.vid, file.fseq) for file in files],
            )

    def refuse(self, mount: Mount, file: WrittenFile, error: CtaError) -> None:
        """The catalogue refuses this file for good: its fSeq is consumed, its job fails."""
        assert file.job is not None
        with self._connection() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO LEDGER_REFUSED VALUES (?, ?, ?, ?)",
                (mount.mount_id, file.job.job_id, error.code, error.detail),
            )
            connection.execute(
                "UPDATE LEDGER_FILE SET JOB = NULL WHERE VID = ? AND FSEQ = ?", (file.vid, file.fseq)
            )

    def refused(self, mount: Mount) -> list[JobFailure]:
        """Jobs of a mount whose files the catalogue refused, and whose failure is not told yet."""
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT JOB_ID, CODE, DETAIL FROM LEDGER_REFUSED WHERE MOUNT_ID = ? ORDER BY JOB_ID",
                (mount.mount_id,),
            ).fetchall()
        return [JobFailure(job_id, code, detail, charged=True) for job_id, code, detail in rows]

    def drop(self, mount: Mount, files: Sequence[WrittenFile]) -> None:
        """Delivered: forget these files, the mount's refusals, and mounts without any file left."""
        with self._connection() as connection:
            connection.execute("DELETE FROM LEDGER_REFUSED WHERE MOUNT_ID = ?", (mount.mount_id,))
            connection.executemany(
                "DELETE FROM LEDGER_FILE WHERE VID = ? AND FSEQ = ?",
                [(file.vid, file.fseq) for file in files],
            )
            connection.execute(
                "DELETE FROM LEDGER_MOUNT WHERE MOUNT_ID NOT IN (SELECT MOUNT_ID FROM LEDGER_FILE)"
            )


def record(ledger: Ledger, catalogue: Catalogue, drive: str, vid: str) -> int:
    """Record a tape's undelivered files in the catalogue, in fSeq order; how many files were recorded.

    A file that the catalogue refuses for good becomes a placeholder, and its job a failure that ``finish``
    tells, so that one bad request does not hold up the others. Raises what else ``Files.record_written``
    raises; the ledger then still holds the files.
    """
    count = 0
    for mount in ledger.mounts(vid):
        while files := ledger.files(mount, recorded=False):
            try:
                catalogue.files.record_written(drive, files)
            except CtaError as error:
                fseq = error.evidence.get("fseq")
                file = next((file for file in files if file.fseq == fseq and file.job is not None), None)
                if error.spec not in _ONE_FILE_REFUSED or file is None:
                    raise
                ledger.refuse(mount, file, error)
                continue
            ledger.mark_recorded(files)
            count += len(files)
    return count


def finish(ledger: Ledger, scheduler: Scheduler, vid: str) -> list[int]:
    """Mark the jobs of recorded files done and drop the files; ids of jobs that somebody else has meanwhile.

    Raises what ``ArchiveQueue.done`` and ``failed`` raise; the ledger then still holds them.
    """
    gone: list[int] = []
    for mount in ledger.mounts(vid):
        files = ledger.files(mount, recorded=True)
        if files:
            job_ids = [file.job.job_id for file in files if file.job is not None]
            gone += scheduler.archive.done(mount, job_ids)
            if refused := ledger.refused(mount):
                gone += scheduler.archive.failed(mount, refused)
            ledger.drop(mount, files)
    return gone


def secure(ledger: Ledger, catalogue: Catalogue, drive: str, author: Author) -> list[tuple[str, CtaError]]:
    """Make sure that nobody writes over undelivered files: record them, or else take their tape out of use.

    To be called before the drive's row lets go of a tape: from then on any drive may take it, and would write
    from the catalogue's LAST_FSEQ on. Returns the tapes that cannot be recorded, each with the reason. Raises
    CtaError of an outage; nothing may be let go then.
    """
    unrecorded = []
    for vid in ledger.vids(recorded=False):
        try:
            record(ledger, catalogue, drive, vid)
        except CtaError as error:
            if error.spec in OUTAGES:
                raise
            reason = f"[cta-taped] files on tape are not recorded (see cta-admin ledger ls): {error}"
            take_out_of_use(catalogue.tapes, vid, reason, author)
            unrecorded.append((vid, error))
    return unrecorded


def _mount(text: str) -> Mount:
    fields = json.loads(text)
    return Mount(**{**fields, "mount_type": MountType(fields["mount_type"])})


def _job(text: str) -> ArchiveJob:
    return ArchiveJob(**json.loads(text))
