"""Ends a command at SIGINT, SIGTERM or SIGHUP: what is committed stays, whatever it waits for ends.

It knows signals and that a database can be waited for, nothing of what the command does.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from connector.warehouse.sql.database import Database

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE = 4.0  # seconds for a transaction to end by itself, before its statement is cancelled


def heeded() -> tuple[signal.Signals, ...]:
    """The signals that end a command; under nohup closing the terminal does not."""
    return tuple(n for n in SIGNALS if signal.getsignal(n) is not signal.SIG_IGN)


class TerminatedError(KeyboardInterrupt):
    """SIGTERM came: what goes on until it is ended has ended well."""


class Interruption:
    """A context in which a signal raises KeyboardInterrupt, or calls ``stop`` if that is set.

    A handler of asyncio's would not do: it runs in the loop, and a database that is away or a
    table that is locked holds up the loop itself.
    """

    def __init__(self, database: Database | None = None, patience: float = PATIENCE) -> None:
        self.number: int | None = None  # of the signal that came
        self.stop: Callable[[], object] | None = None
        self._database, self._patience = database, patience
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in heeded()}
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        again, self.number = self.number is not None, number
        if self._database is not None:
            self._database.stopped.set()
            timer = threading.Timer(0.0 if again else self._patience, self._database.interrupt)
            timer.daemon = True
            timer.start()
        if self.stop is None:
            raise KeyboardInterrupt
        self.stop()


@contextmanager
def until_ended() -> Iterator[None]:
    """What is done until SIGTERM ends it has ended well then, even if it has only begun."""
    with Interruption() as interruption:
        try:
            yield
        except TerminatedError:
            pass
        except (KeyboardInterrupt, asyncio.CancelledError):
            if interruption.number != signal.SIGTERM:
                raise
    logger.info("ended; what was committed is safe")
