# SPDX-License-Identifier: GPL-3.0-or-later
"""Administrative objects: create, change, remove, list.

What it is: the catalogue's ``Objects`` in SQL, over the table of kinds in ``objecttables``. What it is not:
the state of tapes (``tapes``) or drives. Why values are checked here: an administrator deserves a sentence,
not a constraint's name.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    Table,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)

from cta_taped.common.errors import (
    CATALOGUE_EXISTS,
    CATALOGUE_IN_USE,
    CATALOGUE_NOT_FOUND,
    CATALOGUE_REFUSED,
    CtaError,
)
from cta_taped.db.catalogue import Author, ObjectField, ObjectKind, ObjectValue
from cta_taped.db.schema_types import Flag
from cta_taped.db.sql.database import AnyRow, Database
from cta_taped.db.sql.objecttables import OBJECT_TABLES, ObjectTable, name_column

# VSN of VOL1 has six characters (ISO 1001, 8.3).
_VID: Final = re.compile(r"[A-Z0-9]{1,6}")
_MAX_INT: Final = 2**63 - 1
_AUDIT: Final = {
    "creation_user": "creation_log_user_name",
    "creation_host": "creation_log_host_name",
    "creation_time": "creation_log_time",
    "last_update_user": "last_update_user_name",
    "last_update_host": "last_update_host_name",
    "last_update_time": "last_update_time",
}


def _refused(kind: ObjectKind, what: str) -> CtaError:
    return CtaError(CATALOGUE_REFUSED, f"{kind}: {what}")


def _named(key: Mapping[str, ObjectValue]) -> str:
    return " ".join(str(value) for value in key.values())


def _stored(kind: ObjectKind, table: Table, field: ObjectField, column: str, value: ObjectValue) -> Any:
    """A value as the column wants it.

    Raises CATALOGUE_REFUSED when it has the wrong type, length or range.
    """
    if value is None or (value == "" and not field.required):
        if field.required:
            raise _refused(kind, f"{field.name} must have a value")
        return False if field.type is bool and isinstance(table.c[column].type, Flag) else None
    if field.type is bool:
        if not isinstance(value, bool):
            raise _refused(kind, f"{field.name} is yes or no, not {value!r}")
        if isinstance(table.c[column].type, Flag):
            return value
        return "1" if value else None
    if field.type is int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_INT:
            raise _refused(kind, f"{field.name} is a number from 0 on, not {value!r}")
        return value
    if not isinstance(value, str):
        raise _refused(kind, f"{field.name} is a text, not {value!r}")
    text = value.strip()
    if not text or "\0" in text:
        raise _refused(kind, f"{field.name} must not be empty")
    if column == "user_comment":
        return text[:1000]
    kind_of_column = table.c[column].type
    limit = kind_of_column.length if isinstance(kind_of_column, String) else None
    if limit is not None and len(text) > limit and field.reference is None:
        raise _refused(kind, f"{field.name} is longer than {limit} characters")
    return text


def _check(kind: ObjectKind, values: Mapping[str, Any]) -> None:
    """Rules that no constraint of the schema states."""
    if kind is ObjectKind.TAPE and "vid" in values and not _VID.fullmatch(str(values["vid"])):
        raise _refused(kind, f"VID {values['vid']!r} is not one to six upper case letters and digits")
    if kind is ObjectKind.ARCHIVE_ROUTE and values.get("archive_route_type") not in (
        None,
        "DEFAULT",
        "REPACK",
    ):
        raise _refused(kind, f"type is DEFAULT or REPACK, not {values['archive_route_type']!r}")
    if kind in (ObjectKind.ARCHIVE_ROUTE, ObjectKind.STORAGE_CLASS):
        for column in ("copy_nb", "nb_copies"):
            if values.get(column) == 0:
                raise _refused(kind, "copies count from 1")
    for column in ("file_regexp", "activity_regex"):
        if column in values:
            try:
                re.compile(str(values[column]))
            except re.error as error:
                raise _refused(kind, f"{column} {values[column]!r} is no regular expression") from error


class SqlObjects:
    """``db.catalogue.Objects`` on a relational database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def fields(self, kind: ObjectKind) -> tuple[ObjectField, ...]:
        """See ``Objects.fields``."""
        return tuple(field for field, _ in OBJECT_TABLES[kind].fields)

    def add(self, kind: ObjectKind, values: Mapping[str, ObjectValue], author: Author) -> None:
        """See ``Objects.add``."""
        entry = OBJECT_TABLES[kind]
        now = int(time.time())
        self._require_known(kind, values)
        with self._database.write() as connection:
            row: dict[str, Any] = dict(entry.defaults)
            for field, column in entry.fields:
                if not field.settable or (field.name not in values and not field.required):
                    continue
                row[column] = self._value(connection, kind, field, column, values.get(field.name))
            _check(kind, row)
            keys = {column: row[column] for field, column in entry.fields if field.key and column in row}
            if self._exists(connection, entry, keys):
                named = _named(
                    {f.name: values[f.name] for f, _ in entry.fields if f.key and f.name in values}
                )
                raise CtaError(CATALOGUE_EXISTS, f"{kind} {named} exists already")
            if entry.sequence is not None and entry.identifier is not None:
                row[entry.identifier] = self._database.draw(connection, entry.sequence, 1)[0]
            row.update(self._derived(kind, row, author, now, new=True))
            row.update(
                creation_log_user_name=author.user,
                creation_log_host_name=author.host,
                creation_log_time=now,
                last_update_user_name=author.user,
                last_update_host_name=author.host,
                last_update_time=now,
            )
            connection.execute(insert(entry.table).values(row))

    def change(
        self,
        kind: ObjectKind,
        key: Mapping[str, ObjectValue],
        values: Mapping[str, ObjectValue],
        author: Author,
    ) -> None:
        """See ``Objects.change``."""
        entry = OBJECT_TABLES[kind]
        now = int(time.time())
        self._require_known(kind, values)
        with self._database.write() as connection:
            row: dict[str, Any] = {}
            for field, column in entry.fields:
                if field.name not in values:
                    continue
                if field.key:
                    raise _refused(kind, f"{field.name} is part of the identity and cannot be changed")
                row[column] = self._value(connection, kind, field, column, values[field.name])
            if not row:
                raise _refused(kind, "nothing to change was given")
            _check(kind, row)
            row.update(self._derived(kind, row, author, now, new=False))
            row.update(
                last_update_user_name=author.user, last_update_host_name=author.host, last_update_time=now
            )
            where = self._where(connection, kind, key)
            if not connection.execute(update(entry.table).where(where).values(row)).rowcount:
                raise CtaError(CATALOGUE_NOT_FOUND, f"{kind} {_named(key)} is not in the catalogue")

    def remove(self, kind: ObjectKind, key: Mapping[str, ObjectValue]) -> None:
        """See ``Objects.remove``."""
        try:
            with self._database.write() as connection:
                where = self._where(connection, kind, key)
                if not connection.execute(delete(OBJECT_TABLES[kind].table).where(where)).rowcount:
                    raise CtaError(CATALOGUE_NOT_FOUND, f"{kind} {_named(key)} is not in the catalogue")
        except CtaError as error:
            # The only constraint that a DELETE can meet is another table's foreign key.
            if error.spec is not CATALOGUE_REFUSED or error.__cause__ is None:
                raise
            message = f"{kind} {_named(key)} is still referred to and cannot be removed"
            raise CtaError(CATALOGUE_IN_USE, message, **error.evidence) from error

    def find(
        self, kind: ObjectKind, where: Mapping[str, ObjectValue] | None = None
    ) -> list[dict[str, ObjectValue]]:
        """See ``Objects.find``."""
        entry = OBJECT_TABLES[kind]
        columns: list[Any] = []
        source: Any = entry.table
        order = []
        for field, column in entry.fields:
            shown: ColumnElement[Any] = entry.table.c[column]
            if (other := self._by_number(field)) is not None:
                target = other.table.alias()
                assert other.identifier is not None and field.reference is not None
                source = source.outerjoin(target, target.c[other.identifier] == entry.table.c[column])
                shown = target.c[name_column(field.reference)]
            columns.append(shown.label(field.name))
            if field.key:
                order.append(shown)
        columns += [entry.table.c[column].label(name) for name, column in _AUDIT.items()]
        with self._database.read() as connection:
            statement = select(*columns).select_from(source).order_by(*order)
            if where:
                statement = statement.where(self._where(connection, kind, where))
            return [self._shown(entry, row) for row in connection.execute(statement)]

    @staticmethod
    def _shown(entry: ObjectTable, row: AnyRow) -> dict[str, ObjectValue]:
        values: dict[str, ObjectValue] = dict(row._mapping)
        for field, _ in entry.fields:
            if field.type is bool:
                values[field.name] = values[field.name] in (True, "1")
        return values

    @staticmethod
    def _require_known(kind: ObjectKind, values: Mapping[str, ObjectValue]) -> None:
        settable = {field.name for field, _ in OBJECT_TABLES[kind].fields if field.settable}
        for name in values:
            if name not in settable:
                raise _refused(kind, f"there is no field {name!r} to set")

    @staticmethod
    def _by_number(field: ObjectField) -> ObjectTable | None:
        """The table of the referred kind when the column stores its number and not its name."""
        if field.reference is None:
            return None
        other = OBJECT_TABLES[field.reference]
        return other if other.sequence is not None else None

    def _value(
        self, connection: Connection, kind: ObjectKind, field: ObjectField, column: str, value: ObjectValue
    ) -> Any:
        stored = _stored(kind, OBJECT_TABLES[kind].table, field, column, value)
        if field.reference is None or stored is None:
            return stored
        other = OBJECT_TABLES[field.reference]
        assert other.identifier is not None
        name = other.table.c[name_column(field.reference)]
        number = connection.execute(select(other.table.c[other.identifier]).where(name == stored)).scalar()
        if number is None:
            raise CtaError(CATALOGUE_NOT_FOUND, f"{field.reference} {stored} is not in the catalogue")
        return number

    def _where(
        self, connection: Connection, kind: ObjectKind, key: Mapping[str, ObjectValue]
    ) -> ColumnElement[bool]:
        entry = OBJECT_TABLES[kind]
        fields = {field.name: (field, column) for field, column in entry.fields}
        conditions = []
        for name, value in key.items():
            if name not in fields:
                raise _refused(kind, f"there is no field {name!r}")
            field, column = fields[name]
            conditions.append(entry.table.c[column] == self._value(connection, kind, field, column, value))
        return and_(*conditions)

    @staticmethod
    def _exists(connection: Connection, entry: ObjectTable, keys: Mapping[str, Any]) -> bool:
        table = entry.table
        # Names are unique without regard to case (unique index on LOWER of the column).
        conditions = [
            func.lower(table.c[column]) == value.lower()
            if isinstance(value, str)
            else table.c[column] == value
            for column, value in keys.items()
        ]
        return connection.execute(select(1).select_from(table).where(*conditions)).first() is not None

    @staticmethod
    def _derived(
        kind: ObjectKind, row: Mapping[str, Any], author: Author, now: int, new: bool
    ) -> dict[str, Any]:
        """Columns that follow from others."""
        if kind is ObjectKind.TAPE_POOL and "encryption_key_name" in row:
            return {"is_encrypted": row["encryption_key_name"] is not None}
        if kind is ObjectKind.TAPE and new:
            modified_by = f"{author.user}@{author.host}"[:100]
            return {"state_update_time": now, "state_modified_by": modified_by, "dirty": False}
        return {}
