# SPDX-License-Identifier: GPL-3.0-or-later
"""A site in a temporary directory, with real databases, and cta-admin run in this process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cta_taped.admin.__main__ import run
from cta_taped.admin.site import Site
from cta_taped.common.model import ArchiveJob, DesiredState, DriveIdentity, JobFailure, Mount, WrittenFile
from cta_taped.db.ledger import Ledger
from cta_taped.db.scheduler import Direction, MountCriteria

SITE_FILE = """\
[site]
runtime_dir = "{root}/run"
state_dir = "{root}/state"
[catalogue]
url = "sqlite:///{root}/catalogue.db"
[scheduler]
url = "sqlite:///{root}/scheduler.db"
"""
DRIVE_FILE = """\
[drive]
name = "{name}"
device = "{device}"
changer = ""
library_slot = "dummy"
logical_library = "lib"
"""
OBJECTS = """\
diskinstance add -n local -m c
virtualorganization add --vo vo1 --rmd 1 --wmd 1 --di local -m c
storageclass add -n single -c 1 --vo vo1 -m c
mediatype add -n LTO9 -t LTO-9 -c 18TB -m c
logicallibrary add -n lib -m c
tapepool add -n pool --vo vo1 -m c
archiveroute add -s single -c 1 -t pool -m c
mountpolicy add -n policy --ap 1 --aa 0 --rp 1 --ra 0 -m c
requestermountrule add -i local -n default -u policy -m c
tape add -v V00001 --mt LTO9 --ve IBM -l lib -t pool
"""


@dataclass(frozen=True)
class Outcome:
    """What one run of cta-admin gave."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


class Admin:
    """cta-admin on one site."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.file = root / "site.toml"
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> Outcome:
        """Run one command line."""
        self._capsys.readouterr()
        status = run(["--config", str(self.file), *map(str, arguments)])
        captured = self._capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    def ok(self, *arguments: str | Path) -> Outcome:
        """Run a command line that must succeed."""
        outcome = self(*arguments)
        assert outcome.status == 0, outcome.err
        return outcome

    def json(self, *arguments: str | Path) -> Any:
        """The JSON of a listing that must succeed."""
        return self.ok("--json", *arguments).json

    def add_drive(self, name: str, device: str = "/dev/null") -> None:
        """Configure a drive of this host."""
        (self.root / "drives").mkdir(exist_ok=True)
        (self.root / "drives" / f"{name}.toml").write_text(DRIVE_FILE.format(name=name, device=device))

    def site(self) -> Site:
        """The site, for what a test does without the command line."""
        return Site(self.file, as_json=False)

    def register(self, name: str, host: str | None = None) -> DriveIdentity:
        """Register a drive in the catalogue, as its daemon does."""
        site = self.site()
        identity = DriveIdentity(name, host or site.config.host, "lib", "/dev/null", "dummy")
        site.catalogue.drives.register(identity, "1", "cta", [], DesiredState(up=True))
        site.close()
        return identity


class Tape:
    """What a drive does to queued archive requests, without a drive."""

    def __init__(self, admin: Admin) -> None:
        self._site = admin.site()
        self._drive = admin.register("D1")
        self._site.catalogue.tapes.labelled("V00001", "D1")
        self._last_fseq = 0

    def write_all(self) -> list[ArchiveJob]:
        """Take all queued jobs of the next mount, record them as written to V00001, and end the mount."""
        mount = self._next_mount()
        jobs = self._site.scheduler.archive.claim(self._drive, mount, 1000, 10**12)
        written = []
        for job in jobs:
            self._last_fseq += 1
            fseq = self._last_fseq
            written.append(WrittenFile("V00001", fseq, fseq * 10, job.size_bytes, 7, 1_900_000_000, job))
        self._site.catalogue.files.record_written("D1", written)
        self._site.scheduler.archive.done(mount, [job.job_id for job in jobs])
        self._deliver()
        return jobs

    def keep_in_ledger(self, directory: Path) -> None:
        """Take all queued jobs of the next mount into a ledger, as when the databases went away."""
        directory.mkdir(parents=True)
        mount = self._next_mount()
        jobs = self._site.scheduler.archive.claim(self._drive, mount, 1000, 10**12)
        written = [
            WrittenFile("V00001", fseq, fseq, job.size_bytes, 7, 1_900_000_000, job)
            for fseq, job in enumerate(jobs, 1)
        ]
        Ledger(directory).append(mount, written)

    def read_all(self) -> None:
        """Take all queued retrieve jobs of the next mount, and say that they are delivered."""
        mount = self._next_mount()
        jobs = self._site.scheduler.retrieve.claim(self._drive, mount, 1000, 10**12)
        self._site.scheduler.retrieve.done(mount, [job.job_id for job in jobs])
        self._deliver()

    def fail_all(self, code: str, text: str) -> None:
        """Let all queued archive jobs fail until nobody tries them again, nor asked to be told so."""
        while any(queue.waiting_files for queue in self._site.scheduler.requests.queues()):
            mount = self._next_mount()
            while jobs := self._site.scheduler.archive.claim(self._drive, mount, 1000, 10**12):
                failures = [JobFailure(job.job_id, code, text, charged=True) for job in jobs]
                self._site.scheduler.archive.failed(mount, failures)
        reports = self._site.scheduler.reports
        reports.keep(reports.take(Direction.ARCHIVE, 1000))

    def _next_mount(self) -> Mount:
        self._site.catalogue.drives.register(self._drive, "1", "cta", [], DesiredState(up=True))
        mount = self._site.scheduler.mounts.next(self._drive, MountCriteria(1, 1))
        assert mount is not None
        return mount

    def _deliver(self) -> None:
        reports = self._site.scheduler.reports
        for direction in Direction:
            reports.delivered(reports.take(direction, 1000))

    def close(self) -> None:
        """Let the connections go."""
        self._site.close()
