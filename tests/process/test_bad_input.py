# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input to the real programs: one clear line each, and nothing lost.

Lost nothing means: every cartridge in a slot, the daemon alive and working, the other jobs done, and what
could not be done either waiting or among the failed requests with its reason. Garbage on the control socket
and a bad configuration at a reload are in test_supervisor.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import VIDS, Daemon, Site, daemons, run, wait_for
from cta_taped.common.errors import CtaError
from cta_taped.db.scheduler import FailedRequest, RequestId, RequestState

pytestmark = pytest.mark.slow


def one_line(done: subprocess.CompletedProcess[str], code: str, *words: str) -> None:
    """The failure is one line that names the code and everything in ``words``."""
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    assert code in lines[0] and all(word in lines[0] for word in words), lines[0]


def tape(site: Site, vid: str) -> dict[str, Any]:
    """A tape as ``cta-admin tape ls`` shows it."""
    (row,) = json.loads(site.admin("--json", "tape", "ls", "--vid", vid).stdout)
    return dict(row)


def image(site: Site, vid: str) -> Path:
    return site.root / "library" / "cartridges" / f"{vid}.tap"


def failed(site: Site) -> list[FailedRequest]:
    return list(site.scheduler.requests.failed())


def errors(daemon: Daemon) -> list[str]:
    """Codes of the failures in the log, in order."""
    return [event["error_code"] for event in daemon.events() if "error_code" in event]


def wait_error(daemon: Daemon, code: str, timeout_s: float = 20) -> None:
    wait_for(lambda: code in errors(daemon), timeout_s, lambda: f"no {code}: {daemon.tail()}", 0.1)


def at_rest(site: Site, *running: Daemon) -> None:
    """The daemons live and want to work, and every cartridge comes to a slot."""
    for daemon in running:
        assert daemon.process is not None and daemon.process.poll() is None, daemon.tail()
        assert daemon.state()["desired"] == "up"
    wait_for(lambda: not site.occupied_drives(), 20, lambda: str(site.library()), 0.2)


def usable(site: Site, daemon: Daemon) -> None:
    """The daemon does new work."""
    site.wait_done(site.archive(site.make_files(2, 1000, "usable")))
    at_rest(site, daemon)


def wait_final(site: Site, requests: list[RequestId], timeout_s: float = 30) -> list[RequestState]:
    """States of requests when none of them waits or runs any more."""
    moving = {RequestState.QUEUED, RequestState.RUNNING}
    wait_for(lambda: not moving & set(site.states(requests)), timeout_s, lambda: str(site.states(requests)))
    return site.states(requests)


@contextlib.contextmanager
def small_disk(path: Path, size_bytes: int) -> Iterator[Path]:
    """A file system of this size at ``path``."""
    path.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may not mount file systems here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def enlarge(path: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=100000000", str(path)], check=True)


# --- configuration and devices -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "D0"', 'name = "D0', ["D0.toml:2", "not TOML"]),
        ('name = "D0"', 'nane = "D0"', ["D0.toml:2", "nane", "unknown key"]),
        ('name = "D0"', 'name = "D9"', ["D0.toml:2", "'D9'"]),
        ('"smc0"', "7", ["D0.toml:5", "library_slot"]),
    ],
)
def test_bad_configuration(site: Site, old: str, new: str, words: list[str]) -> None:
    path = site.root / "drives" / "D0.toml"
    path.write_text(path.read_text().replace(old, new))
    one_line(run("cta-taped", "D0", "--config", site.config, status=78), "CTA-CONFIG-001", *words)
    one_line(site.admin("drive", "show", "D0", status=78), "CTA-CONFIG-001", *words)


def test_missing_configuration(site: Site) -> None:
    one_line(run("cta-taped", "D7", "--config", site.config, status=78), "CTA-CONFIG-002", "D7.toml")
    one_line(run("cta-taped", "D0", "--config", site.root / "none", status=78), "CTA-CONFIG-002", "none")
    one_line(run("cta-taped", "../D0", "--config", site.config, status=78), "CTA-CONFIG-001", "'../D0'")


def test_configuration_that_breaks_under_a_running_daemon(site: Site) -> None:
    """Workers get the configuration in force from their supervisor: a broken file matters at reload only."""
    good = site.config.read_text()
    with daemons(site, "D0") as (daemon,):
        daemon.wait_phase("SCHEDULING")
        site.config.write_text(good + "[archive]\nflush_files = 'many'\n")
        killed = {daemon.kill("session"), daemon.kill("maintenance")}
        wait_for(
            lambda: not {None, *killed} & {daemon.state()["session_pid"], daemon.state()["maintenance_pid"]}
        )
        usable(site, daemon)
        with pytest.raises(CtaError, match="flush_files: expected a whole number"):
            daemon.call("Reload")
        assert daemon.state()["desired"] == "up"


def test_second_daemon_and_no_daemon(site: Site) -> None:
    one_line(site.admin("drive", "show", "D0", status=69), "CTA-SYSTEM-006", "D0.socket")
    one_line(site.admin("drive", "up", "D0", status=64), "CTA-CATALOGUE-007", "D0")
    with daemons(site, "D0") as (daemon,):
        before = daemon.state()["supervisor_pid"]
        one_line(run("cta-taped", "D0", "--config", site.config, status=78), "CTA-CONFIG-003", "state/D0")
        assert daemon.state()["supervisor_pid"] == before
        usable(site, daemon)


def test_drive_that_does_not_exist(site: Site) -> None:
    path = site.root / "drives" / "D1.toml"
    path.write_text(path.read_text().replace("drive=1", "drive=7"))
    with daemons(site, "D0", "D1") as (good, bad):
        reason = bad.wait_phase("DOWN")["reason"]
        assert "CTA-LIBRARY-009" in reason and "no drive 7" in reason
        wait_for(lambda: "no drive 7" in site.admin("drive", "ls", "D1").stdout)
        usable(site, good)


def test_library_that_vanishes_and_comes_back(site: Site) -> None:
    library, away = site.root / "library", site.root / "away"
    with daemons(site, "D0") as (daemon,):
        daemon.wait_phase("SCHEDULING")
        library.rename(away)
        requests = site.archive(site.make_files(3, 100_000))
        wait_error(daemon, "CTA-CONFIG-005")
        assert set(site.states(requests)) <= {RequestState.QUEUED, RequestState.RUNNING}
        away.rename(library)
        site.wait_done(requests)
        assert not failed(site)
        assert tape(site, VIDS[0])["state"] == "ACTIVE"
        at_rest(site, daemon)


# --- tapes -------------------------------------------------------------------------------------------------
def test_cartridges_with_each_others_labels(site: Site) -> None:
    """V00001 and V00002 were mixed up: both are disabled unwritten, and the files go to V00003."""
    first, second = image(site, "V00001"), image(site, "V00002")
    other = site.root / "other"
    first.rename(other)
    second.rename(first)
    other.rename(second)
    before = first.read_bytes(), second.read_bytes()
    requests = site.archive(site.make_files(3, 300_000))
    with daemons(site, "D0") as (daemon,):
        site.wait_done(requests)
        for vid, found in (("V00001", "V00002"), ("V00002", "V00001")):
            row = tape(site, vid)
            assert row["state"] == "DISABLED"
            assert "CTA-TAPE-002" in row["stateReason"] and found in row["stateReason"]
        assert (first.read_bytes(), second.read_bytes()) == before
        assert errors(daemon) == ["CTA-TAPE-002", "CTA-TAPE-002"]
        assert not failed(site)
        at_rest(site, daemon)


def test_full_tapes(site: Site) -> None:
    """8 MiB a cartridge: files go on on the next tape, and what is full says so."""
    shutil.rmtree(site.root / "library")
    run(
        "cta-vtl", "create", site.root / "library", "--drives", "2", "--slots", "8",
        "--cartridges", f"{VIDS[0]}..{VIDS[-1]}", "--capacity", "8MiB",
    )  # fmt: skip
    words = [word for vid in VIDS for word in ("--vid", vid)]
    site.admin("tape", "label", *words, "--drive", "D0")
    paths = site.make_files(18, 1_000_000)
    requests = site.archive(paths)
    with daemons(site, "D0") as (daemon,):
        site.wait_done(requests)
        assert [tape(site, vid)["full"] for vid in VIDS[:3]] == [True, True, False]
        assert not failed(site)
        site.wait_done(site.retrieve(requests, site.root / "back"))
        for path in paths:
            assert (site.root / "back" / path.name).read_bytes() == path.read_bytes()
        at_rest(site, daemon)


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        ("random", "CTA-TAPE-008"),
        ("truncated", None),
        pytest.param("emptied", "CTA-TAPE-001", marks=pytest.mark.slow),
    ],
)
def test_damaged_first_copy(site: Site, damage: str, code: str | None) -> None:
    """What a damaged cartridge does not give back, the second copy does; one that cannot be opened at all is
    disabled, and its jobs go to the other copies uncharged."""
    paths = site.make_files(4, 700_000)
    requests = site.archive(paths, "double")
    with daemons(site, "D0") as (daemon,):
        site.wait_done(requests)
        retrieves = site.retrieve(requests, site.root / "back")
        daemon.down()
        daemon.wait_phase("DOWN")
        wait_for(lambda: not site.occupied_drives(), pause_s=0.2)
        ((vid,),) = {site.scheduler.requests.status(request).vids for request in retrieves}
        broken = image(site, vid)
        size = broken.stat().st_size
        if damage == "random":
            broken.write_bytes(random.Random(1).randbytes(size))
        else:
            os.truncate(broken, size // 2 if damage == "truncated" else 0)
        daemon.up()
        site.wait_done(retrieves)
        for path in paths:
            assert (site.root / "back" / path.name).read_bytes() == path.read_bytes()
        row = tape(site, vid)
        assert row["state"] == ("DISABLED" if code else "ACTIVE")
        if code:
            assert code in row["stateReason"]
            assert errors(daemon).count(code) == 1
        at_rest(site, daemon)


def test_drive_that_reads_no_tape(site: Site) -> None:
    """A drive that fails on two tapes in a row is taken down, instead of disabling one tape after another."""
    site.fault("add", "drive0", "sense", "--command", "read", "--sense", "3/11/00", "--count", "-1")
    requests = site.archive(site.make_files(3, 100_000))
    with daemons(site, "D0") as (bad,):
        reason = bad.wait_phase("DOWN")["reason"]
        assert "CTA-DRIVE-018 neither V00001 nor V00002 could be opened" in reason
        assert [tape(site, vid)["state"] for vid in VIDS[:3]] == ["DISABLED", "ACTIVE", "ACTIVE"]
        with daemons(site, "D1"):
            site.wait_done(requests)
        assert not failed(site)
        wait_for(lambda: not site.occupied_drives(), pause_s=0.2)


# --- files and disks ---------------------------------------------------------------------------------------
def test_sources_that_cannot_be_read(site: Site) -> None:
    """Gone, a loop of links, a directory, another size than when queued: the others are archived."""
    good = site.make_files(3, 200_000, "good")
    codes = {
        "gone00000": "CTA-DISK-001",
        "inner": "CTA-DISK-001",
        "grown00000": "CTA-DISK-006",
        "shrunk00000": "CTA-DISK-006",
        "folder00000": "CTA-DISK-010",
        "loop00000": "CTA-DISK-014",
    }
    names = ("gone", "loop", "folder", "shrunk", "grown")
    gone, loop, folder, shrunk, grown = bad = [site.make_files(1, 200_000, name)[0] for name in names]
    below = site.root / "source" / "below"
    below.mkdir()
    inner = shutil.copy(good[0], below / "inner")
    requests = site.archive([good[0], *bad, inner, *good[1:]])
    for path in (gone, loop, folder):
        path.unlink()
    loop.symlink_to(loop)
    folder.mkdir()
    os.truncate(shrunk, 1000)
    os.truncate(grown, 300_000)
    shutil.rmtree(below)
    below.write_text("a file where a folder was")
    with daemons(site, "D0") as (daemon,):
        states = wait_final(site, requests)
        done, lost = RequestState.DONE, RequestState.FAILED
        assert states == [done, lost, lost, lost, lost, lost, lost, done, done]
        wait_for(lambda: len(failed(site)) == 6)
        for one in failed(site):
            code = codes[one.url.rsplit("/", 1)[1]]
            assert set(re.findall(r"CTA-[A-Z]+-[0-9]+", one.failure_log)) == {code}
        assert set(errors(daemon)) == set(codes.values())
        usable(site, daemon)


def test_names_and_things_that_are_no_files(site: Site) -> None:
    """A folder with names of any bytes comes back byte for byte; what is no file is told of and left out."""
    folder = os.fsencode(site.root) + b"/names"
    names = [b"new\nline", b"bad\xff\xfe", b" ", b"-rf", b"%41 ?#&", "größe".encode(), b"tab\t\x1b[31m"]
    (site.root / "names" / "inner").mkdir(parents=True)
    for name in names:
        (site.root / "names" / os.fsdecode(name)).write_bytes(name * 1000)
    (site.root / "names" / "empty").touch()
    os.mkfifo(site.root / "names" / "pipe")
    back = site.root / "back"
    back.mkdir()
    with daemons(site, "D0") as (daemon,):
        words = ("archive", "--storage-class", "single", "--wait")
        told = site.admin(*words, os.fsdecode(folder), status=64)
        assert told.stderr.splitlines()[0].startswith("cta-admin: CTA-DISK-011 ")
        assert told.stderr.splitlines()[1].startswith("cta-admin: CTA-DISK-010 ")
        (summary,) = told.stdout.splitlines()
        assert summary.startswith("7 of 7 files done: 40.0 kB in ") and summary.endswith("tape V00001")
        site.admin("retrieve", os.fsdecode(folder), "--to", back, "--wait")
        for name in names:
            restored = os.fsencode(back) + folder + b"/" + name
            assert Path(os.fsdecode(restored)).read_bytes() == name * 1000
        again = site.admin("retrieve", os.fsdecode(folder), "--to", back, status=73)
        lines = again.stderr.splitlines()
        assert len(lines) == 8 and all("CTA-DISK-012" in line for line in lines[:7])
        at_rest(site, daemon)


def test_full_disk_of_the_destination(site: Site) -> None:
    """Jobs whose files do not fit stay queued, uncharged, and end well when there is space again."""
    paths = site.make_files(4, 400_000)
    requests = site.archive(paths)
    with small_disk(site.root / "back", 1_000_000) as back, daemons(site, "D0") as (daemon,):
        site.wait_done(requests)
        retrieves = site.retrieve(requests, back)
        wait_error(daemon, "CTA-DISK-005")
        assert site.states(retrieves).count(RequestState.DONE) == 2
        enlarge(back)
        site.wait_done(retrieves)
        for path in paths:
            assert (back / path.name).read_bytes() == path.read_bytes()
        assert sorted(path.name for path in back.iterdir()) == sorted(path.name for path in paths)
        at_rest(site, daemon)


def test_full_disk_of_the_state_directory(site: Site) -> None:
    """No ledger, no success: the files go back to the queue, the drive goes down and says why."""
    requests = site.archive(site.make_files(3, 100_000))
    with small_disk(site.root / "state", 10_000_000) as state, contextlib.ExitStack() as stack:
        daemon = Daemon(site, "D0").start()
        stack.callback(daemon.end)
        with contextlib.suppress(OSError), (state / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(4096)):
                pass
        daemon.up()
        reason = daemon.wait_phase("DOWN")["reason"]
        assert "CTA-SYSTEM-008" in reason and "disk is full" in reason
        assert set(site.states(requests)) == {RequestState.QUEUED}
        enlarge(state)
        daemon.up()
        site.wait_done(requests)
        at_rest(site, daemon)


# --- databases ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("when", [pytest.param("start", marks=pytest.mark.slow), "running"])
def test_damaged_database(site: Site, when: str) -> None:
    """The daemon says what is wrong, waits, and goes on when the file is restored."""
    requests = site.archive(site.make_files(3, 100_000))
    site.close()
    database, kept = site.root / "cta.db", site.root / "kept"
    shutil.copy(database, kept)

    def replace(content: bytes) -> None:
        for suffix in ("-wal", "-shm"):
            Path(f"{database}{suffix}").unlink(missing_ok=True)
        new = site.root / "new"
        new.write_bytes(content)
        new.rename(database)

    daemon = Daemon(site, "D0")
    garbage = random.Random(2).randbytes(100_000)
    if when == "start":
        replace(garbage)
    daemon.start()
    try:
        if when == "running":
            replace(garbage)
        daemon.up()
        wait_for(lambda: daemon.state()["outage"], 20, daemon.tail)
        assert {"CTA-CATALOGUE-004", "CTA-SCHEDULER-008"} & set(errors(daemon))
        assert (daemon.state()["desired"], daemon.state()["phase"]) == ("up", "SCHEDULING")
        one_line(site.admin("showqueues", status=74), "CTA-SCHEDULER-008", "cta.db")
        told = len(errors(daemon))
        replace(kept.read_bytes())
        site.wait_done(requests)
        assert told < 12, "an outage is told once, not at each attempt"
        at_rest(site, daemon)
    finally:
        daemon.end()
