# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the listings of administrative objects: the catalogue's fields under upstream's JSON names.

What it is: renaming, nesting, and what upstream's listings add from other objects (a tape's capacity, a
pool's tapes).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from cta_taped.admin.nouns import NOUNS, Noun
from cta_taped.admin.output import Column, shown, shown_size, shown_time
from cta_taped.db.catalogue import ObjectField, ObjectKind, Objects, ObjectValue

_MORE_COLUMNS: Final = {
    ObjectKind.TAPE: {"vo": False, "capacity": True},
    ObjectKind.TAPE_POOL: {"numTapes": False, "capacityBytes": True, "dataBytes": True},
}
"""Fields that rows of a kind have from other objects; True for sizes in bytes."""


def rows(objects: Objects, kind: ObjectKind, where: Mapping[str, ObjectValue]) -> list[dict[str, Any]]:
    """All objects of a kind whose fields equal ``where``, for a listing."""
    found = [_row(NOUNS[kind], values) for values in objects.find(kind, where)]
    add = _MORE.get(kind)
    if add is not None and found:
        add(objects, found)
    return found


def columns(kind: ObjectKind, fields: Sequence[ObjectField]) -> list[Column]:
    """The columns of a kind's table."""
    noun = NOUNS[kind]
    sized = {
        noun.fields[field.name].json: field.name.endswith("_bytes")
        for field in fields
        if "." not in noun.fields[field.name].json
    } | _MORE_COLUMNS.get(kind, {})
    numbers = {noun.fields[field.name].json for field in fields if field.type is int}
    times = {noun.fields[field.name].json for field in fields if field.name.endswith("_time")}
    return [
        Column(
            name,
            name,
            shown_size if sized[name] else shown_time if name in times else shown,
            sized[name] or name in numbers,
        )
        for name in noun.columns or sized
    ]


def _row(noun: Noun, values: Mapping[str, ObjectValue]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, spelling in noun.fields.items():
        place, _, inner = spelling.json.partition(".")
        if inner:
            row.setdefault(place, {})[inner] = values[name]
        else:
            row[place] = values[name]
    for name, prefix in (("creationLog", "creation"), ("lastModificationLog", "last_update")):
        row[name] = {
            "username": values[f"{prefix}_user"],
            "host": values[f"{prefix}_host"],
            "time": values[f"{prefix}_time"],
        }
    return row


def _about_tapes(objects: Objects, tapes: list[dict[str, Any]]) -> None:
    vo_of = {pool["name"]: pool["vo"] for pool in objects.find(ObjectKind.TAPE_POOL)}
    capacity_of = _capacities(objects)
    library_of = {one["name"]: one["physical_library"] for one in objects.find(ObjectKind.LOGICAL_LIBRARY)}
    for tape in tapes:
        tape["vo"] = vo_of.get(tape["tapepool"])
        tape["capacity"] = capacity_of.get(tape["mediaType"])
        tape["physicalLibrary"] = library_of.get(tape["logicalLibrary"])


def _about_pools(objects: Objects, pools: list[dict[str, Any]]) -> None:
    capacity_of = _capacities(objects)
    by_name = {pool["name"]: pool for pool in pools}
    for pool in pools:
        pool |= {"numTapes": 0, "numPhysicalFiles": 0, "capacityBytes": 0, "dataBytes": 0}
    for tape in objects.find(ObjectKind.TAPE):
        if (of := by_name.get(tape["tape_pool"])) is not None:
            of["numTapes"] += 1
            of["numPhysicalFiles"] += tape["nb_files"]
            of["capacityBytes"] += capacity_of.get(tape["media_type"]) or 0
            of["dataBytes"] += tape["data_bytes"]


def _capacities(objects: Objects) -> dict[ObjectValue, Any]:
    return {media["name"]: media["capacity_bytes"] for media in objects.find(ObjectKind.MEDIA_TYPE)}


_MORE: Final[dict[ObjectKind, Callable[[Objects, list[dict[str, Any]]], None]]] = {
    ObjectKind.TAPE: _about_tapes,
    ObjectKind.TAPE_POOL: _about_pools,
}
