"""Does as one what is asked for by many at the same time; knows neither rows nor transactions.

Many windows are read side by side. Had each a transaction of its own for each page, Postgres would
be busier with transactions than with rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")


@dataclass(eq=False)
class _Call(Generic[A, B]):
    item: A
    done: asyncio.Future[B] = field(default_factory=lambda: asyncio.Future())


class Joint(Generic[A, B]):
    """Calls that wait at the same time are done as one, in their order.

    ``do`` makes one result of all their items. ``fits`` tells whether an item can go with those
    already chosen. ``groups`` of calls are done at the same time, while all others wait. What
    ``do`` raises is raised by each call of its group.
    """

    def __init__(
        self,
        do: Callable[[Sequence[A]], Awaitable[B]],
        fits: Callable[[Sequence[A], A], bool],
        groups: int = 1,
    ) -> None:
        self._do, self._fits = do, fits
        self._waiting: list[_Call[A, B]] = []
        self._turns = asyncio.Semaphore(groups)

    async def __call__(self, item: A) -> B:
        """The result of the group that the item went with."""
        call = _Call[A, B](item)
        self._waiting.append(call)
        try:
            async with self._turns:
                if call in self._waiting:  # nobody took it along
                    await self._lead(call)
            return await call.done
        finally:
            if call in self._waiting:
                self._waiting.remove(call)

    async def _lead(self, first: _Call[A, B]) -> None:
        group = [first]
        for call in self._waiting:
            if call is not first and self._fits([one.item for one in group], call.item):
                group.append(call)
        self._waiting = [call for call in self._waiting if call not in group]
        try:
            result = await self._do([call.item for call in group])
        except BaseException as error:
            for call in (call for call in group[1:] if not call.done.done()):
                if isinstance(error, Exception):
                    call.done.set_exception(error)
                else:
                    call.done.cancel()
            raise
        for call in group:
            if not call.done.done():
                call.done.set_result(result)
