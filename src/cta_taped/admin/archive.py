# SPDX-License-Identifier: GPL-3.0-or-later
"""``cta-admin archive``: queue files of this host to be written to tape.

What it is: the front end of a site that has no other (no EOS, no dCache): it looks at each file, queues all
that can be archived and tells of the rest. What it is not: a transfer; the drives' daemons read the files
later, by the same path. Why a file that is queued, or archived and unchanged, is no problem: the same command
is run again for a folder that grew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import click

from cta_taped.admin import diskpath, sources, waiting
from cta_taped.admin.completion import object_names
from cta_taped.admin.output import Problems, note, shown_size
from cta_taped.admin.requester import group_option, requester_of, requester_option
from cta_taped.admin.site import Site, json_option, pass_site, settled
from cta_taped.admin.sources import Source
from cta_taped.admin.waiting import Queued
from cta_taped.common.errors import CATALOGUE_EXISTS, CATALOGUE_REFUSED, SCHEDULER_QUEUED, CtaError
from cta_taped.db.catalogue import ObjectKind
from cta_taped.db.scheduler import ArchiveRequest, RequestId, Requests

_BATCH_FILES: Final = 1000
_NOBODY: Final = 65534


@dataclass(frozen=True, slots=True)
class Order:
    """What is the same for all files of one command. ``root_owner``: the uid recorded for files of root."""

    disk_instance: str
    storage_class: str
    user: str | None
    group: str | None
    root_owner: int
    checksum: bool

    def request(self, source: Source) -> ArchiveRequest:
        """The request for one file. Raises what the disk answers when a checksum is asked for."""
        uid = source.uid or self.root_owner
        identifier = diskpath.disk_file_id(source.path)
        return ArchiveRequest(
            disk_instance=self.disk_instance,
            disk_file_id=identifier,
            disk_file_path=diskpath.text(source.path),
            source_url=diskpath.url(source.path),
            size_bytes=source.size_bytes,
            adler32=sources.checksum(source) if self.checksum else None,
            storage_class=self.storage_class,
            requester=requester_of(self.user, self.group, uid, source.gid),
            keep_url=diskpath.is_hash(identifier),
        )


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option(
    "-s",
    "--storage-class",
    "--storageclass",
    "storage_class",
    required=True,
    shell_complete=object_names(ObjectKind.STORAGE_CLASS, "name"),
    help="Storage class: how many copies, and by its routes in which tape pools.",
)
@click.option(
    "-i",
    "--instance",
    shell_complete=object_names(ObjectKind.DISK_INSTANCE, "name"),
    help="Disk instance. [default: the only one]",
)
@requester_option
@group_option
@click.option(
    "--root-owner",
    type=click.IntRange(min=1),
    default=_NOBODY,
    show_default=True,
    help="Uid to record as the owner of files of root, which the catalogue refuses.",
)
@click.option("--checksum", is_flag=True, help="Read each file now; the daemon then checks what it reads.")
@click.option("--wait", is_flag=True, help="Wait until all are on tape and recorded.")
@json_option
@pass_site
def archive(
    site: Site,
    paths: tuple[str, ...],
    storage_class: str,
    instance: str | None,
    requester: str | None,
    group: str | None,
    root_owner: int,
    checksum: bool,
    wait: bool,
) -> None:
    """Queue files of this host to be archived; of a folder, all files below it.

    What is no file, or empty, is reported and the rest is queued. Symbolic links below a folder are left out,
    and files that are queued already, or archived and unchanged since; --wait waits for those that are queued
    already, too.
    """
    order = Order(site.disk_instance(instance), storage_class, requester, group, root_owner, checksum)
    problems = Problems()
    all_queued: list[Queued] = []
    earlier: list[Queued] = []
    links: list[bytes] = []
    unchanged, of_root = 0, False
    try:
        for batch in _batches(sources.walk(paths, problems.add, links.append)):
            new = _not_archived(site, order.disk_instance, batch, problems)
            of_root = of_root or any(source.uid == 0 for source in new)
            unchanged += len(batch) - len(new)
            requests = _requests(order, new, problems)
            all_queued += _queue(site.scheduler.requests, requests, earlier, problems)
    finally:
        _tell(all_queued, len(earlier), unchanged, of_root, root_owner)
        if links:
            note(f"{len(links)} symbolic links left out; they hold no data of their own")
    waiting.finish(site, [*all_queued, *earlier] if wait else all_queued, wait, problems)


def _tell(all_queued: Sequence[Queued], earlier: int, unchanged: int, of_root: bool, root_owner: int) -> None:
    size = shown_size(sum(queued.size_bytes or 0 for queued in all_queued))
    as_numbers = waiting.numbers(all_queued)
    note(
        f"{len(all_queued)} files ({size}) queued{as_numbers}"
        + (f", {earlier} queued already" if earlier else "")
        + (f", {unchanged} left out" if unchanged else "")
    )
    if of_root and all_queued:
        note(f"uid {root_owner} is recorded as the owner of files that belong to root")


def _batches(files: Iterable[Source]) -> Iterator[list[Source]]:
    iterator = iter(files)
    while batch := list(islice(iterator, _BATCH_FILES)):
        yield batch


def _not_archived(
    site: Site, disk_instance: str, batch: Sequence[Source], problems: Problems
) -> list[Source]:
    """Those files that the catalogue does not have; a changed one is a problem, for its old copy stands."""
    by_id = {diskpath.disk_file_id(source.path): source for source in batch}
    archived = {row.disk_file_id: row for row in site.catalogue.files.find(disk_instance, by_id.keys())}
    for identifier, row in archived.items():
        source = by_id[identifier]
        if source.size_bytes != row.size_bytes or source.modified_time > row.creation_time:
            problems.add(
                CtaError(
                    CATALOGUE_EXISTS,
                    f"{diskpath.quoted(source.path)} changed since it was archived as file "
                    f"{row.archive_file_id}; delete that one first, or archive under another name",
                )
            )
    return [source for identifier, source in by_id.items() if identifier not in archived]


def _requests(order: Order, batch: Sequence[Source], problems: Problems) -> list[ArchiveRequest]:
    requests = []
    for source in batch:
        try:
            requests.append(order.request(source))
        except CtaError as error:
            problems.add(error)
    return requests


def _queue(
    scheduler: Requests, batch: Sequence[ArchiveRequest], earlier: list[Queued], problems: Problems
) -> list[Queued]:
    """Queue a batch; files that are queued already go to ``earlier``. Another file that is refused is found
    by halving, and does not keep the others out.
    """
    if not batch:
        return []
    try:
        numbers = settled(scheduler.queue_archives, batch)
    except CtaError as error:
        if error.spec is SCHEDULER_QUEUED:
            there = {(instance, file): number for instance, file, number in error.evidence["queued"]}
            keys = [(request.disk_instance, request.disk_file_id) for request in batch]
            earlier += [
                _queued(there[key], request) for key, request in zip(keys, batch, strict=True) if key in there
            ]
            new = [request for key, request in zip(keys, batch, strict=True) if key not in there]
            return _queue(scheduler, new, earlier, problems)
        if error.spec is not CATALOGUE_REFUSED:
            raise
        if len(batch) == 1:
            problems.add(error)
            return []
        middle = len(batch) // 2
        first = _queue(scheduler, batch[:middle], earlier, problems)
        return first + _queue(scheduler, batch[middle:], earlier, problems)
    return [_queued(number, request) for number, request in zip(numbers, batch, strict=True)]


def _queued(number: RequestId, request: ArchiveRequest) -> Queued:
    return Queued(number, request.disk_file_path, request.size_bytes)
