# SPDX-License-Identifier: GPL-3.0-or-later
"""What the contract suites run on: URLs of a drive and a changer, and how a scratch cartridge gets into
the drive.

By default a tape image and a virtual library made for each test. With CTA_TEST_TAPE_URL (and, for a library,
CTA_TEST_CHANGER_URL and CTA_TEST_VID) in the environment the same tests run on that hardware; ITS CARTRIDGE
IS OVERWRITTEN.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

VIDS = ("V00001", "V00002", "V00003")


@dataclass(frozen=True)
class Rig:
    """A drive; no ``changer_url`` if a cartridge is in it already. ``fresh``: that cartridge is blank."""

    tape_url: str
    changer_url: str = ""
    vid: str = VIDS[0]
    drive: int = 0
    fresh: bool = True


def image(directory: Path) -> Rig:
    """A drive with one image in it and no library."""
    return Rig(f"tap:{directory}/tape.tap?create=1&vid={VIDS[0]}&media=LTO-9")


def library(directory: Path) -> Rig:
    """A virtual library of two drives, five slots and three blank cartridges."""
    made = directory / "library"
    arguments = ["create", str(made), "--drives", "2", "--slots", "5", "--media", "LTO-9"]
    subprocess.run(
        [sys.executable, "-m", "cta_taped.virtual", *arguments, "--cartridges", f"{VIDS[0]}..{VIDS[-1]}"],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=60,
    )
    return Rig(f"vtl:{made}?drive=0", f"vtl:{made}")


def hardware() -> Rig | None:
    """The rig that the environment names, if any."""
    url = os.environ.get("CTA_TEST_TAPE_URL")
    if not url:
        return None
    return Rig(
        url,
        os.environ.get("CTA_TEST_CHANGER_URL", ""),
        os.environ.get("CTA_TEST_VID", VIDS[0]),
        int(os.environ.get("CTA_TEST_DRIVE_ORDINAL", "0")),
        fresh=False,
    )
