# SPDX-License-Identifier: GPL-3.0-or-later
"""How the administrative objects are spelled: upstream's nouns, option names and JSON names. A table.

What it is: for each kind of object its noun, and for each field of it (``Objects.fields``) the options by
which it is given and the name by which JSON shows it. What it is not: which fields there are, and which
must be given; the catalogue says that, and a test keeps the two in agreement. Source: upstream's command
parser and its protobuf of listings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cta_taped.db.catalogue import ObjectKind


@dataclass(frozen=True, slots=True)
class Spelling:
    """One field: its options in one text, its JSON name (dots nest), help, and what rm and ch assume if not
    given.
    """

    options: str
    json: str
    help: str = ""
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Noun:
    """One kind: its noun, upstream's short form of it, a line of help, and the spelling of its fields.

    ``columns``: JSON names that a table shows, where not all fit.
    """

    name: str
    alias: str
    help: str
    fields: dict[str, Spelling]
    columns: tuple[str, ...] = field(default=())


def _name(noun: str, json: str = "name") -> dict[str, Spelling]:
    return {"name": Spelling(f"-n --name --{noun}", json, "Name.")}


_COMMENT: Final = {"comment": Spelling("-m --comment", "comment", "Comment.")}
_DISK_INSTANCE: Final = Spelling("--diskinstance --di", "diskInstance", "Disk instance.")
_VO: Final = Spelling("--virtualorganisation --virtualorganization --vo", "vo", "Virtual organization.")
_PHYSICAL_LIBRARY: Final = Spelling("--physicallibrary --pl", "physicalLibrary", "Physical library.")
_DISABLED: Final = {
    "disabled": Spelling("-d --disabled", "isDisabled", "Whether no mount is started there."),
    "disabled_reason": Spelling("--disabledreason --dr", "disabledReason", "Why it is disabled."),
}


def _rule(who: str, option: str, json: str) -> dict[str, Spelling]:
    return {
        "disk_instance": Spelling("-i --instance", "diskInstance", "Disk instance."),
        "name": Spelling(f"-n --name --{option}", json, f"{who}."),
        "mount_policy": Spelling("-u --mountpolicy", "mountPolicy", "Mount policy that applies."),
        **_COMMENT,
    }


NOUNS: Final[dict[ObjectKind, Noun]] = {
    ObjectKind.ADMIN: Noun(
        "admin",
        "ad",
        "Administrators.",
        {"username": Spelling("-u --username", "user", "User."), **_COMMENT},
    ),
    ObjectKind.DISK_INSTANCE: Noun(
        "diskinstance", "di", "Disk instances: name spaces of files.", {**_name("diskinstance"), **_COMMENT}
    ),
    ObjectKind.DISK_INSTANCE_SPACE: Noun(
        "diskinstancespace",
        "dis",
        "Partitions of disk instances, and how their free space is found out.",
        {
            "disk_instance": _DISK_INSTANCE,
            **_name("diskinstancespace"),
            "free_space_query_url": Spelling(
                "-u --freespacequeryurl", "freeSpaceQueryUrl", "eosSpace:NAME or constantFreeSpace:BYTES."
            ),
            "refresh_interval_s": Spelling(
                "-i --refreshinterval", "refreshInterval", "Seconds for which an answer is used."
            ),
            "last_refresh_time": Spelling("", "lastRefreshTime"),
            "free_space_bytes": Spelling("", "freeSpace"),
            **_COMMENT,
        },
    ),
    ObjectKind.DISK_SYSTEM: Noun(
        "disksystem",
        "ds",
        "Disk buffers of retrieves, and how much of them is kept free.",
        {
            "name": Spelling("-n --disksystem --name", "name", "Name."),
            "disk_instance": _DISK_INSTANCE,
            "disk_instance_space": Spelling("--diskinstancespace --dis", "diskInstanceSpace", "Its space."),
            "file_regexp": Spelling(
                "-r --fileregexp", "fileRegexp", "Regular expression on destination URLs."
            ),
            "targeted_free_space_bytes": Spelling(
                "-f --targetedfreespace", "targetedFreeSpace", "Bytes to keep free."
            ),
            "sleep_time_s": Spelling("-s --sleeptime", "sleepTime", "Seconds to rest when space is short."),
            **_COMMENT,
        },
    ),
    ObjectKind.VIRTUAL_ORGANIZATION: Noun(
        "virtualorganization",
        "vo",
        "Virtual organizations: who owns pools, and how many drives they may use.",
        {
            "vo": Spelling("-n --vo --virtualorganisation --virtualorganization --name", "name", "Name."),
            "disk_instance": Spelling("--diskinstance --di", "diskinstance", "Disk instance."),
            "read_max_drives": Spelling("--readmaxdrives --rmd", "readMaxDrives", "Most drives to read."),
            "write_max_drives": Spelling("--writemaxdrives --wmd", "writeMaxDrives", "Most drives to write."),
            "max_file_size_bytes": Spelling("--maxfilesize --mfs", "maxFileSize", "Largest file; 0: any."),
            "is_repack_vo": Spelling("--isrepackvo --irvo", "isRepackVo", "Whether repack uses it."),
            **_COMMENT,
        },
    ),
    ObjectKind.STORAGE_CLASS: Noun(
        "storageclass",
        "sc",
        "Storage classes: how many copies a file has.",
        {
            **_name("storageclass"),
            "copies": Spelling("-c --numberofcopies --copynb", "nbCopies", "Copies on tape."),
            "vo": _VO,
            **_COMMENT,
        },
    ),
    ObjectKind.MEDIA_TYPE: Noun(
        "mediatype",
        "mt",
        "Media types: capacity and geometry of cartridges.",
        {
            **_name("mediatype"),
            "cartridge": Spelling("-t --cartridge", "cartridge", "Cartridge, e.g. LTO-9."),
            "capacity_bytes": Spelling("-c --capacity", "capacity", "Nominal capacity, e.g. 18TB."),
            "primary_density_code": Spelling(
                "-p --primarydensitycode", "primaryDensityCode", "SCSI density code."
            ),
            "secondary_density_code": Spelling(
                "-s --secondarydensitycode", "secondaryDensityCode", "A second density code."
            ),
            "nb_wraps": Spelling("-w --nbwraps", "numberOfWraps", "Wraps, for ordered reading."),
            "min_lpos": Spelling("--minlpos --minl", "minLPos", "Lowest longitudinal position."),
            "max_lpos": Spelling("--maxlpos --maxl", "maxLPos", "Highest longitudinal position."),
            **_COMMENT,
        },
    ),
    ObjectKind.PHYSICAL_LIBRARY: Noun(
        "physicallibrary",
        "pl",
        "Physical libraries.",
        {
            **_name("physicallibrary"),
            "manufacturer": Spelling("--manufacturer --ma", "manufacturer", "Manufacturer."),
            "model": Spelling("--model --mo", "model", "Model."),
            "type": Spelling("-t --type", "type", "Type."),
            "gui_url": Spelling("-g --guiurl", "guiUrl", "URL of its user interface."),
            "webcam_url": Spelling("-w --webcamurl", "webcamUrl", "URL of a camera."),
            "location": Spelling("-l --location", "location", "Where it stands."),
            "nb_cartridge_slots": Spelling(
                "--nbphysicalcartridgeslots --npcs", "nbPhysicalCartridgeSlots", "Slots."
            ),
            "nb_available_cartridge_slots": Spelling(
                "--nbavailablecartridgeslots --nacs", "nbAvailableCartridgeSlots", "Slots that are licensed."
            ),
            "nb_drive_slots": Spelling(
                "--nbphysicaldriveslots --npds", "nbPhysicalDriveSlots", "Drive bays."
            ),
            **_DISABLED,
            **_COMMENT,
        },
    ),
    ObjectKind.LOGICAL_LIBRARY: Noun(
        "logicallibrary",
        "ll",
        "Logical libraries: which drives can reach which tapes.",
        {**_name("logicallibrary"), "physical_library": _PHYSICAL_LIBRARY, **_DISABLED, **_COMMENT},
    ),
    ObjectKind.TAPE_POOL: Noun(
        "tapepool",
        "tp",
        "Tape pools.",
        {
            **_name("tapepool"),
            "vo": _VO,
            "partial_tapes": Spelling(
                "-p --partialtapesnumber", "numPartialTapes", "Tapes to have ready for writing."
            ),
            "encryption_key_name": Spelling(
                "-k --encryptionkeyname", "encryptionKeyName", "Key for new tapes; encrypts the pool."
            ),
            "encrypted": Spelling("", "encrypt"),
            **_COMMENT,
        },
    ),
    ObjectKind.ARCHIVE_ROUTE: Noun(
        "archiveroute",
        "ar",
        "Archive routes: which copy of a storage class goes to which pool.",
        {
            "storage_class": Spelling("-s --storageclass", "storageClass", "Storage class."),
            "copy_nb": Spelling("-c --copynb", "copyNumber", "Number of the copy, from 1."),
            "type": Spelling("--archiveroutetype --art", "archiveRouteType", "DEFAULT or REPACK.", "DEFAULT"),
            "tape_pool": Spelling("-t --tapepool", "tapepool", "Tape pool."),
            **_COMMENT,
        },
    ),
    ObjectKind.TAPE: Noun(
        "tape",
        "ta",
        "Tapes: administration, labels, contents.",
        {
            "vid": Spelling("-v --vid", "vid", "Volume identifier."),
            "media_type": Spelling("--mediatype --mt", "mediaType", "Media type."),
            "vendor": Spelling("--vendor --ve", "vendor", "Maker of the cartridge."),
            "logical_library": Spelling("-l --logicallibrary", "logicalLibrary", "Logical library."),
            "tape_pool": Spelling("-t --tapepool", "tapepool", "Tape pool."),
            "purchase_order": Spelling("-p --purchaseorder", "purchaseOrder", "Purchase order."),
            "encryption_key_name": Spelling("-k --encryptionkeyname", "encryptionKeyName", "Encryption key."),
            "full": Spelling("-f --full", "full", "Whether it is not written any more."),
            "comment": Spelling("-m --comment", "comment", "Comment."),
            "state": Spelling("-s --state", "state", "State."),
            "state_reason": Spelling("", "stateReason"),
            "state_update_time": Spelling("", "stateUpdateTime"),
            "state_modified_by": Spelling("", "stateModifiedBy"),
            "data_bytes": Spelling("", "occupancy"),
            "last_fseq": Spelling("", "lastFseq"),
            "nb_files": Spelling("", "nbMasterFiles"),
            "file_bytes": Spelling("", "masterDataInBytes"),
            "from_castor": Spelling("--fromcastor --fc", "fromCastor", "Whether it was imported."),
            "dirty": Spelling("", "dirtyBit"),
            "label_format": Spelling("", "labelFormat"),
            "label_drive": Spelling("", "labelLog.drive"),
            "label_time": Spelling("", "labelLog.time"),
            "last_read_drive": Spelling("", "lastReadLog.drive"),
            "last_read_time": Spelling("", "lastReadLog.time"),
            "last_write_drive": Spelling("", "lastWrittenLog.drive"),
            "last_write_time": Spelling("", "lastWrittenLog.time"),
            "read_mount_count": Spelling("", "readMountCount"),
            "write_mount_count": Spelling("", "writeMountCount"),
            "verification_status": Spelling("", "verificationStatus"),
        },
        columns=(
            "vid",
            "mediaType",
            "vendor",
            "logicalLibrary",
            "tapepool",
            "vo",
            "capacity",
            "occupancy",
            "lastFseq",
            "nbMasterFiles",
            "full",
            "state",
            "stateReason",
            "comment",
        ),
    ),
    ObjectKind.MOUNT_POLICY: Noun(
        "mountpolicy",
        "mp",
        "Mount policies: priority, and how long a queue may wait.",
        {
            **_name("mountpolicy"),
            "archive_priority": Spelling("--archivepriority --ap", "archivePriority", "Higher is first."),
            "archive_min_request_age_s": Spelling(
                "--minarchiverequestage --aa", "archiveMinRequestAge", "Seconds after which a mount is due."
            ),
            "retrieve_priority": Spelling("--retrievepriority --rp", "retrievePriority", "Higher is first."),
            "retrieve_min_request_age_s": Spelling(
                "--minretrieverequestage --ra", "retrieveMinRequestAge", "Seconds after which a mount is due."
            ),
            **_COMMENT,
        },
    ),
    ObjectKind.REQUESTER_RULE: Noun(
        "requestermountrule",
        "rmr",
        "Which mount policy a user's requests have.",
        _rule("User", "username", "requesterMountRule"),
    ),
    ObjectKind.GROUP_RULE: Noun(
        "groupmountrule",
        "gmr",
        "Which mount policy a group's requests have.",
        _rule("Group", "groupname", "groupMountRule"),
    ),
    ObjectKind.ACTIVITY_RULE: Noun(
        "activitymountrule",
        "amr",
        "Which mount policy a user's requests of an activity have.",
        {
            **_rule("User", "username", "activityMountRule"),
            "activity_regex": Spelling(
                "--activityregex --ar", "activityRegex", "Regular expression on the activity."
            ),
        },
    ),
}
