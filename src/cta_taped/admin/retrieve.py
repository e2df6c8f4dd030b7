# SPDX-License-Identifier: GPL-3.0-or-later
"""``cta-admin retrieve``: queue archived files to be brought back, or only to be read and verified.

What it is: numbers and paths in, one request per file out; below the destination the tree stands as it did
below ``/``. What it is not: a transfer, nor a way to overwrite: a destination that exists is a problem, and
the rest is queued.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import click

from cta_taped.admin import diskpath, waiting
from cta_taped.admin.completion import object_names
from cta_taped.admin.output import Problems, note, shown_size
from cta_taped.admin.requester import group_option, requester_of, requester_option
from cta_taped.admin.site import Site, json_option, pass_site, settled
from cta_taped.admin.waiting import Queued
from cta_taped.common.errors import (
    CATALOGUE_NOT_FOUND,
    CONFIG_USAGE,
    DISK_EXISTS,
    DISK_NAME,
    CtaError,
)
from cta_taped.db.catalogue import ObjectKind, TapeFileRow
from cta_taped.db.scheduler import RetrieveRequest
from cta_taped.disk.files import OPEN_DESTINATION, disk_error

_BATCH_FILES: Final = 1000
_NOWHERE: Final = "file:///dev/null"
_ID: Final = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One archive file to bring back.

    ``path``: where it was, None if the catalogue has only a hash of that.
    """

    archive_file_id: int
    size_bytes: int
    owner_uid: int
    gid: int
    path: bytes | None

    @property
    def name(self) -> str:
        """What a person is told."""
        return f"file {self.archive_file_id}" if self.path is None else diskpath.text(self.path)


@click.command()
@click.argument("files", metavar="ID|PATH...", nargs=-1, required=True)
@click.option(
    "--to",
    "folder",
    type=click.Path(exists=True, file_okay=False),
    help="Folder under which the files are restored, each with its whole path.",
)
@click.option(
    "-i",
    "--instance",
    shell_complete=object_names(ObjectKind.DISK_INSTANCE, "name"),
    help="Disk instance of paths. [default: the only one]",
)
@requester_option
@group_option
@click.option(
    "-v",
    "--vid",
    shell_complete=object_names(ObjectKind.TAPE, "vid"),
    help="Read the copy on this tape and no other.",
)
@click.option("--activity", help="Activity, for the mount rules.")
@click.option("--mount-policy", "--mountpolicy", "mount_policy", help="Mount policy, instead of the rules'.")
@click.option("--verify-only", is_flag=True, help="Read and verify; write nothing to disk.")
@click.option("--wait", is_flag=True, help="Wait until all are back and verified.")
@json_option
@pass_site
def retrieve(
    site: Site,
    files: tuple[str, ...],
    folder: str | None,
    instance: str | None,
    requester: str | None,
    group: str | None,
    vid: str | None,
    activity: str | None,
    mount_policy: str | None,
    verify_only: bool,
    wait: bool,
) -> None:
    """Queue archived files to be brought back: by archive file id, or by the path they were archived from.

    A path that was a folder means all files archived from below it. A file that is found by id and whose
    path the catalogue does not have is restored under its id. Digits alone are an id; write ./123 for a
    path.
    """
    if verify_only == (folder is not None):
        raise CtaError(CONFIG_USAGE, "one of --to DIR and --verify-only is needed")
    problems = Problems()
    all_queued: list[Queued] = []
    every = _all_wanted(site, files, instance, problems)
    try:
        while batch := list(islice(every, _BATCH_FILES)):
            requests: list[tuple[Wanted, RetrieveRequest]] = []
            for wanted in batch:
                try:
                    url = _NOWHERE if folder is None else _destination(folder, wanted)
                except CtaError as error:
                    problems.add(error)
                    continue
                request = RetrieveRequest(
                    archive_file_id=wanted.archive_file_id,
                    destination_url=url,
                    requester=requester_of(requester, group, wanted.owner_uid, wanted.gid),
                    activity=activity,
                    mount_policy=mount_policy,
                    vid=vid,
                    verify_only=verify_only,
                )
                requests.append((wanted, request))
            answers = settled(site.scheduler.requests.queue_retrieves, [request for _, request in requests])
            for (wanted, _), answer in zip(requests, answers, strict=True):
                if isinstance(answer, CtaError):
                    problems.add(answer)
                    continue
                all_queued.append(Queued(answer, wanted.name, wanted.size_bytes, wanted.archive_file_id))
    finally:
        size = shown_size(sum(queued.size_bytes or 0 for queued in all_queued))
        note(f"{len(all_queued)} files ({size}) queued{waiting.numbers(all_queued)}")
    waiting.finish(site, all_queued, wait, problems)


def _all_wanted(
    site: Site, files: Sequence[str], instance: str | None, problems: Problems
) -> Iterator[Wanted]:
    seen: set[int] = set()
    for file in files:
        found, by_id = 0, _ID.fullmatch(file) is not None
        try:
            rows = _by_id(site, int(file)) if by_id else _by_path(site, file, instance)
            for row, path in rows:
                found += 1
                if row.archive_file_id not in seen:
                    seen.add(row.archive_file_id)
                    yield Wanted(row.archive_file_id, row.size_bytes, row.owner_uid, row.gid, path)
        except CtaError as error:
            if error.spec not in (CATALOGUE_NOT_FOUND, DISK_NAME):
                raise
            problems.add(error)
            continue
        if not found:
            problems.add(CtaError(CATALOGUE_NOT_FOUND, f"nothing was archived from {file!r}"))


def _by_id(site: Site, archive_file_id: int) -> Iterator[tuple[TapeFileRow, bytes | None]]:
    for row in site.catalogue.files.copies(archive_file_id):
        path = diskpath.path_of(row.disk_file_id)
        if path is None:
            url = site.catalogue.files.urls(row.disk_instance, {row.disk_file_id}).get(row.disk_file_id)
            path = diskpath.path_of_url(url) if url else None
        yield row, path


def _by_path(site: Site, file: str, instance: str | None) -> Iterator[tuple[TapeFileRow, bytes | None]]:
    """The file archived from this path, or else all files from below it, each with its path."""
    path = diskpath.absolute(file)
    disk_instance = site.disk_instance(instance)
    exact = list(site.catalogue.files.find(disk_instance, {diskpath.disk_file_id(path)}))
    if exact:
        yield from ((row, path) for row in exact)
        return
    hashed: list[TapeFileRow] = []
    for row in site.catalogue.files.find(disk_instance):
        found = diskpath.path_of(row.disk_file_id)
        if found is None:
            hashed.append(row)
        elif diskpath.is_below(found, path):
            yield row, found
    kept = site.catalogue.files.urls(disk_instance, {row.disk_file_id for row in hashed})
    for row in hashed:
        if row.disk_file_id in kept:
            found = diskpath.path_of_url(kept[row.disk_file_id])
            if diskpath.is_below(found, path):
                yield row, found


def _destination(folder: str, wanted: Wanted) -> str:
    """The URL under the folder, whose directories are made.

    Raises DISK_EXISTS, DISK_NAME, what the disk answers.
    """
    top = diskpath.absolute(folder)
    if wanted.path is None:
        inner = str(wanted.archive_file_id).encode()
    elif os.path.normpath(wanted.path) == wanted.path:
        inner = wanted.path.lstrip(b"/")
    else:
        raise CtaError(DISK_NAME, f"{wanted.name!r} is not a path that can be restored")
    destination = top.rstrip(b"/") + b"/" + inner
    try:
        _make_folders(top, inner)
        exists = os.path.lexists(destination)
    except OSError as error:
        raise disk_error(OPEN_DESTINATION, os.fsdecode(destination), error) from error
    if exists:
        raise CtaError(DISK_EXISTS, f"{diskpath.quoted(destination)} exists already")
    return diskpath.url(destination)


def _make_folders(top: bytes, inner: bytes) -> None:
    """Make what is missing above ``inner``; new folders belong to whom ``top`` belongs, for the daemon to
    write.
    """
    owner = os.stat(top)  # noqa: PTH116 - bytes
    place = top
    for part in inner.split(b"/")[:-1]:
        place += b"/" + part
        try:
            os.mkdir(place)  # noqa: PTH102
        except FileExistsError:
            continue
        os.chmod(place, stat.S_IMODE(owner.st_mode))  # noqa: PTH101
        if os.geteuid() == 0:
            os.chown(place, owner.st_uid, owner.st_gid)
