"""Tasks that end before whoever began them does.

A group raises its first error as it is, not in an ExceptionGroup.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Tasks that go on while the block does; it ends when all have ended.

    The first error cancels the others, and the block, and is raised.
    """
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def gather(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run them concurrently; the first error cancels the others and is raised as it is."""
    async with task_group() as group:
        for coroutine in coroutines:
            group.create_task(coroutine)


class Overlap(Generic[T]):
    """One piece of work at a time that goes on while its owner does something else."""

    def __init__(self) -> None:
        self._task: asyncio.Task[T] | None = None

    @property
    def is_begun(self) -> bool:
        """Whether something was begun whose outcome nobody has taken."""
        return self._task is not None

    def begin(self, work: Coroutine[Any, Any, T]) -> None:
        """Let it go on from now; the outcome of what was begun before must have been taken."""
        assert not self.is_begun
        self._task = asyncio.ensure_future(work)

    async def outcome(self) -> T | None:
        """What became of it, once it has ended; None where nothing was begun."""
        task, self._task = self._task, None
        return await task if task else None


@asynccontextmanager
async def overlap() -> AsyncIterator[Overlap[Any]]:
    """Work that goes on beside the block, which is left when that has ended too.

    An error of the block goes before one of the work; who is cancelled cancels both.
    """
    work = Overlap[Any]()
    try:
        yield work
    except Exception:
        with suppress(Exception):
            await work.outcome()
        raise
    except BaseException:
        if work._task:
            work._task.cancel()
            await asyncio.wait([work._task])
        raise
    await work.outcome()
