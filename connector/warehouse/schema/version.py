"""How far a schema has been migrated."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.migration import MigrationContext

from connector.warehouse.schema.relations import VERSION_TABLE
from connector.warehouse.sql.execute import execute


def present(conn: sa.Connection, schema: str) -> str | None:
    """Revision of the schema; None if it is missing or empty, or the table is another tool's."""
    if not has_column(conn, schema, VERSION_TABLE, "version_num"):
        return None
    options = {"version_table": VERSION_TABLE, "version_table_schema": schema}
    return MigrationContext.configure(conn, opts=options).get_current_revision()


def has_column(conn: sa.Connection, schema: str, table: str, column: str) -> bool:
    """Whether there is such a column in a table of that schema."""
    query = (
        "SELECT FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %(schema)s"
        " AND c.relname = %(table)s AND c.relkind = 'r' AND a.attname = %(column)s"
    )
    given = {"schema": schema, "table": table, "column": column}
    return execute(conn, query, given).fetchone() is not None
