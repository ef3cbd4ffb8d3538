"""Connections to the warehouse: opening with patience, transactions, the lock of a schema.

Knows no table. One connection writes; a second one, with a transaction that stays open, holds
the lock, which works through a transaction pooler too: the open transaction pins its server.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from connector.errors import (
    AlreadyRunningError,
    DatabaseError,
    DatabaseLostError,
    DatabaseUnreachableError,
    SettingsError,
)

logger = logging.getLogger(__name__)
T = TypeVar("T")

PATIENCE_AT_START, PATIENCE_DURING_RUN = 30.0, 60.0  # seconds
PAUSE = 0.5  # seconds between two attempts to connect, doubled up to LONGEST_PAUSE
LONGEST_PAUSE = 5.0
TRIES = 6  # of one transaction, before a passing fault counts as one that stays

_DRIVER = re.compile(r"^(postgres|postgresql)(\+\w+)?://")


def conninfo(url: str) -> str:
    """A libpq connection string from any Postgres URL, SQLAlchemy's driver suffix left out.

    Raises SettingsError if libpq cannot read it; libpq's own words are kept back, for they quote
    what they complain of, which may be the password.
    """
    plain = _DRIVER.sub("postgresql://", url.strip())
    try:
        parts = psycopg.conninfo.conninfo_to_dict(plain)
    except psycopg.Error:
        parts = {"host": "@"}
    # libpq ends a password at the first @ and a server's name at the first slash.
    if "@" in str(parts.get("host")) or re.search(r"[^\d,]", str(parts.get("port") or "")):
        raise SettingsError(
            "DATABASE_URL is no Postgres URL and no list of keyword=value; in a URL the characters"
            " @ : / % # of a user name or password are written %40 %3A %2F %25 %23"
        )
    return plain


class Database:
    """One Postgres database and the configured schema in it."""

    def __init__(
        self,
        url: str,
        schema: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.schema = schema
        self.stopped = threading.Event()  # set it, and no wait goes on
        self._conninfo = conninfo(url)
        self._clock = clock
        self._writer: sa.Connection | None = None
        self._locker: sa.Connection | None = None
        self.engine = sa.create_engine(
            "postgresql+psycopg://", creator=self._open, poolclass=sa.pool.NullPool
        ).execution_options(schema_translate_map={None: schema})

    def __repr__(self) -> str:
        return f"Database(schema={self.schema!r})"  # the URL may hold a password

    def _open(self) -> psycopg.Connection[Any]:
        # A transaction pooler gives each transaction another server: no prepared statements.
        return psycopg.connect(
            self._conninfo,
            prepare_threshold=None,
            connect_timeout=10,
            application_name="intercom-warehouse",
            keepalives_idle=30,
        )

    # -- opening -----------------------------------------------------------------------------

    def wait(self) -> None:
        """Return once the database answers; DatabaseUnreachableError after 30 s of trying."""
        self._connect(PATIENCE_AT_START, DatabaseUnreachableError).close()

    def _connect(self, patience: float, error: type[Exception]) -> sa.Connection:
        deadline, pause = self._clock() + patience, PAUSE
        while True:
            try:
                return self.engine.connect()
            except DBAPIError as failure:
                over = self._clock() + pause > deadline or self.stopped.is_set()
                if over or not _may_pass(failure):
                    raise error(
                        f"cannot connect to Postgres ({_reason(failure)});"
                        " check DATABASE_URL, and that the server runs and lets this user in"
                    ) from failure
                logger.warning("database unreachable, trying again: %s", _reason(failure))
            self.stopped.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def close(self) -> None:
        """Close all connections, and so release the lock."""
        for connection in (self._writer, self._locker):
            if connection is not None:
                with contextlib.suppress(DBAPIError):
                    connection.close()
        self._writer = self._locker = None

    def interrupt(self) -> None:
        """End waits, and the statement that is being executed; the transaction is rolled back."""
        self.stopped.set()
        if self._writer is not None:
            with contextlib.suppress(Exception):
                raw: Any = self._writer.connection.driver_connection
                raw.cancel_safe(timeout=2.0)

    # -- transactions ------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """One transaction on the writing connection, not repeated when it fails."""
        if self._writer is None or self._writer.closed:
            self._writer = self.engine.connect()
        with self._writer.begin():
            yield self._writer

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Do ``work`` in one transaction; again after a lost connection, a deadlock, a cancel.

        ``work`` must be repeatable: when a commit's answer is lost, nobody knows whether it
        happened. Raises DatabaseLostError after 60 s without the database, DatabaseError where
        the database refuses for good.
        """
        tries = 0
        while True:
            try:
                with self.transaction() as conn:
                    return work(conn)
            except (DBAPIError, psycopg.Error) as failure:  # the loader uses the driver's cursor
                tries += 1
                self._recover(failure, tries)

    def _recover(self, failure: DBAPIError | psycopg.Error, tries: int) -> None:
        """Make the next try possible, or raise."""
        cause = failure.orig if isinstance(failure, DBAPIError) else failure
        if isinstance(cause, REFUSED):
            raise DatabaseError(
                f"Postgres refuses ({_reason(failure)}); check the rights of the role, and that"
                " DATABASE_URL names the primary server"
            ) from failure
        if self.stopped.is_set():
            raise failure
        if isinstance(cause, TRANSIENT) and tries < TRIES:
            logger.warning("writing again after: %s", _reason(failure))
            self.stopped.wait(PAUSE * tries)
        elif _is_lost(cause) and tries < TRIES:
            logger.warning("connection to the database lost: %s", _reason(failure))
            self._discard_writer()
            self._writer = self._connect(PATIENCE_DURING_RUN, DatabaseLostError)
        elif isinstance(cause, psycopg.OperationalError) or _is_lost(cause):
            raise DatabaseLostError(
                f"the database cannot go on ({_reason(failure)}); what was committed is safe:"
                " mend it and run again"
            ) from failure
        else:
            raise failure

    def _discard_writer(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(DBAPIError, psycopg.Error):
                self._writer.invalidate()
                self._writer.close()
        self._writer = None

    # -- the lock ----------------------------------------------------------------------------

    def lock(self) -> None:
        """Hold this schema's lock until ``close``; AlreadyRunningError if another run holds it."""
        conn = self._locker = self._connect(PATIENCE_AT_START, DatabaseUnreachableError)
        key = _lock_key(self.schema)
        try:
            conn.begin()
            conn.execute(_NO_TIMEOUTS)
            got = conn.execute(sa.select(sa.func.pg_try_advisory_xact_lock(key))).scalar()
        except DBAPIError as failure:
            raise DatabaseUnreachableError(
                f"the lock of schema {self.schema} cannot be taken ({_reason(failure)})"
            ) from failure
        if not got:
            raise AlreadyRunningError(
                f"another sync of schema {self.schema} is running; wait for it to end"
            )


def _lock_key(schema: str) -> sa.Function[Any]:
    return sa.func.hashtextextended("intercom-warehouse:" + schema, 0)


def is_locked(conn: sa.Connection, schema: str) -> bool:
    """Whether anybody holds the schema's lock now: looked up, not tried, so in nobody's way."""
    # A key of 64 bits is shown in two halves; objsubid 1 says so.
    query = sa.text(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted"
        " AND objsubid = 1 AND database = (SELECT oid FROM pg_database"
        " WHERE datname = current_database())"
        " AND (classid::bigint << 32) | objid::bigint = :key)"
    )
    key = conn.execute(sa.select(_lock_key(schema))).scalar_one()
    return bool(conn.execute(query, {"key": key}).scalar_one())


def cursor_of(conn: sa.Connection) -> psycopg.Cursor[Any]:
    """The driver's cursor: it can COPY, and its errors quote no values."""
    raw: psycopg.Connection[Any] = conn.connection.driver_connection  # type: ignore[assignment]
    return raw.cursor()


TRANSIENT = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.QueryCanceled,
    psycopg.errors.LockNotAvailable,
)
# For the transaction that holds the lock and idles as long as the run lasts; the last of them
# exists since PostgreSQL 17.
_NO_TIMEOUTS = sa.text(
    "SELECT set_config(name, '0', true) FROM pg_settings"
    " WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')"
)
# idle_in_transaction_session_timeout, transaction_timeout, idle_session_timeout: they end the
# session, and psycopg counts the first two among its internal errors.
ENDED_FOR_TIME = ("25P03", "25P04", "57P05")
REFUSED = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)


def _is_lost(cause: object) -> bool:
    """Whether the connection is gone: the driver gives no state, or the server says so."""
    if isinstance(cause, psycopg.InterfaceError):
        return True
    state = getattr(cause, "sqlstate", None) or ""
    if state in ENDED_FOR_TIME:
        return True
    return isinstance(cause, psycopg.OperationalError) and (
        not state or state.startswith(("08", "57P")) or state == "53300"
    )


def _may_pass(failure: DBAPIError) -> bool:
    """Whether connecting may succeed later: a refused password or a missing database will not."""
    state = getattr(failure.orig, "sqlstate", None)
    text = str(failure.orig)
    final = ("password authentication failed", "does not exist", "no pg_hba.conf entry")
    return not (state or any(sign in text for sign in final))


def _reason(failure: Exception) -> str:
    """The driver's message in one line; libpq never puts a password in it."""
    cause = failure.orig if isinstance(failure, DBAPIError) else failure
    return " ".join(str(cause).split())
