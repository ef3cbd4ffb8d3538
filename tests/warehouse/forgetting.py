"""Contacts that are forgotten, as the command does it."""

from __future__ import annotations

from connector.commands import forget as command
from connector.warehouse.sql.database import Database
from tests.support.harness import Harness


def run_forget(harness: Harness, key: str, *, undo: bool = False) -> None:
    database = Database(harness.database_url, harness.schema)
    database.lock()
    if undo:
        assert command.undo(database, [key], as_json=False) == 0
    else:
        assert command.run(database, [key], as_json=False, unknown=True) == 0
    database.close()
