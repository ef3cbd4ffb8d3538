"""Receives notifications in a thread of its own, and commits which objects they name."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import sqlalchemy as sa

from connector.commands.serving.health import Health
from connector.errors import DatabaseError, SettingsError
from connector.resources.hint import Hint
from connector.warehouse import state
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.execute import execute
from connector.warehouse.state import inbox
from connector.webhooks.arrivals import Arrivals, OverloadError
from connector.webhooks.notification import Notification
from connector.webhooks.server import Server

logger = logging.getLogger(__name__)

MOST_WAITING = 1_000_000  # hints; with more nothing is taken
COUNTED_FOR = 30.0  # seconds for which a count of them, and of what came since, is good enough
PATIENCE_FOR_ROWS = "3s"  # another transaction may hold a row that was told of
TRY_AGAIN = 2.0  # seconds between two looks at whether notifications can be kept again
SECONDS_TO_END = 3.0


class FullError(Exception):
    """So many hints wait that no more are taken."""


@dataclass
class Receiver:
    """The server and its inbox; one for each process.

    ``came`` is called, in a thread of the receiver, when hints were committed; ``recovered`` when
    notifications are kept again after a time in which they were refused.
    """

    database: Database
    secrets: Sequence[str] = field(repr=False)
    delay: float
    tables: Collection[str] | None = None  # of which hints are kept; None: of all
    came: Callable[[], object] = lambda: None
    recovered: Callable[[], object] = lambda: None
    trouble: Callable[[], str | None] = lambda: None
    _keeps: Database = field(init=False)
    _looks: Database = field(init=False)
    _workspace: str | None = None
    _counted: tuple[float, int] | None = None
    _failing_since: float | None = None
    _started: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._keeps, self._looks = self.database.another(), self.database.another()

    # -- the thread --------------------------------------------------------------------------

    @contextmanager
    def running(self, host: str, port: int) -> Iterator[int]:
        """Receive while the block does, at the port it yields; SettingsError if that is taken."""
        started: dict[str, Any] = {}
        ready = threading.Event()

        def run() -> None:
            try:
                asyncio.run(self._serve(host, port, started, ready))
            except BaseException as error:
                started.setdefault("error", error)
            finally:
                ready.set()

        self._started = started
        thread = threading.Thread(target=run, name="receiver", daemon=True)
        thread.start()
        ready.wait()
        if "error" in started:
            thread.join()
            raise _cannot_listen(host, port, started["error"]) from None
        try:
            yield started["port"]
        finally:
            self.stop()
            thread.join(timeout=SECONDS_TO_END)

    def stop(self) -> None:
        """Take nothing more; from any thread, and also from a signal's handler."""
        self._keeps.stopped.set()
        self._looks.stopped.set()
        if "loop" in self._started:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._started["loop"].call_soon_threadsafe(self._started["stop"].set)

    async def _serve(
        self, host: str, port: int, started: dict[str, Any], ready: threading.Event
    ) -> None:
        arrivals, stop = Arrivals(self._commit), asyncio.Event()
        health = Health(self._looks, self._trouble)

        async def accept(notification: Notification) -> None:
            try:
                await arrivals.add(notification)
            except OverloadError as overload:
                self._fails(overload)
                raise

        server = Server(self.secrets, accept, health.ask)
        async with server.listening(host, port) as bound:
            started |= {"port": bound, "stop": stop, "loop": asyncio.get_running_loop()}
            ready.set()
            mending = asyncio.ensure_future(self._mend(arrivals))
            await stop.wait()
            mending.cancel()
        await arrivals.close(self._keeps.close)
        await health.close()

    async def _mend(self, arrivals: Arrivals) -> None:
        """Notice also where nothing comes that notifications could be kept again."""
        while True:
            await asyncio.sleep(TRY_AGAIN)
            if self._failing_since is not None:
                with contextlib.suppress(Exception):
                    await arrivals.attempt()

    def _trouble(self) -> str | None:
        if self._failing_since is not None:
            return self.trouble() or "notifications cannot be kept"
        return self.trouble()

    # -- what is committed -------------------------------------------------------------------

    def _commit(self, notifications: Sequence[Notification]) -> None:
        """One transaction of them all; raises where it could not be."""
        try:
            self._refuse_if_full()
            kept = self._transact_again(notifications)
        except Exception as failure:
            self._fails(failure)
            raise
        self._note_kept(kept)

    def _transact_again(self, notifications: Sequence[Notification]) -> int:
        """Once more where a reader took rows in another order: nobody sends these a third time."""
        try:
            return self._transact(notifications)
        except psycopg.errors.DeadlockDetected:
            return self._transact(notifications)

    def _transact(self, notifications: Sequence[Notification]) -> int:
        with self._keeps.transaction() as conn:
            execute(conn, "SELECT set_config('lock_timeout', %s, true)", [PATIENCE_FOR_ROWS])
            if self._workspace is None:
                self._workspace = _workspace(conn)
            return self._tell(conn, notifications)

    def _tell(self, conn: sa.Connection, notifications: Sequence[Notification]) -> int:
        hints, topics = list[Hint](), {one.topic: Counter[str]() for one in notifications}
        for one in notifications:
            topics[one.topic]["received"] += 1
            ours = one.app_id is not None and one.app_id == self._workspace
            if wanted := [hint for hint in one.hints if ours and self._wants(hint)]:
                hints += wanted
            else:
                topics[one.topic]["ignored"] += 1
        if hints:
            inbox.tell(conn, hints, self.delay)
        counts = {name: (found["received"], found["ignored"]) for name, found in topics.items()}
        inbox.count_topics(conn, counts)
        return len(hints)

    def _wants(self, hint: Hint) -> bool:
        return self.tables is None or hint.resource in self.tables

    def _note_kept(self, hints: int) -> None:
        """Those who wait for it are told; one that has ended is no reason to refuse what is kept.

        Hints count as if each were of another object, until they are counted again.
        """
        if self._counted:
            self._counted = (self._counted[0], self._counted[1] + hints)
        recovered, self._failing_since = self._failing_since is not None, None
        with contextlib.suppress(RuntimeError):
            if recovered:
                logger.info("notifications are kept again")
                self.recovered()
            if hints:
                self.came()

    def _refuse_if_full(self) -> None:
        if self._counted is None or time.monotonic() - self._counted[0] > COUNTED_FOR:
            with self._keeps.transaction() as conn:
                self._counted = (time.monotonic(), inbox.count(conn))
        if self._counted[1] > MOST_WAITING:
            raise FullError(f"{self._counted[1]:,} hints wait")

    def _fails(self, failure: Exception) -> None:
        if self._failing_since is None:
            logger.error("notifications cannot be kept: %s", _reason(failure))
            self._failing_since = time.monotonic()
        if isinstance(failure, psycopg.OperationalError | psycopg.InterfaceError):
            self._keeps.close()


def require_inbox(database: Database) -> None:
    """Raise where notifications could not be kept: DatabaseError, or SettingsError in words."""
    try:
        with database.transaction() as conn:
            inbox.tell(conn, (), 0.0)  # nothing, but with all rights that something would need
            inbox.count_topics(conn, {})
            inbox.backlog(conn)
            if _workspace(conn) is None:
                raise SettingsError(
                    f"schema {database.schema} mirrors no workspace yet: run sync once"
                )
    except psycopg.errors.UndefinedTable as missing:
        raise SettingsError(
            f"schema {database.schema} has no inbox: run 'intercom-warehouse migrate' first"
        ) from missing
    except psycopg.errors.InsufficientPrivilege as refused:
        raise DatabaseError(
            f"Postgres refuses ({_reason(refused)}); the role needs USAGE on the schema, SELECT on"
            " sync_workspace, and SELECT, INSERT and UPDATE on sync_inbox and sync_topics"
        ) from refused
    except psycopg.Error as failure:
        raise DatabaseError(f"the inbox cannot be used ({_reason(failure)})") from failure


def _workspace(conn: sa.Connection) -> str | None:
    """The code of the workspace that the schema mirrors; asks for no more than a role may read."""
    pinned = state.pinned(conn)
    return pinned.id_code if pinned else None


def _cannot_listen(host: str, port: int, error: BaseException) -> Exception:
    if isinstance(error, OSError | OverflowError | UnicodeError):
        reason = getattr(error, "strerror", None) or error
        return SettingsError(f"CONNECTOR_LISTEN: cannot listen at {host}:{port}: {reason}")
    return error if isinstance(error, Exception) else RuntimeError(str(error))


def _reason(failure: BaseException) -> str:
    return " ".join(str(failure).split()) or type(failure).__name__
