# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of the mount decision, one by one (scheduler reference 4, upstream-daemon E.2)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cta_taped.common.model import MountType, TapeState
from cta_taped.db.catalogue import TapeFacts
from cta_taped.db.decision import Decision, ExistingMount, PotentialMount, Quota, Situation, decide, order
from cta_taped.db.scheduler import MountCriteria

CRITERIA = MountCriteria(min_files=100, min_bytes=1000)
USER, REPACK, RETRIEVE = MountType.ARCHIVE_FOR_USER, MountType.ARCHIVE_FOR_REPACK, MountType.RETRIEVE


def tape(vid: str, pool: str = "pool1", **values: object) -> TapeFacts:
    made = TapeFacts(
        vid=vid,
        state=TapeState.ACTIVE,
        state_reason=None,
        media_type="LTO9",
        cartridge="LTO-9",
        vendor="v",
        logical_library="lib1",
        tape_pool=pool,
        vo="vo1",
        capacity_bytes=10**12,
        density_code=None,
        nb_wraps=None,
        min_lpos=None,
        max_lpos=None,
        last_fseq=0,
        data_bytes=0,
        is_full=False,
        is_from_castor=False,
        label_format=0,
        label_drive=None,
        label_time=1,
        encryption_key_name=None,
        pool_encrypted=False,
        pool_encryption_key_name=None,
    )
    return replace(made, **values)  # type: ignore[arg-type]


def queue(name: str = "pool1", kind: MountType = USER, **values: object) -> PotentialMount:
    made = PotentialMount(kind, name, kind is REPACK, 100, 10, 1, 50, aged=False)
    return replace(made, **values)  # type: ignore[arg-type]


SITUATION = Situation(
    existing=(),
    vids_in_use=frozenset(),
    writable=(tape("A"), tape("B")),
    readable={"R": tape("R"), "P": tape("P", state=TapeState.REPACKING)},
    quotas={"vo1": Quota(2, 2), "repack": Quota(1, 1)},
    repack_vo="repack",
)


def chosen(situation: Situation, *queues: PotentialMount, excluded: tuple[str, ...] = ()) -> str | None:
    decision = decide(queues, situation, CRITERIA, excluded)
    return decision.tape.vid if decision else None


def running(
    kind: MountType = USER, pool: str = "pool1", vo: str = "vo1", repack: bool = False
) -> ExistingMount:
    return ExistingMount(kind, "X", pool, vo, repack)


def test_the_first_writable_tape_of_the_pool() -> None:
    assert decide([queue()], SITUATION, CRITERIA) == Decision(queue(), tape("A"), "vo1")
    assert chosen(SITUATION, queue("other")) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"files": 99, "bytes": 999}, None),
        ({"files": 99, "bytes": 1000}, "A"),
        ({"files": 100, "bytes": 0}, "A"),
        ({"files": 1, "bytes": 0, "aged": True}, "A"),
    ],
)
def test_criteria(change: dict[str, object], expected: str | None) -> None:
    assert chosen(SITUATION, queue(**change)) == expected


def test_existing_mounts_share_the_queue_and_silence_age() -> None:
    busy = replace(SITUATION, existing=(running(),), vids_in_use=frozenset("X"))
    assert chosen(busy, queue(files=199, aged=True)) is None
    assert chosen(busy, queue(files=200)) == "A"
    assert chosen(replace(busy, existing=(running(pool="pool2"),)), queue(files=100)) == "A"
    assert chosen(replace(busy, existing=(running(RETRIEVE),)), queue(files=100)) == "A"


def test_repack_archive_needs_twice_as_much_and_the_repack_organisation() -> None:
    assert chosen(SITUATION, queue(kind=REPACK, files=199)) is None
    assert chosen(SITUATION, queue(kind=REPACK, files=200)) == "A"
    assert chosen(replace(SITUATION, repack_vo=None), queue(kind=REPACK, files=200)) is None
    used = replace(SITUATION, existing=(running(REPACK, pool="other", repack=True),))
    assert chosen(used, queue(kind=REPACK, files=200)) is None
    assert chosen(used, queue()) == "A"


def test_quotas_count_directions_apart() -> None:
    writers = replace(SITUATION, existing=(running(pool="p"), running(pool="q")))
    assert chosen(writers, queue(files=10**6)) is None
    assert chosen(writers, queue("R", RETRIEVE)) == "R"
    readers = replace(SITUATION, existing=(running(RETRIEVE), running(RETRIEVE)))
    assert chosen(readers, queue("R", RETRIEVE)) is None
    assert chosen(readers, queue()) == "A"
    assert chosen(replace(SITUATION, quotas={}), queue()) is None


def test_tapes_in_use_excluded_or_without_label_are_passed_over() -> None:
    assert chosen(replace(SITUATION, vids_in_use=frozenset("A")), queue()) == "B"
    assert chosen(SITUATION, queue(), excluded=("A",)) == "B"
    assert chosen(replace(SITUATION, writable=(tape("A", label_time=None), tape("B"))), queue()) == "B"
    old = tape("A", label_time=None, last_fseq=7)
    assert chosen(replace(SITUATION, writable=(old, tape("B"))), queue()) == "A"
    assert chosen(replace(SITUATION, vids_in_use=frozenset("R")), queue("R", RETRIEVE)) is None
    assert chosen(SITUATION, queue("R", RETRIEVE), excluded=("R",)) == "R"


def test_user_retrieves_read_active_tapes_and_repack_retrieves_tapes_in_repack() -> None:
    assert chosen(SITUATION, queue("P", RETRIEVE)) is None
    assert chosen(SITUATION, queue("P", RETRIEVE, repack=True)) == "P"
    assert chosen(SITUATION, queue("R", RETRIEVE, repack=True)) is None
    assert chosen(SITUATION, queue("elsewhere", RETRIEVE)) is None


def test_order() -> None:
    urgent = queue("z", RETRIEVE, priority=9, oldest_time=99)
    archive = queue("y", USER, oldest_time=99)
    old, young = queue("x", RETRIEVE, oldest_time=1), queue("w", RETRIEVE, oldest_time=2)
    twin = queue("v", RETRIEVE, oldest_time=2)
    assert order([young, old, twin, archive, urgent]) == [urgent, archive, old, twin, young]


@given(
    st.lists(
        st.builds(
            queue,
            st.sampled_from(["pool1", "pool2", "R", "P"]),
            st.sampled_from([USER, REPACK, RETRIEVE]),
            files=st.integers(1, 300),
            priority=st.integers(0, 3),
            aged=st.booleans(),
        ),
        max_size=6,
    ),
    st.lists(st.builds(running, st.sampled_from([USER, REPACK, RETRIEVE])), max_size=4),
    st.frozensets(st.sampled_from("ABRP")),
)
def test_no_choice_ever_breaks_a_rule(
    queues: list[PotentialMount], existing: list[ExistingMount], in_use: frozenset[str]
) -> None:
    situation = replace(SITUATION, existing=existing, vids_in_use=in_use)
    decision = decide(queues, situation, CRITERIA)
    if decision is None:
        return
    assert decision.tape.vid not in in_use
    same_way = [
        mount
        for mount in existing
        if (mount.mount_type is RETRIEVE) == (decision.potential.mount_type is RETRIEVE)
    ]
    if decision.vo == "vo1":
        assert len(same_way) < 2
