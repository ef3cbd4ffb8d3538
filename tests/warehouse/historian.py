"""A warehouse of tests in which history is kept."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from connector.warehouse import followers
from connector.warehouse.history import kept, steps, tables
from connector.warehouse.merge.loader import Loader
from connector.warehouse.schema import versions
from tests.support.warehouse import BY_TABLE, T0, Warehouse, at

EVERY = tuple(versions.VERSIONED)


class Historian(Warehouse):
    """A warehouse in which history is kept of all tables that can have one."""

    def keep(self, moment: float | None = None) -> None:
        """Turn it on, at that time, and follow what is written from now on."""

        def begin(conn: sa.Connection) -> None:
            tables.bring(conn, EVERY)
            for name in EVERY:
                steps.begin(conn, self.loader.names, name, at(moment or 0))

        self.database.write(begin)
        for history in self.database.write(kept.now_kept).values():
            self.database.write(partial(self._fill, history=history, now=at(moment or 0)))
        self.follow()

    def _fill(self, conn: sa.Connection, history: kept.History, now: datetime) -> None:
        while steps.fill(conn, self.loader.names, history, now):
            history = kept.now_kept(conn)[history.table_name]

    def follow(self) -> None:
        histories = self.database.write(kept.now_kept)
        self.loader = Loader(self.schema, followers=followers.declared(history=histories))

    def past(self, table: str, key: str = "1") -> list[dict[str, Any]]:
        """The versions of a row, the oldest first."""
        query = f'SELECT * FROM "{table}_history" WHERE id = %s ORDER BY valid_from'
        return self.query(query, key)

    def spans(self, table: str, key: str = "1") -> list[tuple[Any, Any]]:
        """From when to when its versions are valid, in seconds since T0."""
        return [
            tuple(end and (end - T0).total_seconds() for end in (v["valid_from"], v["valid_to"]))
            for v in self.past(table, key)
        ]

    def delete(self, table: str, key: str, moment: float, *, exact: bool = False) -> None:
        times, lag = {key: at(moment)}, timedelta(seconds=60)
        self.database.write(
            lambda conn: self.loader.mark_deleted(
                conn, BY_TABLE[table], times, 7, exact=exact, lag=lag
            )
        )
