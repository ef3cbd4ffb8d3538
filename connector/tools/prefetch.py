"""Lets reading run ahead of who takes what was read, concurrently and by a bounded number."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

from connector.tools.tasks import gather

A = TypeVar("A")
B = TypeVar("B")


def prefetch(source: AsyncIterator[A], pages: int) -> AsyncGenerator[A, None]:
    """The items of ``source`` in order, up to ``pages`` of them fetched before they are taken.

    What ``source`` raises is raised here, after the items before it. Leaving early ends it.
    """

    async def same(item: A) -> A:
        return item

    return _read(source, same, readers=1, room=pages)


def concurrently(
    items: AsyncIterator[A], read: Callable[[A], Awaitable[B]], most: int
) -> AsyncGenerator[B, None]:
    """What ``read`` makes of each item, in the order in which it is done.

    ``most`` are read at the same time, and none waits for the slowest of its batch. As many results
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
            await gather(*(reader() for _ in range(readers)))
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


async def batched(
    source: AsyncIterator[A],
    measure: Callable[[A], tuple[int, float]],
    number: int,
    weight: float,
    short: asyncio.Event,
) -> AsyncGenerator[list[A], None]:
    """The items of ``source`` in batches of so large a number or weight, the last one apart.

    ``measure`` tells number and weight of an item. While ``short`` is set nothing is kept
    back: a batch goes on as soon as the next item must be waited for. Leaving early ends
    ``source``.
    """
    batch: list[A] = []
    number_left, weight_left = number, weight
    coming: asyncio.Task[A] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(_next(source))
            if batch and await _is_first(short, coming):
                yield batch
                batch, number_left, weight_left = [], number, weight
            try:
                item = await coming
            except StopAsyncIteration:
                break
            finally:
                coming = None
            batch.append(item)
            its_number, its_weight = measure(item)
            del item  # what is handed on is not held here
            number_left, weight_left = number_left - its_number, weight_left - its_weight
            if number_left <= 0 or weight_left <= 0:
                yield batch
                batch, number_left, weight_left = [], number, weight
        if batch:
            yield batch
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
