"""Waits for locks no longer than those can bear who come after: who waits for an exclusive lock
keeps out everybody that wants to read meanwhile.

Knows no table. Whatever changes what others may be reading is done ``briefly``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

WAIT = 2.0
"""Seconds that all statements of a block may wait together: analysts hold locks for hours."""
SHORTEST = 0.02  # seconds for each statement, also when the others have waited all the time

now = time.monotonic


@contextmanager
def briefly(conn: sa.Connection) -> Iterator[None]:
    """A savepoint whose statements wait for locks no longer than ``WAIT``, all together.

    What is locked first stays locked while the rest is waited for, so a limit for each would not
    do. Raises DBAPIError, see ``is_busy``, and nothing of the block is left.
    """
    end = now() + WAIT

    def limit(_: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("ROLLBACK"):  # nothing else is taken then
            return
        left = max(SHORTEST, end - now())
        cursor.execute(f"SET LOCAL lock_timeout = {round(left * 1000)}")

    before = conn.execute(sa.text("SELECT current_setting('lock_timeout')")).scalar()
    with conn.begin_nested():
        sa.event.listen(conn, "before_cursor_execute", limit)
        try:
            yield
        finally:
            sa.event.remove(conn, "before_cursor_execute", limit)
        conn.execute(sa.select(sa.func.set_config("lock_timeout", before, True)))


def is_busy(failure: BaseException | None) -> bool:
    """Whether it says that a lock could not be had in time."""
    cause = failure.orig if isinstance(failure, DBAPIError) else failure
    return isinstance(cause, psycopg.errors.LockNotAvailable)


def holders(conn: sa.Connection, schema: str) -> str:
    """Who else has locks on what the schema holds, to be named in an error; "" if nobody."""
    query = sa.text(
        "SELECT DISTINCT l.pid, coalesce(a.usename::text, '') FROM pg_locks l"
        " JOIN pg_class c ON c.oid = l.relation"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " LEFT JOIN pg_stat_activity a ON a.pid = l.pid"
        " WHERE l.granted AND n.nspname = :schema AND l.pid <> pg_backend_pid()"
        " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " ORDER BY 1 LIMIT 5"
    )
    rows = conn.execute(query, {"schema": schema})
    return ", ".join(f"process {pid} of {role or 'another role'}" for pid, role in rows)
