# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts on real databases: what is chosen, what is claimed, what stands in the way."""

from __future__ import annotations

import pytest
from dbsite import ANYTHING, AUTHOR, BACKEND, Site, drive_identity

from cta_taped.common.errors import CtaError
from cta_taped.common.model import DriveStatus, MountType, TapeState
from cta_taped.db.catalogue import DriveOption, ObjectKind
from cta_taped.db.scheduler import MountCriteria


def test_nothing_queued_is_no_mount(site: Site) -> None:
    assert site.scheduler.mounts.next(site.register(), ANYTHING) is None


def test_a_mount_is_claimed_in_the_catalogue(site: Site) -> None:
    drive = site.register()
    site.archive(2)
    mount = site.mount(drive)
    assert (mount.mount_type, mount.tape_pool, mount.vo) == (MountType.ARCHIVE_FOR_USER, "pool1", "vo1")
    assert (mount.last_fseq, mount.capacity_bytes, mount.label_format) == (0, 18 * 10**12, 0)
    row = site.catalogue.drives.get("drive1")
    assert (row.status, row.mount_id, row.vid) == (DriveStatus.STARTING, mount.mount_id, mount.vid)
    assert (row.tape_pool, row.vo, row.mount_type) == ("pool1", "vo1", MountType.ARCHIVE_FOR_USER)


def test_the_fullest_tape_is_taken_first_and_never_by_two_drives(site: Site) -> None:
    first, second = site.register(1), site.register(2)
    (number,) = site.archived(1, drive_number=3)
    (copy,) = site.catalogue.files.copies(number)
    site.archive(1, first=50)
    assert site.mount(first).vid == copy.vid
    site.archive(1, "double")
    taken = {site.mount(second).vid}
    assert copy.vid not in taken


def test_a_drive_without_registration_claims_nothing(site: Site) -> None:
    site.archive(1)
    with pytest.raises(CtaError) as caught:
        site.scheduler.mounts.next(drive_identity(1), ANYTHING)
    assert caught.value.spec.symbol == "CATALOGUE_NOT_FOUND"


def test_unfit_tapes_are_passed_over(site: Site) -> None:
    drive = site.register()
    site.archive(1)
    site.catalogue.tapes.set_full("V00001")
    site.catalogue.tapes.set_state("V00002", TapeState.DISABLED, "worn", AUTHOR)
    site.add_tape("V00004", labelled=False)
    assert site.scheduler.mounts.next(drive, ANYTHING, excluded_vids=["V00003"]) is None
    assert site.mount(drive).vid == "V00003"


@pytest.mark.parametrize("library", ["logical", "physical"])
def test_a_disabled_library_mounts_nothing(site: Site, library: str) -> None:
    drive = site.register()
    site.archive(1)
    objects = site.catalogue.objects
    if library == "physical":
        site.add(
            ObjectKind.PHYSICAL_LIBRARY,
            name="ibm",
            manufacturer="IBM",
            model="TS",
            nb_cartridge_slots=1,
            nb_drive_slots=1,
            disabled=True,
        )
        objects.change(ObjectKind.LOGICAL_LIBRARY, {"name": "lib1"}, {"physical_library": "ibm"}, AUTHOR)
    else:
        objects.change(ObjectKind.LOGICAL_LIBRARY, {"name": "lib1"}, {"disabled": True}, AUTHOR)
    assert site.scheduler.mounts.next(drive, ANYTHING) is None
    assert site.scheduler.mounts.next(site.register(5, "unknown"), ANYTHING) is None


def test_quota_of_the_organisation(site: Site) -> None:
    drives = [site.register(number) for number in (1, 2)]
    values = {"write_max_drives": 1}
    site.catalogue.objects.change(ObjectKind.VIRTUAL_ORGANIZATION, {"vo": "vo1"}, values, AUTHOR)
    site.archive(5)
    site.mount(drives[0])
    assert site.scheduler.mounts.next(drives[1], ANYTHING) is None


def test_drives_of_another_scheduler_do_not_count_but_their_tapes_are_not_taken(site: Site) -> None:
    values = {"write_max_drives": 1}
    site.catalogue.objects.change(ObjectKind.VIRTUAL_ORGANIZATION, {"vo": "vo1"}, values, AUTHOR)
    first, second = site.register(1), site.register(2)
    site.archive(5)
    mount = site.mount(first)
    option = DriveOption("general", "SchedulerBackendName", "ignored", "x")
    site.catalogue.drives.register(first, "0.1", "another", [option])
    assert site.mount(second).vid != mount.vid
    assert site.catalogue.drives.get("drive1").scheduler_name == "another"
    assert BACKEND != "another"


def test_criteria_hold_until_the_oldest_job_is_old_enough(site: Site) -> None:
    values = {"archive_min_request_age_s": 1000}
    site.catalogue.objects.change(ObjectKind.MOUNT_POLICY, {"name": "normal"}, values, AUTHOR)
    drive = site.register()
    site.archive(3)
    assert site.scheduler.mounts.next(drive, MountCriteria(min_files=4, min_bytes=10**6)) is None
    assert site.scheduler.mounts.next(drive, MountCriteria(min_files=3, min_bytes=10**6)) is not None


def test_a_retrieve_has_its_higher_priority_and_its_tape(site: Site) -> None:
    (number,) = site.archived(1)
    (copy,) = site.catalogue.files.copies(number)
    drive, other = site.register(1), site.register(2)
    site.archive(1, first=50)
    site.retrieve(number, activity="reco")
    mount = site.mount(drive)
    assert (mount.mount_type, mount.vid, mount.activity) == (MountType.RETRIEVE, copy.vid, "reco")
    assert site.mount(other).mount_type is MountType.ARCHIVE_FOR_USER


def test_sleeping_disk_systems_rest(site: Site) -> None:
    (number,) = site.archived(1)
    site.add(
        ObjectKind.DISK_INSTANCE_SPACE,
        disk_instance="eos",
        name="space",
        free_space_query_url="constantFreeSpace:1",
        refresh_interval_s=1,
    )
    site.add(
        ObjectKind.DISK_SYSTEM,
        name="system",
        disk_instance="eos",
        disk_instance_space="space",
        file_regexp="^file:",
        targeted_free_space_bytes=1,
        sleep_time_s=100,
    )
    site.catalogue.disk_spaces.store_free_space("eos", "space", 5 * 10**15)
    (system,) = site.catalogue.disk_spaces.systems()
    assert (system.name, system.free_bytes, system.file_regexp) == ("system", 5 * 10**15, "^file:")
    with pytest.raises(CtaError):
        site.catalogue.disk_spaces.store_free_space("eos", "nowhere", 1)
    site.retrieve(number)
    drive = site.register()
    site.scheduler.mounts.sleep_disk_system("system", 1000)
    site.scheduler.mounts.sleep_disk_system("system", 0)
    assert site.scheduler.mounts.sleeping_disk_systems() == {"system"}
    assert site.scheduler.mounts.next(drive, ANYTHING) is None
    assert site.scheduler.upkeep.wake_disk_systems() == 0


def test_a_rest_ends(site: Site) -> None:
    site.scheduler.mounts.sleep_disk_system("system", 0)
    assert site.scheduler.mounts.sleeping_disk_systems() == frozenset()
    assert site.scheduler.upkeep.wake_disk_systems() == 1
