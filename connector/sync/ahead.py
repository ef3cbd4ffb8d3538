"""Lets a source of pages run ahead of who takes them, by a bounded number; knows no page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

T = TypeVar("T")


async def ahead(source: AsyncIterator[T], pages: int) -> AsyncIterator[T]:
    """The items of ``source`` in order, up to ``pages`` of them fetched before they are taken.

    What ``source`` raises is raised here, after the items before it. Leaving early ends it.
    """
    queue: asyncio.Queue[tuple[bool, T | BaseException | None]] = asyncio.Queue(pages)

    async def fill() -> None:
        try:
            async for item in source:
                await queue.put((True, item))
            await queue.put((False, None))
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            await queue.put((False, error))

    filler = asyncio.ensure_future(fill())
    try:
        while True:
            more, item = await queue.get()
            if isinstance(item, BaseException):
                raise item
            if not more:
                return
            yield item  # type: ignore[misc]
    finally:
        filler.cancel()
        await asyncio.gather(filler, return_exceptions=True)
        close = getattr(source, "aclose", None)
        if close:
            await close()
