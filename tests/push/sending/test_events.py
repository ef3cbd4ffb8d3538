"""Events: sent once, after their contacts, whatever the order in which they were wished."""

from __future__ import annotations

import random

import pytest

from tests.push.pusher import Pusher, loaded

AT = 1_779_900_000


@pytest.fixture
async def pusher(harness) -> Pusher:
    return await loaded(harness, contacts=30)


def event(name: str = "paid", at: int = AT, **metadata) -> dict:
    return {"event_name": name, "created_at": at, "metadata": metadata}


def sent(pusher: Pusher) -> list[dict]:
    return [one for one in pusher.control.truth("events") if one["event_name"] == "paid"]


async def test_an_event_of_a_known_user_is_done_with_its_202(pusher):
    one = next(c for c in pusher.control.truth("contacts") if c["role"] == "user")
    wish = pusher.wish("events", "create", event(amount=3), external_id=one["external_id"])
    tally = await pusher.push()
    assert (pusher.row(wish)["state"], tally.writes, tally.reads) == ("done", 1, 0)
    [hint] = pusher.harness.query("SELECT * FROM sync_inbox")
    assert (hint["resource"], hint["id"]) == ("events", one["id"])


@pytest.mark.parametrize("wished", [40, pytest.param(10_000, marks=pytest.mark.chaos)])
async def test_events_wished_before_their_users_arrive_once(pusher, wished):
    numbers = list(range(wished))
    random.Random(3).shuffle(numbers)
    for number in numbers:
        pusher.wish("events", "create", event(at=AT + number), external_id=f"e-{number}")
    for number in numbers:
        pusher.wish("contacts", "upsert", {"name": "E"}, external_id=f"e-{number}")
    await pusher.push()
    assert pusher.states() == {"done": 2 * wished}
    assert sorted(one["created_at"] for one in sent(pusher)) == [AT + n for n in range(wished)]


async def test_an_event_of_nobody_is_tried_again_later_and_then_fails(pusher):
    wish = pusher.wish("events", "create", event(), external_id="nobody")
    for seconds in (60, 600, 3600):
        await pusher.push()
        row = pusher.row(wish)
        assert (row["state"], row["error_code"]) == ("waiting", "not_found")
        put_off = (row["not_before"] - row["sent_at"]).total_seconds()
        assert put_off == pytest.approx(seconds, abs=5)
        pusher.age(seconds + 1)
    await pusher.push()
    assert (pusher.row(wish)["state"], pusher.row(wish)["error_code"]) == ("failed", "not_found")


async def test_a_missing_user_is_created_where_that_is_asked_for(pusher):
    wish = pusher.wish("events", "create", event(), external_id="nobody")
    await pusher.push(create_missing=True)
    assert pusher.row(wish)["state"] == "done"
    assert len(pusher.by(external_id="nobody")) == 1
    assert len(sent(pusher)) == 1


async def test_a_different_event_of_the_same_second_fails(pusher):
    one = next(c for c in pusher.control.truth("contacts") if c["role"] == "user")
    key = one["external_id"]
    first = pusher.wish("events", "create", event(amount=1), external_id=key)
    same = pusher.wish("events", "create", event(amount=1), external_id=key)
    other = pusher.wish("events", "create", event(amount=2), external_id=key)
    later = pusher.wish("events", "create", event(at=AT + 1, amount=2), external_id=key)
    await pusher.push()
    states = [
        (pusher.row(w)["state"], pusher.row(w)["error_code"]) for w in (first, same, other, later)
    ]
    assert states == [
        ("done", None),
        ("done", "replaced"),
        ("failed", "same second"),
        ("done", None),
    ]
    assert len(sent(pusher)) == 2


async def test_a_lead_has_its_events_by_its_id(pusher):
    lead = next(c for c in pusher.control.truth("contacts") if c["role"] == "lead")
    wish = pusher.wish("events", "create", event(), object_id=lead["id"])
    await pusher.push()
    assert pusher.row(wish)["state"] == "done"
