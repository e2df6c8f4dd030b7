# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured, against which limit of the same run, and which ratio is the target.

Every row is the best of several rounds in which the limit and the candidate take turns, on warm files in
memory: a virtual machine's first touch of a page is 20 to 40 times slower than any later one.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench import service, sessions
from tests.bench.recordport import PacedPort, RecordPort
from tests.bench.reference import Measurement, Reference, tool

from cta_taped.session.pipeline import PipelineSize

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
NAMES = {4 * KIB: "4 KiB", 16 * KIB: "16 KiB", 64 * KIB: "64 KiB", 256 * KIB: "256 KiB", MIB: "1 MiB",
         100 * MIB: "100 MiB", 2 * GIB: "2 GiB"}  # fmt: skip
WRAP_AT = 256 * MIB
DEFAULT = PipelineSize()
TWO_THREADS = PipelineSize(disk_threads=1, slots=8)
SOURCE_NS = 131_000
OPEN_S = 0.005
CPU_LIMIT_S_PER_GB = 0.35
READY_LIMIT_S = 0.5
MEMORY_LIMIT_MIB = 100.0
COSTS = frozenset({"s/GB", "s", "MiB"})
"""Units of which less is better; ``target`` is then the greatest ratio."""

LOOP_TARGETS = {4 * KIB: 0.65, 16 * KIB: 0.65, 64 * KIB: 0.78, 256 * KIB: 0.85, MIB: 0.90, 100 * MIB: 0.90}
PROTECTED_LOOP_TARGETS = {4 * KIB: 0.55, 256 * KIB: 0.80, MIB: 0.90}
SESSION_TARGETS = {4 * KIB: None, MIB: 0.75, 100 * MIB: 0.75, 2 * GIB: 0.75}
RETRIEVE_TARGETS = {4 * KIB: 0.50, MIB: 0.85, 100 * MIB: 0.85, 2 * GIB: 0.85}
PACED_TARGETS = {400: 0.99, 1000: 0.95}


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: ``ratio`` is value / limit, ``target`` its least value (for COSTS: its greatest)."""

    name: str
    value: float
    unit: str
    limit: float | None
    target: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.limit if self.limit else None

    @property
    def missed(self) -> bool:
        if self.target is None or self.ratio is None:
            return False
        return self.ratio > self.target if self.unit in COSTS else self.ratio < self.target


@dataclass(frozen=True, slots=True)
class Volume:
    """How much a run moves: enough to last, little enough for the time there is.

    ``rounds`` at least, and as many more, up to MOST_ROUNDS, as fit into ``race_s``: what is short can be
    disturbed as a whole by anything else on the machine. ``cpu_s``: length of the session whose CPU counts.
    """

    loop_bytes: int
    stored_bytes: int
    most_files: int
    rounds: int
    race_s: float
    largest: int
    paced_s: float
    cpu_s: float


MOST_ROUNDS = 20
QUICK = Volume(300 * MIB, 200 * MIB, 4000, 3, 2.0, 100 * MIB, 0.6, 2.5)
FULL = Volume(3 * GIB, 600 * MIB, 20000, 5, 8.0, 2 * GIB, 3.0, 8.0)


class Bench:
    """The benchmark in ``directory``, which lies in memory and is the caller's to remove."""

    def __init__(self, directory: Path, volume: Volume) -> None:
        self._directory = directory
        self._volume = volume
        self._reference = Reference(directory)
        self._image = directory / "image"
        self._out = directory / "out"

    def rows(self) -> Iterator[Row]:
        """All rows, in the order of the table."""
        for protect, targets in ((False, LOOP_TARGETS), (True, PROTECTED_LOOP_TARGETS)):
            for size, target in targets.items():
                yield from self._loop(size, protect, target)
        for size, target in SESSION_TARGETS.items():
            if size <= self._volume.largest:
                yield from self._session(size, target)
        for size, target in RETRIEVE_TARGETS.items():
            if size <= self._volume.largest:
                yield from self._stored(size, target)
        for rate, target in PACED_TARGETS.items():
            yield from self._paced(rate, target)
        yield from self._paced_cpu(400)
        yield from self._slow_opens(4 * KIB, 64)
        yield from self._slow_opens(4 * KIB, 16)
        yield from self._tools()
        yield from self._service()

    # --- parts ---------------------------------------------------------------------------------------------
    def _source(self, size: int) -> Path:
        path = self._directory / f"source-{size}"
        if not path.exists():
            block = bytes(range(256)) * (min(size, MIB) // 256)
            with path.open("wb") as file:
                for _ in range(max(1, size // MIB)):
                    file.write(block)
        return path

    def _files(self, size: int, total_bytes: int) -> tuple[list[Path], Path]:
        count = max(1, min(self._volume.most_files, total_bytes // size))
        paths = [self._source(size)] * count
        listing = self._directory / "list"
        listing.write_text("".join(f"{path}\n" for path in paths))
        return paths, listing

    def _race(
        self, limit: Callable[[], Measurement], *candidates: Callable[[], Measurement]
    ) -> list[Measurement]:
        """Limit and candidates in turns, every other round backwards; the fastest run of each.

        Backwards too, because who comes first in a round may find the memory that the last one gave back.
        """
        runners = (limit, *candidates)
        runs: list[list[Measurement]] = [[] for _ in runners]
        turn = list(zip(runners, runs, strict=True))
        until = time.monotonic() + self._volume.race_s
        rounds = 0
        while rounds < self._volume.rounds or (rounds < MOST_ROUNDS and time.monotonic() < until):
            for run, measured in turn:
                measured.append(run())
            turn.reverse()
            rounds += 1
        return [min(measured, key=lambda run: run.seconds) for measured in runs]

    def _both(
        self, name: str, limit: Measurement, found: Measurement, target: float | None = None
    ) -> Iterator[Row]:
        yield Row(name, found.rate / 1e9, "GB/s", limit.rate / 1e9, target)
        yield Row(f"{name}: files", found.files / found.seconds, "files/s", limit.files / limit.seconds)
        yield Row(
            f"{name}: CPU", found.cpu_s / found.size_bytes * 1e9, "s/GB", limit.cpu_s / limit.size_bytes * 1e9
        )

    def _loop(self, size: int, protect: bool, target: float) -> Iterator[Row]:
        paths, listing = self._files(size, self._volume.loop_bytes)
        port = RecordPort(self._image, WRAP_AT)
        limit, found = self._race(
            lambda: self._reference.run("archive", self._image, listing, 1, int(protect), WRAP_AT=WRAP_AT),
            lambda: sessions.archive_loop(port, paths, protect),
        )
        port.close()
        yield from self._both(f"archive loop{', protected' * protect}, {NAMES[size]}", limit, found, target)

    def _session(self, size: int, target: float | None) -> Iterator[Row]:
        paths, listing = self._files(size, 2 * self._volume.loop_bytes)
        jobs = sessions.archive_jobs(paths, size)
        port = RecordPort(self._image, WRAP_AT)
        limit, paired, default = self._race(
            lambda: self._reference.run("archive2", self._image, listing, 1, 0, WRAP_AT=WRAP_AT),
            lambda: sessions.archive_session(port, jobs, TWO_THREADS),
            lambda: sessions.archive_session(port, jobs, DEFAULT),
        )
        port.close()
        yield from self._both(f"archive session of two threads, {NAMES[size]}", limit, paired, target)
        yield from self._both(f"archive session by default, {NAMES[size]}", limit, default)

    def _stored(self, size: int, target: float) -> Iterator[Row]:
        """Archive to an image that grows, and retrieve from it: the virtual drive, and the thinnest port."""
        paths, listing = self._files(size, self._volume.stored_bytes)
        jobs = sessions.archive_jobs(paths, size)
        virtual = self._directory / "virtual.tap"
        limit, found = self._race(
            lambda: self._reference.run("archive2", self._image, listing, 1, 0, FRESH=1),
            lambda: sessions.archive_virtual(virtual, jobs, DEFAULT),
        )
        yield from self._both(f"archive to the virtual drive, {NAMES[size]}", limit, found)
        wanted = sessions.retrieve_jobs(self._out, len(jobs), size)
        port = RecordPort(self._image)
        sessions.archive_session(port, jobs, DEFAULT)
        port.end()
        limit, paired, thin, default = self._race(
            lambda: self._into_out(lambda: self._reference.run("retrieve2", self._image, self._out, 1, 0)),
            lambda: self._into_out(lambda: sessions.retrieve_session(port, wanted, TWO_THREADS)),
            lambda: self._into_out(lambda: sessions.retrieve_session(port, wanted, DEFAULT)),
            lambda: self._into_out(lambda: sessions.retrieve_virtual(virtual, wanted, DEFAULT)),
        )
        port.close()
        virtual.unlink()
        yield from self._both(f"retrieve session of two threads, {NAMES[size]}", limit, paired, target)
        yield from self._both(f"retrieve session by default, {NAMES[size]}", limit, thin)
        yield from self._both(f"retrieve from the virtual drive, {NAMES[size]}", limit, default)

    def _into_out(self, run: Callable[[], Measurement]) -> Measurement:
        self._out.mkdir()
        try:
            return run()
        finally:
            shutil.rmtree(self._out)

    def _paced(self, rate_mb: int, target: float) -> Iterator[Row]:
        paths, listing = self._files(MIB, int(rate_mb * 1e6 * self._volume.paced_s))
        jobs = sessions.archive_jobs(paths, MIB)
        port = PacedPort(self._image, rate_mb * 1e6, WRAP_AT)
        limit, found = self._race(
            lambda: self._reference.run(
                "paced", self._image, listing, 1, 0, WRAP_AT=WRAP_AT, RATE_MB=rate_mb, SOURCE_NS=SOURCE_NS
            ),
            lambda: sessions.archive_session(
                port, jobs, DEFAULT, source=lambda url: sessions.SlowSource(url, 0, SOURCE_NS * 1e-9)
            ),
        )
        port.close()
        name = f"paced drive, {rate_mb} MB/s, source with 131 us a block"
        yield Row(name, found.rate / 1e6, "MB/s", limit.rate / 1e6, target)
        yield Row(f"{name}: of the drive's rate", found.rate / 1e6, "MB/s", float(rate_mb))

    def _paced_cpu(self, rate_mb: int) -> Iterator[Row]:
        """CPU of everything in a session at a drive's speed, against the target and against C.

        Long enough that making the threads and slots, once a mount, does not count for much.
        """
        paths, listing = self._files(100 * MIB, int(rate_mb * 1e6 * self._volume.cpu_s))
        jobs = sessions.archive_jobs(paths, 100 * MIB)
        port = PacedPort(self._image, rate_mb * 1e6, WRAP_AT)
        limits, sessions_run = [], []
        for _ in range(2):
            limits.append(
                self._reference.run("paced", self._image, listing, 1, 0, WRAP_AT=WRAP_AT, RATE_MB=rate_mb)
            )
            sessions_run.append(sessions.archive_session(port, jobs, DEFAULT))
        port.close()
        limit, found = (min(column, key=lambda run: run.cpu_s) for column in (limits, sessions_run))
        name = f"CPU of a paced {rate_mb} MB/s session"
        spent = found.cpu_s / found.size_bytes * 1e9
        yield Row(name, spent, "s/GB", CPU_LIMIT_S_PER_GB, 1.0)
        yield Row(f"{name}: against C", spent, "s/GB", limit.cpu_s / limit.size_bytes * 1e9)

    def _slow_opens(self, size: int, threads: int) -> Iterator[Row]:
        """Sources that take 5 ms to open: the limit is how many opens so many threads can have under way."""
        limit = min(threads / OPEN_S, 10_000.0)
        count = int(limit * self._volume.paced_s)
        jobs = sessions.archive_jobs([self._source(size)] * count, size)
        port = RecordPort(self._image, WRAP_AT)
        pipeline = PipelineSize(threads, 2 * threads)
        best = min(
            (
                sessions.archive_session(
                    port, jobs, pipeline, source=lambda url: sessions.SlowSource(url, OPEN_S, 0)
                )
                for _ in range(self._volume.rounds)
            ),
            key=lambda run: run.seconds,
        )
        port.close()
        name = f"opens of 5 ms, {NAMES[size]}, {threads} disk threads"
        yield Row(name, best.files / best.seconds, "files/s", limit, 0.90)

    def _service(self) -> Iterator[Row]:
        """The daemon as a whole, against fixed limits."""
        site = service.make_site(self._directory / "site")
        try:
            yield Row("start to READY", service.start_to_ready_s(site), "s", READY_LIMIT_S, 1.0)
            memory, processes = service.idle_memory_bytes(site)
        finally:
            site.close()
        name = f"memory of an idle drive service, {processes} processes (PSS)"
        yield Row(name, memory / MIB, "MiB", MEMORY_LIMIT_MIB, 1.0)

    def _tools(self) -> Iterator[Row]:
        """What everybody has, for orientation only."""
        size = 100 * MIB
        paths, listing = self._files(size, self._volume.stored_bytes)
        moved = size * len(paths)
        one, image = str(paths[0]), str(self._image)
        self._image.unlink()
        limit = self._reference.run("archive2", self._image, listing, 1, 0, FRESH=1)
        for name, command, count in (
            ("tar", ["tar", "-cf", image, "--hard-dereference", "-T", str(listing)], len(paths)),
            ("dd", ["dd", f"if={one}", f"of={image}", "bs=256k"], 1),
            ("mbuffer", ["mbuffer", "-q", "-s", "256k", "-i", one, "-f", "-o", image], 1),
        ):
            found = tool(command, moved * count // len(paths), count)
            if found is not None:
                yield Row(f"{name}, 100 MiB", found.rate / 1e9, "GB/s", limit.rate / 1e9)
