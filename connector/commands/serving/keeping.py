"""A process that goes on: passes from time to time, and between them bursts that settle hints.

The lock of the schema is held for a pass or a burst, and free between them. While another process
holds it, that one settles the hints.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import sqlalchemy as sa
from msgspec.structs import replace

from connector.errors import (
    AlreadyRunningError,
    ConnectorError,
    DatabaseError,
    IntercomError,
    NotPermittedError,
    SettingsError,
    TokenRefusedError,
)
from connector.intercom.client import Client
from connector.intercom.observations import Observations
from connector.resources import RESOURCES
from connector.resources.selection import Selection
from connector.sync.hints.settling import readers
from connector.sync.options import Options
from connector.sync.outcome import Outcome, Reporter
from connector.sync.run import Kept, settle_hints, sync
from connector.warehouse import state
from connector.warehouse.merge.fuse import Fuse
from connector.warehouse.sql.database import Database
from connector.warehouse.state import inbox

logger = logging.getLogger(__name__)

BURST = 5.0  # seconds for which a burst holds the schema
GRACE = 2.5  # seconds for a burst to end, once a signal came
NOTHING_DONE = 2.0  # seconds after a burst in which nothing could be done yet of what is due
BREATH = 0.2  # seconds for which it is free before the next one
GLANCE = 1.0  # seconds between two looks at what is due
GAP = timedelta(seconds=60)
"""A notification that was not taken is sent once more after so long, and then never again."""
REPAIR_AGAIN = 30.0  # seconds from one pass to the next that repairs
PASS_AGAIN = 60.0  # seconds after a pass that could not begin or was stopped
LONGEST_PAUSE = 30.0  # seconds after a burst that failed
TOKEN_PAUSE = 60.0


@dataclass
class Keeping:
    """Keeps the warehouse in step until it is cancelled.

    ``every``: seconds from one pass to the next, 0 for none but those that repair a gap. ``ended``
    is told how each pass ended, or what stopped it. ``trouble`` says why it does not get on.
    """

    client: Client
    database: Database
    options: Options
    every: float
    ended: Callable[[float, Outcome | None, BaseException | None], None]
    reporter: Reporter | None = None
    trouble: str | None = None
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)
    kept: Kept = field(
        default_factory=lambda: Kept(fuse=Fuse())
    )  # what bursts need not ask for again
    _next_pass: float | None = None
    _pause: float = 0.0
    _passing: bool = False
    _ended_at: float = -REPAIR_AGAIN

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        selection = Selection(self.options.only, self.options.left_out)
        self.tables = list(readers(r for r in RESOURCES if selection.takes(r)))
        left_out = [name for name in readers(RESOURCES) if name not in self.tables]
        self._dropped = left_out if self.options.drops_foreign_hints else []

    # -- from other threads, and from a signal's handler -------------------------------------

    def wake(self) -> None:
        """There are new hints."""
        self._loop.call_soon_threadsafe(self._woken.set)

    def repair(self) -> None:
        """Something may have been missed: a pass is due, if there was none just now."""
        self._next_pass = max(time.monotonic(), self._ended_at + REPAIR_AGAIN)
        self.wake()

    def stop(self) -> float:
        """End soon; in how many seconds: a burst ends by itself, a pass is broken off."""
        self.database.stopped.set()
        self._loop.call_soon_threadsafe(self._stopped.set)
        self.wake()
        return 0.0 if self._passing else GRACE

    # -- by turns ----------------------------------------------------------------------------

    async def forever(self, *, pass_first: bool | None = None) -> None:
        """Passes and bursts by turns, until ``database.stopped``.

        ``pass_first`` or not, whatever the warehouse says of a gap.
        """
        first = await self._had_gap() if pass_first is None else pass_first
        self._next_pass = time.monotonic() if first else self._after(self.every)
        while not self.database.stopped.is_set():
            self._woken.clear()
            if self._next_pass is not None and time.monotonic() >= self._next_pass:
                await self._pass()
            else:
                await self._between()

    def _after(self, seconds: float) -> float | None:
        return time.monotonic() + seconds if seconds else None

    async def _had_gap(self) -> bool:
        try:
            return self.database.read(had_gap)
        except ConnectorError:
            return True

    # -- passes ------------------------------------------------------------------------------

    async def _pass(self) -> None:
        """One run over all that is selected; however it ends, there will be another."""
        self.client.facts = Observations()
        began = time.time()
        self._passing = True
        try:
            outcome = await sync(self.client, self.database, self.options, self.reporter)
        except AlreadyRunningError:  # which does the same
            self._next_pass = self._after(PASS_AGAIN)
            return
        except Exception as error:
            self._next_pass = self._after(PASS_AGAIN)
            self._fails(error, began)
            return
        finally:
            self._passing, self._ended_at = False, time.monotonic()
            self.database.unlock()
        self.trouble = None
        self._next_pass = self._after(self.every)
        self.kept = replace(self.kept, outcome=None, fuse=Fuse(self.options.allow_deletes))
        self.ended(began, outcome, None)

    # -- bursts ------------------------------------------------------------------------------

    async def _between(self) -> None:
        """Settle what is due, or wait for it."""
        try:
            names = [name for name in self.tables if self.kept.pauses.is_over(name)]
            seconds = self.database.read(lambda conn: inbox.seconds_to_next(conn, names))
            self._drop_foreign()
            if seconds is None or seconds > 0:
                await self._wait(min(GLANCE, seconds or GLANCE))
                return
            await self._burst()
        except AlreadyRunningError:
            await self._wait(GLANCE)
        except Exception as error:
            if isinstance(error, SettingsError):  # a whole run can pin what is excluded
                self.repair()
            self._fails(error, time.time())
            self._pause = min(2 * self._pause or 1.0, LONGEST_PAUSE)
            if refused := isinstance(error, TokenRefusedError):
                self.kept.workspace = None  # all tokens are asked once more
            await self._rest(TOKEN_PAUSE if refused else self._pause)

    def _drop_foreign(self) -> None:
        """What was told of tables that nobody reads here goes: a receiver may not know of that."""
        names = self._dropped
        if names and self.database.read(lambda conn: inbox.seconds_to_next(conn, names)) == 0.0:
            self.database.write(lambda conn: inbox.drop(conn, names))

    async def _burst(self) -> None:
        kept, options = self.kept, replace(self.options, command="serve", partial=True)
        self.client.facts = Observations()
        try:
            options = replace(options, lock_patience=0.0, full=False, since=None)
            kept.outcome = await settle_hints(self.client, self.database, options, kept, BURST)
        finally:
            self.database.unlock()
        if kept.error or not kept.pauses.until:
            self.trouble = in_short(kept.error) if kept.error else _held(kept.outcome)
        self._pause = 0.0
        await self._rest(BREATH if kept.number else NOTHING_DONE)

    async def _wait(self, seconds: float) -> None:
        """Wait so long, or for a hint, or until a pass is due."""
        if self._next_pass is not None:
            seconds = max(0.0, min(seconds, self._next_pass - time.monotonic()))
        await within(self._woken, seconds)

    async def _rest(self, seconds: float) -> None:
        """Wait so long, whatever comes, unless it is to end."""
        await within(self._stopped, seconds)

    def _fails(self, error: Exception, began: float) -> None:
        """Say it, keep it in mind, and report it unless it was reported already."""
        is_news, self.trouble = self.trouble != in_short(error), in_short(error)
        if not isinstance(error, ConnectorError):
            logger.exception("a fault of intercom-warehouse itself; it is tried again")
        else:
            logger.log(logging.ERROR if is_news else logging.INFO, "%s", error)
        if isinstance(error, DatabaseError):
            self.database.close()
        if is_news:
            self.ended(began, None, error)


def _held(outcome: Outcome) -> str | None:
    """What a burst did not do, though it could read everything."""
    return "not all went well, see status" if outcome.exit_code else None


def in_short(error: Exception) -> str:
    """What anybody may know of it: no host, user or path."""
    if isinstance(error, TokenRefusedError):
        return "Intercom refuses the token"
    if isinstance(error, DatabaseError):
        return "the database cannot be used"
    if isinstance(error, NotPermittedError):
        return "the token may not do that, see the log"
    if isinstance(error, SettingsError):
        return "the settings are refused, see the log"
    return "Intercom cannot be read" if isinstance(error, IntercomError) else "a fault, see the log"


async def within(event: asyncio.Event, seconds: float) -> None:
    """Return when it is set, at the latest after so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def had_gap(conn: sa.Connection) -> bool:
    """Whether notifications may have been missed: none came lately, or no sync has succeeded."""
    moments = (state.last_sync_at(conn), inbox.backlog(conn).last_notification_at)
    now = state.clock(conn)
    return any(moment is None or now - moment > GAP for moment in moments)
