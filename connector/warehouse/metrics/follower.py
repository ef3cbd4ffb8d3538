"""Keeps the stored figures of conversations right, in whichever transaction changes them."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from connector.warehouse.changes import Changes, relation
from connector.warehouse.metrics import compute
from connector.warehouse.sql.execute import execute, scalars
from connector.warehouse.sql.names import Names, quote

_TABLE = compute.TABLE
(_PARTS,) = _TABLE.children


class KeepFigures:
    """Computes anew what follows from conversations, their parts, and tickets under their ids."""

    needs_children = needs_members = False

    def follow(self, conn: sa.Connection, names: Names, changes: Changes) -> None:
        """Writes; asks the database nothing where neither of these tables changed."""
        keys = dict.fromkeys(_touched(changes, _TABLE.name))
        keys |= dict.fromkeys(_owners(conn, names, changes))
        keys |= dict.fromkeys(_twins(conn, names, changes))
        if keys:
            renew(conn, names, keys)


def renew(conn: sa.Connection, names: Names, keys: Iterable[str]) -> None:
    """Compute the figures of these conversations anew."""
    values = {"keys": list(keys)}
    execute(conn, compute.remove(names), values)
    execute(conn, compute.add(names), values)


def _touched(changes: Changes, table: str) -> list[str]:
    erased = changes.erased.get(table)
    emptied = (erased.keys or ()) if erased else ()
    return [*changes.written(table), *changes.deleted.get(table, ()), *emptied]


def _owners(conn: sa.Connection, names: Names, changes: Changes) -> list[str]:
    """The conversations of parts that were emptied."""
    erased = changes.erased.get(_PARTS.table.name)
    if not erased or not erased.keys:
        return []
    rows = relation(names, _PARTS.table, erased.keys)
    query = f"SELECT DISTINCT r.{quote(_PARTS.parent)} FROM {rows.text}"
    return scalars(conn, query, rows.parameters)


def _twins(conn: sa.Connection, names: Names, changes: Changes) -> list[str]:
    """The conversations that stand under the ids of other objects, which count instead."""
    keys = _touched(changes, _TABLE.apart_from)
    if not keys:
        return []
    query = f"SELECT id FROM {names(_TABLE.name)} WHERE id = ANY(%(keys)s)"
    return scalars(conn, query, {"keys": keys})
