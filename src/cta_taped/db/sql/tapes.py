# SPDX-License-Identifier: GPL-3.0-or-later
"""TAPE: facts of single tapes, mount counters, full, state, label, key, reclaim.

What it is: the catalogue's ``Tapes`` in SQL. What it is not: the recording of files (``files``) or the
creation of tapes (``objects``).
"""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Connection, Select, delete, func, select, update

from cta_taped.common.errors import CATALOGUE_REFUSED, TAPE_NOT_EMPTY, TAPE_UNKNOWN, CtaError
from cta_taped.common.model import MountType, TapeState
from cta_taped.db.catalogue import Author, TapeFacts
from cta_taped.db.schema_catalogue import (
    FILE_RECYCLE_LOG,
    LOGICAL_LIBRARY,
    MEDIA_TYPE,
    TAPE,
    TAPE_FILE,
    TAPE_POOL,
    VIRTUAL_ORGANIZATION,
)
from cta_taped.db.sql.database import AnyRow, Database

_RECLAIMABLE = frozenset({TapeState.ACTIVE, TapeState.DISABLED, TapeState.BROKEN})


def unknown_tape(vid: str) -> CtaError:
    """The error for a tape without a row."""
    return CtaError(TAPE_UNKNOWN, f"tape {vid} is not in the catalogue", vid=vid)


def facts_query() -> Select[Any]:
    """TAPE with its pool, VO, library and media type, one row a tape."""
    return (
        select(
            TAPE,
            TAPE_POOL.c.tape_pool_name,
            TAPE_POOL.c.is_encrypted,
            TAPE_POOL.c.encryption_key_name.label("pool_key_name"),
            VIRTUAL_ORGANIZATION.c.virtual_organization_name,
            LOGICAL_LIBRARY.c.logical_library_name,
            MEDIA_TYPE.c.media_type_name,
            MEDIA_TYPE.c.cartridge,
            MEDIA_TYPE.c.capacity_in_bytes,
            MEDIA_TYPE.c.primary_density_code,
            MEDIA_TYPE.c.nb_wraps,
            MEDIA_TYPE.c.min_lpos,
            MEDIA_TYPE.c.max_lpos,
        )
        .join(TAPE_POOL, TAPE_POOL.c.tape_pool_id == TAPE.c.tape_pool_id)
        .join(
            VIRTUAL_ORGANIZATION,
            VIRTUAL_ORGANIZATION.c.virtual_organization_id == TAPE_POOL.c.virtual_organization_id,
        )
        .join(LOGICAL_LIBRARY, LOGICAL_LIBRARY.c.logical_library_id == TAPE.c.logical_library_id)
        .join(MEDIA_TYPE, MEDIA_TYPE.c.media_type_id == TAPE.c.media_type_id)
    )


def facts_of(row: AnyRow) -> TapeFacts:
    """A row of ``facts_query`` as facts.

    Raises CATALOGUE_REFUSED for a label format that CTA does not know.
    """
    label_format = row.label_format if row.label_format is not None else "0"
    if label_format not in ("0", "1", "2", "3"):
        raise CtaError(
            CATALOGUE_REFUSED, f"tape {row.vid}: LABEL_FORMAT {label_format!r} is unknown", vid=row.vid
        )
    return TapeFacts(
        vid=row.vid,
        state=TapeState(row.tape_state),
        state_reason=row.state_reason or None,
        media_type=row.media_type_name,
        cartridge=row.cartridge,
        vendor=row.vendor,
        logical_library=row.logical_library_name,
        tape_pool=row.tape_pool_name,
        vo=row.virtual_organization_name,
        capacity_bytes=row.capacity_in_bytes,
        density_code=row.primary_density_code,
        nb_wraps=row.nb_wraps,
        min_lpos=row.min_lpos,
        max_lpos=row.max_lpos,
        last_fseq=row.last_fseq,
        data_bytes=row.data_in_bytes,
        is_full=row.is_full,
        is_from_castor=row.is_from_castor,
        label_format=int(label_format),
        label_drive=row.label_drive,
        label_time=row.label_time,
        encryption_key_name=row.encryption_key_name or None,
        pool_encrypted=row.is_encrypted,
        pool_encryption_key_name=row.pool_key_name or None,
    )


class SqlTapes:
    """``db.catalogue.Tapes`` on a relational database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def facts(self, vid: str) -> TapeFacts:
        """See ``Tapes.facts``."""
        with self._database.read() as connection:
            return self._facts(connection, vid)

    @staticmethod
    def _facts(connection: Connection, vid: str) -> TapeFacts:
        row = connection.execute(facts_query().where(TAPE.c.vid == vid)).first()
        if row is None:
            raise unknown_tape(vid)
        return facts_of(row)

    def _update(self, vid: str, values: dict[str, Any]) -> None:
        with self._database.write() as connection:
            if not connection.execute(update(TAPE).where(TAPE.c.vid == vid).values(values)).rowcount:
                raise unknown_tape(vid)

    def mounted(self, vid: str, drive: str, mount_type: MountType) -> None:
        """See ``Tapes.mounted``."""
        kind = "read" if mount_type is MountType.RETRIEVE else "write"
        counter = TAPE.c[f"{kind}_mount_count"]
        now = int(time.time())
        self._update(
            vid,
            {f"last_{kind}_drive": drive, f"last_{kind}_time": now, counter.name: counter + 1},
        )

    def set_full(self, vid: str, full: bool = True) -> None:
        """See ``Tapes.set_full``."""
        self._update(vid, {"is_full": full})

    def set_state(
        self, vid: str, state: TapeState, reason: str, author: Author, previous: TapeState | None = None
    ) -> bool:
        """See ``Tapes.set_state``."""
        text = reason.strip()[:1000]
        if state is not TapeState.ACTIVE and not text:
            raise CtaError(CATALOGUE_REFUSED, f"tape {vid}: state {state} needs a reason", vid=vid)
        statement = update(TAPE).where(TAPE.c.vid == vid)
        if previous is not None:
            statement = statement.where(TAPE.c.tape_state == previous.value)
        values = {
            "tape_state": state.value,
            "state_reason": text or None,
            "state_update_time": int(time.time()),
            "state_modified_by": f"{author.user}@{author.host}"[:100],
        }
        with self._database.write() as connection:
            if connection.execute(statement.values(values)).rowcount:
                return True
            if connection.execute(select(TAPE.c.vid).where(TAPE.c.vid == vid)).first() is None:
                raise unknown_tape(vid)
        return False

    def check_label_allowed(self, vid: str) -> TapeFacts:
        """See ``Tapes.check_label_allowed``."""
        with self._database.read() as connection:
            self._require_no_files(connection, vid)
            return self._facts(connection, vid)

    def labelled(self, vid: str, drive: str) -> None:
        """See ``Tapes.labelled``."""
        values = {"label_drive": drive, "label_time": int(time.time()), "label_format": "0"}
        with self._database.write() as connection:
            self._require_no_files(connection, vid)
            if not connection.execute(update(TAPE).where(TAPE.c.vid == vid).values(values)).rowcount:
                raise unknown_tape(vid)

    @staticmethod
    def _require_no_files(connection: Connection, vid: str) -> None:
        statement = select(func.count()).select_from(TAPE_FILE).where(TAPE_FILE.c.vid == vid)
        if count := connection.execute(statement).scalar_one():
            raise CtaError(TAPE_NOT_EMPTY, f"tape {vid}: {count} files are recorded on it", vid=vid)

    def set_encryption_key_name(self, vid: str, key_name: str, author: Author) -> bool:
        """See ``Tapes.set_encryption_key_name``."""
        used = (
            select(TAPE_FILE.c.vid).where(TAPE_FILE.c.vid == vid).exists()
            | select(FILE_RECYCLE_LOG.c.vid).where(FILE_RECYCLE_LOG.c.vid == vid).exists()
        )
        values = {
            "encryption_key_name": key_name,
            "last_update_user_name": author.user,
            "last_update_host_name": author.host,
            "last_update_time": int(time.time()),
        }
        with self._database.write() as connection:
            known = connection.execute(select(TAPE.c.vid).where(TAPE.c.vid == vid).with_for_update()).first()
            if known is None:
                raise unknown_tape(vid)
            statement = update(TAPE).where(TAPE.c.vid == vid, ~used).values(values)
            return bool(connection.execute(statement).rowcount)

    def set_verification_status(self, vid: str, text: str | None) -> None:
        """See ``Tapes.set_verification_status``."""
        self._update(vid, {"verification_status": (text or "").strip()[:1000] or None})

    def reclaim(self, vid: str, author: Author, quarantine_s: int = 0) -> None:
        """See ``Tapes.reclaim``."""
        now = int(time.time())
        recycled = FILE_RECYCLE_LOG.c
        with self._database.write() as connection:
            row = connection.execute(
                select(TAPE.c.is_full, TAPE.c.tape_state).where(TAPE.c.vid == vid).with_for_update()
            ).first()
            if row is None:
                raise unknown_tape(vid)
            if not row.is_full:
                raise CtaError(CATALOGUE_REFUSED, f"tape {vid} is not full; only a full tape is reclaimed")
            if TapeState(row.tape_state) not in _RECLAIMABLE:
                raise CtaError(CATALOGUE_REFUSED, f"tape {vid} is {row.tape_state}; it cannot be reclaimed")
            self._require_no_files(connection, vid)
            youngest = connection.execute(
                select(func.max(recycled.recycle_log_time)).where(recycled.vid == vid)
            ).scalar()
            if youngest is not None and int(youngest) + quarantine_s > now:
                raise CtaError(
                    TAPE_NOT_EMPTY,
                    f"tape {vid}: a deleted file stays in quarantine for {quarantine_s} s; try again later",
                )
            connection.execute(delete(FILE_RECYCLE_LOG).where(recycled.vid == vid))
            counters = (
                "data_in_bytes",
                "master_data_in_bytes",
                "last_fseq",
                "nb_master_files",
                "nb_copy_nb_1",
                "copy_nb_1_in_bytes",
                "nb_copy_nb_gt_1",
                "copy_nb_gt_1_in_bytes",
            )
            values: dict[str, Any] = dict.fromkeys(counters, 0)
            values.update(
                is_full=False,
                is_from_castor=False,
                dirty=False,
                verification_status=None,
                last_update_user_name=author.user,
                last_update_host_name=author.host,
                last_update_time=now,
            )
            connection.execute(update(TAPE).where(TAPE.c.vid == vid).values(values))

    def refresh_dirty(self, limit: int) -> int:
        """See ``Tapes.refresh_dirty``."""
        with self._database.read() as connection:
            dirty = TAPE.c.dirty == True  # noqa: E712
            vids = connection.execute(select(TAPE.c.vid).where(dirty).limit(limit)).scalars().all()
        for vid in vids:
            self._refresh(vid)
        return len(vids)

    def _refresh(self, vid: str) -> None:
        c = TAPE_FILE.c
        statement = (
            select(c.copy_nb, func.count(), func.coalesce(func.sum(c.logical_size_in_bytes), 0))
            .where(c.vid == vid)
            .group_by(c.copy_nb)
        )
        with self._database.write() as connection:
            # The lock makes the sums agree with what a drive records at the same time.
            connection.execute(select(TAPE.c.vid).where(TAPE.c.vid == vid).with_for_update())
            sums = connection.execute(statement).all()
            first_files = sum(count for copy_nb, count, _ in sums if copy_nb == 1)
            first_bytes = sum(int(total) for copy_nb, _, total in sums if copy_nb == 1)
            other_files = sum(count for _, count, _ in sums) - first_files
            other_bytes = sum(int(total) for _, _, total in sums) - first_bytes
            connection.execute(
                update(TAPE)
                .where(TAPE.c.vid == vid)
                .values(
                    nb_master_files=first_files + other_files,
                    master_data_in_bytes=first_bytes + other_bytes,
                    nb_copy_nb_1=first_files,
                    copy_nb_1_in_bytes=first_bytes,
                    nb_copy_nb_gt_1=other_files,
                    copy_nb_gt_1_in_bytes=other_bytes,
                    dirty=False,
                )
            )
