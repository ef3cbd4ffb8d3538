"""The budget against a server that counts as Intercom does, in simulated time."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from connector.intercom.budget import LEARNING, Allowance, Budget, Ticket, spending
from connector.intercom.clock import Clock, parse_date
from tests.intercom.virtual_time import START, Time


@dataclass
class Intercom:
    """Counts requests in windows of ten seconds of its own clock, as recorded from the real one."""

    time: Time
    limit: int = 50
    ahead: float = 0.0
    others: Callable[[int], int] = lambda window: 0
    headers: bool = True
    clocks: tuple[float | None, ...] = (0.0,)
    by_limiter: bool = False
    window: int = 0
    count: int = 0
    served: int = 0
    refused: int = 0
    by_window: dict[int, int] = field(default_factory=dict)
    dice: random.Random = field(default_factory=lambda: random.Random(7))

    def answer(self) -> tuple[int, int | None, int | None, float | None, str | None]:
        now = self.time.now + self.ahead
        if int(now // 10) != self.window:
            self.window = int(now // 10)
            self.count = self.others(self.window)
        self.count += 1
        status = 200 if self.count <= self.limit else 429
        self.served += status == 200
        self.refused += status == 429
        self.by_window[self.window] = self.by_window.get(self.window, 0) + (status == 200)
        off = self.dice.choice(self.clocks)
        date = None if off is None else formatdate(int(now + off), usegmt=True)
        if not self.headers:
            return status, None, None, None, date
        left = max(0, self.limit - self.count + 1)
        off = 0.0 if self.by_limiter else off or 0.0
        return status, self.limit, left, (now + off) // 10 * 10.0 + 16.0, date


class World:
    """Workers that request without end through one budget."""

    def __init__(self, latency: tuple[float, float] = (0.05, 0.4), **server: object) -> None:
        self.time = Time()
        self.server = Intercom(self.time, **server)  # type: ignore[arg-type]
        self.clock = Clock(local=self.time)
        self.rng = random.Random(1)
        self.latency = latency
        self.budget = Budget(clock=self.clock, sleep=self.time.sleep, rng=self.rng.random)

    async def one(self) -> None:
        ticket = await self.budget.acquire()
        sent = self.time.now
        try:
            await self.time.sleep(self.rng.uniform(*self.latency) / 2)
            status, limit, remaining, reset, date = self.server.answer()
            await self.time.sleep(self.rng.uniform(*self.latency) / 2)
        finally:
            self.budget.release(ticket)
        self.clock.observe(date, sent, self.time.now)
        if status == 429:
            self.budget.refused(ticket, limit=limit, reset=reset, date=parse_date(date))
        else:
            self.budget.observe(ticket, limit, remaining, reset, parse_date(date))

    async def worker(self) -> None:
        while True:
            await self.one()

    async def run(self, seconds: float, workers: int = 50) -> None:
        work = asyncio.gather(*[self.worker() for _ in range(workers)])
        await self.time.run(work, START + seconds)


@pytest.mark.parametrize("limit", [5, 50, 400])
@pytest.mark.parametrize("ahead", [0.0, 3.7, -4000.4])
async def test_the_whole_budget_is_used_and_hardly_a_request_refused(
    limit: int, ahead: float
) -> None:
    world = World(limit=limit, ahead=ahead)
    await world.run(120)
    could = min(limit * 12, 50 / 0.225 * 120)
    assert world.server.served >= 0.85 * could
    assert world.server.refused <= 0.01 * world.server.served + 12


FRONT_ENDS: list[tuple[float | None, ...]] = [
    (0.0, 15.0),
    (0.0, -15.0),
    (0.0, 15.0, -15.0),
    (0.0, 5.0),
    (0.0, 0.0, 0.0, 0.0, -7200.0),
    (0.0, 3.0, 4e6, -4e8),
    (None,),
    (None, 7.0),
    (5.0,),
    (15.0,),
]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("clocks", FRONT_ENDS)
@pytest.mark.parametrize("limit", [50, 400, 1667])
@pytest.mark.parametrize("by_limiter", [False, True])
async def test_clocks_of_front_ends_that_differ_lift_no_block(
    clocks: tuple[float | None, ...], limit: int, by_limiter: bool
) -> None:
    world = World(limit=limit, clocks=clocks, by_limiter=by_limiter)
    await world.run(300)
    could = min(limit * 30, 50 / 0.225 * 300)
    assert world.server.served >= 0.6 * could
    assert world.server.refused <= 0.01 * world.server.served + 50


async def test_a_limit_that_changes_during_a_run_is_kept() -> None:
    world = World(limit=400)
    work = asyncio.gather(*[world.worker() for _ in range(50)])

    async def lower() -> None:
        await world.time.sleep(63.0)
        world.server.limit = 40

    await world.time.run(asyncio.gather(work, lower()), START + 200)
    assert world.server.refused <= 80
    assert world.server.served >= 0.8 * (6 * 400 + 13 * 40)


@pytest.mark.parametrize("off", [-1e6, -100.0, 100.0, 1e9])
async def test_a_reset_in_the_far_past_or_future_is_not_awaited(off: float) -> None:
    time = Time(START + 4)
    budget, ticket = await ready(time)
    for strike in range(3):
        budget.refused(ticket, limit=10, reset=START + off, date=START + 4)
        at = await acquired_at(time, budget)
        assert at <= 10 * (strike + 3) + 0.2
        ticket = Ticket(int(time.now // 10), 1)


async def test_windows_are_not_waited_out_until_the_reset_they_name() -> None:
    world = World(limit=50)
    await world.run(200)
    # Waiting for Reset, 6 s after the window's end, every second window would be lost.
    full = [count for count in world.server.by_window.values() if count >= 45]
    assert len(full) >= 19


@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    st.integers(3, 150),
    st.floats(-100, 100),
    st.floats(0.01, 0.5),
    st.floats(0.0, 3.0),
    st.integers(0, 100),
    st.booleans(),
)
def test_under_any_load_of_others_it_goes_on_and_rarely_hits_the_wall(
    limit: int, ahead: float, fast: float, slow: float, share: int, headers: bool
) -> None:
    async def run() -> World:
        def others(window: int) -> int:
            return limit * (share if window % 3 else 0) // 100

        world = World((fast, fast + slow), limit=limit, ahead=ahead, others=others, headers=headers)
        await world.run(180)
        return world

    world = asyncio.run(run())
    # A third of the windows is ours alone, whatever the others do.
    capacity = min(limit * 6, 50 / (fast + slow / 2) * 180)
    assert world.server.served >= 0.25 * capacity
    # With headers: what was in flight when the others were first noticed, then a few a window.
    # Without: at most what is in flight, once a window.
    assert world.server.refused <= (50 + 19 * 12 if headers else 19 * 50)


async def test_before_the_first_reply_only_few_are_sent() -> None:
    time = Time()
    budget = Budget(clock=Clock(time), sleep=time.sleep)
    waiting = [asyncio.ensure_future(budget.acquire()) for _ in range(20)]
    for _ in range(50):
        await asyncio.sleep(0)
    assert sum(task.done() for task in waiting) == LEARNING
    # One that fails without a reply makes room for one more.
    budget.release(waiting[0].result())
    for _ in range(50):
        await asyncio.sleep(0)
    assert sum(task.done() for task in waiting) == LEARNING + 1
    budget.observe(waiting[1].result(), 100, 98, START + 16)
    for _ in range(50):
        await asyncio.sleep(0)
    assert all(task.done() for task in waiting)


async def test_without_headers_there_is_no_brake() -> None:
    world = World(limit=10**9, headers=False, latency=(0.5, 0.5))
    await world.run(20)
    assert world.server.served > 50 * 2 * 20 * 0.9
    assert world.budget.waited < 2  # all requests together, for the first answers


@pytest.mark.parametrize("cap", [4, 60, 100])
async def test_a_cap_per_minute_is_spread_over_the_windows(cap: int) -> None:
    world = World(limit=5000)
    world.budget.allowance = Allowance(cap)
    await world.run(300)
    assert cap * 4 <= world.server.served <= cap * 5 + 1
    assert max(world.server.by_window.values()) <= cap // 6 + 2


async def ready(time: Time, **more: object) -> tuple[Budget, Ticket]:
    """A budget that has had one good reply: 10 a window, 9 left."""
    budget = Budget(clock=Clock(time), sleep=time.sleep, rng=lambda: 0.0, **more)  # type: ignore[arg-type]
    ticket = await budget.acquire()
    budget.release(ticket)
    budget.observe(ticket, 10, 10, START + 16)
    return budget, ticket


async def acquired_at(time: Time, budget: Budget) -> float:
    await time.run(budget.acquire())
    return time.now - START


async def test_a_refusal_waits_for_the_boundary_then_for_reset() -> None:
    time = Time(START + 4)
    budget, _ = await ready(time)
    ticket = await budget.acquire()
    budget.refused(ticket, limit=10, reset=START + 16)
    assert await acquired_at(time, budget) == pytest.approx(10, abs=0.2)
    again = Ticket(int((START + 10) // 10), 1)
    budget.refused(again, limit=10, reset=START + 26)
    assert await acquired_at(time, budget) == pytest.approx(26, abs=0.2)


async def test_retry_after_is_believed_but_not_without_end() -> None:
    time = Time(START + 4)
    budget, ticket = await ready(time)
    budget.refused(ticket, retry_after=13)
    assert await acquired_at(time, budget) == pytest.approx(17, abs=0.2)
    budget.refused(Ticket(int(time.now // 10), 1), retry_after=10_000)
    assert await acquired_at(time, budget) == pytest.approx(77, abs=0.3)


async def test_news_of_the_old_window_does_not_spend_the_new_one() -> None:
    time = Time(START + 9)
    budget, _ = await ready(time)
    late = [await budget.acquire() for _ in range(3)]
    time.now = START + 10.5
    budget.refused(late[0], limit=10, reset=START + 16)
    budget.observe(late[1], 10, 0, START + 16)
    for ticket in late:
        budget.release(ticket)
    assert await acquired_at(time, budget) == 10.5
    # But if the old request was counted in the new window, its news is news.
    budget.observe(late[2], 10, 0, START + 26)
    assert await acquired_at(time, budget) == pytest.approx(20, abs=0.2)


async def test_others_use_is_believed_at_once() -> None:
    time = Time(START + 1)
    budget, _ = await ready(time)
    ticket = await budget.acquire()
    budget.release(ticket)
    budget.observe(ticket, 10, 1, START + 16)
    assert await acquired_at(time, budget) == 1
    assert await acquired_at(time, budget) == pytest.approx(10, abs=0.2)


async def test_waiters_are_served_in_order_and_may_give_up() -> None:
    time = Time(START + 1)
    budget, _ = await ready(time)
    for _ in range(9):
        await budget.acquire()
    served: list[int] = []

    async def wait(number: int) -> None:
        await budget.acquire()
        served.append(number)

    tasks = [asyncio.ensure_future(wait(number)) for number in range(6)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[3].cancel()
    await time.run(asyncio.gather(*tasks, return_exceptions=True))
    assert served == [1, 2, 4, 5]


async def test_stalled_requests_do_not_stop_the_others() -> None:
    time = Time(START + 1)
    budget, _ = await ready(time)
    for _ in range(30):
        # None of these is ever answered, and yet each window lets some more out.
        await time.run(budget.acquire())
    assert time.now < START + 70


async def test_a_clock_that_is_set_back_does_not_stop_us() -> None:
    time = Time(START + 4)
    budget, ticket = await ready(time)
    budget.refused(ticket, reset=START + 16)
    time.now = START - 7200
    assert await acquired_at(time, budget) == -7200


async def test_figures_for_the_report() -> None:
    world = World(limit=10)
    await world.run(4000, workers=5)
    assert world.budget.requests == pytest.approx(world.server.served, abs=60)
    assert world.budget.refusals == world.server.refused
    assert world.budget.waited > 100
    assert len(world.budget.uses) <= 360
    assert max(use.sent for use in world.budget.uses) >= 9


async def test_each_part_of_a_run_has_its_own_requests_counted() -> None:
    time = Time(START + 4)
    budget, _ = await ready(time)
    before = budget.requests

    async def part(number: int) -> int:
        with spending() as spent:
            await asyncio.gather(*(budget.acquire() for _ in range(number)))
            await asyncio.sleep(0)
            return spent.requests

    assert [*await asyncio.gather(part(3), part(5), part(0))] == [3, 5, 0]
    assert budget.requests == before + 8
