# SPDX-License-Identifier: GPL-3.0-or-later
"""Recording of flushed files: one transaction a flush, safe to repeat (catalogue reference 5.1).

What it is: the statements between "the files are on tape" and "the files are archived". What it is not:
queries about files (``files``). Why it compares before it writes: after a lost connection nobody knows
whether a commit happened, so the same flush may come again; and a file that differs from what is recorded
must never be counted as archived.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, select, tuple_, update

from cta_taped.common.errors import (
    CATALOGUE_CHECKSUM,
    CATALOGUE_REFUSED,
    TAPE_FSEQ,
    CtaError,
)
from cta_taped.common.model import ArchiveJob, WrittenFile
from cta_taped.db import checksumblob
from cta_taped.db.schema_catalogue import ARCHIVE_FILE, FILE_RECYCLE_LOG, STORAGE_CLASS, TAPE, TAPE_FILE
from cta_taped.db.sql.database import AnyRow, Database, chunks
from cta_taped.db.sql.tapes import unknown_tape

_A, _T, _R = ARCHIVE_FILE.c, TAPE_FILE.c, FILE_RECYCLE_LOG.c


def record_written(database: Database, drive: str, files: Sequence[WrittenFile]) -> None:
    """See ``Files.record_written``."""
    if not files:
        return
    vid = files[0].vid
    for file in files:
        _validate(drive, vid, file)
    for before, after in pairwise(files):
        if after.fseq != before.fseq + 1:
            raise _out_of_sequence(vid, before.fseq + 1, after.fseq, "within one flush")
    try:
        with database.write() as connection:
            _record_flush(database, connection, drive, files)
    except CtaError as error:
        if error.spec is not CATALOGUE_REFUSED or "fseq" in error.evidence:
            raise
        _record_one_by_one(database, drive, files)


def _record_flush(
    database: Database, connection: Connection, drive: str, files: Sequence[WrittenFile]
) -> None:
    vid, now = files[0].vid, int(time.time())
    database.defer_uniqueness(connection)
    last = connection.execute(
        select(TAPE.c.last_fseq).where(TAPE.c.vid == vid).with_for_update()
    ).scalar_one_or_none()
    if last is None:
        raise unknown_tape(vid)
    if files[0].fseq > last + 1:
        raise _out_of_sequence(vid, last + 1, files[0].fseq, "in the catalogue")
    _verify_recorded(connection, [file for file in files if file.fseq <= last])
    fresh = [file for file in files if file.fseq > last]
    if fresh:
        _advance_tape(connection, drive, fresh, now)
        _record(database, connection, [file for file in fresh if file.job is not None], now)


def _record_one_by_one(database: Database, drive: str, files: Sequence[WrittenFile]) -> None:
    """The same, slower, for a flush that was refused: the refusal then names the file that is to blame.

    A constraint speaks of a statement, and a statement writes hundreds of files.
    """
    file = files[0]
    try:
        with database.write() as connection:
            for file in files:
                _record_flush(database, connection, drive, [file])
    except CtaError as error:
        if error.spec is not CATALOGUE_REFUSED:
            raise
        raise _refused(file, error.detail, **error.evidence) from error


def _refused(file: WrittenFile, what: str, **evidence: Any) -> CtaError:
    named = {**evidence, "vid": file.vid, "fseq": file.fseq}
    return CtaError(CATALOGUE_REFUSED, f"tape {file.vid} fSeq {file.fseq}: {what}", **named)


def _out_of_sequence(vid: str, expected: int, found: int, where: str) -> CtaError:
    return CtaError(
        TAPE_FSEQ,
        f"tape {vid}: fSeq {found} was written where {expected} comes next {where}",
        vid=vid,
        expected_fseq=expected,
        fseq=found,
    )


def _validate(drive: str, vid: str, file: WrittenFile) -> None:
    if not drive or not vid or file.vid != vid:
        raise _refused(file, f"files of one flush name tape {vid!r} and tape {file.vid!r}, drive {drive!r}")
    job = file.job
    if file.fseq < 1:
        raise _refused(file, "fSeq counts from 1")
    if job is None:
        return
    if file.block_id < 0 or (file.block_id == 0 and file.fseq != 1):
        raise _refused(file, f"block id {file.block_id} cannot be that of this fSeq")
    problems = {
        "an archive file id": job.archive_file_id > 0,
        "a disk instance": bool(job.disk_instance),
        "a disk file id": bool(job.disk_file_id),
        "an owner uid other than 0": job.owner_uid > 0,
        "a size above 0": file.size_bytes > 0,
        "a storage class": bool(job.storage_class),
        "a copy number above 0": job.copy_nb >= 1,
    }
    missing = [what for what, there in problems.items() if not there]
    if missing:
        raise _refused(file, f"archive file {job.archive_file_id} lacks {', '.join(missing)}")


def _verify_recorded(connection: Connection, files: Sequence[WrittenFile]) -> None:
    """Compare files below LAST_FSEQ with what is recorded: equal means that this flush came before."""
    if not files:
        return
    vid, first, last = files[0].vid, files[0].fseq, files[-1].fseq
    current = (
        select(_T.fseq, _T.block_id, _T.copy_nb, _T.archive_file_id, _A.size_in_bytes, *_checksum(_A))
        .join(ARCHIVE_FILE, _A.archive_file_id == _T.archive_file_id)
        .where(_T.vid == vid, _T.fseq.between(first, last))
    )
    # A file may have been deleted or superseded between its recording and the repetition.
    recycled = select(
        _R.fseq, _R.block_id, _R.copy_nb, _R.archive_file_id, _R.size_in_bytes, *_checksum(_R)
    ).where(_R.vid == vid, _R.fseq.between(first, last))
    found: dict[int, AnyRow] = {row.fseq: row for row in connection.execute(recycled)}
    found.update({row.fseq: row for row in connection.execute(current)})
    for file in files:
        row, job = found.get(file.fseq), file.job
        if job is None and row is None:
            continue
        if (
            job is None
            or row is None
            or (row.archive_file_id, row.copy_nb, row.block_id)
            != (job.archive_file_id, job.copy_nb, file.block_id)
        ):
            there = f"archive file {row.archive_file_id}" if row else "no file"
            mine = f"archive file {job.archive_file_id}" if job else "a placeholder"
            raise CtaError(
                TAPE_FSEQ,
                f"tape {vid} fSeq {file.fseq}: the catalogue records {there}, {mine} was written",
                vid=vid,
                fseq=file.fseq,
            )
        _compare(file, job, row)


def _checksum(columns: Any) -> tuple[Any, Any]:
    return columns.checksum_blob, columns.checksum_adler32


def _compare(file: WrittenFile, job: ArchiveJob, row: AnyRow) -> None:
    if row.size_in_bytes != file.size_bytes:
        what = f"{file.size_bytes} bytes were written, {row.size_in_bytes} are recorded"
    elif checksumblob.adler32_of(row.checksum_blob, row.checksum_adler32) not in (None, file.adler32):
        recorded = checksumblob.adler32_of(row.checksum_blob, row.checksum_adler32) or 0
        what = f"adler32 {file.adler32:08x} was written, {recorded:08x} is recorded"
    else:
        return
    raise CtaError(
        CATALOGUE_CHECKSUM,
        f"tape {file.vid} fSeq {file.fseq}, archive file {job.archive_file_id}: {what}",
        vid=file.vid,
        fseq=file.fseq,
        archive_file_id=job.archive_file_id,
    )


def _advance_tape(connection: Connection, drive: str, files: Sequence[WrittenFile], now: int) -> None:
    c = TAPE.c
    stored = [file.size_bytes for file in files if file.job is not None]
    connection.execute(
        update(TAPE)
        .where(c.vid == files[0].vid)
        .values(
            last_fseq=files[-1].fseq,
            data_in_bytes=c.data_in_bytes + sum(stored),
            master_data_in_bytes=c.master_data_in_bytes + sum(stored),
            nb_master_files=c.nb_master_files + len(stored),
            last_write_drive=drive,
            last_write_time=now,
        )
    )


def _record(database: Database, connection: Connection, files: Sequence[WrittenFile], now: int) -> None:
    if not files:
        return
    jobs = [file.job for file in files if file.job is not None]
    classes = _storage_classes(connection, jobs)
    rows = {
        job.archive_file_id: {
            "archive_file_id": job.archive_file_id,
            "disk_instance_name": job.disk_instance,
            "disk_file_id": job.disk_file_id,
            "disk_file_uid": job.owner_uid,
            "disk_file_gid": job.gid,
            "size_in_bytes": file.size_bytes,
            "checksum_blob": checksumblob.encode_adler32(file.adler32),
            "checksum_adler32": file.adler32,
            "storage_class_id": classes[job.storage_class],
            "creation_time": now,
            "reconciliation_time": now,
            "is_deleted": False,
        }
        for file, job in zip(files, jobs, strict=True)
    }
    _refuse_taken_disk_files(connection, jobs)
    statement = database.insert(ARCHIVE_FILE).on_conflict_do_nothing(index_elements=["archive_file_id"])
    connection.execute(statement, list(rows.values()))
    recorded: dict[int, AnyRow] = {}
    for ids in chunks(list(rows)):
        for row in connection.execute(
            select(_A.archive_file_id, _A.size_in_bytes, *_checksum(_A)).where(_A.archive_file_id.in_(ids))
        ):
            recorded[row.archive_file_id] = row
    for file, job in zip(files, jobs, strict=True):
        _compare(file, job, recorded[job.archive_file_id])
    connection.execute(
        insert(TAPE_FILE),
        [
            {
                "vid": file.vid,
                "fseq": file.fseq,
                "block_id": file.block_id,
                "logical_size_in_bytes": file.size_bytes,
                "copy_nb": job.copy_nb,
                "creation_time": now,
                "archive_file_id": job.archive_file_id,
            }
            for file, job in zip(files, jobs, strict=True)
        ],
    )
    _recycle_superseded(database, connection, files, now)


def _storage_classes(connection: Connection, jobs: Sequence[ArchiveJob]) -> dict[str, int]:
    c = STORAGE_CLASS.c
    names = sorted({job.storage_class for job in jobs})
    statement = select(c.storage_class_name, c.storage_class_id).where(c.storage_class_name.in_(names))
    found = {row.storage_class_name: row.storage_class_id for row in connection.execute(statement)}
    missing = [name for name in names if name not in found]
    if missing:
        raise CtaError(
            CATALOGUE_REFUSED, f"storage class {missing[0]!r} is not in the catalogue; add it again"
        )
    return found


def _refuse_taken_disk_files(connection: Connection, jobs: Sequence[ArchiveJob]) -> None:
    """Name the file whose disk file id belongs to another archive file.

    The constraint would only say "unique".
    """
    wanted = {(job.disk_instance, job.disk_file_id): job.archive_file_id for job in jobs}
    columns = (_A.disk_instance_name, _A.disk_file_id, _A.archive_file_id)
    key = tuple_(_A.disk_instance_name, _A.disk_file_id)
    for keys in chunks(list(wanted)):
        for instance, disk_file_id, archive_file_id in connection.execute(
            select(*columns).where(key.in_(keys))
        ):
            mine = wanted[instance, disk_file_id]
            if archive_file_id != mine:
                raise CtaError(
                    CATALOGUE_REFUSED,
                    f"archive file {mine}: disk file {disk_file_id} of {instance} is already archived"
                    f" as {archive_file_id}",
                    archive_file_id=mine,
                )


def _recycle_superseded(
    database: Database, connection: Connection, files: Sequence[WrittenFile], now: int
) -> None:
    """Move older copies (same archive file and copy number, elsewhere) to the recycle log."""
    newest = {
        (file.job.archive_file_id, file.job.copy_nb): (file.vid, file.fseq)
        for file in files
        if file.job is not None
    }
    superseded: list[AnyRow] = []
    for ids in chunks(sorted({archive_file_id for archive_file_id, _ in newest})):
        copies = copies_query().where(_T.archive_file_id.in_(ids))
        superseded += [
            row
            for row in connection.execute(copies)
            if newest.get((row.archive_file_id, row.copy_nb), (row.vid, row.fseq)) != (row.vid, row.fseq)
        ]
    if superseded:
        recycle(database, connection, superseded, "REPACK", now)


def copies_query() -> Select[Any]:
    """TAPE_FILE joined with ARCHIVE_FILE, with the columns that ``recycle`` needs."""
    return select(
        _T.vid,
        _T.fseq,
        _T.block_id,
        _T.copy_nb,
        _T.creation_time.label("tape_file_creation_time"),
        _A.archive_file_id,
        _A.disk_instance_name,
        _A.disk_file_id,
        _A.disk_file_uid,
        _A.disk_file_gid,
        _A.size_in_bytes,
        *_checksum(_A),
        _A.storage_class_id,
        _A.creation_time.label("archive_file_creation_time"),
        _A.reconciliation_time,
        _A.collocation_hint,
    ).join(ARCHIVE_FILE, _A.archive_file_id == _T.archive_file_id)


def recycle(
    database: Database, connection: Connection, copies: Sequence[AnyRow], reason: str, now: int
) -> None:
    """Insert FILE_RECYCLE_LOG rows for copies (rows of ``copies_query``) and delete them."""
    numbers = database.draw(connection, "file_recycle_log_id_seq", len(copies))
    connection.execute(
        insert(FILE_RECYCLE_LOG),
        [
            {
                "file_recycle_log_id": number,
                "vid": row.vid,
                "fseq": row.fseq,
                "block_id": row.block_id,
                "copy_nb": row.copy_nb,
                "tape_file_creation_time": row.tape_file_creation_time,
                "archive_file_id": row.archive_file_id,
                "disk_instance_name": row.disk_instance_name,
                "disk_file_id": row.disk_file_id,
                "disk_file_id_when_deleted": row.disk_file_id,
                "disk_file_uid": row.disk_file_uid,
                "disk_file_gid": row.disk_file_gid,
                "size_in_bytes": row.size_in_bytes,
                "checksum_blob": row.checksum_blob,
                "checksum_adler32": row.checksum_adler32,
                "storage_class_id": row.storage_class_id,
                "archive_file_creation_time": row.archive_file_creation_time,
                "reconciliation_time": row.reconciliation_time,
                "collocation_hint": row.collocation_hint,
                "disk_file_path": None,
                "reason_log": reason[:1000],
                "recycle_log_time": now,
            }
            for number, row in zip(numbers, copies, strict=True)
        ],
    )
    for keys in chunks([(row.vid, row.fseq) for row in copies]):
        connection.execute(delete(TAPE_FILE).where(tuple_(_T.vid, _T.fseq).in_(keys)))
