# SPDX-License-Identifier: GPL-3.0-or-later
"""The service itself: how soon it is ready, and what it keeps in memory while nothing is to be done.

A real daemon of a site that has a virtual library and SQLite databases, with a socket in the place of
systemd's. What it is not: a limit measured beside it; both figures are compared with fixed ones.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.process.bench import BIN, Site, run

from cta_taped.common.ipc import varlink
from cta_taped.db.backends import SchemaPart, create_schema

DRIVE = "D0"
_STARTS = 3
_PATIENCE_S = 60.0
_SETTLE_S = 2.0
_PSS = re.compile(r"^Pss: +(\d+) kB$", re.MULTILINE)


def make_site(root: Path) -> Site:
    """An unlabelled library, empty databases and the configuration of two drives in ``root``."""
    root.mkdir()
    run("cta-vtl", "create", root / "library", "--drives", "2", "--slots", "8", "--media", "LTO-9")
    url = f"sqlite:///{root}/cta.db"
    create_schema(url, SchemaPart.CATALOGUE)
    create_schema(url, SchemaPart.SCHEDULER)
    site = Site(root)
    site.fill()
    return site


@contextlib.contextmanager
def _daemon(site: Site) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """A daemon that said READY=1, and after how many seconds; ended in order behind it."""
    path = site.root / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told, (site.root / "log").open("ab") as log:
        told.bind(str(path))
        told.settimeout(_PATIENCE_S)
        environment = {**os.environ, "NOTIFY_SOCKET": str(path)}
        begun = time.perf_counter()
        process = subprocess.Popen(
            [BIN / "cta-taped", DRIVE, "--config", site.config], stderr=log, env=environment
        )
        try:
            while b"READY=1" not in told.recv(65536).split(b"\n"):
                pass
            yield process, time.perf_counter() - begun
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            path.unlink()


def _family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(descendant for child in children for descendant in _family(int(child)))]


def _pss_bytes(pid: int) -> int:
    found = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
    assert found is not None
    return int(found[1]) << 10


def start_to_ready_s(site: Site) -> float:
    """Seconds from fork to READY=1, the best of a few starts."""
    times = []
    for _ in range(_STARTS):
        with _daemon(site) as (_, ready_s):
            times.append(ready_s)
    return min(times)


def idle_memory_bytes(site: Site) -> tuple[int, int]:
    """Proportional set size of an idle drive's processes, and how many they are; its drive is up."""
    control = site.root / "run" / f"{DRIVE}.socket"
    with _daemon(site) as (process, _):
        varlink.call(control, "SetUp", {"reason": None})
        until = time.monotonic() + _PATIENCE_S
        while True:
            state = varlink.call(control, "GetState", {})["state"]
            if state["phase"] == "SCHEDULING" and state["session_pid"] and state["maintenance_pid"]:
                break
            if time.monotonic() > until:
                raise RuntimeError(f"the drive never became idle: {state}")
            time.sleep(0.1)
        time.sleep(_SETTLE_S)
        family = _family(process.pid)
        return sum(map(_pss_bytes, family)), len(family)
