# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the process tests: a site with real programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench import Site, make_template


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template") / "t"
    make_template(root)
    return root


@pytest.fixture
def make_site(tmp_path: Path, template: Path) -> Callable[..., Site]:
    """Makes a site; ``extra`` is appended to its configuration."""

    def make(extra: str = "") -> Site:
        root = tmp_path / "site"
        root.mkdir()
        return Site(root, template, extra)

    return make


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()
