# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens with results: ledger, then catalogue, then scheduler, then out of the ledger (DESIGN 6).

A catalogue that is away is waited for with the tape at its position, up to ``catalogue_hold_s``; then
the mount ends in order and the ledger keeps the files for the maintenance worker. A scheduler that is
away is not waited for: the files are recorded, their jobs are marked done later.

Jobs that failed without being charged stay this mount's until it ends: put back at once, they would be
claimed by the same mount again and again while a disk is full or away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cta_taped.common import events
from cta_taped.common.errors import (
    BY_CODE,
    OUTAGES,
    SCHEDULER_JOB_GONE,
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
        self._untold: list[int] = []
        self._charged: list[JobFailure] = []
        self._uncharged: list[JobFailure] = []
        self._moved_files = 0
        self._last_uncharged: JobFailure | None = None
        self._log = get_logger()

    def archived(self, flushed: Sequence[WrittenFile], failures: Sequence[JobFailure]) -> None:
        """Files that are on the medium, and verdicts on others.

        Raises CtaError CATALOGUE_LOST after the hold, or at once when the session is asked to end;
        TAPE_FSEQ when somebody else wrote; SYSTEM_LEDGER.
        """
        vid = self._mount.vid
        self._take_over(failures)
        if flushed:
            self._ledger.append(self._mount, flushed)
            self._moved_files += len(flushed)
            log_event(self._log, events.LEDGER_APPENDED, vid=vid, files=len(flushed))
            self._patience.patiently(
                lambda: ledger_delivery.record(self._ledger, self._catalogue, self._drive, vid),
                for_s=self._hold_s,
                give_up=lambda: self._link.stop.quick,
            )
        self._report(self._scheduler.archive)
        try:
            gone = ledger_delivery.finish(self._ledger, self._scheduler, vid)
            self._scheduler.mounts.renew(self._mount)
        except CtaError as error:
            if error.spec not in OUTAGES:
                raise
            log_error(self._log, error, event=events.LEDGER_WAITING, files=self._ledger.count())
            return
        self._note_gone(gone)
        if flushed:
            size_bytes = sum(file.size_bytes for file in flushed)
            log_event(self._log, events.FILES_RECORDED, vid=vid, files=len(flushed), size_bytes=size_bytes)

    def retrieved(self, done: Sequence[RetrieveJob], failures: Sequence[JobFailure]) -> None:
        """Files that are at their destinations, and verdicts on others.

        A scheduler that is away is waited for as long as the hold: nothing but the scheduler knows of a
        retrieve, and a result that is never told costs a second recall, no data. Raises CtaError
        SCHEDULER_LOST after that, or at once when the session is asked to end; the results are kept for
        ``conclude``, which has no cartridge waiting for it.
        """
        self._take_over(failures, done)
        self._patience.patiently(self._tell_done, for_s=self._hold_s, give_up=lambda: self._link.stop.quick)
        self._report(self._scheduler.retrieve)

    def _tell_done(self) -> None:
        if self._untold:
            self._note_gone(self._scheduler.retrieve.done(self._mount, self._untold))
            self._untold = []
        self._scheduler.mounts.renew(self._mount)

    def _take_over(self, failures: Sequence[JobFailure], done: Sequence[RetrieveJob] = ()) -> None:
        self._untold += [job.job_id for job in done]
        self._moved_files += len(done)
        for failure in failures:
            if failure.charged:
                error = CtaError(BY_CODE[failure.code], failure.text)
                log_error(self._log, error, event=events.JOB_FAILED, job_id=failure.job_id)
                self._charged.append(failure)
            else:
                self._uncharged.append(failure)
                self._last_uncharged = failure

    def _report(self, queue: ArchiveQueue | RetrieveQueue) -> None:
        if not self._charged:
            return
        try:
            self._note_gone(queue.failed(self._mount, self._charged))
        except CtaError as error:
            if error.spec not in OUTAGES:
                raise
            # Told at the next delivery; lost with the session, the jobs are collected and tried again.
            log_error(self._log, error)
            return
        self._charged = []

    def conclude(
        self,
        queue: ArchiveQueue | RetrieveQueue,
        jobs: Sequence[ArchiveJob] | Sequence[RetrieveJob],
        failures: Sequence[JobFailure] = (),
        done: Sequence[RetrieveJob] = (),
    ) -> None:
        """The end of the mount: tell what was not told, and queue ``jobs`` and all uncharged ones again.

        ``failures`` and ``done``: results that no delivery has taken. Never raises for a database: with the
        scheduler away the jobs stay this mount's, whose release by the maintenance worker gives them back.
        """
        self._take_over(failures, done)
        try:
            if self._untold:
                self._patience.patiently(
                    self._tell_done, for_s=self._hold_s, give_up=lambda: self._link.stop.now
                )
            self._report(queue)
            uncharged, self._uncharged = self._uncharged, []
            job_ids = [job.job_id for job in jobs] + [failure.job_id for failure in uncharged]
            # Also without a job: it frees those that wait in the queue for this mount's own second try.
            queue.requeue(self._mount, job_ids)
        except CtaError as error:
            log_error(self._log, error)
            return
        if jobs:
            log_event(self._log, events.JOBS_GIVEN_BACK, jobs=len(jobs))
        for code, count in Counter(failure.code for failure in uncharged).items():
            detail = next(failure.text for failure in uncharged if failure.code == code)
            log_event(self._log, events.JOBS_GIVEN_BACK, jobs=count, code=code, detail=detail)

    @property
    def fruitless(self) -> CtaError | None:
        """Why the mount was for nothing: no file moved, and jobs were given back because of failures."""
        if self._moved_files or self._last_uncharged is None:
            return None
        last = self._last_uncharged
        return CtaError(BY_CODE[last.code], f"no file was moved; the last failure: {last.text}")

    def _note_gone(self, job_ids: Sequence[int]) -> None:
        for job_id in job_ids:
            log_event(self._log, events.JOB_GONE, job_id=job_id, code=SCHEDULER_JOB_GONE.code)
