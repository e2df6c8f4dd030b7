# SPDX-License-Identifier: GPL-3.0-or-later
"""Identity, settings, keys, alerts and statistics of a drive, against replies written by hand."""

from __future__ import annotations

import errno

import pytest
from scripted import SERIAL, ScriptedPort, check, failure, inquiry, reply

from cta_taped.common import errors
from cta_taped.common.errors import CtaError
from cta_taped.common.scsi.data import DriveFamily
from cta_taped.tape.alerts import ALERTS, AlertSeverity, blocking_for_write
from cta_taped.tape.drive import TapeDrive
from cta_taped.tape.statistics import Transferred

ILLEGAL = check(5, 0x24, 0x00)
PROTOCOLS = "00 00 00 00 00 00 00 02 00 20"


def test_identity_is_asked_once(port: ScriptedPort, drive: TapeDrive) -> None:
    found = drive.identity()
    assert (found.vendor, found.product, found.revision) == ("IBM", "ULT3580-TD9", "R3G3")
    assert (found.serial, found.protection, found.family) == ("0123456789", True, DriveFamily.LTO)
    assert drive.identity() is found
    assert [cdb for cdb, _ in port.commands(0x12)] == ["120000006000", "12018000ff00"]


def test_compression(port: ScriptedPort, drive: TapeDrive) -> None:
    off, on = ("1b 98 10 08 60000000 00000000 8f 0e 40" + one + "00" * 12 for one in ("00", "00"))
    on = on.replace("8f 0e 40", "8f 0e c0")
    port.answers[0x1A] = [reply(off)]
    assert not drive.compression()
    port.answers[0x1A] = [reply(off), reply(on)]
    drive.set_compression(True)
    (select,) = port.commands(0x15)
    assert select == ("151000001c00", "000010086000000000000000" + "0f0ec0" + "00" * 13)
    drive.set_compression(True)
    assert len(port.commands(0x15)) == 1


def test_wide_settings(port: ScriptedPort, drive: TapeDrive) -> None:
    head = "2b 98 10 08 60000000 00000000 50 01 001c "
    port.answers[0x1A] = [reply(head + "10 00 01f4" + "00" * 24)]
    assert drive.modes.read("write_mode") == 1
    assert drive.modes.read("programmable_early_warning_mb") == 500
    port.answers[0x1A] += [reply(head + "10 00 1388" + "00" * 24)]
    drive.modes.change(programmable_early_warning_mb=5000)
    assert port.commands(0x15)[0][1].endswith("5001001c" + "10001388" + "00" * 24)


def test_mode_page_too_short_for_the_setting(port: ScriptedPort, drive: TapeDrive) -> None:
    port.answers[0x1A] = [reply("07 98 10 00 10 02 00 00")]
    with pytest.raises(CtaError, match=r"malformed reply to MODE SENSE\(6\): mode page 10h"):
        drive.modes.read("compression_algorithm")


def test_encryption(port: ScriptedPort, drive: TapeDrive) -> None:
    port.answers[0xA2] = [reply(PROTOCOLS)]
    assert drive.encryption_supported()
    drive.set_encryption_key(b"k" * 32)
    drive.clear_encryption()
    head, off = (
        "00100030200002030100000000000000000000" + "20",
        "00100030200000000100000000000000000000" + "20",
    )
    cdb = "b52000100000000000340000"
    assert port.commands(0xB5) == [(cdb, head + "6b" * 32), (cdb, off + "00" * 32)]


@pytest.mark.parametrize("answer", [reply("00 00 00 00 00 00 00 01 00"), ILLEGAL])
def test_no_encryption(port: ScriptedPort, drive: TapeDrive, answer: object) -> None:
    port.answers[0xA2] = [answer]  # type: ignore[list-item]
    assert not drive.encryption_supported()
    drive.clear_encryption()
    with pytest.raises(CtaError) as caught:
        drive.set_encryption_key(b"secret key")
    assert caught.value.spec is errors.DRIVE_NO_ENCRYPTION
    assert port.commands(0xB5) == []


@pytest.mark.parametrize("key", [b"", b"k" * 33])
def test_impossible_keys(port: ScriptedPort, drive: TapeDrive, key: bytes) -> None:
    port.answers[0xA2] = [reply(PROTOCOLS)]
    with pytest.raises(CtaError) as caught:
        drive.set_encryption_key(key)
    assert caught.value.spec is errors.CONFIG_INVALID


def test_a_key_never_reaches_an_error(port: ScriptedPort, drive: TapeDrive) -> None:
    port.answers[0xA2] = [reply(PROTOCOLS)]
    port.answers[0xB5] = [check(5, 0x26, 0x00)]
    with pytest.raises(CtaError) as caught:
        drive.set_encryption_key(b"topsecret")
    assert "topsecret" not in f"{caught.value}{caught.value.evidence}"
    assert b"topsecret".hex() not in str(caught.value.evidence)


def test_tape_alerts_are_kept_until_unload(port: ScriptedPort, drive: TapeDrive) -> None:
    port.answers[0x4D] = [
        reply("2e 00 000a 0004 60 01 01 0032 60 01 01"),
        reply("2e 00 0005 0014 60 01 01"),
        reply("2e 00 0000"),
    ]
    assert [flag.number for flag in drive.tape_alerts()] == [4, 50]
    assert [flag.name for flag in drive.tape_alerts()] == ["medium", "clean now", "lost statistics"]
    drive.unload()
    assert drive.tape_alerts() == []


def test_alert_table() -> None:
    assert sorted(ALERTS) == list(range(1, 65))
    blocking = {flag.number for flag in blocking_for_write(ALERTS.values())}
    critical = {
        flag.number
        for flag in ALERTS.values()
        if flag.severity is AlertSeverity.CRITICAL and not flag.name.startswith("obsolete")
    }
    assert blocking == critical | {7, 8, 9, 17}
    assert not blocking & {50, 21, 26, 3}


def log_pages(port: ScriptedPort, pages: dict[tuple[int, int], str]) -> None:
    """Answer LOG SENSE by page and subpage; a page that is not there is an invalid field."""
    execute = port.execute

    def answer(cdb: bytes, data_out: bytes = b"", data_in_length: int = 0, timeout_s: float = 60.0) -> object:
        if cdb[0] != 0x4D:
            return execute(cdb, data_out, data_in_length, timeout_s)
        page = pages.get((cdb[2] & 0x3F, cdb[3]))
        return ILLEGAL if page is None else reply(page)

    port.execute = answer  # type: ignore[method-assign, assignment]


def test_lto_statistics(port: ScriptedPort, drive: TapeDrive) -> None:
    log_pages(
        port,
        {
            (0x06, 0): "06 00 0006 0000 03 02 0003",
            (0x17, 0): "17 00 0014 0001 03 02 0011 0046 01 08 " + b"20260314".hex(),
            (0x33, 0): "33 00 000a 0006 03 01 05 0008 03 01 09",
            (0x34, 0): "34 00 0005 0006 03 01 02",
            (0x37, 0x40): "77 40 000f 0000 03 01 01 0001 03 01 fe 0011 03 01 00",
            (0x37, 0x51): "77 51 0006 03d0 03 02 8000",
            (0x2E, 0): "99 99",
        },
    )
    assert drive.statistics() == {
        "mountTotalNonMediumErrorCounts": 3,
        "lifetimeVolumeMounts": 17,
        "volumeManufacturingDate": "20260314",
        "mountServoTemps": 7,
        "mountTotalWriteRetries": 9,
        "mountDriveEfficiencyPrct": 100.0,
        "mountMediumEfficiencyPrct": 0.4,
        "mountReadEfficiencyPrct": 50.0,
    }


def test_3592_statistics(port: ScriptedPort, drive: TapeDrive) -> None:
    port.answers[0x12] = [inquiry(product=b"0359260F"), SERIAL]
    log_pages(
        port,
        {
            (0x02, 0): "02 00 000f 0003 03 01 04 0005 03 02 0400 0006 03 00",
            (0x32, 0): "32 00 0005 0002 03 01 08",
            (0x38, 0): "38 00 0018 0001 03 02 0002 0005 03 02 0001 0007 03 02 0004 0003 03 02 0008",
        },
    )
    assert drive.statistics() == {
        "mountTotalCorrectedWriteErrors": 4,
        "mountTotalWriteBytesProcessed": 1048576,
        "mountWriteTransients": 8,
    }
    assert drive.transferred() == Transferred(2048, 1024, 4096, 8192)


def test_lto_compression_counters(port: ScriptedPort, drive: TapeDrive) -> None:
    one = "0006 03 04 00000003 0007 03 04 fffffff6 0008 03 04 00000001 0009 03 04 00000005"
    log_pages(port, {(0x32, 0): "32 00 0020" + one})
    assert drive.transferred() == Transferred(2_999_990, 1_000_005, 0, 0)


def test_statistics_never_fail(port: ScriptedPort, drive: TapeDrive) -> None:
    port.answers[0x4D] = [reply("99 99")]
    assert drive.statistics() == {}
    port.answers[0x4D] = [failure(errno.ENODEV)]
    sent = len(port.commands(0x4D))
    assert drive.statistics() == {}
    assert len(port.commands(0x4D)) == sent + 1


def test_statistics_of_an_unknown_family(port: ScriptedPort, drive: TapeDrive) -> None:
    port.answers[0x12] = [inquiry(product=b"Something"), SERIAL]
    assert drive.statistics() == {}
    assert drive.transferred() is None


def test_statistics_of_a_drive_that_is_gone(port: ScriptedPort, drive: TapeDrive) -> None:
    port.answers[0x12] = [failure(errno.ENODEV)]
    assert drive.statistics() == {}
