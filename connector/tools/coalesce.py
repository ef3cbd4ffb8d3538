"""Does as one what is asked for by many at the same time; knows neither rows nor transactions.

Many partitions are read concurrently. Had each a transaction of its own for each page, Postgres
would be busier with transactions than with rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from msgspec import Struct

A = TypeVar("A")
B = TypeVar("B")


class _Batch(Struct, Generic[B], eq=False):
    """Calls that are done as one: the task that does it, and how many still wait for it."""

    task: asyncio.Task[B]
    waiting: int


class _Call(Struct, Generic[A, B], eq=False):
    item: A
    batch: _Batch[B] | None = None


class Coalescer(Generic[A, B]):
    """Calls that wait at the same time are done as one, in their order.

    ``do`` makes one result of all their items. ``fits`` tells whether an item can go with those
    already chosen. ``at_once`` batches of calls are done at the same time, while all others wait.
    What ``do`` raises is raised by each call of its batch. Who is cancelled takes nobody along:
    ``do`` is cancelled, and its end awaited, only when nobody waits for it any more.
    """

    def __init__(
        self,
        do: Callable[[Sequence[A]], Coroutine[Any, Any, B]],
        fits: Callable[[Sequence[A], A], bool],
        at_once: int = 1,
    ) -> None:
        self._do, self._fits = do, fits
        self._waiting: list[_Call[A, B]] = []
        self._turns = asyncio.Semaphore(at_once)

    async def do(self, item: A) -> B:
        """The result of the batch that the item went with."""
        call = _Call[A, B](item)
        self._waiting.append(call)
        try:
            await self._turns.acquire()
            if call.batch is None:
                call.batch = self._begin(call)  # which has the turn now
            else:
                self._turns.release()  # another one took it along
            return await asyncio.shield(call.batch.task)
        except asyncio.CancelledError:
            await self._leave(call)
            raise

    def _begin(self, first: _Call[A, B]) -> _Batch[B]:
        chosen = [first]
        for call in self._waiting:
            if call is not first and self._fits([one.item for one in chosen], call.item):
                chosen.append(call)
        self._waiting = [call for call in self._waiting if call not in chosen]
        task = asyncio.ensure_future(self._do([call.item for call in chosen]))
        task.add_done_callback(self._ended)
        batch = _Batch(task, len(chosen))
        for call in chosen:
            call.batch = batch
        return batch

    def _ended(self, task: asyncio.Task[B]) -> None:
        self._turns.release()
        if not task.cancelled():
            task.exception()  # should nobody wait any more, asyncio need not complain

    async def _leave(self, call: _Call[A, B]) -> None:
        if call.batch is None:
            self._waiting.remove(call)
            return
        call.batch.waiting -= 1
        if not call.batch.waiting:
            call.batch.task.cancel()
            await asyncio.wait([call.batch.task])
