"""Bytes in flight: never more than the total and one reply, nobody waits for ever, all arrives."""

from __future__ import annotations

import asyncio
import gc
import random
from typing import Any

import pytest

from connector.intercom.memory import Memory, Share, listing
from connector.resources import BY_NAME
from connector.simulator import SimulatorTransport, Workspace
from connector.simulator.faults.bulk import Swell
from connector.sync.fetch_by_id import read_in_batches
from connector.tools.ids import Ids
from tests.support.harness import NOW, Harness
from tests.support.truth.compared import differences


class Watched(Memory):
    """Also counts what waited for room, apart from what nobody lets wait."""

    def __init__(self, total: int, reply: int) -> None:
        super().__init__(total, reply)
        self.bounded = self.most = self.largest = self.waits = 0

    def _give(self, share: Share, number: int) -> None:
        super()._give(share, number)
        if not share.urgent:
            self.bounded += number
            self.most = max(self.most, self.bounded)
            self.largest = max(self.largest, share.held)

    def _release(self, share: Share) -> None:
        self.bounded -= 0 if share.urgent else share.held
        super()._release(share)

    async def _take(self, share: Share, number: int, queue: Any) -> None:
        self.waits += not self._fits(share, number)
        await super()._take(share, number, queue)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def begun(memory: Memory, name: str, size: int) -> Share:
    """A share of a listing whose replies are known to be so large."""
    share = await memory.begin(name)
    await share.grow(size)
    return share


async def test_what_does_not_fit_waits_until_something_is_given_back() -> None:
    memory = Memory(100)
    first = await begun(memory, "a", 60)
    first.read(60)
    waiting = asyncio.ensure_future(begun(memory, "a", 60))
    await settle()
    assert not waiting.done()
    assert memory.short.is_set()
    first.release()
    await settle()
    assert waiting.done()
    assert not memory.short.is_set()
    assert (memory.in_use, memory.peak) == (60, 60)


async def test_of_an_unknown_listing_one_reply_is_awaited_first() -> None:
    memory = Memory(1_000_000_000)
    first = await memory.begin("a")
    others = [asyncio.ensure_future(memory.begin("a")) for _ in range(5)]
    other = await memory.begin("b")
    await settle()
    assert not any(task.done() for task in others)
    first.release()  # it failed: the next one is the first
    await settle()
    assert sum(task.done() for task in others) == 1
    next(task for task in others if task.done()).result().read(10)
    await settle()
    assert all(task.done() for task in others)
    other.release()


async def test_a_refusal_is_an_answer_too() -> None:
    memory = Memory(100)
    first = await memory.begin("a")
    others = [asyncio.ensure_future(memory.begin("a")) for _ in range(5)]
    await settle()
    assert not any(one.done() for one in others)
    first.refused()
    first.release()
    await settle()
    assert all(one.done() for one in others)


async def test_many_that_do_not_exist_are_asked_for_side_by_side(harness: Harness) -> None:
    harness.simulate(Workspace.generate(1, contacts=20, now=int(NOW)), rate_limit=1_667)
    now = most = 0

    async def latency(request: Any) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await settle()
        now -= 1

    client = harness.client(transport=SimulatorTransport(harness.simulator, latency=latency))
    async with client:
        ids = [f"{n:024x}" for n in range(200)]
        batches = read_in_batches(client, BY_NAME["users"], ids, 50)
        gone = [key async for found in batches for key in found.gone]
    assert len(gone) == 200
    assert most > 15


async def test_one_reply_larger_than_everything_passes_alone() -> None:
    memory = Memory(100)
    small = [await begun(memory, name, 40) for name in "ab"]
    large = asyncio.ensure_future(small[0].grow(500))
    await settle()
    assert large.done()  # it was begun first, and no one is about to give anything back
    also = asyncio.ensure_future(small[1].grow(500))
    small[0].read(500)
    await settle()
    assert not also.done()  # not two of them
    small[0].release()
    await settle()
    assert also.done()
    small[1].read(500)
    small[1].release()
    assert memory.in_use == 0
    assert memory.peak == 540


async def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    memory = Memory(100)
    first = await begun(memory, "a", 90)
    first.read(90)
    waiting = asyncio.ensure_future(memory.begin("a"))
    await settle()
    waiting.cancel()
    await settle()
    assert not memory.short.is_set()
    first.release()
    first.release()
    assert memory.in_use == 0
    assert (await memory.begin("a")).held > 0


async def test_a_share_that_is_lost_is_given_back() -> None:
    memory = Memory(100)
    share = await begun(memory, "a", 70)
    share.read(70)
    del share
    gc.collect()
    await settle()
    assert memory.in_use == 0


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_comes_the_bound_holds_and_everybody_ends(seed: int) -> None:
    dice = random.Random(seed)
    memory = Watched(1_000, 100)
    ended = 0

    async def one(name: str) -> None:
        nonlocal ended
        share = await memory.begin(name)
        try:
            size = dice.choice([5, 50, 200, 400, dice.choice([5, 3_000])])
            for step in range(size // 4, size, max(size // 4, 1)):
                await share.grow(step)
                await asyncio.sleep(0)
            if dice.random() < 0.1:
                return  # cut off
            share.read(size)
            for _ in range(dice.randint(0, 5)):
                await asyncio.sleep(0)
        finally:
            share.release()
            ended += 1

    memory.learn("a", 1, 50)
    tasks = [asyncio.ensure_future(one(dice.choice("abc"))) for _ in range(200)]
    for task in dice.sample(tasks, 10):
        task.cancel()
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
    assert memory.in_use == 0
    assert memory.most <= memory.total + max(memory.largest, 3_000)
    assert not memory.short.is_set()


def test_listings_are_told_by_their_paths_without_ids() -> None:
    assert listing("GET", "/conversations/12") == "GET /conversations/{id}"
    assert listing("GET", "/contacts/5f3a/notes") == "GET /contacts/{id}/notes"
    assert listing("POST", "/contacts/search") == "POST /contacts/search"


def test_a_page_is_asked_for_with_as_many_records_as_fit() -> None:
    memory = Memory(reply=1_000)
    assert memory.per_page("a", 150) == 150
    memory.learn("a", 10, 1_000)
    assert memory.per_page("a", 150) == 10
    memory.learn("a", 1, 5_000)
    assert memory.per_page("a", 150) == 1
    for _ in range(30):
        memory.learn("a", 10, 50)
    assert memory.per_page("a", 150) > 100


def test_packed_ids_come_out_as_they_went_in() -> None:
    ids = Ids()
    ids.add(["a", "b\n", "\ud800"])
    ids.add([])
    ids.add(str(n) for n in range(3))
    assert [*ids] == ["a", "b\n", "\ud800", "0", "1", "2"]
    assert len(ids) == 6


# -- readings ---------------------------------------------------------------------------------


def space(**sizes: Any) -> Workspace:
    given = {"contacts": 200, "companies": 40, "conversations": 40, "events": 300, "tickets": 40}
    return Workspace.generate(7, now=int(NOW), **(given | sizes))


async def sync(harness: Harness, memory: Memory, **options: Any) -> None:
    outcome = await harness.sync(harness.client(memory=memory), **options)
    assert outcome.exit_code == 0, outcome.error


@pytest.mark.sampled(1)
@pytest.mark.parametrize("total", [1, 60_000])
async def test_every_reading_ends_in_the_truth_within_the_bound(
    harness: Harness, total: int
) -> None:
    harness.simulate(space())
    for night in range(3):
        memory = Watched(total, 20_000)
        await sync(harness, memory, full=night == 2)
        assert differences(harness) == []
        assert memory.waits > 5
        assert memory.most <= total + memory.largest
        assert memory.bounded == 0
        harness.control.change(fraction=0.2, seed=night)
        harness.pass_time(90_000)


PARTS = "conversation_parts.conversation_parts"
LARGE = [
    Swell("GET", r"/conversations/\d+", parts=PARTS, number=60, length=2_000),
    Swell("POST", "/tickets/search", "tickets", parts="ticket_parts.ticket_parts", number=40),
    Swell("GET", "/companies/scroll", "data", "notes_text", 30_000),
    Swell("GET", "/macros", "data", length=40_000),
    Swell("GET", "/articles", "data", length=40_000),
    Swell("POST", "/contacts/search", "data", "about", 20_000),
]


async def test_large_records_are_read_in_small_pages_and_written_in_small_batches(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.sync.writing.writer.MOST_BYTES", 300_000)
    for module in ("resource_pass", "readings.by_id"):
        monkeypatch.setattr(f"connector.sync.{module}.BATCH_BYTES", 200_000)
    harness.simulate(space(macros=60, articles=60), swells=LARGE)
    memory = Watched(1_000_000, 400_000)
    await sync(harness, memory)
    assert memory.most <= memory.total + memory.largest
    # Numbered pages and the scroll have the size that Intercom gives them.
    assert memory.largest < 4_100_000
    assert memory.bounded == 0
    for statement, number in (
        ("SELECT min(n), max(n), count(*) AS all FROM (SELECT count(*) AS n FROM"
         " conversation_parts WHERE length(body) = 2000 GROUP BY conversation_id) c", 60),
        ("SELECT min(n), max(n), count(*) AS all FROM (SELECT count(*) AS n FROM"
         " ticket_parts WHERE length(body) = 5000 GROUP BY ticket_id) c", 40),
    ):  # fmt: skip
        assert harness.query(statement) == [{"min": number, "max": number, "all": 40}]
    for table, column, length in (
        ("macros", "body", 40_000),
        ("articles", "body", 40_000),
        ("companies", "extra ->> 'notes_text'", 30_000),
        ("contacts", "extra ->> 'about'", 20_000),
    ):
        wrong = f"SELECT count(*) AS n FROM {table}_live WHERE length({column}) <> {length}"
        assert harness.query(wrong) == [{"n": 0}], table


async def test_a_contact_with_very_many_events_is_written_in_pieces(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.simulate(space(events=0, conversations=5, tickets=0))
    contact = harness.control.truth("contacts")[0]["id"]
    for n in range(700):
        harness.control.track_event(contact, f"event {n}", metadata={"text": "x" * 100})
    harness.pass_time(1_000)
    monkeypatch.setattr("connector.sync.readings.per_contact.PIECE", 20_000)
    memory = Watched(60_000, 20_000)
    await sync(harness, memory)
    assert memory.most <= memory.total + memory.largest
    assert harness.query("SELECT count(*) AS n FROM events") == [{"n": 700}]
    assert differences(harness) == []


async def test_the_members_of_a_large_segment_are_encoded_in_pieces(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.warehouse.encode.encoder.PIECE", 7)
    harness.simulate(space(conversations=5, tickets=0, segments=2))
    await sync(harness, Watched(60_000, 20_000))
    assert differences(harness) == []
    members = harness.members()
    assert min(map(len, members.values())) > 30
    harness.control.change(fraction=0.3, seed=1)
    harness.pass_time(90_000)
    await sync(harness, Watched(60_000, 20_000))
    assert differences(harness) == []
