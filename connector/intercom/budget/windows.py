"""Spends the request budget that Intercom announces to a token; knows only its three numbers.

Intercom counts requests in windows of ten seconds that begin at whole multiples of ten of its own
clock. ``X-RateLimit-Reset`` names a time six seconds after the window's end, so that sleeping
until then would waste 38 % of the budget: when a window is spent, the next multiple of ten is
awaited. Only a 429 that comes although the window is new makes us believe the header.
Other apps of the workspace spend from the same windows; their share is read off the headers.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from msgspec import Struct

from connector.intercom.budget.allowance import Allowance
from connector.intercom.clock import Clock

WINDOW = 10.0
LEARNING = 3
"""Requests in flight until the first reply has told the limit."""
WARY = 2.0
"""Seconds at the beginning of a window for which a first reply is awaited, if others spend too."""
REMEMBERED = 30
"""Windows for which we remember that others spend too."""
LONGEST = 60.0
"""No refusal holds us longer than this many seconds, whatever its headers say."""
ROUNDING = 3.0
"""Reset times of one window may differ by rounding, those of two windows by ten seconds."""
ASTRAY = 5.0
"""A front end whose Date is so many seconds off names reset times by its own clock."""
AHEAD = 20.0
"""Reset times lie no further ahead; others are of a clock that nobody knows."""
UNTRIED = 4
"""The first windows of a run, -1 among them, begin warily."""
MET = 20
"""Requests in one window that others sent, so that they count as others at work."""
SLACK = 6
"""So many windows the estimate may go back without the clock having been set."""
NEARLY = 10
"""A tenth of the limit is not counted exactly: what is under way, what others send meanwhile."""


class Ticket(Struct, frozen=True):
    """Leave to send one request: the window it was given in, and its place in there."""

    window: int
    place: int


class WindowUse(Struct):
    """What one window of ten seconds was used for; ``started_at`` in Unix seconds."""

    started_at: float
    sent: int = 0
    refused: int = 0
    limit: int | None = None


class Account(Protocol):
    """What requests are counted on."""

    requests: int


class Spent(Struct):
    """Requests that one part of a run sent."""

    requests: int = 0


_spent: ContextVar[Account | None] = ContextVar("spent", default=None)


@contextmanager
def spending(account: Account | None = None) -> Iterator[Account]:
    """Counts the requests of what runs in this context, and of the tasks it begins.

    Each is counted as it is sent, on ``account`` where there is one.
    """
    spent = account or Spent()
    token = _spent.set(spent)
    try:
        yield spent
    finally:
        _spent.reset(token)


class Budget:
    """The requests that may be sent with one token; ``allowance`` bounds all tokens together.

    Reports: ``requests`` sent, ``refusals`` (429s) met, ``waited`` seconds, ``uses`` the last
    windows. All times come from ``clock``, waiting is done by ``sleep`` (seconds).
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        rng: Callable[[], float] = random.random,
        allowance: Allowance | None = None,
        yields: bool = False,
    ) -> None:
        self.clock = clock or Clock()
        self._yields = yields
        self.allowance = allowance or Allowance()
        self.limit: int | None = None
        self.requests = 0
        self.refusals = 0
        self.waited = 0.0
        self.uses: deque[WindowUse] = deque(maxlen=360)
        self._sleep = sleep
        self._rng = rng
        # asyncio's lock wakes waiters in order and survives their cancellation.
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._learned = False
        self._in_flight = 0
        self._flying = 0
        self._blocked = (0.0, 0.0)  # from when until when, by the local clock
        self._struck: int | None = None
        self._reset = 0.0
        self._old_reset = 0.0
        self._shared_until = 0
        self._foreign = 0
        self._opened = 0
        self._told: tuple[int, int] | None = None
        self._met_until = 0  # the window until which others are expected, who were met
        self._use = WindowUse(0.0)
        self._window = -1
        self._open(-1)

    @property
    def consumed(self) -> tuple[int, int] | None:
        """The window, and how much of it the newest reply said was consumed, by whomever."""
        return self._told if self._told and self._told[0] == self._window else None

    # Asking for leave

    async def acquire(self) -> Ticket:
        """Wait, first come first served, until one request may be sent; then send it at once.

        Every ticket must be handed back with ``release``, whatever became of the request.
        """
        async with self._turn:
            started = self.clock.local()
            while not self.is_free():
                await self.wait()
            self.waited += max(0.0, self.clock.local() - started)
            return self.take()

    def release(self, ticket: Ticket) -> None:
        """The request of this ticket is over, answered or not."""
        self._in_flight -= 1
        if ticket.window == self._window:
            self._flying -= 1
        self._changed.set()

    def take(self) -> Ticket:
        """Leave to send one request at once; only while ``is_free``."""
        self.allowance.take(self._window)
        self._used += 1
        self._use.sent += 1
        self._in_flight += 1
        self._flying += 1
        self.requests += 1
        if spent := _spent.get():
            spent.requests += 1
        return Ticket(self._window, self._used)

    def is_free(self) -> bool:
        """Whether one more request may be sent now."""
        now = self.clock.edge_now()
        self._roll(now)
        if self._left() > 0:
            return False
        if not self._learned and self._in_flight >= LEARNING:
            return False
        if self._is_wary(now) and self._flying >= LEARNING:
            return False
        return not self._spent()

    def _is_wary(self, now: float) -> bool:
        # Where others spend too, a new window may be half spent when it begins: a few requests
        # are sent ahead to see. If they take long, so be it.
        shared = self._window < self._shared_until
        return shared and not self._heard and now < self._window * WINDOW + WARY

    @property
    def left(self) -> float:
        """The part of the present window that is left, as far as is known: 1 is all of it."""
        if self.limit is None:
            return 1.0
        return 1.0 - (self._used + self._foreign) / self.limit

    async def wait(self) -> None:
        """Until it may have become free."""
        if not self._learned and self._in_flight >= LEARNING:
            self._changed.clear()
            await self._changed.wait()
        else:
            await self._sleep(self._pause())

    def _pause(self) -> float:
        spent = self._boundary() - self.clock.edge_now() if self._spent() else 0.0
        ahead = min(max(self._left(), spent, 0.0), LONGEST)
        return ahead + 0.02 + 0.08 * self._rng()

    def _left(self) -> float:
        """Seconds that a refusal still holds us: durations, whatever clocks of front ends say."""
        since, until = self._blocked
        now = self.clock.local()
        return until - now if since <= now else 0.0

    def _spent(self) -> bool:
        used_up = self.limit is not None and self._used + self._foreign >= self.limit
        return used_up or self.allowance.is_spent(self._window) or self._has_had_its_share()

    def _has_had_its_share(self) -> bool:
        """Who yields leaves half of each window to others, while there are any."""
        if not self._yields or self.limit is None or self._window >= self._met_until:
            return False
        return self._use.sent >= self.limit // 2

    # Windows

    def _boundary(self) -> float:
        return (self._window + 1) * WINDOW

    def _roll(self, now: float) -> None:
        window = int(now // WINDOW)
        if self._window - SLACK <= window <= self._window:
            return  # a better estimate, at the most
        self._open(window)

    def _open(self, window: int) -> None:
        # What was sent last and is still under way may be counted in this window; replies put it
        # right. Never more than half, or stalled requests would stop all others.
        most = self._flying if self.limit is None else min(self._flying, self.limit // 2)
        self._carried_from, self._carried = self._window, most
        self._window, self._used, self._flying = window, most, 0
        self._opened += 1
        # Whether windows begin where we think they do is not known before some have.
        if self._foreign > 1 or self._use.refused or 1 < self._opened <= UNTRIED:
            known = self._foreign > 1 or self._use.refused
            self._shared_until = window + (REMEMBERED if known else 1)
        self._heard = False
        self._foreign = 0
        self._newest = 0
        self._old_reset = max(self._old_reset, self._reset)
        self._use = WindowUse(window * WINDOW, limit=self.limit)
        self.uses.append(self._use)

    # Learning from replies

    def observe(
        self,
        ticket: Ticket,
        limit: int | None,
        remaining: int | None,
        reset: float | None,
        date: float | None = None,
    ) -> None:
        """Learn from a reply that was not refused; None for headers that were not sent.

        ``date`` and ``reset`` are Unix seconds by the clock of the front end that answered.
        """
        reset = self._by_our_clock(reset, date)
        self._learned = True
        self._changed.set()
        if ticket.window == self._window:
            self._struck = None
            self._heard = True
        if limit is None or limit <= 0:
            return
        self.limit = self._use.limit = limit
        if self._is_late(ticket, reset):
            self._uncarry(ticket)
            return
        self._reset = max(self._reset, reset or 0.0)
        if remaining is not None:
            self._told = (self._window, limit - remaining)
            self._count_others(ticket, limit - remaining)

    def _count_others(self, ticket: Ticket, consumed: int) -> None:
        # More than we ever sent must be others' use. The newest of our requests tells more: what
        # was consumed before it and was not ours. (An older one's reply may count newer ones.)
        others = consumed - self._used
        if ticket.window == self._window and ticket.place > self._newest:
            self._newest = ticket.place
            others = max(others, consumed - ticket.place)
        self._foreign = max(self._foreign, others)
        if self._foreign >= MET:
            self._met_until = self._window + REMEMBERED

    def _uncarry(self, ticket: Ticket) -> None:
        if self._carried and ticket.window == self._carried_from:
            self._carried -= 1
            self._used -= 1

    def _is_late(self, ticket: Ticket, reset: float | None) -> bool:
        # A request sent before the boundary was counted in the old window or in this one: only
        # the reset time can tell. Old news must not spend the new window.
        if ticket.window == self._window:
            return False
        return reset is None or reset <= self._old_reset + ROUNDING

    def refused(
        self,
        ticket: Ticket,
        limit: int | None = None,
        reset: float | None = None,
        retry_after: float | None = None,
        date: float | None = None,
        remaining: int | None = None,
    ) -> None:
        """Learn from a 429: this window is spent, and perhaps the clock is not what it seems.

        The first refusal waits for the next multiple of ten. If that window refuses us too, before
        it has answered anything, ``reset`` (Unix seconds by Intercom's clock) is awaited. A
        ``retry_after`` (seconds) is believed at once. Nothing holds us longer than a minute.
        """
        self.refusals += 1
        self._learned = True
        self._changed.set()
        now = self.clock.edge_now()
        reset = self._by_our_clock(reset, date)
        self._roll(now)
        if limit is not None and limit > 0:
            self.limit = limit
        if self._is_late(ticket, reset) and retry_after is None:
            self._uncarry(ticket)
            return
        if self._is_of_all(remaining, reset):
            self.allowance.refuse(self._window)
        self._use.refused += 1
        until = self._refused_until(reset)
        if retry_after is not None:
            until = max(until, now + retry_after)
        local = self.clock.local()
        self._blocked = (local, local + max(self._left(), min(until - now, LONGEST)))

    def _is_of_all(self, remaining: int | None, reset: float | None) -> bool:
        """Whether a refusal is for the workspace's limit: the token's own count is not used up."""
        if reset is not None and reset <= self._old_reset + ROUNDING:
            return False  # Intercom is still in the window before: the token's own is spent
        if remaining:
            return True
        if self.limit is None or self._told is None or self._told[0] != self._window:
            return False  # nothing is known of this window but what the refusal says
        return self._used + self._foreign < self.limit - self.limit // NEARLY

    def _by_our_clock(self, reset: float | None, date: float | None) -> float | None:
        """A reset time as our estimate of Intercom's clock shows it; None if it cannot be one.

        Clocks of front ends differ. Of one that is astray, Date and reset are off alike.
        """
        if reset is None:
            return None
        now = self.clock.edge_now()
        bases = [now] if date is None else [now, date]
        if date is not None and abs(date - now) > ASTRAY:
            bases.reverse()
        return next((now + reset - base for base in bases if 0 < reset - base <= AHEAD), None)

    def _refused_until(self, reset: float | None) -> float:
        boundary = self._boundary()
        again = self._struck is not None and self._struck < self._window
        self._struck = self._window
        if not again:
            return boundary
        return max(boundary, reset if reset is not None else boundary + WINDOW)
