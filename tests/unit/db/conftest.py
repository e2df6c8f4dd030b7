# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the database tests: a site on SQLite and on a private PostgreSQL server."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dbsite import Site, make_site

_PG_BIN = max(
    Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: float(path.parent.name)
)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """A private server on a Unix socket; the URL with {database} to fill in. Ends with the tests."""
    if _PG_BIN is None:
        pytest.skip("PostgreSQL is not installed")
    other: dict[str, str] = {}
    if os.getuid() == 0:
        # The server refuses to run as root.
        users = {entry.pw_name for entry in pwd.getpwall()}
        other = {"user": "postgres" if "postgres" in users else "nobody"}
    # Not below pytest's own directory: that one is closed to other users.
    with tempfile.TemporaryDirectory(prefix="cta-taped-pg-") as name:
        directory = Path(name)
        if other:
            shutil.chown(directory, other["user"])
        data = directory / "data"
        subprocess.run(
            [_PG_BIN / "initdb", "-D", data, "-A", "trust", "-U", "cta", "--no-sync", "-E", "UTF8"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            **other,  # type: ignore[call-overload]
        )
        server = subprocess.Popen(
            [_PG_BIN / "postgres", "-D", data, "-k", directory, "-h", "", "-F"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **other,
        )
        try:
            ready = [_PG_BIN / "pg_isready", "-q", "-h", directory, "-t", "30"]
            while subprocess.run(ready, check=False).returncode:
                assert server.poll() is None, "the PostgreSQL server did not start"
                time.sleep(0.1)
            yield f"postgresql://cta@/{{database}}?host={directory}"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)


@pytest.fixture
def postgresql_url(postgresql_server: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of its own."""
    import psycopg

    name = f"t{abs(hash(request.node.nodeid))}"
    with psycopg.connect(postgresql_server.format(database="postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    yield postgresql_server.format(database=name)
    with psycopg.connect(postgresql_server.format(database="postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.fixture(
    params=["sqlite", "two-files", pytest.param("postgresql", marks=[pytest.mark.slow])],
)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """A small site, in one SQLite file, in two, and on PostgreSQL."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
        made = make_site(url, url)
    else:
        url = f"sqlite://{tmp_path}/cta.db"
        other = url if request.param == "sqlite" else f"sqlite://{tmp_path}/scheduler.db"
        made = make_site(url, other)
    yield made
    made.catalogue.close()
    made.scheduler.close()
