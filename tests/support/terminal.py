"""Commands as a user types them, against a simulator over HTTP, and a look at what they left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from connector.warehouse.sql.dsn import conninfo
from tests.support import forked
from tests.support.forked import Ended, Started
from tests.support.service import spawn

TOKEN = "tok_5ecret-of-the-tests"


class Terminal:
    """Runs commands as a user would, in an empty directory, without a terminal."""

    def __init__(self, environ: dict[str, str], directory: Path) -> None:
        self.environ, self.directory = environ, directory

    def start(self, *words: str, **settings: str) -> Started:
        return forked.FORKER.start(words, self.environ | settings, self.directory)

    def run(self, *words: str, **settings: str) -> Ended:
        if any(name.startswith(forked.EARLY) for name in settings):
            process = spawn(self.environ | settings, *words, directory=self.directory)
            out, err = process.communicate(timeout=60)
            ended = Ended(process.returncode, out, err)
        else:
            ended = forked.FORKER.run(words, self.environ | settings, self.directory)
        assert TOKEN not in ended.out + ended.err
        return ended


class Warehouse:
    """Looks into the schema of the test."""

    def __init__(self, url: str, schema: str) -> None:
        self.url, self.schema = url, schema

    def query(self, statement: str, *parameters: Any) -> list[dict[str, Any]]:
        with psycopg.connect(conninfo(self.url), row_factory=dict_row) as connection:
            connection.execute(f'SET search_path = "{self.schema}"')
            cursor = connection.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def tables(self) -> list[str]:
        rows = self.query("SELECT tablename FROM pg_tables WHERE schemaname = %s", self.schema)
        return [row["tablename"] for row in rows]
