# SPDX-License-Identifier: GPL-3.0-or-later
"""A drive goes down in the middle of a large file: at once, the cartridge home, the job uncharged."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bench import Daemon, Site, daemons, wait_for
from cta_taped.db.scheduler import RequestState

pytestmark = pytest.mark.slow

HUGE_BYTES = 10 * 10**9
LARGE_BYTES = 80_000_000
COUNTERS = "TOTAL_RETRIES, RETRIES_WITHIN_MOUNT, LAST_MOUNT_WITH_FAILURE, MOUNT_ID"


def sparse_file(site: Site, size_bytes: int) -> Path:
    path = site.make_files(1, 0, "huge")[0]
    with path.open("r+b") as file:
        file.truncate(size_bytes)
    return path


def wait_in_the_file(daemon: Daemon) -> None:
    """Until the second sign of life of the tape thread: the first is that of the first block."""
    wait_for(lambda: daemon.state()["tape_bytes"] > 2**20, 30, daemon.tail)


def waiting(site: Site, queue: str) -> list[tuple[int | None, ...]]:
    """The counters of the jobs that wait in a queue, and the mounts that they belong to."""
    with closing(sqlite3.connect(site.root / "cta.db")) as connection:
        return list(connection.execute(f"SELECT {COUNTERS} FROM {queue}_PENDING_QUEUE"))


@pytest.mark.parametrize("how", ["--quick", "--force"])
def test_down_in_the_middle_of_a_huge_archive(site: Site, how: str) -> None:
    """The small file before it is archived; the same mount never finishes the huge one."""
    small, huge = *site.make_files(1, 1000), sparse_file(site, HUGE_BYTES)
    with daemons(site, "D0") as (daemon,):
        requests = site.archive([small, huge])
        wait_in_the_file(daemon)
        done = site.admin("drive", "down", "D0", "--reason", "maintenance", how, "--wait")
        assert "is Down" in done.stdout
        state = daemon.state()
        assert (state["phase"], state["occupied"], state["desired"]) == ("DOWN", False, "down")
        assert state["reason"] == "maintenance"
        assert site.occupied_drives() == []
        assert site.states(requests) == [RequestState.DONE, RequestState.QUEUED]
        assert waiting(site, "ARCHIVE") == [(0, 0, None, None)]
        names = [event["event"] for event in daemon.events()]
        assert "child_died" not in names and "deadline_exceeded" not in names


def test_the_abandoned_file_is_moved_when_the_drive_is_up_again(make_site: Callable[..., Site]) -> None:
    """It is written over the torn one, and read back, which is interrupted as well."""
    site = make_site("[ending]\nquick_file_s = 0.001\n")
    for command in ("WRITE", "READ"):
        site.fault("add", "drive0", "delay", "--command", command, "--delay-s", "0.005", "--count", "-1")
    large = sparse_file(site, LARGE_BYTES)
    with daemons(site, "D0") as (daemon,):
        requests = site.archive([large])
        wait_in_the_file(daemon)
        daemon.down()
        daemon.wait_phase("DOWN")
        assert site.states(requests) == [RequestState.QUEUED]
        daemon.up()
        site.wait_done(requests)
        status = site.scheduler.requests.status(requests[0])
        (copy,) = site.catalogue.files.copies(status.archive_file_id)
        assert (copy.fseq, copy.size_bytes) == (1, LARGE_BYTES)
        retrieves = site.retrieve(requests, site.root / "back")
        wait_in_the_file(daemon)
        daemon.down()
        daemon.wait_phase("DOWN")
        assert site.states(retrieves) == [RequestState.QUEUED]
        assert waiting(site, "RETRIEVE") == [(0, 0, None, None)]
        assert list((site.root / "back").iterdir()) == []
        assert site.occupied_drives() == []
        daemon.up()
        site.wait_done(retrieves)
    assert [path.stat().st_size for path in (site.root / "back").iterdir()] == [LARGE_BYTES]
