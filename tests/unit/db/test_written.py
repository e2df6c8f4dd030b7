# SPDX-License-Identifier: GPL-3.0-or-later
"""Recording of flushed files: contiguous, checked, all or nothing, and safe to repeat."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from dbsite import AUTHOR, Site, written

from cta_taped.common.errors import CtaError
from cta_taped.common.model import ArchiveJob, WrittenFile


def job(number: int, copy_nb: int = 1, **values: object) -> ArchiveJob:
    made = ArchiveJob(
        job_id=number,
        archive_file_id=4_294_967_296 + number,
        copy_nb=copy_nb,
        request_job_count=1,
        source_url=f"file:///{number}",
        size_bytes=1000 + number,
        adler32=None,
        disk_instance="eos",
        disk_file_id=str(number),
        disk_file_path=f"/eos/{number}",
        owner_uid=1000,
        gid=1000,
        storage_class="single",
    )
    return replace(made, **values)  # type: ignore[arg-type]


def flush(vid: str, first_fseq: int, *numbers: int) -> list[WrittenFile]:
    return [written(job(number), vid, first_fseq + at) for at, number in enumerate(numbers)]


def refused(site: Site, files: list[WrittenFile], symbol: str) -> CtaError:
    before = {vid: site.catalogue.tapes.facts(vid) for vid in ("V00001", "V00002")}
    count = len(list(site.catalogue.files.find()))
    with pytest.raises(CtaError) as caught:
        site.catalogue.files.record_written("drive1", files)
    assert caught.value.spec.symbol == symbol
    assert {vid: site.catalogue.tapes.facts(vid) for vid in before} == before
    assert len(list(site.catalogue.files.find())) == count
    return caught.value


def test_files_are_recorded_with_the_tapes_counters(site: Site) -> None:
    files = [*flush("V00001", 1, 1, 2), written(None, "V00001", 3), written(job(3), "V00001", 4)]
    site.catalogue.files.record_written("drive1", files)
    facts = site.catalogue.tapes.facts("V00001")
    assert (facts.last_fseq, facts.data_bytes) == (4, 1001 + 1002 + 1003)
    rows = list(site.catalogue.files.on_tape("V00001"))
    assert [(row.fseq, row.block_id) for row in rows] == [(1, 0), (2, 20), (4, 40)]
    assert [row.archive_file_id for row in rows] == [4_294_967_297, 4_294_967_298, 4_294_967_299]
    assert {row.adler32 for row in rows} == {0x091E01DE}
    last = site.catalogue.files.last_on_tape("V00001")
    assert last is not None
    assert last.fseq == 4
    assert [row.fseq for row in site.catalogue.files.on_tape("V00001", first_fseq=2, limit=1)] == [2]


def test_placeholders_alone_advance_the_tape(site: Site) -> None:
    site.catalogue.files.record_written("drive1", [written(None, "V00001", 1)])
    assert site.catalogue.tapes.facts("V00001").last_fseq == 1
    assert site.catalogue.files.last_on_tape("V00001") is None


def test_repetition_after_an_unknown_outcome_is_success(site: Site) -> None:
    files = [*flush("V00001", 1, 1, 2), written(None, "V00001", 3)]
    site.catalogue.files.record_written("drive1", files)
    facts = site.catalogue.tapes.facts("V00001")
    site.catalogue.files.record_written("drive1", files)
    assert site.catalogue.tapes.facts("V00001") == facts
    # A ledger may deliver what was recorded together with what was not.
    site.catalogue.files.record_written("drive1", [*files, written(job(9), "V00001", 4)])
    assert site.catalogue.tapes.facts("V00001").last_fseq == 4
    # Even when one of the files was deleted or superseded in between.
    site.catalogue.files.delete(files[0].job.archive_file_id, AUTHOR)  # type: ignore[union-attr]
    site.catalogue.files.record_written("drive1", files)
    assert len(list(site.catalogue.files.on_tape("V00001"))) == 2


@pytest.mark.parametrize("change", ["file", "copy", "block", "placeholder", "size", "checksum"])
def test_a_repetition_that_differs_is_refused(site: Site, change: str) -> None:
    files = flush("V00001", 1, 1, 2)
    site.catalogue.files.record_written("drive1", files)
    changed: dict[str, WrittenFile] = {
        "file": written(job(7), "V00001", 2),
        "copy": written(job(2, copy_nb=2), "V00001", 2),
        "block": replace(files[1], block_id=21),
        "placeholder": written(None, "V00001", 2),
        "size": replace(files[1], size_bytes=5),
        "checksum": replace(files[1], adler32=5),
    }
    symbol = "CATALOGUE_CHECKSUM" if change in ("size", "checksum") else "TAPE_FSEQ"
    refused(site, [files[0], changed[change]], symbol)


def test_gaps_and_foreign_writers_are_refused(site: Site) -> None:
    refused(site, flush("V00001", 2, 1), "TAPE_FSEQ")
    refused(site, [*flush("V00001", 1, 1), *flush("V00001", 3, 2)], "TAPE_FSEQ")
    refused(site, [*flush("V00001", 1, 1), *flush("V00002", 2, 2)], "CATALOGUE_REFUSED")
    refused(site, flush("NONE", 1, 1), "TAPE_UNKNOWN")
    site.catalogue.files.record_written("drive1", flush("V00001", 1, 1))
    error = refused(site, flush("V00001", 1, 5), "TAPE_FSEQ")
    assert "4294967297" in str(error)
    assert "4294967301" in str(error)


@pytest.mark.parametrize(
    "values",
    [
        {"owner_uid": 0},
        {"archive_file_id": 0},
        {"disk_instance": ""},
        {"disk_file_id": ""},
        {"storage_class": ""},
        {"storage_class": "unknown"},
        {"copy_nb": 0},
        {"disk_instance": "nowhere"},
        {"size_bytes": 0},
    ],
)
def test_invalid_fields_refuse_the_whole_flush(site: Site, values: dict[str, object]) -> None:
    bad = written(job(2, **values), "V00001", 2)
    error = refused(site, [*flush("V00001", 1, 1), bad, *flush("V00001", 3, 3)], "CATALOGUE_REFUSED")
    assert error.evidence["fseq"] == 2


def test_a_refused_flush_is_recorded_once_its_bad_files_are_placeholders(site: Site) -> None:
    """As a session does it: the refusal names the file, which then consumes its fSeq and records nothing."""
    site.catalogue.files.record_written("drive1", flush("V00002", 1, 4))
    files = flush("V00001", 1, 1, 2, 3, 4, 5, 6, 7)
    files[1] = written(job(2, disk_instance="nowhere"), "V00001", 2)
    files[3] = replace(files[3], adler32=5)
    files[4] = written(job(5, storage_class="gone"), "V00001", 5)
    files[6] = written(job(7, disk_file_id="6"), "V00001", 7)
    named = []
    while True:
        try:
            site.catalogue.files.record_written("drive1", files)
            break
        except CtaError as error:
            fseq = error.evidence["fseq"]
            assert f"fSeq {fseq}" in error.detail
            named.append((error.spec.symbol, fseq))
            files[fseq - 1] = replace(files[fseq - 1], job=None)
    assert sorted(named, key=lambda one: one[1]) == [
        ("CATALOGUE_REFUSED", 2),
        ("CATALOGUE_CHECKSUM", 4),
        ("CATALOGUE_REFUSED", 5),
        ("CATALOGUE_REFUSED", 7),
    ]
    assert [row.fseq for row in site.catalogue.files.on_tape("V00001")] == [1, 3, 6]
    assert site.catalogue.tapes.facts("V00001").last_fseq == 7


def test_block_zero_belongs_to_the_first_file_only(site: Site) -> None:
    refused(
        site, [*flush("V00001", 1, 1), replace(written(job(2), "V00001", 2), block_id=0)], "CATALOGUE_REFUSED"
    )


def test_a_second_copy_must_agree_with_the_first(site: Site) -> None:
    site.catalogue.files.record_written("drive1", flush("V00001", 1, 1))
    other = written(job(1, copy_nb=2), "V00002", 1)
    for changed in (replace(other, adler32=1), replace(other, size_bytes=1)):
        later = replace(changed, fseq=2, block_id=20)
        error = refused(site, [*flush("V00002", 1, 9), later], "CATALOGUE_CHECKSUM")
        assert error.evidence["fseq"] == 2
    site.catalogue.files.record_written("drive2", [other])
    assert [(row.copy_nb, row.vid) for row in site.catalogue.files.copies(4_294_967_297)] == [
        (1, "V00001"),
        (2, "V00002"),
    ]


def test_a_rewritten_copy_supersedes_the_old_one(site: Site) -> None:
    site.catalogue.files.record_written("drive1", flush("V00001", 1, 1, 2))
    site.catalogue.files.record_written("drive2", flush("V00002", 1, 1))
    assert [row.vid for row in site.catalogue.files.copies(4_294_967_297)] == ["V00002"]
    (gone,) = site.catalogue.files.deleted()
    assert (gone.vid, gone.fseq, gone.reason, gone.archive_file_id) == ("V00001", 1, "REPACK", 4_294_967_297)
    # The old flush, delivered once more by a ledger, is still success and changes nothing.
    site.catalogue.files.record_written("drive1", flush("V00001", 1, 1, 2))
    assert [row.vid for row in site.catalogue.files.copies(4_294_967_297)] == ["V00002"]


def test_a_file_written_twice_in_one_flush_is_recorded_once(site: Site) -> None:
    site.catalogue.files.record_written("drive1", flush("V00001", 1, 1, 2, 1))
    assert [row.fseq for row in site.catalogue.files.copies(4_294_967_297)] == [3]
    assert [row.fseq for row in site.catalogue.files.deleted("V00001")] == [1]
    site.catalogue.files.record_written("drive1", flush("V00001", 1, 1, 2, 1))


def test_a_disk_file_archived_before_is_named(site: Site) -> None:
    site.catalogue.files.record_written("drive1", flush("V00001", 1, 1))
    error = refused(site, [written(job(5, disk_file_id="1"), "V00001", 2)], "CATALOGUE_REFUSED")
    assert "already archived as 4294967297" in str(error)
    assert (error.evidence["fseq"], error.evidence["archive_file_id"]) == (2, 4_294_967_301)


def test_random_flushes_with_repetitions_end_up_recorded_once(site: Site) -> None:
    chance = random.Random(5)
    files = flush("V00001", 1, *range(1, 120))
    delivered = 0
    while delivered < len(files):
        start = chance.randint(0, delivered)
        end = chance.randint(start + 1, min(len(files), delivered + 30))
        site.catalogue.files.record_written("drive1", files[start:end])
        delivered = max(delivered, end)
    rows = list(site.catalogue.files.on_tape("V00001"))
    assert [row.fseq for row in rows] == list(range(1, 120))
    assert site.catalogue.tapes.facts("V00001").data_bytes == sum(file.size_bytes for file in files)
    assert list(site.catalogue.files.deleted()) == []


def test_a_thousand_files_in_one_flush(site: Site) -> None:
    site.catalogue.files.record_written("drive1", flush("V00001", 1, *range(1, 1001)))
    assert site.catalogue.tapes.facts("V00001").last_fseq == 1000
    assert len(list(site.catalogue.files.find(disk_instance="eos", vid="V00001", limit=999))) == 999
    assert len(list(site.catalogue.files.find(disk_file_ids=["1", "1000", "2000"]))) == 2
