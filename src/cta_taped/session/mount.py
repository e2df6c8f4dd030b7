# SPDX-License-Identifier: GPL-3.0-or-later
"""One mount, from the claim to the empty drive: a straight procedure, read from top to bottom.

What it is: claim the first batch, mount, load, verify the label, transfer, bring home, tell. What it is
not: the two directions (archive_mount, retrieve_mount), the way home (home), the databases' patience
(delivery). Nothing moves before there is work; everything claimed ends delivered, failed or given back;
the way home is tried after any exception.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Final, Generic, TypeVar

from cta_taped.common import events
from cta_taped.common.config_schema import Config
from cta_taped.common.errors import (
    DRIVE_SUSPECT,
    TAPE_ENCRYPTED,
    TAPE_LABEL_FORMAT,
    CtaError,
    DriveEffect,
    Retry,
    Subject,
    TapeEffect,
)
from cta_taped.common.events import SessionFinished, session_finished_fields
from cta_taped.common.log import bind, get_logger, log_error, log_event
from cta_taped.common.model import ArchiveJob, Mount, MountType, RetrieveJob
from cta_taped.db.catalogue import Author, Catalogue, take_out_of_use
from cta_taped.db.ledger import Ledger
from cta_taped.db.scheduler import ArchiveQueue, RetrieveQueue, Scheduler
from cta_taped.session.delivery import Delivery
from cta_taped.session.home import WayHome
from cta_taped.session.link import Link, Outcome, command
from cta_taped.session.patience import through_conflicts
from cta_taped.session.pipeline import PipelineSize, as_cta_error
from cta_taped.session.progress import new_totals
from cta_taped.session.suspicion import Suspicion
from cta_taped.tape.changer import Robot
from cta_taped.tape.drive import TapeDrive
from cta_taped.tape.slots import drive_ordinal

_CTA_FORMAT: Final = 0

Job = TypeVar("Job", ArchiveJob, RetrieveJob)


@dataclass(frozen=True, slots=True)
class Station:
    """What a session works with:

    one drive, its robot, the databases, the ledger, and the supervisor's ear.
    """

    config: Config
    drive: TapeDrive
    robot: Robot
    catalogue: Catalogue
    scheduler: Scheduler
    ledger: Ledger
    link: Link


class MountSession(ABC, Generic[Job]):
    """One claimed mount; ``run`` is called once. It is also the host of its transfer run: the run's questions
    (claim, deliver, progress, commands) are answered here and in the two directions."""

    def __init__(self, station: Station, mount: Mount) -> None:
        self.station = station
        self.mount = mount
        config, link = station.config, station.link
        self.totals = new_totals()
        self.delivery = Delivery(
            config.drive.name,
            mount,
            station.ledger,
            station.catalogue,
            station.scheduler,
            link,
            config.archive.catalogue_hold_s,
        )
        self._ordinal = drive_ordinal(config.drive.library_slot) or 0
        self.home = WayHome(
            station.drive,
            station.robot,
            self._ordinal,
            mount.vid,
            config.library.move_timeout_s,
            link,
            self.totals,
        )
        self.progress = link.progress
        self.begin_command = link.begin_command
        self.end_command = link.end_command
        self.pipeline = PipelineSize(config.transfer.disk_threads, config.transfer.slots)
        self._first_batch: list[Job] = []
        self._mount_attempted = False
        self._suspicion = Suspicion(config.state_dir)
        self._opened = False
        self._disabled = False
        self._error: CtaError | None = None
        self.log = get_logger()

    # --- a direction -------------------------------------------------------------------------------------
    @property
    @abstractmethod
    def _queue(self) -> ArchiveQueue | RetrieveQueue:
        """Where the jobs come from and go back to."""

    @property
    @abstractmethod
    def _fetch(self) -> tuple[int, int]:
        """How many files and bytes to take at once."""

    @abstractmethod
    def _take(self, files: int, size_bytes: int) -> list[Job]:
        """Take jobs of this mount from the queue."""

    @abstractmethod
    def _transfer(self) -> None:
        """Verify the label, transfer, deliver. Raises CtaError for what ended the mount early."""

    # --- the procedure -----------------------------------------------------------------------------------
    def run(self) -> Outcome:
        """Serve the mount. Never raises for what happened to the tape or the jobs.

        Raises CtaError when the cartridge could not be brought home; DriveEmpty was then not said.
        """
        mount = self.mount
        bind(vid=mount.vid, mount_id=mount.mount_id)
        log_event(
            self.log,
            events.MOUNT_CLAIMED,
            vid=mount.vid,
            mount_id=mount.mount_id,
            mount_type=str(mount.mount_type),
        )
        begun = monotonic()
        try:
            self._first_batch = through_conflicts(lambda: self._take(*self._fetch))
            if not self._first_batch:
                self.count("Info_emptyMount")
                return "nothing"
            self._check_usable()
            if self.station.link.stop.quick:
                return "nothing"
            self.station.link.state("MOUNTING")
            with ExitStack() as stack:
                stack.callback(self._go_home)
                self._put_in()
                # A stop that came meanwhile saves the label check and a locate of minutes.
                if not self.station.link.stop.quick:
                    self._transfer()
            fruitless = self.delivery.fruitless
            if fruitless is not None:
                # A failure, so that the supervisor waits longer and longer between two such mounts.
                raise fruitless
        except CtaError as error:
            self._fail(error)
        except Exception as error:
            self._fail(as_cta_error(error, f"mount {mount.mount_id}"))
        finally:
            self.delivery.conclude(self._queue, self._first_batch)
            if self._disabled and self.mount.mount_type is MountType.RETRIEVE:
                self._divert()
            self.totals.times_s["totalTime"] = monotonic() - begun
            self._log_finished()
        return "failure" if self._error is not None else "success"

    def claim(self, files: int, size_bytes: int) -> list[Job]:
        """The first batch, then what the queue has; asked by the run's claiming thread."""
        first, self._first_batch = self._first_batch, []
        jobs = first or through_conflicts(lambda: self._take(files, size_bytes))
        if jobs:
            log_event(self.log, events.BATCH_TAKEN, files=len(jobs))
        return jobs

    def _check_usable(self) -> None:
        mount = self.mount
        if mount.label_format != _CTA_FORMAT:
            raise CtaError(
                TAPE_LABEL_FORMAT, f"{mount.vid}: label format {mount.label_format} is not supported here"
            )
        if mount.encryption_key_name:
            raise CtaError(
                TAPE_ENCRYPTED,
                f"{mount.vid}: needs encryption key {mount.encryption_key_name!r}, and no key source is set",
            )

    def _put_in(self) -> None:
        config, vid, link = self.station.config, self.mount.vid, self.station.link
        self._mount_attempted = True
        begun = monotonic()
        try:
            with command(link, "mount", config.library.move_timeout_s):
                self.station.robot.mount(vid, self._ordinal)
            log_event(self.log, events.CARTRIDGE_MOUNTED, vid=vid)
            with command(link, "load", config.transfer.load_timeout_s + 60.0):
                self.station.drive.wait_ready(config.transfer.load_timeout_s)
            log_event(self.log, events.CARTRIDGE_LOADED, vid=vid)
        finally:
            self.totals.times_s["mountTime"] = monotonic() - begun

    @contextmanager
    def positioning(self, what: str) -> Iterator[None]:
        """Label check and positioning: an announced command, and upstream's positionTime."""
        begun = monotonic()
        with command(self.station.link, what, self.station.config.deadlines.mounting_s):
            yield
        self.totals.times_s["positionTime"] += monotonic() - begun

    def begin_transfer(self, protection: str) -> None:
        """The label is verified: count the mount, and say that data move."""
        self._opened = True
        self._suspicion.opened()
        log_event(self.log, events.LABEL_VERIFIED, vid=self.mount.vid, protection=protection)
        try:
            self.station.catalogue.tapes.mounted(
                self.mount.vid, self.station.config.drive.name, self.mount.mount_type
            )
        except CtaError as error:
            # An outage of the catalogue costs a count, not a mount.
            log_error(self.log, error)
        self.station.link.state("TRANSFERING")

    def _go_home(self) -> None:
        try:
            self.home.go()
        except CtaError as failure:
            raise _NotHomeError(failure) from failure

    # --- ends --------------------------------------------------------------------------------------------
    def _fail(self, error: CtaError) -> None:
        """The mount ended by a failure: tell it, and apply what its code does to the tape."""
        if isinstance(error, _NotHomeError):
            if isinstance(error.__context__, CtaError) and error.__context__ is not error.failure:
                log_error(self.log, error.__context__)
            self._error = error.failure
            raise error.failure
        disable = error.spec.tape is TapeEffect.DISABLED
        if error.spec.subject is Subject.TAPE and not self._opened:
            # Nothing that led to this mount has changed: the tape would be mounted again and again.
            suspect = self._suspect_drive(error)
            disable, error = suspect is None, suspect or error
        self._error = error
        self.count(error.spec.alias or error.code)
        log_error(self.log, error)
        self.station.link.failed(error, drive_down=error.spec.drive is DriveEffect.DOWN)
        if disable:
            self._disable_tape(f"[cta-taped] {error}")

    def _suspect_drive(self, error: CtaError) -> CtaError | None:
        """The failure of the drive, when it could not open the tape before this one either."""
        if error.spec.retry is not Retry.OTHER_DRIVE:
            return None
        before = self._suspicion.failed(self.mount.vid)
        if before is None:
            return None
        return CtaError(
            DRIVE_SUSPECT, f"neither {before} nor {self.mount.vid} could be opened; the last failure: {error}"
        )

    def _disable_tape(self, reason: str) -> None:
        author = Author("cta-taped", self.station.config.host)
        try:
            take_out_of_use(self.station.catalogue.tapes, self.mount.vid, reason, author)
        except CtaError as failure:
            log_error(self.log, failure)
            return
        self._disabled = True
        log_event(self.log, events.TAPE_DISABLED, vid=self.mount.vid, reason=reason)

    def _divert(self) -> None:
        try:
            jobs = through_conflicts(lambda: self.station.scheduler.retrieve.divert(self.mount))
        except CtaError as failure:
            log_error(self.log, failure)
            return
        if jobs:
            log_event(self.log, events.JOBS_DIVERTED, vid=self.mount.vid, jobs=jobs)

    def count(self, name: str) -> None:
        """One more of upstream's ``Error_*`` or ``Info_*`` counters."""
        self.totals.errors[name] = self.totals.errors.get(name, 0) + 1

    def _log_finished(self) -> None:
        mount, totals = self.mount, self.totals
        retrieved = mount.mount_type is MountType.RETRIEVE
        user, repack = (retrieved and not mount.repack), mount.repack
        finished = SessionFinished(
            tape_drive=self.station.config.drive.name,
            logical_library=mount.logical_library,
            mount_type=mount.mount_type,
            success=self._error is None,
            mount_attempted=self._mount_attempted,
            tape_vid=mount.vid,
            mount_id=mount.mount_id,
            vendor=mount.vendor,
            vo=mount.vo,
            media_type=mount.media_type,
            tape_pool=mount.tape_pool,
            capacity_bytes=mount.capacity_bytes,
            files=totals.files,
            data_bytes=totals.bytes,
            header_bytes=totals.header_bytes,
            user_files=totals.files if user else 0,
            user_bytes=totals.bytes if user else 0,
            repack_files=totals.files if repack else 0,
            repack_bytes=totals.bytes if repack else 0,
            times_s=totals.times_s,
            counters=totals.errors,
        )
        log_event(self.log, events.SESSION_FINISHED, **session_finished_fields(finished))


class _NotHomeError(CtaError):
    """The way home failed: carries that failure past the handlers of the transfer's own."""

    def __init__(self, failure: CtaError) -> None:
        super().__init__(failure.spec, failure.detail, **failure.evidence)
        self.failure = failure
