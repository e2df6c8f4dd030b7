# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL of any one process at any moment: nothing is lost, charged or misreported, and the drive goes on.

Each case waits until the daemon is in a phase, kills one of its processes, starts the supervisor again if
it was that one (as systemd does), and then only watches: every request must end, the cartridge must be in a
slot, no job's retries may have been charged, and every recorded file must be readable on tape.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from bench import Daemon, Site, run, wait_for

EXTRA = """\
[archive]
flush_files = 2
[transfer]
disk_threads = 2
"""
FILES = 5
IDLE_MOMENTS = ("starting", "probing", "scheduling")
QUEUES = [
    f"{family}_{table}_QUEUE"
    for family in ("ARCHIVE", "RETRIEVE")
    for table in ("PENDING", "ACTIVE", "FAILED")
]

# The moments: what the supervisor's state must look like. Device delays make each of them last.
ARCHIVE_MOMENTS: dict[str, Callable[[dict[str, object]], bool]] = {
    "starting": lambda state: state["phase"] == "STARTING",
    "probing": lambda state: state["phase"] == "PROBING",
    "scheduling": lambda state: state["phase"] == "SCHEDULING",
    "claimed": lambda state: state["mount_id"] is not None,
    "robot brings": lambda state: state["command"] == "mount",
    "loading": lambda state: state["command"] == "load",
    "label check": lambda state: state["command"] == "position for writing",
    "writing the first files": lambda state: state["phase"] == "TRANSFERING",
    "flushing": lambda state: state["command"] == "flush",
    "writing after a flush": lambda state: state["phase"] == "TRANSFERING" and bool(state["recorded"]),
    "rewinding and unloading": lambda state: state["command"] == "unload",
    "robot takes": lambda state: state["command"] == "dismount",
    "ending": lambda state: state["phase"] in ("ENDING", "STARTING") and state["mount_id"] is None,
}
RETRIEVE_MOMENTS: dict[str, Callable[[dict[str, object]], bool]] = {
    "position for reading": lambda state: state["command"] == "position for reading",
    "reading": lambda state: state["phase"] == "TRANSFERING",
    "robot takes, disks write": lambda state: state["command"] == "dismount",
}


def slow_down(site: Site) -> None:
    """Make the devices slow enough that each moment can be met."""
    for device, command, delay_s in (
        ("changer", "MOVE_MEDIUM", 0.3),
        ("drive0", "UNLOAD", 0.3),
        ("drive0", "REWIND", 0.1),
        ("drive0", "WRITE_FILEMARKS", 0.06),
        ("drive0", "TEST_UNIT_READY", 0.05),
        ("drive0", "LOCATE", 0.05),
    ):
        site.fault("add", device, "delay", "--command", command, "--delay-s", str(delay_s), "--count", "-1")


def watch_charges(site: Site) -> None:
    """Triggers note every job whose retries were charged, or that failed for good."""
    with closing(sqlite3.connect(site.root / "cta.db")) as database, database:
        database.execute("CREATE TABLE CHARGED (QUEUE TEXT, JOB_ID INTEGER, RETRIES INTEGER)")
        for queue in QUEUES:
            for event in ("INSERT", "UPDATE"):
                database.execute(
                    f"CREATE TRIGGER CHARGED_{queue}_{event} AFTER {event} ON {queue}"
                    f" WHEN NEW.TOTAL_RETRIES > 0 OR NEW.STATUS LIKE '%Failure%' BEGIN"
                    f" INSERT INTO CHARGED VALUES ('{queue}', NEW.JOB_ID, NEW.TOTAL_RETRIES); END"
                )


def charged(site: Site) -> list[object]:
    with closing(sqlite3.connect(site.root / "cta.db")) as database:
        return database.execute("SELECT * FROM CHARGED").fetchall()


def kill_at(daemon: Daemon, moment: Callable[[dict[str, object]], bool], who: str, last_fseq: int) -> None:
    """Kill ``who`` as soon as the state is as wanted; start the supervisor again if it was that one.

    ``last_fseq``: what the catalogue recorded before, so that a moment can ask for newly recorded files.
    """

    def now() -> bool:
        recorded = daemon.site.catalogue.tapes.facts("V00001").last_fseq > last_fseq
        return moment({**daemon.state(), "recorded": recorded})

    wait_for(now, 30, daemon.tail, pause_s=0.002)
    daemon.kill(who)
    if who == "supervisor":
        daemon.start()


def check(site: Site, daemon: Daemon) -> None:
    """Everything is where it belongs and readable."""
    wait_for(
        lambda: daemon.state()["phase"] == "SCHEDULING" and not daemon.state()["mount_id"], 60, daemon.tail
    )
    assert site.occupied_drives() == []
    assert charged(site) == []
    assert daemon.stop() == 0
    for tape in json.loads(site.admin("--json", "tape", "ls", "--all").stdout):
        if not tape["lastFseq"]:
            continue
        image = site.root / "library" / "cartridges" / f"{tape['vid']}.tap"
        lines = run("cta-admin", "tape", "scan", "--image", image, "--json", status=None).stdout.splitlines()
        on_tape = {line["fSeq"]: line for line in map(json.loads, lines) if "fSeq" in line}
        recorded = list(site.catalogue.files.on_tape(tape["vid"]))
        for row in recorded:
            found = on_tape[row.fseq]
            assert found["ok"], found
            assert (found["archiveFileId"], found["size"], found["adler32"]) == (
                row.archive_file_id,
                row.size_bytes,
                f"{row.adler32:08x}",
            )


def settled(daemon: Daemon) -> bool:
    state = daemon.state()
    return state["phase"] == "SCHEDULING" and not state["mount_id"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("who", ["session", "supervisor", "maintenance"])
def test_kill_at_every_moment_of_an_archive_mount(make_site: Callable[..., Site], who: str) -> None:
    site = make_site(EXTRA)
    slow_down(site)
    watch_charges(site)
    daemon = Daemon(site, "D0").start().up()
    try:
        for number, (name, moment) in enumerate(ARCHIVE_MOMENTS.items()):
            wait_for(lambda: settled(daemon), 90, daemon.tail)
            paths = site.make_files(FILES, 300_000, f"{number}-")
            before = site.catalogue.tapes.facts("V00001").last_fseq
            if name in IDLE_MOMENTS:
                daemon.down()
                daemon.wait_phase("DOWN")
                daemon.up()
            if name in IDLE_MOMENTS:
                kill_at(daemon, moment, who, before)
                requests = site.archive(paths)
            else:
                requests = site.archive(paths)
                kill_at(daemon, moment, who, before)
            site.wait_done(requests, 90)
            for request, path in zip(requests, paths, strict=True):
                file_id = site.scheduler.requests.status(request).archive_file_id
                copies = site.catalogue.files.copies(file_id)
                assert [copy.size_bytes for copy in copies] == [path.stat().st_size], name
        check(site, daemon)
    finally:
        daemon.end()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("who", ["session", "supervisor", "maintenance"])
def test_kill_at_every_moment_of_a_retrieve_mount(make_site: Callable[..., Site], who: str) -> None:
    site = make_site(EXTRA)
    watch_charges(site)
    paths = site.make_files(FILES, 300_000)
    daemon = Daemon(site, "D0").start().up()
    try:
        requests = site.archive(paths)
        site.wait_done(requests, 90)
        slow_down(site)
        for number, moment in enumerate(RETRIEVE_MOMENTS.values()):
            wait_for(lambda: settled(daemon), 90, daemon.tail)
            back = site.root / f"back{number}"
            retrieves = site.retrieve(requests, back)
            kill_at(daemon, moment, who, 0)
            site.wait_done(retrieves, 90)
            for path in paths:
                assert (back / path.name).read_bytes() == path.read_bytes()
            assert sorted(entry.name for entry in back.iterdir()) == [path.name for path in paths]
        check(site, daemon)
    finally:
        daemon.end()


def test_kill_in_the_middle_of_a_transfer(make_site: Callable[..., Site]) -> None:
    """The quick one of the walk: the session dies while it writes."""
    site = make_site(EXTRA)
    slow_down(site)
    watch_charges(site)
    daemon = Daemon(site, "D0").start().up()
    try:
        requests = site.archive(site.make_files(FILES, 600_000))
        kill_at(daemon, ARCHIVE_MOMENTS["writing after a flush"], "session", 0)
        site.wait_done(requests, 60)
        check(site, daemon)
    finally:
        daemon.end()
