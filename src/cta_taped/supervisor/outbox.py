# SPDX-License-Identifier: GPL-3.0-or-later
"""What the maintenance worker has yet to carry out for the supervisor, and in which order.

Everything stays here until it is acknowledged and is sent again to a new worker, so neither the worker's
death nor a database's absence loses a report, a wish, or the release of a dead mount. Reports keep their
order; those that say the same but for their counters are replaced by the latest.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Final

from cta_taped.common.ipc import messages as m
from cta_taped.common.model import DriveReport
from cta_taped.supervisor.state import AT_REST, Remembered

REPORTS_KEPT: Final = 200


class Outbox:
    """Commands for the maintenance worker that wait for their acknowledgement."""

    def __init__(self, remembered: Remembered) -> None:
        self._reports: deque[DriveReport] = deque(maxlen=REPORTS_KEPT)
        self._wish: m.WriteDesired | None = None
        self.wish_revision = remembered.wish_revision
        self.wish_written = remembered.wish_written
        if self.wish_revision != self.wish_written:
            self._wish = m.WriteDesired(
                self.wish_revision, remembered.desired_up, not remembered.desired_up, remembered.reason
            )
        self.dead_mounts: list[int] = list(remembered.dead_mounts)
        if remembered.mount_id is not None and remembered.phase not in AT_REST:
            # A life that ended in the middle of a session: whatever that mount held is nobody's now.
            self.dead_mounts.append(remembered.mount_id)
        self.bad_tapes: dict[str, str] = dict(remembered.bad_tapes)

    @property
    def unpublished(self) -> int:
        """Reports that the catalogue has not seen."""
        return len(self._reports)

    @property
    def wish_pending(self) -> bool:
        """A local wish has not reached the catalogue: what the catalogue says is older."""
        return self.wish_revision != self.wish_written

    def report(self, report: DriveReport) -> m.Publish:
        """Queue a report; what to send now."""
        if self._reports:
            last = self._reports[-1]
            same = replace(
                report,
                sequence=last.sequence,
                time=last.time,
                bytes_transferred=last.bytes_transferred,
                files_transferred=last.files_transferred,
            )
            if same == last:
                self._reports.pop()
        self._reports.append(report)
        return m.Publish(report)

    def wish(self, up: bool, force: bool, reason: str | None) -> m.WriteDesired:
        """Queue a local wish; what to send now."""
        self.wish_revision += 1
        self._wish = m.WriteDesired(self.wish_revision, up, force, reason)
        return self._wish

    def release(self, mount_id: int) -> m.ReleaseMount:
        """Queue the release of a dead mount; what to send now."""
        if mount_id not in self.dead_mounts:
            self.dead_mounts.append(mount_id)
        return m.ReleaseMount(mount_id)

    def disable(self, vid: str, reason: str) -> m.DisableTape:
        """Queue the disabling of a tape; what to send now."""
        self.bad_tapes[vid] = reason
        return m.DisableTape(vid, reason)

    def everything(self) -> list[m.Command]:
        """All that waits, for a new worker."""
        commands: list[m.Command] = [m.Publish(report) for report in self._reports]
        if self._wish is not None:
            commands.append(self._wish)
        commands += [m.ReleaseMount(mount_id) for mount_id in self.dead_mounts]
        commands += [m.DisableTape(vid, reason) for vid, reason in self.bad_tapes.items()]
        return commands

    def acknowledge(self, fact: m.Fact) -> None:
        """Take off what the worker says is done."""
        match fact:
            case m.ReportPublished(sequence=sequence):
                while self._reports and self._reports[0].sequence <= sequence:
                    self._reports.popleft()
            case m.DesiredStateWritten(revision=revision):
                self.wish_written = max(self.wish_written, revision)
                if self._wish is not None and self._wish.revision <= revision:
                    self._wish = None
            case m.MountReleased(mount_id=mount_id):
                if mount_id in self.dead_mounts:
                    self.dead_mounts.remove(mount_id)
            case m.TapeDisabled(vid=vid):
                self.bad_tapes.pop(vid, None)
            case _:
                pass
