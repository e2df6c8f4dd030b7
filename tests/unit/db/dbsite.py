# SPDX-License-Identifier: GPL-3.0-or-later
"""A small site for the database tests, and the steps that many tests begin with."""

from __future__ import annotations

from dataclasses import dataclass

from cta_taped.common.model import ArchiveJob, DriveIdentity, Mount, WrittenFile
from cta_taped.db.backends import SchemaPart, create_schema, open_catalogue, open_scheduler
from cta_taped.db.catalogue import Author, Catalogue, ObjectKind
from cta_taped.db.scheduler import (
    ArchiveRequest,
    MountCriteria,
    Requester,
    RequestId,
    RetrieveRequest,
    Scheduler,
)

AUTHOR = Author("operator", "console.example")
USER = Requester("user1", "group1", 1000, 1000)
ANYTHING = MountCriteria(min_files=1, min_bytes=1)
BACKEND = "test-scheduler"


def drive_identity(number: int = 1, library: str = "lib1") -> DriveIdentity:
    return DriveIdentity(f"drive{number}", f"host{number}", library, f"/dev/nst{number}", f"smc{number}")


@dataclass(frozen=True)
class Site:
    """Open databases of a small site: pools pool1 and pool2 of VO vo1, tapes V00001 ... in lib1."""

    catalogue: Catalogue
    scheduler: Scheduler
    catalogue_url: str
    scheduler_url: str

    def add(self, kind: ObjectKind, **values: str | int | bool) -> None:
        values.setdefault("comment", "test")
        self.catalogue.objects.add(kind, values, AUTHOR)

    def add_tape(self, vid: str, pool: str = "pool1", library: str = "lib1", labelled: bool = True) -> None:
        self.add(
            ObjectKind.TAPE, vid=vid, media_type="LTO9", vendor="v", logical_library=library, tape_pool=pool
        )
        if labelled:
            self.catalogue.tapes.labelled(vid, "drive1")

    def register(self, number: int = 1, library: str = "lib1") -> DriveIdentity:
        drive = drive_identity(number, library)
        self.catalogue.drives.register(drive, "0.1", BACKEND, [])
        return drive

    def archive(self, count: int = 1, storage_class: str = "single", first: int = 0) -> list[RequestId]:
        return self.scheduler.requests.queue_archives(
            [archive_request(first + number, storage_class) for number in range(count)]
        )

    def mount(self, drive: DriveIdentity) -> Mount:
        mount = self.scheduler.mounts.next(drive, ANYTHING)
        assert mount is not None
        return mount

    def record(self, drive: DriveIdentity, mount: Mount, jobs: list[ArchiveJob]) -> list[WrittenFile]:
        facts = self.catalogue.tapes.facts(mount.vid)
        files = [written(job, mount.vid, facts.last_fseq + 1 + at) for at, job in enumerate(jobs)]
        self.catalogue.files.record_written(drive.name, files)
        return files

    def archived(self, count: int = 1, storage_class: str = "single", drive_number: int = 1) -> list[int]:
        """Archive files up to the end; their archive file ids."""
        drive = self.register(drive_number)
        self.archive(count, storage_class)
        ids: set[int] = set()
        while (mount := self.scheduler.mounts.next(drive, ANYTHING)) is not None:
            jobs = self.scheduler.archive.claim(drive, mount, count, 10**15)
            self.record(drive, mount, jobs)
            assert self.scheduler.archive.done(mount, [job.job_id for job in jobs]) == []
            ids.update(job.archive_file_id for job in jobs)
        self.catalogue.drives.remove(drive.name, force=True)
        return sorted(ids)

    def retrieve(self, archive_file_id: int, **values: object) -> RequestId:
        request = RetrieveRequest(archive_file_id, "file:///tmp/out", USER, **values)  # type: ignore[arg-type]
        return self.scheduler.requests.queue_retrieve(request)


def archive_request(number: int, storage_class: str = "single", size_bytes: int = 1000) -> ArchiveRequest:
    return ArchiveRequest(
        disk_instance="eos",
        disk_file_id=f"{storage_class}-{number}",
        disk_file_path=f"/eos/{storage_class}/{number}",
        source_url=f"file:///buffer/{storage_class}/{number}",
        size_bytes=size_bytes,
        adler32=0x091E01DE,
        storage_class=storage_class,
        requester=USER,
    )


def written(job: ArchiveJob | None, vid: str, fseq: int, adler32: int = 0x091E01DE) -> WrittenFile:
    block_id = 0 if fseq == 1 else fseq * 10
    size = job.size_bytes if job else 0
    return WrittenFile(vid, fseq, block_id, size, adler32, 1_700_000_000, job)


def fill(site: Site, tapes: int = 3) -> None:
    site.add(ObjectKind.DISK_INSTANCE, name="eos")
    site.add(
        ObjectKind.VIRTUAL_ORGANIZATION,
        vo="vo1",
        disk_instance="eos",
        read_max_drives=100,
        write_max_drives=100,
    )
    site.add(ObjectKind.STORAGE_CLASS, name="single", copies=1, vo="vo1")
    site.add(ObjectKind.STORAGE_CLASS, name="double", copies=2, vo="vo1")
    site.add(ObjectKind.TAPE_POOL, name="pool1", vo="vo1", partial_tapes=1)
    site.add(ObjectKind.TAPE_POOL, name="pool2", vo="vo1", partial_tapes=1)
    site.add(ObjectKind.ARCHIVE_ROUTE, storage_class="single", copy_nb=1, tape_pool="pool1")
    site.add(ObjectKind.ARCHIVE_ROUTE, storage_class="double", copy_nb=1, tape_pool="pool1")
    site.add(ObjectKind.ARCHIVE_ROUTE, storage_class="double", copy_nb=2, tape_pool="pool2")
    site.add(ObjectKind.MEDIA_TYPE, name="LTO9", cartridge="LTO-9", capacity_bytes=18_000_000_000_000)
    site.add(ObjectKind.LOGICAL_LIBRARY, name="lib1")
    site.add(
        ObjectKind.MOUNT_POLICY,
        name="normal",
        archive_priority=1,
        archive_min_request_age_s=0,
        retrieve_priority=2,
        retrieve_min_request_age_s=0,
    )
    site.add(ObjectKind.REQUESTER_RULE, disk_instance="eos", name="default", mount_policy="normal")
    for number in range(1, tapes + 1):
        site.add_tape(f"V{number:05d}")
    site.add_tape("W00001", "pool2")


def make_site(catalogue_url: str, scheduler_url: str) -> Site:
    create_schema(catalogue_url, SchemaPart.CATALOGUE)
    create_schema(scheduler_url, SchemaPart.SCHEDULER)
    site = Site(
        open_catalogue(catalogue_url),
        open_scheduler(scheduler_url, catalogue_url, BACKEND),
        catalogue_url,
        scheduler_url,
    )
    fill(site)
    return site
