# SPDX-License-Identifier: GPL-3.0-or-later
"""Which mount a drive should make: the rules, as pure functions over what was read from the databases.

What it is: filters, order and choice of scheduler reference 4 and upstream-daemon E.2. What it is not:
reading, locking or claiming (``sql.mounts``). Why pure: the rules are evaluated twice, once without a lock
and once with, and must give the same answer for the same facts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cta_taped.common.model import MountType, TapeState
from cta_taped.db.catalogue import TapeFacts
from cta_taped.db.scheduler import MountCriteria


@dataclass(frozen=True, slots=True)
class PotentialMount:
    """A queue with waiting jobs. ``queue`` is a tape pool for an archive, a VID for a retrieve.

    ``aged``: some job waits longer than its mount policy allows. ``oldest_time`` in epoch s.
    """

    mount_type: MountType
    queue: str
    repack: bool
    files: int
    bytes: int
    priority: int
    oldest_time: int
    aged: bool
    activity: str | None = None


@dataclass(frozen=True, slots=True)
class ExistingMount:
    """A mount that another drive has, or is about to make. ``repack``: its tape is being repacked."""

    mount_type: MountType
    vid: str | None
    tape_pool: str | None
    vo: str | None
    repack: bool


@dataclass(frozen=True, slots=True)
class Quota:
    """How many drives a virtual organisation may use at once."""

    read: int
    write: int


@dataclass(frozen=True, slots=True)
class Situation:
    """What the catalogue says at one moment, seen from one drive.

    ``existing`` leaves out the drive itself. ``vids_in_use``: by any other drive, whatever its status: a
    cartridge that may be in a drive is not sent to another. ``writable``: fullest first. ``readable``: by
    VID, only tapes of the drive's library. ``quotas`` by VO name; ``repack_vo``: the VO that is charged with
    repack traffic.
    """

    existing: Sequence[ExistingMount]
    vids_in_use: Collection[str]
    writable: Sequence[TapeFacts]
    readable: Mapping[str, TapeFacts]
    quotas: Mapping[str, Quota]
    repack_vo: str | None


@dataclass(frozen=True, slots=True)
class Decision:
    """The chosen queue, its tape, and the VO that is charged."""

    potential: PotentialMount
    tape: TapeFacts
    vo: str


def _is_archive(mount_type: MountType) -> bool:
    return mount_type in (MountType.ARCHIVE_FOR_USER, MountType.ARCHIVE_FOR_REPACK)


def _charged_vo(mount: ExistingMount, repack_vo: str | None) -> str | None:
    return repack_vo if mount.repack else mount.vo


def _quota_left(situation: Situation, vo: str, archive: bool) -> bool:
    quota = situation.quotas.get(vo)
    if quota is None:
        return False
    used = sum(
        1
        for mount in situation.existing
        if _charged_vo(mount, situation.repack_vo) == vo
        and (_is_archive(mount.mount_type) if archive else mount.mount_type is MountType.RETRIEVE)
    )
    return used < (quota.write if archive else quota.read)


def _worth_it(potential: PotentialMount, situation: Situation, criteria: MountCriteria) -> bool:
    existing = 0
    if _is_archive(potential.mount_type):
        existing = sum(
            1
            for mount in situation.existing
            if mount.mount_type is potential.mount_type and mount.tape_pool == potential.queue
        )
    factor = 2 if potential.mount_type is MountType.ARCHIVE_FOR_REPACK else 1
    share = 1 + existing
    return (
        potential.bytes / share >= criteria.min_bytes * factor
        or potential.files / share >= criteria.min_files * factor
        or (existing == 0 and potential.aged)
    )


def _tapes(potential: PotentialMount, situation: Situation, excluded: Collection[str]) -> Iterator[TapeFacts]:
    if potential.mount_type is MountType.RETRIEVE:
        tape = situation.readable.get(potential.queue)
        wanted = TapeState.REPACKING if potential.repack else TapeState.ACTIVE
        if tape is not None and tape.state is wanted:
            yield tape
        return
    for tape in situation.writable:
        # Upstream picks unlabelled tapes too, and then fails in the drive. A tape with files has a label even
        # when the catalogue does not know since when.
        labelled = tape.label_time is not None or tape.last_fseq > 0
        if tape.tape_pool == potential.queue and labelled and tape.vid not in excluded:
            yield tape


def order(potentials: Sequence[PotentialMount]) -> list[PotentialMount]:
    """Most urgent first: priority, archive for users before others, oldest job, name."""
    return sorted(
        potentials,
        key=lambda p: (
            -p.priority,
            p.mount_type is not MountType.ARCHIVE_FOR_USER,
            p.oldest_time,
            p.queue,
        ),
    )


def decide(
    potentials: Sequence[PotentialMount],
    situation: Situation,
    criteria: MountCriteria,
    excluded_vids: Collection[str] = (),
) -> Decision | None:
    """The first queue, in order, that may be served now with a tape that is free; None when there is none."""
    for potential in order(potentials):
        if not _worth_it(potential, situation, criteria):
            continue
        archive = _is_archive(potential.mount_type)
        for tape in _tapes(potential, situation, excluded_vids):
            if tape.vid in situation.vids_in_use:
                continue
            vo = situation.repack_vo if potential.repack else tape.vo
            if vo is None or not _quota_left(situation, vo, archive):
                break
            return Decision(potential, tape, vo)
    return None
