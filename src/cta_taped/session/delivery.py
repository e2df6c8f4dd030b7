# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens with results: ledger, then catalogue, then scheduler, then out of the ledger (DESIGN 6).

A catalogue that is away is waited for with the tape at its position, up to ``catalogue_hold_s``; then
the mount ends in order and the ledger keeps the files for the maintenance worker. A scheduler that is
away is not waited for: the files are recorded, their jobs are marked done later.
"""

from __future__ import annotations

from collections.abc import Sequence

from cta_taped.common import events
from cta_taped.common.errors import (
    CATALOGUE_CHECKSUM,
    CATALOGUE_REFUSED,
    SCHEDULER_CONFLICT,
    SCHEDULER_JOB_GONE,
    SCHEDULER_LOST,
    CtaError,
)
from cta_taped.common.log import get_logger, log_error, log_event
from cta_taped.common.model import ArchiveJob, JobFailure, Mount, RetrieveJob, WrittenFile
from cta_taped.db import ledger as ledger_delivery
from cta_taped.db.catalogue import Catalogue
from cta_taped.db.ledger import Ledger
from cta_taped.db.scheduler import ArchiveQueue, RetrieveQueue, Scheduler
from cta_taped.session.link import Link
from cta_taped.session.patience import Patience

_ONE_FILE_REFUSED = (CATALOGUE_CHECKSUM, CATALOGUE_REFUSED)
_SCHEDULER_AWAY = (SCHEDULER_LOST, SCHEDULER_CONFLICT)


class Delivery:
    """Results of one mount on their way to the databases."""

    def __init__(
        self,
        drive: str,
        mount: Mount,
        ledger: Ledger,
        catalogue: Catalogue,
        scheduler: Scheduler,
        link: Link,
        catalogue_hold_s: float,
    ) -> None:
        self._drive = drive
        self._mount = mount
        self._ledger = ledger
        self._catalogue = catalogue
        self._scheduler = scheduler
        self._link = link
        self._patience = Patience(link)
        self._hold_s = catalogue_hold_s
        self._undelivered: list[JobFailure] = []
        self._log = get_logger()

    def archived(self, flushed: Sequence[WrittenFile], failures: Sequence[JobFailure]) -> None:
        """Files that are on the medium, and verdicts on others.

        Raises CtaError CATALOGUE_LOST after the hold, TAPE_FSEQ when somebody else wrote, SYSTEM_LEDGER.
        """
        vid = self._mount.vid
        if flushed:
            self._ledger.append(self._mount, flushed)
            log_event(self._log, events.LEDGER_APPENDED, vid=vid, files=len(flushed))
            refused = self._record(vid)
            failures = [*failures, *refused]
        self._report(self._scheduler.archive, failures)
        try:
            gone = ledger_delivery.finish(self._ledger, self._scheduler, vid)
            self._scheduler.mounts.renew(self._mount)
        except CtaError as error:
            if error.spec not in _SCHEDULER_AWAY:
                raise
            log_error(self._log, error, event=events.LEDGER_WAITING, files=self._ledger.count())
            return
        self._note_gone(gone)
        if flushed:
            size_bytes = sum(file.size_bytes for file in flushed)
            log_event(self._log, events.FILES_RECORDED, vid=vid, files=len(flushed), size_bytes=size_bytes)

    def _record(self, vid: str) -> list[JobFailure]:
        """Record what the ledger holds of this tape; a file that the catalogue refuses for good becomes a
        placeholder, so that one bad request does not hold up the others."""
        refused: list[JobFailure] = []
        while True:
            try:
                self._patience.patiently(
                    lambda: ledger_delivery.record(self._ledger, self._catalogue, self._drive, vid),
                    for_s=self._hold_s,
                    give_up=lambda: self._link.stop.now,
                )
                return refused
            except CtaError as error:
                fseq = error.evidence.get("fseq")
                file = self._in_ledger(fseq)
                if error.spec not in _ONE_FILE_REFUSED or file is None or file.job is None:
                    raise
                log_error(
                    self._log, error, event=events.FILE_FAILED, archive_file_id=file.job.archive_file_id
                )
                self._ledger.make_placeholder(vid, file.fseq)
                refused.append(JobFailure(file.job.job_id, error.code, error.detail, charged=True))

    def _in_ledger(self, fseq: int | None) -> WrittenFile | None:
        files = self._ledger.files(self._mount, recorded=False)
        return next((file for file in files if file.fseq == fseq), None)

    def retrieved(self, done: Sequence[RetrieveJob], failures: Sequence[JobFailure]) -> None:
        """Files that are at their destinations, and verdicts on others.

        A scheduler that is away is waited for as long as the hold: nothing but the scheduler knows of a
        retrieve, and a result that is never told costs a second recall, no data.
        """
        if done:
            job_ids = [job.job_id for job in done]
            gone = self._patience.patiently(
                lambda: self._scheduler.retrieve.done(self._mount, job_ids), for_s=self._hold_s
            )
            self._note_gone(gone)
        self._report(self._scheduler.retrieve, failures)
        self._patience.patiently(lambda: self._scheduler.mounts.renew(self._mount), for_s=self._hold_s)

    def _report(self, queue: ArchiveQueue | RetrieveQueue, failures: Sequence[JobFailure]) -> None:
        self._undelivered += failures
        if not self._undelivered:
            return
        try:
            charged = [failure for failure in self._undelivered if failure.charged]
            free = [failure.job_id for failure in self._undelivered if not failure.charged]
            if charged:
                self._note_gone(queue.failed(self._mount, charged))
            if free:
                queue.requeue(self._mount, free)
        except CtaError as error:
            if error.spec not in _SCHEDULER_AWAY:
                raise
            # Told at the next delivery; lost with the session, the jobs are collected and tried again.
            log_error(self._log, error)
            return
        self._undelivered = []

    def give_back(
        self, queue: ArchiveQueue | RetrieveQueue, jobs: Sequence[ArchiveJob] | Sequence[RetrieveJob]
    ) -> None:
        """Queue jobs again, uncharged. With the scheduler away they stay this mount's, whose release by the
        maintenance worker gives them back."""
        try:
            if jobs:
                queue.requeue(self._mount, [job.job_id for job in jobs])
                log_event(self._log, events.JOBS_GIVEN_BACK, jobs=len(jobs))
            self._report(queue, ())
        except CtaError as error:
            log_error(self._log, error)

    def _note_gone(self, job_ids: Sequence[int]) -> None:
        for job_id in job_ids:
            log_event(self._log, events.JOB_GONE, job_id=job_id, code=SCHEDULER_JOB_GONE.code)
