"""The choosing among several tokens, against a server that counts as Intercom does, in no time.

Most of it at a tenth of Intercom's limits: what counts are shares.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import formatdate

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from connector.errors import SettingsError, TokenGoneError, TokenRefusedError
from connector.intercom.budget import Allowance, Budget
from connector.intercom.clock import Clock
from connector.intercom.rate_headers import learn
from connector.intercom.tokens.chain import FREE, Chain
from connector.intercom.tokens.queue import Grant
from connector.intercom.tokens.token import Token
from connector.intercom.tokens.tokens import Tokens, tokens_of
from tests.intercom.virtual_time import START, Time

pytestmark = pytest.mark.in_turn(2)

LISTING = "GET /contacts/{id}"
MINUTE = 60.0
PROPERTY = settings(
    max_examples=12, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)


@dataclass
class Workspace:
    """Counts each token's requests in windows of ten seconds, and all of them with the others'."""

    time: Time
    limit: int = 167
    pool: int = 417
    others: Callable[[int], int] = lambda window: 0
    window: int = -1
    counts: Counter[int] = field(default_factory=Counter)
    served: Counter[int] = field(default_factory=Counter)
    by_window: Counter[int] = field(default_factory=Counter)
    refused: int = 0

    def answer(self, position: int) -> tuple[int, dict[str, str]]:
        now = self.time.now
        if int(now // 10) != self.window:
            self.window, self.counts = int(now // 10), Counter()
        left = self.limit - self.counts[position]
        full = self.counts.total() + self.others(self.window) >= self.pool
        self.counts[position] += 1
        status = 429 if left <= 0 or full else 200
        self.refused += status == 429
        self.served[position] += status == 200
        self.by_window[self.window] += status == 200
        return status, {
            "date": formatdate(int(now), usegmt=True),
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(max(0, left)),
            "x-ratelimit-reset": str(int(now // 10) * 10 + 16),
        }


class World:
    """Workers that request without end through the tokens."""

    def __init__(
        self,
        number: int = 2,
        per_minute: int | None = 2_000,
        latency: tuple[float, float] = (0.1, 0.5),
        **server: object,
    ) -> None:
        self.time = Time()
        self.server = Workspace(self.time, **server)  # type: ignore[arg-type]
        self.rng = random.Random(1)
        self.latency = latency
        self.tokens = tokens_of(
            [f"token-{n}" for n in range(number)],
            clock=Clock(self.time),
            per_minute=per_minute,
            sleep=self.time.sleep,
            rng=self.rng.random,
        )
        self.sent: list[tuple[float, int]] = []

    async def one(self, chain: Chain = FREE) -> Grant:
        grant = await self.tokens.acquire(LISTING, chain)
        self.sent.append((self.time.now, grant.token.position))
        sent = self.time.now
        try:
            await self.time.sleep(self.rng.uniform(*self.latency) / 2)
            status, headers = self.server.answer(grant.token.position)
            await self.time.sleep(self.rng.uniform(*self.latency) / 2)
        finally:
            grant.release()
        self.tokens.clock.observe(headers["date"], sent, self.time.now)
        learn(grant.token.budget, grant.ticket, status, headers)
        if status == 200:
            chain.bind(grant.token)
        return grant

    async def run(
        self, seconds: float, workers: int | None = None, *more: Awaitable[object]
    ) -> None:
        async def work() -> None:
            while True:
                await self.one()

        number = self.tokens.in_flight // 2 if workers is None else workers
        every = asyncio.gather(*(work() for _ in range(number)), *more)
        await self.time.run(every, START + seconds)


# -- pace ------------------------------------------------------------------------------------


async def test_two_tokens_send_twenty_thousand_a_minute_from_both_budgets() -> None:
    world = World(2, None, limit=1_667, pool=4_167)
    await world.run(MINUTE + 1, workers=world.tokens.in_flight)
    full = [world.server.by_window[int(START // 10) + n] for n in range(1, 6)]
    assert sum(full) >= 0.95 * 20_000 / 6 * len(full)
    for position in (1, 2):
        assert world.server.served[position] >= 0.95 * 10_000
    assert world.server.refused <= 20


async def test_a_third_token_adds_nothing_but_what_the_setting_allows() -> None:
    for most in (2_000, 2_500, 600):
        world = World(3, most)
        await world.run(2 * MINUTE, 30)
        assert 0.93 * 2 * most <= world.server.served.total() <= 2 * most + 420
        assert world.server.refused <= 20


async def test_requests_in_flight_are_enough_for_half_a_second_each() -> None:
    world = World(2, None, (0.5, 0.5), limit=1_667, pool=4_167)
    await world.run(MINUTE / 2 + 1, workers=world.tokens.in_flight)
    assert world.server.served.total() >= 0.95 * 10_000


@pytest.mark.parametrize(
    ("number", "per_minute", "most"),
    [(1, None, 50), (1, 90, 50), (2, None, 200), (2, 25_000, 200), (3, 25_000, 250), (2, 600, 50)],
)
def test_how_many_are_in_flight_follows_from_what_may_be_sent(
    number: int, per_minute: int | None, most: int
) -> None:
    secrets = [f"token-{n}" for n in range(number)]
    assert tokens_of(secrets, clock=Clock(), per_minute=per_minute).in_flight == most


@PROPERTY
@given(
    st.integers(2, 4),
    st.integers(60, 2_500),
    st.integers(20, 167),
    st.floats(0.02, 0.6),
    st.integers(0, 2**32),
)
def test_no_window_has_more_than_is_allowed(
    number: int, per_minute: int, limit: int, slow: float, seed: int
) -> None:
    async def run() -> World:
        world = World(number, per_minute, (0.01, slow), limit=limit)
        world.rng = random.Random(seed)
        await world.run(50, workers=60)
        return world

    world = asyncio.run(run())
    sent = Counter(int(at // 10) for at, _ in world.sent)
    # Where a window begins is known to a second at first: some of its requests count in the next.
    assert max(sent.values()) <= per_minute / 6 + 60
    assert sum(sent.values()) <= per_minute * (50 / 60 + 1 / 6) + 60


@PROPERTY
@given(st.integers(3, 400), st.floats(0.02, 2.0), st.integers(0, 2**32))
def test_with_one_token_requests_leave_when_its_budget_lets_them(
    limit: int, slow: float, seed: int
) -> None:
    async def run(bare: bool) -> list[tuple[float, int]]:
        world = World(1, latency=(0.01, slow), limit=limit)
        world.rng = random.Random(seed)
        if bare:
            budget = world.tokens.first.budget

            async def acquire(*_: object, **__: object) -> Grant:
                return Grant(world.tokens.first, await budget.acquire())

            world.tokens.acquire = acquire  # type: ignore[method-assign]
        await world.run(45, workers=20)
        return world.sent

    assert asyncio.run(run(bare=False)) == asyncio.run(run(bare=True))


# -- the workspace's pool --------------------------------------------------------------------


async def test_others_who_use_up_the_pool_slow_it_down_and_are_left_room() -> None:
    began = int(START // 10)
    world = World(others=lambda window: 300 if 6 <= window - began < 18 else 0)
    await world.run(9 * MINUTE)
    windows = [world.server.by_window[began + n] for n in range(54)]
    assert sum(windows[1:6]) >= 0.95 * 5 * 333
    # What others leave is 117 a window; the first ones find out.
    assert all(count <= 117 for count in windows[9:18])
    assert sum(windows[9:18]) >= 0.5 * 9 * 117
    assert world.server.refused <= 3 * 25 + 20
    assert sum(windows[-4:]) >= 0.95 * 4 * 333


@PROPERTY
@given(st.lists(st.integers(0, 500), min_size=1, max_size=12), st.integers(0, 2**32))
def test_whatever_others_send_it_goes_on(loads: list[int], seed: int) -> None:
    async def run() -> World:
        def others(window: int) -> int:
            return loads[window % len(loads)]

        world = World(others=others)
        world.rng = random.Random(seed)
        await world.run(3 * MINUTE)
        return world

    world = asyncio.run(run())
    free = [max(0, min(333, 417 - world.server.others(int(START // 10) + n))) for n in range(18)]
    least = 18 * 333 / 16 if min(free) else 0
    assert world.server.served.total() >= 0.5 * min(least, 0.25 * sum(free))
    # In each window that finds the pool empty what was under way, and no more.
    assert world.server.refused <= 18 * 45


async def test_a_token_that_used_up_its_own_count_slows_down_no_other() -> None:
    world = World()

    async def another_tool() -> None:
        while True:
            await world.time.sleep(2.0)
            world.server.counts[1] += 15

    await world.run(3 * MINUTE, None, another_tool())
    assert world.server.served[2] >= 0.95 * 1_000 * 3


# -- what belongs together -------------------------------------------------------------------


@PROPERTY
@given(st.integers(2, 4), st.integers(20, 400), st.integers(0, 2**32))
def test_a_chain_stays_with_its_token_and_is_not_starved(
    number: int, limit: int, seed: int
) -> None:
    async def run() -> tuple[World, list[list[int]]]:
        world = World(number, limit=limit)
        world.rng = random.Random(seed)
        chains: list[list[int]] = []

        async def follow() -> None:
            chain, positions = Chain(), list[int]()
            chains.append(positions)
            while True:
                positions.append((await world.one(chain)).token.position)

        await world.run(60, 60, *(follow() for _ in range(8)))
        return world, chains

    _, chains = asyncio.run(run())
    for positions in chains:
        after_the_first_answer = positions[1:]
        assert len(set(after_the_first_answer)) == 1
        fair = 6 * min(number * limit, 333) / 68  # what each would have that asks without end
        assert len(positions) >= fair // 2


async def test_a_chain_whose_token_was_refused_ends_and_a_new_one_begins_elsewhere() -> None:
    tokens = World().tokens
    chain, refusal = Chain(), TokenRefusedError("revoked")
    grant = await tokens.acquire(LISTING, chain)
    chain.bind(grant.token)
    assert tokens.drop(grant.token, refusal)
    with pytest.raises(TokenGoneError, match=f"token {grant.token.position}"):
        await tokens.acquire(LISTING, chain)
    other = await tokens.acquire(LISTING, Chain())
    assert other.token is not grant.token


async def test_what_an_earlier_run_began_is_asked_with_the_first_token_that_may() -> None:
    tokens = World(3).tokens
    for _ in range(3):
        assert (await tokens.acquire(LISTING, Chain(steady=True))).token.position == 1
    first = tokens.first
    tokens.refused(first, LISTING, [first])
    assert (await tokens.acquire(LISTING, Chain(steady=True))).token.position == 2


# -- who may ---------------------------------------------------------------------------------


async def asked(tokens: Tokens, tries: int, listing: str = LISTING) -> set[int]:
    """Which tokens are chosen, of so many requests."""
    found = set[int]()
    for _ in range(tries):
        grant = await tokens.acquire(listing)
        grant.release()
        grant.token.budget._learned = True
        found.add(grant.token.position)
    return found


async def test_a_token_without_the_scope_is_not_asked_again_and_others_are() -> None:
    tokens = World(3).tokens
    second = list(tokens)[1]
    assert tokens.refused(second, LISTING, [second])
    assert await asked(tokens, 30) == {1, 3}
    assert await asked(tokens, 30, "GET /tags") == {1, 2, 3}


async def test_where_none_may_one_is_asked_and_its_refusal_is_the_last_word() -> None:
    tokens = World(2).tokens
    first, second = tokens
    assert tokens.refused(first, LISTING, [first])
    assert not tokens.refused(second, LISTING, [first, second])
    assert await asked(tokens, 10) == {1}
    assert not tokens.refused(first, LISTING, [first])


async def test_a_success_shows_that_objects_were_refused_and_not_tokens() -> None:
    tokens = World(2).tokens
    first, second = tokens
    tokens.refused(first, LISTING, [first])
    tokens.refused(second, LISTING, [first, second])
    tokens.succeeded(first, LISTING)
    assert await asked(tokens, 20) == {1, 2}
    # One that has read it is believed to be able to, but not for ever.
    tokens.refused(first, LISTING, [first])
    assert await asked(tokens, 20) == {1, 2}
    for _ in range(2):
        tokens.refused(first, LISTING, [first])
    assert await asked(tokens, 20) == {2}


async def test_the_last_token_does_not_drop_out_and_brings_no_other_back() -> None:
    tokens = World(2).tokens
    first, second = tokens
    assert tokens.drop(first, TokenRefusedError("gone"))
    assert await asked(tokens, 10) == {2}
    for _ in range(2):  # as of requests side by side
        assert not tokens.drop(second, TokenRefusedError("gone"))
    assert await asked(tokens, 20) == {2}


# -- secrets ---------------------------------------------------------------------------------


def test_no_secret_shows() -> None:
    secrets = ["dG9rOnNlY3JldA", "dG9rOnNlY3JldA-longer", "short"]
    tokens = tokens_of(secrets, clock=Clock())
    told = tokens.hide(f"you sent {' and '.join(secrets[::-1])}")
    assert told == "you sent short and [token] and [token]"
    for shown in (repr(tokens), repr(list(tokens))):
        assert not any(secret in shown for secret in secrets)


def test_one_that_cannot_be_a_token_is_named_by_its_position() -> None:
    with pytest.raises(SettingsError, match="access token 2 holds characters") as told:
        tokens_of(["good", "not so good"], clock=Clock())
    assert "good" not in str(told.value)


def test_all_go_by_one_allowance() -> None:
    tokens = tokens_of(["one", "two"], clock=Clock())
    first, second = (token.budget.allowance for token in tokens)
    assert first is second
    alone = tokens_of(["one"], clock=Clock()).first
    assert isinstance(alone, Token)
    assert isinstance(alone.budget, Budget)
    assert type(alone.budget.allowance) is Allowance
    assert alone.budget.allowance.per_minute is None
