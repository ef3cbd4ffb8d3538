"""Counts the parts that are stored against those that Intercom counts."""

from __future__ import annotations

import sqlalchemy as sa
from msgspec import Struct

from connector.resources.resource import Table
from connector.warehouse.sql.execute import fetch
from connector.warehouse.sql.names import Names, quote
from connector.warehouse.sql.rows import living


class Completeness(Struct, frozen=True):
    """Of the living objects of one table: their parts, and how many objects lack some.

    ``incomplete`` have fewer parts than Intercom counts, ``truncated`` more than it shows; both
    can be true of one. ``miscounted`` are incomplete though all that Intercom has was shown,
    ``cut_short`` are truncated though they have fewer parts than Intercom is known to show.
    """

    parts: int
    incomplete: int
    truncated: int
    miscounted: int
    cut_short: int


def measure(conn: sa.Connection, names: Names, table: Table) -> Completeness:
    """How complete a table with parts is; reads all of its rows."""
    cut, stored = quote(table.parts.truncated), quote(table.parts.stored)
    # Intercom counts the first message as a part, which is no row of its own.
    lacking = f"{stored} < {quote(table.parts.counted)} - 1" if table.parts.counted else "false"
    (row,) = fetch(
        conn,
        f"SELECT coalesce(sum({stored}), 0), count(*) FILTER (WHERE {lacking}),"
        f" count(*) FILTER (WHERE {cut}),"
        f" count(*) FILTER (WHERE {lacking} AND NOT {cut}),"
        f" count(*) FILTER (WHERE {cut} AND {stored} < {_cap(table)})"
        f" FROM {names(table.name)} WHERE {living()}",
    )
    return Completeness(*map(int, row))


def _cap(table: Table) -> int:
    """So many parts Intercom shows of one object."""
    return max(child.cap or 0 for child in table.children)
