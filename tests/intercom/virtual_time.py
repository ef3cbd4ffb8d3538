"""Time that passes only when everybody waits for it: no test sleeps for real."""

import asyncio
import heapq
import itertools
from collections.abc import Awaitable

START = 1_779_000_000.0


class Time:
    """Simulated time: whoever sleeps is woken in order, no second passes for real."""

    def __init__(self, now: float = START) -> None:
        self.now = now
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._count), future))
        await future

    async def run(self, work: Awaitable[object], until: float = 1e18) -> None:
        task = asyncio.ensure_future(work)
        while not task.done():
            for _ in range(8):
                await asyncio.sleep(0)
            if task.done():
                break
            assert self._sleepers, "everybody waits for something that never comes"
            self.now, _, future = heapq.heappop(self._sleepers)
            if self.now > until:
                task.cancel()
                break
            if not future.done():
                future.set_result(None)
        await asyncio.gather(task, return_exceptions=self.now > until)
