"""The SQL that writes what a diff found: rows, links, children, placeholders; executes nothing.

Each statement takes the places of the staged rows it is for, so nothing is compared again.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache

from connector.resources.resource import Child, Link, Table
from connector.warehouse.merge.content import (
    Absence,
    Content,
    Family,
    contents,
    is_separate_list,
    key_of,
    same,
)
from connector.warehouse.sql.names import Names, quote
from connector.warehouse.sql.rows import key_text
from connector.warehouse.sql.staging import stage

Source = tuple[str, str]  # a staged table and its column that refers to another table

_BOOKKEEPING = "_changed_at, _run_id, _deleted_at, _placeholder"
_CHOSEN = "s.ctid = ANY(%(places)s::tid[])"


# -- outdated copies -------------------------------------------------------------------------


def drop_staged(name: str, key: str, table: Table | None = None) -> str:
    """Delete the staged rows with these keys; ids of children come back. Parameter: keys."""
    returning = " RETURNING id" if table and not table.positioned else ""
    return f"DELETE FROM {stage(name)} WHERE {quote(key)} = ANY(%s){returning}"


def drop_places(table: Table) -> str:
    """Delete staged rows. Parameter: places."""
    return f"DELETE FROM {stage(table.name)} s WHERE {_CHOSEN}"


# -- placeholders ----------------------------------------------------------------------------


@cache
def references(table: Table) -> dict[str, tuple[Source, ...]]:
    """For each table that a batch refers to: where the references stand."""
    found: dict[str, list[Source]] = {}
    for part in table.family():
        for column in part.columns:
            if column.refers_to:
                found.setdefault(column.refers_to, []).append((part.name, column.name))
        for link in part.links:
            found.setdefault(link.refers_to, []).append((link.table, link.target))
    return {target: tuple(sources) for target, sources in found.items()}


@lru_cache(maxsize=256)
def placeholders(names: Names, table: Table, staged: frozenset[str]) -> str:
    """Insert a row for every id that is referred to and has none; "" if nothing is referred to.

    ``staged`` are the tables with staged rows. Parameter: run_id.
    """
    inserts = []
    for target, sources in references(table).items():
        some = [source for source in sources if source[0] in staged]
        if some:
            inserts.append(f"{quote(target)} AS ({_placeholders(names, table, target, some)})")
    return f"WITH {', '.join(inserts)} SELECT" if inserts else ""


def _placeholders(names: Names, table: Table, target: str, sources: Iterable[Source]) -> str:
    """``table`` is the batch's: what it brings itself needs no placeholder."""
    coming = ""
    if target == table.name:
        coming = f"AND NOT EXISTS (SELECT FROM {stage(target)} s WHERE s.id = r.id)"
    ids = " UNION ALL ".join(f"SELECT {quote(c)} FROM {stage(name)}" for name, c in sources)
    return f"""
        INSERT INTO {names(target)} (id, _placeholder, _run_id)
        SELECT r.id, true, %(run_id)s
        FROM (SELECT DISTINCT id FROM ({ids}) a (id) WHERE id IS NOT NULL) r
        WHERE NOT EXISTS (SELECT FROM {names(target)} o WHERE o.id = r.id OFFSET 0) {coming}
        ORDER BY r.id ON CONFLICT DO NOTHING"""


# -- links -----------------------------------------------------------------------------------


@cache
def add_links(names: Names, link: Link, *, every: bool, tells: bool = False) -> str:
    """Insert all staged links of owners that are new; or those of some, and changed ones.

    ``tells``: their targets come back. Parameters unless ``every``: owners, places.
    """
    own, far = quote(link.owner), quote(link.target)
    told = [quote(column.name) for column in link.columns]
    listed = ", ".join([own, far, *told])
    insert = f"""
        INSERT INTO {names(link.table)} AS t ({listed})
        SELECT {listed} FROM {stage(link.table)} s"""
    returning = f" RETURNING t.{far}" if tells else ""
    if every:
        return insert + returning
    update = ", ".join(f"{c} = coalesce(excluded.{c}, t.{c})" for c in told)
    return f"""{insert}
        WHERE {_CHOSEN} OR s.{own} = ANY(%(owners)s)
        ON CONFLICT ({own}, {far}) DO {"UPDATE SET " + update if update else "NOTHING"}
        {returning}"""


@cache
def remove_links(names: Names, owner: Table, link: Link, *, tells: bool = False) -> str:
    """Delete the links of some owners that their complete lists omit. Parameter: owners.

    ``tells``: their targets come back.
    """
    own, far = quote(link.owner), quote(link.target)
    return f"""
        DELETE FROM {names(link.table)} o USING {stage(owner.name)} p
        WHERE o.{own} = ANY(%s) AND o.{own} = p.id AND p.{quote("_complete_" + link.table)}
          AND NOT EXISTS (SELECT FROM {stage(link.table)} s
                          WHERE s.{own} = o.{own} AND s.{far} = o.{far})
        {f"RETURNING o.{far}" if tells else ""}"""


# -- rows ------------------------------------------------------------------------------------


@lru_cache(maxsize=256)  # payloads vary in what they leave out
def insert_rows(
    names: Names, table: Table, absence: Absence, parent: Family | None, *, every: bool
) -> str:
    """Insert staged rows that have no stored one. Parameters: run_id, and places unless every."""
    columns, content = _columns(names, table, absence, parent)
    values = ", ".join(c.first for c in content)
    return f"""
        INSERT INTO {names(table.name)} ({columns}, {_BOOKKEEPING})
        SELECT {_keys(table, parent)}, {values}, s._read_at, now(), %(run_id)s, NULL, false
        FROM {stage(table.name)} s{"" if every else " WHERE " + _CHOSEN}"""


@lru_cache(maxsize=256)
def replace_rows(names: Names, table: Table, absence: Absence, parent: Family | None) -> str:
    """Write staged rows over their stored ones. Parameters: places, run_id."""
    target, key = names(table.name), key_of(table, parent)
    columns, content = _columns(names, table, absence, parent)
    values = ", ".join(c.value for c in content)
    stamp = [] if is_separate_list(table, absence[0]) else ["_read_at"]
    written = (*contents(names, table, absence, parent), *stamp)
    update = ", ".join(f"{quote(c)} = excluded.{quote(c)}" for c in written)
    return f"""
        INSERT INTO {target} AS t ({columns}, {_BOOKKEEPING})
        SELECT {_keys(table, parent)}, {values}, s._read_at, now(), %(run_id)s, NULL, false
        FROM {stage(table.name)} s
        CROSS JOIN LATERAL (SELECT * FROM {target} o WHERE {same(key)} OFFSET 0) o
        WHERE {_CHOSEN}
        ON CONFLICT ({", ".join(map(quote, key))}) DO UPDATE SET {update},
            _changed_at = now(), _run_id = excluded._run_id,
            _deleted_at = NULL, _placeholder = false"""


def _columns(
    names: Names, table: Table, absence: Absence, parent: Family | None
) -> tuple[str, list[Content]]:
    """The columns that are written, and what those between key and bookkeeping are to hold."""
    content = contents(names, table, absence, parent)
    columns = [*key_of(table, parent), *content, "_read_at"]
    return ", ".join(map(quote, columns)), list(content.values())


def _keys(table: Table, parent: Family | None) -> str:
    return ", ".join(f"s.{quote(name)}" for name in key_of(table, parent))


def _omitted(child: Child) -> str:
    """The condition that a stored child ``o`` of some owners is omitted by its list."""
    own, key = quote(child.parent), "position" if child.table.positioned else "id"
    return f"""o.{own} = ANY(%(owners)s) AND o.{own} = p.id
              AND p.{quote("_complete_" + child.table.name)}
              AND NOT EXISTS (SELECT FROM {stage(child.table.name)} s
                              WHERE s.{own} = o.{own} AND s.{key} = o.{key})"""


@cache
def count_children(names: Names, parent: Table, child: Child) -> str:
    """How many living children the lists of some rows omit. Parameter: owners.

    What another list of the batch shows has moved, and is not omitted.
    """
    return (
        f"SELECT count(*) FROM {names(child.table.name)} o, {stage(parent.name)} p"
        f" WHERE {_omitted(child)} AND o._deleted_at IS NULL"
        f" AND NOT EXISTS (SELECT FROM {stage(child.table.name)} s WHERE s.id = o.id)"
    )


def stage_incomplete(parent: Table, child: Child) -> str:
    """Stage the lists of some rows as not known to be complete. Parameter: owners."""
    complete = quote(f"_complete_{child.table.name}")
    return f"UPDATE {stage(parent.name)} SET {complete} = false WHERE id = ANY(%s)"


@cache
def remove_children(names: Names, parent: Table, child: Child) -> str:
    """Mark (or, if they can be fetched again, delete) what the lists of some rows omit.

    Their keys come back, and since when they are gone. Parameters: owners, run_id.
    """
    key = f"o.{quote(child.parent)}" if child.table.positioned else key_text(child.table, "o")
    returning = f"RETURNING {key}, p._read_at"
    target, omitted = names(child.table.name), _omitted(child)
    if not child.permanent:
        return f"DELETE FROM {target} o USING {stage(parent.name)} p WHERE {omitted} {returning}"
    return f"""
        UPDATE {target} o
        SET _deleted_at = p._read_at, _changed_at = now(), _run_id = %(run_id)s
        FROM {stage(parent.name)} p WHERE {omitted} AND o._deleted_at IS NULL {returning}"""
