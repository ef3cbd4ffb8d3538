"""A migrated schema to encode and load records into, and a way to look at what came of it."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import psycopg
from psycopg.rows import dict_row

from connector.resources import TABLES
from connector.resources.resource import Table
from connector.warehouse import followers
from connector.warehouse.encode.batch import Batch
from connector.warehouse.encode.encoder import encode
from connector.warehouse.encode.exclusions import NONE, Exclusions
from connector.warehouse.merge.loader import Loader, Merged
from connector.warehouse.migrate import migrate
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from tests.support.harness import UNDISTURBED

T0 = datetime(2026, 1, 1, tzinfo=UTC)  # where the tests' time begins
BY_TABLE: dict[str, Table] = {table.name: table for table in TABLES}
BOOKKEEPING = {"_changed_at", "_run_id", "_read_at", "_deleted_at", "_placeholder"}

_numbers = itertools.count(1)


def at(seconds: float) -> datetime:
    """An instant so many seconds after the tests' beginning."""
    return T0 + timedelta(seconds=seconds)


def unix(seconds: int) -> int:
    """The same instant as Intercom writes it."""
    return int(at(seconds).timestamp())


class Warehouse:
    """``write`` records as the sync does, look at ``rows``."""

    def __init__(self, database_url: str, schema: str) -> None:
        self.schema = schema
        self.database = Database(database_url, schema)
        migrate(self.database)
        self.loader = Loader(schema, followers=followers.declared())
        self._reader = psycopg.connect(
            conninfo(database_url), autocommit=True, row_factory=dict_row
        )
        for name, value in UNDISTURBED.items():
            self._reader.execute(f"SET {name} = '{value}'")
        quoted = schema.replace('"', '""')
        self._reader.execute(f'SET search_path = "{quoted}"')

    def write(
        self,
        table: str,
        *records: Mapping[str, Any],
        read: float = 0,
        by_id: bool = False,
        lag: float = 0,
        run: int = 1,
        complete_lists: Mapping[tuple[int, str], Sequence[Any]] | None = None,
        exclusions: Exclusions = NONE,
    ) -> Merged:
        """Encode and merge, in one transaction; ``read``: when they were requested."""
        moments = [at(read)] * len(records)
        batch = encode(BY_TABLE[table], records, moments, complete_lists, exclusions)
        return self.merge(batch, by_id=by_id, lag=lag, run=run)

    def merge(self, batch: Batch, *, by_id: bool = False, lag: float = 0, run: int = 1) -> Merged:
        """Merge a batch in one transaction."""
        return self.database.write(
            lambda conn: self.loader.merge(
                conn, batch, run, by_id=by_id, lag=timedelta(seconds=lag)
            )
        )

    def query(self, statement: str, *parameters: Any) -> list[dict[str, Any]]:
        return self._reader.execute(statement, parameters or None).fetchall()

    def text(self) -> str:
        """Every row of every table as PostgreSQL shows it, state tables included."""
        found = self.query("SELECT tablename FROM pg_tables WHERE schemaname = %s", self.schema)
        return "\n".join(
            row["text"]
            for name in (table["tablename"] for table in found)
            for row in self.query(f'SELECT t::text AS text FROM "{name}" t')
        )

    def execute(self, statement: str) -> None:
        """Change something behind the connector's back."""
        self._reader.execute(statement)

    def rows(self, table: str) -> dict[str, dict[str, Any]]:
        """All rows of a table by id, placeholders and deleted ones included."""
        return {row["id"]: row for row in self.query(f'SELECT * FROM "{table}"')}

    def one(self, table: str, key: str) -> dict[str, Any]:
        return self.rows(table)[key]

    def links(self, table: str) -> set[tuple[Any, ...]]:
        """The key columns of a link table."""
        return {tuple(row.values())[:2] for row in self.query(f'SELECT * FROM "{table}"')}

    def tables(self) -> list[str]:
        """Every table that holds objects, links or children."""
        return list(self._tables)

    @cached_property
    def _tables(self) -> list[str]:
        found = self.query(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s"
            " AND tablename NOT LIKE 'sync\\_%%' ORDER BY 1",
            self.schema,
        )
        return [row["tablename"] for row in found]

    def versions(self) -> dict[str, set[tuple[str, str]]]:
        """The physical row versions of every table."""
        return {
            name: {
                (row["ctid"], row["xmin"])
                for row in self.query(f'SELECT ctid::text, xmin::text FROM "{name}"')
            }
            for name in self.tables()
        }

    def written_since(self, before: Mapping[str, set[tuple[str, str]]]) -> dict[str, int]:
        """How many row versions each table has that were not among the ``versions`` before."""
        new = {name: len(found - before[name]) for name, found in self.versions().items()}
        return {name: number for name, number in new.items() if number}

    def content(self) -> dict[str, list[dict[str, Any]]]:
        """Every row of every table, without the columns that tell when this warehouse wrote it."""
        found = {}
        for name in self.tables():
            rows = self.query(f'SELECT * FROM "{name}"')
            kept = [
                {k: v for k, v in row.items() if k not in ("_changed_at", "_run_id")}
                for row in rows
            ]
            found[name] = sorted(kept, key=repr)
        return found

    def clear(self) -> None:
        """Take every row out of every table that holds objects, links or children."""
        deletes = "; ".join(f'DELETE FROM "{name}"' for name in self._tables)
        self._reader.execute(f"BEGIN; SET CONSTRAINTS ALL DEFERRED; {deletes}; COMMIT")

    def close(self) -> None:
        self.database.close()
        self._reader.close()

    def drop(self) -> None:
        """Drop the schema and close."""
        quoted = self.schema.replace('"', '""')
        self.database.close()
        self._reader.execute(f'DROP SCHEMA "{quoted}" CASCADE')
        self.close()


@contextlib.contextmanager
def opened(database_url: str, suffix: str = "") -> Iterator[Warehouse]:
    """A warehouse in a schema of its own, dropped afterwards."""
    warehouse = Warehouse(database_url, f"w_{os.getpid()}_{next(_numbers)}{suffix}")
    try:
        yield warehouse
    finally:
        warehouse.drop()
