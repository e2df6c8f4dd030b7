# SPDX-License-Identifier: GPL-3.0-or-later
"""A retrieve mount: label checked, files read and verified, delivered to disk while the tape goes home."""

from __future__ import annotations

from cta_taped.common.model import JobFailure, RetrieveJob
from cta_taped.db.scheduler import RetrieveQueue
from cta_taped.disk.breaker import Breaker
from cta_taped.disk.files import WritePolicy, open_destination
from cta_taped.session.mount import MountSession
from cta_taped.session.retrieve import RetrieveLimits, RetrieveRun
from cta_taped.tape.formats import open_volume


class RetrieveMount(MountSession[RetrieveJob]):
    """Reads one tape."""

    @property
    def _queue(self) -> RetrieveQueue:
        return self.station.scheduler.retrieve

    @property
    def _fetch(self) -> tuple[int, int]:
        section = self.station.config.retrieve
        return section.fetch_files, section.fetch_bytes

    def _take(self, files: int, size_bytes: int) -> list[RetrieveJob]:
        return self._queue.claim(self.station.config.identity, self.mount, files, size_bytes)

    def _transfer(self) -> None:
        mount, config, drive = self.mount, self.station.config, self.station.drive
        with self.positioning("position for reading"):
            reader, protection = open_volume(
                drive, mount.vid, mount.label_format, protection_enabled=config.transfer.block_protection
            )
        self.begin_transfer(str(protection))
        section = config.retrieve
        limits = RetrieveLimits(
            section.fetch_files,
            section.fetch_bytes,
            section.deliver_files,
            section.deliver_interval_s,
            quick_file_s=config.ending.quick_file_s,
            pipeline=self.pipeline,
            # As CTA does: what stands at the destination is replaced, by a rename after verification. A
            # session that died between rename and report would else leave a request that can never succeed.
            write=WritePolicy(overwrite=True),
        )
        outcome = RetrieveRun(
            drive,
            reader,
            self,
            limits,
            self.station.link.stop,
            self.totals,
            destination=Breaker().guard(open_destination),
        ).run()
        self.delivery.conclude(self._queue, outcome.give_back, outcome.failures, outcome.done)
        if outcome.error is not None:
            raise outcome.error

    def deliver(self, done: list[RetrieveJob], failures: list[JobFailure]) -> None:
        """Files at their destinations, and verdicts (asked by the run)."""
        self.delivery.retrieved(done, failures)

    def tape_free(self) -> None:
        """Nothing more is read: the cartridge goes home while the disks write (asked by the run)."""
        self.home.go()
        self.station.link.state("DRAINING")
