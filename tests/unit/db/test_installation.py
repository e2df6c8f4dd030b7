# SPDX-License-Identifier: GPL-3.0-or-later
"""Schemas are made once and checked; damaged, missing and foreign databases are called by their names."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from dbsite import Site, make_site
from sqlalchemy import text

from cta_taped.common.errors import CtaError
from cta_taped.db.backends import (
    SchemaPart,
    check_schema,
    create_own_tables,
    create_schema,
    open_catalogue,
    open_scheduler,
)
from cta_taped.db.catalogue import ObjectKind
from cta_taped.db.sql.database import CATALOGUE_FAULTS, SCHEDULER_FAULTS
from cta_taped.db.sql.postgresql import PostgresqlDatabase


def _symbol(caught: pytest.ExceptionInfo[CtaError]) -> str:
    return caught.value.spec.symbol


def test_a_new_schema_passes_its_check_and_is_not_made_twice(site: Site) -> None:
    check_schema(site.catalogue_url, SchemaPart.CATALOGUE)
    check_schema(site.scheduler_url, SchemaPart.SCHEDULER)
    site.catalogue.check()
    site.scheduler.check()
    for url, part in (
        (site.catalogue_url, SchemaPart.CATALOGUE),
        (site.scheduler_url, SchemaPart.SCHEDULER),
    ):
        with pytest.raises(CtaError, match="there already"):
            create_schema(url, part)
        create_own_tables(url, part)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE CTA_CATALOGUE SET SCHEMA_VERSION_MAJOR = 14", "14.0 found, 15.0 needed"),
        ("DELETE FROM CTA_CATALOGUE", "schema none found"),
        ("ALTER TABLE TAPE DROP COLUMN PURCHASE_ORDER", "TAPE.PURCHASE_ORDER"),
        ("DROP TABLE DRIVE_CONFIG", "DRIVE_CONFIG"),
        ("DROP TABLE CTA_CATALOGUE", "no catalogue here"),
    ],
)
def test_other_schemas_are_refused(tmp_path: Path, statement: str, message: str) -> None:
    url = f"sqlite://{tmp_path}/cta.db"
    create_schema(url, SchemaPart.CATALOGUE)
    with sqlite3.connect(tmp_path / "cta.db") as connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(CtaError, match=message) as caught:
        check_schema(url, SchemaPart.CATALOGUE)
    assert _symbol(caught) == "CATALOGUE_SCHEMA"


def test_a_later_minor_catalogue_is_accepted_and_a_later_minor_scheduler_is_not(tmp_path: Path) -> None:
    site = make_site(f"sqlite://{tmp_path}/cta.db", f"sqlite://{tmp_path}/cta.db")
    with sqlite3.connect(tmp_path / "cta.db") as connection:
        connection.execute("UPDATE CTA_CATALOGUE SET SCHEMA_VERSION_MINOR = 3")
        connection.execute("UPDATE CTA_SCHEDULER SET SCHEMA_VERSION_MINOR = 1")
    connection.close()
    site.catalogue.check()
    with pytest.raises(CtaError, match=r"1.1 found") as caught:
        site.scheduler.check()
    assert _symbol(caught) == "SCHEDULER_SCHEMA"
    site.catalogue.close()
    site.scheduler.close()


def test_a_missing_file_is_an_outage_and_is_not_created(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    catalogue = open_catalogue(f"sqlite://{path}")
    with pytest.raises(CtaError, match=r"none\.db") as caught:
        catalogue.drives.all()
    assert _symbol(caught) == "CATALOGUE_LOST"
    assert not path.exists()


def test_a_database_that_comes_back_is_used_again(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/cta.db"
    catalogue = open_catalogue(url)
    with pytest.raises(CtaError):
        catalogue.drives.all()
    create_schema(url, SchemaPart.CATALOGUE)
    assert catalogue.drives.all() == []
    catalogue.close()


@pytest.mark.parametrize("part", list(SchemaPart))
def test_a_file_that_is_no_database_is_corrupt(tmp_path: Path, part: SchemaPart) -> None:
    path = tmp_path / "cta.db"
    path.write_bytes(b"this is not a database, whatever it is " * 200)
    with pytest.raises(CtaError, match=r"cta\.db") as caught:
        check_schema(f"sqlite://{path}", part)
    assert _symbol(caught) == f"{part.upper()}_CORRUPT"
    assert "\n" not in str(caught.value)


def test_a_damaged_page_is_corrupt(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/cta.db"
    site = make_site(url, url)
    for number in range(200):
        site.add(ObjectKind.DISK_INSTANCE, name=f"instance{number}")
    site.catalogue.close()
    site.scheduler.close()
    path = tmp_path / "cta.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'disk_instance'"
        ).fetchone()[0]
        page_size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * page_size)
        file.write(b"\xa5" * page_size)
    catalogue = open_catalogue(url)
    with pytest.raises(CtaError, match=r"cta\.db") as caught:
        catalogue.objects.find(ObjectKind.DISK_INSTANCE)
    assert _symbol(caught) == "CATALOGUE_CORRUPT"
    catalogue.close()


def test_a_table_that_vanished_is_a_schema_fault(site: Site, tmp_path: Path) -> None:
    if not site.catalogue_url.startswith("sqlite"):
        pytest.skip("SQLite's own message is meant")
    with sqlite3.connect(tmp_path / "cta.db") as connection:
        connection.execute("DROP TABLE DRIVE_CONFIG")
    connection.close()
    with pytest.raises(CtaError) as caught:
        site.catalogue.drives.all()
    assert _symbol(caught) == "CATALOGUE_SCHEMA"


@pytest.mark.parametrize(
    "url",
    [
        "mysql://x/y",
        "",
        "cta.db",
        "sqlite://relative.db",
        "sqlite:///",
        "postgresql://host",
        "postgresql://host:port/db",
    ],
)
def test_bad_urls_are_configuration_errors(url: str) -> None:
    with pytest.raises(CtaError) as caught:
        open_catalogue(url)
    assert _symbol(caught) == "CONFIG_INVALID"
    with pytest.raises(CtaError):
        open_scheduler(url, url, "x")


@pytest.mark.slow
def test_enumerations_are_compared_label_by_label(postgresql_url: str) -> None:
    create_schema(postgresql_url, SchemaPart.SCHEDULER)
    database = PostgresqlDatabase(postgresql_url, SCHEDULER_FAULTS)
    with database.write() as connection:
        # A label more is of no harm, like a column more.
        connection.execute(text("ALTER TYPE archive_job_status ADD VALUE 'AJS_New'"))
    check_schema(postgresql_url, SchemaPart.SCHEDULER)
    with database.write() as connection:
        for renamed in (
            "archive_job_status RENAME VALUE 'AJS_ToReportToUserForFailure' TO 'AJS_ToTellOfFailure'",
            "retrieve_job_status RENAME VALUE 'RJS_ToTransfer' TO 'rjs_totransfer'",
        ):
            connection.execute(text(f"ALTER TYPE {renamed}"))
    with pytest.raises(CtaError) as caught:
        check_schema(postgresql_url, SchemaPart.SCHEDULER)
    assert _symbol(caught) == "SCHEDULER_SCHEMA"
    assert str(caught.value).endswith(
        "ARCHIVE_JOB_STATUS.AJS_ToReportToUserForFailure, RETRIEVE_JOB_STATUS.RJS_ToTransfer"
    )
    database.close()


@pytest.mark.slow
def test_a_cut_connection_is_an_outage_and_the_next_question_makes_a_new_one(postgresql_url: str) -> None:
    create_schema(postgresql_url, SchemaPart.CATALOGUE)
    database = PostgresqlDatabase(postgresql_url, CATALOGUE_FAULTS)
    with pytest.raises(CtaError) as caught, database.write() as connection:
        own = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with database.read() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": own})
        connection.execute(text("SELECT 1"))
    assert _symbol(caught) == "CATALOGUE_LOST"
    with database.read() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    database.close()


@pytest.mark.slow
def test_an_unreachable_server_is_an_outage(tmp_path: Path) -> None:
    catalogue = open_catalogue(f"postgresql://cta@/cta?host={tmp_path}")
    with pytest.raises(CtaError) as caught:
        catalogue.drives.all()
    assert _symbol(caught) == "CATALOGUE_LOST"
