# SPDX-License-Identifier: GPL-3.0-or-later
"""Journal writers against a real datagram socket in journald's place, and against a real journald."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cta_taped.common.journal import BackgroundJournal, encode, field_name

JOURNALD = Path("/lib/systemd/systemd-journald")


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "journal"))
        server.settimeout(20)
        yield server


@pytest.fixture
def journal(journald: socket.socket, tmp_path: Path) -> Iterator[BackgroundJournal]:
    journal = BackgroundJournal(str(tmp_path / "journal"), queue_limit=50)
    yield journal
    journal.close(timeout_s=0.1)


def decode(packet: bytes) -> dict[str, str]:
    """A reader of the native protocol, written from its description, not from ``encode``."""
    fields = {}
    while packet:
        line, _, packet = packet.partition(b"\n")
        name, separator, value = line.partition(b"=")
        if not separator:
            [length] = struct.unpack("<Q", packet[:8])
            value, packet = packet[8 : 8 + length], packet[9 + length :]
        fields[name.decode()] = value.decode()
    return fields


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("vid", "CTA_VID"),
        ("mount_id", "CTA_MOUNT_ID"),
        ("tapeVid", "CTA_TAPE_VID"),
        ("driveTransferSpeedMBps", "CTA_DRIVE_TRANSFER_SPEED_MBPS"),
        ("Error_sessionKilled", "CTA_ERROR_SESSION_KILLED"),
        ("stillOpenFileForThread3", "CTA_STILL_OPEN_FILE_FOR_THREAD3"),
        ("db.client-ms", "CTA_DB_CLIENT_MS"),
        ("x" * 100, "CTA_" + "X" * 60),
    ],
)
def test_field_names(name: str, field: str) -> None:
    assert field_name(name) == field


def test_encoding_byte_by_byte() -> None:
    packet = encode({"MESSAGE": "a\nb", "CTA_VID": "V00001", "EMPTY": "", "BAND": "→"})
    assert packet == (
        b"MESSAGE\n\x03\x00\x00\x00\x00\x00\x00\x00a\nb\nCTA_VID=V00001\nEMPTY=\nBAND=\xe2\x86\x92\n"
    )


def test_text_that_is_no_unicode_is_written_all_the_same() -> None:
    assert encode({"PATH": "a\udcffb"}) == b"PATH=a?b\n"


def test_entries_arrive_in_order(journald: socket.socket, journal: BackgroundJournal) -> None:
    for number in range(5):
        journal.write({"MESSAGE": f"line {number}\nsecond", "CTA_NUMBER": str(number)})
    entries = [decode(journald.recv(65536)) for _ in range(5)]
    assert [entry["CTA_NUMBER"] for entry in entries] == ["0", "1", "2", "3", "4"]
    assert entries[3]["MESSAGE"] == "line 3\nsecond"


def test_an_entry_longer_than_a_datagram_goes_as_a_file(
    journald: socket.socket, journal: BackgroundJournal
) -> None:
    text = "x" * 1_000_000
    journal.write({"MESSAGE": text})
    data, descriptors, _, _ = socket.recv_fds(journald, 100, 1)
    assert data == b""
    with open(descriptors[0], "rb") as file:
        file.seek(0)
        assert decode(file.read()) == {"MESSAGE": text}


def test_a_stuck_journald_stops_nobody_and_the_loss_is_told(
    journald: socket.socket, journal: BackgroundJournal
) -> None:
    lines = 5000
    for number in range(lines):  # nobody reads: this loop would never end if a write waited
        journal.write({"CTA_NUMBER": str(number)})
    dropped = journal.dropped
    assert 0 < dropped < lines
    numbers: list[int] = []
    reported = 0
    while len(numbers) + dropped < lines or reported < dropped:
        entry = decode(journald.recv(65536))
        if entry.get("CTA_EVENT") == "log_lines_dropped":
            reported += int(entry["CTA_LINES"])
            assert entry["PRIORITY"] == "4"
        else:
            numbers.append(int(entry["CTA_NUMBER"]))
    assert numbers == sorted(numbers)
    assert numbers[:50] == list(range(50))
    assert (len(numbers), reported) == (lines - dropped, dropped)


def test_closing_while_journald_is_stuck_ends_the_thread(journald: socket.socket, tmp_path: Path) -> None:
    before = threading.active_count()
    journal = BackgroundJournal(str(tmp_path / "journal"))
    for number in range(500):
        journal.write({"CTA_NUMBER": str(number)})
    journal.close(timeout_s=0.05)
    assert threading.active_count() == before
    assert journal.dropped > 0
    journal.close()


def test_closing_delivers_what_is_queued(journald: socket.socket, tmp_path: Path) -> None:
    journal = BackgroundJournal(str(tmp_path / "journal"))
    for number in range(5):
        journal.write({"CTA_NUMBER": str(number)})
    journal.close()
    assert [decode(journald.recv(1000))["CTA_NUMBER"] for _ in range(5)] == ["0", "1", "2", "3", "4"]
    assert journal.dropped == 0


def test_a_restarted_journald_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = BackgroundJournal(str(path))
    journal.write({"CTA_NUMBER": "0"})  # nobody is there yet
    try:
        while journal.dropped == 0:
            threading.Event().wait(0.01)
        for generation in ("1", "2"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
                server.bind(str(path))
                server.settimeout(20)
                journal.write({"CTA_NUMBER": generation})
                assert decode(server.recv(1000)) == {"CTA_NUMBER": generation}
                if generation == "1":
                    assert decode(server.recv(1000))["CTA_LINES"] == "1"
            path.unlink()
    finally:
        journal.close()


REAL_JOURNALD = """
set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/journal /run/log
{journald} 2>/dev/null &
until test -S /run/systemd/journal/socket; do sleep 0.05; done
{python} -c "$CLIENT"
until test "$(wc -l <"$OUTPUT")" -eq 3; do
    journalctl -D /run/log/journal -o json --all CTA_TEST=1 >"$OUTPUT" 2>/dev/null || sleep 0.05
done
"""
CLIENT = """
import os
from cta_taped.common import journal
at_once = journal.SystemdJournal()
os.setuid(65534)
at_once.write({"MESSAGE": "at once", "CTA_TEST": "1", "PRIORITY": "3"})
background = journal.BackgroundJournal()
background.write({"MESSAGE": "two\\nlines", "CTA_TEST": "1", "CTA_VID": "V00001"})
background.write({"MESSAGE": "x" * 300000, "CTA_TEST": "1"})
background.close(timeout_s=20)
assert background.dropped == 0
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0 or not JOURNALD.exists(), reason="needs root and systemd-journald")
def test_a_real_journald_takes_all_of_it_from_an_unprivileged_process(tmp_path: Path) -> None:
    script = REAL_JOURNALD.format(journald=JOURNALD, python=sys.executable)
    output = tmp_path / "entries"
    output.touch()
    subprocess.run(
        # The process namespace ends journald with the shell, whatever happens.
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", script],
        env={**os.environ, "CLIENT": CLIENT, "OUTPUT": str(output)},
        check=True,
        timeout=60,
    )
    entries = {entry["MESSAGE"][:9]: entry for entry in map(json.loads, output.read_text().splitlines())}
    assert entries["at once"]["PRIORITY"] == "3"
    assert entries["two\nlines"]["CTA_VID"] == "V00001"
    assert len(entries["x" * 9]["MESSAGE"]) == 300000
    assert {entry["_UID"] for entry in entries.values()} == {"65534"}
