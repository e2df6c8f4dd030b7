# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue's seam, administrative objects: kinds, their fields, and the five things done with them.

What it is: values and a Protocol, of which command lines are made. What it is not: tables (see
``db.sql.objecttables``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cta_taped.db.catalogue import Author


class ObjectKind(StrEnum):
    """Administrative objects; the values are ``cta-admin``'s nouns."""

    ADMIN = "admin"
    DISK_INSTANCE = "diskinstance"
    DISK_INSTANCE_SPACE = "diskinstancespace"
    DISK_SYSTEM = "disksystem"
    VIRTUAL_ORGANIZATION = "virtualorganization"
    STORAGE_CLASS = "storageclass"
    MEDIA_TYPE = "mediatype"
    PHYSICAL_LIBRARY = "physicallibrary"
    LOGICAL_LIBRARY = "logicallibrary"
    TAPE_POOL = "tapepool"
    ARCHIVE_ROUTE = "archiveroute"
    TAPE = "tape"
    MOUNT_POLICY = "mountpolicy"
    REQUESTER_RULE = "requestermountrule"
    GROUP_RULE = "groupmountrule"
    ACTIVITY_RULE = "activitymountrule"


@dataclass(frozen=True, slots=True)
class ObjectField:
    """One field of an administrative object: name, type (str, int or bool), and how it may be used.

    ``key``: part of the identity. ``required``: must be given to ``add``. ``settable``: may be given to
    ``add`` and ``change``; other fields are only listed. ``reference``: the value names an object of that
    kind.
    """

    name: str
    type: type[str] | type[int] | type[bool]
    key: bool = False
    required: bool = False
    settable: bool = True
    reference: ObjectKind | None = None


ObjectValue = str | int | bool | None


class Objects(Protocol):
    """Create, change, remove and list administrative objects; field names as ``fields(kind)`` says."""

    def fields(self, kind: ObjectKind) -> tuple[ObjectField, ...]:
        """The fields of a kind, keys first, without the audit fields that ``find`` adds."""
        ...

    def add(self, kind: ObjectKind, values: Mapping[str, ObjectValue], author: Author) -> None:
        """Create.

        Raises CATALOGUE_EXISTS, CATALOGUE_NOT_FOUND (a referred object), CATALOGUE_REFUSED (values).
        """
        ...

    def change(
        self,
        kind: ObjectKind,
        key: Mapping[str, ObjectValue],
        values: Mapping[str, ObjectValue],
        author: Author,
    ) -> None:
        """Change the given fields. Raises CATALOGUE_NOT_FOUND, CATALOGUE_REFUSED."""
        ...

    def remove(self, kind: ObjectKind, key: Mapping[str, ObjectValue]) -> None:
        """Remove. Raises CATALOGUE_NOT_FOUND, CATALOGUE_IN_USE (something still refers to it)."""
        ...

    def find(
        self, kind: ObjectKind, where: Mapping[str, ObjectValue] | None = None
    ) -> list[dict[str, ObjectValue]]:
        """Objects whose fields equal ``where``, by key, with audit fields (creation_*, last_update_*)."""
        ...
