"""What a transaction rests on, whatever server, database, role or environment have set.

Each transaction begins with one round trip that begins it and fixes the settings below, for itself
alone: behind a transaction pooler the next one may meet another session, and what is set for a
whole session would stay behind for others. What changes only where something is stored or how
fast it goes is the house's own: tablespaces, memory, the planner's switches.
"""

from __future__ import annotations

import selectors
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import psycopg
from msgspec import Struct


class Setting(Struct, frozen=True):
    """A setting, the value that it has in our transactions, and why.

    ``reads``: without it the driver could not read values; the others say what our own SQL means
    and how long it may take, and are left alone where the SQL is the user's.
    """

    name: str
    value: str
    why: str
    reads: bool = False


GUARD_WAITS = "5s"  # for a lock, together with what begins the transaction

SETTINGS = (
    Setting("client_encoding", "UTF8", "texts would be stored as other characters", reads=True),
    Setting("DateStyle", "ISO, MDY", "the driver reads times in no other style", reads=True),
    Setting("IntervalStyle", "postgres", "the same for durations", reads=True),
    Setting("TimeZone", "UTC", "times near the years 1 and 9999 leave what Python can hold"),
    Setting("search_path", "pg_catalog, pg_temp", "others' functions and operators come first"),
    Setting("statement_timeout", "0", "whole tables are counted and checked, which takes long"),
    Setting("lock_timeout", "1min", "who waits for a lock for ever ends in no words"),
    Setting("idle_in_transaction_session_timeout", "0", "the lock idles as long as a run lasts"),
    Setting("transaction_timeout", "0", "the same; since PostgreSQL 17"),
    Setting("standard_conforming_strings", "on", "a backslash in a text would be an escape"),
    Setting("transform_null_equals", "off", "= NULL would mean IS NULL"),
    Setting("array_nulls", "on", "NULL in an array would be a text"),
    Setting("quote_all_identifiers", "off", "names read from the catalog are compared"),
    Setting("extra_float_digits", "1", "numbers would be read back rounded"),
    Setting("row_security", "on", "who may see all rows by a policy would be refused"),
    Setting("session_replication_role", "origin", "foreign keys would not be checked"),
)

PATIENCE = 30.0  # seconds until a transaction begins: a pooler may have to wait for a server
GRACE = 3.0  # seconds, where the run is to end
SLICE = 0.1  # seconds between two looks at whether it is
_Selector = getattr(selectors, "PollSelector", selectors.DefaultSelector)  # epoll costs a file


class Opening(Struct, frozen=True):
    """How a transaction begins: whether it may write, and whether the SQL in it is ours."""

    writes: bool = True
    ours: bool = True

    @property
    def statement(self) -> str:
        """Begins the transaction and fixes its settings; knows that older servers lack some."""
        return _begins(self.writes, self.ours, SETTINGS)


@cache
def _begins(writes: bool, ours: bool, settings: Sequence[Setting]) -> str:
    access = "READ WRITE" if writes else "READ ONLY"
    fixed = [setting for setting in settings if ours or setting.reads]
    values = ", ".join(f"('{setting.name}', '{setting.value}')" for setting in fixed)
    return (
        f"BEGIN ISOLATION LEVEL READ COMMITTED {access} NOT DEFERRABLE;"
        " SELECT pg_catalog.set_config(s.name, s.value, true)"
        f" FROM (VALUES {values}) s (name, value)"
        " WHERE pg_catalog.current_setting(s.name, true) OPERATOR(pg_catalog.<>) s.value"
    )


class Guard(Struct, frozen=True):
    """What must hold for a transaction: a query without parameters, and the text that it yields.

    It goes to the server with what begins the transaction, in the same round trip. ``error`` is
    raised where it yields another text, or none.
    """

    query: str
    expected: str
    error: Callable[[], Exception]


WRITES, READS = Opening(), Opening(writes=False)
USERS_WRITES, USERS_READS = Opening(ours=False), Opening(writes=False, ours=False)


class ShortageError(psycopg.OperationalError):
    """A connection was given and then no answer: a pooler has no server connection left."""


class StandbyError(psycopg.OperationalError):
    """The server follows another one: nothing can be written there."""


def begin(
    connection: psycopg.Connection[Any],
    opening: Opening,
    stopped: threading.Event,
    guard: Guard | None = None,
) -> None:
    """Begin a transaction in one round trip, and make sure of what guards it.

    Raises ShortageError after 30 s without an answer, or 3 s once ``stopped`` is set;
    StandbyError where it is to write and the server is a standby; the guard's error; psycopg's.
    """
    try:
        if guard is None:
            ask(connection, opening.statement, stopped)
            return
        try:
            found = ask(connection, _guarded(opening, guard), stopped)
        except psycopg.errors.LockNotAvailable:  # a server answers, so it may take longer
            ask(connection, f"ROLLBACK; {opening.statement}", stopped)
            found = _text(connection.execute(guard.query).fetchone())
    except psycopg.errors.FeatureNotSupported as failure:  # READ WRITE, while it recovers
        raise StandbyError(str(failure)) from failure
    if found != guard.expected:
        raise guard.error()


def _guarded(opening: Opening, guard: Guard) -> str:
    """Whether a server answers at all must show sooner than others may hold a lock."""
    (patience,) = (setting.value for setting in SETTINGS if setting.name == "lock_timeout")
    return (
        f"{opening.statement}; SET LOCAL lock_timeout = '{GUARD_WAITS}'; {guard.query};"
        f" SET LOCAL lock_timeout = '{patience}'"
    )


def _text(row: Sequence[Any] | None) -> str | None:
    return None if row is None else str(row[0])


def ask(
    connection: psycopg.Connection[Any], statement: str, stopped: threading.Event
) -> str | None:
    """Execute statements without parameters; the last row's first value. Raises like ``begin``."""
    pgconn, began = connection.pgconn, time.monotonic()

    def wait(ready: int) -> None:
        waited = time.monotonic() - began
        if waited > (GRACE if stopped.is_set() else PATIENCE):
            raise ShortageError("no answer to the first statement of a transaction")
        with _Selector() as selector:
            selector.register(pgconn.socket, ready)
            selector.select(SLICE)

    pgconn.send_query(statement.encode())
    while pgconn.flush():
        wait(selectors.EVENT_WRITE)
    failed, value = None, None
    while (result := _next_result(pgconn, wait)) is not None:
        if result.status == psycopg.pq.ExecStatus.FATAL_ERROR:
            failed = failed or result
        elif result.status == psycopg.pq.ExecStatus.TUPLES_OK:
            value = result.get_value(result.ntuples - 1, 0) if result.ntuples else None
    if failed is not None:
        raise _error(failed)
    return None if value is None else value.decode()


def _next_result(pgconn: Any, wait: Callable[[int], None]) -> Any:
    while pgconn.is_busy():
        wait(selectors.EVENT_READ)
        pgconn.consume_input()
    return pgconn.get_result()


def _error(result: Any) -> psycopg.Error:
    error = psycopg.errors.error_from_result(result, encoding="utf-8")
    if "query_wait_timeout" in str(error):  # PgBouncer's own patience has ended before ours
        return ShortageError(str(error))
    return error
