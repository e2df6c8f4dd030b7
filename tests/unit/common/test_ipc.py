# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages and channel: validated packets, version first, death on either side noticed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cta_taped.common.errors import CtaError
from cta_taped.common.ipc import channel, varlink
from cta_taped.common.ipc import messages as m
from cta_taped.common.model import DriveReport, DriveStatus, Grade, MountType

PROTOCOL = Path(__file__).parents[3] / "docs" / "protocol.md"
FACTS: list[m.Fact] = [
    m.Hello("session", 5),
    m.MountReserved(5, MountType.RETRIEVE, "V00001", "pool", "vo", None),
    m.StateChanged("MOUNTING"),
    m.CommandBegun("load", 300.0),
    m.Progressed(1, 2, 3),
    m.Failed("CTA-TAPE-001", "no label\nat all", True),
    m.DesiredStateRead(True, False, "größer"),
]
COMMANDS: list[m.Command] = [
    m.Drain(),
    m.Stop(Grade.NOW),
    m.Publish(DriveReport(1, 2.5, DriveStatus.UP, last_mount_id=4)),
    m.WriteDesired(3, False, True, None),
]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.kind)
def test_facts_survive_the_way(fact: m.Fact) -> None:
    assert m.decode_fact(m.encode(fact)) == fact


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.kind)
def test_commands_survive_the_way(command: m.Command) -> None:
    assert m.decode_command(m.encode(command)) == command


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\xff",
        b"{}",
        b'{"kind": "Nothing"}',
        b'{"kind": "Hello", "role": "king", "pid": 1}',
        b'{"kind": "Progressed", "tape_bytes": "many"}',
        b'{"kind": "StateChanged", "state": "DANCING"}',
        b'{"kind": "Drain"}',
    ],
)
def test_what_is_no_fact_is_a_protocol_error(packet: bytes) -> None:
    with pytest.raises(CtaError) as caught:
        m.decode_fact(packet)
    assert caught.value.code == "CTA-SYSTEM-003"


def test_too_large_a_message_is_refused_not_cut() -> None:
    with pytest.raises(CtaError):
        m.encode(m.Failed("CTA-TAPE-001", "x" * m.PACKET_LIMIT_BYTES))


def test_worker_dies_with_its_supervisor_even_when_stuck() -> None:
    ours, theirs = channel.socketpair()
    program = (
        "import sys, time\n"
        "from cta_taped.common.ipc.channel import WorkerChannel\n"
        "WorkerChannel(int(sys.argv[1]), 'session').listen(print)\n"
        "time.sleep(3600)\n"
    )
    with theirs:
        worker = subprocess.Popen(
            [sys.executable, "-c", program, str(theirs.fileno())], pass_fds=(theirs.fileno(),)
        )
    try:
        ours.setblocking(True)
        assert m.decode_fact(ours.recv(65536)) == m.Hello("session", worker.pid)
        ours.close()
        assert worker.wait(10) == channel.EXIT_ORPHANED
    finally:
        worker.kill()
        worker.wait()


def test_a_worker_run_by_hand_says_so() -> None:
    with pytest.raises(CtaError, match="not run by hand"):
        channel.WorkerChannel(os.open("/dev/null", os.O_RDONLY), "session")


def test_send_does_not_block_when_the_worker_does_not_read() -> None:
    ours, theirs = channel.socketpair()
    with ours, theirs:
        sent = 0
        while channel.send(ours, m.Drain()):
            sent += 1
            assert sent < 100_000
        assert sent > 0


def test_frames_are_cut_and_bounded() -> None:
    frames = varlink.Frames()
    assert list(frames.feed(b'{"a": 1}\0{"b"')) == [{"a": 1}]
    assert list(frames.feed(b": 2}\0")) == [{"b": 2}]
    with pytest.raises(CtaError):
        list(frames.feed(b"x" * (varlink.MESSAGE_LIMIT_BYTES + 1)))


def test_protocol_document_names_every_message() -> None:
    text = PROTOCOL.read_text()
    named = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    facts = {fact.__name__ for fact in m.Fact.__args__}
    commands = {command.__name__ for command in m.Command.__args__}
    methods = set(re.findall(r"^method (\w+)", varlink.DESCRIPTION, re.MULTILINE))
    assert named == facts | commands | methods
