"""Work in a thread that comes to its end before whoever waits for it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def ended(running: asyncio.Future[T], grace: float, interrupt: Callable[[], object]) -> T:
    """What runs in a thread, awaited; who is cancelled goes on only when it has ended.

    If it takes longer than ``grace`` seconds then, ``interrupt`` breaks it off.
    """
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        _, unfinished = await asyncio.wait([running], timeout=grace)
        if unfinished:
            interrupt()
            await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # nobody else hears of it: asyncio need not log it
        raise
