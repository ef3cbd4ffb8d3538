"""The SQL that writes versions; executes nothing.

Aliases are the same throughout: ``r`` is a stored row, ``l`` its links as arrays, ``v`` its last
version, open or not; ``h`` is the table of versions where it is written. Rows are looked up by
LATERAL with OFFSET 0, as the merge does it, whatever the planner thinks of their number.
"""

from __future__ import annotations

from functools import cache

from connector.resources.resource import Kind, Table
from connector.warehouse.merge.content import differs_from
from connector.warehouse.schema import versions
from connector.warehouse.schema.versions import Linked
from connector.warehouse.sql.names import Names, quote
from connector.warehouse.sql.rows import living

_LAST = "ORDER BY v.valid_from DESC LIMIT 1"
_LATER = "v.valid_from + interval '1 microsecond'"
"""No two versions of a row begin at the same instant."""


_READ = "coalesce(%(read_at)s::timestamptz, r._read_at, now())"


@cache
def add_new(names: Names, table: Table, links: frozenset[str]) -> str:
    """Begin versions of rows that are new, unless there are any of the same key.

    ``links`` are the link tables in which they have any: those are gathered for all rows at once.
    Parameters: keys, read_at, floor.
    """
    gathered = [one for one in versions.linked(table) if one.table in links]
    arrays = ", ".join(
        f"coalesce({quote(one.table)}.ids, '{{}}')" if one in gathered else "ARRAY[]::text[]"
        for one in versions.linked(table)
    )
    joins = "".join(_gathered(names, one) for one in gathered)
    columns, linked = _columns(table)
    rows = ", ".join(f"r.{name}" for name in [*columns, "_run_id"])
    history = names(versions.name_of(table))
    return f"""
        INSERT INTO {history} ({", ".join([*columns, "_run_id", *linked, "valid_from"])})
        SELECT {rows}, {arrays}, {_first(table)}
        {_living(names, table, joins)}
        WHERE NOT EXISTS (SELECT FROM {history} v WHERE v.id = r.id OFFSET 0)"""


@cache
def write_changed(names: Names, table: Table, links: frozenset[str]) -> str:
    """Close the open versions of rows that differ from them, and begin others.

    A version begins when Intercom says that its content was last updated, if that moved, and else
    when it was read; not before the one before, and not after it was read. ``links`` are the link
    tables in which anything may have changed. Parameters: keys; revived, those of them that were
    marked deleted; read_at, where ``_read_at`` of the rows does not tell it; floor, before which no
    first version begins; signed.
    """
    begins = f"""CASE
            WHEN v.valid_to IS NOT NULL THEN greatest({_READ}, v.valid_to, {_LATER})
            WHEN v.valid_from IS NOT NULL THEN greatest({_LATER}, CASE
                WHEN r.updated_at > v.updated_at OR v.updated_at IS NULL
                THEN least(r.updated_at, {_READ}) ELSE {_READ} END)
            WHEN r.id = ANY(%(revived)s::text[]) THEN {_READ}
            ELSE {_first(table)} END"""
    which = f"v.id IS NULL OR v.valid_to IS NOT NULL OR {_differs(table, links)}"
    return _write(names, table, begins, which, links)


@cache
def begin_rows(names: Names, table: Table) -> str:
    """Begin versions of living rows that have no open one. Parameters: keys, began_at."""
    begins = f"greatest(%(began_at)s::timestamptz, v.valid_to, {_LATER})"
    return _write(names, table, begins, "v.id IS NULL OR v.valid_to IS NOT NULL", frozenset())


@cache
def differing(names: Names, table: Table, columns: frozenset[str], links: frozenset[str]) -> str:
    """The rows that differ from their open versions in any of these columns, or have none.

    Where few columns can differ, this is less to plan than ``write_changed``. Parameters: keys,
    signed.
    """
    return f"""
        SELECT r.id {_living(names, table)}
        LEFT JOIN LATERAL (
            SELECT * FROM {names(versions.name_of(table))} v
            WHERE v.id = k.id AND v.valid_to IS NULL OFFSET 0) v ON true
        {_changed_arrays(names, table, links)}
        WHERE v.id IS NULL OR {_differs(table, links, columns)}"""


def _first(table: Table) -> str:
    """When the first version of a row begins."""
    created = "r.created_at, " if table.has_column("created_at") else ""
    updated = f"least(coalesce(r.updated_at, {created}{_READ}), {_READ})"
    return f"greatest(%(floor)s::timestamptz, {updated})"


def _write(names: Names, table: Table, begins: str, which: str, links: frozenset[str]) -> str:
    history = names(versions.name_of(table))
    columns, arrays = _columns(table)
    rows = ", ".join(f"r.{name}" for name in [*columns, "_run_id"])
    found = ", ".join(f"f.{name}" for name in arrays)
    listed = ", ".join([*columns, "_run_id", *arrays])
    return f"""
        WITH found AS MATERIALIZED (
            SELECT r.id, {_arrays(names, table, links)}, {begins} AS begins,
                   CASE WHEN v.valid_to IS NULL THEN v.ctid END AS place
            {_living(names, table)}
            LEFT JOIN LATERAL (
                SELECT v.ctid, v.* FROM {history} v WHERE v.id = k.id {_LAST}) v ON true
            {_changed_arrays(names, table, links)}
            WHERE {which}
        ), closed AS (
            UPDATE {history} h SET valid_to = f.begins FROM found f
            WHERE h.ctid = ANY(ARRAY(SELECT place FROM found WHERE place IS NOT NULL))
              AND f.id = h.id
            RETURNING h.id
        )
        INSERT INTO {history} ({listed}, valid_from)
        SELECT {rows}, {found}, f.begins
        FROM found f LEFT JOIN closed c ON c.id = f.id
        CROSS JOIN LATERAL (SELECT * FROM {names(table.name)} r WHERE r.id = f.id OFFSET 0) r
        WHERE f.place IS NULL OR c.id IS NOT NULL"""  # the open one is closed before


def _columns(table: Table) -> tuple[list[str], list[str]]:
    """The columns of a row, and those of its links."""
    columns = [quote(name) for name in (*table.key, *versions.content(table))]
    return columns, [quote(one.name) for one in versions.linked(table)]


def _living(names: Names, table: Table, joins: str = "") -> str:
    """The living rows with these keys, and what is joined to those."""
    return f"""
            FROM unnest(%(keys)s::text[]) k (id){joins}
            CROSS JOIN LATERAL (
                SELECT * FROM {names(table.name)} r
                WHERE r.id = k.id AND {living("r")} OFFSET 0) r"""


def _arrays(names: Names, table: Table, links: frozenset[str]) -> str:
    """The links of a row; where none of a table changed, those of the open version."""
    found = []
    for one in versions.linked(table):
        array, name = f"l.{quote(one.name)}", quote(one.name)
        if one.table not in links:
            is_open = f"v.valid_to IS NULL AND v.{name} IS NOT NULL"
            array = f"CASE WHEN {is_open} THEN v.{name} ELSE {_array(names, one)} END AS {name}"
        found.append(array)
    return ", ".join(found)


def _changed_arrays(names: Names, table: Table, links: frozenset[str]) -> str:
    """Joins those links of a row of which anything may have changed."""
    found = [
        f"{_array(names, one)} AS {quote(one.name)}"
        for one in versions.linked(table)
        if one.table in links
    ]
    return f"CROSS JOIN LATERAL (SELECT {', '.join(found)} OFFSET 0) l" if found else ""


def _array(names: Names, one: Linked) -> str:
    """The sorted ids that a row is linked to."""
    other = f"x.{quote(one.other)}"
    return (
        f"ARRAY(SELECT {other} FROM {names(one.table)} x WHERE x.{quote(one.own)} = r.id"
        f' ORDER BY {other} COLLATE "C")'
    )


def _gathered(names: Names, one: Linked) -> str:
    """Joins the sorted ids that rows are linked to; a full join compares not each with each."""
    own, other, name = f"x.{quote(one.own)}", f"x.{quote(one.other)}", quote(one.table)
    return f"""
            FULL JOIN (
                SELECT {own} AS id, array_agg({other} ORDER BY {other} COLLATE "C") AS ids
                FROM {names(one.table)} x WHERE {own} = ANY(%(keys)s::text[]) GROUP BY {own}
            ) {name} ON {name}.id = k.id"""


def _differs(table: Table, links: frozenset[str], columns: frozenset[str] | None = None) -> str:
    """A row is not what its open version says; signatures are no content.

    Looked at are only these ``columns``, if any are named, and the arrays of these ``links``.
    """
    kinds = {column.name: column.kind for column in table.columns}
    content = sorted(versions.content(table), key=lambda name: name != "updated_at")
    content = [name for name in content if columns is None or name in columns]
    row = [
        differs_from(f"r.{quote(name)}", f"v.{quote(name)}", kinds.get(name, Kind.JSON))
        if name in kinds or name == "extra"
        else f"r.{quote(name)} IS DISTINCT FROM v.{quote(name)}"
        for name in content
    ]
    arrays = [
        f"l.{quote(one.name)} IS DISTINCT FROM v.{quote(one.name)}"
        for one in versions.linked(table)
        if one.table in links
    ]
    return " OR ".join(f"({one})" for one in (*row[:1], *arrays, *row[1:]))


# -- what is gone ------------------------------------------------------------------------------


@cache
def close(names: Names, table: Table) -> str:
    """End the last versions of deleted rows when those were deleted. Parameter: keys.

    An end that was only found out is moved to an earlier one that Intercom told, never to a later.
    """
    history, ends = names(versions.name_of(table)), "greatest(v.valid_from, r._deleted_at)"
    return f"""
        WITH found AS MATERIALIZED (
            SELECT v.ctid AS place, r.id, {ends} AS ends
            FROM unnest(%(keys)s::text[]) k (id)
            CROSS JOIN LATERAL (
                SELECT * FROM {names(table.name)} r
                WHERE r.id = k.id AND r._deleted_at IS NOT NULL OFFSET 0) r
            CROSS JOIN LATERAL (
                SELECT v.ctid, v.* FROM {history} v WHERE v.id = r.id {_LAST}) v
            WHERE v.valid_to IS NULL OR v.valid_to > {ends})
        UPDATE {history} h SET valid_to = f.ends FROM found f
        WHERE h.ctid = ANY(ARRAY(SELECT place FROM found)) AND h.id = f.id"""


# -- in batches --------------------------------------------------------------------------------


def next_keys(names: Names, table: Table) -> str:
    """The next ids after one, in their order. Parameters: after, most."""
    return f"SELECT id FROM {names(table.name)} WHERE id > %(after)s ORDER BY id LIMIT %(most)s"


@cache
def add_memberships(names: Names, table: Table) -> str:
    """Put memberships into the open versions of some rows, as no change. Parameter: keys."""
    history = names(versions.name_of(table))
    groups = [one for one in versions.linked(table) if one.is_membership]
    sets = ", ".join(f"{quote(one.name)} = f.{quote(one.name)}" for one in groups)
    arrays = ", ".join(f"{_array(names, one)} AS {quote(one.name)}" for one in groups)
    differs = " OR ".join(
        f"l.{quote(one.name)} IS DISTINCT FROM v.{quote(one.name)}" for one in groups
    )
    return f"""
        WITH found AS MATERIALIZED (
            SELECT v.ctid AS place, r.id, {", ".join(f"l.{quote(one.name)}" for one in groups)}
            {_living(names, table)}
            CROSS JOIN LATERAL (
                SELECT v.ctid, v.* FROM {history} v
                WHERE v.id = r.id AND v.valid_to IS NULL OFFSET 0) v
            CROSS JOIN LATERAL (SELECT {arrays} OFFSET 0) l
            WHERE {differs})
        UPDATE {history} h SET {sets} FROM found f
        WHERE h.ctid = ANY(ARRAY(SELECT place FROM found)) AND h.id = f.id"""


def close_all(names: Names, table: Table) -> str:
    """End the open versions in some blocks of the table. Parameters: at, first, last (as tid)."""
    return (
        f"UPDATE {names(versions.name_of(table))} h"
        " SET valid_to = greatest(h.valid_from, %(at)s)"
        " WHERE h.ctid >= %(first)s::tid AND h.ctid < %(last)s::tid AND h.valid_to IS NULL"
    )


def prune(names: Names, table: Table) -> str:
    """Remove what ended before, in some blocks. Parameters: before, first, last (as tid)."""
    return (
        f"DELETE FROM {names(versions.name_of(table))} h"
        " WHERE h.ctid >= %(first)s::tid AND h.ctid < %(last)s::tid AND h.valid_to < %(before)s"
    )


def blocks(names: Names, table: Table) -> str:
    """How many blocks the table has."""
    return (
        f"SELECT pg_relation_size('{names(versions.name_of(table)).replace(chr(39), chr(39) * 2)}')"
        " / current_setting('block_size')::bigint"
    )
