"""Runs what is to be noted in few transactions, in a thread, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from msgspec import Struct

from connector.errors import ConnectorError, RowRefusedError, SchemaDamagedError
from connector.tools.coalesce import Coalescer
from connector.tools.threads import ended
from connector.warehouse.sql.database import Database

T = TypeVar("T")
REFUSED = (RowRefusedError, SchemaDamagedError)  # of one piece of work, not of all
MOST = 200  # pieces of work in one transaction
GRACE = 2.0  # seconds for a transaction to end where nobody waits for it any more


class _Piece(Struct, eq=False):
    work: Callable[[sa.Connection], Any]
    result: Any = None
    refused: ConnectorError | None = None


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
        if piece.refused:
            raise piece.refused
        result: T = piece.result
        return result

    async def _commit(self, pieces: Sequence[_Piece]) -> None:
        """All in one transaction; each in its own where Postgres refuses something of them."""
        try:
            await self._write(pieces)
        except REFUSED as error:
            if len(pieces) == 1:
                pieces[0].refused = error
                return
            for piece in pieces:
                await self._commit([piece])

    async def _write(self, pieces: Sequence[_Piece]) -> None:
        def all_of_them(conn: sa.Connection) -> None:
            for piece in pieces:
                piece.result = piece.work(conn)

        write = self.database.write
        running = asyncio.get_running_loop().run_in_executor(None, lambda: write(all_of_them))
        await ended(running, GRACE, self.database.interrupt)
