# SPDX-License-Identifier: GPL-3.0-or-later
"""What the catalogue says about a request before it is queued: routes, mount policies, limits, readable
copies.

What it is: catalogue reference 5.16 and the choice of a copy. What it is not: the queues (``requests``). Why
an object that remembers: ten thousand requests of one user ask the same three questions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select

from cta_taped.common.errors import (
    CATALOGUE_NOT_FOUND,
    CATALOGUE_REFUSED,
    SCHEDULER_NO_ROUTE,
    CtaError,
)
from cta_taped.db.scheduler import Requester
from cta_taped.db.schema_catalogue import (
    ARCHIVE_FILE,
    ARCHIVE_ROUTE,
    DISK_SYSTEM,
    LOGICAL_LIBRARY,
    MOUNT_POLICY,
    REQUESTER_ACTIVITY_MOUNT_RULE,
    REQUESTER_GROUP_MOUNT_RULE,
    REQUESTER_MOUNT_RULE,
    STORAGE_CLASS,
    TAPE,
    TAPE_FILE,
    TAPE_POOL,
    VIRTUAL_ORGANIZATION,
)
from cta_taped.db.sql.database import AnyRow

# Copies in these states may be read, now or when the tape is put back to use; best first.
_READABLE: Final = ("ACTIVE", "DISABLED", "REPACKING", "REPACKING_DISABLED")


@dataclass(frozen=True, slots=True)
class Policy:
    """A row of MOUNT_POLICY; ages in seconds."""

    name: str
    archive_priority: int
    archive_min_age_s: int
    retrieve_priority: int
    retrieve_min_age_s: int


@dataclass(frozen=True, slots=True)
class StorageRoute:
    """Where the copies of a storage class go: (copy number, tape pool).

    The VO's file size limit (0: none).
    """

    pools: tuple[tuple[int, str], ...]
    max_size_bytes: int


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy that may be read."""

    vid: str
    fseq: int
    block_id: int
    copy_nb: int
    tape_pool: str
    state: str


class Routing:
    """Answers of the catalogue within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._routes: dict[str, StorageRoute] = {}
        self._policies: dict[tuple[str, str, str], Policy] = {}

    def route(self, storage_class: str) -> StorageRoute:
        """Pools of a storage class. Raises SCHEDULER_NO_ROUTE."""
        if storage_class not in self._routes:
            self._routes[storage_class] = self._route(storage_class)
        return self._routes[storage_class]

    def _route(self, storage_class: str) -> StorageRoute:
        c, vo, route = STORAGE_CLASS.c, VIRTUAL_ORGANIZATION.c, ARCHIVE_ROUTE.c
        found = self._connection.execute(
            select(c.storage_class_id, c.nb_copies, vo.max_file_size)
            .join(VIRTUAL_ORGANIZATION, vo.virtual_organization_id == c.virtual_organization_id)
            .where(c.storage_class_name == storage_class)
        ).first()
        if found is None:
            raise CtaError(SCHEDULER_NO_ROUTE, f"storage class {storage_class!r} is not in the catalogue")
        pools = self._connection.execute(
            select(route.copy_nb, TAPE_POOL.c.tape_pool_name)
            .join(TAPE_POOL, TAPE_POOL.c.tape_pool_id == route.tape_pool_id)
            .where(route.storage_class_id == found.storage_class_id, route.archive_route_type == "DEFAULT")
            .order_by(route.copy_nb)
        ).all()
        if len(pools) != found.nb_copies:
            raise CtaError(
                SCHEDULER_NO_ROUTE,
                f"storage class {storage_class} has {found.nb_copies} copies but {len(pools)} archive routes;"
                " add one for each copy",
            )
        return StorageRoute(tuple((row[0], row[1]) for row in pools), found.max_file_size)

    def refuse_archived(self, name: str, disk_file_id: str) -> None:
        """Refuse a disk file that is archived already. Raises CATALOGUE_REFUSED."""
        c = ARCHIVE_FILE.c
        number = self._connection.execute(
            select(c.archive_file_id).where(c.disk_instance_name == name, c.disk_file_id == disk_file_id)
        ).scalar()
        if number is not None:
            raise CtaError(
                CATALOGUE_REFUSED,
                f"disk file {disk_file_id} of {name} is already archived as {number}",
                archive_file_id=number,
            )

    def archive_policy(self, disk_instance: str, requester: Requester) -> Policy:
        """The policy of an archive request. Raises SCHEDULER_NO_ROUTE."""
        key = (disk_instance, requester.name, requester.group)
        if key not in self._policies:
            self._policies[key] = self._archive_policy(disk_instance, requester)
        return self._policies[key]

    def _archive_policy(self, disk_instance: str, requester: Requester) -> Policy:
        user, group = REQUESTER_MOUNT_RULE.c, REQUESTER_GROUP_MOUNT_RULE.c
        rules = (
            (user, user.requester_name, requester.name),
            (group, group.requester_group_name, requester.group),
            (user, user.requester_name, "default"),
        )
        for rule, column, name in rules:
            row = self._connection.execute(
                select(MOUNT_POLICY)
                .join(
                    rule.mount_policy_name.table, rule.mount_policy_name == MOUNT_POLICY.c.mount_policy_name
                )
                .where(rule.disk_instance_name == disk_instance, column == name)
            ).first()
            if row is not None:
                return _policy(row)
        raise CtaError(
            SCHEDULER_NO_ROUTE,
            f"no mount rule for requester {requester.name} or group {requester.group} of {disk_instance};"
            " add a requester mount rule",
        )

    def retrieve_policy(
        self, disk_instance: str, requester: Requester, activity: str | None, wanted: str | None
    ) -> Policy:
        """The policy of a retrieve request. Raises SCHEDULER_NO_ROUTE."""
        if wanted:
            row = self._connection.execute(
                select(MOUNT_POLICY).where(MOUNT_POLICY.c.mount_policy_name == wanted)
            ).first()
            if row is not None:
                return _policy(row)
        if activity:
            rule = REQUESTER_ACTIVITY_MOUNT_RULE.c
            rows = self._connection.execute(
                select(rule.activity_regex, MOUNT_POLICY)
                .join(MOUNT_POLICY, rule.mount_policy_name == MOUNT_POLICY.c.mount_policy_name)
                .where(rule.disk_instance_name == disk_instance, rule.requester_name == requester.name)
            )
            matching = [_policy(row) for row in rows if _matches(row.activity_regex, activity)]
            if matching:
                return max(matching, key=lambda policy: policy.retrieve_priority)
        return self.archive_policy(disk_instance, requester)

    def archive_file(self, archive_file_id: int) -> AnyRow:
        """The ARCHIVE_FILE row with its storage class. Raises CATALOGUE_NOT_FOUND."""
        row = self._connection.execute(
            select(ARCHIVE_FILE, STORAGE_CLASS.c.storage_class_name)
            .join(STORAGE_CLASS, STORAGE_CLASS.c.storage_class_id == ARCHIVE_FILE.c.storage_class_id)
            .where(ARCHIVE_FILE.c.archive_file_id == archive_file_id)
        ).first()
        if row is None:
            raise CtaError(CATALOGUE_NOT_FOUND, f"archive file {archive_file_id} is not in the catalogue")
        return row

    def readable_copies(self, archive_file_id: int, vid: str | None) -> list[Copy]:
        """Copies that may be read, best first, of ``vid`` only if given. Raises SCHEDULER_NO_ROUTE."""
        f = TAPE_FILE.c
        statement = (
            select(
                f.vid,
                f.fseq,
                f.block_id,
                f.copy_nb,
                TAPE_POOL.c.tape_pool_name,
                TAPE.c.tape_state,
                LOGICAL_LIBRARY.c.is_disabled,
            )
            .join(TAPE, TAPE.c.vid == f.vid)
            .join(TAPE_POOL, TAPE_POOL.c.tape_pool_id == TAPE.c.tape_pool_id)
            .join(LOGICAL_LIBRARY, LOGICAL_LIBRARY.c.logical_library_id == TAPE.c.logical_library_id)
            .where(f.archive_file_id == archive_file_id)
            .order_by(f.copy_nb, f.vid, f.fseq)
        )
        rows = self._connection.execute(statement).all()
        good = [row for row in rows if row.tape_state in _READABLE and vid in (None, row.vid)]
        if not good:
            states = ", ".join(f"{row.vid} {row.tape_state}" for row in rows) or "no copy at all"
            demanded = f" on tape {vid}" if vid else ""
            raise CtaError(
                SCHEDULER_NO_ROUTE, f"archive file {archive_file_id} has no readable copy{demanded}: {states}"
            )
        good.sort(key=lambda row: (_READABLE.index(row.tape_state), row.is_disabled))
        return [Copy(*row[:6]) for row in good]

    def disk_system(self, destination_url: str) -> str | None:
        """The disk system whose expression is found in the URL; first by name wins."""
        c = DISK_SYSTEM.c
        statement = select(c.disk_system_name, c.file_regexp).order_by(c.disk_system_name)
        for name, expression in self._connection.execute(statement):
            if _matches(expression, destination_url):
                return str(name)
        return None


def _policy(row: AnyRow) -> Policy:
    return Policy(
        row.mount_policy_name,
        row.archive_priority,
        row.archive_min_request_age,
        row.retrieve_priority,
        row.retrieve_min_request_age,
    )


def _matches(expression: str, text: str) -> bool:
    try:
        return re.search(expression, text) is not None
    except re.error:
        # Upstream's expressions are POSIX; one that Python cannot read matches nothing.
        return False
