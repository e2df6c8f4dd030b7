# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines as an operator's journal and a site's collector get them, and the rules of strict mode."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from cta_taped.common import events, log
from cta_taped.common.errors import SYSTEM_INTERNAL, TAPE_CHECKSUM, TAPE_FULL, CtaError
from cta_taped.common.events import Level
from cta_taped.common.log import LogLineError, get_logger, log_error, log_event
from cta_taped.common.model import MountType

LOGGER = get_logger()


class Entries(list[dict[str, str]]):
    """A journal writer that keeps the entries: no journal is needed to see what would be written."""

    closed = False

    def write(self, fields: Mapping[str, str]) -> None:
        self.append(dict(fields))

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    log.close()
    log.bind(drive=None, vid=None, mount_id=None)


@pytest.fixture
def entries() -> Entries:
    entries = Entries()
    log.configure("cta-taped", Level.DEBUG, "journal", journal=lambda: entries, strict=True)
    return entries


def test_an_event_in_the_journal(entries: Entries) -> None:
    log.bind(drive="D1", vid="V00001", mount_id=42)
    log_event(LOGGER, events.FLUSH_DONE, files=3, size_bytes=786432, duration_s=0.25, nothing=None)
    [entry] = entries
    assert entry.pop("CODE_LINE").isdecimal()
    assert entry.pop("TID") == str(threading.get_native_id())
    assert entry == {
        "MESSAGE": "Everything written is synchronised to the medium files=3 size_bytes=786432",
        "MESSAGE_ID": events.FLUSH_DONE.message_id,
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "cta-taped",
        "CODE_FILE": __file__,
        "CODE_FUNC": "test_an_event_in_the_journal",
        "CTA_EVENT": "flush_done",
        "CTA_DRIVE": "D1",
        "CTA_VID": "V00001",
        "CTA_MOUNT_ID": "42",
        "CTA_FILES": "3",
        "CTA_SIZE_BYTES": "786432",
        "CTA_DURATION_S": "0.25",
    }


def test_a_failure_in_the_journal(entries: Entries) -> None:
    error = CtaError(TAPE_CHECKSUM, "V00001 file 3: adler32 differs", fseq=3, sense=b"\x70\x03", code=5)
    log_error(LOGGER, error, events.FILE_FAILED, archive_file_id=7)
    [entry] = entries
    assert entry["MESSAGE"] == "CTA-TAPE-010 V00001 file 3: adler32 differs archive_file_id=7"
    assert entry["MESSAGE_ID"] == TAPE_CHECKSUM.message_id
    assert entry["PRIORITY"] == "2"
    assert entry["CTA_EVENT"] == "file_failed"
    assert entry["CTA_ERROR_CODE"] == "CTA-TAPE-010"
    assert entry["CTA_FSEQ"] == "3"
    assert entry["CTA_SENSE"] == "7003"
    assert entry["CTA_EVIDENCE_CODE"] == "5"
    assert entry["CODE_FUNC"] == "test_a_failure_in_the_journal"


def test_a_notice_is_no_error(entries: Entries) -> None:
    log_error(LOGGER, CtaError(TAPE_FULL, "V00001 is full"))
    assert entries[0]["PRIORITY"] == "5"


def test_a_defect_carries_cause_and_traceback(entries: Entries) -> None:
    try:
        try:
            raise KeyError("lost")
        except KeyError as cause:
            raise CtaError(SYSTEM_INTERNAL, "the session met a defect") from cause
    except CtaError as error:
        log_error(LOGGER, error)
    message = entries[0]["MESSAGE"]
    assert message.startswith("CTA-SYSTEM-005 the session met a defect\n")
    assert 'raise KeyError("lost")' in message
    assert entries[0]["CTA_CAUSE"] == "KeyError: 'lost'"


def test_threads_share_what_is_bound_and_tasks_do_not(entries: Entries) -> None:
    log.bind(vid="V00001")
    with log.bound(archive_file_id=7):
        thread = threading.Thread(target=log_event, args=(LOGGER, events.DRIVE_EMPTY))
        thread.start()
        thread.join()
        log_event(LOGGER, events.DRIVE_EMPTY)
    log.bind(vid=None)
    log_event(LOGGER, events.DRIVE_EMPTY)
    seen = [(entry.get("CTA_VID"), entry.get("CTA_ARCHIVE_FILE_ID")) for entry in entries]
    assert seen == [("V00001", None), ("V00001", "7"), (None, None)]


@pytest.mark.parametrize(
    ("level", "written"),
    [("DEBUG", 4), ("INFO", 3), ("NOTICE", 2), ("WARNING", 1), ("ERROR", 0)],
)
def test_levels(level: str, written: int) -> None:
    entries = Entries()
    log.configure("cta-taped", level, "journal", journal=lambda: entries, strict=True)
    log_event(LOGGER, events.NO_MOUNT)
    log_event(LOGGER, events.READY)
    log_event(LOGGER, events.DRIVE_UP)
    log_event(LOGGER, events.CLEANING_REQUESTED)
    assert len(entries) == written


def test_a_new_configuration_closes_the_old_destination(entries: Entries) -> None:
    later = Entries()
    log.configure("cta-taped", Level.WARNING, "journal", journal=lambda: later)
    assert entries.closed
    log_event(LOGGER, events.READY)
    log_event(LOGGER, events.CLEANING_REQUESTED)
    assert (len(entries), len(later)) == (0, 1)


def test_after_close_lines_go_nowhere(entries: Entries) -> None:
    log.close()
    log_event(LOGGER, events.READY)
    assert entries == []


def test_strict_refuses_an_error_without_code(entries: Entries) -> None:
    with pytest.raises(LogLineError, match="code="):
        LOGGER.error(events.FAILURE)
    with pytest.raises(LogLineError, match="code="):
        LOGGER.critical(events.FAILURE, code="CTA-TAPE-999")
    LOGGER.error(events.FAILURE, code="CTA-TAPE-010")
    assert len(entries) == 1


def test_strict_refuses_prose_and_missing_fields(entries: Entries) -> None:
    with pytest.raises(LogLineError, match="not in the event table"):
        LOGGER.info("the flush is done")
    with pytest.raises(LogLineError, match=r"lacks \['size_bytes'\]"):
        log_event(LOGGER, events.FLUSH_DONE, files=3)
    LOGGER.debug("cdb sent", opcode=8)
    assert entries[0]["MESSAGE"] == "cdb sent opcode=8"


def test_production_writes_what_strict_refuses() -> None:
    entries = Entries()
    log.configure("cta-taped", "INFO", "journal", journal=lambda: entries, strict=False)
    LOGGER.error("something broke")
    LOGGER.info("prose")
    log_event(LOGGER, events.FLUSH_DONE)
    assert entries[0]["CTA_ERROR_CODE"] == "CTA-SYSTEM-005"
    assert entries[1]["MESSAGE"] == "prose"
    assert entries[2]["CTA_EVENT"] == "flush_done"


def test_the_environment_makes_it_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(log.STRICT_VARIABLE, "1")
    log.configure("cta-taped", "INFO", "json")
    with pytest.raises(LogLineError):
        LOGGER.error(events.FAILURE)


def test_json_lines_have_upstreams_required_names(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("cta-taped", "INFO", "auto", strict=True)  # stderr is neither a journal nor a terminal
    log.bind(drive="D1")
    log_event(LOGGER, events.DRIVE_DOWN, reason="cleaning", raw=b"\x01")
    log_error(LOGGER, CtaError(TAPE_CHECKSUM, "bad", fseq=3))
    down, failure = map(json.loads, capsys.readouterr().err.splitlines())
    assert down["log_schema_version"] == "0.2.0"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", down["local_time"])
    assert isinstance(down["epoch_time"], float)
    assert re.fullmatch(r"test_log\.py:\d+", down["source_location"])
    assert (down["pid"], down["tid"]) == (os.getpid(), threading.get_native_id())
    assert down["hostname"]
    assert down["cta_version"]
    assert down["program"] == "cta-taped"
    assert down["event_name"] == "putting_tape_drive_down"
    assert (down["drive_name"], down["reason"], down["raw"]) == ("D1", "cleaning", "01")
    assert down["log_level"] == "NOTICE"
    assert down["message"] == "The drive is down"
    assert failure["log_level"] == "CRIT"
    assert (failure["error_code"], failure["error_message"]) == ("CTA-TAPE-010", "bad")
    assert "event_name" not in failure


def test_the_session_line(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("cta-taped", "INFO", "json", strict=True)
    session = events.SessionFinished("D1", "L1", MountType.RETRIEVE, success=True, mount_attempted=True)
    log_event(LOGGER, events.SESSION_FINISHED, **events.session_finished_fields(session))
    line = json.loads(capsys.readouterr().err)
    assert line["message"] == "Tape session finished"
    assert line["event_name"] == "tape_session_finished"
    assert (line["tapeDrive"], line["mountType"], line["mountAttempted"]) == ("D1", "Retrieve", "1")


def test_console_lines(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("cta-taped", "INFO", "console", strict=True)
    log_event(LOGGER, events.CARTRIDGE_LOADED, vid="V00001")
    err = capsys.readouterr().err
    assert re.fullmatch(r"\d\d:\d\d:\d\d INFO     The cartridge is loaded and ready vid=V00001\n", err)


def test_a_closed_stderr_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    with open(write_fd, "w") as broken:
        monkeypatch.setattr(sys, "stderr", broken)
        log.configure("cta-taped", "INFO", "json", strict=True)
        log_event(LOGGER, events.READY)
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), broken.fileno())


def test_journal_stream_chooses_the_journal(tmp_path: Path) -> None:
    """A process whose stderr is the stream that JOURNAL_STREAM names; the same with another stream."""
    script = (
        "from cta_taped.common import log, events\n"
        "class W:\n"
        "    def write(self, fields): print(fields['CTA_EVENT'])\n"
        "    def close(self): print('closed')\n"
        "log.configure('cta-taped', journal=W)\n"
        "log.log_event(log.get_logger(), events.READY)\n"
    )
    with (tmp_path / "stream").open("w") as stream:
        status = os.fstat(stream.fileno())
        outputs = [
            subprocess.run(
                [sys.executable, "-c", script],
                env={**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{inode}"},
                stdout=subprocess.PIPE,
                stderr=stream,
                check=True,
                text=True,
            ).stdout
            for inode in (status.st_ino, status.st_ino + 1)
        ]
    assert outputs == ["ready\nclosed\n", ""]
    assert '"event": "ready"' in (tmp_path / "stream").read_text()


def test_the_transfer_process_never_loads_libsystemd() -> None:
    script = (
        "import sys\n"
        "from cta_taped.common import journal, log\n"
        "log.configure('cta-taped', destination='journal', journal=journal.BackgroundJournal)\n"
        "assert 'systemd' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
