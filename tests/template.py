"""Databases that hold a migrated schema from their beginning, copied from one that was migrated."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

from connector.warehouse.migrate import migrate
from connector.warehouse.sql.database import Database, conninfo


@dataclass
class Template:
    """A database with one migrated schema, to which nobody is connected."""

    server: str
    name: str
    schema: str
    strategy: str
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @classmethod
    def make(cls, server: str, schema: str) -> Template | None:
        """One on this server; None if the role may create no databases there."""
        with psycopg.connect(conninfo(server)) as conn:
            # Without a log of every page: five times as fast.
            strategy = "STRATEGY file_copy" if conn.info.server_version >= 150_000 else ""
        made = cls(server, f"{schema}_template", schema, strategy)
        try:
            made._execute("CREATE DATABASE {}", made.name)
        except psycopg.errors.InsufficientPrivilege:
            return None
        database = Database(made._url(made.name), schema)
        migrate(database)
        database.close()
        return made

    @contextmanager
    def copy(self) -> Iterator[str]:
        """The address of a copy, which is dropped afterwards."""
        name = f"{self.schema}_{next(self.numbers)}"
        self._execute(f"CREATE DATABASE {{}} TEMPLATE {{}} {self.strategy}", name, self.name)
        try:
            yield self._url(name)
        finally:
            self._execute("DROP DATABASE {} WITH (FORCE)", name)

    def drop(self) -> None:
        """Drop the template itself."""
        self._execute("DROP DATABASE {} WITH (FORCE)", self.name)

    def _url(self, name: str) -> str:
        url = sa.engine.make_url(self.server).set(database=name)
        return url.render_as_string(hide_password=False)

    def _execute(self, statement: Any, *names: str) -> None:
        with psycopg.connect(conninfo(self.server), autocommit=True) as conn:
            conn.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
