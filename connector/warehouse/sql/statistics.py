"""What the planner knows of tables, brought up to date where much was written at once."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from connector.warehouse.sql.execute import execute, scalars
from connector.warehouse.sql.names import Names

LARGE = 1 << 20  # bytes; statements are such that of smaller tables no plan costs much


def analyze(conn: sa.Connection, names: Names, tables: Iterable[str]) -> None:
    """ANALYZE those of these tables that are large; what somebody locks is left to autovacuum.

    Where the role does not own them Postgres says so and does nothing.
    """
    query = (
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %(schema)s AND c.relname = ANY(%(tables)s)"
        " AND pg_relation_size(c.oid) >= %(large)s"
    )
    values = {"schema": names.schema, "tables": list(tables), "large": LARGE}
    if found := scalars(conn, query, values):
        execute(conn, "SET LOCAL client_min_messages = error")
        execute(conn, f"ANALYZE (SKIP_LOCKED) {', '.join(map(names, sorted(found)))}")
