"""What goes on at the same time: bounded, in the right order, and over when it fails."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest

from connector.resources import RESOURCES
from connector.sync.planning import neighbours
from connector.tools.coalesce import Coalescer
from connector.tools.prefetch import concurrently
from connector.tools.priority import PrioritySemaphore
from connector.tools.tasks import overlap, task_group


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


# -- side by side ----------------------------------------------------------------------------


async def test_none_waits_for_the_slowest() -> None:
    slow = asyncio.Event()

    async def read(number: int) -> int:
        if number == 0:
            await slow.wait()
        return number

    found = []
    async for result in concurrently(numbers(20), read, 3):
        found.append(result)
        if len(found) == 19:
            slow.set()
    assert found[-1] == 0
    assert sorted(found) == list(range(20))


async def test_no_more_are_read_than_may_be() -> None:
    reading = most = 0

    async def read(number: int) -> int:
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        await asyncio.sleep(0.001)
        reading -= 1
        return number

    assert sorted([n async for n in concurrently(numbers(30), read, 4)]) == list(range(30))
    assert most == 4


async def test_an_error_while_reading_is_raised_and_ends_it() -> None:
    async def read(number: int) -> int:
        if number == 5:
            raise ValueError("five")
        return number

    with pytest.raises(ValueError, match="five"):
        async for _ in concurrently(numbers(100), read, 3):
            pass
    assert len(asyncio.all_tasks()) == 1


async def test_leaving_early_ends_what_is_being_read() -> None:
    async def read(number: int) -> int:
        await asyncio.sleep(0)
        return number

    results = concurrently(numbers(100), read, 3)
    assert await anext(results) in range(3)
    await results.aclose()
    assert len(asyncio.all_tasks()) == 1


# -- joint -----------------------------------------------------------------------------------


def few(chosen: Sequence[int], item: int) -> bool:
    return len(chosen) < 3 and item % 2 == chosen[0] % 2


async def test_calls_that_wait_are_done_together_in_their_order() -> None:
    groups: list[list[int]] = []

    async def do(items: Sequence[int]) -> int:
        groups.append(list(items))
        await asyncio.sleep(0)
        return sum(items)

    joint = Coalescer(do, few)
    results = await asyncio.gather(*(joint.do(number) for number in range(9)))
    assert groups[0] == [0]  # it waited for nobody
    assert sorted(number for group in groups for number in group) == list(range(9))
    assert all(group == sorted(group) and len({n % 2 for n in group}) == 1 for group in groups)
    assert max(len(group) for group in groups) == 3
    assert results == [next(sum(g) for g in groups if n in g) for n in range(9)]


async def test_what_fails_fails_for_its_group_alone() -> None:
    async def do(items: Sequence[int]) -> int:
        await asyncio.sleep(0)
        if 1 in items:
            raise ValueError("one")
        return 0

    joint = Coalescer(do, few)
    results = await asyncio.gather(*(joint.do(n) for n in range(8)), return_exceptions=True)
    failed = {number for number, result in enumerate(results) if isinstance(result, ValueError)}
    assert 1 in failed
    assert failed <= {1, 3, 5, 7}
    assert results[0] == results[2] == 0


async def test_who_no_longer_waits_is_left_out() -> None:
    done: list[int] = []
    go = asyncio.Event()

    async def do(items: Sequence[int]) -> int:
        await go.wait()
        done.extend(items)
        return 0

    joint = Coalescer(do, few)
    calls = [asyncio.ensure_future(joint.do(n)) for n in (0, 2, 4)]
    await asyncio.sleep(0.01)
    calls[1].cancel()
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(*calls, return_exceptions=True)
    assert done == [0, 4]


class Gated:
    """Sums its items once it is let go."""

    def __init__(self) -> None:
        self.begun: list[list[int]] = []
        self.cancelled: list[list[int]] = []
        self.gates: list[asyncio.Event] = []

    async def __call__(self, items: Sequence[int]) -> int:
        gate = asyncio.Event()
        self.begun.append(list(items))
        self.gates.append(gate)
        try:
            await gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(list(items))
            raise
        return sum(items)


async def led_and_taken(do: Gated, joint: Coalescer[int, int]) -> list[asyncio.Task[int]]:
    """Two calls that are being done as one: who leads the group, and who was taken along."""
    calls = [asyncio.ensure_future(joint.do(number)) for number in range(3)]
    await asyncio.sleep(0.01)
    do.gates[0].set()
    assert await calls[0] == 0
    await asyncio.sleep(0.01)
    assert do.begun == [[0], [1, 2]]
    return calls[1:]


async def test_who_is_cancelled_takes_nobody_along() -> None:
    do = Gated()
    led, taken = await led_and_taken(do, Coalescer(do, lambda chosen, item: True))
    led.cancel()
    await asyncio.wait([led])
    assert led.cancelled()
    do.gates[1].set()
    assert await asyncio.wait_for(taken, 1) == 3
    assert do.cancelled == []


async def test_what_nobody_waits_for_is_cancelled_and_gives_its_turn_back() -> None:
    do = Gated()
    joint = Coalescer(do, lambda chosen, item: True)
    calls = await led_and_taken(do, joint)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    assert do.cancelled == [[1, 2]]
    last = asyncio.ensure_future(joint.do(7))
    await asyncio.sleep(0.01)
    do.gates[2].set()
    assert await asyncio.wait_for(last, 1) == 7


# -- semaphores and task groups --------------------------------------------------------------


async def test_who_needs_most_gets_the_next_place() -> None:
    permits, entered = PrioritySemaphore(1), list[float]()

    async def enter(need: float) -> None:
        await permits.acquire(need)
        entered.append(need)

    await permits.acquire(0)
    waiting = [asyncio.ensure_future(enter(need)) for need in (1, 9, 5)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    for _ in range(3):
        permits.release()
        await asyncio.sleep(0.001)
    assert entered == [5, 1]
    await asyncio.wait_for(permits.acquire(0), 1)  # the permit of who went away is not lost


async def test_who_is_urgent_finds_a_place_kept() -> None:
    permits, entered = PrioritySemaphore(3, reserved=2), list[str]()

    async def enter(name: str, need: float, urgent: bool) -> None:
        await permits.acquire(need, urgent=urgent)
        entered.append(name)

    people = (("a", 1, False), ("b", 9, False), ("c", 0, True), ("d", 5, True), ("e", 7, True))
    waiting = [asyncio.ensure_future(enter(*one)) for one in people]
    await asyncio.sleep(0.001)
    assert entered == ["a", "c", "d"]  # b, who needs most, waits although places are free
    for expected in ("e", None, None, "b"):
        permits.release()
        await asyncio.sleep(0.001)
        assert expected is None or entered[-1] == expected
    assert all(task.done() for task in waiting)
    assert len(entered) == len(people)


async def test_a_task_group_waits_for_all_and_raises_the_first_error() -> None:
    ended: list[int] = []

    async def work(number: int) -> None:
        await asyncio.sleep(0.001 * number)
        if number == 3:
            raise ValueError("three")

    def note(number: int, _: object) -> None:
        ended.append(number)

    async def both(*some: int) -> None:
        async with task_group() as group:
            for number in some:
                task = group.create_task(work(number))
                task.add_done_callback(partial(note, number))

    await both(0, 1, 2)
    assert sorted(ended) == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        await both(3, 500)
    assert sorted(ended) == [0, 1, 2, 3, 500]  # each is told of, also what was cancelled


# -- resources -------------------------------------------------------------------------------


def test_neighbours_that_do_not_need_each_other_go_side_by_side() -> None:
    groups = [[resource.name for resource in group] for group in neighbours.concurrent(RESOURCES)]
    assert list(itertools.chain(*groups)) == [resource.name for resource in RESOURCES]
    assert ["leads", "users"] in groups
    assert ["tags", "segments", "admins"] in groups  # teams refer to admins
    (beside,) = [group for group in groups if "conversations" in group]
    assert {"activity_logs", "macros"} < set(beside)
    assert not {"calls", "tickets", "users"} & set(beside)  # they refer to conversations, or search
    assert ["deleted_conversations"] in groups


# -- work beside other work ------------------------------------------------------------------


async def test_what_is_begun_goes_on_beside_the_block_and_has_ended_when_that_is_left() -> None:
    seen: list[str] = []

    async def work() -> int:
        seen.append("begun")
        await asyncio.sleep(0)
        seen.append("ended")
        return 7

    async with overlap() as beside:
        assert await beside.outcome() is None
        beside.begin(work())
        await asyncio.sleep(0)
        seen.append("block")
        assert await beside.outcome() == 7
        beside.begin(work())
    assert seen == ["begun", "block", "ended", "begun", "ended"]


async def test_an_error_of_the_work_is_raised_and_one_of_the_block_goes_before_it() -> None:
    async def fails() -> None:
        raise ValueError("the work")

    async def block(error: Exception | None) -> None:
        async with overlap() as beside:
            beside.begin(fails())
            if error:
                raise error

    with pytest.raises(ValueError, match="the work"):
        await block(None)
    with pytest.raises(KeyError):
        await block(KeyError("the block"))


async def test_who_is_cancelled_leaves_no_work_behind() -> None:
    ended: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def block() -> None:
        async with overlap() as beside:
            beside.begin(work())
            await asyncio.Event().wait()

    task = asyncio.ensure_future(block())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]
