# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor as a real process: real children that misbehave, real control and notify sockets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import wait_for
from cta_taped.common.errors import CtaError
from cta_taped.common.ipc import varlink

HERE = Path(__file__).parent
SITE = """\
[site]
state_dir = "{root}/state"
runtime_dir = "{root}/run"
[catalogue]
url = "sqlite:///{root}/none.db"
[scheduler]
url = "sqlite:///{root}/none.db"
[deadlines]
starting_s = 5
probing_s = 0.5
abort_grace_s = 0.5
[ending]
quick_s = 0.4
now_s = 0.4
[log]
format = "json"
"""
DRIVE = """\
[drive]
name = "D"
device = "vtl:/nowhere?drive=0"
library_slot = "smc0"
logical_library = "L"
"""


class Supervised:
    """A supervisor with rogue workers that follow ``script``."""

    def __init__(self, root: Path, script: str, notify: Path | None = None) -> None:
        self.root = root
        (root / "drives").mkdir(exist_ok=True)
        (root / "site.toml").write_text(SITE.format(root=root))
        (root / "drives" / "D.toml").write_text(DRIVE)
        self.script = root / "script"
        self.script.write_text(script)
        self.notify = notify
        self.socket = root / "run" / "D.socket"

    def start(self) -> Supervised:
        environment = {**os.environ, "ROGUE_SCRIPT": str(self.script), "PYTHONPATH": str(HERE)}
        if self.notify is not None:
            environment |= {"NOTIFY_SOCKET": str(self.notify), "WATCHDOG_USEC": "200000"}
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, HERE / "rogue_supervisor.py", "D", "--config", self.root / "site.toml"],
                stderr=log,
                env=environment,
            )
        wait_for(self._answers, 20, self.log)
        return self

    def _answers(self) -> bool:
        with contextlib.suppress(CtaError):
            return bool(self.state()["ready"])
        return False

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return varlink.call(self.socket, method, parameters)

    def state(self) -> dict[str, Any]:
        return dict(self.call("GetState")["state"])

    def wait(self, phase: str, timeout_s: float = 20.0) -> dict[str, Any]:
        wait_for(lambda: self.state()["phase"] == phase, timeout_s, lambda: f"{self.state()} {self.log()}")
        return self.state()

    def log(self) -> str:
        return (self.root / "log").read_text()

    def started(self) -> list[str]:
        return [
            line
            for line in Path(f"{self.script}.log").read_text().splitlines()
            if not line.startswith("maintenance")
        ]

    def errors(self) -> list[str]:
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line["error_code"] for line in lines if "error_code" in line]

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(30)


@contextlib.contextmanager
def supervised(root: Path, script: str, notify: Path | None = None) -> Iterator[Supervised]:
    under_test = Supervised(root, script, notify)
    try:
        yield under_test.start()
    finally:
        if under_test.process.poll() is None:
            under_test.process.kill()
        under_test.process.wait(10)


def test_first_start_makes_sure_that_the_drive_is_empty_and_stays_down(tmp_path: Path) -> None:
    with supervised(tmp_path, "ok") as daemon:
        state = daemon.wait("DOWN")
        assert state["desired"] == "down" and not state["occupied"]
        assert daemon.started() == ["rescue ok"]
        assert daemon.stop() == 0
        assert not daemon.socket.exists()


@pytest.mark.parametrize("behaviour", ["hang", "garbage", "version", "close", "mute", "frozen"])
def test_a_rogue_session_is_ended_and_the_drive_goes_on(tmp_path: Path, behaviour: str) -> None:
    with supervised(tmp_path, f"ok {behaviour} ok ok ok") as daemon:
        daemon.wait("DOWN")
        daemon.call("SetUp", reason=None)
        wait_for(
            lambda: daemon.started()[-1] == "session ok" and daemon.state()["phase"] == "SCHEDULING",
            30,
            daemon.log,
        )
        assert daemon.started()[1] == f"session {behaviour}"
        assert "CTA-SYSTEM-002" in daemon.errors() or "CTA-SYSTEM-003" in daemon.errors()


def test_exit_status_zero_with_a_cartridge_is_followed_by_the_rescue(tmp_path: Path) -> None:
    with supervised(tmp_path, "ok exit0 ok ok") as daemon:
        daemon.wait("DOWN")
        daemon.call("SetUp", reason=None)
        wait_for(lambda: len(daemon.started()) >= 4, 20, daemon.log)
        assert daemon.started()[:4] == ["rescue ok", "session exit0", "rescue ok", "session ok"]


def test_a_session_that_does_not_obey_is_killed_and_rescued(tmp_path: Path) -> None:
    with supervised(tmp_path, "ok deaf ok ok") as daemon:
        daemon.wait("DOWN")
        daemon.call("SetUp", reason=None)
        daemon.wait("TRANSFERING")
        assert "Archiving to V00001" in daemon.state()["status"]
        daemon.call("SetDown", grade="quick", reason="maintenance of the drive")
        state = daemon.wait("DOWN")
        assert state["reason"] == "maintenance of the drive"
        assert daemon.started()[:3] == ["rescue ok", "session deaf", "rescue ok"]
        stacks = daemon.log()
        assert "Fatal Python error: Aborted" in stacks or "CTA-SYSTEM-002" in daemon.errors()


def test_a_failed_rescue_puts_the_drive_down_and_up_tries_again(tmp_path: Path) -> None:
    with supervised(tmp_path, "ok exit0 rescue-fails ok ok") as daemon:
        daemon.wait("DOWN")
        daemon.call("SetUp", reason=None)
        wait_for(lambda: "CTA-SYSTEM-009" in (daemon.state()["reason"] or ""), 20, daemon.log)
        state = daemon.wait("DOWN")
        assert state["occupied"] and state["desired"] == "down"
        daemon.call("SetUp", reason=None)
        daemon.wait("SCHEDULING")


def test_a_rescue_that_dies_is_repeated(tmp_path: Path) -> None:
    with supervised(tmp_path, "rescue-dies rescue-dies ok") as daemon:
        wait_for(lambda: not daemon.state()["occupied"], 20, daemon.log)
        assert daemon.started() == ["rescue rescue-dies", "rescue rescue-dies", "rescue ok"]


def test_killed_supervisor_remembers_wish_and_ownership(tmp_path: Path) -> None:
    with supervised(tmp_path, "ok deaf ok ok") as daemon:
        daemon.wait("DOWN")
        daemon.call("SetUp", reason=None)
        session_pid = daemon.wait("TRANSFERING")["session_pid"]
        daemon.process.kill()
        daemon.process.wait(10)
        wait_for(lambda: not Path(f"/proc/{session_pid}").exists(), 10)
        daemon.start()
        state = daemon.wait("SCHEDULING")
        assert state["desired"] == "up"
        assert daemon.started()[2:4] == ["rescue ok", "session ok"]


def test_a_damaged_state_file_is_the_safe_side(tmp_path: Path) -> None:
    with supervised(tmp_path, "ok") as daemon:
        daemon.wait("DOWN")
        daemon.call("SetUp", reason=None)
        daemon.wait("SCHEDULING")
        daemon.process.kill()
        daemon.process.wait(10)
        (tmp_path / "state" / "D" / "state.json").write_text("{torn")
        daemon.start()
        assert "CTA-SYSTEM-004" in daemon.errors()
        wait_for(lambda: len(daemon.started()) >= 3, 10, daemon.log)
        assert daemon.started()[2] == "rescue ok", "a drive that may hold a cartridge is rescued first"
        daemon.wait("SCHEDULING")  # as the catalogue says


def test_a_second_daemon_for_the_same_drive_is_refused(tmp_path: Path) -> None:
    with supervised(tmp_path, "ok"):
        second = subprocess.run(
            [sys.executable, "-m", "cta_taped.supervisor", "D", "--config", tmp_path / "site.toml"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode == 78
        assert second.stderr.count("\n") == 1 and "CTA-CONFIG-003" in second.stderr


def test_stop_is_quick_and_the_second_stop_is_now(tmp_path: Path) -> None:
    with supervised(tmp_path, "ok deaf ok") as daemon:
        daemon.wait("DOWN")
        daemon.call("SetUp", reason=None)
        daemon.wait("TRANSFERING")
        daemon.process.terminate()
        wait_for(lambda: daemon.state()["ending"] == "quick", 5)
        daemon.process.terminate()
        wait_for(lambda: daemon.state()["ending"] == "now", 5)
        assert daemon.process.wait(20) == 0
        assert daemon.started()[2] == "rescue ok"
        remembered = json.loads((tmp_path / "state" / "D" / "state.json").read_text())
        assert remembered["desired_up"] and not remembered["occupied"]


GARBAGE = [
    b"\xff\xfe\x00",
    b"hello\0",
    b"[1, 2]\0",
    b'{"method": 5}\0',
    b'{"method": "ch.cern.cta.taped.GetState", "parameters": 7}\0',
    b"{" * 200000,
    b"[" * 50000 + b"\0",
    b'{"method": "ch.cern.cta.taped.SetDown", "parameters": {"reason": ["x"]}}\0',
    b'{"method": "ch.cern.cta.taped.SetDown", "parameters": {"reason": "x", "grade": "later"}}\0',
    b'{"method": "ch.cern.cta.taped.SetDown", "parameters": {}}\0',
]


def test_garbage_on_the_control_socket_harms_nobody(tmp_path: Path) -> None:
    with supervised(tmp_path, "ok") as daemon:
        before = daemon.wait("DOWN")
        for garbage in GARBAGE:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(5)
                client.connect(str(daemon.socket))
                with contextlib.suppress(OSError):
                    client.sendall(garbage)
                with contextlib.suppress(OSError):
                    reply = client.recv(65536)
                    assert reply == b"" or b'"error"' in reply, (garbage[:40], reply)
        idle = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for client in idle:
            client.connect(str(daemon.socket))
        after = daemon.state()
        for client in idle:
            client.close()
        assert (after["phase"], after["reason"]) == (before["phase"], before["reason"])
        with pytest.raises(CtaError):
            daemon.call("NoSuchMethod")


def test_varlink_describes_itself(tmp_path: Path) -> None:
    with supervised(tmp_path, "ok") as daemon, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(daemon.socket))
        client.sendall(
            varlink.encode({"method": "org.varlink.service.GetInfo"})
            + varlink.encode(
                {
                    "method": "org.varlink.service.GetInterfaceDescription",
                    "parameters": {"interface": varlink.INTERFACE},
                }
            )
        )
        received = b""
        while received.count(b"\0") < 2:
            received += client.recv(65536)
        info, description = (json.loads(part) for part in received.split(b"\0")[:2])
        assert varlink.INTERFACE in info["parameters"]["interfaces"]
        assert "method SetDown" in description["parameters"]["description"]
        state = daemon.state()
        declared = varlink.DESCRIPTION.partition("type State (")[2].partition(")")[0]
        assert {line.split(":")[0].strip() for line in declared.splitlines() if ":" in line} == set(state)


class FakeSystemd:
    """A real datagram socket that takes what is said to systemd, as it comes."""

    def __init__(self, path: Path) -> None:
        self.lines: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while packet := self._socket.recv(65536):
            self.lines += packet.decode().splitlines()

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.sendto(b"", self._socket.getsockname())
        self._thread.join(10)
        self._socket.close()


def test_systemd_is_told_readiness_status_watchdog_and_stopping(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    systemd = FakeSystemd(path)
    try:
        with supervised(tmp_path, "ok deaf ok", notify=path) as daemon:
            daemon.wait("DOWN")
            daemon.call("SetUp", reason=None)
            daemon.wait("TRANSFERING")
            daemon.process.send_signal(signal.SIGHUP)
            wait_for(lambda: systemd.lines.count("READY=1") >= 2, 10, lambda: str(systemd.lines))
            wait_for(lambda: systemd.lines.count("WATCHDOG=1") >= 3, 10)
            daemon.stop()
    finally:
        systemd.close()
    told = systemd.lines
    assert "RELOADING=1" in told and "STOPPING=1" in told
    assert any(line.startswith("EXTEND_TIMEOUT_USEC=") for line in told)
    statuses = [line.removeprefix("STATUS=") for line in told if line.startswith("STATUS=")]
    assert any(status.startswith("Archiving to V00001: 0 files") for status in statuses)
    assert told.index("READY=1") < told.index("STOPPING=1")


def test_children_do_not_inherit_the_systemd_socket(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        with supervised(tmp_path, "ok", notify=path) as daemon:
            pid = daemon.state()["maintenance_pid"]
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            assert b"NOTIFY_SOCKET" not in environment and b"WATCHDOG" not in environment


def test_a_bad_configuration_is_refused_at_reload_and_the_old_one_stays(tmp_path: Path) -> None:
    with supervised(tmp_path, "ok") as daemon:
        daemon.wait("DOWN")
        site = tmp_path / "site.toml"
        good = site.read_text()
        site.write_text(good + "[archive]\nflush_files = 'many'\n")
        with pytest.raises(CtaError, match="flush_files"):
            daemon.call("Reload")
        site.write_text(good + "[archive]\nflush_files = 7\n")
        assert daemon.call("Reload")["changed"] == ["archive.flush_files: 200 -> 7"]
