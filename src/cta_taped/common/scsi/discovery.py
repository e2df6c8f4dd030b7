# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tape drives and media changers this host has, as udev and sysfs show them.

A listing for operators and for writing a configuration; sessions open the device their configuration names
and never search. Nothing is opened here, so a drive in use is listed without disturbing it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pyudev

from cta_taped.common.scsi.data import DriveFamily, drive_family, parse_unit_serial

TAPE_TYPE: Final = 1
CHANGER_TYPE: Final = 8

# scsi_tape also lists st0 (rewinding) and nst0l, nst0m, nst0a (other modes of the same drive).
_NON_REWINDING: Final = re.compile(r"nst\d+\Z")


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """A tape drive or changer. Nodes and links are paths, empty if there is none."""

    device_type: int
    address: str
    vendor: str
    model: str
    revision: str
    serial: str
    family: DriveFamily | None
    tape_node: str
    generic_node: str
    by_id: str


def find_devices() -> list[FoundDevice]:
    """All tape drives and media changers, by SCSI address (host:channel:target:lun)."""
    devices = pyudev.Context().list_devices(subsystem="scsi", DEVTYPE="scsi_device")
    return sorted(_describe_all(devices), key=lambda found: [int(part) for part in found.address.split(":")])


def _describe_all(devices: Any) -> Iterator[FoundDevice]:
    for device in devices:
        kind = _attribute(device, "type")
        if kind in (str(TAPE_TYPE), str(CHANGER_TYPE)):
            yield describe(device, int(kind))


def describe(device: Any, device_type: int) -> FoundDevice:
    """One SCSI device of udev and the nodes below it."""
    children = list(device.children)
    tape = _child(children, "scsi_tape", _NON_REWINDING)
    generic = _child(children, "scsi_generic", re.compile(r"sg\d+\Z"))
    model = _attribute(device, "model")
    serial = _serial(device)
    return FoundDevice(
        device_type=device_type,
        address=device.sys_name,
        vendor=_attribute(device, "vendor"),
        model=model,
        revision=_attribute(device, "rev"),
        serial=serial,
        family=drive_family(model, serial) if device_type == TAPE_TYPE else None,
        tape_node=tape.device_node or "" if tape is not None else "",
        generic_node=generic.device_node or "" if generic is not None else "",
        by_id=_by_id(tape if tape is not None else generic),
    )


def _attribute(device: Any, name: str) -> str:
    raw = device.attributes.get(name) or b""
    return str(raw.decode("ascii", "replace")).strip()


def _serial(device: Any) -> str:
    page = device.attributes.get("vpd_pg80") or b""
    try:
        return parse_unit_serial(page)
    except ValueError:
        return ""


def _child(children: list[Any], subsystem: str, name: re.Pattern[str]) -> Any | None:
    for child in children:
        if child.subsystem == subsystem and name.match(child.sys_name):
            return child
    return None


def _by_id(node: Any | None) -> str:
    links = sorted(node.device_links) if node is not None else []
    return next((str(link) for link in links if "/by-id/" in link), "")
