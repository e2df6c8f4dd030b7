# SPDX-License-Identifier: GPL-3.0-or-later
"""The administrative objects: which table, which columns, which fields an administrator sees. A table.

What it is: data for ``objects``. What it is not: a statement. Why data: sixteen kinds of objects are created,
changed, removed and listed in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Table

from cta_taped.db import schema_catalogue as s
from cta_taped.db.catalogue import ObjectField, ObjectKind


@dataclass(frozen=True, slots=True)
class ObjectTable:
    """One kind: its table, its fields with their columns, and how others refer to it.

    ``identifier``: the column that referring tables store, and ``sequence`` where it is drawn from (None when
    it is the name itself). ``defaults``: columns that only ``add`` writes.
    """

    table: Table
    fields: tuple[tuple[ObjectField, str], ...]
    identifier: str | None = None
    sequence: str | None = None
    defaults: tuple[tuple[str, Any], ...] = ()


def _key(
    name: str, column: str, type_: type[str] | type[int] = str, reference: ObjectKind | None = None
) -> tuple[ObjectField, str]:
    return ObjectField(name, type_, key=True, required=True, reference=reference), column


def _must(
    name: str, column: str, type_: type[str] | type[int] | type[bool], reference: ObjectKind | None = None
) -> tuple[ObjectField, str]:
    return ObjectField(name, type_, required=True, reference=reference), column


def _may(
    name: str, column: str, type_: type[str] | type[int] | type[bool], reference: ObjectKind | None = None
) -> tuple[ObjectField, str]:
    return ObjectField(name, type_, reference=reference), column


def _shown(name: str, column: str, type_: type[str] | type[int] | type[bool]) -> tuple[ObjectField, str]:
    return ObjectField(name, type_, settable=False), column


_COMMENT: Final = _must("comment", "user_comment", str)
_K: Final = ObjectKind

OBJECT_TABLES: Final[dict[ObjectKind, ObjectTable]] = {
    _K.ADMIN: ObjectTable(s.ADMIN_USER, (_key("username", "admin_user_name"), _COMMENT), "admin_user_name"),
    _K.DISK_INSTANCE: ObjectTable(
        s.DISK_INSTANCE, (_key("name", "disk_instance_name"), _COMMENT), "disk_instance_name"
    ),
    _K.DISK_INSTANCE_SPACE: ObjectTable(
        s.DISK_INSTANCE_SPACE,
        (
            _key("disk_instance", "disk_instance_name", reference=_K.DISK_INSTANCE),
            _key("name", "disk_instance_space_name"),
            _must("free_space_query_url", "free_space_query_url", str),
            _must("refresh_interval_s", "refresh_interval", int),
            _shown("last_refresh_time", "last_refresh_time", int),
            _shown("free_space_bytes", "free_space", int),
            _COMMENT,
        ),
        "disk_instance_space_name",
        defaults=(("last_refresh_time", 0), ("free_space", 0)),
    ),
    _K.DISK_SYSTEM: ObjectTable(
        s.DISK_SYSTEM,
        (
            _key("name", "disk_system_name"),
            _must("disk_instance", "disk_instance_name", str, _K.DISK_INSTANCE),
            _must("disk_instance_space", "disk_instance_space_name", str, _K.DISK_INSTANCE_SPACE),
            _must("file_regexp", "file_regexp", str),
            _must("targeted_free_space_bytes", "targeted_free_space", int),
            _must("sleep_time_s", "sleep_time", int),
            _COMMENT,
        ),
        "disk_system_name",
    ),
    _K.VIRTUAL_ORGANIZATION: ObjectTable(
        s.VIRTUAL_ORGANIZATION,
        (
            _key("vo", "virtual_organization_name"),
            _must("disk_instance", "disk_instance_name", str, _K.DISK_INSTANCE),
            _must("read_max_drives", "read_max_drives", int),
            _must("write_max_drives", "write_max_drives", int),
            _may("max_file_size_bytes", "max_file_size", int),
            _may("is_repack_vo", "is_repack_vo", bool),
            _COMMENT,
        ),
        "virtual_organization_id",
        "virtual_organization_id_seq",
        defaults=(("max_file_size", 0),),
    ),
    _K.STORAGE_CLASS: ObjectTable(
        s.STORAGE_CLASS,
        (
            _key("name", "storage_class_name"),
            _must("copies", "nb_copies", int),
            _must("vo", "virtual_organization_id", str, _K.VIRTUAL_ORGANIZATION),
            _COMMENT,
        ),
        "storage_class_id",
        "storage_class_id_seq",
    ),
    _K.MEDIA_TYPE: ObjectTable(
        s.MEDIA_TYPE,
        (
            _key("name", "media_type_name"),
            _must("cartridge", "cartridge", str),
            _must("capacity_bytes", "capacity_in_bytes", int),
            _may("primary_density_code", "primary_density_code", int),
            _may("secondary_density_code", "secondary_density_code", int),
            _may("nb_wraps", "nb_wraps", int),
            _may("min_lpos", "min_lpos", int),
            _may("max_lpos", "max_lpos", int),
            _COMMENT,
        ),
        "media_type_id",
        "media_type_id_seq",
    ),
    _K.PHYSICAL_LIBRARY: ObjectTable(
        s.PHYSICAL_LIBRARY,
        (
            _key("name", "physical_library_name"),
            _must("manufacturer", "physical_library_manufacturer", str),
            _must("model", "physical_library_model", str),
            _may("type", "physical_library_type", str),
            _may("gui_url", "gui_url", str),
            _may("webcam_url", "webcam_url", str),
            _may("location", "physical_location", str),
            _must("nb_cartridge_slots", "nb_physical_cartridge_slots", int),
            _may("nb_available_cartridge_slots", "nb_available_cartridge_slots", int),
            _must("nb_drive_slots", "nb_physical_drive_slots", int),
            _may("comment", "user_comment", str),
            _may("disabled", "is_disabled", bool),
            _may("disabled_reason", "disabled_reason", str),
        ),
        "physical_library_id",
        "physical_library_id_seq",
        defaults=(("is_disabled", False),),
    ),
    _K.LOGICAL_LIBRARY: ObjectTable(
        s.LOGICAL_LIBRARY,
        (
            _key("name", "logical_library_name"),
            _may("physical_library", "physical_library_id", str, _K.PHYSICAL_LIBRARY),
            _may("disabled", "is_disabled", bool),
            _may("disabled_reason", "disabled_reason", str),
            _COMMENT,
        ),
        "logical_library_id",
        "logical_library_id_seq",
        defaults=(("is_disabled", False),),
    ),
    _K.TAPE_POOL: ObjectTable(
        s.TAPE_POOL,
        (
            _key("name", "tape_pool_name"),
            _must("vo", "virtual_organization_id", str, _K.VIRTUAL_ORGANIZATION),
            _may("partial_tapes", "nb_partial_tapes", int),
            _may("encryption_key_name", "encryption_key_name", str),
            _shown("encrypted", "is_encrypted", bool),
            _COMMENT,
        ),
        "tape_pool_id",
        "tape_pool_id_seq",
        defaults=(("nb_partial_tapes", 0), ("is_encrypted", False)),
    ),
    _K.ARCHIVE_ROUTE: ObjectTable(
        s.ARCHIVE_ROUTE,
        (
            _key("storage_class", "storage_class_id", reference=_K.STORAGE_CLASS),
            _key("copy_nb", "copy_nb", int),
            (ObjectField("type", str, key=True), "archive_route_type"),
            _must("tape_pool", "tape_pool_id", str, _K.TAPE_POOL),
            _COMMENT,
        ),
        defaults=(("archive_route_type", "DEFAULT"),),
    ),
    _K.TAPE: ObjectTable(
        s.TAPE,
        (
            _key("vid", "vid"),
            _must("media_type", "media_type_id", str, _K.MEDIA_TYPE),
            _must("vendor", "vendor", str),
            _must("logical_library", "logical_library_id", str, _K.LOGICAL_LIBRARY),
            _must("tape_pool", "tape_pool_id", str, _K.TAPE_POOL),
            _may("purchase_order", "purchase_order", str),
            _may("encryption_key_name", "encryption_key_name", str),
            _may("full", "is_full", bool),
            _may("comment", "user_comment", str),
            _shown("state", "tape_state", str),
            _shown("state_reason", "state_reason", str),
            _shown("state_update_time", "state_update_time", int),
            _shown("state_modified_by", "state_modified_by", str),
            _shown("data_bytes", "data_in_bytes", int),
            _shown("last_fseq", "last_fseq", int),
            _shown("nb_files", "nb_master_files", int),
            _shown("file_bytes", "master_data_in_bytes", int),
            _shown("from_castor", "is_from_castor", bool),
            _shown("dirty", "dirty", bool),
            _shown("label_format", "label_format", str),
            _shown("label_drive", "label_drive", str),
            _shown("label_time", "label_time", int),
            _shown("last_read_drive", "last_read_drive", str),
            _shown("last_read_time", "last_read_time", int),
            _shown("last_write_drive", "last_write_drive", str),
            _shown("last_write_time", "last_write_time", int),
            _shown("read_mount_count", "read_mount_count", int),
            _shown("write_mount_count", "write_mount_count", int),
            _shown("verification_status", "verification_status", str),
        ),
        "vid",
        defaults=(
            ("data_in_bytes", 0),
            ("last_fseq", 0),
            ("is_full", False),
            ("is_from_castor", False),
            ("tape_state", "ACTIVE"),
        ),
    ),
    _K.MOUNT_POLICY: ObjectTable(
        s.MOUNT_POLICY,
        (
            _key("name", "mount_policy_name"),
            _must("archive_priority", "archive_priority", int),
            _must("archive_min_request_age_s", "archive_min_request_age", int),
            _must("retrieve_priority", "retrieve_priority", int),
            _must("retrieve_min_request_age_s", "retrieve_min_request_age", int),
            _COMMENT,
        ),
        "mount_policy_name",
    ),
    _K.REQUESTER_RULE: ObjectTable(
        s.REQUESTER_MOUNT_RULE,
        (
            _key("disk_instance", "disk_instance_name", reference=_K.DISK_INSTANCE),
            _key("name", "requester_name"),
            _must("mount_policy", "mount_policy_name", str, _K.MOUNT_POLICY),
            _COMMENT,
        ),
    ),
    _K.GROUP_RULE: ObjectTable(
        s.REQUESTER_GROUP_MOUNT_RULE,
        (
            _key("disk_instance", "disk_instance_name", reference=_K.DISK_INSTANCE),
            _key("name", "requester_group_name"),
            _must("mount_policy", "mount_policy_name", str, _K.MOUNT_POLICY),
            _COMMENT,
        ),
    ),
    _K.ACTIVITY_RULE: ObjectTable(
        s.REQUESTER_ACTIVITY_MOUNT_RULE,
        (
            _key("disk_instance", "disk_instance_name", reference=_K.DISK_INSTANCE),
            _key("name", "requester_name"),
            _key("activity_regex", "activity_regex"),
            _must("mount_policy", "mount_policy_name", str, _K.MOUNT_POLICY),
            _COMMENT,
        ),
    ),
}


def name_column(kind: ObjectKind) -> str:
    """The column with the name by which others refer to an object of this kind."""
    keys = [column for field, column in OBJECT_TABLES[kind].fields if field.key]
    return keys[-1]
