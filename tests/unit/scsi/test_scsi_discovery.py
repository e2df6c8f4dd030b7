# SPDX-License-Identifier: GPL-3.0-or-later
"""Discovery: the description of udev devices. A host of tests has no tape drive, so devices are made up."""

from __future__ import annotations

from types import SimpleNamespace

from cta_taped.common.scsi import discovery
from cta_taped.common.scsi.data import DriveFamily


def node(subsystem: str, name: str, *links: str) -> SimpleNamespace:
    return SimpleNamespace(
        subsystem=subsystem, sys_name=name, device_node=f"/dev/{name}", device_links=list(links)
    )


def device(address: str, attributes: dict[str, bytes], *children: SimpleNamespace) -> SimpleNamespace:
    return SimpleNamespace(sys_name=address, attributes=attributes, children=list(children))


DRIVE = device(
    "3:0:1:0",
    {
        "type": b"1",
        "vendor": b"IBM     ",
        "model": b"ULT3580-TD9     ",
        "rev": b"R3G3",
        "vpd_pg80": bytes.fromhex("01 80 00 0a") + b"0123456789",
    },
    node("scsi_tape", "st1"),
    node("scsi_tape", "nst1a", "/dev/tape/by-id/scsi-35000-nsta"),
    node("scsi_tape", "nst1", "/dev/tape/by-path/p", "/dev/tape/by-id/scsi-35000-nst"),
    node("scsi_generic", "sg4"),
)


def test_drive() -> None:
    found = discovery.describe(DRIVE, discovery.TAPE_TYPE)
    assert found == discovery.FoundDevice(
        device_type=1,
        address="3:0:1:0",
        vendor="IBM",
        model="ULT3580-TD9",
        revision="R3G3",
        serial="0123456789",
        family=DriveFamily.LTO,
        tape_node="/dev/nst1",
        generic_node="/dev/sg4",
        by_id="/dev/tape/by-id/scsi-35000-nst",
    )


def test_changer_without_serial_or_driver() -> None:
    changer = device(
        "3:0:0:1", {"type": b"8", "vendor": b"STK", "model": b"L700"}, node("scsi_generic", "sg3")
    )
    found = discovery.describe(changer, discovery.CHANGER_TYPE)
    assert (found.family, found.serial, found.tape_node, found.by_id) == (None, "", "", "")
    assert found.generic_node == "/dev/sg3"


def test_listing_this_host() -> None:
    """Whatever this host has, the listing works and is in order of address."""
    found = discovery.find_devices()
    assert found == sorted(found, key=lambda one: [int(part) for part in one.address.split(":")])
