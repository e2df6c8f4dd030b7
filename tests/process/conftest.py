# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the process tests: a site with real programs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench import Site, make_template


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template") / "t"
    make_template(root)
    return root


@pytest.fixture
def make_site(tmp_path: Path, template: Path) -> Iterator[Callable[..., Site]]:
    """Makes a site; ``extra`` is appended to its configuration."""
    made: list[Site] = []

    def make(extra: str = "") -> Site:
        root = tmp_path / f"site{len(made)}"
        root.mkdir()
        shutil.copytree(template / "library", root / "library")
        shutil.copy(template / "cta.db", root / "cta.db")
        made.append(Site(root, extra))
        return made[-1]

    yield make
    for site in made:
        site.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()
