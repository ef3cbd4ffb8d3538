"""Generates events: a few contacts with very many, most with none; knows no lists and no pages."""

from __future__ import annotations

from bisect import bisect_left
from random import Random

from connector.simulator.encoding import render
from connector.simulator.records.workspace import Event, Record, Workspace
from connector.simulator.times import DAY

# Events older than this can be counted but no longer listed.
LISTED_DAYS = 90
NAMES = (
    "invited-friend", "ordered-item", "logged-in", "viewed page: /preis?a=b", "updated-plan",
    "Größe geändert", "watched 🎬", "a",
)  # fmt: skip


def fill(space: Workspace, random: Random, count: int) -> None:
    """Put events into the workspace, on one contact in eight."""
    contacts = [item.id for item in space.contacts.current.values()]
    if not contacts or not count:
        return
    active = random.sample(contacts, max(1, len(contacts) // 8))
    drawn: dict[str, list[Event]] = {}
    for number in range(count):
        # The cube piles them up: the busiest contact has many pages of them.
        contact = active[int(len(active) * random.random() ** 3)]
        drawn.setdefault(contact, []).append(_event(space, random, number))
    space.events = {contact: unique(events) for contact, events in drawn.items()}


def unique(events: list[Event]) -> list[Event]:
    """The events oldest first; of those with the same name in the same second only the first."""
    known: set[tuple[str, int]] = set()
    kept: list[Event] = []
    for event in sorted(events, key=lambda event: event.ms):
        if (event.name, event.created_at) not in known:
            known.add((event.name, event.created_at))
            if kept and kept[-1].ms >= event.ms and event.ms % 1000 < 999:
                # Pages are cut by milliseconds, so no two may share one.
                event = event._replace(ms=kept[-1].ms + 1)
            kept.append(event)
    return kept


def place(events: list[Event], event: Event) -> bool:
    """Put one more in its place, unless Intercom takes it for one it knows."""
    start = bisect_left(events, event.created_at * 1000, key=lambda one: one.ms)
    for known in events[start:]:
        if known.created_at != event.created_at:
            break
        if known.name == event.name:
            return False
    events.insert(bisect_left(events, event.ms, key=lambda one: one.ms), event)
    return True


def metadata(random: Random, number: int) -> Record:
    """What an application tells about an event: every kind of value Intercom documents, and more.

    Nested objects are documented as unsupported, and yet applications send them.
    """
    kind = number % 8
    if kind < 3:
        return {}
    record: Record = {"item": f"Nº {random.randrange(10**4)} ✓"}
    if kind == 4:
        record["count"] = random.choice([0, -1, 2.5, 10**15])
        record["order_date"] = random.randrange(10**9, 2 * 10**9)
    elif kind == 5:
        record["page"] = "https://example.com/a?b=c&d=ü"
        record["order_number"] = {"value": "3434-3434", "url": "https://example.org/orders/3434"}
    elif kind == 6:
        record["price"] = {"currency": "eur", "amount": random.randrange(10**6)}
        record["stripe_customer"] = "cus_42424242424"
    elif kind == 7:
        record["cart"] = {"lines": [{"sku": "A-1", "n": 2}, {"sku": None}], "gift": True, "": ""}
        record["empty"] = None
    return record


def _event(space: Workspace, random: Random, number: int) -> Event:
    # Every fifth is too old to be listed.
    days = LISTED_DAYS + random.random() * 200 if number % 5 == 0 else random.random() * LISTED_DAYS
    ms = (space.now - 900) * 1000 - int(days * DAY * 1000)
    name = NAMES[int(len(NAMES) * random.random() ** 2)]
    return Event(ms, name, render(metadata(random, number)), 0.0)
