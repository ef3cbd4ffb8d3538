"""Which request is next, and with which of the tokens that it may use: first come, first served.

A request goes with the token that has most of its window left, as soon as one of those that it may
use is free. Those that may use only one token wait in the same queue, so that those that may use
several do not take it from them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context, copy_context
from typing import Any

from msgspec import Struct

from connector.intercom.budget import Ticket
from connector.intercom.tokens.token import Token


class Grant(Struct, frozen=True):
    """Leave to send one request with this token, at once."""

    token: Token
    ticket: Ticket

    def release(self) -> None:
        """The request is over, answered or not."""
        self.token.budget.release(self.ticket)


class _Turn(Struct, eq=False):
    """A request that waits, since when, and in whose account it is."""

    choice: Sequence[Token]
    since: float
    context: Context
    given: asyncio.Future[Grant]


class Line:
    """Where there is one token: the order in which its budget serves."""

    async def acquire(self, choice: Sequence[Token]) -> Grant:
        """Wait until one request may be sent with the only one."""
        (token,) = choice
        return Grant(token, await token.budget.acquire())


class Queue:
    """Requests that wait for one of several tokens."""

    def __init__(self) -> None:
        self._turns: list[_Turn] = []
        self._serving: asyncio.Task[None] | None = None

    async def acquire(self, choice: Sequence[Token]) -> Grant:
        """Wait until one request may be sent with one of these."""
        loop, now = asyncio.get_running_loop(), choice[0].budget.clock.local()
        turn = _Turn(choice, now, copy_context(), loop.create_future())
        self._turns.append(turn)
        self._serve()
        if not turn.given.done() and (self._serving is None or self._serving.done()):
            self._serving = loop.create_task(self._keep_serving())
        try:
            return await turn.given
        except asyncio.CancelledError:
            if turn in self._turns:
                self._turns.remove(turn)
            elif not turn.given.cancelled():
                turn.given.result().release()
            raise

    async def _keep_serving(self) -> None:
        while self._turns:
            await _first([token.budget.wait for token in self._wanted()])
            self._serve()

    def _wanted(self) -> set[Token]:
        return {token for turn in self._turns for token in turn.choice}

    def _serve(self) -> None:
        """Give what is free to those who wait, in their order."""
        free = {token for token in self._wanted() if token.budget.is_free()}
        for turn in [*self._turns] if free else ():
            usable = [token for token in turn.choice if token in free]
            if turn.given.cancelled() or not usable:
                continue
            token = max(usable, key=_room)
            self._turns.remove(turn)
            token.budget.waited += max(0.0, token.budget.clock.local() - turn.since)
            turn.given.set_result(Grant(token, turn.context.run(token.budget.take)))
            if not token.budget.is_free():
                free.discard(token)
            if not free:
                return


def _room(token: Token) -> tuple[float, int]:
    """What is left of its window; of two that have as much left, who sent less."""
    return token.budget.left, -token.budget.requests


async def _first(waits: Sequence[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    """Until the first of them is over."""
    tasks = [asyncio.ensure_future(wait()) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
