# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole site for tests of real processes: virtual library, SQLite databases, configuration, daemons."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cta_taped.common.errors import CtaError
from cta_taped.common.ipc import varlink
from cta_taped.db.backends import SchemaPart, create_schema, open_catalogue, open_scheduler
from cta_taped.db.catalogue import Author, Catalogue, ObjectKind
from cta_taped.db.scheduler import (
    ArchiveRequest,
    Requester,
    RequestId,
    RequestState,
    RetrieveRequest,
    Scheduler,
)

AUTHOR = Author("test", "test.example")
USER = Requester("user", "group", 1000, 1000)
BIN = Path(sys.executable).parent
VIDS = [f"V{number:05d}" for number in range(1, 7)]
SITE = """\
[site]
state_dir = "{root}/state"
runtime_dir = "{root}/run"
scheduler_backend_name = "test"
[catalogue]
url = "sqlite:///{root}/cta.db"
[scheduler]
url = "sqlite:///{root}/cta.db"
[labels]
site = "TEST"
host = "TESTHOST"
[mount]
criteria_files = 1
criteria_bytes = 1
idle_poll_s = 0.2
[maintenance]
publish_interval_s = 1
desired_poll_s = 0.3
routine_interval_s = 0.3
[log]
format = "json"
level = "DEBUG"
{extra}
"""
DRIVE = """\
[drive]
name = "{name}"
device = "vtl:{root}/library?drive={ordinal}"
changer = "vtl:{root}/library"
library_slot = "smc{ordinal}"
logical_library = "VTL"
"""


def run(*words: str | Path, status: int | None = 0, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command of ours and check its exit status (None: any)."""
    done = subprocess.run(
        [BIN / str(words[0]), *map(str, words[1:])], text=True, capture_output=True, check=False, **options
    )
    assert status is None or done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
    return done


def make_template(root: Path) -> None:
    """A labelled library and its databases, made once and copied for each test."""
    root.mkdir()
    run(
        "cta-vtl", "create", root / "library", "--drives", "2", "--slots", "8",
        "--cartridges", f"{VIDS[0]}..{VIDS[-1]}", "--media", "LTO-9",
    )  # fmt: skip
    url = f"sqlite:///{root}/cta.db"
    create_schema(url, SchemaPart.CATALOGUE)
    create_schema(url, SchemaPart.SCHEDULER)
    site = Site(root)
    site.fill()
    words = [word for vid in VIDS for word in ("--vid", vid)]
    site.admin("tape", "label", *words, "--drive", "D0")
    site.close()


class Site:
    """One site in one directory; tapes V00001 to V00003 in pool ``one``, the others in pool ``two``."""

    def __init__(self, root: Path, extra: str = "") -> None:
        """``root`` holds library and databases; ``extra`` is appended to the configuration."""
        self.root = root
        (root / "drives").mkdir(exist_ok=True)
        self.config = root / "cta-taped.toml"
        self.config.write_text(SITE.format(root=root, extra=extra))
        for ordinal, name in enumerate(("D0", "D1")):
            text = DRIVE.format(root=root, name=name, ordinal=ordinal)
            (root / "drives" / f"{name}.toml").write_text(text)
        self.url = f"sqlite:///{root}/cta.db"
        self.catalogue: Catalogue = open_catalogue(self.url)
        self.scheduler: Scheduler = open_scheduler(self.url, self.url, "test")

    def close(self) -> None:
        self.catalogue.close()
        self.scheduler.close()

    def add(self, kind: ObjectKind, **values: str | int | bool) -> None:
        self.catalogue.objects.add(kind, {"comment": "test", **values}, AUTHOR)

    def fill(self) -> None:
        self.add(ObjectKind.DISK_INSTANCE, name="disk")
        self.add(
            ObjectKind.VIRTUAL_ORGANIZATION,
            vo="vo",
            disk_instance="disk",
            read_max_drives=2,
            write_max_drives=2,
        )
        self.add(ObjectKind.MEDIA_TYPE, name="LTO9", cartridge="LTO-9", capacity_bytes=18 * 10**12)
        self.add(ObjectKind.LOGICAL_LIBRARY, name="VTL")
        for pool in ("one", "two"):
            self.add(ObjectKind.TAPE_POOL, name=pool, vo="vo", partial_tapes=1)
        for name, copies in (("single", 1), ("double", 2)):
            self.add(ObjectKind.STORAGE_CLASS, name=name, copies=copies, vo="vo")
        self.add(ObjectKind.ARCHIVE_ROUTE, storage_class="single", copy_nb=1, tape_pool="one")
        self.add(ObjectKind.ARCHIVE_ROUTE, storage_class="double", copy_nb=1, tape_pool="one")
        self.add(ObjectKind.ARCHIVE_ROUTE, storage_class="double", copy_nb=2, tape_pool="two")
        self.add(
            ObjectKind.MOUNT_POLICY,
            name="now",
            archive_priority=1,
            archive_min_request_age_s=0,
            retrieve_priority=1,
            retrieve_min_request_age_s=0,
        )
        self.add(ObjectKind.REQUESTER_RULE, disk_instance="disk", name="default", mount_policy="now")
        for number, vid in enumerate(VIDS):
            self.add(
                ObjectKind.TAPE,
                vid=vid,
                media_type="LTO9",
                vendor="TEST",
                logical_library="VTL",
                tape_pool="one" if number < 3 else "two",
            )

    # --- commands ----------------------------------------------------------------------------------------
    def admin(self, *words: str | Path, status: int | None = 0) -> subprocess.CompletedProcess[str]:
        return run("cta-admin", "--config", self.config, *words, status=status)

    def library(self) -> dict[str, Any]:
        """What is where, by ``cta-vtl show --json``."""
        return dict(json.loads(run("cta-vtl", "show", self.root / "library", "--json").stdout))

    def occupied_drives(self) -> list[str]:
        """Barcodes of cartridges that are not in a slot."""
        return [
            element["vid"]
            for element in self.library()["elements"]
            if element["kind"] != "storage" and element["vid"]
        ]

    def fault(self, verb: str, *words: str) -> None:
        """``cta-vtl fault VERB`` of this library."""
        run("cta-vtl", "fault", verb, self.root / "library", *words)

    # --- requests ----------------------------------------------------------------------------------------
    def make_files(self, count: int, size_bytes: int, name: str = "f") -> list[Path]:
        """Files of different content."""
        directory = self.root / "source"
        directory.mkdir(exist_ok=True)
        paths = []
        for number in range(count):
            path = directory / f"{name}{number:05d}"
            seed = f"{name}{number}".encode()
            block = (seed * (65536 // len(seed) + 1))[:65536]
            with path.open("wb") as file:
                for _ in range(size_bytes // 65536):
                    file.write(block)
                file.write(block[: size_bytes % 65536])
            paths.append(path)
        return paths

    def archive(self, paths: list[Path], storage_class: str = "single") -> list[RequestId]:
        return self.scheduler.requests.queue_archives(
            [
                ArchiveRequest(
                    disk_instance="disk",
                    disk_file_id=path.name,
                    disk_file_path=str(path),
                    source_url=f"file://{path}",
                    size_bytes=path.stat().st_size,
                    adler32=None,
                    storage_class=storage_class,
                    requester=USER,
                )
                for path in paths
            ]
        )

    def retrieve(self, requests: list[RequestId], directory: Path) -> list[RequestId]:
        directory.mkdir(exist_ok=True)
        retrieves = []
        for request in requests:
            status = self.scheduler.requests.status(request)
            copies = self.catalogue.files.copies(status.archive_file_id)
            target = directory / copies[0].disk_file_id
            retrieves.append(
                self.scheduler.requests.queue_retrieve(
                    RetrieveRequest(status.archive_file_id, f"file://{target}", USER)
                )
            )
        return retrieves

    def states(self, requests: list[RequestId]) -> list[RequestState]:
        return [self.scheduler.requests.status(request).state for request in requests]

    def wait_done(self, requests: list[RequestId], timeout_s: float = 60.0) -> None:
        wait_for(
            lambda: all(state is RequestState.DONE for state in self.states(requests)),
            timeout_s,
            lambda: f"requests: {[str(state) for state in self.states(requests)][:10]}",
        )


def wait_for(
    condition: Callable[[], object],
    timeout_s: float = 30.0,
    tell: Callable[[], str] = str,
    pause_s: float = 0.02,
) -> None:
    """Poll a condition of another process."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, f"not within {timeout_s} s: {tell()}"
        time.sleep(pause_s)


@dataclass
class Daemon:
    """One drive's daemon as systemd would run it."""

    site: Site
    drive: str = "D0"
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def log_path(self) -> Path:
        return self.site.root / f"{self.drive}.log"

    def start(self) -> Daemon:
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [BIN / "cta-taped", self.drive, "--config", self.site.config],
                stderr=log,
                env={**os.environ, "CTA_LOG_STRICT": "1", **self.environment},
            )
        wait_for(lambda: self._ready(), 30, lambda: self.tail())
        return self

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the daemon ended: {self.tail()}"
        with contextlib.suppress(CtaError):
            return bool(self.state()["ready"])
        return False

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return varlink.call(self.site.root / "run" / f"{self.drive}.socket", method, parameters)

    def state(self) -> dict[str, Any]:
        return dict(self.call("GetState")["state"])

    def up(self) -> Daemon:
        self.call("SetUp", reason=None)
        return self

    def down(self, grade: str = "quick") -> None:
        self.call("SetDown", grade=grade, reason="test")

    def wait_phase(self, *phases: str, timeout_s: float = 30.0) -> dict[str, Any]:
        wait_for(lambda: self.state()["phase"] in phases, timeout_s, lambda: f"{self.state()} {self.tail()}")
        return self.state()

    def kill(self, who: str) -> int | None:
        """SIGKILL one process: supervisor, session or maintenance; its pid, None if there is none."""
        assert self.process is not None
        pid = self.process.pid if who == "supervisor" else self.state()[f"{who}_pid"]
        if pid is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if who == "supervisor":
            self.process.wait(10)
        return int(pid)

    def stop(self, timeout_s: float = 60.0) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        status = self.process.wait(timeout_s)
        self.process = None
        return status

    def end(self) -> None:
        """Leave nothing behind, however the test went."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait(10)
        self.process = None

    def tail(self) -> str:
        return "\n".join(self.log_path.read_text().splitlines()[-15:])

    def events(self) -> list[dict[str, Any]]:
        """Log lines, parsed."""
        lines = self.log_path.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


@contextlib.contextmanager
def daemons(site: Site, *names: str) -> Iterator[list[Daemon]]:
    """Daemons that are up; ended with everything they started."""
    started: list[Daemon] = []
    try:
        for name in names:
            started.append(Daemon(site, name).start().up())
        yield started
    finally:
        for daemon in started:
            if daemon.process is not None:
                daemon.process.terminate()
        for daemon in started:
            daemon.end()
