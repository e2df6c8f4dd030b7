# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of our own, beside CTA's and prefixed TAPED_; CTA's tables are never altered for them.

``TAPED_SEQUENCE`` stands in for sequences where the database has none (SQLite). ``TAPED_REQUEST`` remembers
each request that was queued here until long after its job rows are gone, so that whoever waits for it learns
how it ended. ``TAPED_DISK_FILE`` keeps the URL of files whose path does not fit into DISK_FILE_ID, so that a
folder can be found again by it.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

from cta_taped.db.schema_types import N20, labels

CATALOGUE_METADATA: Final = MetaData()
SCHEDULER_METADATA: Final = MetaData()

TAPED_SEQUENCE = Table(
    "taped_sequence",
    CATALOGUE_METADATA,
    Column("name", String(100), primary_key=True),
    Column("next_value", N20, nullable=False),
)

TAPED_DISK_FILE = Table(
    "taped_disk_file",
    CATALOGUE_METADATA,
    Column("disk_instance_name", String(100), primary_key=True),
    Column("disk_file_id", String(100), primary_key=True),
    Column("url", Text, nullable=False),
)

TAPED_REQUEST = Table(
    "taped_request",
    SCHEDULER_METADATA,
    Column("direction", String(10), primary_key=True),
    Column("request_id", BigInteger, primary_key=True, autoincrement=False),
    Column("archive_file_id", N20, nullable=False),
    Column("disk_instance", String(100), nullable=False),
    Column("disk_file_id", String(100), nullable=False),
    Column("copies", Integer, nullable=False),
    Column("outcome", labels("taped_request_outcome", "open", "done", "failed", "cancelled"), nullable=False),
    Column("failure_log", Text),
    Column("creation_time", BigInteger, nullable=False),
    Column("finish_time", BigInteger),
)
Index("taped_request_file_idx", TAPED_REQUEST.c.disk_instance, TAPED_REQUEST.c.disk_file_id)
Index("taped_request_finish_idx", TAPED_REQUEST.c.finish_time)
