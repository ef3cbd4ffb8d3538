"""What each column of a row is to hold, and when that changes the row, as SQL; pure.

``s`` is a staged row, ``o`` the stored row it meets; if there is none, all its columns are null.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from connector.resources.resource import Child, Column, Kind, Link, Table
from connector.warehouse.statements import Names, literal, quote

Absence = tuple[frozenset[str], frozenset[str]]  # columns that all records lack, that some lack
Family = tuple[Table, Child]  # a parent table and the child declaration below it


@dataclass(frozen=True)
class Content:
    """What one column is to hold in a new row and in a stored one, and when that changes it."""

    first: str
    value: str
    differs: str


def contents(
    names: Names, table: Table, absence: Absence, parent: Family | None
) -> dict[str, Content]:
    """The columns of a row but for its key and bookkeeping, without those that no record has."""
    absent, partial = absence
    content = {
        c.name: _content(c, c.name in partial)
        for c in table.columns
        if c.name not in absent and (table.positioned or c.name not in table.key)
    }
    if parent and not table.positioned:
        name = quote(parent[1].parent)
        differs = f"s.{name} IS DISTINCT FROM o.{name}"
        content[parent[1].parent] = Content(f"s.{name}", f"s.{name}", differs)
    for child in table.children:
        if child.cap:
            content |= _completeness(names, table, child)
    content["extra"] = _extra(table, absence)
    return content


def key_of(table: Table, parent: Family | None) -> list[str]:
    """The columns that tell rows of a table apart."""
    return [parent[1].parent, "position"] if parent and table.positioned else list(table.key)


def same(key: Iterable[str]) -> str:
    """The staged and the stored row have the same key."""
    return " AND ".join(f"o.{quote(name)} = s.{quote(name)}" for name in key)


def link_differs(link: Link) -> str:
    """Something new is told of a stored link; what is not told again stays."""
    told = [quote(column.name) for column in link.columns]
    return " OR ".join(f"s.{c} IS NOT NULL AND s.{c} IS DISTINCT FROM o.{c}" for c in told)


def is_beside(table: Table, absent: frozenset[str]) -> bool:
    """Whether records that lack these columns are lists read beside objects, not copies of them."""
    return table.has_updated_at and "updated_at" in absent


def refused(table: Table, absent: frozenset[str]) -> str:
    """The staged copy may not replace the stored one. Parameters: by_id, lag, run_id.

    A copy may if its (updated_at, time of the request) is not older: silent changes do not move
    updated_at. What another run wrote was asked for before this one began, whatever clocks say.
    What is no copy but a list read beside the object has no age of its own: times within one run
    are known to a second or so, and the list would be refused for good. A deleted row comes back
    by a read by id, or by a list that was asked for late enough.
    """
    newer = "(s._read_at >= o._read_at OR o._run_id IS DISTINCT FROM %(run_id)s)"
    if is_beside(table, absent):
        newer = "true"
    elif table.has_updated_at:
        newer = (
            "CASE WHEN s.updated_at IS NULL OR o.updated_at IS NULL OR s.updated_at = o.updated_at"
            f" THEN {newer} ELSE s.updated_at > o.updated_at END"
        )
    return (
        f"NOT ((o._read_at IS NULL OR {newer})"
        " AND (o._deleted_at IS NULL OR %(by_id)s OR s._read_at > o._deleted_at + %(lag)s))"
    )


def _content(column: Column, partial: bool) -> Content:
    name = quote(column.name)
    value, differs = f"s.{name}", f"s.{name} IS DISTINCT FROM o.{name}"
    if column.kind is Kind.URL:  # a new signature is no new content
        differs = f"split_part({value}, '?', 1) IS DISTINCT FROM split_part(o.{name}, '?', 1)"
    if partial:
        lacks = f"{literal(column.name)} = ANY(s._absent)"
        value = f"CASE WHEN {lacks} THEN o.{name} ELSE {value} END"
        differs = f"{differs} AND ({lacks}) IS NOT TRUE"
    return Content(f"s.{name}", value, differs)


def _completeness(names: Names, table: Table, child: Child) -> dict[str, Content]:
    """How many children are stored, and whether Intercom cut their list; as it is if unread."""
    stored, cut = quote(table.stored), quote(table.truncated)
    count = (
        f"(SELECT count(*) FROM {names(child.table.name)} c"
        f" WHERE c.{quote(child.parent)} = s.id AND c._deleted_at IS NULL)"
    )
    first = f"CASE WHEN s.{cut} IS NOT NULL THEN {count} END"
    number = f"CASE WHEN s.{cut} IS NULL THEN o.{stored} ELSE {count} END"
    flag = f"coalesce(s.{cut}, o.{cut})"
    return {
        table.stored: Content(first, number, f"{number} IS DISTINCT FROM o.{stored}"),
        table.truncated: Content(f"s.{cut}", flag, f"{flag} IS DISTINCT FROM o.{cut}"),
    }


def _extra(table: Table, absence: Absence) -> Content:
    """New leftovers beside stored ones whose keys this copy does not have."""
    differs = "s.extra IS DISTINCT FROM o.extra"
    if table.omits_unset:
        return Content("s.extra", "s.extra", differs)
    rest, declared, some = "o.extra", table.top_keys() - absence[0] - absence[1], absence[1]
    if declared:
        rest = f"({rest} - {_array(declared)})"
    if some:
        rest = f"({rest} - ARRAY(SELECT unnest({_array(some)}) EXCEPT SELECT unnest(s._absent)))"
    value = (
        "CASE WHEN o.extra IS NULL THEN s.extra"
        f" ELSE nullif({rest} || coalesce(s.extra, '{{}}'), '{{}}') END"
    )
    # Leftovers that are the same need not be put together to see that they do not change.
    return Content("s.extra", value, f"{differs} AND {value} IS DISTINCT FROM o.extra")


def _array(names: Iterable[str]) -> str:
    return f"ARRAY[{', '.join(map(literal, sorted(names)))}]::text[]"
