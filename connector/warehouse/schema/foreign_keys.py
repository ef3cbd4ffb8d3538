"""Drops foreign keys for a large first load and restores them, checked as a whole.

Postgres checks each row of a link twice, one row after the other; that is half the time of a first
load. Restored afterwards, a key is checked by one join. What must be there is known from the
declarations, so whatever is missing, for example after a kill, is restored by the next run.
"""

from __future__ import annotations

from functools import cache

import psycopg
import sqlalchemy as sa

from connector.resources.resource import Table
from connector.warehouse.schema import tables
from connector.warehouse.sql import locks
from connector.warehouse.sql.execute import execute, fetch
from connector.warehouse.sql.names import Names, quote

Key = tuple[str, str, str]  # table, column, the table that it refers to


@cache
def declared() -> tuple[Key, ...]:
    """Every foreign key of the warehouse."""
    return tuple(
        (table.name, key.parent.name, key.target_fullname.rpartition(".")[0])
        for table in tables.declared().values()
        for key in sorted(table.foreign_keys, key=lambda key: key.parent.name)
    )


def drop(conn: sa.Connection, names: Names, table: Table) -> bool:
    """Drop the keys of a table and of its links; whether they are gone.

    Nothing is done where others read the tables or the role does not own them: loading is slower.
    """
    parts = {part.name for part in table.family()}
    parts |= {link.table for part in table.family() for link in part.links}
    there = _present(conn, names)
    try:
        with locks.briefly(conn):  # readers of both tables are kept out
            for key in declared():
                if key[0] in parts and key in there:
                    constraint = quote(there[key])
                    execute(conn, f"ALTER TABLE {names(key[0])} DROP CONSTRAINT {constraint}")
    except (psycopg.errors.LockNotAvailable, psycopg.ProgrammingError):
        return False
    return True


def restore(conn: sa.Connection, names: Names) -> list[str]:
    """Restore every key that is declared and missing, as ``table.column``; all rows are checked."""
    there = _present(conn, names)
    missing = [key for key in declared() if key not in there]
    for name, column, target in missing:
        execute(
            conn,
            f"ALTER TABLE {names(name)} ADD FOREIGN KEY ({quote(column)})"
            f" REFERENCES {names(target)} (id) DEFERRABLE INITIALLY IMMEDIATE",
        )
    return [f"{name}.{column}" for name, column, _ in missing]


def _present(conn: sa.Connection, names: Names) -> dict[Key, str]:
    """The names of the foreign keys there are."""
    query = (
        "SELECT t.relname, a.attname, f.relname, c.conname FROM pg_constraint c"
        " JOIN pg_class t ON t.oid = c.conrelid JOIN pg_class f ON f.oid = c.confrelid"
        " JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]"
        " JOIN pg_namespace n ON n.oid = c.connamespace"
        " WHERE c.contype = 'f' AND n.nspname = %(schema)s"
    )
    rows = fetch(conn, query, {"schema": names.schema})
    return {(table, column, target): name for table, column, target, name in rows}
