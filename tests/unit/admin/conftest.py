# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: a site, with and without databases, and a drive that does what is queued."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from adminsite import OBJECTS, SITE_FILE, Admin, Tape

from cta_taped.admin.__main__ import run


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Databases with one of each object; copied for each test, because making them takes its time."""
    root = tmp_path_factory.mktemp("site")
    (root / "site.toml").write_text(SITE_FILE.format(root=root))
    for line in ("db create", *OBJECTS.splitlines()):
        assert run(["--config", str(root / "site.toml"), *line.split()]) == 0
    return root


@pytest.fixture
def bare(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Admin:
    """A site without databases."""
    monkeypatch.delenv("CTA_TAPED_CONFIG", raising=False)
    monkeypatch.delenv("CTA_TAPED_DEBUG", raising=False)
    (tmp_path / "site.toml").write_text(SITE_FILE.format(root=tmp_path))
    return Admin(tmp_path, capsys)


@pytest.fixture
def admin(bare: Admin, template: Path) -> Admin:
    """A site with databases and one of each object."""
    for name in ("catalogue.db", "scheduler.db"):
        shutil.copy(template / name, bare.root / name)
    return bare


@pytest.fixture
def tape(admin: Admin) -> Iterator[Tape]:
    """A drive and its tape."""
    made = Tape(admin)
    yield made
    made.close()
