"""Follows what pushes began: jobs, reading back, unknown leads, what is to be sent again.

Sends nothing that no push has sent before. The lock of pushes is held only while there is
something to do, a few seconds at a time. Nothing that goes wrong here ends the process: it is
``trouble``, and tried again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
import sqlalchemy as sa

from connector.commands.connect import open_client
from connector.commands.reporting import wishes
from connector.commands.serving.keeping import in_short, within
from connector.errors import AlreadyRunningError, ConnectorError, DatabaseError, NotPermittedError
from connector.intercom.client import Client
from connector.push.outbox import LOCK, claims, reports
from connector.push.outbox.claims import Terms
from connector.push.outbox.reports import Reason
from connector.push.outbox.store import Store
from connector.push.sending import run as sending
from connector.push.sending.context import Options
from connector.push.sending.run import Push
from connector.settings import Settings
from connector.sync import tenure
from connector.warehouse.sql.database import Database

logger = logging.getLogger(__name__)

EVERY = 10.0  # seconds between two looks where nothing is to be done
TENURE = 4.0  # seconds after which the lock is given back; a push waits for it for fifteen
BREATH = 1.0  # seconds for which others may have it
CLAIMED = 50  # wishes that are sent before the time is looked at
AGAIN = 60.0  # seconds after something went wrong
GRACE = 2.5  # seconds for what is under way to end, once a signal came


@dataclass
class Pushes:
    """What pushes of the schema began; ``database`` is used by nobody else.

    ``trouble`` says why it does not get on. ``ended`` is told, once what was begun is followed to
    its end, when that began and what became of it.
    """

    settings: Settings
    database: Database
    every: float = EVERY
    ended: Callable[[float, dict[str, Any]], None] | None = None
    trouble: str | None = None
    _began: float = 0.0
    _push: Push | None = None
    _client: Client | None = None
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)
    _until: float = float("inf")  # when what is under way is broken off

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def stop(self) -> None:
        """End soon; may be called by a signal's handler."""
        self._until = time.monotonic() + GRACE
        if self._push:
            self._push.sending.until = float("-inf")
        self._loop.call_soon_threadsafe(self._stopped.set)

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Meanwhile what pushes began is followed."""
        task = asyncio.ensure_future(self._forever())
        try:
            yield
        finally:
            self._stopped.set()
            await asyncio.wait([task], timeout=min(GRACE, max(0.0, self._until - time.monotonic())))
            self.database.stopped.set()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self._close()

    async def _close(self) -> None:
        await asyncio.to_thread(self.database.interrupt)
        self.database.close()
        await self._open.aclose()

    async def _forever(self) -> None:
        while not self._stopped.is_set():
            await within(self._stopped, await self._turn())

    async def _turn(self) -> float:
        """Do what can be done now; in how many seconds to look again."""
        try:
            if await self._in_thread(self._is_any_begun):
                return await self._tenure()
            await self._tell()
            self._push = self.trouble = None
            return self.every
        except AlreadyRunningError:  # a push, which does the same
            return self.every
        except Exception as error:
            return self._fails(error)

    async def _tell(self) -> None:
        """Say what became of what was followed, unless all of it was somebody else's."""
        push, ids = self._push, sorted(self._push.sending.tally.touched) if self._push else []
        if push is None or not ids or self.ended is None:
            return
        states, why = await self._in_thread(lambda: self.database.read(lambda c: _became(c, ids)))
        sent = {"writes": push.sending.tally.writes, "reads": push.sending.tally.reads}
        self.ended(self._began, wishes.leaving(wishes.ending(states, why) | sent))

    def _is_any_begun(self) -> bool:
        lag = self.settings.index_lag
        return self.database.read(lambda conn: claims.is_any_begun(conn, lag))

    async def _tenure(self) -> float:
        """Have the lock for a while."""
        await self._in_thread(lambda: self.database.lock(of=LOCK))
        try:
            pause = await self._follow()
        finally:
            self.database.unlock()
        self.trouble = None
        return self.every if pause is None else min(max(pause, BREATH), self.every)

    async def _follow(self) -> float | None:
        """What a push does with what it began; in how many seconds there is more."""
        push = self._push = self._push or await self._begun()
        push.sending.until = time.monotonic() + TENURE
        push.sending.tally.refused.clear()  # by now it may be taken
        await push.sending.store.do(claims.recover)
        pause: float | None = 0.0
        while pause == 0.0 and not push.sending.is_over and not self._stopped.is_set():
            try:
                pause = await push.step()
            except NotPermittedError:  # to write: what was written can be read back
                await push.following.look()
                await push.confirming.look(push.following.ended)
                raise
        return pause

    async def _begun(self) -> Push:
        """One that sends nothing new, once the token is seen to open the schema's workspace."""
        self._began = time.time()
        if self._client is None:
            client = open_client(self.settings, writes=True)
            self._client = await self._open.enter_async_context(client)
        workspace, schema = await tenure.opened_by(self._client), self.database.schema
        await self._in_thread(
            lambda: self.database.read(lambda conn: tenure.check_same(conn, workspace, schema))
        )
        options = Options(
            terms=Terms(only_begun=True),
            claimed=CLAIMED,
            index_lag=self.settings.index_lag,
            hint_delay=self.settings.live_delay,
        )
        return sending.make(self._client, Store(self.database), options, logger.info)

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.to_thread(work)

    def _fails(self, error: Exception) -> float:
        """Say it once; in how many seconds it is tried again."""
        told = f"what was pushed cannot be followed: {in_short(error)}"
        is_news, self.trouble, self._push = self.trouble != told, told, None
        if not isinstance(error, ConnectorError | psycopg.Error):
            logger.exception("a fault of intercom-warehouse itself; it is tried again")
        else:
            logger.log(logging.ERROR if is_news else logging.INFO, "%s: %s", told, error)
        if isinstance(error, DatabaseError | psycopg.Error):
            self.database.close()
            return self.every
        return AGAIN


def _became(conn: sa.Connection, ids: Sequence[int]) -> tuple[dict[str, int], list[Reason]]:
    return reports.states_of(conn, ids), reports.reasons_of(conn, ids)
