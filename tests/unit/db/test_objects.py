# SPDX-License-Identifier: GPL-3.0-or-later
"""Administrative objects: every kind is created, changed, listed and removed; mistakes get a sentence."""

from __future__ import annotations

import pytest
from dbsite import AUTHOR, Site

from cta_taped.common.errors import CtaError
from cta_taped.db.catalogue import Author, ObjectKind, ObjectValue

# Kind -> (values to add, changes to make). Order: what is referred to comes first.
EXAMPLES: dict[ObjectKind, tuple[dict[str, ObjectValue], dict[str, ObjectValue]]] = {
    ObjectKind.ADMIN: ({"username": "ann", "comment": "c"}, {"comment": "d"}),
    ObjectKind.DISK_INSTANCE: ({"name": "eos2", "comment": "c"}, {"comment": "d"}),
    ObjectKind.DISK_INSTANCE_SPACE: (
        {
            "disk_instance": "eos2",
            "name": "space",
            "free_space_query_url": "constantFreeSpace:5",
            "refresh_interval_s": 60,
            "comment": "c",
        },
        {"refresh_interval_s": 90},
    ),
    ObjectKind.DISK_SYSTEM: (
        {
            "name": "system",
            "disk_instance": "eos2",
            "disk_instance_space": "space",
            "file_regexp": "^root://",
            "targeted_free_space_bytes": 10**12,
            "sleep_time_s": 900,
            "comment": "c",
        },
        {"sleep_time_s": 60, "file_regexp": "^file:"},
    ),
    ObjectKind.VIRTUAL_ORGANIZATION: (
        {
            "vo": "vo2",
            "disk_instance": "eos2",
            "read_max_drives": 1,
            "write_max_drives": 2,
            "max_file_size_bytes": 10**15,
            "is_repack_vo": True,
            "comment": "c",
        },
        {"read_max_drives": 5, "is_repack_vo": False},
    ),
    ObjectKind.STORAGE_CLASS: ({"name": "sc2", "copies": 1, "vo": "vo2", "comment": "c"}, {"copies": 2}),
    ObjectKind.MEDIA_TYPE: (
        {"name": "LTO8", "cartridge": "LTO-8", "capacity_bytes": 12 * 10**12, "comment": "c"},
        {"nb_wraps": 208, "min_lpos": 2656, "max_lpos": 171097, "primary_density_code": 94},
    ),
    ObjectKind.PHYSICAL_LIBRARY: (
        {
            "name": "ibm1",
            "manufacturer": "IBM",
            "model": "TS4500",
            "nb_cartridge_slots": 1000,
            "nb_drive_slots": 20,
        },
        {"disabled": True, "disabled_reason": "service", "gui_url": "https://library.example"},
    ),
    ObjectKind.LOGICAL_LIBRARY: (
        {"name": "lib2", "physical_library": "ibm1", "comment": "c"},
        {"disabled": True, "disabled_reason": "moved", "physical_library": None},
    ),
    ObjectKind.TAPE_POOL: (
        {"name": "pool9", "vo": "vo2", "partial_tapes": 2, "encryption_key_name": "k", "comment": "c"},
        {"encryption_key_name": None, "partial_tapes": 3},
    ),
    ObjectKind.ARCHIVE_ROUTE: (
        {"storage_class": "sc2", "copy_nb": 1, "type": "REPACK", "tape_pool": "pool9", "comment": "c"},
        {"tape_pool": "pool1"},
    ),
    ObjectKind.TAPE: (
        {
            "vid": "X00001",
            "media_type": "LTO8",
            "vendor": "Fuji",
            "logical_library": "lib2",
            "tape_pool": "pool9",
        },
        {"tape_pool": "pool1", "full": True, "comment": "now full"},
    ),
    ObjectKind.MOUNT_POLICY: (
        {
            "name": "fast",
            "archive_priority": 9,
            "archive_min_request_age_s": 0,
            "retrieve_priority": 9,
            "retrieve_min_request_age_s": 0,
            "comment": "c",
        },
        {"archive_priority": 10},
    ),
    ObjectKind.REQUESTER_RULE: (
        {"disk_instance": "eos2", "name": "ann", "mount_policy": "fast", "comment": "c"},
        {"mount_policy": "normal"},
    ),
    ObjectKind.GROUP_RULE: (
        {"disk_instance": "eos2", "name": "physics", "mount_policy": "fast", "comment": "c"},
        {"comment": "d"},
    ),
    ObjectKind.ACTIVITY_RULE: (
        {
            "disk_instance": "eos2",
            "name": "ann",
            "activity_regex": "^reco",
            "mount_policy": "fast",
            "comment": "c",
        },
        {"mount_policy": "normal"},
    ),
}


def _key(site: Site, kind: ObjectKind) -> dict[str, ObjectValue]:
    values = EXAMPLES[kind][0]
    return {
        field.name: values[field.name]
        for field in site.catalogue.objects.fields(kind)
        if field.key and field.name in values
    }


def test_every_kind_has_an_example() -> None:
    assert set(EXAMPLES) == set(ObjectKind)


def test_every_kind_is_added_changed_found_and_removed(site: Site) -> None:
    objects = site.catalogue.objects
    for kind, (values, changes) in EXAMPLES.items():
        objects.add(kind, values, Author("maker", "here"))
        (made,) = objects.find(kind, _key(site, kind))
        assert values.items() <= made.items()
        assert (made["creation_user"], made["last_update_host"]) == ("maker", "here")
        objects.change(kind, _key(site, kind), changes, Author("changer", "there"))
        (changed,) = objects.find(kind, _key(site, kind))
        assert changes.items() <= changed.items()
        assert (changed["creation_user"], changed["last_update_user"]) == ("maker", "changer")
        assert {**made, **changes}.keys() == changed.keys()
    for kind in reversed(EXAMPLES):
        objects.remove(kind, _key(site, kind))
        assert objects.find(kind, _key(site, kind)) == [] or kind is ObjectKind.ARCHIVE_ROUTE


def test_what_is_referred_to_stays(site: Site) -> None:
    for kind, key in (
        (ObjectKind.DISK_INSTANCE, {"name": "eos"}),
        (ObjectKind.VIRTUAL_ORGANIZATION, {"vo": "vo1"}),
        (ObjectKind.STORAGE_CLASS, {"name": "single"}),
        (ObjectKind.TAPE_POOL, {"name": "pool1"}),
        (ObjectKind.MEDIA_TYPE, {"name": "LTO9"}),
        (ObjectKind.LOGICAL_LIBRARY, {"name": "lib1"}),
        (ObjectKind.MOUNT_POLICY, {"name": "normal"}),
    ):
        with pytest.raises(CtaError) as caught:
            site.catalogue.objects.remove(kind, key)
        assert caught.value.spec.symbol == "CATALOGUE_IN_USE"


def test_a_pool_is_encrypted_when_it_has_a_key(site: Site) -> None:
    find = site.catalogue.objects.find
    site.add(ObjectKind.TAPE_POOL, name="secret", vo="vo1", encryption_key_name="k1")
    assert find(ObjectKind.TAPE_POOL, {"name": "secret"})[0]["encrypted"] is True
    assert find(ObjectKind.TAPE_POOL, {"name": "pool1"})[0]["encrypted"] is False


TAPE = EXAMPLES[ObjectKind.TAPE][0] | {"media_type": "LTO9", "logical_library": "lib1", "tape_pool": "pool1"}


@pytest.mark.parametrize(
    ("kind", "values", "symbol"),
    [
        (ObjectKind.DISK_INSTANCE, {"name": "EOS", "comment": "c"}, "CATALOGUE_EXISTS"),
        (ObjectKind.DISK_INSTANCE, {"name": "  ", "comment": "c"}, "CATALOGUE_REFUSED"),
        (ObjectKind.DISK_INSTANCE, {"name": "x"}, "CATALOGUE_REFUSED"),
        (ObjectKind.DISK_INSTANCE, {"name": "x" * 101, "comment": "c"}, "CATALOGUE_REFUSED"),
        (ObjectKind.DISK_INSTANCE, {"name": "x", "comment": "c", "colour": "red"}, "CATALOGUE_REFUSED"),
        (ObjectKind.TAPE, TAPE | {"vid": "V00001"}, "CATALOGUE_EXISTS"),
        (ObjectKind.TAPE, TAPE | {"vid": "v00009"}, "CATALOGUE_REFUSED"),
        (ObjectKind.TAPE, TAPE | {"vid": "V000009"}, "CATALOGUE_REFUSED"),
        (ObjectKind.TAPE, TAPE | {"tape_pool": "nowhere"}, "CATALOGUE_NOT_FOUND"),
        (ObjectKind.TAPE, TAPE | {"full": "yes"}, "CATALOGUE_REFUSED"),
        (ObjectKind.TAPE, TAPE | {"data_bytes": 5}, "CATALOGUE_REFUSED"),
        (
            ObjectKind.STORAGE_CLASS,
            {"name": "x", "copies": -1, "vo": "vo1", "comment": "c"},
            "CATALOGUE_REFUSED",
        ),
        (
            ObjectKind.STORAGE_CLASS,
            {"name": "x", "copies": 0, "vo": "vo1", "comment": "c"},
            "CATALOGUE_REFUSED",
        ),
        (
            ObjectKind.STORAGE_CLASS,
            {"name": "x", "copies": True, "vo": "vo1", "comment": "c"},
            "CATALOGUE_REFUSED",
        ),
        (
            ObjectKind.STORAGE_CLASS,
            {"name": "x", "copies": 2**64, "vo": "vo1", "comment": "c"},
            "CATALOGUE_REFUSED",
        ),
        (
            ObjectKind.ACTIVITY_RULE,
            {
                "disk_instance": "eos",
                "name": "a",
                "activity_regex": "(",
                "mount_policy": "normal",
                "comment": "c",
            },
            "CATALOGUE_REFUSED",
        ),
        (
            ObjectKind.ARCHIVE_ROUTE,
            {"storage_class": "single", "copy_nb": 1, "type": "OTHER", "tape_pool": "pool2", "comment": "c"},
            "CATALOGUE_REFUSED",
        ),
        (
            ObjectKind.ARCHIVE_ROUTE,
            {"storage_class": "single", "copy_nb": 2, "tape_pool": "pool1", "comment": "c"},
            "CATALOGUE_REFUSED",
        ),
    ],
)
def test_mistakes_get_a_code(
    site: Site, kind: ObjectKind, values: dict[str, ObjectValue], symbol: str
) -> None:
    before = len(site.catalogue.objects.find(kind))
    with pytest.raises(CtaError) as caught:
        site.catalogue.objects.add(kind, values, AUTHOR)
    assert caught.value.spec.symbol == symbol
    assert len(site.catalogue.objects.find(kind)) == before


def test_changes_are_checked_too(site: Site) -> None:
    objects = site.catalogue.objects
    for key, values, symbol in (
        ({"name": "none"}, {"comment": "x"}, "CATALOGUE_NOT_FOUND"),
        ({"name": "eos"}, {}, "CATALOGUE_REFUSED"),
        ({"name": "eos"}, {"name": "eos9"}, "CATALOGUE_REFUSED"),
        ({"name": "eos"}, {"comment": None}, "CATALOGUE_REFUSED"),
        ({"colour": "red"}, {"comment": "x"}, "CATALOGUE_REFUSED"),
    ):
        with pytest.raises(CtaError) as caught:
            objects.change(ObjectKind.DISK_INSTANCE, key, values, AUTHOR)  # type: ignore[arg-type]
        assert caught.value.spec.symbol == symbol
    with pytest.raises(CtaError) as caught:
        objects.remove(ObjectKind.DISK_INSTANCE, {"name": "none"})
    assert caught.value.spec.symbol == "CATALOGUE_NOT_FOUND"
    objects.change(ObjectKind.DISK_INSTANCE, {"name": "eos"}, {"comment": " " + "c" * 2000}, AUTHOR)
    assert objects.find(ObjectKind.DISK_INSTANCE)[0]["comment"] == "c" * 1000
