"""Waits for locks no longer than those can bear who come after.

Who waits for an exclusive lock keeps out everybody that wants to read meanwhile. Knows no table.
Whatever changes what others may be reading is done ``briefly``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa

from connector.warehouse.sql.execute import execute, fetch, scalar

WAIT = 2.0
"""Seconds that all statements of a block may wait together: analysts hold locks for hours."""
SHORTEST = 0.02  # seconds for each statement, also when the others have waited all the time
FINEST = 0.01  # seconds by which a statement's limit may be above what is left: it is a round trip

now = time.monotonic


@contextmanager
def briefly(conn: sa.Connection) -> Iterator[None]:
    """A savepoint whose statements wait for locks no longer than ``WAIT``, all together.

    What is locked first stays locked while the rest is waited for, so a limit for each would not
    do. Raises psycopg's error, see ``is_busy``, and nothing of the block is left.
    """
    before = scalar(conn, "SELECT current_setting('lock_timeout')")
    with conn.begin_nested():
        with _limited(conn, now() + WAIT):
            yield
        execute(conn, "SELECT set_config('lock_timeout', %(before)s, true)", {"before": before})


@contextmanager
def _limited(conn: sa.Connection, end: float) -> Iterator[None]:
    """Whatever is executed, by SQLAlchemy or as text, waits for locks no longer than that."""
    limit = math.inf  # seconds; what was last set

    class Limited(psycopg.Cursor[Any]):
        def execute(self, query: Any, *rest: Any, **options: Any) -> Any:
            nonlocal limit
            if query.startswith("ROLLBACK"):
                limit = math.inf  # it takes no lock, and takes back what was set
            else:
                self._limit()
            return super().execute(query, *rest, **options)

        def executemany(self, *statement: Any, **options: Any) -> None:
            self._limit()
            super().executemany(*statement, **options)

        def _limit(self) -> None:
            nonlocal limit
            left = max(SHORTEST, end - now())
            if left < limit - FINEST:
                limit = left
                super().execute(f"SET LOCAL lock_timeout = {round(left * 1000)}")

    raw: psycopg.Connection[Any] = conn.connection.driver_connection  # type: ignore[assignment]
    before, raw.cursor_factory = raw.cursor_factory, Limited
    try:
        yield
    finally:
        raw.cursor_factory = before


def is_busy(failure: BaseException | None) -> bool:
    """Whether it says that a lock could not be had in time."""
    return isinstance(failure, psycopg.errors.LockNotAvailable)


def holders(conn: sa.Connection, schema: str) -> str:
    """Who else has locks on what the schema holds, to be named in an error; "" if nobody."""
    query = (
        "SELECT DISTINCT l.pid, coalesce(a.usename::text, '') FROM pg_locks l"
        " JOIN pg_class c ON c.oid = l.relation"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " LEFT JOIN pg_stat_activity a ON a.pid = l.pid"
        " WHERE l.granted AND n.nspname = %(schema)s AND l.pid <> pg_backend_pid()"
        " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " ORDER BY 1 LIMIT 5"
    )
    rows = fetch(conn, query, {"schema": schema})
    return ", ".join(f"process {pid} of {role or 'another role'}" for pid, role in rows)
