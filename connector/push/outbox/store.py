"""Runs what is to be noted in few transactions, in a thread, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from connector.tools.coalesce import Coalescer
from connector.warehouse.sql.database import Database

T = TypeVar("T")
MOST = 200  # pieces of work in one transaction
GRACE = 2.0  # seconds for a transaction to end where nobody waits for it any more


@dataclass(eq=False)
class _Piece:
    work: Callable[[sa.Connection], Any]
    result: Any = None


class Store:
    """The outbox of one schema. Works that wait at the same time share a transaction."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._together = Coalescer[_Piece, None](self._commit, lambda some, _: len(some) < MOST)

    async def do(self, work: Callable[[sa.Connection], T]) -> T:
        """What the work returns, once it is committed; it must be repeatable.

        Raises like ``Database.write``.
        """
        piece = _Piece(work)
        await self._together.do(piece)
        result: T = piece.result
        return result

    async def _commit(self, pieces: Sequence[_Piece]) -> None:
        def all_of_them(conn: sa.Connection) -> None:
            for piece in pieces:
                piece.result = piece.work(conn)

        await self._in_thread(lambda: self.database.write(all_of_them))

    async def _in_thread(self, work: Callable[[], None]) -> None:
        """A transaction once begun ends, by a rollback at the latest, before its caller does."""
        running = asyncio.get_running_loop().run_in_executor(None, work)
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            _, unfinished = await asyncio.wait([running], timeout=GRACE)
            if unfinished:
                self.database.interrupt()
                await asyncio.wait([running])
            if not running.cancelled():
                running.exception()  # nobody else hears of it
            raise
