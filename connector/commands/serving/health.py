"""What ``GET /health`` says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import psycopg

from connector.errors import ConnectorError
from connector.warehouse import state
from connector.warehouse.sql.database import Database
from connector.warehouse.state import inbox
from connector.webhooks.worker import Worker

GOOD_FOR = 1.0  # seconds for which what was found is said again
LATE = 300.0  # seconds that a hint may wait for its first reading before that is a trouble
PATIENCE = 3.0
AWAY = "the database is away"

Said = tuple[bool, Mapping[str, Any]]


class Health:
    """Looks at the inbox by a connection of its own; many who ask at once cost one look."""

    def __init__(self, database: Database, trouble: Callable[[], str | None]) -> None:
        self._database, self._trouble = database, trouble
        self._worker = Worker("health")
        self._said: tuple[float, Said] | None = None
        self._looking: asyncio.Task[Said] | None = None

    async def ask(self) -> Said:
        """Whether the inbox can be read, and the answer."""
        if self._said and time.monotonic() - self._said[0] < GOOD_FOR:
            return self._said[1]
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._worker.run(self._look))
        done, _ = await asyncio.wait([self._looking], timeout=PATIENCE)
        found = self._looking.result() if done else _unavailable(AWAY)
        self._said = (time.monotonic(), found)
        return found

    async def close(self) -> None:
        """End the connection, unless the database is being waited for."""
        if self._looking is None or self._looking.done():
            await self._worker.run(self._database.close)
        self._worker.close()

    def _look(self) -> Said:
        try:
            with self._database.transaction() as conn:
                waits = inbox.backlog(conn)
        except Exception as failure:
            self._database.close()
            away = isinstance(failure, psycopg.OperationalError | ConnectorError)
            return _unavailable(AWAY if away else "the inbox cannot be read")
        late = (waits.untried_seconds or 0.0) > LATE
        trouble = self._trouble()
        return True, {
            "status": "degraded" if late or trouble else "ok",
            "backlog": waits.waiting,
            "oldest_seconds": waits.oldest_seconds,
            "last_notification_at": _iso(waits.last_notification_at),
            "last_sync_at": _iso(self._last_sync_at()),
            "trouble": trouble,
        }

    def _last_sync_at(self) -> datetime | None:
        """When a sync last succeeded; None too where the role may not know."""
        try:
            with self._database.transaction() as conn:
                return state.last_sync_at(conn)
        except psycopg.Error:
            return None


def _unavailable(trouble: str) -> Said:
    return False, {
        "status": "degraded",
        "backlog": None,
        "oldest_seconds": None,
        "last_notification_at": None,
        "last_sync_at": None,
        "trouble": trouble,
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None
