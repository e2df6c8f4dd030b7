# SPDX-License-Identifier: GPL-3.0-or-later
"""Archive files and their copies: lists, look-ups, deletion.

What it is: the catalogue's ``Files`` in SQL. What it is not: the recording of written files (``written``).
Lists are read in pages by key, each its own short transaction, so that a list of a hundred million files
neither fills memory nor keeps a transaction open.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Select, delete, select, tuple_, update

from cta_taped.common.errors import CATALOGUE_NOT_FOUND, CtaError
from cta_taped.common.model import WrittenFile
from cta_taped.db import checksumblob
from cta_taped.db.catalogue import Author, DeletedFileRow, TapeFileRow
from cta_taped.db.schema_catalogue import ARCHIVE_FILE, FILE_RECYCLE_LOG, STORAGE_CLASS, TAPE, TAPE_FILE
from cta_taped.db.schema_own import TAPED_DISK_FILE
from cta_taped.db.sql.database import AnyRow, Database, chunks
from cta_taped.db.sql.written import copies_query, record_written, recycle

_PAGE: Final = 2000
_A, _T, _R = ARCHIVE_FILE.c, TAPE_FILE.c, FILE_RECYCLE_LOG.c


def _query() -> Select[Any]:
    return (
        select(
            _T.vid,
            _T.fseq,
            _T.block_id,
            _T.copy_nb,
            _T.archive_file_id,
            _T.creation_time,
            _A.size_in_bytes,
            _A.checksum_blob,
            _A.checksum_adler32,
            _A.disk_instance_name,
            _A.disk_file_id,
            _A.disk_file_uid,
            _A.disk_file_gid,
            STORAGE_CLASS.c.storage_class_name,
        )
        .join(ARCHIVE_FILE, _A.archive_file_id == _T.archive_file_id)
        .join(STORAGE_CLASS, STORAGE_CLASS.c.storage_class_id == _A.storage_class_id)
    )


def _file(row: AnyRow) -> TapeFileRow:
    return TapeFileRow(
        vid=row.vid,
        fseq=row.fseq,
        block_id=row.block_id,
        copy_nb=row.copy_nb,
        archive_file_id=row.archive_file_id,
        size_bytes=row.size_in_bytes,
        adler32=checksumblob.adler32_of(row.checksum_blob, row.checksum_adler32),
        creation_time=row.creation_time,
        disk_instance=row.disk_instance_name,
        disk_file_id=row.disk_file_id,
        owner_uid=row.disk_file_uid,
        gid=row.disk_file_gid,
        storage_class=row.storage_class_name,
    )


class SqlFiles:
    """``db.catalogue.Files`` on a relational database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record_written(self, drive: str, files: Sequence[WrittenFile]) -> None:
        """See ``Files.record_written``."""
        record_written(self._database, drive, files)

    def on_tape(self, vid: str, first_fseq: int = 1, limit: int | None = None) -> Iterator[TapeFileRow]:
        """See ``Files.on_tape``."""
        left = limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            statement = _query().where(_T.vid == vid, _T.fseq >= first_fseq).order_by(_T.fseq).limit(size)
            with self._database.read() as connection:
                page = [_file(row) for row in connection.execute(statement)]
            yield from page
            if len(page) < size:
                return
            first_fseq = page[-1].fseq + 1
            left = None if left is None else left - size

    def last_on_tape(self, vid: str) -> TapeFileRow | None:
        """See ``Files.last_on_tape``."""
        statement = _query().where(_T.vid == vid).order_by(_T.fseq.desc()).limit(1)
        with self._database.read() as connection:
            row = connection.execute(statement).first()
        return _file(row) if row else None

    def copies(self, archive_file_id: int) -> list[TapeFileRow]:
        """See ``Files.copies``."""
        statement = _query().where(_T.archive_file_id == archive_file_id).order_by(_T.copy_nb)
        with self._database.read() as connection:
            rows = [_file(row) for row in connection.execute(statement)]
        if not rows:
            raise CtaError(CATALOGUE_NOT_FOUND, f"archive file {archive_file_id} is not in the catalogue")
        return rows

    def find(
        self,
        disk_instance: str | None = None,
        disk_file_ids: Collection[str] = (),
        vid: str | None = None,
        limit: int | None = None,
    ) -> Iterator[TapeFileRow]:
        """See ``Files.find``."""
        statement = _query().order_by(_T.archive_file_id, _T.copy_nb, _T.vid, _T.fseq)
        if disk_instance is not None:
            statement = statement.where(_A.disk_instance_name == disk_instance)
        if disk_file_ids:
            statement = statement.where(_A.disk_file_id.in_(sorted(disk_file_ids)))
        if vid is not None:
            statement = statement.where(_T.vid == vid)
        after: tuple[int, int, str, int] | None = None
        key = tuple_(_T.archive_file_id, _T.copy_nb, _T.vid, _T.fseq)
        left = limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            paged = statement.limit(size) if after is None else statement.where(key > after).limit(size)
            with self._database.read() as connection:
                page = [_file(row) for row in connection.execute(paged)]
            yield from page
            if len(page) < size:
                return
            last = page[-1]
            after = (last.archive_file_id, last.copy_nb, last.vid, last.fseq)
            left = None if left is None else left - size

    def urls(self, disk_instance: str, disk_file_ids: Collection[str]) -> dict[str, str]:
        """See ``Files.urls``."""
        c = TAPED_DISK_FILE.c
        found: dict[str, str] = {}
        with self._database.read() as connection:
            for part in chunks(sorted(disk_file_ids)):
                statement = select(c.disk_file_id, c.url).where(
                    c.disk_instance_name == disk_instance, c.disk_file_id.in_(part)
                )
                found.update((identifier, url) for identifier, url in connection.execute(statement))
        return found

    def delete(self, archive_file_id: int, author: Author) -> None:
        """See ``Files.delete``."""
        reason = f"deleted by {author.user}@{author.host}"
        with self._database.write() as connection:
            rows = connection.execute(copies_query().where(_T.archive_file_id == archive_file_id)).all()
            known = connection.execute(
                select(_A.archive_file_id).where(_A.archive_file_id == archive_file_id)
            ).first()
            if known is None:
                raise CtaError(CATALOGUE_NOT_FOUND, f"archive file {archive_file_id} is not in the catalogue")
            if rows:
                recycle(self._database, connection, rows, reason, int(time.time()))
                vids = sorted({row.vid for row in rows})
                connection.execute(update(TAPE).where(TAPE.c.vid.in_(vids)).values(dirty=True))
            connection.execute(delete(ARCHIVE_FILE).where(_A.archive_file_id == archive_file_id))

    def deleted(self, vid: str | None = None) -> Iterator[DeletedFileRow]:
        """See ``Files.deleted``."""
        after = 0
        while True:
            statement = (
                select(FILE_RECYCLE_LOG)
                .where(_R.file_recycle_log_id > after)
                .order_by(_R.file_recycle_log_id)
                .limit(_PAGE)
            )
            if vid is not None:
                statement = statement.where(_R.vid == vid)
            with self._database.read() as connection:
                rows = connection.execute(statement).all()
            for row in rows:
                yield DeletedFileRow(
                    vid=row.vid,
                    fseq=row.fseq,
                    block_id=row.block_id,
                    copy_nb=row.copy_nb,
                    archive_file_id=row.archive_file_id,
                    size_bytes=row.size_in_bytes,
                    disk_instance=row.disk_instance_name,
                    disk_file_id=row.disk_file_id,
                    reason=row.reason_log,
                    recycle_time=row.recycle_log_time,
                )
            if len(rows) < _PAGE:
                return
            after = rows[-1].file_recycle_log_id
