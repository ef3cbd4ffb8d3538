"""A schema in which others have rights and objects too."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from connector.warehouse.migrate import migrate
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo


class House:
    """One schema and somebody who may do anything in it."""

    def __init__(self, database_url: str, schema: str) -> None:
        self.url, self.schema = database_url, schema
        self._conn = psycopg.connect(conninfo(database_url), autocommit=True, row_factory=dict_row)

    def do(self, *statements: str) -> None:
        quoted = self.schema.replace('"', '""')
        self._conn.execute(f'SET search_path = "{quoted}"')
        for statement in statements:
            self._conn.execute(statement)

    def ask(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        return self._conn.execute(query, parameters or None).fetchall()

    def relations(self) -> list[dict[str, Any]]:
        """Every relation with what tells whether it was touched."""
        return self.ask(
            "SELECT relname, oid, relkind::text, xmin::text FROM pg_class"
            " WHERE relnamespace = %s::regnamespace ORDER BY 1",
            '"' + self.schema.replace('"', '""') + '"',
        )

    def definition(self, view: str) -> str:
        [row] = self.ask("SELECT pg_get_viewdef(%s::regclass) AS text", f'"{self.schema}".{view}')
        return str(row["text"])

    def migrate(self) -> bool:
        with self.database() as database:
            return migrate(database)

    @contextlib.contextmanager
    def database(self, role: str = "") -> Iterator[Database]:
        url = make_conninfo(conninfo(self.url), user=role, password="secret") if role else self.url
        database = Database(url, self.schema)
        try:
            yield database
        finally:
            database.close()

    def close(self) -> None:
        quoted = self.schema.replace('"', '""')
        self._conn.execute(f'DROP SCHEMA IF EXISTS "{quoted}" CASCADE')
        self._conn.close()


def columns(house: House, view: str) -> list[str]:
    rows = house.ask(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
        " ORDER BY attnum",
        f'"{house.schema}"."{view}"',
    )
    return [row["attname"] for row in rows]


def reads(house: House, role: str, view: str, columns: str = "id") -> int | str:
    """How many rows the role sees, or that it may not."""
    url = make_conninfo(conninfo(house.url), user=role, password="secret")
    with psycopg.connect(url, autocommit=True) as conn:
        try:
            return len(conn.execute(f'SELECT {columns} FROM "{house.schema}".{view}').fetchall())
        except psycopg.errors.InsufficientPrivilege:
            return "refused"


def by_default(house: House, role: str) -> str:
    """Whatever is made from now on the role may read."""
    return f'ALTER DEFAULT PRIVILEGES IN SCHEMA "{house.schema}" GRANT SELECT ON TABLES TO {role}'
