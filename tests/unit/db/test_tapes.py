# SPDX-License-Identifier: GPL-3.0-or-later
"""Single tapes: facts, counters, state, label, key, reclaim."""

from __future__ import annotations

import pytest
from dbsite import AUTHOR, Site

from cta_taped.common.errors import CtaError
from cta_taped.common.model import MountType, TapeState
from cta_taped.db.catalogue import ObjectKind


def _tape(site: Site, vid: str = "V00001") -> dict[str, object]:
    return dict(site.catalogue.objects.find(ObjectKind.TAPE, {"vid": vid})[0])


def test_facts(site: Site) -> None:
    facts = site.catalogue.tapes.facts("V00001")
    assert (facts.tape_pool, facts.vo, facts.logical_library, facts.media_type) == (
        "pool1",
        "vo1",
        "lib1",
        "LTO9",
    )
    assert facts.capacity_bytes == 18_000_000_000_000
    assert (facts.label_format, facts.last_fseq, facts.is_full, facts.state) == (
        0,
        0,
        False,
        TapeState.ACTIVE,
    )


def test_mounts_are_counted_by_direction(site: Site) -> None:
    tapes = site.catalogue.tapes
    tapes.mounted("V00001", "drive1", MountType.ARCHIVE_FOR_USER)
    tapes.mounted("V00001", "drive2", MountType.RETRIEVE)
    tapes.mounted("V00001", "drive3", MountType.RETRIEVE)
    row = _tape(site)
    assert (row["write_mount_count"], row["read_mount_count"]) == (1, 2)
    assert (row["last_write_drive"], row["last_read_drive"]) == ("drive1", "drive3")


def test_state_changes_are_guarded(site: Site) -> None:
    tapes = site.catalogue.tapes
    assert tapes.set_state("V00001", TapeState.DISABLED, " worn ", AUTHOR, previous=TapeState.ACTIVE)
    assert not tapes.set_state("V00001", TapeState.BROKEN, "x", AUTHOR, previous=TapeState.ACTIVE)
    row = _tape(site)
    assert (row["state"], row["state_reason"]) == ("DISABLED", "worn")
    assert row["state_modified_by"] == "operator@console.example"
    with pytest.raises(CtaError, match="needs a reason"):
        tapes.set_state("V00001", TapeState.BROKEN, " ", AUTHOR)


def test_unknown_tapes_are_called_so(site: Site) -> None:
    tapes = site.catalogue.tapes
    for question in (
        lambda: tapes.facts("NONE"),
        lambda: tapes.mounted("NONE", "drive1", MountType.RETRIEVE),
        lambda: tapes.set_full("NONE"),
        lambda: tapes.labelled("NONE", "drive1"),
        lambda: tapes.check_label_allowed("NONE"),
        lambda: tapes.set_state("NONE", TapeState.ACTIVE, "", AUTHOR, TapeState.DISABLED),
        lambda: tapes.set_encryption_key_name("NONE", "k", AUTHOR),
        lambda: tapes.reclaim("NONE", AUTHOR),
    ):
        with pytest.raises(CtaError) as caught:
            question()
        assert caught.value.spec.symbol == "TAPE_UNKNOWN"


def test_a_tape_with_files_is_neither_labelled_nor_given_a_key_nor_reclaimed(site: Site) -> None:
    tapes = site.catalogue.tapes
    site.archived(2)
    used = next(vid for vid in ("V00001", "V00002", "V00003") if tapes.facts(vid).last_fseq)
    for question in (
        lambda: tapes.check_label_allowed(used),
        lambda: tapes.labelled(used, "drive1"),
    ):
        with pytest.raises(CtaError) as caught:
            question()
        assert caught.value.spec.symbol == "TAPE_NOT_EMPTY"
    assert not tapes.set_encryption_key_name(used, "key1", AUTHOR)
    tapes.set_full(used)
    with pytest.raises(CtaError) as caught:
        tapes.reclaim(used, AUTHOR)
    assert caught.value.spec.symbol == "TAPE_NOT_EMPTY"


def test_an_empty_tape_takes_a_key(site: Site) -> None:
    assert site.catalogue.tapes.set_encryption_key_name("V00001", "key1", AUTHOR)
    assert site.catalogue.tapes.facts("V00001").encryption_key_name == "key1"


def test_reclaim_begins_a_tape_anew(site: Site) -> None:
    tapes = site.catalogue.tapes
    (number,) = site.archived(1)
    (copy,) = site.catalogue.files.copies(number)
    with pytest.raises(CtaError, match="not full"):
        tapes.reclaim(copy.vid, AUTHOR)
    tapes.set_full(copy.vid)
    site.catalogue.files.delete(number, AUTHOR)
    assert not tapes.set_encryption_key_name(copy.vid, "key1", AUTHOR)
    with pytest.raises(CtaError, match="quarantine"):
        tapes.reclaim(copy.vid, AUTHOR, quarantine_s=3600)
    tapes.set_state(copy.vid, TapeState.EXPORTED, "away", AUTHOR)
    with pytest.raises(CtaError, match="EXPORTED"):
        tapes.reclaim(copy.vid, AUTHOR)
    tapes.set_state(copy.vid, TapeState.BROKEN, "old", AUTHOR)
    tapes.reclaim(copy.vid, AUTHOR)
    facts = tapes.facts(copy.vid)
    assert (facts.last_fseq, facts.data_bytes, facts.is_full) == (0, 0, False)
    assert facts.label_time is not None
    assert list(site.catalogue.files.deleted(copy.vid)) == []


def test_dirty_tapes_are_counted_anew(site: Site) -> None:
    first, second, third = site.archived(3)
    (copy,) = site.catalogue.files.copies(second)
    site.catalogue.files.delete(second, AUTHOR)
    assert _tape(site, copy.vid)["dirty"] is True
    assert site.catalogue.tapes.refresh_dirty(10) == 1
    row = _tape(site, copy.vid)
    assert (row["nb_files"], row["file_bytes"], row["dirty"]) == (2, 2000, False)
    assert row["data_bytes"] == 3000
    assert site.catalogue.tapes.refresh_dirty(10) == 0
    assert {first, third} == {file.archive_file_id for file in site.catalogue.files.on_tape(copy.vid)}
