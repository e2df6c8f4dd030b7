# SPDX-License-Identifier: GPL-3.0-or-later
"""CTA's catalogue, schema 15.0: tables, constraints, indexes and sequences.

What it is: the definition, transcribed from upstream's schema (catalogue reference, section 2). What it is
not: migration (an existing schema is never altered). Why one definition: it creates, it checks, and
statements are built from it. Column names are lower case because unquoted identifiers are case-insensitive.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    CHAR,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Sequence,
    String,
    Table,
    UniqueConstraint,
    text,
)

from cta_taped.db.schema_types import N3, N10, N20, Flag

METADATA: Final = MetaData()
VERSION: Final = (15, 0)

# First values of the sequences as in databases created since upstream's version 13.
SEQUENCES: Final[dict[str, int]] = {
    "archive_file_id_seq": 4294967296,
    "storage_class_id_seq": 10000,
    "logical_library_id_seq": 1,
    "physical_library_id_seq": 1,
    "media_type_id_seq": 1,
    "tape_pool_id_seq": 1,
    "virtual_organization_id_seq": 1,
    "file_recycle_log_id_seq": 1,
}
for _name, _start in SEQUENCES.items():
    Sequence(_name, start=_start, increment=1, cache=20, metadata=METADATA)


def _audit() -> tuple[Column[str], Column[str], Column[int], Column[str], Column[str], Column[int]]:
    return (
        Column("creation_log_user_name", String(100), nullable=False),
        Column("creation_log_host_name", String(100), nullable=False),
        Column("creation_log_time", N20, nullable=False),
        Column("last_update_user_name", String(100), nullable=False),
        Column("last_update_host_name", String(100), nullable=False),
        Column("last_update_time", N20, nullable=False),
    )


CTA_CATALOGUE = Table(
    "cta_catalogue",
    METADATA,
    Column("schema_version_major", N20, nullable=False),
    Column("schema_version_minor", N20, nullable=False),
    Column("next_schema_version_major", N20),
    Column("next_schema_version_minor", N20),
    Column("status", String(100)),
    Column("is_production", Flag, nullable=False, server_default="0"),
    CheckConstraint(
        "(NEXT_SCHEMA_VERSION_MAJOR IS NULL AND NEXT_SCHEMA_VERSION_MINOR IS NULL AND STATUS = 'PRODUCTION')"
        " OR STATUS = 'UPGRADING'",
        name="catalogue_status_content_ck",
    ),
    CheckConstraint("IS_PRODUCTION IN ('0','1')", name="cta_catalogue_ip_bool_ck"),
)

ADMIN_USER = Table(
    "admin_user",
    METADATA,
    Column("admin_user_name", String(100), nullable=False),
    Column("user_comment", String(1000), nullable=False),
    *_audit(),
    PrimaryKeyConstraint("admin_user_name", name="admin_user_pk"),
    Index("admin_user_aun_ci_un_idx", text("LOWER(admin_user_name)"), unique=True),
)

DISK_INSTANCE = Table(
    "disk_instance",
    METADATA,
    Column("disk_instance_name", String(100), nullable=False),
    Column("user_comment", String(1000), nullable=False),
    *_audit(),
    PrimaryKeyConstraint("disk_instance_name", name="disk_instance_pk"),
    Index("disk_instance_din_ci_un_idx", text("LOWER(disk_instance_name)"), unique=True),
)

DISK_INSTANCE_SPACE = Table(
    "disk_instance_space",
    METADATA,
    Column("disk_instance_name", String(100), nullable=False),
    Column("disk_instance_space_name", String(100), nullable=False),
    Column("free_space_query_url", String(1000), nullable=False),
    Column("refresh_interval", N20, nullable=False),
    Column("last_refresh_time", N20, nullable=False),
    Column("free_space", N20, nullable=False),
    Column("user_comment", String(1000), nullable=False),
    *_audit(),
    PrimaryKeyConstraint("disk_instance_name", "disk_instance_space_name", name="disk_instance_space_pk"),
    ForeignKeyConstraint(
        ["disk_instance_name"], ["disk_instance.disk_instance_name"], name="disk_instance_space_din_fk"
    ),
    Index("disk_instance_space_disn_ci_un_idx", text("LOWER(disk_instance_space_name)"), unique=True),
    Index("disk_instance_space_disn_un_idx", "disk_instance_space_name", unique=True),
)

DISK_SYSTEM = Table(
    "disk_system",
    METADATA,
    Column("disk_system_name", String(100), nullable=False),
    Column("disk_instance_name", String(100), nullable=False),
    Column("disk_instance_space_name", String(100), nullable=False),
    Column("file_regexp", String(100), nullable=False),
    Column("targeted_free_space", N20, nullable=False),
    Column("sleep_time", N20, nullable=False),
    Column("user_comment", String(1000), nullable=False),
    *_audit(),
    PrimaryKeyConstraint("disk_system_name", name="name_pk"),
    ForeignKeyConstraint(
        ["disk_instance_name", "disk_instance_space_name"],
        ["disk_instance_space.disk_instance_name", "disk_instance_space.disk_instance_space_name"],
        name="disk_system_din_disn_fk",
    ),
    Index("disk_system_dsn_ci_un_idx", text("LOWER(disk_system_name)"), unique=True),
    Index("disk_system_din_disn_idx", "disk_instance_name", "disk_instance_space_name"),
)

VIRTUAL_ORGANIZATION = Table(
    "virtual_organization",
    METADATA,
    Column("virtual_organization_id", N20, nullable=False),
    Column("virtual_organization_name", String(100), nullable=False),
    Column("read_max_drives", N20, nullable=False),
    Column("write_max_drives", N20, nullable=False),
    Column("max_file_size", N20, nullable=False),
    Column("user_comment", String(1000), nullable=False),
    Column("disk_instance_name", String(100), nullable=False),
    Column("is_repack_vo", CHAR(1)),
    *_audit(),
    PrimaryKeyConstraint("virtual_organization_id", name="virtual_organization_pk"),
    ForeignKeyConstraint(
        ["disk_instance_name"], ["disk_instance.disk_instance_name"], name="virtual_organization_din_fk"
    ),
    CheckConstraint(
        "IS_REPACK_VO IS NULL OR IS_REPACK_VO = '1'", name="virtual_organization_is_repack_vo_bool_ck"
    ),
    Index("virtual_org_von_ci_un_idx", text("LOWER(virtual_organization_name)"), unique=True),
    Index("virtual_org_von_un_idx", "virtual_organization_name", unique=True),
    Index("virtual_org_din_idx", "disk_instance_name"),
    Index("virtual_org_irvo_un_idx", "is_repack_vo", unique=True),
)

STORAGE_CLASS = Table(
    "storage_class",
    METADATA,
    Column("storage_class_id", N20, nullable=False),
    Column("storage_class_name", String(100), nullable=False),
    Column("nb_copies", N3, nullable=False),
    Column("virtual_organization_id", N20, nullable=False),
    Column("user_comment", String(1000), nullable=False),
    *_audit(),
    PrimaryKeyConstraint("storage_class_id", name="storage_class_pk"),
    ForeignKeyConstraint(
        ["virtual_organization_id"],
        ["virtual_organization.virtual_organization_id"],
        name="storage_class_voi_fk",
    ),
    Index("storage_class_scn_ci_un_idx", text("LOWER(storage_class_name)"), unique=True),
    Index("storage_class_scn_un_idx", "storage_class_name", unique=True),
    Index("storage_class_voi_idx", "virtual_organization_id"),
)

MEDIA_TYPE = Table(
    "media_type",
    METADATA,
    Column("media_type_id", N20, nullable=False),
    Column("media_type_name", String(100), nullable=False),
    Column("cartridge", String(100), nullable=False),
    Column("capacity_in_bytes", N20, nullable=False),
    Column("primary_density_code", N3),
    Column("secondary_density_code", N3),
    Column("nb_wraps", N10),
    Column("min_lpos", N20),
    Column("max_lpos", N20),
    Column("user_comment", String(1000), nullable=False),
    *_audit(),
    PrimaryKeyConstraint("media_type_id", name="media_type_pk"),
    Index("media_type_mtn_ci_un_idx", text("LOWER(media_type_name)"), unique=True),
    Index("media_type_mtn_un_idx", "media_type_name", unique=True),
)

PHYSICAL_LIBRARY = Table(
    "physical_library",
    METADATA,
    Column("physical_library_id", N20, nullable=False),
    Column("physical_library_name", String(100), nullable=False),
    Column("physical_library_manufacturer", String(100), nullable=False),
    Column("physical_library_model", String(100), nullable=False),
    Column("physical_library_type", String(100)),
    Column("gui_url", String(1000)),
    Column("webcam_url", String(1000)),
    Column("physical_location", String(100)),
    Column("nb_physical_cartridge_slots", N20, nullable=False),
    Column("nb_available_cartridge_slots", N20),
    Column("nb_physical_drive_slots", N20, nullable=False),
    *_audit(),
    Column("user_comment", String(1000)),
    Column("is_disabled", Flag, nullable=False, server_default="0"),
    Column("disabled_reason", String(1000)),
    PrimaryKeyConstraint("physical_library_id", name="physical_library_pk"),
    CheckConstraint("IS_DISABLED IN ('0','1')", name="physical_library_id_bool_ck"),
    Index("physical_library_pln_ci_un_idx", text("LOWER(physical_library_name)"), unique=True),
)

LOGICAL_LIBRARY = Table(
    "logical_library",
    METADATA,
    Column("logical_library_id", N20, nullable=False),
    Column("logical_library_name", String(100), nullable=False),
    Column("is_disabled", Flag, nullable=False, server_default="0"),
    Column("disabled_reason", String(1000)),
    Column("physical_library_id", N20),
    Column("user_comment", String(1000), nullable=False),
    *_audit(),
    PrimaryKeyConstraint("logical_library_id", name="logical_library_pk"),
    CheckConstraint("IS_DISABLED IN ('0', '1')", name="logical_library_id_bool_ck"),
    ForeignKeyConstraint(
        ["physical_library_id"], ["physical_library.physical_library_id"], name="logical_library_pli_fk"
    ),
    Index("logical_library_lln_ci_un_idx", text("LOWER(logical_library_name)"), unique=True),
    Index("logical_library_lln_un_idx", "logical_library_name", unique=True),
    Index("logical_library_pli_idx", "physical_library_id"),
)

TAPE_POOL = Table(
    "tape_pool",
    METADATA,
    Column("tape_pool_id", N20, nullable=False),
    Column("tape_pool_name", String(100), nullable=False),
    Column("virtual_organization_id", N20, nullable=False),
    Column("nb_partial_tapes", N20, nullable=False),
    Column("is_encrypted", Flag, nullable=False),
    Column("encryption_key_name", String(100)),
    Column("supply", String(100)),
    Column("user_comment", String(1000), nullable=False),
    *_audit(),
    PrimaryKeyConstraint("tape_pool_id", name="tape_pool_pk"),
    CheckConstraint("IS_ENCRYPTED IN ('0', '1')", name="tape_pool_is_encrypted_bool_ck"),
    ForeignKeyConstraint(
        ["virtual_organization_id"], ["virtual_organization.virtual_organization_id"], name="tape_pool_vo_fk"
    ),
    Index("tape_pool_tpn_ci_un_idx", text("LOWER(tape_pool_name)"), unique=True),
    Index("tape_pool_tpn_un_idx", "tape_pool_name", unique=True),
    Index("tape_pool_voi_idx", "virtual_organization_id"),
)

TAPE_POOL_SUPPLY = Table(
    "tape_pool_supply",
    METADATA,
    Column("supply_source_tape_pool_id", N20, nullable=False),
    Column("supply_destination_tape_pool_id", N20, nullable=False),
    PrimaryKeyConstraint("supply_source_tape_pool_id", "supply_destination_tape_pool_id", name="supply_pk"),
    ForeignKeyConstraint(["supply_source_tape_pool_id"], ["tape_pool.tape_pool_id"], name="supply_source_fk"),
    ForeignKeyConstraint(
        ["supply_destination_tape_pool_id"],
        ["tape_pool.tape_pool_id"],
        name="supply_destination_fk",
        ondelete="CASCADE",
    ),
    CheckConstraint(
        "SUPPLY_SOURCE_TAPE_POOL_ID != SUPPLY_DESTINATION_TAPE_POOL_ID", name="no_self_supply_ck"
    ),
)

ARCHIVE_ROUTE = Table(
    "archive_route",
    METADATA,
    Column("storage_class_id", N20, nullable=False),
    Column("copy_nb", N3, nullable=False),
    Column("archive_route_type", String(100), nullable=False, server_default="DEFAULT"),
    Column("tape_pool_id", N20, nullable=False),
    Column("user_comment", String(1000), nullable=False),
    *_audit(),
    PrimaryKeyConstraint("storage_class_id", "copy_nb", "archive_route_type", name="archive_route_pk"),
    ForeignKeyConstraint(
        ["storage_class_id"], ["storage_class.storage_class_id"], name="archive_route_storage_class_fk"
    ),
    ForeignKeyConstraint(["tape_pool_id"], ["tape_pool.tape_pool_id"], name="archive_route_tape_pool_fk"),
    CheckConstraint("COPY_NB > 0", name="archive_route_copy_nb_gt_0_ck"),
    UniqueConstraint("storage_class_id", "tape_pool_id", name="archive_route_sci_tpi_un"),
    CheckConstraint("ARCHIVE_ROUTE_TYPE IN ('DEFAULT','REPACK')", name="archive_route_art_string_ck"),
)

TAPE = Table(
    "tape",
    METADATA,
    Column("vid", String(100), nullable=False),
    Column("media_type_id", N20, nullable=False),
    Column("vendor", String(100), nullable=False),
    Column("logical_library_id", N20, nullable=False),
    Column("tape_pool_id", N20, nullable=False),
    Column("purchase_order", String(100)),
    Column("encryption_key_name", String(100)),
    Column("data_in_bytes", N20, nullable=False),
    Column("last_fseq", N20, nullable=False),
    Column("nb_master_files", N20, nullable=False, server_default="0"),
    Column("master_data_in_bytes", N20, nullable=False, server_default="0"),
    Column("is_full", Flag, nullable=False),
    Column("is_from_castor", Flag, nullable=False),
    Column("dirty", Flag, nullable=False, server_default="1"),
    Column("nb_copy_nb_1", N20, nullable=False, server_default="0"),
    Column("copy_nb_1_in_bytes", N20, nullable=False, server_default="0"),
    Column("nb_copy_nb_gt_1", N20, nullable=False, server_default="0"),
    Column("copy_nb_gt_1_in_bytes", N20, nullable=False, server_default="0"),
    Column("label_format", CHAR(1)),
    Column("label_drive", String(100)),
    Column("label_time", N20),
    Column("last_read_drive", String(100)),
    Column("last_read_time", N20),
    Column("last_write_drive", String(100)),
    Column("last_write_time", N20),
    Column("read_mount_count", N20, nullable=False, server_default="0"),
    Column("write_mount_count", N20, nullable=False, server_default="0"),
    Column("user_comment", String(1000)),
    Column("tape_state", String(100), nullable=False),
    Column("state_reason", String(1000)),
    Column("state_update_time", N20, nullable=False),
    Column("state_modified_by", String(100), nullable=False),
    Column("verification_status", String(1000)),
    *_audit(),
    PrimaryKeyConstraint("vid", name="tape_pk"),
    ForeignKeyConstraint(
        ["logical_library_id"], ["logical_library.logical_library_id"], name="tape_logical_library_fk"
    ),
    ForeignKeyConstraint(["tape_pool_id"], ["tape_pool.tape_pool_id"], name="tape_tape_pool_fk"),
    CheckConstraint("IS_FULL IN ('0', '1')", name="tape_is_full_bool_ck"),
    CheckConstraint("IS_FROM_CASTOR IN ('0', '1')", name="tape_is_from_castor_bool_ck"),
    CheckConstraint("DIRTY IN ('0','1')", name="tape_dirty_bool_ck"),
    CheckConstraint(
        "TAPE_STATE IN ('ACTIVE', 'REPACKING_PENDING', 'REPACKING', 'REPACKING_DISABLED', "
        "'DISABLED', 'BROKEN_PENDING', 'BROKEN', 'EXPORTED_PENDING', 'EXPORTED')",
        name="tape_state_ck",
    ),
    ForeignKeyConstraint(["media_type_id"], ["media_type.media_type_id"], name="tape_media_type_fk"),
    CheckConstraint("VID = UPPER(VID)", name="tape_vid_ck"),
    Index("tape_vid_ci_un_idx", text("LOWER(vid)"), unique=True),
    Index("tape_tape_pool_id_idx", "tape_pool_id"),
    Index("tape_state_idx", "tape_state"),
    Index("tape_lli_idx", "logical_library_id"),
    Index("tape_mti_idx", "media_type_id"),
)

MOUNT_POLICY = Table(
    "mount_policy",
    METADATA,
    Column("mount_policy_name", String(100), nullable=False),
    Column("archive_priority", N20, nullable=False),
    Column("archive_min_request_age", N20, nullable=False),
    Column("retrieve_priority", N20, nullable=False),
    Column("retrieve_min_request_age", N20, nullable=False),
    Column("user_comment", String(1000), nullable=False),
    *_audit(),
    PrimaryKeyConstraint("mount_policy_name", name="mount_policy_pk"),
    Index("mount_policy_mpn_ci_un_idx", text("LOWER(mount_policy_name)"), unique=True),
)

REQUESTER_MOUNT_RULE = Table(
    "requester_mount_rule",
    METADATA,
    Column("disk_instance_name", String(100), nullable=False),
    Column("requester_name", String(100), nullable=False),
    Column("mount_policy_name", String(100), nullable=False),
    Column("user_comment", String(1000), nullable=False),
    *_audit(),
    PrimaryKeyConstraint("disk_instance_name", "requester_name", name="rqster_rule_pk"),
    ForeignKeyConstraint(
        ["mount_policy_name"], ["mount_policy.mount_policy_name"], name="rqster_rule_mnt_plc_fk"
    ),
    ForeignKeyConstraint(
        ["disk_instance_name"], ["disk_instance.disk_instance_name"], name="rqster_rule_din_fk"
    ),
    Index("req_mnt_rule_mpn_idx", "mount_policy_name"),
    Index("req_mnt_rule_din_idx", "disk_instance_name"),
)

REQUESTER_GROUP_MOUNT_RULE = Table(
    "requester_group_mount_rule",
    METADATA,
    Column("disk_instance_name", String(100), nullable=False),
    Column("requester_group_name", String(100), nullable=False),
    Column("mount_policy_name", String(100), nullable=False),
    Column("user_comment", String(1000), nullable=False),
    *_audit(),
    PrimaryKeyConstraint("disk_instance_name", "requester_group_name", name="rqster_grp_rule_pk"),
    ForeignKeyConstraint(
        ["mount_policy_name"], ["mount_policy.mount_policy_name"], name="rqster_grp_rule_mnt_plc_fk"
    ),
    ForeignKeyConstraint(
        ["disk_instance_name"], ["disk_instance.disk_instance_name"], name="rqster_grp_rule_din_fk"
    ),
    Index("req_grp_mnt_rule_mpn_idx", "mount_policy_name"),
    Index("req_grp_mnt_rule_din_idx", "disk_instance_name"),
)

REQUESTER_ACTIVITY_MOUNT_RULE = Table(
    "requester_activity_mount_rule",
    METADATA,
    Column("disk_instance_name", String(100), nullable=False),
    Column("requester_name", String(100), nullable=False),
    Column("activity_regex", String(100), nullable=False),
    Column("mount_policy_name", String(100), nullable=False),
    Column("user_comment", String(1000), nullable=False),
    *_audit(),
    PrimaryKeyConstraint("disk_instance_name", "requester_name", "activity_regex", name="rqster_act_rule_pk"),
    ForeignKeyConstraint(
        ["mount_policy_name"], ["mount_policy.mount_policy_name"], name="rqster_act_rule_mnt_plc_fk"
    ),
    ForeignKeyConstraint(
        ["disk_instance_name"], ["disk_instance.disk_instance_name"], name="rqster_act_rule_din_fk"
    ),
    Index("req_act_mnt_rule_mpn_idx", "mount_policy_name"),
    Index("req_act_mnt_rule_din_idx", "disk_instance_name"),
)

ARCHIVE_FILE = Table(
    "archive_file",
    METADATA,
    Column("archive_file_id", N20, nullable=False),
    Column("disk_instance_name", String(100), nullable=False),
    Column("disk_file_id", String(100), nullable=False),
    Column("disk_file_uid", N10, nullable=False),
    Column("disk_file_gid", N10, nullable=False),
    Column("size_in_bytes", N20, nullable=False),
    Column("checksum_blob", LargeBinary),
    Column("checksum_adler32", N10, nullable=False),
    Column("storage_class_id", N20, nullable=False),
    Column("creation_time", N20, nullable=False),
    Column("reconciliation_time", N20, nullable=False),
    Column("is_deleted", Flag, nullable=False, server_default="0"),
    Column("collocation_hint", String(100)),
    PrimaryKeyConstraint("archive_file_id", name="archive_file_pk"),
    ForeignKeyConstraint(
        ["storage_class_id"], ["storage_class.storage_class_id"], name="archive_file_storage_class_fk"
    ),
    ForeignKeyConstraint(
        ["disk_instance_name"], ["disk_instance.disk_instance_name"], name="archive_file_din_fk"
    ),
    # SQLite has no deferrable UNIQUE; where it matters, statements are ordered so that none is needed.
    UniqueConstraint(
        "disk_instance_name",
        "disk_file_id",
        name="archive_file_din_dfi_un",
        deferrable=True,
        initially="IMMEDIATE",
    ).ddl_if(dialect="postgresql"),
    UniqueConstraint("disk_instance_name", "disk_file_id", name="archive_file_din_dfi_un").ddl_if(
        dialect="sqlite"
    ),
    CheckConstraint("IS_DELETED IN ('0', '1')", name="archive_file_id_bool_ck"),
    Index("archive_file_din_idx", "disk_instance_name"),
    Index("archive_file_dfi_idx", "disk_file_id"),
    Index("archive_file_sci_idx", "storage_class_id"),
    Index("archive_file_disk_file_uid_idx", "archive_file_id", "disk_file_uid"),
)

TAPE_FILE = Table(
    "tape_file",
    METADATA,
    Column("vid", String(100), nullable=False),
    Column("fseq", N20, nullable=False),
    Column("block_id", N20, nullable=False),
    Column("logical_size_in_bytes", N20, nullable=False),
    Column("copy_nb", N3, nullable=False),
    Column("creation_time", N20, nullable=False),
    Column("archive_file_id", N20, nullable=False),
    PrimaryKeyConstraint("vid", "fseq", name="tape_file_pk"),
    ForeignKeyConstraint(["vid"], ["tape.vid"], name="tape_file_tape_fk"),
    ForeignKeyConstraint(
        ["archive_file_id"], ["archive_file.archive_file_id"], name="tape_file_archive_file_fk"
    ),
    UniqueConstraint("vid", "block_id", name="tape_file_vid_block_id_un"),
    CheckConstraint("COPY_NB > 0", name="tape_file_copy_nb_gt_0_ck"),
    Index("tape_file_vid_idx", "vid"),
    Index("tape_file_archive_file_id_idx", "archive_file_id"),
)

FILE_RECYCLE_LOG = Table(
    "file_recycle_log",
    METADATA,
    Column("file_recycle_log_id", N20, nullable=False),
    Column("vid", String(100), nullable=False),
    Column("fseq", N20, nullable=False),
    Column("block_id", N20, nullable=False),
    Column("copy_nb", N3, nullable=False),
    Column("tape_file_creation_time", N20, nullable=False),
    Column("archive_file_id", N20, nullable=False),
    Column("disk_instance_name", String(100), nullable=False),
    Column("disk_file_id", String(100), nullable=False),
    Column("disk_file_id_when_deleted", String(100), nullable=False),
    Column("disk_file_uid", N20, nullable=False),
    Column("disk_file_gid", N20, nullable=False),
    Column("size_in_bytes", N20, nullable=False),
    Column("checksum_blob", LargeBinary),
    Column("checksum_adler32", N10, nullable=False),
    Column("storage_class_id", N20, nullable=False),
    Column("archive_file_creation_time", N20, nullable=False),
    Column("reconciliation_time", N20, nullable=False),
    Column("collocation_hint", String(100)),
    Column("disk_file_path", String(2000)),
    Column("reason_log", String(1000), nullable=False),
    Column("recycle_log_time", N20, nullable=False),
    PrimaryKeyConstraint("file_recycle_log_id", name="file_recycle_log_pk"),
    ForeignKeyConstraint(["vid"], ["tape.vid"], name="file_recycle_log_vid_fk"),
    ForeignKeyConstraint(
        ["storage_class_id"], ["storage_class.storage_class_id"], name="file_recycle_log_sc_fk"
    ),
    Index("file_recycle_log_dfi_idx", "disk_file_id"),
    Index("file_recycle_log_scd_idx", "storage_class_id"),
    Index("file_recycle_log_vid_idx", "vid"),
    Index("file_recycle_log_afi_idx", "archive_file_id"),
    Index("file_recycle_log_din_idx", "disk_instance_name"),
    Index("file_recycle_log_rlt_idx", "recycle_log_time"),
)

DRIVE_STATE = Table(
    "drive_state",
    METADATA,
    Column("drive_name", String(100), nullable=False),
    Column("host", String(100), nullable=False),
    Column("logical_library", String(100), nullable=False),
    Column("session_id", N20),
    Column("bytes_transfered_in_session", N20),
    Column("files_transfered_in_session", N20),
    Column("session_start_time", N20),
    Column("session_elapsed_time", N20),
    Column("mount_start_time", N20),
    Column("transfer_start_time", N20),
    Column("unload_start_time", N20),
    Column("unmount_start_time", N20),
    Column("draining_start_time", N20),
    Column("down_or_up_start_time", N20),
    Column("probe_start_time", N20),
    Column("cleanup_start_time", N20),
    Column("start_start_time", N20),
    Column("shutdown_time", N20),
    Column("mount_type", String(100), nullable=False, server_default="NO_MOUNT"),
    Column("drive_status", String(100), nullable=False, server_default="UNKNOWN"),
    Column("desired_up", Flag, nullable=False, server_default="0"),
    Column("desired_force_down", Flag, nullable=False, server_default="0"),
    Column("reason_up_down", String(1000)),
    Column("current_vid", String(100)),
    Column("cta_version", String(100)),
    Column("current_priority", N20),
    Column("current_activity", String(100)),
    Column("current_tape_pool", String(100)),
    Column("next_mount_type", String(100), nullable=False, server_default="NO_MOUNT"),
    Column("next_vid", String(100)),
    Column("next_priority", N20),
    Column("next_activity", String(100)),
    Column("next_tape_pool", String(100)),
    Column("dev_file_name", String(100)),
    Column("raw_library_slot", String(100)),
    Column("current_vo", String(100)),
    Column("next_vo", String(100)),
    Column("user_comment", String(1000)),
    Column("creation_log_user_name", String(100)),
    Column("creation_log_host_name", String(100)),
    Column("creation_log_time", N20),
    Column("last_update_user_name", String(100)),
    Column("last_update_host_name", String(100)),
    Column("last_update_time", N20),
    Column("disk_system_name", String(100)),
    Column("reserved_bytes", N20),
    Column("reservation_session_id", N20),
    PrimaryKeyConstraint("drive_name", name="drive_dn_pk"),
    CheckConstraint("DESIRED_UP IN ('0', '1')", name="drive_du_bool_ck"),
    CheckConstraint("DESIRED_FORCE_DOWN IN ('0', '1')", name="drive_dfd_bool_ck"),
    CheckConstraint(
        "DRIVE_STATUS IN ('DOWN', 'UP', 'PROBING', 'STARTING', 'MOUNTING', 'TRANSFERING', "
        "'UNLOADING', 'UNMOUNTING', 'DRAININGTODISK', 'CLEANINGUP', 'SHUTDOWN', 'UNKNOWN')",
        name="drive_ds_string_ck",
    ),
    CheckConstraint(
        "MOUNT_TYPE IN ('NO_MOUNT', 'ARCHIVE_FOR_USER', 'ARCHIVE_FOR_REPACK', 'RETRIEVE', 'LABEL', "
        "'ARCHIVE_ALL_TYPES')",
        name="drive_mt_string_ck",
    ),
    CheckConstraint(
        "NEXT_MOUNT_TYPE IN ('NO_MOUNT', 'ARCHIVE_FOR_USER', 'ARCHIVE_FOR_REPACK', 'RETRIEVE', "
        "'LABEL', 'ARCHIVE_ALL_TYPES')",
        name="drive_nmt_string_ck",
    ),
    Index("drive_state_dn_ci_un_idx", text("LOWER(drive_name)"), unique=True),
)

DRIVE_CONFIG = Table(
    "drive_config",
    METADATA,
    Column("drive_name", String(100), nullable=False),
    Column("category", String(100), nullable=False),
    Column("key_name", String(100), nullable=False),
    Column("value", String(1000), nullable=False),
    Column("source", String(100), nullable=False),
    PrimaryKeyConstraint("key_name", "drive_name", name="drive_config_dn_pk"),
)
