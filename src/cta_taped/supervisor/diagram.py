# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws docs/states.md from the machine's table: ``python -m cta_taped.supervisor.diagram``.

A test compares the file with ``render()``, so that picture and table cannot part.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Final

from cta_taped.supervisor.deadlines import LIMITS
from cta_taped.supervisor.drive import Phase
from cta_taped.supervisor.machine import SESSION_MOVES, TRANSITIONS
from cta_taped.supervisor.status import STATUSES

MEANINGS: Final[dict[Phase, str]] = {
    Phase.DOWN: "wanted down, or quarantined: no child runs",
    Phase.WAITING: "a pause after a failed child",
    Phase.STARTING: "a session worker was forked and has not reported yet",
    Phase.PROBING: "it looks whether the drive is empty",
    Phase.SCHEDULING: "the drive is up and looks for work",
    Phase.MOUNTING: "robot move, load, label check; the drive is occupied from here on",
    Phase.TRANSFERING: "data move",
    Phase.UNLOADING: "rewind and unload",
    Phase.UNMOUNTING: "the robot takes the cartridge home; its slot is verified",
    Phase.DRAINING: "the tape is home, the rest goes to disk (retrieve only)",
    Phase.ENDING: "the worker said its last word",
    Phase.RESCUING: "the rescue brings a cartridge home",
    Phase.ABORTING: "a worker exceeded a deadline or broke the protocol; it gets SIGABRT, then SIGKILL",
    Phase.STUCK: "a worker is in uninterruptible sleep: nothing touches the drive",
    Phase.STOPPED: "the service ends",
}
_HEAD: Final = """# States of a drive

Drawn from `TRANSITIONS` of `src/cta_taped/supervisor/machine.py` by `python -m cta_taped.supervisor.diagram`;
a test keeps them in agreement. The table is total: an event that is not drawn leaves the state as it is.

```mermaid
stateDiagram-v2
    [*] --> DOWN
"""
_TAIL: Final = """    STOPPED --> [*]
```

## What each state is

Three deadlines press on a state: the time in it, the time without a sign of life from the thread that moves
the tape, and the time without movement. A command that the worker announced (load, locate, rewind, unload, a
robot move) holds them off for its own time-out. The keys are those of `[deadlines]` in the configuration.

| state | meaning | status in the catalogue | in the state | no sign of life | no movement |
|---|---|---|---|---|---|
"""


def _edges(phase: Phase) -> list[str]:
    """The arrows that leave a state, one a target."""
    causes: dict[Phase, list[str]] = defaultdict(list)
    for kind, rule in TRANSITIONS[phase].items():
        for target in rule.to:
            causes[target].append(kind.removeprefix("StateChanged "))
    # A worker that says what its state does not allow is ended; the list would be the whole table.
    return [
        f"{target}: {'protocol violated, deadline' if target is Phase.ABORTING else ', '.join(kinds)}"
        for target, kinds in causes.items()
    ]


def render() -> str:
    """The whole of docs/states.md. Arrows that all states of a session share leave the frame around them."""
    edges = {phase: _edges(phase) for phase in Phase}
    shared = [edge for edge in edges[Phase.STARTING] if all(edge in edges[phase] for phase in SESSION_MOVES)]
    lines = ["    state SESSION {\n"]
    for phase in SESSION_MOVES:
        lines += [f"        {phase} --> {edge}\n" for edge in edges[phase] if edge not in shared]
    lines += ["    }\n"] + [f"    SESSION --> {edge}\n" for edge in shared]
    for phase in Phase:
        if phase not in SESSION_MOVES:
            lines += [f"    {phase} --> {edge}\n" for edge in edges[phase]]
    table = []
    for phase in Phase:
        limits = " | ".join(f"`{key}`" if key else "" for key in LIMITS.get(phase, (None, None, None)))
        table.append(f"| {phase} | {MEANINGS[phase]} | {STATUSES[phase] or 'unchanged'} | {limits} |\n")
    return _HEAD + "".join(lines) + _TAIL + "".join(table)


if __name__ == "__main__":
    sys.stdout.write(render())
