"""Which rows a part of a list should show, by what is stored of them."""

from __future__ import annotations

import sqlalchemy as sa

from connector.resources.resource import Resource
from connector.warehouse.sql.names import Names, literal, quote
from connector.warehouse.state.partitions import Span


def within(
    conn: sa.Connection, names: Names, resource: Resource, column: str, span: Span
) -> list[str]:
    """The ids of the living rows of the resource whose time lies in the span."""
    owns = "".join(f" AND t.{quote(k)} = {literal(v)}" for k, v in resource.owns)
    query = sa.text(
        f"SELECT t.id FROM {names.in_text(resource.table.name)} t"
        f" WHERE t._deleted_at IS NULL AND NOT t._placeholder{owns}"
        f" AND t.{quote(column)} >= :lower AND t.{quote(column)} < :upper ORDER BY t.id"
    )
    found = conn.execute(query, {"lower": span.lower, "upper": span.upper})
    return [key for (key,) in found]
