"""Empties versions of rows as their rows are emptied.

History may be off by now: what was kept of it before is emptied all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from connector.resources.resource import Table
from connector.warehouse.privacy.emptying import empty
from connector.warehouse.privacy.personal import Personal, personal, stored_about
from connector.warehouse.schema import versions
from connector.warehouse.sql.names import Names, quote


def versioned(conn: sa.Connection) -> list[Table]:
    """The tables of whose rows there are versions, in tables that are ours."""
    return [versions.VERSIONED[name] for name in versions.ours(conn)]


def empty_about(
    conn: sa.Connection, names: Names, ids: Sequence[str], *, persons_only: bool
) -> dict[str, list[str]]:
    """Empty the versions that are about these contacts, and those of rows that are.

    By table of versions the ids of those that held anything. ``persons_only``: only of the contacts
    themselves.
    """
    found: dict[str, list[str]] = {}
    for part in _parts(conn):
        if part.is_person or not persons_only:
            for which in _about(names, part):
                name = versions.name_of(part.table)
                found.setdefault(name, []).extend(empty(conn, names, name, part, which, ids))
    return found


def empty_rows(
    conn: sa.Connection, names: Names, rows: Mapping[tuple[str, str], Sequence[str]]
) -> None:
    """Empty the versions of these rows, by table and what of it named a contact."""
    for part in _parts(conn) if rows else ():
        if ids := rows.get((part.table.name, part.of)):
            empty(conn, names, versions.name_of(part.table), part, "o.id = ANY(%(ids)s)", ids)


def _parts(conn: sa.Connection) -> list[Personal]:
    tables = versioned(conn)
    return [part for part in personal() if part.table in tables]


def _about(names: Names, part: Personal) -> list[str]:
    """Conditions of versions: their row is about one of the ids, or they named one themselves."""
    if part.is_person:
        return [stored_about(names, part)]
    rows = f"SELECT o.id FROM {names(part.table.name)} o WHERE {stored_about(names, part)}"
    named = f"o.{quote(part.of)} = ANY(%(ids)s)"
    if part.link:
        arrays = {one.table: one.name for one in versions.linked(part.table)}
        named = f"o.{quote(arrays[part.link.table])} && %(ids)s::text[]"
    indexed = f"{versions.persons(part.table)} && %(ids)s::text[]"
    return [f"o.id = ANY(ARRAY({rows}))", f"{indexed} AND {named}"]
