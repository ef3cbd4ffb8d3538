"""Which of several copies of a record counts, as the loader decides it against stored rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from connector.resources.lists import Record
from connector.resources.resource import Table
from connector.warehouse import keys
from connector.warehouse.values import MisfitError, instant

Copy = tuple[Record, datetime]


def newest(
    table: Table,
    records: Sequence[Record],
    read_at: Sequence[datetime],
    warnings: Counter[str],
) -> dict[str, Copy]:
    """By what identifies the row: the newest copy of its record, and when it was requested."""
    kept: dict[str, Copy] = {}
    copies = zip(records, read_at, strict=True)
    for key, copy in zip(keys.row_keys(table, records), copies, strict=True):
        if key is None:
            warnings[f"{table.name}: record without {' or '.join(table.key)}"] += 1
        elif key not in kept or _replaces(table, copy, kept[key]):
            kept[key] = copy
    return kept


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
