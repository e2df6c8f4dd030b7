# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue's seam: what the daemon asks about drives, tapes, files and administrative objects.

What it is: five Protocols (``Drives``, ``Tapes``, ``Files``, ``DiskSpaces``, ``Objects``), gathered in
``Catalogue``, and the values they answer with. What it is not: SQL (see ``db.sql``) or a choice of backend
(see ``db.backends``). Why: a session asks questions; tables, transactions and drivers are somebody else's
business.

Every method is one transaction. Every method raises CtaError: CATALOGUE_LOST when the database cannot be
reached (try again later), CATALOGUE_CONFLICT (repeat at once), CATALOGUE_REFUSED (a constraint said no),
CATALOGUE_SCHEMA, CATALOGUE_CORRUPT; other rows of the error table are named at the method.
Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from cta_taped.common.model import (
    DesiredState,
    DriveIdentity,
    DriveReport,
    DriveStatus,
    MountType,
    TapeState,
    WrittenFile,
)
from cta_taped.db.diskspaces import DiskSpaces

# Who speaks to the catalogue finds all of its values here.
from cta_taped.db.objects import ObjectField as ObjectField
from cta_taped.db.objects import ObjectKind as ObjectKind
from cta_taped.db.objects import Objects as Objects
from cta_taped.db.objects import ObjectValue as ObjectValue


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes something: the audit columns' user and host."""

    user: str
    host: str


@dataclass(frozen=True, slots=True)
class DriveOption:
    """One row of DRIVE_CONFIG: a configuration value as in force, and where it came from."""

    category: str
    key: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Registration:
    """What a drive finds of itself in the catalogue: the stored wish, and a claim left by an earlier life.

    ``mount_id`` and ``vid`` are None when the row carried no claim. A claim survives registration; it ends
    with a published report whose ``mount_id`` or ``last_mount_id`` names it.
    """

    desired: DesiredState
    mount_id: int | None
    vid: str | None


@dataclass(frozen=True, slots=True)
class DriveRow:
    """A drive as ``cta-admin drive ls`` shows it. ``status_since`` is None when no phase time is stored."""

    name: str
    host: str
    logical_library: str
    logical_library_disabled: bool
    physical_library: str | None
    physical_library_disabled: bool
    status: DriveStatus
    status_since: int | None
    desired: DesiredState
    mount_type: MountType
    mount_id: int | None
    vid: str | None
    tape_pool: str | None
    vo: str | None
    priority: int | None
    activity: str | None
    files_transferred: int | None
    bytes_transferred: int | None
    session_elapsed_s: int | None
    last_update_time: int | None
    device: str | None
    library_slot: str | None
    version: str | None
    comment: str | None
    disk_system: str | None
    reserved_bytes: int | None
    scheduler_name: str | None
    options: tuple[DriveOption, ...]


class Drives(Protocol):
    """Questions about DRIVE_STATE and DRIVE_CONFIG."""

    def register(
        self,
        drive: DriveIdentity,
        version: str,
        scheduler_name: str,
        options: Sequence[DriveOption],
        desired: DesiredState | None = None,
    ) -> Registration:
        """Enter the drive anew with its options; ``desired`` None keeps the stored wish (down if there is
        none).

        Source: catalogue reference 5.10. Raises CATALOGUE_DRIVE_TAKEN when the name belongs to another host
        or logical library.
        """
        ...

    def publish(self, drive: DriveIdentity, reports: Sequence[DriveReport]) -> int:
        """Store the supervisor's reports in their order; the number that was applied.

        A report is skipped when the row carries the claim of a mount that the report does not know
        (neither ``mount_id`` nor ``last_mount_id``): a late "UP" never erases a claim. Source: catalogue
        reference 5.11 and 5.12. Raises CATALOGUE_NOT_FOUND when the drive is not registered.
        """
        ...

    def desired_state(self, name: str) -> DesiredState:
        """The operator's wish. Raises CATALOGUE_NOT_FOUND."""
        ...

    def set_desired_state(self, name: str, desired: DesiredState) -> None:
        """Store a wish; ``reason`` None keeps the stored one, '' clears it. Raises CATALOGUE_NOT_FOUND."""
        ...

    def set_comment(self, name: str, comment: str, author: Author) -> None:
        """Change the operator's comment ('' clears it). Raises CATALOGUE_NOT_FOUND."""
        ...

    def get(self, name: str) -> DriveRow:
        """One drive. Raises CATALOGUE_NOT_FOUND."""
        ...

    def all(self) -> list[DriveRow]:
        """All drives by name."""
        ...

    def remove(self, name: str, force: bool = False) -> None:
        """Forget a drive. Raises CATALOGUE_IN_USE unless it is DOWN, SHUTDOWN or UNKNOWN, or ``force``."""
        ...

    def reserve_disk_space(self, name: str, mount_id: int, disk_system: str, size_bytes: int) -> None:
        """Add to the drive's reservation (catalogue reference 5.15)."""
        ...

    def release_disk_space(self, name: str, mount_id: int, disk_system: str, size_bytes: int) -> None:
        """Lower the drive's reservation, not below 0; nothing happens when it is not this mount's."""
        ...

    def reserved_disk_space(self) -> dict[str, int]:
        """Bytes reserved by all drives, by disk system."""
        ...


@dataclass(frozen=True, slots=True)
class TapeFacts:
    """What a session or an operator needs to know of one tape; geometry as MEDIA_TYPE gives it."""

    vid: str
    state: TapeState
    state_reason: str | None
    media_type: str
    cartridge: str
    vendor: str
    logical_library: str
    tape_pool: str
    vo: str
    capacity_bytes: int
    density_code: int | None
    nb_wraps: int | None
    min_lpos: int | None
    max_lpos: int | None
    last_fseq: int
    data_bytes: int
    is_full: bool
    is_from_castor: bool
    label_format: int
    label_drive: str | None
    label_time: int | None
    encryption_key_name: str | None
    pool_encrypted: bool
    pool_encryption_key_name: str | None


class Tapes(Protocol):
    """Questions about single tapes. All raise TAPE_UNKNOWN for an unknown VID."""

    def facts(self, vid: str) -> TapeFacts:
        """The tape with its pool, library and media type."""
        ...

    def mounted(self, vid: str, drive: str, mount_type: MountType) -> None:
        """Count a mount that succeeded (catalogue reference 5.2).

        RETRIEVE counts as read, ARCHIVE_* as write.
        """
        ...

    def set_full(self, vid: str, full: bool = True) -> None:
        """Mark the tape full (5.3), or an administrator's wish that it is not."""
        ...

    def set_state(
        self, vid: str, state: TapeState, reason: str, author: Author, previous: TapeState | None = None
    ) -> bool:
        """Change TAPE_STATE (5.7); False when ``previous`` was demanded and another state was found.

        Raises CATALOGUE_REFUSED when a state other than ACTIVE comes without a reason.
        """
        ...

    def labelled(self, vid: str, drive: str) -> None:
        """Record a new label of CTA's format (5.4).

        Raises TAPE_NOT_EMPTY when files are recorded on the tape.
        """
        ...

    def check_label_allowed(self, vid: str) -> TapeFacts:
        """The facts of a tape that may be labelled. Raises TAPE_NOT_EMPTY when files are recorded on it."""
        ...

    def set_encryption_key_name(self, vid: str, key_name: str, author: Author) -> bool:
        """Record the key of a new tape (5.5); False, with nothing done, when the tape has or had files."""
        ...

    def set_verification_status(self, vid: str, text: str | None) -> None:
        """Store the free text of the last verification."""
        ...

    def reclaim(self, vid: str, author: Author, quarantine_s: int = 0) -> None:
        """Empty the records of a full tape without files, so that it is written from fSeq 1 again (5.9).

        Raises TAPE_NOT_EMPTY (files are recorded, or a recycled file is younger than ``quarantine_s``) and
        CATALOGUE_REFUSED (not full, or in a state other than ACTIVE, DISABLED, BROKEN).
        """
        ...

    def refresh_dirty(self, limit: int) -> int:
        """Recompute the occupancy columns of up to ``limit`` tapes with DIRTY = '1'; how many were done."""
        ...


_OUT_OF_USE = ((TapeState.ACTIVE, TapeState.DISABLED), (TapeState.REPACKING, TapeState.REPACKING_DISABLED))


def take_out_of_use(tapes: Tapes, vid: str, reason: str, author: Author) -> bool:
    """Disable a tape as a daemon may (catalogue reference 3.1 and 5.8); False in any other state.

    Raises as ``Tapes.set_state``.
    """
    return any(tapes.set_state(vid, after, reason, author, previous=before) for before, after in _OUT_OF_USE)


@dataclass(frozen=True, slots=True)
class TapeFileRow:
    """One copy of an archive file on a tape. ``adler32`` is None when the blob holds none."""

    vid: str
    fseq: int
    block_id: int
    copy_nb: int
    archive_file_id: int
    size_bytes: int
    adler32: int | None
    creation_time: int
    disk_instance: str
    disk_file_id: str
    owner_uid: int
    gid: int
    storage_class: str


@dataclass(frozen=True, slots=True)
class DeletedFileRow:
    """A copy in FILE_RECYCLE_LOG."""

    vid: str
    fseq: int
    block_id: int
    copy_nb: int
    archive_file_id: int
    size_bytes: int
    disk_instance: str
    disk_file_id: str
    reason: str
    recycle_time: int


class Files(Protocol):
    """Questions about archive files and their copies on tape."""

    def record_written(self, drive: str, files: Sequence[WrittenFile]) -> None:
        """Record flushed files of one tape, in fSeq order, in one transaction (catalogue reference 5.1).

        May be repeated after an unknown outcome: files already recorded *and equal* are success. Raises
        TAPE_FSEQ (not contiguous with TAPE.LAST_FSEQ), CATALOGUE_CHECKSUM (size or checksum differ from what
        is recorded), CATALOGUE_REFUSED (a field is invalid, e.g. owner uid 0), TAPE_UNKNOWN. The evidence of
        the middle two names the ``fseq`` of a file that is to blame. Nothing is recorded when it raises.
        """
        ...

    def on_tape(self, vid: str, first_fseq: int = 1, limit: int | None = None) -> Iterator[TapeFileRow]:
        """Files of a tape from ``first_fseq`` in fSeq order (5.17); read in batches, not held in memory."""
        ...

    def last_on_tape(self, vid: str) -> TapeFileRow | None:
        """The recorded file of highest fSeq (TAPE.LAST_FSEQ may be higher: placeholders have no row)."""
        ...

    def copies(self, archive_file_id: int) -> list[TapeFileRow]:
        """All copies of an archive file by copy number. Raises CATALOGUE_NOT_FOUND for an unknown file."""
        ...

    def find(
        self,
        disk_instance: str | None = None,
        disk_file_ids: Collection[str] = (),
        vid: str | None = None,
        limit: int | None = None,
    ) -> Iterator[TapeFileRow]:
        """Copies that fulfil all given conditions, by archive file id and copy number."""
        ...

    def urls(self, disk_instance: str, disk_file_ids: Collection[str]) -> dict[str, str]:
        """The URLs kept of files whose id does not spell their path; those without one are left out."""
        ...

    def delete(self, archive_file_id: int, author: Author) -> None:
        """Move a file with all its copies to the recycle log; their tapes become dirty."""
        ...

    def deleted(self, vid: str | None = None) -> Iterator[DeletedFileRow]:
        """The recycle log, oldest first."""
        ...


class Catalogue(Protocol):
    """The whole catalogue. Connections are made when first needed and again after a loss."""

    @property
    def drives(self) -> Drives: ...

    @property
    def tapes(self) -> Tapes: ...

    @property
    def files(self) -> Files: ...

    @property
    def disk_spaces(self) -> DiskSpaces: ...

    @property
    def objects(self) -> Objects: ...

    def check(self) -> None:
        """Ask for version and columns. Raises CATALOGUE_SCHEMA when they are not those of schema 15."""
        ...

    def close(self) -> None:
        """Let all connections go."""
        ...
