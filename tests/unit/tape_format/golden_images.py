# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the golden images are, and how the files beside them and the images themselves are taken apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cta_taped.tape.drive import TapeDrive

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
IMAGES = ["labelled", "labelled-lbp", "sizes", "small100", "small100-lbp", "appended", "placeholder"]

LoadImage = Callable[..., TapeDrive]


def rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON lines file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def records(image: bytes) -> list[bytes]:
    """An image cut into its objects, framing included."""
    objects = []
    offset = 0
    while offset < len(image):
        length = int.from_bytes(image[offset : offset + 4], "little")
        size = 4 if length == 0 else 8 + length + length % 2
        objects.append(image[offset : offset + size])
        offset += size
    return objects
