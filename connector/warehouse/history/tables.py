"""Makes the tables of versions, and lets them grow; what is made is noted as ours."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from connector.resources.resource import Table
from connector.warehouse.schema import relations, versions
from connector.warehouse.schema.relations import Made
from connector.warehouse.sql import locks
from connector.warehouse.sql.execute import execute, names_of, scalars
from connector.warehouse.sql.names import Names, literal, quote
from connector.warehouse.state.tables import HISTORY


def bring(conn: sa.Connection, tables: Iterable[str]) -> bool:
    """Make what is lacking for these tables, and let all that are there grow; whether it did.

    Nobody else's relation may bear their names: see ``relations.taken``.
    """
    new = versions.lacking(conn, tables)
    for name in new:
        _make(conn, versions.VERSIONED[name])
    grown = [_grow(conn, names_of(conn), versions.VERSIONED[n]) for n in versions.ours(conn)]
    return bool(new) or any(grown)


def _make(conn: sa.Connection, table: Table) -> None:
    """An empty table of versions; what was noted of an older one that is gone is noted no more."""
    made = versions.versions(table)
    made.create(conn)
    for name, kind in relations.parts(made):
        relations.note(conn, name, Made(kind))
    conn.execute(sa.delete(HISTORY).where(HISTORY.c.table_name == table.name))


def _grow(conn: sa.Connection, names: Names, table: Table) -> bool:
    """Add the columns that are declared since; whether there were any."""
    made = versions.versions(table)
    query = (
        "SELECT attname FROM pg_attribute WHERE attrelid = %(table)s::regclass"
        " AND attnum > 0 AND NOT attisdropped"
    )
    stored = set(scalars(conn, query, {"table": names(made.name)}))
    new = [column for column in made.columns if column.name not in stored]
    with locks.briefly(conn):
        for column in new:
            place = f"{names(made.name)}.{quote(column.name)}"
            kind = versions.ddl_type(column)
            execute(conn, f"ALTER TABLE {names(made.name)} ADD COLUMN {quote(column.name)} {kind}")
            execute(conn, f"COMMENT ON COLUMN {place} IS {literal(column.comment or '')}")
    return bool(new)
