# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the transfer tests: a disk, virtual tapes, and the proof that no thread is left."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from transfer_parts import Disk, Tape


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    directory = tmp_path / "disk"
    directory.mkdir()
    return Disk(directory)


@pytest.fixture
def make_tape(tmp_path: Path) -> Iterator[Callable[..., Tape]]:
    made: list[Tape] = []

    def make(media: str = "LTO-9", protection: bool = False) -> Tape:
        made.append(Tape(tmp_path / f"tape-{len(made)}.tap", media, protection))
        return made[-1]

    yield make
    for tape in made:
        tape.port.close()


@pytest.fixture
def tape(make_tape: Callable[..., Tape]) -> Tape:
    return make_tape()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    directory = tmp_path / "out"
    directory.mkdir()
    return directory
