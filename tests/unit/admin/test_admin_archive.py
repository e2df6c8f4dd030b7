# SPDX-License-Identifier: GPL-3.0-or-later
"""cta-admin archive, retrieve and request, and the listings of files and queues, on real databases."""

from __future__ import annotations

import os
import shlex
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from adminsite import Admin, Tape

from cta_taped.admin import diskpath, waiting
from cta_taped.common.checksum import adler32
from cta_taped.db.scheduler import ArchiveRequest, Direction, RequestId
from cta_taped.db.sql.requests import SqlRequests
from cta_taped.disk.files import local_path


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls follow each other quickly."""
    monkeypatch.setattr(waiting, "_POLL_S", 0.02)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with files of unusual names, and with what cannot be archived."""
    folder = tmp_path / "data"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "plain").write_bytes(b"plain")
    (folder / "sub" / "two words").write_bytes(b"second")
    (folder / "sub" / "deep" / ("long" * 40)).write_bytes(b"3")
    (folder / "new\nline").write_bytes(b"4")
    (Path(os.fsdecode(os.fsencode(folder) + b"/bad\xff"))).write_bytes(b"5")
    return folder


def _states(admin: Admin, *numbers: str) -> list[str]:
    return [row["state"] for row in admin.json("request", "show", *numbers)]


def test_a_folder_is_walked(admin: Admin, data: Path, tape: Tape) -> None:
    outcome = admin.ok("--json", "archive", "-s", "single", data)
    assert [row["path"] for row in outcome.json] == [
        f"{data}/bad\\udcff",
        f"{data}/new\\nline",
        f"{data}/plain",
        f"{data}/sub/deep/{'long' * 40}",
        f"{data}/sub/two words",
    ]
    assert {row["state"] for row in outcome.json} == {"queued"}
    assert "5 files (14 B) queued as archive-1 to archive-5" in outcome.err
    (queue,) = admin.json("showqueues")
    assert (queue["mountType"], queue["tapepool"]) == ("ARCHIVE_FOR_USER", "pool")
    assert (queue["queuedFiles"], queue["queuedBytes"], queue["mountPolicy"]) == (5, 14, "policy")
    assert queue["curMounts"] == 0
    jobs = tape.write_all()
    assert sorted(Path(os.fsdecode(local_path(job.source_url))).read_bytes() for job in jobs) == [
        b"3",
        b"4",
        b"5",
        b"plain",
        b"second",
    ]
    assert all(job.owner_uid != 0 for job in jobs)
    assert set(_states(admin, *(row["requestId"] for row in outcome.json))) == {"done"}
    assert admin.json("sq") == []


def test_problems_do_not_keep_the_others_out(admin: Admin, data: Path) -> None:
    (data / "empty").touch()
    os.mkfifo(data / "pipe")
    (data / "link").symlink_to("plain")
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(data)  # the address of a socket is short
        listener.bind("sock")
        os.chdir("/")
        outcome = admin("--json", "archive", "-s", "single", data, data / "plain", "/nowhere")
    assert outcome.status == 64
    assert len(outcome.json) == 5
    assert repr(f"{data}/empty") in outcome.err
    assert [line.split()[1] for line in outcome.err.splitlines()[:4]] == [
        "CTA-DISK-011",
        "CTA-DISK-010",
        "CTA-DISK-010",
        "CTA-DISK-001",
    ]
    assert "1 symbolic links left out" in outcome.err
    named = admin("archive", "-s", "single", data / "link")
    assert named.status == 64 and "is a symbolic link; name the file" in named.err


def test_root_owns_nothing(admin: Admin, tmp_path: Path, tape: Tape) -> None:
    (tmp_path / "file").write_text("x")
    outcome = admin.ok("archive", "-s", "single", tmp_path / "file", "--root-owner", "4711")
    (job,) = tape.write_all()
    uid = os.getuid()
    assert job.owner_uid == (uid or 4711)
    assert ("uid 4711 is recorded" in outcome.err) is (uid == 0)


@pytest.mark.parametrize("asked", [True, False])
def test_checksum(admin: Admin, data: Path, tape: Tape, asked: bool) -> None:
    admin.ok("archive", "-s", "single", data / "plain", *(["--checksum"] if asked else []))
    (job,) = tape.write_all()
    assert job.adler32 == (adler32(b"plain") if asked else None)


def test_again(admin: Admin, data: Path, tape: Tape) -> None:
    """A queued or archived file is left out, a changed one refused; a new one is queued."""
    admin.ok("archive", "-s", "single", data / "plain", data / "sub")
    again = admin.ok("archive", "-s", "single", data / "plain", data / "new\nline")
    assert again.err.startswith("cta-admin: 1 files (1 B) queued as archive-4, 1 queued already\n")
    tape.write_all()
    os.utime(data / "plain", (1_800_000_000, 1_800_000_000))
    outcome = admin("archive", "-s", "single", data)
    assert outcome.status in (0, 64)
    (data / "plain").write_bytes(b"other content")
    changed = admin("archive", "-s", "single", data / "plain")
    assert (changed.status, "CTA-CATALOGUE-008" in changed.err) == (64, True)
    assert "changed since it was archived" in changed.err


def test_queued_files_are_left_out_in_one_go(
    admin: Admin, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        (data / str(number)).write_bytes(b"x")
    admin.ok("archive", "-s", "single", data)
    (data / "after").write_bytes(b"x")
    sizes = []
    queue_archives = SqlRequests.queue_archives

    def counted(self: SqlRequests, requests: Sequence[ArchiveRequest]) -> list[RequestId]:
        sizes.append(len(requests))
        return queue_archives(self, requests)

    monkeypatch.setattr(SqlRequests, "queue_archives", counted)
    again = admin.ok("archive", "-s", "single", data)
    assert again.err.startswith("cta-admin: 1 files (1 B) queued as archive-306, 305 queued already\n")
    assert sizes == [306, 1]


def test_waiting_includes_what_was_queued_before(admin: Admin, data: Path, tape: Tape) -> None:
    admin.ok("archive", "-s", "single", data / "plain")
    thread = threading.Thread(target=lambda: (_until_queued(admin, 5), tape.write_all()))
    thread.start()
    outcome = admin.ok("--json", "archive", "-s", "single", data, "--wait")
    thread.join()
    assert [row["state"] for row in outcome.json] == ["done"] * 5
    assert "archive-1" in {row["requestId"] for row in outcome.json}


def test_an_unchanged_file_is_left_out(admin: Admin, data: Path, tape: Tape) -> None:
    os.utime(data / "plain", (1_700_000_000, 1_700_000_000))
    admin.ok("archive", "-s", "single", data / "plain")
    tape.write_all()
    outcome = admin.ok("archive", "-s", "single", data / "plain")
    assert outcome.err == "cta-admin: 0 files (0 B) queued, 1 left out\n"


@pytest.mark.parametrize(
    ("line", "code", "status"),
    [
        ("archive -s nope FILE", "CTA-SCHEDULER-007", 64),
        ("archive -s single -i nope FILE", "CTA-SCHEDULER-007", 64),
        ("archive FILE", "CTA-CONFIG-004", 64),
        ("archive -s single ''", "CTA-DISK-014", 64),
        ("retrieve '' --verify-only", "CTA-DISK-014", 64),
        ("archive -s single --requester \udcff FILE", "CTA-CONFIG-004", 64),
        ("archive -s single", "CTA-CONFIG-004", 64),
        ("archive -s single --root-owner 0 FILE", "CTA-CONFIG-004", 64),
        ("retrieve FILE --to /nowhere", "CTA-CONFIG-004", 64),
        ("retrieve FILE", "CTA-CONFIG-004", 64),
        ("retrieve FILE --to /tmp --verify-only", "CTA-CONFIG-004", 64),
        ("retrieve FILE --verify-only", "CTA-CATALOGUE-007", 64),
        ("retrieve 4242 --verify-only", "CTA-CATALOGUE-007", 64),
        ("request show 7", "CTA-CONFIG-004", 64),
        ("request show archive-4242", "CTA-SCHEDULER-006", 64),
        ("request cancel retrieve-4242", "CTA-SCHEDULER-006", 64),
        ("failedrequest rm x", "CTA-CONFIG-004", 64),
        ("failedrequest rm archive-job-1", "CTA-SCHEDULER-006", 64),
        ("failedrequest show retrieve-job-1", "CTA-SCHEDULER-006", 64),
        ("failedrequest ls -l -S", "CTA-CONFIG-004", 64),
        ("archivefile ls", "CTA-CONFIG-004", 64),
        ("archivefile ls --id 4242", "CTA-CATALOGUE-007", 64),
        ("tapefile ls --vid NOPE", "CTA-TAPE-019", 64),
        ("tapefile ls --diskid 7", "CTA-CONFIG-004", 64),
    ],
)
def test_bad_input(admin: Admin, data: Path, line: str, code: str, status: int) -> None:
    outcome = admin(*(str(data / "plain") if word == "FILE" else word for word in shlex.split(line)))
    assert outcome.status == status
    assert code in outcome.err
    assert "Traceback" not in outcome.err
    assert all(part.startswith("cta-admin: ") for part in outcome.err.splitlines())


def test_two_instances_must_be_told_apart(admin: Admin, data: Path) -> None:
    admin.ok("di", "add", "-n", "other", "-m", "c")
    outcome = admin("archive", "-s", "single", data / "plain")
    assert outcome.err == "cta-admin: CTA-CONFIG-004 --instance is needed: one of local, other\n"


def test_wait_until_done(admin: Admin, data: Path, tape: Tape) -> None:
    thread = threading.Thread(target=lambda: (_until_queued(admin, 5), tape.write_all()))
    thread.start()
    outcome = admin.ok("--json", "archive", "-s", "single", data, "--wait")
    thread.join()
    assert {row["state"] for row in outcome.json} == {"done"}
    assert {tuple(row["vids"]) for row in outcome.json} == {("V00001",)}
    assert all(row["archiveId"] > 0 for row in outcome.json)


def _until_queued(admin: Admin, files: int) -> None:
    site = admin.site()
    while sum(queue.waiting_files for queue in site.scheduler.requests.queues()) < files:
        time.sleep(0.01)
    site.close()


def test_waiting_for_a_cancelled_request_fails(admin: Admin, data: Path) -> None:
    admin.ok("archive", "-s", "single", data / "plain")
    assert admin.ok("request", "cancel", "archive-1").out == "Request archive-1: cancelled.\n"
    outcome = admin("--json", "request", "wait", "archive-1")
    assert outcome.status == 74
    assert [row["state"] for row in outcome.json] == ["cancelled"]
    assert "CTA-SCHEDULER-009 1 of 1 requests" in outcome.err


def test_the_end_of_waiting_lists_what_is_not_done_and_sums_up(
    admin: Admin, data: Path, tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_MOST_LISTED", 2)
    admin.ok("archive", "-s", "single", data)
    admin.ok("request", "cancel", "archive-1", "archive-2", "archive-3")
    tape.write_all()
    numbers = [f"archive-{number}" for number in range(1, 6)]
    outcome = admin("request", "wait", *numbers)
    assert outcome.status == 74
    heading, first, second, summary = outcome.out.splitlines()
    assert heading.split()[:2] == ["request", "state"]
    assert [line.split()[:2] for line in (first, second)] == [[n, "cancelled"] for n in numbers[:2]]
    assert summary.startswith("2 of 5 files done: 7 B in ") and summary.endswith("MB/s, tape V00001")
    assert "and 1 more: cta-admin request show archive-3" in outcome.err
    assert len(admin("--json", "request", "wait", *numbers).json) == 5


def test_waiting_for_files_that_are_all_done_is_one_line(admin: Admin, data: Path, tape: Tape) -> None:
    admin.ok("archive", "-s", "single", data)
    tape.write_all()
    (line,) = admin.ok("request", "wait", "archive-1", "archive-2").out.splitlines()
    assert line.startswith("2 of 2 files done: ")


def test_waiting_outlasts_an_outage(
    admin: Admin, data: Path, tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.ok("archive", "-s", "single", data / "plain")
    tape.write_all()
    scheduler, away = admin.root / "scheduler.db", admin.root / "away.db"
    scheduler.rename(away)
    pauses = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            away.rename(scheduler)

    monkeypatch.setattr(waiting.time, "sleep", pause)
    site = admin.site()
    queued = waiting.Queued(RequestId(Direction.ARCHIVE, 1), "", None)
    waiting.wait(site.scheduler.requests, [queued])
    site.close()
    assert queued.state == "done"
    assert len(pauses) == 3


def test_waiting_on_a_terminal_shows_progress(
    admin: Admin, data: Path, tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.ok("archive", "-s", "single", data / "plain")
    tape.write_all()
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    outcome = admin.ok("--json", "request", "wait", "archive-1")
    assert "1/1 files" in outcome.err
    assert [row["vids"] for row in outcome.json] == [["V00001"]]


def test_ledger(admin: Admin, data: Path, tape: Tape) -> None:
    admin.add_drive("TD1")
    admin.add_drive("TD2")
    assert admin.json("ledger", "ls") == []
    assert not (admin.root / "state").exists()
    admin.ok("archive", "-s", "single", data / "plain")
    tape.keep_in_ledger(admin.root / "state" / "TD1")
    (row,) = admin.json("ledger", "ls", "TD1")
    assert (row["driveName"], row["vid"], row["fSeq"], row["recorded"]) == ("TD1", "V00001", 1, False)
    assert (row["path"], row["size"], row["adler32"]) == (f"{data}/plain", 5, "00000007")
    assert admin.json("ledger", "ls") == [row]
    assert admin.json("ledger", "ls", "TD2") == []


def test_listings_of_files(admin: Admin, data: Path, tape: Tape) -> None:
    admin.ok("archive", "-s", "single", data)
    tape.write_all()
    rows = admin.json("tapefile", "ls", "--vid", "V00001")
    assert [row["tf"]["fSeq"] for row in rows] == [1, 2, 3, 4, 5]
    (row,) = admin.json("tf", "ls", "--path", data / "plain")
    assert row["af"]["size"] == 5
    assert row["af"]["checksum"] == [{"type": "ADLER32", "value": "00000007"}]
    assert row["df"] == {
        "diskId": diskpath.disk_file_id(bytes(data / "plain")),
        "diskInstance": "local",
        "ownerId": {"uid": os.getuid() or 65534, "gid": row["df"]["ownerId"]["gid"]},
        "path": row["df"]["path"],
    }
    archive_id = row["af"]["archiveId"]
    (file,) = admin.json("archivefile", "ls", "--id", archive_id)
    assert file["tapeFiles"] == [
        {"vid": "V00001", "copyNb": 1, "blockId": row["tf"]["blockId"], "fSeq": row["tf"]["fSeq"]}
    ]
    assert len(admin.json("af", "ls", "--all")) == 5
    assert "V00001:1" in admin.ok("af", "ls", "--vid", "V00001").out
    site = admin.site()
    site.catalogue.files.delete(archive_id, site.author)
    site.close()
    (deleted,) = admin.json("recycletf", "ls", "--vid", "V00001")
    assert (deleted["archiveFileId"], deleted["sizeInBytes"]) == (archive_id, 5)
    assert deleted["recycleLogTime"] > 0


def test_retrieve_by_folder_restores_the_tree(admin: Admin, data: Path, tape: Tape) -> None:
    admin.ok("archive", "-s", "single", data)
    tape.write_all()
    target = admin.root / "target"
    target.mkdir(mode=0o750)
    outcome = admin.ok("--json", "retrieve", data / "sub", data / "plain", "--to", target)
    deep = f"{data}/sub/deep/{'long' * 40}"  # too long for an id: found by the URL that was kept
    assert {row["path"] for row in outcome.json} == {deep, f"{data}/sub/two words", f"{data}/plain"}
    inner = target / str(data / "sub")[1:]
    assert inner.is_dir()
    assert inner.stat().st_mode & 0o777 == 0o750
    (queue,) = admin.json("sq")
    assert (queue["mountType"], queue["vid"], queue["queuedFiles"]) == ("RETRIEVE", "V00001", 3)
    tape.read_all()
    assert set(_states(admin, *(row["requestId"] for row in outcome.json))) == {"done"}


def test_retrieve_of_long_and_odd_names(admin: Admin, data: Path, tape: Tape) -> None:
    admin.ok("archive", "-s", "single", data)
    jobs = tape.write_all()
    target = admin.root / "target"
    target.mkdir()
    names = [os.fsdecode(local_path(job.source_url)) for job in jobs]
    outcome = admin.ok("--json", "retrieve", *names, "--to", target)
    assert len(outcome.json) == 5
    for name in names:
        assert (target / name[1:]).parent.is_dir()


def test_retrieve_by_id(admin: Admin, data: Path, tape: Tape) -> None:
    admin.ok("archive", "-s", "single", data / "plain", data / "sub")
    by_path = {job.disk_file_path: job.archive_file_id for job in tape.write_all()}
    target = admin.root / "target"
    target.mkdir()
    long = by_path[f"{data}/sub/deep/{'long' * 40}"]
    admin.ok("retrieve", str(by_path[f"{data}/plain"]), str(long), "--to", target)
    restored = target / f"{data}/sub/deep/{'long' * 40}"[1:]
    assert restored.parent.is_dir()
    restored.write_text("in the way")
    outcome = admin("retrieve", str(long), "--to", target)
    assert (outcome.status, outcome.err.split()[1]) == (73, "CTA-DISK-012")


def test_verify_only(admin: Admin, data: Path, tape: Tape) -> None:
    admin.ok("archive", "-s", "single", data / "plain")
    tape.write_all()
    outcome = admin.ok("--json", "retrieve", data / "plain", "--verify-only", "--vid", "V00001")
    tape.read_all()
    assert _states(admin, outcome.json[0]["requestId"]) == ["done"]
    wrong = admin("retrieve", data / "plain", "--verify-only", "--vid", "V00009")
    assert wrong.status != 0 and "V00009" in wrong.err


def test_failed_requests(admin: Admin, data: Path, tape: Tape) -> None:
    admin.ok("archive", "-s", "single", data / "plain")
    tape.fail_all("CTA-DISK-003", "the disk is broken")
    (row,) = admin.json("failedrequest", "ls")
    assert (row["requestType"], row["tapepool"], row["size"]) == ("ARCHIVE_REQUEST", "pool", 5)
    assert "the disk is broken" in row["failureLogs"]
    assert admin.json("fr", "show", row["objectId"]) == row
    assert "the disk is broken" in admin.ok("fr", "ls", "--log").out
    (shown,) = admin.json("request", "show", "archive-1")
    assert (shown["state"], "the disk is broken" in shown["text"]) == ("failed", True)
    waited = admin("--json", "request", "wait", "archive-1")
    assert (waited.status, waited.json[0]["state"]) == (74, "failed")
    assert admin.json("fr", "ls", "--justretrieve") == []
    assert admin.json("fr", "ls", "--tapepool", "other") == []
    assert admin.json("fr", "ls", "--summary")[0] == {
        "requestType": "ARCHIVE_REQUEST",
        "totalFiles": 1,
        "totalSize": 5,
    }
    assert admin.ok("fr", "rm", "--objectid", row["objectId"]).out.endswith("removed.\n")
    assert admin.json("fr", "ls") == []
    assert _states(admin, "archive-1") == ["failed"]
    # What has failed may be asked for again.
    assert "as archive-2\n" in admin.ok("archive", "-s", "single", data / "plain").err


@pytest.mark.parametrize(
    "path", [b"/a", b"/a b/\xff\n%41", b"/" + b"x" * 99, b"/" + b"x" * 100, b"/" + b"\xff" * 40]
)
def test_disk_paths(path: bytes) -> None:
    identifier = diskpath.disk_file_id(path)
    assert len(identifier) <= diskpath.ID_LIMIT
    assert local_path(diskpath.url(path)) == path
    assert diskpath.path_of(identifier) in (path, None)
    assert (diskpath.path_of(identifier) is None) is diskpath.is_hash(identifier)
    assert diskpath.text(path).isprintable()


@pytest.mark.parametrize("identifier", ["12345", "fxid:1", "/a b", "/%41", "sha256:00"])
def test_foreign_ids_are_no_paths(identifier: str) -> None:
    assert diskpath.path_of(identifier) is None


def test_below() -> None:
    assert diskpath.is_below(b"/a/b", b"/a") and diskpath.is_below(b"/a", b"/")
    assert not diskpath.is_below(b"/ab", b"/a") and not diskpath.is_below(b"/a", b"/a")
