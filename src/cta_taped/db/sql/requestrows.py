# SPDX-License-Identifier: GPL-3.0-or-later
"""From a request to a queue row: what is refused, and which column gets what.

What it is: checks that need no database, and the two column lists (scheduler reference 2.1 and 2.2). What it
is not: routing (``routing``) or the insertion (``requests``).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Final

from cta_taped.common.errors import CATALOGUE_REFUSED, CtaError
from cta_taped.db import checksumblob
from cta_taped.db.scheduler import ArchiveRequest, RetrieveRequest
from cta_taped.db.sql.database import AnyRow
from cta_taped.db.sql.queues import USER_ARCHIVE, USER_RETRIEVE
from cta_taped.db.sql.routing import Copy, Policy

# Limits that upstream sets at queueing (scheduler reference 2.1): total, within a mount, reports.
_ARCHIVE_RETRIES: Final = (2, 2, 2)
_RETRIEVE_RETRIES: Final = (6, 3, 2)
_MAX_URL: Final = 2000
_MAX_SMALLINT: Final = 32767


def _retries(limits: tuple[int, int, int]) -> dict[str, int]:
    total, within_mount, report = limits
    return {
        "max_total_retries": total,
        "max_retries_within_mount": within_mount,
        "max_report_retries": report,
        "total_retries": 0,
        "retries_within_mount": 0,
        "total_report_retries": 0,
    }


def refuse_bad_archive(request: ArchiveRequest, limit_bytes: int) -> None:
    """Raise CATALOGUE_REFUSED for values that could never be recorded; ``limit_bytes`` 0 means no limit."""
    what = f"{request.disk_file_path or request.source_url}"
    if request.size_bytes <= 0:
        raise CtaError(CATALOGUE_REFUSED, f"{what}: an empty file cannot be recorded to tape")
    if limit_bytes and request.size_bytes > limit_bytes:
        raise CtaError(
            CATALOGUE_REFUSED,
            f"{what}: {request.size_bytes} bytes are more than the virtual organisation's {limit_bytes}",
        )
    if request.requester.uid <= 0 or request.requester.gid < 0:
        raise CtaError(CATALOGUE_REFUSED, f"{what}: files of owner uid {request.requester.uid} are refused")
    if request.adler32 is not None and not 0 <= request.adler32 <= 0xFFFFFFFF:
        raise CtaError(CATALOGUE_REFUSED, f"{what}: adler32 {request.adler32} is not a 32-bit number")
    texts = (
        ("disk instance", request.disk_instance, 100),
        ("disk file id", request.disk_file_id, 100),
        ("path", request.disk_file_path, _MAX_URL),
        ("source URL", request.source_url, _MAX_URL),
    )
    for name, text, length in texts:
        if not text or len(text) > length:
            raise CtaError(CATALOGUE_REFUSED, f"{what}: the {name} is empty or longer than {length}")
    _refuse_long_urls(request.report_url, request.error_report_url)


def refuse_bad_retrieve(request: RetrieveRequest) -> None:
    """Raise CATALOGUE_REFUSED for a destination or report URL that cannot be stored."""
    if not request.verify_only and not 0 < len(request.destination_url) <= _MAX_URL:
        raise CtaError(
            CATALOGUE_REFUSED, f"the destination URL is empty or longer than {_MAX_URL} characters"
        )
    _refuse_long_urls(request.report_url, request.error_report_url)


def _refuse_long_urls(*urls: str) -> None:
    for url in urls:
        if len(url) > _MAX_URL:
            raise CtaError(CATALOGUE_REFUSED, f"a report URL is longer than {_MAX_URL} characters")


def archive_row(
    request: ArchiveRequest,
    policy: Policy,
    job_id: int,
    number: int,
    file_id: int,
    copy_nb: int,
    pool: str,
    now: int,
) -> dict[str, Any]:
    """The row of one copy in ARCHIVE_PENDING_QUEUE."""
    blob = None if request.adler32 is None else checksumblob.encode_adler32(request.adler32)
    return {
        "job_id": job_id,
        "archive_request_id": number,
        "status": USER_ARCHIVE.to_transfer,
        "creation_time": now,
        "mount_policy": policy.name,
        "tape_pool": pool,
        "start_time": now,
        "priority": min(policy.archive_priority, _MAX_SMALLINT),
        "storage_class": request.storage_class,
        "min_archive_request_age": policy.archive_min_age_s,
        "copy_nb": copy_nb,
        "size_in_bytes": request.size_bytes,
        "archive_file_id": file_id,
        "checksumblob": blob,
        "requester_name": request.requester.name[:100],
        "requester_group": request.requester.group[:100],
        "src_url": request.source_url,
        "disk_instance": request.disk_instance,
        "disk_file_path": request.disk_file_path,
        "disk_file_id": request.disk_file_id,
        "disk_file_gid": request.requester.gid,
        "disk_file_owner_uid": request.requester.uid,
        "archive_report_url": request.report_url or None,
        "archive_error_report_url": request.error_report_url or None,
        "last_update_time": now,
        **_retries(_ARCHIVE_RETRIES),
    }


def retrieve_row(
    request: RetrieveRequest, file: AnyRow, copies: Sequence[Copy], policy: Policy, now: int
) -> dict[str, Any]:
    """The row in RETRIEVE_PENDING_QUEUE but for its numbers.

    ``copies`` in rotation order, the chosen one first.
    """
    copy = copies[0]
    adler32 = checksumblob.adler32_of(file.checksum_blob, file.checksum_adler32)
    return {
        "request_job_count": 1,
        "status": USER_RETRIEVE.to_transfer,
        "creation_time": now,
        "mount_policy": policy.name,
        "tape_pool": copy.tape_pool,
        "vid": copy.vid,
        "fseq": copy.fseq,
        "block_id": copy.block_id,
        "copy_nb": copy.copy_nb,
        "alternate_vids": ",".join(other.vid for other in copies),
        "alternate_fseqs": ",".join(str(other.fseq) for other in copies),
        "alternate_block_ids": ",".join(str(other.block_id) for other in copies),
        "alternate_copy_nbs": ",".join(str(other.copy_nb) for other in copies),
        "start_time": now,
        "priority": min(policy.retrieve_priority, _MAX_SMALLINT),
        "min_retrieve_request_age": policy.retrieve_min_age_s,
        "storage_class": file.storage_class_name,
        "size_in_bytes": file.size_in_bytes,
        "archive_file_id": request.archive_file_id,
        "checksumblob": None if adler32 is None else checksumblob.encode_adler32(adler32),
        "requester_name": request.requester.name[:100],
        "requester_group": request.requester.group[:100],
        "dst_url": request.destination_url,
        "disk_instance": file.disk_instance_name,
        "disk_file_id": file.disk_file_id,
        "disk_file_gid": file.disk_file_gid,
        "disk_file_owner_uid": file.disk_file_uid,
        "retrieve_report_url": request.report_url or None,
        "retrieve_error_report_url": request.error_report_url or None,
        "activity": (request.activity or None) and str(request.activity)[:100],
        "srr_username": request.requester.name[:100],
        "srr_host": socket.gethostname()[:100],
        "srr_time": now,
        "srr_mount_policy": request.mount_policy,
        "srr_activity": (request.activity or None) and str(request.activity)[:100],
        "is_verify_only": request.verify_only,
        "lifecycle_creation_time": now,
        "last_update_time": now,
        **_retries(_RETRIEVE_RETRIES),
    }
