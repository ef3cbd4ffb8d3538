"""A semaphore that gives its permits to those who need them most."""

from __future__ import annotations

import asyncio
import heapq
import itertools


class PrioritySemaphore:
    """So many permits; one that is released goes to the highest priority that waits.

    ``reserved`` of them are for who is urgent.
    """

    def __init__(self, permits: int, reserved: int = 0) -> None:
        self._free, self._reserved = permits, reserved
        self._waiting: list[tuple[bool, float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    async def acquire(self, priority: float, *, urgent: bool = False) -> None:
        """Wait for a permit; each must be given back with ``release``."""
        if self._free > (0 if urgent else self._reserved):
            self._free -= 1
            return
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (not urgent, -priority, next(self._numbers), given))
        try:
            await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Give a permit back."""
        self._free += 1
        while self._waiting and self._free > (self._reserved if self._waiting[0][0] else 0):
            *_, given = heapq.heappop(self._waiting)
            if not given.done():
                self._free -= 1
                given.set_result(None)
