# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemons of this host's drives, asked over their control sockets.

What it is: the client's view of ``common.ipc.varlink``: where a drive's socket is, what its daemon says,
what it can be told. What it is not: the catalogue; all of this works while every database is away.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from cta_taped.admin.site import Site
from cta_taped.common.config import load
from cta_taped.common.errors import SYSTEM_PROTOCOL, CtaError
from cta_taped.common.ipc.varlink import call

QUESTION_TIMEOUT_S: Final = 3.0
COMMAND_TIMEOUT_S: Final = 10.0

_SETTLED_UP: Final = frozenset(
    {"SCHEDULING", "MOUNTING", "TRANSFERING", "UNLOADING", "UNMOUNTING", "DRAINING", "ENDING"}
)
_SETTLED_DOWN: Final = frozenset({"DOWN", "STOPPED"})


class DaemonState(BaseModel):
    """Type ``State`` of the control interface (``varlink.DESCRIPTION``); a newer daemon may say more."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    drive: str
    phase: str
    status: str
    desired: str
    reason: str | None = None
    occupied: bool
    vid: str | None = None
    mount_id: int | None = None
    mount_type: str | None = None
    tape_pool: str | None = None
    vo: str | None = None
    files: int
    tape_bytes: int
    disk_bytes: int
    phase_elapsed_s: float
    command: str | None = None
    outage: str | None = None
    ending: str | None = None
    stopping: bool
    ready: bool
    unpublished: int
    supervisor_pid: int
    session_pid: int | None = None
    maintenance_pid: int | None = None
    version: str

    @property
    def settled_down(self) -> bool:
        """The drive is out of work, and no cartridge may be in it."""
        return self.phase in _SETTLED_DOWN and not self.occupied

    @property
    def settled_up(self) -> bool:
        """The drive was found empty and looks for work, or would if a database answered."""
        return self.phase in _SETTLED_UP or (self.phase == "WAITING" and self.outage is not None)


class Daemon:
    """The daemon that serves one drive of this host. Raises CONFIG_* when the drive's file is wrong."""

    def __init__(self, site: Site, name: str) -> None:
        self.name = name
        self.config = load(site.file, name).config

    def state(self) -> DaemonState:
        """What it knows of its drive. Raises as ``call``, SYSTEM_PROTOCOL for a state that is none."""
        reply = self._call("GetState", {}, QUESTION_TIMEOUT_S)
        try:
            return DaemonState.model_validate(reply.get("state"))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "state"
            raise CtaError(
                SYSTEM_PROTOCOL, f"{self.config.control_socket}: {where}: {first['msg']}"
            ) from None

    def set_up(self, reason: str | None) -> None:
        """Set the drive up; no reason clears the stored one. Raises what the daemon replies."""
        self._call("SetUp", {"reason": reason}, COMMAND_TIMEOUT_S)

    def set_down(self, grade: str | None, reason: str) -> None:
        """Set the drive down, by the configured grade if none is given. Raises what the daemon replies."""
        self._call("SetDown", {"grade": grade, "reason": reason}, COMMAND_TIMEOUT_S)

    def _call(self, method: str, parameters: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        return call(self.config.control_socket, method, parameters, timeout_s)
