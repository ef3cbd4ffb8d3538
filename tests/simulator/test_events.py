"""The simulator's events: per contact, by milliseconds, ninety days, and what they move."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from connector.simulator import Simulator, Workspace
from connector.simulator.transport.caller import Caller

NOW = 1_780_000_000
LAG = 60
DAY = 86_400


@pytest.fixture
def simulator() -> Simulator:
    space = Workspace.generate(9, now=NOW, contacts=300, companies=10, conversations=10)
    return Simulator(space, clock=lambda: float(NOW), index_lag=LAG)


def follow(caller: Caller, url: str) -> Any:
    parts = urlsplit(url)
    assert parts.netloc == "api.intercom.io"
    return caller.get(parts.path, **dict(parse_qsl(parts.query)))


def listed(caller: Caller, contact: str, size: int = 50) -> list[Any]:
    page = caller.get("/events", type="user", intercom_user_id=contact, per_page=size)
    events = page["events"]
    while "next" in page["pages"]:
        page = follow(caller, page["pages"]["next"])
        events += page["events"]
    return events


def busiest(simulator: Simulator, group: str = "user") -> str:
    space = simulator.workspace
    known = [id for id in space.events if space.contacts.current[id].group == group]
    return max(known, key=lambda id: len(space.events[id]))


def quiet(simulator: Simulator, group: str) -> str:
    space = simulator.workspace
    items = space.contacts.current.values()
    return next(one.id for one in items if one.group == group and one.id not in space.events)


def test_pages_go_back_in_time_and_lose_nothing(simulator, caller):
    contact = busiest(simulator)
    truth = [one for one in simulator.control.truth("events") if one["contact_id"] == contact]
    expected = [(e["event_name"], e["created_at"]) for e in truth if not e["_hidden"]]
    assert len(expected) > 60
    assert any(one["_hidden"] for one in truth)
    for size in (1, 7, 150):
        events = listed(caller, contact, size)
        assert [(e["event_name"], e["created_at"]) for e in events] == expected[::-1]
    assert {one["id"] for one in events} == {events[0]["user_id"]}


def test_next_is_absent_at_the_end_and_edges_are_milliseconds(simulator, caller):
    contact = busiest(simulator)
    page = caller.get("/events", type="user", intercom_user_id=contact, per_page=2)
    before = int(dict(parse_qsl(urlsplit(page["pages"]["next"]).query))["before"])
    assert before // 1000 == page["events"][-1]["created_at"]
    whole = caller.get("/events", type="user", intercom_user_id=quiet(simulator, "user"))
    assert (whole["events"], whole["pages"]) == ([], {})


def test_since_tells_only_what_is_new(simulator, caller):
    contact = busiest(simulator)
    url = caller.get("/events", type="user", intercom_user_id=contact)["pages"]["since"]
    assert follow(caller, url)["events"] == []
    assert simulator.control.track_event(contact, "new")
    assert follow(caller, url)["events"] == []
    simulator.control.advance(LAG)
    assert [one["event_name"] for one in follow(caller, url)["events"]] == ["new"]


def test_events_past_ninety_days_are_counted_but_not_listed(simulator, caller):
    contact = quiet(simulator, "user")
    simulator.control.track_event(contact, "once", created_at=NOW - 89 * DAY)
    simulator.control.advance(LAG)
    assert len(listed(caller, contact)) == 1
    simulator.control.advance(DAY)
    assert listed(caller, contact) == []
    summary = caller.get("/events", type="user", intercom_user_id=contact, summary="true")
    assert (summary["type"], summary["events"][0]["count"]) == ("event.summary", 1)
    assert summary["events"][0]["first"].endswith(".000Z")
    hidden = [e for e in simulator.control.truth("events") if e["contact_id"] == contact]
    assert [one["_hidden"] for one in hidden] == [True]


def test_one_name_in_one_second_is_one_event(simulator, caller):
    control, contact = simulator.control, quiet(simulator, "lead")
    assert control.track_event(contact, "paid", {"n": 1})
    assert not control.track_event(contact, "paid", {"n": 2})
    assert control.track_event(contact, "read")
    control.advance(1)
    assert control.track_event(contact, "paid")
    control.advance(LAG)
    for size in (1, 50):
        events = listed(caller, contact, size)
        assert sorted(e["event_name"] for e in events) == ["paid", "paid", "read"]
    assert {"n": 1} in [one["metadata"] for one in events]


def test_only_browsers_move_the_contact(simulator, caller):
    control, contact = simulator.control, quiet(simulator, "user")
    before = caller.get(f"/contacts/{contact}")
    control.advance(100)
    control.track_event(contact, "from a server", {f"k{n}": n for n in range(12)})
    assert caller.get(f"/contacts/{contact}") == before
    control.track_event(contact, "from a browser", server_side=False)
    after = caller.get(f"/contacts/{contact}")
    assert after["updated_at"] == after["last_seen_at"] == NOW + 100
    control.advance(LAG)
    first = next(e for e in listed(caller, contact) if e["event_name"] == "from a server")
    assert len(first["metadata"]) == 10


def test_contacts_are_found_by_three_keys_leads_by_one(simulator, caller):
    user = caller.get(f"/contacts/{busiest(simulator)}")
    assert user["email"]
    for name, value in (("user_id", user["external_id"]), ("email", user["email"])):
        page = caller.get("/events", type="user", **{name: value})
        assert page["events"][0]["intercom_user_id"] == user["id"]
    lead = caller.get(f"/contacts/{busiest(simulator, 'lead')}")
    assert listed(caller, lead["id"])
    query = {"type": "user", "user_id": lead["external_id"]}
    assert caller.ask("GET", "/events", **query).status == 404


def test_refusals(simulator, caller):
    contact = busiest(simulator)
    for status, query in (
        (404, {"type": "user", "intercom_user_id": "ffff"}),
        (400, {"type": "lead", "intercom_user_id": contact}),
        (400, {"type": "user"}),
        (400, {"type": "user", "intercom_user_id": contact, "per_page": 151}),
    ):
        assert caller.ask("GET", "/events", **query).status == status


def test_merging_moves_events_and_deleting_takes_them(simulator, caller):
    control = simulator.control
    lead, user = busiest(simulator, "lead"), busiest(simulator, "user")
    expected = {(e["event_name"], e["created_at"]) for id in (lead, user) for e in
                listed(caller, id)}  # fmt: skip
    control.merge_contacts(lead, user)
    assert {(e["event_name"], e["created_at"]) for e in listed(caller, user)} == expected
    query = {"type": "user", "intercom_user_id": lead}
    assert caller.ask("GET", "/events", **query).status == 404
    control.delete_contact(user)
    assert all(one["contact_id"] != user for one in control.truth("events"))


def test_metadata_is_of_every_kind(simulator):
    values = [v for e in simulator.control.truth("events") for v in e["metadata"].values()]
    assert {type(one) for one in values} == {str, int, float, dict, type(None)}
    assert any("amount" in one for one in values if isinstance(one, dict))
    assert any("url" in one for one in values if isinstance(one, dict))
    contacts = {one["contact_id"] for one in simulator.control.truth("events")}
    assert 10 < len(contacts) < 60
