"""How far a schema has been migrated, and how far this version of the connector migrates.

Every run asks, so nothing of Alembic is imported for it: names of files say which revisions there
are. What needs Alembic itself is in ``warehouse/revisions``.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import sqlalchemy as sa

from connector.warehouse.schema.relations import VERSION_TABLE
from connector.warehouse.sql.execute import execute, scalar
from connector.warehouse.sql.names import Names

_INSTALLED = Path(__file__).parents[2] / "migrations"
_CHECKOUT = Path(__file__).parents[3] / "migrations"


def migrations() -> Path:
    """The directory of the migrations."""
    return _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT


@cache
def known() -> tuple[str, ...]:
    """The revisions that this version of the connector knows, in their order."""
    files = (migrations() / "versions").glob("[0-9]*_*.py")
    return tuple(sorted(file.name.partition("_")[0] for file in files))


def newest() -> str:
    """The revision that this version of the connector needs."""
    return known()[-1]


def present(conn: sa.Connection, schema: str) -> str | None:
    """Revision of the schema; None if it is missing or empty, or the table is another tool's."""
    if not has_column(conn, schema, VERSION_TABLE, "version_num"):
        return None
    found: str | None = scalar(conn, f"SELECT version_num FROM {Names(schema)(VERSION_TABLE)}")
    return found


def has_column(conn: sa.Connection, schema: str, table: str, column: str) -> bool:
    """Whether there is such a column in a table of that schema."""
    query = (
        "SELECT FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %(schema)s"
        " AND c.relname = %(table)s AND c.relkind = 'r' AND a.attname = %(column)s"
    )
    given = {"schema": schema, "table": table, "column": column}
    return execute(conn, query, given).fetchone() is not None
