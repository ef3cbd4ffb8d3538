"""Reads again what was emptied: of contacts that live again, or are to be forgotten no more.

Nothing about them is taken as known: digests go, lists read contact by contact are due at once,
and objects that a full pass would be long in coming to are pending.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from connector.resources import RESOURCES, TABLES
from connector.resources.readings import PerContact, Search
from connector.resources.resource import Resource, Table
from connector.warehouse import state
from connector.warehouse.privacy.personal import Personal, personal, stored_about
from connector.warehouse.sql.execute import execute, scalars
from connector.warehouse.sql.names import Names, literal, quote
from connector.warehouse.sql.rows import own_living
from connector.warehouse.state.reads import EXPIRED


def look_again(conn: sa.Connection, names: Names, ids: Sequence[str], *, themselves: bool) -> None:
    """Have what is about these contacts read again; ``themselves`` too, if none is just being."""
    for table, parts in _by_root():
        owners = _about(conn, names, parts, list(ids))
        if owners:
            execute(
                conn,
                f"DELETE FROM {names('sync_digests')}"
                f" WHERE table_name = {literal(table.name)} AND id = ANY(%s)",
                [owners],
            )
        if owners and (themselves or not table.holds_persons):
            for resource in _searched(table):
                execute(conn, _pend(names, resource), [state.REVIVED, owners])
    beside = [r.name for r in RESOURCES if isinstance(r.reading, PerContact)]
    execute(
        conn,
        f"UPDATE {names('sync_reads')} SET read_at = %s WHERE resource = ANY(%s) AND id = ANY(%s)",
        [EXPIRED, beside, list(ids)],
    )


def _by_root() -> Iterator[tuple[Table, list[Personal]]]:
    """Tables of objects, with what of them and of their children is about contacts."""
    for table in TABLES:
        parts = [p for p in personal() if p.table is table or (p.parent and p.parent[0] is table)]
        if parts and table.key == ("id",):
            yield table, parts


def _about(
    conn: sa.Connection, names: Names, parts: Sequence[Personal], ids: list[str]
) -> list[str]:
    """The ids of the objects that are about these contacts, in whatever part of them."""
    found: set[str] = set()
    for part in parts:
        owner = part.parent[1].parent if part.parent else "id"
        query = (
            f"SELECT DISTINCT o.{quote(owner)} FROM {names(part.table.name)} o"
            f" WHERE {stored_about(names, part)}"
        )
        found.update(scalars(conn, query, {"ids": ids}))
    return sorted(found)


def _searched(table: Table) -> list[Resource]:
    """Resources whose full passes are seldom; other lists are read whole by every run."""
    return [r for r in RESOURCES if r.table is table and isinstance(r.reading, Search) and r.by_id]


def _pend(names: Names, resource: Resource) -> str:
    """Make living objects pending. Parameters: the reason, ids."""
    return (
        f"INSERT INTO {names('sync_pending')}"
        " (resource, id, reason, attempts, not_before, first_seen_at)"
        f" SELECT {literal(resource.name)}, o.id, %s, 0, 'epoch', now()"
        f" FROM {names(resource.table.name)} o"
        f" WHERE o.id = ANY(%s) AND {own_living(resource, 'o')}"
        " ORDER BY o.id ON CONFLICT DO NOTHING"
    )
