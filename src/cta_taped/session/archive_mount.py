# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive mount: alerts and label checked, files written, flushed ones delivered."""

from __future__ import annotations

from cta_taped.common import events
from cta_taped.common.errors import DRIVE_TAPE_ALERT, CtaError
from cta_taped.common.log import log_event
from cta_taped.common.model import ArchiveJob, JobFailure, WriterIdentity, WrittenFile
from cta_taped.db.scheduler import ArchiveQueue
from cta_taped.disk.breaker import Breaker
from cta_taped.disk.files import open_source
from cta_taped.session.archive import ArchiveLimits, ArchiveRun
from cta_taped.session.mount import MountSession
from cta_taped.tape import labels
from cta_taped.tape.alerts import blocking_for_write
from cta_taped.tape.volume import open_for_write


class ArchiveMount(MountSession[ArchiveJob]):
    """Writes one tape."""

    @property
    def _queue(self) -> ArchiveQueue:
        return self.station.scheduler.archive

    @property
    def _fetch(self) -> tuple[int, int]:
        section = self.station.config.archive
        return section.fetch_files, section.fetch_bytes

    def _take(self, files: int, size_bytes: int) -> list[ArchiveJob]:
        return self._queue.claim(self.station.config.identity, self.mount, files, size_bytes)

    def _transfer(self) -> None:
        mount, config, drive = self.mount, self.station.config, self.station.drive
        alerts = blocking_for_write(drive.tape_alerts())
        if alerts:
            text = ", ".join(f"{alert.number} {alert.name}" for alert in alerts)
            raise CtaError(DRIVE_TAPE_ALERT, f"{mount.vid}: TapeAlert forbids writing: {text}")
        with self.positioning("position for writing"):
            writer, protection = open_for_write(
                drive,
                mount.vid,
                mount.last_fseq,
                protection_enabled=config.transfer.block_protection,
                identity=self._identity(),
            )
        self.begin_transfer(str(protection))
        section = config.archive
        limits = ArchiveLimits(
            section.fetch_files,
            section.fetch_bytes,
            section.flush_files,
            section.flush_bytes,
            config.ending.quick_file_s,
            self.pipeline,
        )
        source = Breaker().guard(open_source)
        outcome = ArchiveRun(drive, writer, self, limits, self.station.link.stop, self.totals, source).run()
        self.delivery.conclude(self._queue, outcome.give_back, outcome.failures)
        if outcome.tape_full:
            self.count("Info_tapeFilledUp")
        if outcome.error is not None:
            raise outcome.error

    def deliver(self, flushed: list[WrittenFile], failures: list[JobFailure]) -> None:
        """Files on the medium, and verdicts, for ledger and databases (asked by the run)."""
        size_bytes = sum(file.size_bytes for file in flushed)
        log_event(self.log, events.FLUSH_DONE, files=len(flushed), size_bytes=size_bytes)
        self.delivery.archived(flushed, failures)

    def tape_full(self) -> None:
        """The end of the tape was met (asked by the run)."""
        self.station.catalogue.tapes.set_full(self.mount.vid)
        log_event(self.log, events.TAPE_FULL, vid=self.mount.vid)

    def _identity(self) -> WriterIdentity:
        inquiry, section = self.station.drive.identity(), self.station.config.labels
        return WriterIdentity(
            site=section.site or labels.site_name(),
            host=section.host or labels.short_host(self.station.config.host),
            drive_vendor=inquiry.vendor,
            drive_model=inquiry.product,
            drive_serial=inquiry.serial,
            system_version=section.system_version,
        )
