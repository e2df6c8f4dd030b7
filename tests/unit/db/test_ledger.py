# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger: durable, idempotent, delivered in order, and never the reason of a loss."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from dbsite import Site

from cta_taped.common.errors import CATALOGUE_LOST, SYSTEM_LEDGER, CtaError
from cta_taped.common.model import Mount, TapeState
from cta_taped.db import ledger as delivery
from cta_taped.db.ledger import Ledger
from cta_taped.db.scheduler import RequestState


def mounted(site: Site, count: int) -> tuple[Mount, list[object], list[object]]:
    drive = site.register()
    requests = site.archive(count)
    mount = site.mount(drive)
    jobs = site.scheduler.archive.claim(drive, mount, count, 10**15)
    return mount, jobs, requests  # type: ignore[return-value]


def test_entries_survive_and_are_delivered_once(site: Site, tmp_path: Path) -> None:
    from dbsite import written

    mount, jobs, requests = mounted(site, 3)
    files = [written(job, mount.vid, number + 1) for number, job in enumerate(jobs)]  # type: ignore[arg-type]
    files.append(written(None, mount.vid, 4))
    Ledger(tmp_path).append(mount, files)
    ledger = Ledger(tmp_path)
    assert ledger.vids() == [mount.vid] and ledger.count() == 4
    assert ledger.mounts(mount.vid) == [mount] and ledger.files(mount) == files
    for _ in range(2):
        delivery.record(ledger, site.catalogue, "drive1", mount.vid)
        assert delivery.finish(ledger, site.scheduler, mount.vid) == []
    assert ledger.count() == 0 and ledger.vids() == []
    assert site.catalogue.tapes.facts(mount.vid).last_fseq == 4
    states = {site.scheduler.requests.status(request).state for request in requests}  # type: ignore[arg-type]
    assert states == {RequestState.DONE} or states == {RequestState.RUNNING}


def test_a_crash_between_catalogue_and_scheduler_repeats_only_the_scheduler(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dbsite import written

    mount, jobs, _ = mounted(site, 2)
    ledger = Ledger(tmp_path)
    ledger.append(mount, [written(job, mount.vid, at + 1) for at, job in enumerate(jobs)])  # type: ignore[arg-type]

    def crash(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ledger, "mark_recorded", crash)
    with pytest.raises(KeyboardInterrupt):
        delivery.record(ledger, site.catalogue, "drive1", mount.vid)
    again = Ledger(tmp_path)
    assert len(again.files(mount, recorded=False)) == 2
    delivery.record(again, site.catalogue, "drive1", mount.vid)
    assert delivery.finish(again, site.scheduler, mount.vid) == []
    assert again.count() == 0


def test_an_outage_keeps_everything(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dbsite import written

    mount, jobs, _ = mounted(site, 2)
    ledger = Ledger(tmp_path)
    ledger.append(mount, [written(job, mount.vid, at + 1) for at, job in enumerate(jobs)])  # type: ignore[arg-type]

    def lost(*_: object) -> None:
        raise CtaError(CATALOGUE_LOST, "gone")

    monkeypatch.setattr(type(site.catalogue.files), "record_written", lost)
    with pytest.raises(CtaError):
        delivery.record(ledger, site.catalogue, "drive1", mount.vid)
    assert ledger.count() == 2


def test_a_file_that_the_catalogue_refuses_does_not_hold_up_the_others(site: Site, tmp_path: Path) -> None:
    from dbsite import written

    mount, jobs, requests = mounted(site, 3)
    files = [written(job, mount.vid, at + 1) for at, job in enumerate(jobs)]  # type: ignore[arg-type]
    files[1] = dataclasses.replace(files[1], job=dataclasses.replace(files[1].job, owner_uid=0))  # type: ignore[type-var]
    ledger = Ledger(tmp_path)
    ledger.append(mount, files)
    assert delivery.record(ledger, site.catalogue, "drive1", mount.vid) == 3
    again = Ledger(tmp_path)
    assert [failure.job_id for failure in again.refused(mount)] == [files[1].job.job_id]  # type: ignore[union-attr]
    assert delivery.finish(again, site.scheduler, mount.vid) == []
    assert again.count() == 0 and again.refused(mount) == []
    assert [row.fseq for row in site.catalogue.files.on_tape(mount.vid)] == [1, 3]
    assert site.catalogue.tapes.facts(mount.vid).last_fseq == 3
    assert site.scheduler.requests.status(requests[1]).state is not RequestState.DONE  # type: ignore[arg-type]


def test_a_tape_whose_files_cannot_be_recorded_is_taken_out_of_use(site: Site, tmp_path: Path) -> None:
    from dbsite import AUTHOR, written

    mount, jobs, _ = mounted(site, 2)
    ledger = Ledger(tmp_path)
    ledger.append(mount, [written(job, mount.vid, at + 7) for at, job in enumerate(jobs)])  # type: ignore[arg-type]
    ((vid, error),) = delivery.secure(ledger, site.catalogue, "drive1", AUTHOR)
    assert vid == mount.vid and error.code == "CTA-TAPE-021"
    facts = site.catalogue.tapes.facts(mount.vid)
    assert facts.state is TapeState.DISABLED and "CTA-TAPE-021" in (facts.state_reason or "")
    assert ledger.count() == 2, "an operator can still look at both versions"


def test_an_outage_lets_nothing_go(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dbsite import AUTHOR, written

    mount, jobs, _ = mounted(site, 1)
    ledger = Ledger(tmp_path)
    ledger.append(mount, [written(jobs[0], mount.vid, 1)])  # type: ignore[arg-type]

    def lost(*_: object) -> None:
        raise CtaError(CATALOGUE_LOST, "gone")

    monkeypatch.setattr(type(site.catalogue.files), "record_written", lost)
    with pytest.raises(CtaError):
        delivery.secure(ledger, site.catalogue, "drive1", AUTHOR)
    assert site.catalogue.tapes.facts(mount.vid).state is TapeState.ACTIVE


def test_a_damaged_ledger_says_so(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"this is no database, and long enough to be read as one" * 100)
    with pytest.raises(CtaError) as caught:
        Ledger(tmp_path)
    assert caught.value.spec is SYSTEM_LEDGER
