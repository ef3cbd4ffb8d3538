"""A task group whose first error is raised as it is, not in an ExceptionGroup."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


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
