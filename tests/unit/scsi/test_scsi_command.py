# SPDX-License-Identifier: GPL-3.0-or-later
"""How the outcome of a command is judged. The port is scripted: results that no device gives at will."""

from __future__ import annotations

import errno

import pytest

from cta_taped.common import errors
from cta_taped.common.errors import CtaError, ErrorSpec
from cta_taped.common.scsi import cdb
from cta_taped.common.scsi.command import Commands, ReplyError, ScsiError
from cta_taped.common.scsi.data import parse_inquiry
from cta_taped.common.scsi.port import Result
from cta_taped.common.scsi.sense import DRIVE, LIBRARY, Sense


class ScriptedPort:
    """Answers each command with the next result; an OSError is raised."""

    def __init__(self, *results: Result | OSError) -> None:
        self.results = list(results)
        self.sent: list[bytes] = []
        self.timeouts_s: list[float] = []

    def execute(
        self, cdb: bytes, data_out: bytes = b"", data_in_length: int = 0, timeout_s: float = 60.0
    ) -> Result:
        self.sent.append(cdb)
        self.timeouts_s.append(timeout_s)
        result = self.results.pop(0)
        if isinstance(result, OSError):
            raise result
        return result

    def close(self) -> None:
        pass


def check(sense: str, **more: int) -> Result:
    return Result(2, sense=bytes.fromhex(sense), **more)  # type: ignore[arg-type]


GOOD = Result(0, data=b"reply")
ATTENTION = check("70 00 06 00 00 00 00 0a 00 00 00 00 29 00 00 00 00 00")
RECOVERED = check("70 00 01 00 00 00 00 0a 00 00 00 00 00 17 00 00 00 00")
DEFERRED_RECOVERED = check("71 00 01 00 00 00 00 0a 00 00 00 00 0c 00 00 00 00 00")
HARDWARE = check("70 00 04 00 00 00 00 0a 00 00 00 00 44 00 00 00 00 00")


def run(*results: Result | OSError) -> bytes:
    return Commands(ScriptedPort(*results), DRIVE, "drive").run(cdb.read_position(), data_in_length=20)


def test_good() -> None:
    assert run(GOOD) == b"reply"


def test_recovered_error_is_success() -> None:
    assert run(Result(2, data=b"reply", sense=RECOVERED.sense, driver_status=8)) == b"reply"


def test_deferred_recovered_error_means_that_the_command_was_not_performed() -> None:
    assert run(DEFERRED_RECOVERED, GOOD) == b"reply"


def test_unit_attention_is_told_and_the_command_repeated() -> None:
    told: list[Sense] = []
    port = ScriptedPort(ATTENTION, ATTENTION, GOOD)
    assert Commands(port, DRIVE, "drive", told.append).run(cdb.read_position()) == b"reply"
    assert [one.asc for one in told] == [0x29, 0x29]
    assert len(port.sent) == 3


def test_unit_attention_without_end_is_a_failure() -> None:
    with pytest.raises(ScsiError) as caught:
        run(*[ATTENTION] * 4)
    assert caught.value.spec is errors.DRIVE_RESET


def test_sense_error_has_evidence() -> None:
    with pytest.raises(ScsiError, match="READ POSITION failed: hardware error, internal target") as caught:
        run(HARDWARE)
    assert caught.value.spec is errors.DRIVE_HARDWARE
    assert caught.value.sense == Sense(4, 0x44, 0)
    evidence = caught.value.evidence
    assert (evidence["opcode"], evidence["sense_key"], evidence["asc"], evidence["ascq"]) == (
        0x34,
        4,
        0x44,
        0,
    )


@pytest.mark.parametrize(
    ("result", "spec"),
    [
        (Result(0, host_status=3), errors.DRIVE_TIMEOUT),
        (Result(0, host_status=5), errors.DRIVE_TIMEOUT),
        (Result(0, host_status=1), errors.DRIVE_IO),
        (Result(0, driver_status=6), errors.DRIVE_IO),
        (Result(8), errors.DRIVE_BUSY),
        (Result(0x18), errors.DRIVE_BUSY),
        (Result(0x40), errors.DRIVE_IO),
        (Result(2), errors.DRIVE_IO),
        (OSError(errno.ENODEV, "No such device"), errors.DRIVE_NOT_FOUND),
        (OSError(errno.EPERM, "Operation not permitted"), errors.DRIVE_IO),
    ],
    ids=str,
)
def test_failures_without_sense(result: Result | OSError, spec: ErrorSpec) -> None:
    with pytest.raises(ScsiError) as caught:
        run(result)
    assert caught.value.spec is spec
    assert caught.value.sense is None


def test_sense_goes_before_transport() -> None:
    """A reset reports both; the device's own word is the better evidence."""
    with pytest.raises(ScsiError) as caught:
        run(check(HARDWARE.sense.hex(), host_status=8))
    assert caught.value.spec is errors.DRIVE_HARDWARE


def test_malformed_reply() -> None:
    commands = Commands(ScriptedPort(Result(0, data=bytes(4))), LIBRARY, "library")
    with pytest.raises(ReplyError, match=r"library: malformed reply to INQUIRY: .* at least 36") as caught:
        commands.ask(cdb.inquiry(), 96, parse_inquiry)
    assert caught.value.spec is errors.LIBRARY_UNREACHABLE
    assert caught.value.evidence["reply"] == "00000000"


def test_readiness() -> None:
    not_ready = check("70 00 02 00 00 00 00 0a 00 00 00 00 04 01 00 00 00 00")
    told: list[Sense] = []
    commands = Commands(ScriptedPort(not_ready, ATTENTION, Result(0)), DRIVE, "drive", told.append)
    assert commands.readiness() == Sense(2, 4, 1)
    assert commands.readiness() == Sense(6, 0x29, 0)
    assert commands.readiness() is None
    assert len(told) == 1


def test_time_outs_fit_the_command() -> None:
    port = ScriptedPort(GOOD, GOOD, GOOD)
    commands = Commands(port, DRIVE, "drive")
    for request in (cdb.read_position(), cdb.locate(5), cdb.move_medium(0, 1, 2, invert=False)):
        commands.run(request)
    assert port.timeouts_s == [60, 2940, 900]


def test_vendor_command_has_a_number_for_a_name() -> None:
    with pytest.raises(CtaError, match="command C1h"):
        Commands(ScriptedPort(HARDWARE), DRIVE, "drive").run(bytes.fromhex("c10000000000"))
