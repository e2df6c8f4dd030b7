# SPDX-License-Identifier: GPL-3.0-or-later
"""A labelled virtual tape, real files, and hosts that note what a run tells them."""

from __future__ import annotations

import random
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

from cta_taped.common.model import (
    ArchiveJob,
    JobFailure,
    RetrieveJob,
    WriterIdentity,
    WrittenFile,
)
from cta_taped.common.scsi.codes import MtOp
from cta_taped.common.scsi.port import MtStatus, Result, TapePort, open_tape_port
from cta_taped.tape.drive import TapeDrive
from cta_taped.tape.files import FileReader, FileWriter
from cta_taped.tape.volume import label_volume, open_for_read, open_for_write

VID = "V00001"
IDENTITY = WriterIdentity("SITE", "HOST", "VENDOR", "MODEL", "SERIAL")


class WatchedPort(TapePort):
    """A real port whose calls are counted, noted, and made to fail where a test says so.

    ``fail[("write", 7)]`` is raised by the 7th write from now (the first is number 1); ``before[...]`` is
    called. ``events`` holds ``write``, ``read``, ``mark``, ``flush`` in order, and what tests add.
    """

    def __init__(self, port: TapePort) -> None:
        self._port = port
        self._counts: Counter[str] = Counter()
        self.armed = False
        self.write_takes_s = 0.0
        self.read_takes_s = 0.0
        self.events: list[str] = []
        self.fail: dict[tuple[str, int], OSError] = {}
        self.before: dict[tuple[str, int], Callable[[], None]] = {}

    def arm(self) -> None:
        """Count from one, from now on."""
        self.armed = True
        self._counts.clear()
        self.events.clear()

    def _note(self, what: str) -> None:
        if not self.armed:
            return
        self._counts[what] += 1
        place = (what, self._counts[what])
        self.events.append(what)
        if place in self.before:
            self.before[place]()
        if place in self.fail:
            raise self.fail[place]

    def read(self, buffer: memoryview) -> int:
        self._note("read")
        if self.read_takes_s:
            time.sleep(self.read_takes_s)
        return self._port.read(buffer)

    def write(self, block: memoryview | bytes) -> int:
        self._note("write")
        if self.write_takes_s:
            time.sleep(self.write_takes_s)
        return self._port.write(block)

    def mt_op(self, op: int, count: int) -> None:
        if op == MtOp.MTWEOFI:
            self._note("mark")
        elif op == MtOp.MTWEOF:
            self._note("flush")
        self._port.mt_op(op, count)

    def mt_status(self) -> MtStatus:
        return self._port.mt_status()

    def execute(
        self, cdb: bytes, data_out: bytes = b"", data_in_length: int = 0, timeout_s: float = 60.0
    ) -> Result:
        return self._port.execute(cdb, data_out, data_in_length, timeout_s)

    def reopen(self) -> None:
        self._port.reopen()

    def close(self) -> None:
        self._port.close()


class Tape:
    """One cartridge in one virtual drive."""

    def __init__(self, image: Path, media: str = "LTO-9", protection: bool = False) -> None:
        self.port = WatchedPort(open_tape_port(f"tap:{image}?create=1&vid={VID}&media={media}"))
        self.drive = TapeDrive(self.port)
        self.protection = protection
        label_volume(self.drive, VID, protection=protection, identity=IDENTITY)

    def writer(self, last_fseq: int = 0) -> FileWriter:
        self.port.armed = False
        writer, _ = open_for_write(
            self.drive, VID, last_fseq, protection_enabled=self.protection, identity=IDENTITY
        )
        self.port.arm()
        return writer

    def reader(self) -> FileReader:
        self.port.armed = False
        reader, _ = open_for_read(self.drive, VID, protection_enabled=self.protection)
        self.port.arm()
        return reader


class Told:
    """The part of both hosts that notes progress and commands."""

    def __init__(self) -> None:
        self.beats: list[tuple[int, int, int]] = []
        self.commands: list[str] = []
        self.failures: list[JobFailure] = []

    def progress(self, tape_bytes: int, disk_bytes: int, files: int) -> None:
        self.beats.append((tape_bytes, disk_bytes, files))

    def begin_command(self, command: str, timeout_s: float) -> None:
        assert timeout_s > 0
        self.commands.append(command)

    def end_command(self, command: str) -> None:
        assert self.commands[-1] == command

    @property
    def codes(self) -> dict[int, str]:
        return {failure.job_id: failure.code for failure in self.failures}


class ArchiveDesk(Told):
    """Claims from a list in batches of ``batch``; a callable in the list is called in place of a batch."""

    def __init__(self, jobs: list[ArchiveJob], batch: int = 1000) -> None:
        super().__init__()
        self.queue = deque(jobs)
        self.batch = batch
        self.claimed: list[ArchiveJob] = []
        self.claims = 0
        self.written: list[WrittenFile] = []
        self.deliveries: list[int] = []
        self.full = 0
        self.on_deliver: Callable[[list[WrittenFile]], None] = lambda flushed: None
        self.on_claim: Callable[[int], None] = lambda count: None

    def claim(self, files: int, size_bytes: int) -> list[ArchiveJob]:
        self.claims += 1
        self.on_claim(self.claims)
        batch = [self.queue.popleft() for _ in range(min(files, self.batch, len(self.queue)))]
        self.claimed += batch
        return batch

    def deliver(self, flushed: list[WrittenFile], failures: list[JobFailure]) -> None:
        self.on_deliver(flushed)
        self.deliveries.append(len(flushed))
        self.written += flushed
        self.failures += failures

    def tape_full(self) -> None:
        self.full += 1


class RetrieveDesk(Told):
    """The mirror image."""

    def __init__(self, jobs: list[RetrieveJob]) -> None:
        super().__init__()
        self.queue = deque(jobs)
        self.claimed: list[RetrieveJob] = []
        self.done: list[RetrieveJob] = []
        self.deliveries = 0
        self.freed = 0
        self.on_tape_free: Callable[[], None] = lambda: None
        self.on_deliver: Callable[[list[RetrieveJob]], None] = lambda done: None

    def claim(self, files: int, size_bytes: int) -> list[RetrieveJob]:
        batch = [self.queue.popleft() for _ in range(min(files, len(self.queue)))]
        self.claimed += batch
        return batch

    def deliver(self, done: list[RetrieveJob], failures: list[JobFailure]) -> None:
        self.on_deliver(done)
        self.deliveries += 1
        self.done += done
        self.failures += failures

    def tape_free(self) -> None:
        self.freed += 1
        self.on_tape_free()


class Disk:
    """Real files to archive, with the jobs that ask for it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.content: dict[int, bytes] = {}
        self._random = random.Random(20261127)

    def job(self, size_bytes: int, **changes: object) -> ArchiveJob:
        """A new file of random content and the job of it; ``changes`` replace fields of the job."""
        number = len(self.content) + 1
        data = self._random.randbytes(size_bytes)
        path = self.directory / f"source-{number}"
        path.write_bytes(data)
        self.content[number] = data
        fields: dict[str, object] = {
            "job_id": number,
            "archive_file_id": 0x1000 + number,
            "copy_nb": 1,
            "request_job_count": 1,
            "source_url": str(path),
            "size_bytes": size_bytes,
            "adler32": zlib.adler32(data),
            "disk_instance": "disk",
            "disk_file_id": str(number),
            "disk_file_path": f"/{number}",
            "owner_uid": 1,
            "gid": 1,
            "storage_class": "class",
        }
        return ArchiveJob(**{**fields, **changes})  # type: ignore[arg-type]

    def jobs(self, *sizes_bytes: int) -> list[ArchiveJob]:
        return [self.job(size_bytes) for size_bytes in sizes_bytes]

    def path(self, job: ArchiveJob) -> Path:
        return self.directory / f"source-{job.job_id}"


def retrieve_jobs(written: list[WrittenFile], directory: Path) -> list[RetrieveJob]:
    """Jobs that read back what was written, each to a file named by its job's number."""
    return [
        RetrieveJob(
            file.job.job_id,
            file.job.archive_file_id,
            1,
            file.vid,
            file.fseq,
            file.block_id,
            str(directory / str(file.job.job_id)),
            file.size_bytes,
            file.adler32,
        )
        for file in written
        if file.job is not None
    ]
