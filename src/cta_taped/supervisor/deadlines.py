# SPDX-License-Identifier: GPL-3.0-or-later
"""Which deadlines press on a drive: three a state, the grades of ending, back-off and abort.

Pure: times are seconds of a monotonic clock, limits come from the live configuration, so that a reload holds
from the next turn of the loop on.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from cta_taped.common.config_schema import Deadlines, Ending
from cta_taped.common.model import Grade
from cta_taped.supervisor.drive import Drive, Phase

BACK_OFF_S: Final = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
STUCK_AFTER_S: Final = 10.0
ESCALATE: Final = "escalate"
WAKE: Final = "wake"
KILL: Final = "kill"
GIVE_UP: Final = "give up"

# Per phase the longest time in it, without a sign of life, and without movement (fields of Deadlines).
LIMITS: Final[dict[Phase, tuple[str | None, str | None, str | None]]] = {
    Phase.STARTING: ("starting_s", None, None),
    Phase.PROBING: ("probing_s", None, None),
    Phase.SCHEDULING: (None, "scheduling_heartbeat_s", None),
    Phase.MOUNTING: ("mounting_s", None, None),
    Phase.TRANSFERING: (None, "transferring_heartbeat_s", "transferring_movement_s"),
    Phase.UNLOADING: ("unloading_s", None, None),
    Phase.UNMOUNTING: ("unmounting_s", None, None),
    Phase.DRAINING: ("draining_s", None, "draining_heartbeat_s"),
    Phase.ENDING: ("ending_s", None, None),
    Phase.RESCUING: ("rescuing_s", None, None),
}


class Deadline(NamedTuple):
    """When something must have happened, and what it means when it has not."""

    when: float
    reason: str


def deadline(drive: Drive, limits: Deadlines, ending: Ending) -> Deadline | None:
    """The nearest deadline of the drive under the configuration of this moment; None when nothing presses."""
    if drive.phase is Phase.WAITING:
        failures = drive.rescues if drive.occupied else drive.failures
        back_off_s = BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)]
        return Deadline(drive.since + back_off_s, WAKE)
    if drive.phase is Phase.ABORTING:
        if drive.command == KILL:
            return Deadline(drive.alive_at + STUCK_AFTER_S, GIVE_UP)
        return Deadline(drive.since + limits.abort_grace_s, KILL)
    if drive.phase not in LIMITS:
        return None
    pending = []
    in_state, heartbeat, movement = LIMITS[drive.phase]
    for field, start, what in (
        (in_state, drive.since, "in the state"),
        (heartbeat, drive.alive_at, "without a sign of life"),
        (movement, drive.moved_at, "without movement"),
    ):
        if field is not None:
            limit_s: float = getattr(limits, field)
            text = f"{drive.phase}: {limit_s:g} s {what}"
            if drive.command is not None:
                text += f" and {drive.command} not back"
            pending.append(Deadline(max(start + limit_s, drive.command_until), text))
    if drive.silent_since is not None:
        pending.append(
            Deadline(drive.silent_since + limits.abort_grace_s, "channel closed by a living worker")
        )
    if drive.grade is not None and drive.child == "session":
        limit_s = {Grade.DRAIN: ending.drain_s, Grade.QUICK: ending.quick_s, Grade.NOW: ending.now_s}[
            drive.grade
        ]
        pending.append(Deadline(drive.grade_since + limit_s, ESCALATE))
    return min(pending, default=None)
