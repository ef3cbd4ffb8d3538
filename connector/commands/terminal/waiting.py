"""Runs what waits for Intercom and Postgres, to its end or until a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from connector.commands.terminal.interruption import PATIENCE, Interruption, TerminatedError
from connector.warehouse.sql.database import Database

T = TypeVar("T")

SWITCH_AFTER = 0.0005
"""Seconds for which one thread keeps the others out. The writer waits for Postgres a dozen times
in each transaction, and each time as long as that again until it may go on."""
COLLECT_AFTER = 100_000
"""New objects after which the garbage collector looks for cycles. Records are millions of small
objects without any; looking each 700 objects, as Python does, takes a fifth of a load's time."""


def until_signalled(
    work: Coroutine[Any, Any, T],
    database: Database | None = None,
    stopping: Callable[[], float] | None = None,
    patience: float = PATIENCE,
) -> T:
    """Run to the end, or until a signal, which ends the run with its state committed.

    Then KeyboardInterrupt is raised, of SIGTERM TerminatedError. ``stopping`` is called first, in
    the handler, and says for how many seconds the work may go on to end by itself. ``patience``:
    seconds for a transaction to end, before its statement is cancelled.
    """
    with Interruption(database, patience) as interruption:

        async def run() -> T:
            task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()

            def stop() -> None:
                seconds = stopping() if stopping else 0.0
                loop.call_soon_threadsafe(lambda: loop.call_later(seconds, task.cancel))

            interruption.stop = stop
            return await task

        gc.freeze()
        gc.set_threshold(COLLECT_AFTER, 20, 100)
        sys.setswitchinterval(SWITCH_AFTER)
        try:
            done = asyncio.run(run())
        except (Exception, asyncio.CancelledError) as error:
            if interruption.number is None:
                raise
            raise _ended(interruption.number) from error  # what it waited for was broken off
        if stopping and interruption.number is not None:  # it ended by itself, as it was told to
            raise _ended(interruption.number)
        return done


def _ended(number: int) -> KeyboardInterrupt:
    return TerminatedError() if number == signal.SIGTERM else KeyboardInterrupt()
