"""Which rows a part of a list should show, by what is stored of them."""

from __future__ import annotations

import sqlalchemy as sa

from connector.resources.resource import Resource
from connector.warehouse.sql.execute import scalars
from connector.warehouse.sql.names import Names, quote
from connector.warehouse.sql.rows import own_living
from connector.warehouse.state.partitions import Span


def within(
    conn: sa.Connection, names: Names, resource: Resource, column: str, span: Span
) -> list[str]:
    """The ids of the living rows of the resource whose time lies in the span."""
    at = f"t.{quote(column)}"
    query = (
        f"SELECT t.id FROM {names(resource.table.name)} t"
        f" WHERE {own_living(resource, 't')}"
        f" AND {at} >= %(lower)s AND {at} < %(upper)s ORDER BY t.id"
    )
    return scalars(conn, query, {"lower": span.lower, "upper": span.upper})
