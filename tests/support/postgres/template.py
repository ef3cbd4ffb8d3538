"""Databases that hold a migrated schema from their beginning, copied from one that was migrated."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

from connector.warehouse.migrate import migrate
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo


@dataclass(frozen=True)
class Kept:
    """A database as a test left it, and the time at which that was."""

    name: str
    now: float


@dataclass
class Template:
    """A database with one migrated schema, to which nobody is connected."""

    server: str
    name: str
    schema: str
    strategy: str
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    kept: dict[Hashable, Kept] = field(default_factory=dict)

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
    def copy(self, of: str = "") -> Iterator[str]:
        """The address of a copy, dropped afterwards; of the template, or of what is kept."""
        name = f"{self.schema}_{next(self.numbers)}"
        self._copy(name, of or self.name)
        try:
            yield self._url(name)
        finally:
            self._execute("DROP DATABASE {} WITH (FORCE)", name)

    def keep(self, key: Hashable, url: str, now: float) -> None:
        """Keep a database, to which nobody is connected, as it is now."""
        name = f"{self.schema}_kept_{len(self.kept)}"
        self._copy(name, sa.engine.make_url(url).database or "")
        self.kept[key] = Kept(name, now)

    def drop(self) -> None:
        """Drop the template itself, and what is kept."""
        for name in (self.name, *(one.name for one in self.kept.values())):
            self._execute("DROP DATABASE {} WITH (FORCE)", name)

    def _copy(self, name: str, of: str) -> None:
        self._execute(f"CREATE DATABASE {{}} TEMPLATE {{}} {self.strategy}", name, of)

    def _url(self, name: str) -> str:
        url = sa.engine.make_url(self.server).set(database=name)
        return url.render_as_string(hide_password=False)

    def _execute(self, statement: Any, *names: str) -> None:
        with psycopg.connect(conninfo(self.server), autocommit=True) as conn:
            conn.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
