# SPDX-License-Identifier: GPL-3.0-or-later
"""The generated commands of administrative objects, against a real catalogue."""

from __future__ import annotations

import click
import pytest
from adminsite import Admin

from cta_taped.admin import objects
from cta_taped.admin.nouns import NOUNS
from cta_taped.admin.quantities import Size
from cta_taped.db.catalogue import ObjectKind


@pytest.mark.parametrize("kind", ObjectKind)
def test_every_field_is_spelled(kind: ObjectKind) -> None:
    """The spellings are of exactly the catalogue's fields; what can be given has an option."""
    fields = {field.name: field for field in objects.fields(kind)}
    noun = NOUNS[kind]
    assert noun.name == kind
    assert noun.fields.keys() == fields.keys()
    for name, field in fields.items():
        if field.settable or field.key:
            assert noun.fields[name].options


@pytest.mark.parametrize("kind", ObjectKind)
def test_no_two_options_of_a_noun_are_the_same(kind: ObjectKind) -> None:
    """A doubled spelling would silently win over the other."""
    options = [option for one in NOUNS[kind].fields.values() for option in one.options.split()]
    assert len(options) == len(set(options))
    names = [one.json for one in NOUNS[kind].fields.values()]
    assert len(names) == len(set(names))


def test_aliases_are_unique() -> None:
    """Upstream's short nouns."""
    aliases = [noun.alias for noun in NOUNS.values()]
    assert len(aliases) == len(set(aliases)) == len(ObjectKind)


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("di", {"name": "local"}),
        (
            "vo",
            {
                "name": "vo1",
                "readMaxDrives": 1,
                "writeMaxDrives": 1,
                "diskinstance": "local",
                "maxFileSize": 0,
            },
        ),
        ("sc", {"name": "single", "nbCopies": 1, "vo": "vo1"}),
        ("mt", {"name": "LTO9", "cartridge": "LTO-9", "capacity": 18 * 10**12, "primaryDensityCode": None}),
        ("ll", {"name": "lib", "isDisabled": False, "physicalLibrary": None}),
        ("tp", {"name": "pool", "vo": "vo1", "numTapes": 1, "capacityBytes": 18 * 10**12, "encrypt": False}),
        (
            "ar",
            {"storageClass": "single", "copyNumber": 1, "archiveRouteType": "DEFAULT", "tapepool": "pool"},
        ),
        ("mp", {"name": "policy", "archivePriority": 1, "archiveMinRequestAge": 0, "retrievePriority": 1}),
        ("rmr", {"diskInstance": "local", "requesterMountRule": "default", "mountPolicy": "policy"}),
        (
            "ta",
            {"vid": "V00001", "mediaType": "LTO9", "vo": "vo1", "capacity": 18 * 10**12, "state": "ACTIVE"},
        ),
    ],
)
def test_json_has_upstreams_names(admin: Admin, noun: str, expected: dict[str, object]) -> None:
    (row,) = admin.json(noun, "ls")
    assert {name: row[name] for name in expected} == expected
    assert row["creationLog"].keys() == {"username", "host", "time"}
    assert row["lastModificationLog"]["time"] >= row["creationLog"]["time"] > 0


def test_json_flag_stands_before_or_behind(admin: Admin) -> None:
    assert admin.ok("di", "ls", "--json").json == admin.json("di", "ls")


def test_change_and_remove(admin: Admin) -> None:
    admin.ok("mp", "add", "--name", "other", "--ap", "1", "--aa", "2", "--rp", "3", "--ra", "4", "-m", "c")
    assert (
        admin.ok("mp", "ch", "-n", "other", "--archivepriority", "9").out == "mountpolicy other: changed.\n"
    )
    (row,) = admin.json("mp", "ls", "-n", "other")
    assert (row["archivePriority"], row["retrieveMinRequestAge"]) == (9, 4)
    assert admin.ok("mp", "rm", "-n", "other").out == "mountpolicy other: removed.\n"
    assert [one["name"] for one in admin.json("mp", "ls")] == ["policy"]


def test_a_disabled_library_can_be_enabled(admin: Admin) -> None:
    admin.ok("ll", "ch", "-n", "lib", "--disabled", "true", "--dr", "moved")
    assert admin.json("ll", "ls", "--disabled", "true")[0]["disabledReason"] == "moved"
    admin.ok("ll", "ch", "-n", "lib", "--disabled", "false")
    assert admin.json("ll", "ls", "--disabled", "true") == []


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("di add -n local -m c", "CTA-CATALOGUE-008", "exists"),
        ("di add -n x", "CTA-CONFIG-004", "comment"),
        ("di rm -n local", "CTA-CATALOGUE-009", "referred"),
        ("di rm -n x", "CTA-CATALOGUE-007", "x"),
        ("di ch -n x -m c", "CTA-CATALOGUE-007", "x"),
        ("di ch -n local", "CTA-CONFIG-004", "nothing to change"),
        ("di ls -n x", "CTA-CATALOGUE-007", "diskinstance x"),
        ("sc add -n y -c 1 --vo nobody -m c", "CTA-CATALOGUE-007", "nobody"),
        ("sc add -n y -c 0 --vo vo1 -m c", "CTA-CATALOGUE-003", "copies"),
        ("sc add -n y -c -1 --vo vo1 -m c", "CTA-CONFIG-004", "-1"),
        ("mt add -n y -t t -c 18XB -m c", "CTA-CONFIG-004", "18XB"),
        ("ll ch -n lib --disabled maybe", "CTA-CONFIG-004", "maybe"),
        ("tape add -v toolong7 --mt LTO9 --ve IBM -l lib -t pool", "CTA-CATALOGUE-003", "toolong7"),
        ("di add -n \udcff -m c", "CTA-CONFIG-004", "not UTF-8"),
        ("nonsense ls", "CTA-CONFIG-004", "nonsense"),
        ("di nonsense", "CTA-CONFIG-004", "nonsense"),
    ],
)
def test_bad_input_is_one_line(admin: Admin, line: str, code: str, text: str) -> None:
    outcome = admin(*line.split())
    assert outcome.status in (64, 74)
    assert outcome.out == ""
    assert outcome.err.startswith(f"cta-admin: {code} ")
    assert text in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("4096", 4096),
        ("18TB", 18 * 10**12),
        ("1.5 GB", 1_500_000_000),
        ("4GiB", 4 << 30),
        ("1k", 1000),
        ("0", 0),
    ],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert Size().convert(text, None, None) == size_bytes


@pytest.mark.parametrize("text", ["", "TB", "-1", "1.5", "1e9", "18 XB", "1.0001kB"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Size().convert(text, None, None)
