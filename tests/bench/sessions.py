# SPDX-License-Identifier: GPL-3.0-or-later
"""The candidates: the daemon's own code, from the one-thread loop to whole sessions."""

from __future__ import annotations

import resource
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from tests.bench.recordport import RecordPort, set_timer_slack, sleep_until
from tests.bench.reference import Measurement

from cta_taped.common.checksum import ADLER32_OF_NOTHING, adler32
from cta_taped.common.model import ArchiveJob, JobFailure, RetrieveJob, WriterIdentity, WrittenFile
from cta_taped.common.scsi.port import TapePort, open_tape_port
from cta_taped.disk.files import SourceFile, WritePolicy, open_source
from cta_taped.session.archive import ArchiveLimits, ArchiveRun
from cta_taped.session.pipeline import PipelineSize, Slots
from cta_taped.session.progress import new_totals
from cta_taped.session.retrieve import RetrieveLimits, RetrieveRun
from cta_taped.session.stop import StopRequest
from cta_taped.tape.drive import BlockProtection, TapeDrive
from cta_taped.tape.files import FileReader, FileWriter
from cta_taped.tape.labels import LabelWriter
from cta_taped.tape.volume import label_volume, open_for_read, open_for_write

VID = "V00001"
IDENTITY = WriterIdentity("SITE", "HOST", "VENDOR", "MODEL", "SERIAL")


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Desk:
    """The mount around a run, with its work in a list and nothing to report to."""

    def __init__(self, jobs: list[ArchiveJob] | list[RetrieveJob]) -> None:
        self.queue: deque[ArchiveJob | RetrieveJob] = deque(jobs)
        self.delivered: list[WrittenFile | RetrieveJob] = []

    def claim(self, files: int, size_bytes: int) -> list:
        return [self.queue.popleft() for _ in range(min(files, len(self.queue)))]

    def deliver(self, done: list, failures: list[JobFailure]) -> None:
        if failures:
            raise RuntimeError(f"{len(failures)} files failed: {failures[0]}")
        self.delivered += done

    def progress(self, tape_bytes: int, disk_bytes: int, files: int) -> None:
        pass

    def begin_command(self, command: str, timeout_s: float) -> None:
        pass

    def end_command(self, command: str) -> None:
        pass

    def tape_full(self) -> None:
        raise RuntimeError("the benchmark's tape is full")

    def tape_free(self) -> None:
        pass


def archive_jobs(paths: list[Path], size_bytes: int) -> list[ArchiveJob]:
    """One job a path, all files being of one size."""
    return [
        ArchiveJob(n, n, 1, 1, str(path), size_bytes, None, "disk", str(n), f"/{n}", 1, 1, "class")
        for n, path in enumerate(paths, 1)
    ]


def _raw_drive(port: RecordPort, protect: bool) -> TapeDrive:
    drive = TapeDrive(port)
    # The thinnest port has no mode pages with which this could be switched on as in a session.
    drive._note_protection(BlockProtection.WRITE if protect else BlockProtection.OFF)
    return drive


def archive_loop(port: RecordPort, paths: list[Path], protect: bool) -> Measurement:
    """One thread, one buffer: what the parts cost without the pipeline around them."""
    drive = _raw_drive(port, protect)
    port.rewind()
    writer = FileWriter(drive, VID, 0, 0, LabelWriter(VID, IDENTITY))
    slots = Slots(1)
    buffer, payload = slots.buffers[0], slots.payloads[0]
    write_block, moved = drive.write_block, 0
    used, begun = _cpu_s(), time.perf_counter()
    for number, path in enumerate(paths, 1):
        source = open_source(str(path))
        writer.begin_file(number)
        left, blocks, checksum = source.size_bytes, 0, ADLER32_OF_NOTHING
        while left:
            size = source.readinto(payload)
            checksum = adler32(payload[:size], checksum)
            write_block(buffer, size)
            left -= size
            blocks += 1
        moved += source.size_bytes
        source.close()
        writer.end_file(blocks)
    seconds = time.perf_counter() - begun
    return Measurement(seconds, moved, len(paths), _cpu_s() - used)


def archive_session(
    port: RecordPort,
    jobs: list[ArchiveJob],
    size: PipelineSize,
    protect: bool = False,
    source: Callable[[str], SourceFile] = open_source,
) -> Measurement:
    """A whole archive run over the thinnest port."""
    port.rewind()
    drive = _raw_drive(port, protect)
    writer = FileWriter(drive, VID, 0, 0, LabelWriter(VID, IDENTITY))
    return _archive(drive, writer, jobs, size, source)


def _archive(
    drive: TapeDrive,
    writer: FileWriter,
    jobs: list[ArchiveJob],
    size: PipelineSize,
    source: Callable[[str], SourceFile],
) -> Measurement:
    desk = Desk(jobs)
    set_timer_slack()
    used, begun = _cpu_s(), time.perf_counter()
    outcome = ArchiveRun(
        drive, writer, desk, ArchiveLimits(pipeline=size), StopRequest(), new_totals(), source
    ).run()
    seconds = time.perf_counter() - begun
    if outcome.error is not None or len(desk.delivered) != len(jobs):
        raise RuntimeError(f"the session failed: {outcome.error}")
    moved = sum(job.size_bytes for job in jobs)
    return Measurement(seconds, moved, len(jobs), _cpu_s() - used)


def open_virtual(image: Path) -> TapePort:
    """The virtual drive with one image in it."""
    return open_tape_port(f"tap:{image}?create=1&vid={VID}&media=LTO-9")


def archive_virtual(image: Path, jobs: list[ArchiveJob], size: PipelineSize) -> Measurement:
    """A whole archive run to the virtual drive, from a fresh label on."""
    port = open_virtual(image)
    try:
        drive = TapeDrive(port)
        label_volume(drive, VID, protection=False, identity=IDENTITY, force=True)
        writer, _ = open_for_write(drive, VID, 0, protection_enabled=True, identity=IDENTITY)
        return _archive(drive, writer, jobs, size, open_source)
    finally:
        port.close()


def retrieve_jobs(directory: Path, count: int, size_bytes: int) -> list[RetrieveJob]:
    """Jobs for files 1 to ``count`` as the archive candidates write them."""
    blocks = -(-size_bytes // 262144)
    return [
        RetrieveJob(n, n, 1, VID, n, 1 + (n - 1) * (9 + blocks), str(directory / str(n)), size_bytes, None)
        for n in range(1, count + 1)
    ]


def retrieve_session(port: RecordPort, jobs: list[RetrieveJob], size: PipelineSize) -> Measurement:
    """A whole retrieve run over the thinnest port; the image begins with the first file's header."""
    port.rewind()
    return _retrieve(TapeDrive(port), FileReader(TapeDrive(port), VID), jobs, size)


def retrieve_virtual(image: Path, jobs: list[RetrieveJob], size: PipelineSize) -> Measurement:
    """A whole retrieve run from the virtual drive."""
    port = open_virtual(image)
    try:
        drive = TapeDrive(port)
        reader, _ = open_for_read(drive, VID, protection_enabled=True)
        return _retrieve(drive, reader, jobs, size)
    finally:
        port.close()


def _retrieve(
    drive: TapeDrive, reader: FileReader, jobs: list[RetrieveJob], size: PipelineSize
) -> Measurement:
    desk = Desk(jobs)
    limits = RetrieveLimits(pipeline=size, write=WritePolicy(synchronise=False))
    used, begun = _cpu_s(), time.perf_counter()
    outcome = RetrieveRun(drive, reader, desk, limits, StopRequest(), new_totals()).run()
    seconds = time.perf_counter() - begun
    if outcome.error is not None or len(desk.delivered) != len(jobs):
        raise RuntimeError(f"the session failed: {outcome.error}")
    return Measurement(seconds, sum(job.size_bytes for job in jobs), len(jobs), _cpu_s() - used)


class SlowSource:
    """A real source that takes its time to open and for each read, as a disk server does."""

    _slack = threading.local()

    def __init__(self, url: str, open_s: float, read_s: float) -> None:
        if not hasattr(self._slack, "exact"):
            set_timer_slack()
            self._slack.exact = True
        if open_s:
            time.sleep(open_s)
        self._read_s = read_s
        self._source = open_source(url)
        self.size_bytes = self._source.size_bytes

    def readinto(self, buffer: memoryview) -> int:
        if self._read_s:
            sleep_until(time.monotonic() + self._read_s)
        return self._source.readinto(buffer)

    def close(self) -> None:
        self._source.close()
