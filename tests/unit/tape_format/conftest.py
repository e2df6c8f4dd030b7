# SPDX-License-Identifier: GPL-3.0-or-later
"""Drives with golden images in them, copied: a drive opens its image for writing too."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from golden_images import GOLDEN, LoadImage

from cta_taped.common.scsi.port import open_tape_port
from cta_taped.tape.drive import TapeDrive


@pytest.fixture(scope="session")
def negative(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The damaged images and CTA's verdicts on them."""
    directory = tmp_path_factory.mktemp("negative")
    with tarfile.open(GOLDEN / "negative.tar.xz") as archive:
        archive.extractall(directory)
    return directory / "negative"


@pytest.fixture
def load_image(tmp_path: Path) -> Iterator[LoadImage]:
    """A function that gives a drive with an image in it; all are closed at the end.

    ``load_image(path)`` loads a copy of an existing image; ``load_image(path, create="1", ...)`` the image
    itself, with the properties given.
    """
    drives: list[TapeDrive] = []

    def load(image: Path, **properties: str) -> TapeDrive:
        if not properties:
            image = Path(shutil.copy(image, tmp_path / f"{len(drives)}-{image.name}"))
        query = f"?{urlencode(properties)}" if properties else ""
        drives.append(TapeDrive(open_tape_port(f"tap:{quote(str(image))}{query}")))
        return drives[-1]

    yield load
    for drive in drives:
        drive.close()
