# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of test_two_drives: a drive that works until the queues are empty, and an operator who interferes.

What it is: what runs in processes of their own, which may be killed at any moment. Everything they do is told
in one file, a line an event, before or after the deed, such that the order of lines proves the order of
deeds: a tape or job is told as taken after (a claim: inside the transaction) and as let go before it is.
"""

from __future__ import annotations

import os
import random
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dbsite import ANYTHING, AUTHOR, BACKEND, archive_request, drive_identity, written

from cta_taped.common.model import (
    ArchiveJob,
    DriveReport,
    DriveStatus,
    JobFailure,
    Mount,
    MountType,
    RetrieveJob,
    TapeState,
)
from cta_taped.db import ledger as ledger_delivery
from cta_taped.db.backends import open_catalogue, open_scheduler
from cta_taped.db.catalogue import Catalogue, ObjectKind
from cta_taped.db.ledger import Ledger
from cta_taped.db.scheduler import ArchiveQueue, Direction, RequestId, RetrieveQueue, Scheduler

LIMIT_BYTES = 10**12


@dataclass(frozen=True)
class Place:
    """One run: its directory, its databases (one file), and the file of what was done."""

    root: Path

    @property
    def url(self) -> str:
        return f"sqlite://{self.root}/cta.db"

    @property
    def deeds(self) -> Path:
        return self.root / "deeds"

    def ledger(self, number: int) -> Ledger:
        (self.root / f"drive{number}").mkdir(exist_ok=True)
        return Ledger(self.root / f"drive{number}")

    def tell(self, *words: object) -> None:
        """Append one line, whole, whoever writes too."""
        line = " ".join(map(str, words)) + "\n"
        file = os.open(self.deeds, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)

    def violations(self) -> list[str]:
        """Broken promises that a process saw itself, and how processes failed."""
        return [line for line in self.deeds.read_text().splitlines() if line.startswith("VIOLATION")]


class Drive:
    """Sessions of one drive, one after the other."""

    def __init__(self, place: Place, number: int, seed: int, batches: Sequence[int]) -> None:
        self.place = place
        self.identity = drive_identity(number)
        self.chance = random.Random(seed)
        self.batches = batches
        self.ledger = place.ledger(number)
        self.catalogue: Catalogue = open_catalogue(place.url)
        self.scheduler: Scheduler = open_scheduler(place.url, place.url, BACKEND)

    def work(self) -> None:
        """Mount after mount, until nothing is queued or running anywhere."""
        while True:
            mount = self.scheduler.mounts.next(self.identity, ANYTHING, self.ledger.vids(), self._reserve)
            if mount is not None:
                self._session(mount)
            elif self.scheduler.requests.queues():
                time.sleep(0.01 + self.chance.random() * 0.03)
            else:
                return

    def _reserve(self, mount: Mount) -> None:
        way = Direction.RETRIEVE if mount.mount_type is MountType.RETRIEVE else Direction.ARCHIVE
        self.place.tell("claim", self.identity.name, mount.mount_id, mount.vid, way)

    def _session(self, mount: Mount) -> None:
        there = [row.name for row in self.catalogue.drives.all() if row.vid == mount.vid]
        if there != [self.identity.name]:
            self.place.tell("VIOLATION", mount.vid, "is in", *there)
        retrieve = mount.mount_type is MountType.RETRIEVE
        next_fseq = mount.last_fseq + 1
        for _ in range(self.chance.randint(1, 3)):
            size = self.chance.choice(self.batches)
            jobs: Sequence[ArchiveJob] | Sequence[RetrieveJob]
            if retrieve:
                jobs = self.scheduler.retrieve.claim(self.identity, mount, size, LIMIT_BYTES)
            else:
                jobs = self.scheduler.archive.claim(self.identity, mount, size, LIMIT_BYTES)
            if not jobs:
                break
            self._tell("took", mount, [job.job_id for job in jobs])
            bad = {job.job_id for job in jobs if self.chance.random() < 0.03}
            good = [job for job in jobs if job.job_id not in bad]
            if retrieve:
                self._deliver(mount, [job.job_id for job in good])
                self._let_go(self.scheduler.retrieve, mount, sorted(bad))
            else:
                next_fseq = self._write(mount, good, next_fseq)
                self._let_go(self.scheduler.archive, mount, sorted(bad))
            if self.chance.random() < 0.2:
                self.scheduler.mounts.renew(mount)
        # Nothing may keep waiting for a mount that ends.
        (self.scheduler.retrieve if retrieve else self.scheduler.archive).requeue(mount, [])
        self.place.tell("end", self.identity.name, mount.mount_id)
        report = DriveReport(1, time.time(), DriveStatus.UP, last_mount_id=mount.mount_id)
        self.catalogue.drives.publish(self.identity, [report])

    def _write(self, mount: Mount, jobs: Sequence[ArchiveJob | RetrieveJob], fseq: int) -> int:
        """On tape, into the ledger, recorded, done: the fSeq that comes next."""
        files = [
            written(job, mount.vid, fseq + at) for at, job in enumerate(jobs) if isinstance(job, ArchiveJob)
        ]
        if files:
            self.ledger.append(mount, files)
            self._tell("wrote", mount, [job.job_id for job in jobs])
            deliver(self.place, self.ledger, self.catalogue, self.scheduler, self.identity.name)
        return fseq + len(files)

    def _deliver(self, mount: Mount, job_ids: Sequence[int]) -> None:
        if job_ids:
            self._tell("wrote", mount, job_ids)
            if gone := self.scheduler.retrieve.done(mount, job_ids):
                self.place.tell("VIOLATION done, but not this mount's", mount.mount_id, *gone)

    def _let_go(self, queue: ArchiveQueue | RetrieveQueue, mount: Mount, job_ids: Sequence[int]) -> None:
        """Each bad job by chance: charged or not, to be tried here or elsewhere, or just given back."""
        failures, returned = [], []
        for job_id in job_ids:
            kind = self.chance.choice(("charged", "charged", "elsewhere", "uncharged", "returned"))
            charged = kind in ("charged", "elsewhere")
            self._tell("charged" if charged else "back", mount, [job_id])
            if kind == "returned":
                returned.append(job_id)
            else:
                failure = JobFailure(job_id, "CTA-DISK-003", "by chance", charged, kind == "elsewhere")
                failures.append(failure)
        gone = queue.failed(mount, failures)
        queue.requeue(mount, returned)
        if gone:
            self.place.tell("VIOLATION failed, but not this mount's", mount.mount_id, *gone)

    def _tell(self, deed: str, mount: Mount, job_ids: Sequence[int]) -> None:
        letter = "r" if mount.mount_type is MountType.RETRIEVE else "a"
        jobs = " ".join(f"{letter}{job_id}" for job_id in job_ids)
        self.place.tell(deed, self.identity.name, mount.mount_id, jobs)


def deliver(place: Place, ledger: Ledger, catalogue: Catalogue, scheduler: Scheduler, drive: str) -> None:
    """What session and maintenance worker both do with a ledger."""
    for vid in ledger.vids():
        ledger_delivery.record(ledger, catalogue, drive, vid)
        if gone := ledger_delivery.finish(ledger, scheduler, vid):
            place.tell("VIOLATION on tape, but taken by another mount", *gone)


def drive(root: Path, number: int, seed: int, batches: Sequence[int]) -> None:
    """The program of a drive."""
    place = Place(root)
    try:
        Drive(place, number, seed, batches).work()
    except Exception:
        place.tell("VIOLATION", repr(traceback.format_exc()))
        raise


def operator(root: Path, seed: int, cancellable: Sequence[RequestId], quota: tuple[int, int]) -> None:
    """The program of an operator and a user: disable and enable, cancel, queue more, change quotas."""
    place, chance = Place(root), random.Random(seed)
    catalogue: Catalogue = open_catalogue(place.url)
    scheduler: Scheduler = open_scheduler(place.url, place.url, BACKEND)
    read, write = quota
    try:
        for turn in range(chance.randint(3, 12)):
            time.sleep(chance.random() * 0.08)
            action = chance.choice(("tape", "cancel", "queue", "quota", "priority"))
            if action == "tape":
                vid = f"V{chance.randint(1, 6):05d}"
                catalogue.tapes.set_state(vid, TapeState.DISABLED, "looked at", AUTHOR)
                time.sleep(chance.random() * 0.05)
                catalogue.tapes.set_state(vid, TapeState.ACTIVE, "", AUTHOR)
            elif action == "cancel":
                for request in chance.sample(cancellable, min(10, len(cancellable))):
                    if scheduler.requests.cancel(request):
                        place.tell("cancelled", request)
            elif action == "queue":
                batch = [archive_request(10**6 + 100 * turn + number) for number in range(20)]
                place.tell("queued", *scheduler.requests.queue_archives(batch))
            elif action == "quota":
                new = chance.choice(((1, 1), (2, 2), (1, 2), (2, 1)))
                # While it changes, the larger of both holds.
                place.tell("quota", max(read, new[0]), max(write, new[1]))
                read, write = new
                values = {"read_max_drives": read, "write_max_drives": write}
                catalogue.objects.change(ObjectKind.VIRTUAL_ORGANIZATION, {"vo": "vo1"}, values, AUTHOR)
                place.tell("quota", read, write)
            else:
                values = {"archive_priority": chance.randint(1, 5), "retrieve_priority": chance.randint(1, 5)}
                catalogue.objects.change(ObjectKind.MOUNT_POLICY, {"name": "normal"}, values, AUTHOR)
    except Exception:
        place.tell("VIOLATION", repr(traceback.format_exc()))
        raise
