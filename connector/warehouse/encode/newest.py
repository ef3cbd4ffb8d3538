"""Which of several copies of a record counts, as the loader decides it against stored rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from connector.resources.lists import Record
from connector.resources.resource import Table
from connector.warehouse.encode import keys
from connector.warehouse.values.fields import MisfitError, instant

Copy = tuple[Record, datetime]
CompleteLists = Mapping[tuple[int, str], Sequence[Any]]
"""Complete lists of records, by (place of the record, link table)."""


class Kept(Struct, frozen=True):
    """One copy of each record, by what identifies its row, and the lists that belong to it.

    ``lost`` records are without what identifies a row.
    """

    copies: dict[str, Copy]
    lists: CompleteLists
    lost: int = 0


def separate_lists(table: Table, records: Sequence[Record]) -> list[int]:
    """The places of records that are no copies of their objects, but separate lists of them."""
    if table.omits_unset or not table.has_updated_at:
        return []
    return [place for place, record in enumerate(records) if "updated_at" not in record]


def newest(
    table: Table,
    records: Sequence[Record],
    read_at: Sequence[datetime],
    lists: CompleteLists,
) -> Kept:
    """The newest copy of each record, when it was requested, and its lists by its new place.

    What belongs to older copies counts as little as they do. Separate lists of one object are
    put together; they come in the order in which they were read.
    """
    kept: dict[str, Copy] = {}
    places: dict[str, int] = {}
    lost = 0
    copies = zip(records, read_at, strict=True)
    for place, (key, copy) in enumerate(zip(keys.row_keys(table, records), copies, strict=True)):
        if key is None:
            lost += 1
        elif key not in kept or _replaces(table, copy, kept[key]):
            if key in kept and separate_lists(table, [copy[0]]):
                copy = {**kept[key][0], **copy[0]}, copy[1]
            kept[key], places[key] = copy, place
    if not lists:
        return Kept(kept, {}, lost)
    moved = {old: new for new, old in enumerate(places.values())}
    whole = {(moved[p], n): some for (p, n), some in lists.items() if p in moved}
    return Kept(kept, whole, lost)


def _replaces(table: Table, new: Copy, old: Copy) -> bool:
    """Whether the copy is not the older one; of two objects under one key, the one in use."""
    if table.retired and new[0].get("id") != old[0].get("id"):
        retired = bool(new[0].get(table.retired))
        if retired != bool(old[0].get(table.retired)):
            return not retired
    if table.has_updated_at:
        mine, theirs = _updated_at(new[0]), _updated_at(old[0])
        if mine and theirs and mine != theirs:
            return mine > theirs
    return new[1] >= old[1]


def _updated_at(record: Record) -> str | None:
    """As COPY text, whose order is that of time."""
    try:
        return instant(record.get("updated_at"))
    except MisfitError:
        return None
