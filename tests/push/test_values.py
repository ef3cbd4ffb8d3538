"""When a value that is shown is the one that was wished."""

from __future__ import annotations

import pytest

from connector.intercom.budget import Budget
from connector.intercom.clock import Clock
from connector.push.kinds import CONTACTS, Type
from connector.push.kinds.values import differences, same, same_attribute
from connector.push.outbox.joining import merged


@pytest.mark.parametrize(
    ("kind", "wished", "shown"),
    [
        (Type.TEXT, "Ben & Jerry", "Ben &amp; Jerry"),
        (Type.TEXT, "O'Brien", "O&#39;Brien"),
        (Type.TEXT, None, ""),
        (Type.EMAIL, "Ada@Example.com ", "ada@example.com"),
        (Type.PHONE, "+49 (30) 12-34", "+49301234"),
        (Type.INSTANT, 1_780_000_000, 1_780_000_000.7),
        (Type.INSTANT, 1_780_000_000, "2026-05-28T20:26:40Z"),
        (Type.ID, "42", 42),
        (Type.ID, None, 0),
        (Type.NUMBER, 12, 12.0),
        (Type.FLAG, False, False),
    ],
)
def test_these_are_the_same(kind, wished, shown):
    assert same(kind, wished, shown)


@pytest.mark.parametrize(
    ("kind", "wished", "shown"),
    [
        (Type.TEXT, "Ada", "ada"),
        (Type.TEXT, "Ada", None),
        (Type.PHONE, "+4930", "4930"),
        (Type.INSTANT, 1, 2),
        (Type.ID, "42", "43"),
        (Type.FLAG, True, False),
        (Type.INTEGER, 12, None),
    ],
)
def test_these_differ(kind, wished, shown):
    assert not same(kind, wished, shown)


@pytest.mark.parametrize(
    ("wished", "shown", "alike"),
    [
        ("gold", "gold", True),
        ("12", 12, False),
        (12, 12.0, True),
        (True, 1, False),
        (None, None, True),
        ("x", None, False),
        (1_780_000_000, "2026-05-28T20:26:40Z", True),
        ({"a": 1}, {"a": 1}, True),
    ],
)
def test_custom_attributes_are_compared_whatever_their_type(wished, shown, alike):
    assert same_attribute(wished, shown) is alike


def test_differences_name_the_field_and_both_values():
    body = {"name": "A", "avatar": "https://a/1", "custom_attributes": {"plan": "gold"}}
    record = {"name": "B", "avatar": {"image_url": "https://a/1"}, "custom_attributes": {}}
    told = [str(one) for one in differences(CONTACTS, body, record)]
    assert told == [
        "name is 'B', wished 'A'",
        "custom_attributes.plan is nothing, wished 'gold'",
    ]


def test_of_two_bodies_the_newer_has_the_last_word_field_by_field():
    old = {
        "name": "A",
        "phone": "1",
        "custom_attributes": {"x": 1, "y": 1},
        "tags": {"add": ["a", "b"]},
        "companies": [{"company_id": "1"}, {"company_id": "2"}],
    }
    new = {
        "name": "B",
        "custom_attributes": {"y": 2},
        "tags": {"remove": ["a"], "add": ["c"]},
        "companies": [{"company_id": "2", "remove": True}],
    }
    assert merged(old, new) == {
        "name": "B",
        "phone": "1",
        "custom_attributes": {"x": 1, "y": 2},
        "tags": {"add": ["b", "c"], "remove": ["a"]},
        "companies": [{"company_id": "1"}, {"company_id": "2", "remove": True}],
    }


async def test_half_of_the_budget_is_left_to_others_who_are_at_work():
    now = 1_780_000_000.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    clock = Clock(lambda: now)
    budget = Budget(clock=clock, sleep=sleep, rng=lambda: 0.0, yields=True)
    sent = list[float]()
    for number in range(2_000):  # others have sent 300 by now, in each window
        ticket = await budget.acquire()
        sent.append(now // 10)
        used = sum(1 for window in sent if window == now // 10)
        budget.observe(ticket, 1_000, 1_000 - used - 300, (now // 10 + 1) * 10 + 6, now)
        budget.release(ticket)
        now += 0.001 if number else 0.0
    windows = [sent.count(window) for window in sorted(set(sent))]
    assert max(windows[1:]) <= 500
    assert len(windows) >= 4
