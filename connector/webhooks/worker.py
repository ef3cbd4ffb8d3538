"""A thread for what blocks, which keeps no process from ending."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """Makes calls in a thread of its own, one after the other.

    An executor's threads are waited for when the process ends, however long a call takes; a call
    that waits for a database that is frozen would hold the process up.
    """

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    async def run(self, call: Callable[..., T], *arguments: Any) -> T:
        """What the call returns or raises."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            try:
                found, error = call(*arguments), None
            except Exception as failure:
                found, error = None, failure
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(_settle, done, found, error)

        if self._thread.ident is None:
            self._thread.start()
        self._calls.put(work)
        return await done

    def close(self) -> None:
        """No more calls will come."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def _settle(done: asyncio.Future[Any], found: Any, error: Exception | None) -> None:
    if done.done():  # who asked has gone
        return
    if error is None:
        done.set_result(found)
    else:
        done.set_exception(error)
