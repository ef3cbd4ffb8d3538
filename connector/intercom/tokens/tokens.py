"""Decides which tokens a request may go with: the one place that does; ``queue`` takes one of them.

A token that was refused (403) is not asked for the same again while another one is there; one that
opens nothing any more (401) drops out while another one is left.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence

from connector.errors import TokenRefusedError
from connector.intercom.budget import Allowance, Budget, SharedAllowance
from connector.intercom.clock import Clock
from connector.intercom.tokens.chain import FREE, Chain
from connector.intercom.tokens.queue import Grant, Line, Queue
from connector.intercom.tokens.token import Token, checked

log = logging.getLogger(__name__)

APP = 10_000
"""Requests a minute that Intercom allows an app."""
LATENCY = 0.6
"""Seconds for which requests in flight are reckoned: most of Intercom's replies take less."""
ONE_TOKEN = 50
"""Requests in flight of a single token."""
PER_MINUTE = 20_000
"""What several tokens send together at most, unless a setting says otherwise: a workspace has
25,000, and the rest is for others."""


class Tokens:
    """The tokens of one workspace, in the order of the setting; at least one."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        """All budgets must go by one clock and one allowance."""
        self._tokens = tuple(tokens)
        self._queue = Line() if len(self._tokens) == 1 else Queue()

    def __iter__(self) -> Iterator[Token]:
        return iter(self._tokens)

    def __len__(self) -> int:
        return len(self._tokens)

    def __repr__(self) -> str:
        return f"Tokens({len(self)} tokens=[hidden])"

    @property
    def first(self) -> Token:
        """The first one, which is the only one of who writes."""
        return self._tokens[0]

    @property
    def clock(self) -> Clock:
        """Intercom's time, by which all budgets go."""
        return self.first.budget.clock

    @property
    def living(self) -> list[Token]:
        """Those that were not refused."""
        return [token for token in self._tokens if not token.refusal]

    def hide(self, text: str) -> str:
        """The text without any of the secrets; the longest first, one may begin with another."""
        for token in sorted(self._tokens, key=lambda one: -len(one.secret)):
            text = token.hide(text)
        return text

    @property
    def in_flight(self) -> int:
        """How many requests should be in flight at once, so that the budgets can be used up.

        Little's law: so many as are sent while one takes; for a single token 50, as ever.
        """
        rate = min(self.first.budget.allowance.per_minute or 0, APP * len(self)) / 60
        return ONE_TOKEN if len(self) == 1 else max(ONE_TOKEN, math.ceil(rate * LATENCY))

    @property
    def used(self) -> float | None:
        """The part of the present windows that was sent; None before a limit was told."""
        budgets = [token.budget for token in self.living]
        limits = [budget.limit for budget in budgets if budget.limit and budget.uses]
        if not limits:
            return None
        return sum(b.uses[-1].sent for b in budgets if b.limit and b.uses) / sum(limits)

    # -- choosing ----------------------------------------------------------------------------

    async def acquire(
        self, listing: str, chain: Chain = FREE, tried: Collection[Token] = ()
    ) -> Grant:
        """Wait until one request of this listing may be sent; then send it at once.

        Those that were ``tried`` are not chosen. TokenGoneError where the chain's own was refused.
        """
        bound = chain.require()
        choice = [bound] if bound else self._choice(listing, tried)
        if chain.steady:
            choice = choice[:1]
        return await self._queue.acquire(choice)

    def _choice(self, listing: str, tried: Collection[Token]) -> list[Token]:
        living = [token for token in self.living if token not in tried] or self.living
        may = [token for token in living if not token.standing(listing).is_closed]
        # Where none may, the refusal is one for whoever asks: one token is asked, as ever.
        return may or [t for t in living if t.standing(listing).has_read] or living[:1]

    # -- learning ----------------------------------------------------------------------------

    def succeeded(self, token: Token, listing: str) -> None:
        """The token may read this listing."""
        standing = token.standing(listing)
        if standing.is_closed:
            # It may after all: what was refused were objects, to the others perhaps too.
            for one in self._tokens:
                one.standing(listing).refusals = 0
        standing.refusals, standing.has_read = 0, True

    def refused(self, token: Token, listing: str, tried: Collection[Token]) -> bool:
        """The token may not read this; whether another one that perhaps may is left to ask."""
        token.standing(listing).refusals += 1
        left = [one for one in self.living if one not in tried]
        found = [one for one in left if not one.standing(listing).is_closed]
        if found and token.standing(listing).refusals == 1:
            log.info("token %d may not %s; another one is asked", token.position, listing)
        return bool(found)

    def drop(self, token: Token, refusal: TokenRefusedError) -> bool:
        """The token opens nothing any more; whether others are left.

        The last one does not drop out: it is asked again whenever somebody asks for something. For
        the others see ``readmit``.
        """
        if self.living == [token]:
            return False
        if not token.refusal:
            token.refusal = refusal
            log.warning(
                "token %d of %d is refused and drops out, the others go on: %s",
                token.position,
                len(self),
                refusal,
            )
        return True

    def readmit(self, positions: Collection[int]) -> None:
        """These tokens were seen to open the workspace, also where they had dropped out."""
        for token in self._tokens:
            if token.position in positions:
                token.refusal = None


def tokens_of(
    secrets: Sequence[str],
    *,
    clock: Clock,
    per_minute: int | None = None,
    yields: bool = False,
    name: str = "the access token",
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    rng: Callable[[], float] = random.random,
) -> Tokens:
    """The tokens with these secrets; SettingsError, which quotes none, for one that cannot be one.

    ``name`` is what the error calls one.
    ``per_minute`` bounds all together. A single one has Intercom's limit where that is None;
    several have 20,000, and leave more to others while those use up the workspace's pool.
    """
    several = len(secrets) > 1
    allowance = SharedAllowance(per_minute or PER_MINUTE) if several else Allowance(per_minute)
    return Tokens(
        [
            Token(
                checked(secret, f"{name} {number}" if several else name),
                Budget(clock=clock, sleep=sleep, rng=rng, allowance=allowance, yields=yields),
                number,
            )
            for number, secret in enumerate(secrets, 1)
        ]
    )
