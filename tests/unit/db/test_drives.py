# SPDX-License-Identifier: GPL-3.0-or-later
"""Drive rows: registration, statuses, wishes; a claim is never erased by a report that does not know it."""

from __future__ import annotations

import pytest
from dbsite import AUTHOR, BACKEND, Site, drive_identity

from cta_taped.common.errors import CtaError
from cta_taped.common.model import DesiredState, DriveReport, DriveStatus, MountType
from cta_taped.db.catalogue import DriveOption, DriveRow
from cta_taped.db.sql import phases

SESSION = (
    DriveStatus.STARTING,
    DriveStatus.MOUNTING,
    DriveStatus.TRANSFERING,
    DriveStatus.CLEANINGUP,
    DriveStatus.UNLOADING,
    DriveStatus.UNMOUNTING,
    DriveStatus.DRAININGTODISK,
)


def report(
    sequence: int,
    status: DriveStatus,
    mount_id: int | None = None,
    last: int | None = None,
    reason: str | None = None,
    files: int = 0,
) -> DriveReport:
    in_session = status in SESSION
    return DriveReport(
        sequence=sequence,
        time=1000.0 + sequence,
        status=status,
        mount_id=mount_id,
        mount_type=MountType.ARCHIVE_FOR_USER if in_session else MountType.NO_MOUNT,
        vid="V00001" if in_session else None,
        tape_pool="pool1" if in_session else None,
        vo="vo1" if in_session else None,
        files_transferred=files,
        bytes_transferred=files * 100,
        reason=reason,
        last_mount_id=last,
    )


def publish(site: Site, *reports: DriveReport) -> DriveRow:
    site.catalogue.drives.publish(drive_identity(1), reports)
    return site.catalogue.drives.get("drive1")


def test_registration_stores_identity_and_options(site: Site) -> None:
    options = [DriveOption("taped", "UseRAO", "", ""), DriveOption("taped", "RmcHost", "localhost", "f:1")]
    found = site.catalogue.drives.register(drive_identity(1), "0.1", BACKEND, options)
    assert (found.desired.up, found.mount_id, found.vid) == (False, None, None)
    row = site.catalogue.drives.get("drive1")
    assert (row.status, row.device, row.library_slot, row.version) == (
        DriveStatus.DOWN,
        "/dev/nst1",
        "smc1",
        "0.1",
    )
    assert row.scheduler_name == BACKEND
    assert DriveOption("taped", "UseRAO", "NULL", "NULL") in row.options
    assert len(row.options) == 3
    site.catalogue.drives.register(drive_identity(1), "0.2", BACKEND, options[:1])
    assert len(site.catalogue.drives.get("drive1").options) == 2


def test_a_wish_and_a_comment_outlast_registration(site: Site) -> None:
    site.register()
    site.catalogue.drives.set_desired_state("drive1", DesiredState(up=True, reason="all fine"))
    site.catalogue.drives.set_comment("drive1", " in rack 7 ", AUTHOR)
    found = site.catalogue.drives.register(drive_identity(1), "0.1", BACKEND, [])
    assert found.desired == DesiredState(up=True, reason="all fine")
    assert site.catalogue.drives.get("drive1").comment == "in rack 7"
    site.catalogue.drives.register(
        drive_identity(1), "0.1", BACKEND, [], DesiredState(up=False, reason="start")
    )
    assert site.catalogue.drives.desired_state("drive1") == DesiredState(up=False, reason="start")


@pytest.mark.parametrize("other", [("host2", "lib1"), ("host1", "lib2")])
def test_another_hosts_drive_is_refused(site: Site, other: tuple[str, str]) -> None:
    site.register()
    thief = drive_identity(1).__class__("drive1", other[0], other[1], "/dev/nst0", "smc0")
    with pytest.raises(CtaError) as caught:
        site.catalogue.drives.register(thief, "0.1", BACKEND, [])
    assert caught.value.spec.symbol == "CATALOGUE_DRIVE_TAKEN"
    assert "host1" in str(caught.value)


def test_unknown_drives_are_called_so(site: Site) -> None:
    drives = site.catalogue.drives
    for question in (
        lambda: drives.desired_state("drive9"),
        lambda: drives.set_desired_state("drive9", DesiredState(True)),
        lambda: drives.get("drive9"),
        lambda: drives.remove("drive9"),
        lambda: drives.publish(drive_identity(9), [report(1, DriveStatus.UP)]),
        lambda: drives.reserve_disk_space("drive9", 1, "system", 5),
    ):
        with pytest.raises(CtaError) as caught:
            question()
        assert caught.value.spec.symbol == "CATALOGUE_NOT_FOUND"


def test_a_session_goes_through_its_statuses(site: Site) -> None:
    site.register()
    site.catalogue.drives.set_desired_state("drive1", DesiredState(True))
    for sequence, status in enumerate(SESSION, 1):
        row = publish(site, report(sequence, status, mount_id=7, last=7, files=3))
        assert row.status is status
        assert row.status_since == 1000 + sequence
        assert row.vid == "V00001"
        assert row.mount_id == (None if status is DriveStatus.CLEANINGUP else 7)
    row = publish(site, report(20, DriveStatus.UP, last=7))
    assert (row.status, row.vid, row.mount_id, row.tape_pool) == (DriveStatus.UP, None, None, None)
    assert row.mount_type is MountType.NO_MOUNT


def test_transfer_reports_carry_statistics(site: Site) -> None:
    site.register()
    publish(site, report(1, DriveStatus.STARTING, 7), report(2, DriveStatus.TRANSFERING, 7, files=1))
    row = publish(site, report(9, DriveStatus.TRANSFERING, 7, files=5))
    assert (row.files_transferred, row.bytes_transferred, row.session_elapsed_s) == (5, 500, 8)
    assert row.status_since == 1002


def test_up_becomes_down_when_the_drive_is_wished_down(site: Site) -> None:
    site.register()
    assert publish(site, report(1, DriveStatus.UP)).status is DriveStatus.DOWN
    site.catalogue.drives.set_desired_state("drive1", DesiredState(True))
    assert publish(site, report(2, DriveStatus.UP)).status is DriveStatus.UP


def test_down_puts_the_wish_down_with_its_reason(site: Site) -> None:
    site.register()
    site.catalogue.drives.set_desired_state("drive1", DesiredState(True))
    publish(site, report(1, DriveStatus.UP))
    publish(site, report(2, DriveStatus.DOWN, reason="[cta-taped] ERROR broken"))
    assert site.catalogue.drives.desired_state("drive1") == DesiredState(
        up=False, reason="[cta-taped] ERROR broken"
    )


def test_a_late_report_never_erases_a_claim(site: Site) -> None:
    drive = site.register()
    site.catalogue.drives.set_desired_state("drive1", DesiredState(True))
    site.archive(1)
    mount = site.mount(drive)
    late = [report(1, DriveStatus.PROBING), report(2, DriveStatus.UP), report(3, DriveStatus.DOWN)]
    assert site.catalogue.drives.publish(drive, late) == 0
    old = report(4, DriveStatus.TRANSFERING, mount_id=mount.mount_id + 1000)
    assert site.catalogue.drives.publish(drive, [old]) == 0
    row = site.catalogue.drives.get("drive1")
    assert (row.status, row.mount_id, row.vid) == (DriveStatus.STARTING, mount.mount_id, mount.vid)
    assert site.catalogue.drives.desired_state("drive1").up
    assert site.catalogue.drives.publish(drive, [report(5, DriveStatus.UP, last=mount.mount_id)]) == 1
    assert site.catalogue.drives.get("drive1").mount_id is None


def test_a_claim_outlasts_registration_until_a_report_ends_it(site: Site) -> None:
    drive = site.register()
    site.archive(1)
    mount = site.mount(drive)
    found = site.catalogue.drives.register(drive, "0.2", BACKEND, [])
    assert (found.mount_id, found.vid) == (mount.mount_id, mount.vid)
    other = site.register(2)
    site.archive(1, first=100)
    assert site.mount(other).vid != mount.vid
    assert publish(site, report(1, DriveStatus.UP, last=mount.mount_id)).vid is None


def test_reports_are_applied_in_their_order(site: Site) -> None:
    drive = site.register()
    reports = [report(number, status, 7, 7) for number, status in enumerate(SESSION, 1)]
    assert site.catalogue.drives.publish(drive, list(reversed(reports))) == len(reports)
    assert site.catalogue.drives.get("drive1").status is DriveStatus.DRAININGTODISK


def test_every_status_is_in_the_table() -> None:
    for status in DriveStatus:
        if status is DriveStatus.UNKNOWN:
            continue
        values = phases.entering(report(1, status, 7))
        assert values[phases.SINCE[status]] == 1001
        cleared = [
            column
            for column in phases._CLEARED
            if column != phases.SINCE[status] and values[column] is not None
        ]
        assert cleared == []


def test_removal_needs_a_drive_that_is_down(site: Site) -> None:
    site.register()
    publish(site, report(1, DriveStatus.STARTING, 7))
    with pytest.raises(CtaError) as caught:
        site.catalogue.drives.remove("drive1")
    assert caught.value.spec.symbol == "CATALOGUE_IN_USE"
    site.catalogue.drives.remove("drive1", force=True)
    assert site.catalogue.drives.all() == []


def test_disk_space_reservations_add_up_and_end_with_up(site: Site) -> None:
    drives = site.catalogue.drives
    for number in (1, 2):
        site.register(number)
    drives.reserve_disk_space("drive1", 7, "system", 100)
    drives.reserve_disk_space("drive1", 7, "system", 50)
    drives.reserve_disk_space("drive2", 8, "system", 25)
    assert drives.reserved_disk_space() == {"system": 175}
    drives.release_disk_space("drive1", 7, "system", 120)
    drives.release_disk_space("drive1", 99, "system", 10)
    assert drives.reserved_disk_space() == {"system": 55}
    drives.release_disk_space("drive1", 7, "system", 10**6)
    assert drives.reserved_disk_space() == {"system": 25}
    drives.reserve_disk_space("drive1", 9, "system", 3)
    assert drives.reserved_disk_space() == {"system": 28}
    publish(site, report(1, DriveStatus.UP))
    assert drives.reserved_disk_space() == {"system": 25}
