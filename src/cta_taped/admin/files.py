# SPDX-License-Identifier: GPL-3.0-or-later
"""``cta-admin archivefile``, ``tapefile`` and ``recycletf``: files, their copies on tape, and what was
deleted.

Field names are those of upstream's JSON (TapeFileLsItem with its af, df and tf; RecycleTapeFileLsItem).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any, Final

import click

from cta_taped.admin import diskpath
from cta_taped.admin.completion import object_names
from cta_taped.admin.output import Column, Row, listing, printable, shown, shown_size, shown_time
from cta_taped.admin.site import Site, json_option, pass_site
from cta_taped.common.errors import CONFIG_USAGE, CtaError
from cta_taped.db.catalogue import DeletedFileRow, ObjectKind, TapeFileRow


def _shown_checksum(value: Any) -> str:
    return str(value[0]["value"]) if value else "-"


def _nested(
    title: str, part: str, field: str, show: Callable[[Any], str] = shown, right: bool = False
) -> Column:
    return Column(part, title, lambda value: show(value[field]), right)


_FILE_COLUMNS: Final = (
    _nested("archive id", "af", "archiveId", right=True),
    _nested("storage class", "af", "storageClass"),
    _nested("size", "af", "size", shown_size, right=True),
    _nested("adler32", "af", "checksum", _shown_checksum),
    _nested("instance", "df", "diskInstance"),
    _nested("path or disk id", "df", "path"),
)
_COPY_COLUMNS: Final = (
    _nested("vid", "tf", "vid"),
    _nested("fseq", "tf", "fSeq", right=True),
    _nested("block id", "tf", "blockId", right=True),
    _nested("copy", "tf", "copyNb", right=True),
    _nested("created", "af", "creationTime", shown_time),
)


def _shown_copies(value: Any) -> str:
    return printable(" ".join(f"{copy['vid']}:{copy['fSeq']}" for copy in value))


_COPIES: Final = Column("tapeFiles", "copies (vid:fseq)", _shown_copies)
_RECYCLED_COLUMNS: Final = (
    Column("vid", "vid"),
    Column("fseq", "fseq", shown, right=True),
    Column("copyNb", "copy", shown, right=True),
    Column("archiveFileId", "archive id", shown, right=True),
    Column("sizeInBytes", "size", shown_size, right=True),
    Column("diskInstance", "instance"),
    Column("diskFileId", "disk id"),
    Column("recycleLogTime", "deleted", shown_time),
    Column("reasonLog", "reason"),
)

_vid_option = click.option("-v", "--vid", shell_complete=object_names(ObjectKind.TAPE, "vid"), help="Tape.")
_instance_option = click.option(
    "-i", "--instance", shell_complete=object_names(ObjectKind.DISK_INSTANCE, "name"), help="Disk instance."
)
_id_option = click.option(
    "-I", "--id", "archive_file_id", type=click.IntRange(1, 2**63 - 1), help="Archive file id."
)
_disk_id_option = click.option("-f", "--diskid", "disk_file_id", help="Disk file id; needs --instance.")
_path_option = click.option("--path", help="Path that 'cta-admin archive' was given.")
_all_option = click.option("-a", "--all", "everything", is_flag=True, help="Without any condition.")


@click.group()
def archivefile() -> None:
    """List archived files."""


@archivefile.command("ls")
@_id_option
@_instance_option
@_disk_id_option
@_path_option
@_vid_option
@_all_option
@json_option
@pass_site
def list_archive_files(site: Site, /, everything: bool, **conditions: Any) -> None:
    """List archive files, each with all its copies that fulfil the conditions."""
    rows = _found(site, everything, **conditions)
    listing(map(_archive_file, _by_archive_file(rows)), (*_FILE_COLUMNS, _COPIES), site.as_json)


@click.group()
def tapefile() -> None:
    """List the copies of files on tape."""


@tapefile.command("ls")
@_vid_option
@_id_option
@_instance_option
@_disk_id_option
@_path_option
@_all_option
@json_option
@pass_site
def list_tape_files(site: Site, /, everything: bool, **conditions: Any) -> None:
    """List copies on tape, those of one tape in the order in which they stand on it."""
    rows = _found(site, everything, **conditions)
    listing(map(_tape_file, rows), (*_COPY_COLUMNS, *_FILE_COLUMNS), site.as_json)


@click.group()
def recycletf() -> None:
    """List deleted and superseded copies."""


@recycletf.command("ls")
@_vid_option
@json_option
@pass_site
def list_deleted(site: Site, vid: str | None) -> None:
    """List the recycle log, oldest first."""
    listing(map(_deleted, site.catalogue.files.deleted(vid)), _RECYCLED_COLUMNS, site.as_json)


def _found(
    site: Site,
    everything: bool,
    archive_file_id: int | None = None,
    instance: str | None = None,
    disk_file_id: str | None = None,
    path: str | None = None,
    vid: str | None = None,
) -> Iterable[TapeFileRow]:
    """The copies that fulfil all conditions.

    Raises CONFIG_USAGE when there is none and not ``everything``.
    """
    if path is not None:
        disk_file_id = diskpath.disk_file_id(diskpath.absolute(path))
        instance = site.disk_instance(instance)
    if disk_file_id is not None and instance is None:
        raise CtaError(CONFIG_USAGE, "--diskid needs --instance: the id is unique only within one")
    conditions = (archive_file_id, instance, disk_file_id, vid)
    if not everything and conditions == (None, None, None, None):
        raise CtaError(CONFIG_USAGE, "a condition is needed, or --all for every file there is")
    if vid is not None:
        site.catalogue.tapes.facts(vid)  # an unknown tape is an error, not an empty list
    files = site.catalogue.files
    if archive_file_id is not None:
        return [row for row in files.copies(archive_file_id) if _fulfils(row, instance, disk_file_id, vid)]
    if vid is not None and instance is None:
        return files.on_tape(vid)
    return files.find(instance, () if disk_file_id is None else {disk_file_id}, vid)


def _fulfils(row: TapeFileRow, instance: str | None, disk_file_id: str | None, vid: str | None) -> bool:
    return (
        instance in (None, row.disk_instance)
        and disk_file_id in (None, row.disk_file_id)
        and vid in (None, row.vid)
    )


def _parts(row: TapeFileRow) -> dict[str, Any]:
    path = diskpath.path_of(row.disk_file_id)
    checksums = [] if row.adler32 is None else [{"type": "ADLER32", "value": f"{row.adler32:08x}"}]
    return {
        "af": {
            "archiveId": row.archive_file_id,
            "storageClass": row.storage_class,
            "creationTime": row.creation_time,
            "checksum": checksums,
            "size": row.size_bytes,
        },
        "df": {
            "diskId": row.disk_file_id,
            "diskInstance": row.disk_instance,
            "ownerId": {"uid": row.owner_uid, "gid": row.gid},
            "path": row.disk_file_id if path is None else diskpath.text(path),
        },
    }


def _copy(row: TapeFileRow) -> dict[str, Any]:
    return {"vid": row.vid, "copyNb": row.copy_nb, "blockId": row.block_id, "fSeq": row.fseq}


def _tape_file(row: TapeFileRow) -> Row:
    return {**_parts(row), "tf": _copy(row)}


def _by_archive_file(rows: Iterable[TapeFileRow]) -> Iterator[list[TapeFileRow]]:
    """Neighbouring copies of one file together."""
    for _, copies in groupby(rows, key=lambda row: row.archive_file_id):
        yield list(copies)


def _archive_file(copies: list[TapeFileRow]) -> Row:
    return {**_parts(copies[0]), "tapeFiles": [_copy(row) for row in copies]}


def _deleted(row: DeletedFileRow) -> Row:
    return {
        "vid": row.vid,
        "fseq": row.fseq,
        "blockId": row.block_id,
        "copyNb": row.copy_nb,
        "archiveFileId": row.archive_file_id,
        "sizeInBytes": row.size_bytes,
        "diskInstance": row.disk_instance,
        "diskFileId": row.disk_file_id,
        "reasonLog": row.reason,
        "recycleLogTime": row.recycle_time,
    }
