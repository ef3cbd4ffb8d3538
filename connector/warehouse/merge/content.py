"""What each column of a row is to hold, and when that changes the row, as SQL; pure.

``s`` is a staged row, ``o`` the stored row it meets; if there is none, all its columns are null.
What differs is always asked with the parameter ``signed``: ``Signatures.expression``.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from connector.resources.resource import Child, Column, Kind, Link, Table
from connector.warehouse.sql.names import Names, literal, quote
from connector.warehouse.values.signatures import FILE_LISTS, KEPT

Absence = tuple[frozenset[str], frozenset[str]]  # columns that all records lack, that some lack
Family = tuple[Table, Child]  # a parent table and the child declaration below it


class Content(Struct, frozen=True):
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


def is_separate_list(table: Table, absent: frozenset[str]) -> bool:
    """Whether records that lack these columns are separate lists, not copies of objects."""
    return table.has_updated_at and "updated_at" in absent


def outdated(table: Table, absent: frozenset[str]) -> str:
    """The staged copy may not replace the stored one. Parameters: by_id, lag, run_id.

    A copy may if its (updated_at, time of the request) is not older: silent changes do not move
    updated_at. What another run wrote was asked for before this one began, whatever clocks say.
    A separate list is no copy of the object and has no age of its own: times within one run
    are known to a second or so, and the list would be outdated for good. A deleted row comes back
    by a read by id, or by a list that was asked for late enough. Of two objects under one key the
    later list decides, and of one list the one that is in use.
    """
    newer = "(s._read_at >= o._read_at OR o._run_id IS DISTINCT FROM %(run_id)s)"
    if is_separate_list(table, absent):
        newer = "true"
    elif table.has_updated_at:
        newer = (
            "CASE WHEN s.updated_at IS NULL OR o.updated_at IS NULL OR s.updated_at = o.updated_at"
            f" THEN {newer} ELSE s.updated_at > o.updated_at END"
        )
    if table.retired:
        flag = quote(table.retired)
        newer = (
            "CASE WHEN s.id IS NOT DISTINCT FROM o.id"
            f" OR coalesce(s.{flag}, false) = coalesce(o.{flag}, false) THEN {newer}"
            f" WHEN s.{flag} THEN s._read_at > o._read_at ELSE s._read_at >= o._read_at END"
        )
    return (
        f"NOT ((o._read_at IS NULL OR {newer})"
        " AND (o._deleted_at IS NULL OR %(by_id)s OR s._read_at > o._deleted_at + %(lag)s))"
    )


def _content(column: Column, partial: bool) -> Content:
    name = quote(column.name)
    value = f"s.{name}"
    differs = differs_from(value, f"o.{name}", column.kind)
    if partial:
        lacks = f"{literal(column.name)} = ANY(s._absent)"
        value = f"CASE WHEN {lacks} THEN o.{name} ELSE {value} END"
        differs = f"({lacks}) IS NOT TRUE AND {differs}"
    return Content(f"s.{name}", value, differs)


_TEXTUAL = {Kind.TEXT: "", Kind.JSON: "::text", Kind.MAP: "::text", Kind.FILES: "::text"}


def differs_from(new: str, old: str, kind: Kind) -> str:
    """The values are not the same content: signatures are looked at only where they differ.

    Parameter: signed.
    """
    if kind is Kind.URL:  # of any host
        new, old = f"split_part({new}, '?', 1)", f"split_part({old}, '?', 1)"
    if kind not in _TEXTUAL:
        return f"{new} IS DISTINCT FROM {old}"
    texts = [f"({value}){_TEXTUAL[kind]}" for value in (new, old)]
    signed = " OR ".join(f"strpos({text}, '?') > 0" for text in texts)
    one, other = (_unsigned(text, kind) for text in texts)
    return (
        f"CASE WHEN {new} IS NOT DISTINCT FROM {old} THEN false"
        f" WHEN {signed} THEN {one} IS DISTINCT FROM {other} ELSE true END"
    )


def _unsigned(text: str, kind: Kind) -> str:
    """What of a text is compared, as ``Signatures.unsigned`` says it."""
    if kind is Kind.FILES:
        found, kept = map(literal, FILE_LISTS)
        return f"regexp_replace({text}, {found}, {kept}, 'gi')"
    return f"regexp_replace({text}, %(signed)s, {literal(KEPT)}, 'gi')"


def _completeness(names: Names, table: Table, child: Child) -> dict[str, Content]:
    """How many children are stored, and whether Intercom cut their list; as it is if unread."""
    stored, cut = quote(table.parts.stored), quote(table.parts.truncated)
    count = (
        f"(SELECT count(*) FROM {names(child.table.name)} c"
        f" WHERE c.{quote(child.parent)} = s.id AND c._deleted_at IS NULL)"
    )
    first = f"CASE WHEN s.{cut} IS NOT NULL THEN {count} END"
    number = f"CASE WHEN s.{cut} IS NULL THEN o.{stored} ELSE {count} END"
    flag = f"coalesce(s.{cut}, o.{cut})"
    return {
        table.parts.stored: Content(first, number, f"{number} IS DISTINCT FROM o.{stored}"),
        table.parts.truncated: Content(f"s.{cut}", flag, f"{flag} IS DISTINCT FROM o.{cut}"),
    }


def _extra(table: Table, absence: Absence) -> Content:
    """New leftovers with the stored ones whose keys this copy does not have."""
    plain = "s.extra IS DISTINCT FROM o.extra"
    if table.omits_unset:
        return Content("s.extra", "s.extra", differs_from("s.extra", "o.extra", Kind.JSON))
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
    return Content("s.extra", value, f"{plain} AND {differs_from(value, 'o.extra', Kind.JSON)}")


def _array(names: Iterable[str]) -> str:
    return f"ARRAY[{', '.join(map(literal, sorted(names)))}]::text[]"
