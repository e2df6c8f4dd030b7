# SPDX-License-Identifier: GPL-3.0-or-later
"""The event table is consistent, and the session line is what CTA's monitoring expects."""

from __future__ import annotations

import re

import pytest

from cta_taped.common import errors, events
from cta_taped.common.events import BY_NAME, Event, SessionFinished, session_finished_fields
from cta_taped.common.model import MountType

# Upstream's names of the session line (its log schema 0.2.0, and its "Tape session finished" parameters).
UPSTREAM_SESSION_FIELDS = {
    "capacityInBytes",
    "checksumingTime",
    "dataVolume",
    "deliveryTime",
    "drainingTime",
    "driveTransferSpeedMBps",
    "drive_name",
    "encryptionControlTime",
    "filesCount",
    "flushTime",
    "headerVolume",
    "logicalLibrary",
    "mediaType",
    "mountAttempted",
    "mountId",
    "mountTime",
    "mountType",
    "payloadTransferSpeedMBps",
    "positionTime",
    "readWriteTime",
    "repackBytesCount",
    "repackFilesCount",
    "status",
    "tapeDrive",
    "tapePool",
    "tapeVid",
    "totalTime",
    "transferTime",
    "unloadTime",
    "unmountTime",
    "userBytesCount",
    "userFilesCount",
    "vendor",
    "verifiedBytesCount",
    "verifiedFilesCount",
    "vo",
    "volReqId",
    "waitDataTime",
    "waitFreeMemoryTime",
    "waitInstructionsTime",
    "waitReportingTime",
    "wasTapeMounted",
}


def test_every_constant_is_in_the_table_under_its_name() -> None:
    constants = {value for value in vars(events).values() if isinstance(value, Event)}
    assert constants == set(BY_NAME)
    assert all(BY_NAME[name] == name for name in BY_NAME)


@pytest.mark.parametrize("event", BY_NAME.values())
def test_names_and_meanings(event: Event) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", event)
    assert event.meaning[0].isupper()
    assert not event.meaning.endswith(".")
    assert len(set(event.fields)) == len(event.fields)


def test_message_ids_are_unique_across_both_tables_and_never_drift() -> None:
    identities = [event.message_id for event in BY_NAME.values()]
    identities += [spec.message_id for spec in errors.BY_CODE.values()]
    assert len(set(identities)) == len(identities)
    assert events.SESSION_FINISHED.message_id == "f750e1c00cb05c0ab26355f417fb3460"
    assert errors.TAPE_CHECKSUM.message_id == "4450caf6d19352998b34a890ec16325f"


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="duplicate event flush_done"):
        events._row("flush_done", events.Level.INFO, "", "Again")


def session(**changes: object) -> SessionFinished:
    values: dict[str, object] = {
        "tape_drive": "D1",
        "logical_library": "L1",
        "mount_type": MountType.ARCHIVE_FOR_USER,
        "success": True,
        "mount_attempted": True,
        "tape_vid": "V00001",
        "mount_id": 42,
        "files": 3,
        "data_bytes": 30_000_000,
        "header_bytes": 1440,
        "times_s": {"mountTime": 12.5, "totalTime": 20.0},
        "counters": {"Error_diskRead": 1, "Info_tapeFilledUp": 1},
    }
    return SessionFinished(**(values | changes))  # type: ignore[arg-type]


def test_session_line_has_upstreams_fields_as_strings() -> None:
    fields = session_finished_fields(session())
    assert fields.keys() == UPSTREAM_SESSION_FIELDS | {"Error_diskRead", "Info_tapeFilledUp"}
    assert all(isinstance(value, str) for value in fields.values())
    assert set(events.SESSION_FINISHED.fields) <= fields.keys()
    expected = {
        "mountType": "ArchiveForUser",
        "volReqId": "42",
        "mountAttempted": "1",
        "wasTapeMounted": "1",
        "status": "success",
        "filesCount": "3",
        "dataVolume": "30000000",
        "mountTime": "12.500000",
        "flushTime": "0.000000",
        "payloadTransferSpeedMBps": "1.500000",
        "driveTransferSpeedMBps": "1.500072",
        "Error_diskRead": "1",
    }
    assert {name: fields[name] for name in expected} == expected


def test_an_empty_or_killed_session_has_a_line_too() -> None:
    fields = session_finished_fields(
        session(success=False, mount_attempted=False, times_s={}, counters={}, kill_signal=9)
    )
    expected = {
        "status": "failure",
        "mountAttempted": "0",
        "wasTapeMounted": "0",
        "driveTransferSpeedMBps": "0.000000",
        "killSignal": "9",
        "Error_sessionKilled": "1",
    }
    assert {name: fields[name] for name in expected} == expected


@pytest.mark.parametrize("mount_type", MountType)
def test_every_mount_type_has_upstreams_spelling(mount_type: MountType) -> None:
    spelled = session_finished_fields(session(mount_type=mount_type))["mountType"]
    assert spelled.lower() == mount_type.replace("_", "").lower()


def test_a_misspelt_time_is_refused() -> None:
    with pytest.raises(ValueError, match="checksummingTime"):
        session_finished_fields(session(times_s={"checksummingTime": 1.0}))
