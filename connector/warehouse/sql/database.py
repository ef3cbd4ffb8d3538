"""Connections to the warehouse: opening with patience, transactions, the lock of a schema.

Knows no table. One connection writes; a second one, with a transaction that stays open, holds
the lock, which works through a transaction pooler too: the open transaction pins its server. What
every transaction rests on is fixed by ``session``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa

from connector.errors import (
    AlreadyRunningError,
    DatabaseError,
    DatabaseLostError,
    DatabaseRefusedError,
    DatabaseUnreachableError,
    RowRefusedError,
    SchemaDamagedError,
)
from connector.warehouse.sql import refusals, session
from connector.warehouse.sql.dsn import conninfo
from connector.warehouse.sql.execute import Lists, scalar
from connector.warehouse.sql.session import (
    READS,
    WRITES,
    Guard,
    Opening,
    ShortageError,
    StandbyError,
)

logger = logging.getLogger(__name__)
T = TypeVar("T")

PATIENCE_AT_START, PATIENCE_DURING_RUN = 30.0, 60.0  # seconds
PAUSE = 0.5  # seconds between two attempts to connect, doubled up to LONGEST_PAUSE
LONGEST_PAUSE = 5.0
PATIENCE_FOR_LOCK = 15.0
"""Seconds for which a sync waits for the schema: ``serve`` has it for five at most."""
GLANCE = 0.1  # seconds between two tries to take a lock that another process holds
FUNCTION = re.compile(r'^(?:\S+ )?PL/pgSQL\S* (?:\S+ )?([\w$."]+)\(', re.MULTILINE)
"""Names the innermost function that the server was in, in whatever language it says so.

At the beginning of a line: statements that are told too may quote anything.
"""
TRIES = 6  # of one transaction, before a passing fault counts as one that stays


Explain = Callable[[sa.Connection, str], str]
"""What is not as it was made in a schema, in a sentence; "" where all is."""


class Database:
    """One Postgres database and the configured schema in it.

    ``explain`` is asked where the server does not know, or refuses, what our statements name.
    """

    def __init__(
        self,
        url: str,
        schema: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        explain: Explain | None = None,
    ) -> None:
        self.schema = schema
        self._explain = explain
        self.stopped = threading.Event()  # set it, and no wait goes on
        self._conninfo = conninfo(url)
        self._clock = clock
        self._writer: sa.Connection | None = None
        self._locker: sa.Connection | None = None
        self._has_written = False
        self.engine = sa.create_engine(
            "postgresql+psycopg://",
            creator=self._open,
            poolclass=sa.pool.NullPool,
            use_native_hstore=False,  # it would be looked for
        ).execution_options(schema_translate_map={None: schema}, opening=WRITES)
        sa.event.listen(self.engine, "begin", self._begin)
        sa.event.listen(self.engine, "handle_error", _drivers_own)

    def another(self) -> Database:
        """The same database and schema, by connections of its own."""
        other = Database("", self.schema, clock=self._clock, explain=self._explain)
        other._conninfo = self._conninfo
        return other

    def __repr__(self) -> str:
        return f"Database(schema={self.schema!r})"  # the URL may hold a password

    def _open(self) -> psycopg.Connection[Any]:
        # A transaction pooler gives each transaction another server: no prepared statements.
        connection = psycopg.connect(
            self._conninfo,
            prepare_threshold=None,
            client_encoding="UTF8",
            connect_timeout=10,
            application_name="intercom-warehouse",
            keepalives_idle=30,
        )
        connection.adapters.register_dumper(list, Lists)
        try:
            session.ask(connection, "SELECT 1", self.stopped)  # a pooler may have no server for it
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin(self, conn: sa.Connection) -> None:
        """Every transaction begins here, whoever begins it."""
        raw: Any = conn.connection.driver_connection
        options = conn.get_execution_options()
        session.begin(raw, options["opening"], self.stopped, options.get("guard"))

    # -- opening -----------------------------------------------------------------------------

    def wait(self) -> None:
        """Return once the database answers; DatabaseUnreachableError after 30 s of trying.

        The connection is kept for the first transaction.
        """
        found = self._connect(PATIENCE_AT_START, DatabaseUnreachableError)
        if self._writer is None:
            self._writer = found
        else:
            found.close()

    def _connect(self, patience: float, error: type[Exception]) -> sa.Connection:
        deadline, pause = self._clock() + patience, PAUSE
        while True:
            try:
                return self.engine.connect()
            except psycopg.Error as failure:
                reason, advice = _reason(failure), _final(failure)
                over = self._clock() + pause > deadline or self.stopped.is_set()
                if over or advice is not None:
                    raise error(f"cannot connect to Postgres ({reason}); {_advice(failure)}") from (
                        failure
                    )
                logger.warning("database unreachable, trying again: %s", reason)
            self.stopped.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def close(self) -> None:
        """Close all connections, and so release the lock."""
        for connection in (self._writer, self._locker):
            if connection is not None:
                with contextlib.suppress(psycopg.Error):
                    connection.close()
        self._writer = self._locker = None

    def interrupt(self) -> None:
        """End waits, and the statement that is being executed; the transaction is rolled back."""
        self.stopped.set()
        if self._writer is not None:
            with contextlib.suppress(Exception):
                raw: Any = self._writer.connection.driver_connection
                try:
                    raw.cancel_safe(timeout=2.0)
                except psycopg.Error:  # nobody is there to cancel it
                    _sever(raw)

    # -- transactions ------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(
        self, opening: Opening = WRITES, guard: Guard | None = None
    ) -> Iterator[sa.Connection]:
        """One transaction on the writing connection, not repeated when it fails."""
        conn, transaction = self._begun(opening, guard)
        with transaction:
            yield conn
        self._has_written = self._has_written or opening.writes

    def _begun(
        self, opening: Opening, guard: Guard | None
    ) -> tuple[sa.Connection, sa.RootTransaction]:
        """A transaction that has begun; on a new connection if the old one died as it idled."""
        for was_idle in (self._writer is not None, False):
            if self._writer is None or self._writer.closed:
                self._writer = self.engine.connect()
            conn = self._writer.execution_options(opening=opening, guard=guard)
            try:
                return conn, conn.begin()
            except psycopg.Error as failure:
                self._discard_writer()
                if isinstance(failure, ShortageError) or not (was_idle and _is_lost(failure)):
                    raise
            except BaseException:  # of the guard: the transaction goes with its connection
                self._discard_writer()
                raise
        raise AssertionError("the second try returns or raises")

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """The same as ``write`` for what only reads: a standby will do, and fewer rights."""
        return self._repeated(work, READS)

    def write(self, work: Callable[[sa.Connection], T], guard: Guard | None = None) -> T:
        """Do ``work`` in one transaction; again after a lost connection, a deadlock, a cancel.

        ``work`` must be repeatable: when a commit's answer is lost, nobody knows whether it
        happened. Raises DatabaseLostError after 60 s without the database, DatabaseError where
        the database refuses for good, RowRefusedError where it refuses something that is written,
        SchemaDamagedError where the schema is not as it was made.
        """
        return self._repeated(work, WRITES, guard)

    def _repeated(
        self, work: Callable[[sa.Connection], T], opening: Opening, guard: Guard | None = None
    ) -> T:
        tries = 0
        while True:
            try:
                with self.transaction(opening, guard) as conn:
                    return work(conn)
            except psycopg.Error as failure:
                tries += 1
                self._recover(failure, tries)

    def _recover(self, failure: psycopg.Error, tries: int) -> None:
        """Make the next try possible, or raise."""
        self._raise_if_refused(failure)
        if _is_of_a_row(failure):
            # What the server says besides quotes the row: it must be in no traceback.
            raise RowRefusedError(f"Postgres refuses a row ({_kind(failure)})") from None
        if _is_of_the_schema(failure):
            self._raise_if_damaged(failure)
        if self.stopped.is_set():
            raise failure
        if isinstance(failure, TRANSIENT) and tries < TRIES:
            logger.warning("writing again after: %s", _reason(failure))
            self.stopped.wait(PAUSE * tries)
        elif _is_lost(failure) and tries < TRIES:
            logger.warning("connection to the database lost: %s", _reason(failure))
            self._discard_writer()
            self._writer = self._connect(PATIENCE_DURING_RUN, DatabaseLostError)
        elif isinstance(failure, psycopg.OperationalError) or _is_lost(failure):
            raise DatabaseLostError(
                f"the database cannot go on ({_reason(failure)}); what was committed is safe:"
                " mend it and run again"
            ) from failure
        else:
            raise failure

    def _raise_if_refused(self, failure: psycopg.Error) -> None:
        """Raise where no repetition helps: rights, a standby, a pooler without a connection."""
        if isinstance(failure, psycopg.errors.InsufficientPrivilege):
            raise DatabaseRefusedError(
                f"Postgres refuses ({_reason(failure)}); check the rights of the role"
            ) from failure
        if isinstance(failure, StandbyError) and not self._has_written:
            raise DatabaseRefusedError(STANDBY) from failure
        if isinstance(failure, psycopg.errors.ReadOnlySqlTransaction):
            raise DatabaseError(
                f"Postgres refuses ({_reason(failure)}); check that DATABASE_URL names the primary"
                " server"
            ) from failure
        if isinstance(failure, ShortageError):
            raise DatabaseUnreachableError(
                f"cannot begin a transaction ({_reason(failure)}); {_advice(failure)}"
            ) from failure

    def _raise_if_damaged(self, failure: psycopg.Error) -> None:
        """Raise where the schema is not as it was made; else the fault is in the statement."""
        told = ""
        if self._explain is not None:
            with contextlib.suppress(psycopg.Error), self.transaction(READS) as conn:
                told = self._explain(conn, self.schema)
        if told:
            said = failure.diag.message_primary or _reason(failure)
            raise SchemaDamagedError(f"{told} (Postgres says: {said})") from failure

    def _discard_writer(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(psycopg.Error):
                self._writer.invalidate()
                self._writer.close()
        self._writer = None

    # -- the lock ----------------------------------------------------------------------------

    def lock(self, patience: float = 0.0, of: str = "") -> None:
        """Hold this schema's lock until ``unlock`` or ``close``; ``of`` names another one.

        AlreadyRunningError if another run holds it, after so many seconds still.
        """
        conn = self._locker = self._connect(PATIENCE_AT_START, DatabaseUnreachableError)
        deadline = self._clock() + patience
        try:
            while not (got := self._try_to_lock(conn, of)) and self._clock() < deadline:
                if self.stopped.wait(GLANCE):
                    break
        except psycopg.Error as failure:
            self.unlock()
            self._raise_if_refused(failure)
            raise DatabaseUnreachableError(
                f"the lock of schema {self.schema} cannot be taken ({_reason(failure)})"
            ) from failure
        if not got:
            self.unlock()
            raise AlreadyRunningError(
                f"another {of or 'sync'} of schema {self.schema} is running; wait for it to end"
            )

    def _try_to_lock(self, conn: sa.Connection, of: str) -> bool:
        query = f"SELECT pg_try_advisory_xact_lock({_KEY})"
        return bool(scalar(conn, query, _lock_key(self.schema, of)))

    def unlock(self) -> None:
        """Release the lock."""
        if self._locker is not None:
            with contextlib.suppress(psycopg.Error):
                self._locker.close()
        self._locker = None


_KEY = "hashtextextended(%(lock)s, 0)"


def _lock_key(schema: str, of: str = "") -> dict[str, str]:
    return {"lock": f"intercom-warehouse{of and '-'}{of}:{schema}"}


def is_locked(conn: sa.Connection, schema: str) -> bool:
    """Whether anybody holds the schema's lock now: looked up, not tried, so in nobody's way."""
    # A key of 64 bits is shown in two halves; objsubid 1 says so.
    query = (
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted"
        " AND objsubid = 1 AND database = (SELECT oid FROM pg_database"
        " WHERE datname = current_database())"
        f" AND (classid::bigint << 32) | objid::bigint = {_KEY})"
    )
    return bool(scalar(conn, query, _lock_key(schema)))


def _drivers_own(context: sa.ExceptionContext) -> BaseException | None:
    """What SQLAlchemy raises: the driver's error as it is, which quotes no parameters.

    So one kind of error comes of a statement, whichever way it went.
    """
    cause = context.original_exception
    return cause if isinstance(cause, psycopg.Error) else None


TRANSIENT = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.QueryCanceled,
    psycopg.errors.LockNotAvailable,
)
# idle_in_transaction_session_timeout, transaction_timeout, idle_session_timeout: they end the
# session, and psycopg counts the first two among its internal errors.
ENDED_FOR_TIME = ("25P03", "25P04", "57P05")
STANDBY = (
    "DATABASE_URL names a standby, which follows another server and cannot be written: name the"
    " primary"
)


# Data exceptions, violated constraints, limits of a row or an index, what a trigger raises.
OF_A_ROW = ("22", "23", "54", "P0")


def _is_of_a_row(failure: psycopg.Error) -> bool:
    """Whether what is written is refused for what it is, and not the database unable to write."""
    return (failure.sqlstate or "").startswith(OF_A_ROW)


# Names and types that are not there, what no rule or view lets do, what is no table.
OF_THE_SCHEMA = ("42", "0A", "55000")


def _is_of_the_schema(failure: psycopg.Error) -> bool:
    """Whether a statement does not fit what is there."""
    return (failure.sqlstate or "").startswith(OF_THE_SCHEMA)


def _kind(failure: psycopg.Error) -> str:
    """Why a row is refused, without a value of it: the server's words only where they hold none."""
    state = failure.sqlstate or ""
    said = failure.diag.message_primary if state.startswith(("23", "54")) else None
    function = FUNCTION.search(failure.diag.context or "")  # which others made: ours is none
    raised_by = f", in the function {function[1]}" if function else ""
    return f"{failure.sqlstate} {said or type(failure).__name__}{raised_by}"


def _is_lost(failure: psycopg.Error) -> bool:
    """Whether the connection is gone: the driver gives no state, or the server says so."""
    if isinstance(failure, psycopg.InterfaceError | StandbyError):  # another one became the primary
        return True
    state = failure.sqlstate or ""
    if state in ENDED_FOR_TIME:
        return True
    return isinstance(failure, psycopg.OperationalError) and (
        not state or state.startswith(("08", "57P")) or state == "53300"
    )


def _final(failure: psycopg.Error) -> str | None:
    """What to do about a connection that will never be had; None where it may come."""
    if isinstance(failure, ShortageError):
        return _advice(failure)
    stays = failure.sqlstate and not _is_lost(failure)
    return refusals.final(str(failure)) or (_advice(failure) if stays else None)


def _advice(failure: Exception) -> str:
    """What to do where no connection or no transaction is to be had."""
    reason = _reason(failure)
    if advice := refusals.final(reason):
        return advice
    if isinstance(failure, ShortageError) or refusals.is_shortage(reason):
        return (
            "there are too few connections: a sync needs two at the same time, one of which holds"
            " its lock; raise the pool's or server's limit, or end what takes them"
        )
    return "check DATABASE_URL, and that the server runs and lets this user in"


def _sever(raw: psycopg.Connection[Any]) -> None:
    """End whatever waits for an answer on the connection, and the connection with it."""
    with socket.socket(fileno=os.dup(raw.fileno())) as other:
        other.shutdown(socket.SHUT_RDWR)


def _reason(failure: Exception) -> str:
    """The driver's message in one line; libpq never puts a password in it."""
    return " ".join(str(failure).split())
