"""Many notifications that wait at the same time are one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from connector.webhooks.notification import Notification
from connector.webhooks.worker import Worker

MOST_WAITING = 20_000
MOST_AT_ONCE = 2_000
SECONDS_TO_END = 0.5

One = tuple[Notification, asyncio.Future[None]]


class OverloadError(Exception):
    """More notifications wait to be committed than there is room for."""


class Arrivals:
    """Hands notifications to ``commit``, all that wait at once, in a thread of its own.

    ``commit`` blocks, and raises where nothing of them was committed.
    """

    def __init__(self, commit: Callable[[Sequence[Notification]], None]) -> None:
        self._commit = commit
        self._waiting: list[One] = []
        self._worker = Worker("inbox")
        self._task: asyncio.Task[None] | None = None

    async def add(self, notification: Notification) -> None:
        """Return once it is committed; raises OverloadError, or what ``commit`` raised."""
        if len(self._waiting) >= MOST_WAITING:
            raise OverloadError
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((notification, done))
        if self._task is None:
            self._task = asyncio.ensure_future(self._work())
        await done

    async def attempt(self) -> None:
        """Commit nothing, to see whether something could be; raises what ``commit`` raised."""
        await self._worker.run(self._commit, [])

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[:MOST_AT_ONCE]
                del self._waiting[: len(batch)]
                _answer(batch, await self._committed(batch))
        finally:
            self._task = None

    async def _committed(self, batch: Sequence[One]) -> Exception | None:
        try:
            await self._worker.run(self._commit, [one for one, _ in batch])
        except Exception as failure:
            return failure
        return None

    async def close(self, last: Callable[[], object]) -> None:
        """Commit what waits, as far as that is quick; then ``last``, and the thread ends."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=SECONDS_TO_END)
        if self._task is None:
            await self._worker.run(last)
        self._worker.close()


def _answer(batch: Sequence[One], error: Exception | None) -> None:
    for _, done in batch:
        if done.done():  # who asked has gone
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
