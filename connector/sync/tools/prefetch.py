"""Lets reading run ahead of who takes what was read, side by side and by a bounded number.

Knows no page and no request.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

A = TypeVar("A")
B = TypeVar("B")


def ahead(source: AsyncIterator[A], pages: int) -> AsyncGenerator[A, None]:
    """The items of ``source`` in order, up to ``pages`` of them fetched before they are taken.

    What ``source`` raises is raised here, after the items before it. Leaving early ends it.
    """

    async def same(item: A) -> A:
        return item

    return _read(source, same, readers=1, room=pages)


def side_by_side(
    items: AsyncIterator[A], read: Callable[[A], Awaitable[B]], most: int
) -> AsyncGenerator[B, None]:
    """What ``read`` makes of each item, in the order in which it is done.

    ``most`` are read at the same time, and none waits for the slowest of its lot. As many results
    wait until they are taken; then no more is read. What ``items`` or ``read`` raises is raised
    here. Leaving early ends it.
    """
    return _read(items, read, readers=most, room=most)


async def _read(
    source: AsyncIterator[A], read: Callable[[A], Awaitable[B]], readers: int, room: int
) -> AsyncGenerator[B, None]:
    results: asyncio.Queue[tuple[bool, B | BaseException | None]] = asyncio.Queue(room)
    turn = asyncio.Lock()

    async def reader() -> None:
        while True:
            async with turn:
                try:
                    item = await anext(source)
                except StopAsyncIteration:
                    return
            await results.put((True, await read(item)))

    async def everything() -> None:
        try:
            await together(*(reader() for _ in range(readers)))
            await results.put((False, None))
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            await results.put((False, error))

    reading = asyncio.ensure_future(everything())
    try:
        while True:
            more, result = await results.get()
            if isinstance(result, BaseException):
                raise result
            if not more:
                return
            yield result  # type: ignore[misc]
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        close = getattr(source, "aclose", None)
        if close:
            await close()


async def gathered(
    source: AsyncIterator[A], is_full: Callable[[list[A]], bool], short: asyncio.Event
) -> AsyncGenerator[list[A], None]:
    """The items of ``source`` in lots that are full, the last one apart.

    While ``short`` is set nothing is kept back: a lot goes on as soon as the next item must be
    waited for. Leaving early ends ``source``.
    """
    lot: list[A] = []
    coming: asyncio.Task[A] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(_next(source))
            if lot and await _is_first(short, coming):
                yield lot
                lot = []
            try:
                lot.append(await coming)
            except StopAsyncIteration:
                break
            finally:
                coming = None
            if is_full(lot):
                yield lot
                lot = []
        if lot:
            yield lot
    finally:
        if coming:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        close = getattr(source, "aclose", None)
        if close:
            await close()


async def _next(source: AsyncIterator[A]) -> A:
    return await anext(source)


async def _is_first(short: asyncio.Event, coming: asyncio.Task[A]) -> bool:
    """Wait for either; whether it is the event, and the item is still to come."""
    if coming.done():
        return False
    event = asyncio.ensure_future(short.wait())
    try:
        await asyncio.wait({event, coming}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        event.cancel()
    return not coming.done()


class Room:
    """So many places; a place that gets free goes to who needs most.

    ``kept`` of them are for who is urgent.
    """

    def __init__(self, places: int, kept: int = 0) -> None:
        self._free, self._kept = places, kept
        self._waiting: list[tuple[bool, float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    async def enter(self, need: float, *, urgent: bool = False) -> None:
        """Wait for a place; every one must be left with ``leave``."""
        if self._free > (0 if urgent else self._kept):
            self._free -= 1
            return
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (not urgent, -need, next(self._numbers), given))
        try:
            await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """Give a place back."""
        self._free += 1
        while self._waiting and self._free > (self._kept if self._waiting[0][0] else 0):
            *_, given = heapq.heappop(self._waiting)
            if not given.done():
                self._free -= 1
                given.set_result(None)


class GoOn(Protocol):
    """Begins a coroutine; ``then`` is called when it has ended, however it did."""

    def __call__(
        self, work: Coroutine[Any, Any, None], then: Callable[[], None] | None = None
    ) -> None: ...


@asynccontextmanager
async def beside() -> AsyncIterator[GoOn]:
    """Coroutines that go on beside what follows.

    The context ends when all have ended; the first error ends the others and is raised, by it or
    by the next call.
    """
    tasks: set[asyncio.Task[None]] = set()

    def go_on(work: Coroutine[Any, Any, None], then: Callable[[], None] | None = None) -> None:
        task = asyncio.ensure_future(work)
        if then:
            task.add_done_callback(lambda _: then())
        ended = {one for one in tasks if one.done()}
        tasks.difference_update(ended)
        tasks.add(task)
        for one in ended:
            one.result()

    try:
        yield go_on
        for task in asyncio.as_completed(tasks):
            await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run them side by side; the first error cancels the others and is raised as it is."""
    async with beside() as go_on:
        for coroutine in coroutines:
            go_on(coroutine)
