# SPDX-License-Identifier: GPL-3.0-or-later
"""CTA's relational scheduler, schema 1.0: twelve queue tables of four families, bookkeeping, views,
sequences.

What it is: the definition (scheduler reference, section 2). What it is not: any statement on the queues. Why
the tables are built by functions: the three tables of a family have the same columns, so that rows can move.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    Enum,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Sequence,
    SmallInteger,
    String,
    Table,
    Text,
    desc,
    event,
    false,
)

from cta_taped.db.schema_types import ARCHIVE_JOB_STATUS, N3, REPACK_REQ_STATUS, RETRIEVE_JOB_STATUS, Flag

METADATA: Final = MetaData()
VERSION: Final = (1, 0)

SEQUENCES: Final[dict[str, int]] = {
    "mount_id_seq": 1,
    "archive_request_id_seq": 1,
    "retrieve_request_id_seq": 1,
    "archive_active_queue_job_id_seq": 1,
    "repack_archive_active_queue_job_id_seq": 1,
    "retrieve_active_queue_job_id_seq": 1,
    "repack_retrieve_active_queue_job_id_seq": 1,
}
for _name, _start in SEQUENCES.items():
    Sequence(_name, start=_start, increment=1, metadata=METADATA)

CTA_SCHEDULER = Table(
    "cta_scheduler",
    METADATA,
    Column("schema_version_major", Integer, nullable=False),
    Column("schema_version_minor", Integer, nullable=False),
    Column("next_schema_version_major", Integer),
    Column("next_schema_version_minor", Integer),
    Column("status", String(100)),
    Column("schema_name", String(100)),
    Column("is_production", Flag, nullable=False, server_default="0"),
)

REPACK_REQUEST_TRACKING = Table(
    "repack_request_tracking",
    METADATA,
    Column("repack_request_id", BigInteger, primary_key=True, autoincrement=False),
    Column("vid", String(20), nullable=False, unique=True),
    Column("buffer_url", String(2000), nullable=False),
    Column("status", REPACK_REQ_STATUS, nullable=False),
    Column("is_add_copies", Boolean, nullable=False, server_default=false()),
    Column("is_move", Boolean, nullable=False, server_default=false()),
    Column("is_no_recall", Boolean, nullable=False, server_default=false()),
    Column("is_expand_started", Boolean, nullable=False, server_default=false()),
    Column("is_expand_finished", Boolean, nullable=False, server_default=false()),
    Column("is_complete", Boolean, nullable=False, server_default=false()),
    *(
        Column(name, BigInteger, nullable=False, server_default="0")
        for name in (
            "total_files_on_tape_at_start",
            "total_bytes_on_tape_at_start",
            "total_files_to_retrieve",
            "total_bytes_to_retrieve",
            "total_files_to_archive",
            "total_bytes_to_archive",
            "retrieved_files",
            "retrieved_bytes",
            "archived_files",
            "archived_bytes",
            "failed_to_retrieve_files",
            "failed_to_retrieve_bytes",
            "failed_to_archive_files",
            "failed_to_archive_bytes",
            "last_expanded_fseq",
        )
    ),
    Column("mount_policy", String(100), nullable=False),
    Column("create_username", String(100)),
    Column("create_host", String(100)),
    Column("create_time", BigInteger),
    Column("finish_time", BigInteger),
    Column("last_update_time", BigInteger),
)
Index(
    "repack_request_tracking_status_idx",
    REPACK_REQUEST_TRACKING.c.status,
    REPACK_REQUEST_TRACKING.c.create_time,
)

REPACK_REQUEST_DESTINATION_STATISTICS = Table(
    "repack_request_destination_statistics",
    METADATA,
    Column(
        "repack_request_id",
        ForeignKey("repack_request_tracking.repack_request_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("vid", String(20), primary_key=True),
    Column("archived_files", BigInteger, nullable=False, server_default="0"),
    Column("archived_bytes", BigInteger, nullable=False, server_default="0"),
)

MOUNT_QUEUE_LAST_FETCH = Table(
    "mount_queue_last_fetch",
    METADATA,
    Column("mount_id", BigInteger, primary_key=True, autoincrement=False),
    Column("queue_type", String(50), primary_key=True),
    Column("last_update_time", BigInteger, nullable=False),
)

DISK_SYSTEM_SLEEP_TRACKING = Table(
    "disk_system_sleep_tracking",
    METADATA,
    Column("disk_system_name", String(100), primary_key=True),
    Column("sleep_time", BigInteger, nullable=False),
    Column("last_update_time", BigInteger, nullable=False),
)


def _claim_columns(status: Enum, vid_nullable: bool) -> list[Column[Any]]:
    return [
        Column("status", status, nullable=False),
        Column("creation_time", BigInteger),
        Column("mount_policy", String(100), nullable=False),
        Column("vid", String(20), nullable=vid_nullable),
        Column("mount_id", BigInteger),
        Column("drive", String(100)),
        Column("host", String(100)),
        Column("logical_library", String(100)),
        Column("start_time", BigInteger),
        Column("priority", SmallInteger, nullable=False),
        Column("storage_class", String(100)),
        Column("copy_nb", N3),
        Column("size_in_bytes", BigInteger),
        Column("archive_file_id", BigInteger),
        Column("checksumblob", LargeBinary),
        Column("requester_name", String(100)),
        Column("requester_group", String(100)),
        Column("disk_instance", String(100)),
        Column("disk_file_path", String(2000)),
        Column("disk_file_id", String(100)),
        Column("disk_file_gid", Integer),
        Column("disk_file_owner_uid", Integer),
        Column("total_retries", SmallInteger, nullable=False, server_default="0"),
        Column("max_total_retries", SmallInteger, nullable=False),
        Column("retries_within_mount", SmallInteger, nullable=False, server_default="0"),
        Column("max_retries_within_mount", SmallInteger, nullable=False),
        Column("last_mount_with_failure", BigInteger),
        Column("is_reporting", Boolean, nullable=False, server_default=false()),
        Column("failure_log", Text, server_default=""),
        Column("report_failure_log", Text, server_default=""),
        Column("last_update_time", BigInteger),
        Column("total_report_retries", SmallInteger, nullable=False, server_default="0"),
        Column("max_report_retries", SmallInteger, nullable=False),
    ]


def _archive_columns() -> list[Column[Any]]:
    return [
        Column("archive_request_id", BigInteger),
        Column("request_job_count", SmallInteger),
        Column("tape_pool", String(100), nullable=False),
        Column("mount_type", String(100)),
        Column("min_archive_request_age", Integer, nullable=False),
        Column("src_url", String(2000)),
        Column("archive_report_url", String(2000)),
        Column("archive_error_report_url", String(2000)),
        *_claim_columns(ARCHIVE_JOB_STATUS, vid_nullable=True),
    ]


def _retrieve_columns() -> list[Column[Any]]:
    return [
        Column("retrieve_request_id", BigInteger),
        Column("request_job_count", SmallInteger),
        Column("tape_pool", String(100)),
        Column("min_retrieve_request_age", Integer, nullable=False),
        Column("fseq", BigInteger),
        Column("block_id", BigInteger),
        Column("alternate_copy_nbs", String(20)),
        Column("alternate_fseqs", String(256)),
        Column("alternate_block_ids", String(256)),
        Column("alternate_vids", String(128)),
        Column("dst_url", String(2000)),
        Column("retrieve_report_url", String(2000)),
        Column("retrieve_error_report_url", String(2000)),
        Column("activity", String(100)),
        Column("srr_username", String(100)),
        Column("srr_host", String(100)),
        Column("srr_time", BigInteger),
        Column("srr_mount_policy", String(100)),
        Column("srr_activity", String(100)),
        Column("is_verify_only", Boolean, nullable=False, server_default=false()),
        Column("lifecycle_creation_time", BigInteger),
        Column("lifecycle_first_selected_time", BigInteger),
        Column("lifecycle_completed_time", BigInteger),
        Column("disk_system_name", String(256)),
        *_claim_columns(RETRIEVE_JOB_STATUS, vid_nullable=False),
    ]


def _repack_reference() -> Column[Any]:
    return Column(
        "repack_request_id", ForeignKey("repack_request_tracking.repack_request_id", ondelete="CASCADE")
    )


def _queue(name: str, family: str, columns: list[Column[Any]]) -> Table:
    table = Table(
        name, METADATA, Column("job_id", BigInteger, primary_key=True, autoincrement=False), *columns
    )
    # One sequence a family, that of the ACTIVE table, so that a job keeps its number wherever it is.
    default = f"ALTER TABLE {name} ALTER COLUMN job_id SET DEFAULT"
    default += f" nextval('{family}_active_queue_job_id_seq')"
    statement = DDL(default)  # type: ignore[no-untyped-call]
    event.listen(table, "after_create", statement.execute_if(dialect="postgresql"))
    return table


def _pending_indexes(table: Table, owner: str) -> None:
    c = table.c
    Index(f"{table.name}_claim_idx", c[owner], c.status, desc(c.priority), c.job_id)
    owned = c.mount_id.is_not(None)
    Index(f"{table.name}_mount_idx", c.mount_id, sqlite_where=owned, postgresql_where=owned)


def _active_indexes(table: Table) -> None:
    c = table.c
    free, held = c.is_reporting == false(), ~(c.is_reporting == false())
    Index(f"{table.name}_mount_idx", c.mount_id, c.job_id, sqlite_where=free, postgresql_where=free)
    if table.name == "repack_retrieve_active_queue":
        Index(f"{table.name}_status_idx", c.status, desc(c.priority), c.job_id)
    elif not table.name.startswith("repack"):
        Index(f"{table.name}_status_idx", c.status, sqlite_where=free, postgresql_where=free)
        Index(
            f"{table.name}_reporting_idx",
            c.status,
            c.last_update_time,
            sqlite_where=held,
            postgresql_where=held,
        )
    if table.name == "archive_active_queue":
        Index(f"{table.name}_request_idx", c.archive_request_id, c.status, c.job_id)


def _archive_family(family: str) -> tuple[Table, Table, Table]:
    repack = family.startswith("repack")
    tables = []
    for state in ("pending", "active", "failed"):
        columns = [*_archive_columns(), *([_repack_reference()] if repack else [])]
        tables.append(_queue(f"{family}_{state}_queue", family, columns))
    _pending_indexes(tables[0], "tape_pool")
    _active_indexes(tables[1])
    return tables[0], tables[1], tables[2]


def _retrieve_family(family: str) -> tuple[Table, Table, Table]:
    repack = family.startswith("repack")
    tables = []
    for state in ("pending", "active", "failed"):
        columns = _retrieve_columns()
        if repack:
            columns += [
                _repack_reference(),
                Column("repack_rearchive_copy_nbs", String(20)),
                Column("repack_rearchive_tape_pools", String(2000)),
            ]
        tables.append(_queue(f"{family}_{state}_queue", family, columns))
    _pending_indexes(tables[0], "vid")
    _active_indexes(tables[1])
    return tables[0], tables[1], tables[2]


ARCHIVE = _archive_family("archive")
REPACK_ARCHIVE = _archive_family("repack_archive")
RETRIEVE = _retrieve_family("retrieve")
REPACK_RETRIEVE = _retrieve_family("repack_retrieve")

_SUMMARY = (
    "CREATE VIEW {family}_queue_summary AS SELECT {keys}, COUNT(*) AS jobs_count,"
    " SUM(size_in_bytes) AS jobs_total_size, MIN(start_time) AS oldest_job_start_time,"
    " MAX(start_time) AS youngest_job_start_time, MAX(priority) AS priority,"
    " MIN({age}) AS min_request_age, MAX(last_update_time) AS last_job_update_time"
    " FROM {family}_pending_queue WHERE mount_id IS NULL GROUP BY {keys}"
)
VIEWS: Final[dict[str, str]] = {
    f"{family}_queue_summary": _SUMMARY.format(family=family, keys=keys, age=age)
    for family, keys, age in (
        ("archive", "status, tape_pool, mount_policy", "min_archive_request_age"),
        ("repack_archive", "status, tape_pool, mount_policy", "min_archive_request_age"),
        ("retrieve", "vid, mount_policy, activity, disk_system_name", "min_retrieve_request_age"),
        ("repack_retrieve", "vid, mount_policy, activity, disk_system_name", "min_retrieve_request_age"),
    )
}
for _statement in VIEWS.values():
    event.listen(METADATA, "after_create", DDL(_statement))  # type: ignore[no-untyped-call]

# The checker does not look at these: their columns are used by repack only, which another daemon does.
UNCHECKED: Final = frozenset({"repack_request_tracking", "repack_request_destination_statistics"})
