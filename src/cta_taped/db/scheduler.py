# SPDX-License-Identifier: GPL-3.0-or-later
"""The scheduler's seam: mounts, batches of jobs, requests and their reports.

What it is: Protocols for the mount decision (``Mounts``), a session's two queues (``ArchiveQueue``,
``RetrieveQueue``), the maintenance routines (``Reports``, ``Upkeep``), users and operators (``Requests``),
gathered in ``Scheduler``. What it is not: SQL, or a choice of backend. Why: as for the catalogue.

Every method is one transaction. Every method raises CtaError: an outage (``errors.OUTAGES``),
SCHEDULER_REFUSED, and the like row of the catalogue where the question touches both. Times: epoch seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from cta_taped.common.errors import CtaError
from cta_taped.common.model import ArchiveJob, DriveIdentity, JobFailure, Mount, MountType, RetrieveJob


@dataclass(frozen=True, slots=True)
class MountCriteria:
    """What makes a queue worth a mount (scheduler reference 4); repack archive needs twice as much."""

    min_files: int = 10_000
    min_bytes: int = 50_000_000_000


class Mounts(Protocol):
    """The mount decision and what keeps a mount alive."""

    def next(
        self,
        drive: DriveIdentity,
        criteria: MountCriteria,
        excluded_vids: Collection[str] = (),
        reserve: Callable[[Mount], None] | None = None,
    ) -> Mount | None:
        """Choose and claim a mount for this drive, or None when there is nothing to do.

        ``reserve`` is called inside the transaction, before its commit, so that somebody knows of the claim
        even if this process dies at once.

        On return DRIVE_STATE says STARTING with SESSION_ID, CURRENT_VID, pool and VO; no other drive can have
        decided for the same tape. ``excluded_vids`` are not written to (undelivered ledgers). Cheap, and
        without any lock, when nothing is queued. Raises CATALOGUE_NOT_FOUND when the drive is not registered.
        """
        ...

    def renew(self, mount: Mount) -> None:
        """Prove that the mount lives: its jobs are not collected for another lease time (900 s)."""
        ...

    def sleep_disk_system(self, disk_system: str, sleep_time_s: int) -> None:
        """Let the queues of a disk system rest; nothing happens while it rests already."""
        ...

    def sleeping_disk_systems(self) -> frozenset[str]:
        """The disk systems that rest now."""
        ...


class ArchiveQueue(Protocol):
    """Archive jobs of one mount. ``mount.mount_type`` tells which family of tables is meant."""

    def claim(self, drive: DriveIdentity, mount: Mount, max_files: int, max_bytes: int) -> list[ArchiveJob]:
        """Take the next jobs of the mount's tape pool, most urgent first.

        Sizes sum up to at most ``max_bytes``, except that a first file larger than that is taken alone.
        """
        ...

    def done(self, mount: Mount, job_ids: Collection[int]) -> list[int]:
        """The jobs' files are on tape *and recorded*; returns the ids that are no longer this mount's.

        A job that was put back to the queue meanwhile, and not taken by anybody, is finished all the same:
        its file is on tape. May be repeated.
        """
        ...

    def failed(self, mount: Mount, failures: Sequence[JobFailure]) -> list[int]:
        """Apply the retry rules (scheduler reference 6.1); the ids that are no longer this mount's."""
        ...

    def requeue(self, mount: Mount, job_ids: Collection[int]) -> None:
        """Give jobs back for any mount, uncharged. Jobs that are no longer this mount's are left alone."""
        ...


class RetrieveQueue(Protocol):
    """Retrieve jobs of one mount; ``mount.repack`` tells which family of tables is meant."""

    def claim(
        self,
        drive: DriveIdentity,
        mount: Mount,
        max_files: int,
        max_bytes: int,
        without_disk_systems: Collection[str] = (),
    ) -> list[RetrieveJob]:
        """Take the next jobs of the mount's tape, except those bound for ``without_disk_systems``."""
        ...

    def done(self, mount: Mount, job_ids: Collection[int]) -> list[int]:
        """The jobs' files are delivered and verified; returns the ids that are no longer this mount's."""
        ...

    def failed(self, mount: Mount, failures: Sequence[JobFailure]) -> list[int]:
        """Apply the retry rules (6.2): next copy at the mount's limit, or when ``retry_elsewhere``."""
        ...

    def requeue(self, mount: Mount, job_ids: Collection[int]) -> None:
        """Give jobs back for any mount, uncharged."""
        ...

    def divert(self, mount: Mount) -> int:
        """The mount's tape is out of use: jobs that wait for it go to the next copy, if there is one.

        Uncharged; how many went. The others wait for the tape.
        """
        ...


class Direction(StrEnum):
    """Which way a request goes."""

    ARCHIVE = "archive"
    RETRIEVE = "retrieve"


@dataclass(frozen=True, slots=True)
class Report:
    """A job whose end is to be told to its disk system; ``url`` is '' when nobody asked to be told."""

    direction: Direction
    job_id: int
    request_id: int
    archive_file_id: int
    success: bool
    url: str
    failure_log: str
    disk_instance: str
    disk_file_id: str


class Reports(Protocol):
    """Delivery of results to disk systems (scheduler reference 6.3); rows are held meanwhile."""

    def take(self, direction: Direction, limit: int) -> list[Report]:
        """Take up to ``limit`` finished jobs; nobody else gets them until ``release_stuck`` or a failure."""
        ...

    def delivered(self, reports: Sequence[Report]) -> None:
        """Told, or a success that nobody asked to be told of: the jobs end."""
        ...

    def keep(self, reports: Sequence[Report]) -> None:
        """Failures that nobody asked to be told of: the jobs move to the failed requests."""
        ...

    def undelivered(self, report: Report, reason: str) -> bool:
        """Not told. True when it will be tried again, False when it moved to the failed requests."""
        ...

    def release_stuck(self, age_s: int, limit: int) -> int:
        """Give back rows that a reporter took more than ``age_s`` ago and never finished; how many."""
        ...


class Upkeep(Protocol):
    """What keeps the queues sound when sessions die (scheduler reference 6.4)."""

    def requeue_dead_mounts(self, age_s: int, limit: int, not_before: float = 0.0) -> int:
        """Jobs of mounts without heart-beat for ``age_s`` and without a drive go back, uncharged; how many.

        ``not_before``: nothing is collected earlier than this time (epoch s). The caller sets it to one full
        lease after the end of a database outage, because a lease counts only time in which it could be
        renewed.
        """
        ...

    def release_mount(self, mount_id: int) -> int:
        """A mount is known to be dead: its jobs go back at once, uncharged; how many. May be repeated."""
        ...

    def end_incomplete(self, limit: int) -> int:
        """End written copies that wait for a copy which failed for good or was cancelled; how many.

        Their files stay recorded. Nobody is told: a request is a success only with all its copies.
        """
        ...

    def clean_stamps(self, age_s: int, limit: int) -> int:
        """Remove heart-beats of dead mounts that own no job any more; how many."""
        ...

    def delete_old_failed(self, age_s: int, limit: int) -> int:
        """Delete failed requests, and recorded outcomes, older than ``age_s``; how many."""
        ...

    def wake_disk_systems(self) -> int:
        """Remove the marks of disk systems that rested long enough; how many."""
        ...


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks: names for the mount rules; numbers for the catalogue (uid must not be 0)."""

    name: str
    group: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class ArchiveRequest:
    """A file to archive. ``keep_url``: its id does not spell its path, so keep the URL (``Files.urls``)."""

    disk_instance: str
    disk_file_id: str
    disk_file_path: str
    source_url: str
    size_bytes: int
    adler32: int | None
    storage_class: str
    requester: Requester
    report_url: str = ""
    error_report_url: str = ""
    keep_url: bool = False


@dataclass(frozen=True, slots=True)
class RetrieveRequest:
    """A file to bring back; ``vid`` demands one copy, ``verify_only`` reads it and delivers nothing."""

    archive_file_id: int
    destination_url: str
    requester: Requester
    activity: str | None = None
    mount_policy: str | None = None
    vid: str | None = None
    verify_only: bool = False
    report_url: str = ""
    error_report_url: str = ""


@dataclass(frozen=True, slots=True)
class RequestId:
    """The number of a request, unique within its direction."""

    direction: Direction
    number: int

    def __str__(self) -> str:
        return f"{self.direction}-{self.number}"


class RequestState(StrEnum):
    """Where a request stands; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class RequestStatus:
    """The state of a request over all its copies. ``text`` is the failure log, if any."""

    request: RequestId
    archive_file_id: int
    state: RequestState
    text: str
    vids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QueueSummary:
    """One queue as ``cta-admin showqueues`` shows it; waiting and running jobs of one pool or tape."""

    mount_type: MountType
    tape_pool: str | None
    vid: str | None
    mount_policy: str
    activity: str | None
    disk_system: str | None
    priority: int
    min_age_s: int
    waiting_files: int
    waiting_bytes: int
    oldest_time: int | None
    youngest_time: int | None
    running_files: int
    running_bytes: int


@dataclass(frozen=True, slots=True)
class FailedRequest:
    """A job in one of the FAILED queues."""

    direction: Direction
    job_id: int
    request_id: int
    archive_file_id: int
    copy_nb: int
    tape_pool: str | None
    vid: str | None
    requester: str
    url: str
    size_bytes: int
    total_retries: int
    failure_log: str
    report_failure_log: str
    last_update_time: int


class Requests(Protocol):
    """What users and operators ask."""

    def queue_archive(self, request: ArchiveRequest) -> RequestId:
        """Queue one job per copy, by archive routes and mount rules (catalogue reference 5.16).

        Raises SCHEDULER_NO_ROUTE naming what is missing, CATALOGUE_REFUSED for an invalid value (size 0, uid
        0, larger than the VO allows), SCHEDULER_QUEUED when a request for the disk file has not ended yet.
        """
        ...

    def queue_archives(self, requests: Sequence[ArchiveRequest]) -> list[RequestId]:
        """Queue many, in one transaction; all or none.

        SCHEDULER_QUEUED names all files that are queued already, as ``queued`` of its evidence: a tuple of
        (disk instance, disk file id, their ``RequestId``). SCHEDULER_REFUSED when a file is named twice.
        """
        ...

    def queue_retrieve(self, request: RetrieveRequest) -> RequestId:
        """Queue one job on the best copy. Raises CATALOGUE_NOT_FOUND, SCHEDULER_NO_ROUTE (none to read)."""
        ...

    def queue_retrieves(self, requests: Sequence[RetrieveRequest]) -> list[RequestId | CtaError]:
        """Queue many in one transaction; one that cannot be queued is answered with the reason."""
        ...

    def status(self, request: RequestId) -> RequestStatus:
        """Where the request stands. Raises SCHEDULER_NOT_FOUND."""
        ...

    def cancel(self, request: RequestId) -> bool:
        """Withdraw jobs that no mount has taken; False when none was left to withdraw.

        Raises SCHEDULER_NOT_FOUND.
        """
        ...

    def queues(self) -> list[QueueSummary]:
        """All queues with jobs, most urgent first."""
        ...

    def failed(self, direction: Direction | None = None) -> Iterator[FailedRequest]:
        """Failed requests, oldest first."""
        ...

    def remove_failed(self, direction: Direction, job_ids: Collection[int]) -> int:
        """Delete failed requests; how many were there."""
        ...


class Scheduler(Protocol):
    """The whole scheduler database. Connections are made when first needed and again after a loss."""

    @property
    def mounts(self) -> Mounts: ...

    @property
    def archive(self) -> ArchiveQueue: ...

    @property
    def retrieve(self) -> RetrieveQueue: ...

    @property
    def reports(self) -> Reports: ...

    @property
    def upkeep(self) -> Upkeep: ...

    @property
    def requests(self) -> Requests: ...

    def check(self) -> None:
        """Ask for version and columns. Raises SCHEDULER_SCHEMA when they are not those of schema 1.0."""
        ...

    def close(self) -> None:
        """Let all connections go."""
        ...
