# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual drives and libraries for the tests of this folder, each in its own temporary directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from virtualsite import MakeLibrary, OpenImage

from cta_taped.common.scsi.port import open_tape_port
from cta_taped.virtual.library_plan import Plan, create_library
from cta_taped.virtual.st import SequentialPort


@pytest.fixture
def open_image(tmp_path: Path) -> Iterator[OpenImage]:
    """Opens ``tap:`` drives on images of the test's directory, and closes them."""
    ports: list[SequentialPort] = []

    def open_one(name: str = "tape.tap", **parameters: object) -> SequentialPort:
        query = "&".join(f"{key}={value}" for key, value in {"create": 1, **parameters}.items())
        port = open_tape_port(f"tap:{tmp_path / name}?{query}")
        assert isinstance(port, SequentialPort)
        ports.append(port)
        return port

    yield open_one
    for port in ports:
        port.close()


@pytest.fixture
def make_library(tmp_path: Path) -> MakeLibrary:
    """Makes a library of two drives, four slots, one port and two cartridges, unless told otherwise."""

    def make(**changes: object) -> Path:
        plan: dict[str, object] = {
            "drives": 2,
            "slots": 4,
            "ports": 1,
            "cartridges": ["V00001", "V00002"],
            "media": "LTO-9",
            "capacity_bytes": None,
            "logical_library": "VTL",
        }
        create_library(tmp_path / "library", Plan(**{**plan, **changes}))  # type: ignore[arg-type]
        return tmp_path / "library"

    return make
