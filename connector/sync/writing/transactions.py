"""The transactions of one run: one after the other, in a thread, each behind the fence.

A transaction once begun is finished, also when the run is interrupted. One that may write first
makes sure that the run is still the one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import sqlalchemy as sa

from connector.tools.threads import ended
from connector.warehouse import state
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.names import Names
from connector.warehouse.state.runs import Tally

GRACE = 3.0  # seconds that a transaction may take to end when the run is interrupted

T = TypeVar("T")
Work = Callable[[sa.Connection], T]


class Transactions:
    """``unwritten`` are tallies, by resource, that wait for the next transaction."""

    def __init__(self, database: Database, run_id: int) -> None:
        self.database, self.run_id = database, run_id
        self.unwritten: dict[str, Tally] = {}
        self._guard = state.guard(Names(database.schema), run_id)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")

    async def do(self, work: Work[T]) -> T:
        """What ``work`` returns, once its transaction is committed; FenceError if taken over."""
        taken: dict[str, Tally] = {}
        try:
            return await self._in_thread(
                lambda: self.database.write(self._accounted(work, taken), self._guard)
            )
        except BaseException:
            self.unwritten = taken | self.unwritten
            raise

    async def look(self, work: Work[T]) -> T:
        """What ``work`` reads, which cannot write: no fence, so nothing to wait for at its end."""
        return await self._in_thread(lambda: self.database.read(work))

    def account(self, resource: str, tally: Tally) -> None:
        """Have the tally written by the next transaction, whatever that is for."""
        self.unwritten[resource] = tally

    def _accounted(self, work: Work[T], taken: dict[str, Tally]) -> Work[T]:
        def accounted(conn: sa.Connection) -> T:
            while self.unwritten:  # others are added meanwhile
                name, tally = self.unwritten.popitem()
                taken.setdefault(name, tally)
            state.record(conn, self.run_id, taken)
            return work(conn)

        return accounted

    async def _in_thread(self, work: Callable[[], T]) -> T:
        running = asyncio.get_running_loop().run_in_executor(self._thread, work)
        # A transaction once begun ends before the run does; if it takes long, by a rollback.
        return await ended(running, GRACE, self.database.interrupt)

    def close(self) -> None:
        """End the thread, after its last work."""
        self._thread.shutdown(wait=True)
