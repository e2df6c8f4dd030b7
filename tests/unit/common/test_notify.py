# SPDX-License-Identifier: GPL-3.0-or-later
"""The notifier against a real datagram socket in systemd's place, also one that is full, gone or replaced."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cta_taped.common.notify import Notifier, watchdog_interval_s


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        server.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield server


@pytest.fixture
def notifier(systemd: socket.socket) -> Iterator[Notifier]:
    notifier = Notifier()
    yield notifier
    notifier.close()


def received(server: socket.socket) -> list[str]:
    messages = []
    try:
        while True:
            messages.append(server.recv(65536).decode())
    except BlockingIOError:
        return messages


def fill(notifier: Notifier) -> None:
    """Tell until the queue of a systemd that does not read is full."""
    for _ in range(100_000):
        if not notifier.watchdog():
            return
    raise AssertionError("the socket never filled")


def test_words(systemd: socket.socket, notifier: Notifier) -> None:
    assert notifier.ready()
    assert notifier.status("Up, idle")
    assert notifier.watchdog()
    assert notifier.extend_timeout(1.5)
    assert notifier.mainpid(4711)
    assert notifier.stopping()
    assert received(systemd) == [
        "READY=1",
        "STATUS=Up, idle",
        "WATCHDOG=1",
        "EXTEND_TIMEOUT_USEC=1500000",
        "MAINPID=4711",
        "STOPPING=1",
    ]


def test_reloading_carries_the_monotonic_time(systemd: socket.socket, notifier: Notifier) -> None:
    notifier.reloading()
    first = dict(line.split("=") for line in received(systemd)[0].split("\n"))
    notifier.reloading()
    second = dict(line.split("=") for line in received(systemd)[0].split("\n"))
    assert first["RELOADING"] == "1"
    assert 0 < int(first["MONOTONIC_USEC"]) <= int(second["MONOTONIC_USEC"])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("two\nlines\r\nREADY=1", "STATUS=two lines  READY=1"),
        ("Übertragung → Band", "STATUS=Übertragung → Band"),
        ("nul\0byte", "STATUS=nul byte"),
        ("lone \ud800 surrogate", "STATUS=lone   surrogate"),
    ],
)
def test_status_is_one_line_of_utf8(systemd: socket.socket, notifier: Notifier, text: str, line: str) -> None:
    assert notifier.status(text)
    assert received(systemd) == [line]


def test_status_fits_systemds_buffer_and_is_cut_between_characters(
    systemd: socket.socket, notifier: Notifier
) -> None:
    assert notifier.status("x" + "→" * 3000)
    [message] = received(systemd)
    assert message == "STATUS=x" + "→" * 341


def test_abstract_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"cta-taped-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        notifier = Notifier()
        assert notifier.ready()
        notifier.close()
        assert server.recv(100) == b"READY=1"


def test_full_socket_neither_blocks_nor_loses_ready(systemd: socket.socket, notifier: Notifier) -> None:
    fill(notifier)
    assert not notifier.ready()
    assert not notifier.status("first")
    assert not notifier.status("second")
    received(systemd)
    assert notifier.watchdog()
    assert received(systemd) == ["WATCHDOG=1\nREADY=1\nSTATUS=second"]
    assert notifier.watchdog()
    assert received(systemd) == ["WATCHDOG=1"]


def test_of_unsent_states_only_the_last_is_told(systemd: socket.socket, notifier: Notifier) -> None:
    fill(notifier)
    notifier.reloading()
    notifier.ready()
    received(systemd)
    assert notifier.watchdog()
    assert received(systemd) == ["WATCHDOG=1\nREADY=1"]


def test_a_replaced_systemd_is_found_again(
    systemd: socket.socket, notifier: Notifier, tmp_path: Path
) -> None:
    systemd.close()
    (tmp_path / "notify").unlink()
    assert not notifier.ready()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        assert notifier.watchdog()
        assert server.recv(100) == b"READY=1\nWATCHDOG=1"


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier()
    assert not notifier.ready()
    notifier.close()


def test_a_stale_socket_name_is_no_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notifier = Notifier()
    assert not notifier.ready()
    notifier.close()


@pytest.mark.parametrize(
    ("usec", "pid", "interval_s"),
    [
        ("3000000", None, 1.5),
        ("3000000", "own", 1.5),
        ("3000000", "1", None),
        (None, None, None),
        ("0", None, None),
        ("soon", None, None),
    ],
)
def test_watchdog_interval(
    monkeypatch: pytest.MonkeyPatch, usec: str | None, pid: str | None, interval_s: float | None
) -> None:
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value.replace("own", str(os.getpid())))
    assert watchdog_interval_s() == interval_s
