"""The simulator's searches: days and seconds, tokens, limits, and what is refused."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from connector.simulator import Simulator, Workspace
from connector.simulator.encoding import decode
from connector.simulator.transport.caller import Caller, both, either, where

NOW = 1_780_000_000
ZONE = ZoneInfo("America/New_York")


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    space = Workspace.generate(seed=7, contacts=700, companies=60, conversations=150, now=NOW)
    return Simulator(space, clock=lambda: float(NOW))


@pytest.fixture
def stable(simulator) -> Caller:
    return Caller(simulator)


@pytest.fixture
def preview(simulator) -> Caller:
    return Caller(simulator, "Preview")


def contacts(caller: Caller) -> list[dict]:
    return [decode(item.body) for item in caller.simulator.workspace.contacts.current.values()]


def midnight(moment: int, days: int = 0) -> int:
    local = datetime.fromtimestamp(moment, ZONE)
    day = datetime(local.year, local.month, local.day, tzinfo=ZONE).toordinal() + days
    date = datetime.fromordinal(day)
    return int(date.replace(tzinfo=ZONE).timestamp())


def refusal(caller: Caller, kind: str, body: dict) -> tuple[int, str, str]:
    response = caller.ask("POST", f"/{kind}/search", body)
    error = decode(response.body)["errors"][0]
    return response.status, error["code"], error["message"]


MOMENT = NOW - 200 * 86_400 + 12_345


@pytest.mark.parametrize("field", ["updated_at", "created_at"])
@pytest.mark.parametrize("as_text", [False, True])
def test_contacts_are_matched_by_the_workspaces_day(stable, field, as_text):
    value = str(MOMENT) if as_text else MOMENT
    start, end = midnight(MOMENT), midnight(MOMENT, 1)
    everybody = contacts(stable)
    for operator, test in {
        ">": lambda at: at >= end,
        "<": lambda at: at < start,
        "=": lambda at: start <= at < end,
    }.items():
        expected = {one["id"] for one in everybody if test(one[field])}
        assert set(stable.found("contacts", where(field, operator, value))) == expected


def test_a_day_of_daylight_saving_has_23_hours():
    space = Workspace.generate(contacts=1, companies=0, conversations=0, now=NOW)
    simulator = Simulator(space, clock=lambda: float(NOW), index_lag=0)
    noon = int(datetime(2026, 3, 8, 12, tzinfo=ZONE).timestamp())
    last = int(datetime(2026, 3, 9, tzinfo=ZONE).timestamp())
    ids = [simulator.control.create_contact(updated_at=last + shift) for shift in (-1, 0)]
    assert Caller(simulator).found("contacts", where("updated_at", "=", noon)) == ids[:1]


def test_the_day_moves_with_the_timezone():
    space = Workspace.generate(contacts=1, companies=0, conversations=0, now=NOW)
    simulator = Simulator(space, clock=lambda: float(NOW), index_lag=0)
    caller = Caller(simulator)
    id = simulator.control.create_contact(updated_at=midnight(MOMENT) - 60)
    assert id not in caller.found("contacts", where("updated_at", "=", MOMENT))
    simulator.control.set_timezone("America/Los_Angeles")
    assert id not in caller.found("contacts", where("updated_at", "=", MOMENT))
    simulator.control.set_timezone("Asia/Tokyo")
    assert id in caller.found("contacts", where("updated_at", "=", midnight(MOMENT) - 120))


def test_preview_matches_contacts_by_the_second(preview):
    everybody = contacts(preview)
    second = sorted(one["updated_at"] for one in everybody)[350]
    for operator, test in {
        ">": lambda at: at > second,
        "<": lambda at: at < second,
        "=": lambda at: at == second,
        ">=": lambda at: at >= second,
        "<=": lambda at: at <= second,
        "!=": lambda at: at != second,
    }.items():
        expected = {one["id"] for one in everybody if test(one["updated_at"])}
        assert set(preview.found("contacts", where("updated_at", operator, second))) == expected


def test_unequal_on_preview_finds_contacts_without_the_date(preview):
    found = set(preview.found("contacts", where("last_seen_at", "!=", MOMENT)))
    assert {one["id"] for one in contacts(preview) if one["last_seen_at"] is None} <= found


@pytest.mark.parametrize("operator", [">=", "<=", "!=", "IN", "NIN"])
def test_stable_contacts_refuse_other_operators_on_dates(stable, operator):
    query = {"query": where("updated_at", operator, MOMENT)}
    assert refusal(stable, "contacts", query)[:2] == (400, "parameter_invalid")


@pytest.mark.parametrize("caller", ["stable", "preview"])
def test_milliseconds_find_nothing_and_say_nothing(caller, request):
    caller = request.getfixturevalue(caller)
    for operator in (">", "<", "="):
        assert caller.found("contacts", where("updated_at", operator, MOMENT * 1000)) == []


def test_the_hole_around_midnight():
    space = Workspace.generate(contacts=1, companies=0, conversations=0, now=NOW)
    simulator = Simulator(space, clock=lambda: float(NOW), index_lag=0, midnight_hole=120)
    edge = midnight(MOMENT)
    hidden = simulator.control.create_contact(updated_at=edge + 30)
    caller = Caller(simulator)
    since = either(where("updated_at", ">", MOMENT), where("updated_at", "=", MOMENT))
    assert hidden not in caller.found("contacts", since)
    assert hidden in caller.found("contacts", where("updated_at", ">", MOMENT - 2 * 86_400))


def test_bounds_of_conversations_are_exact_seconds_and_exclusive(stable):
    items = list(stable.simulator.workspace.conversations.current.values())
    second = sorted(item.updated_at for item in items)[75]
    for operator, test in {
        ">": lambda at: at > second,
        "<": lambda at: at < second,
        "=": lambda at: at == second,
        ">=": lambda at: at >= second,
        "<=": lambda at: at <= second,
    }.items():
        expected = {item.id for item in items if test(item.updated_at)}
        found = stable.found("conversations", where("updated_at", operator, second))
        assert set(found) == expected


def test_bounds_of_conversations_can_be_made_inclusive():
    space = Workspace.generate(contacts=5, companies=0, conversations=50, now=NOW)
    caller = Caller(Simulator(space, clock=lambda: float(NOW), inclusive=True))
    second = next(iter(space.conversations.current.values())).updated_at
    at = {item.id for item in space.conversations.current.values() if item.updated_at == second}
    for operator in (">", "<"):
        assert at <= set(caller.found("conversations", where("updated_at", operator, second)))


@pytest.mark.parametrize("order", ["ascending", "descending"])
@pytest.mark.parametrize("field", ["updated_at", "created_at", "id"])
@pytest.mark.parametrize("kind", ["contacts", "conversations"])
def test_pages_follow_one_another_without_gap_or_repeat(stable, kind, field, order):
    query = where("created_at", ">", 0)
    pages = list(stable.search(kind, query, sort=field, order=order, size=37))
    key = "data" if kind == "contacts" else "conversations"
    records = [one for page in pages for one in page[key]]
    total = len(stable.simulator.workspace.shelf(kind))
    assert len(records) == len({one["id"] for one in records}) == total
    values = [
        int(one[field], 16 if kind == "contacts" else 10) if field == "id" else one[field]
        for one in records
    ]
    assert values == sorted(values, reverse=order == "descending")
    assert all(page["total_count"] == total for page in pages)
    assert all(page["pages"]["total_pages"] == -(-total // 37) for page in pages)
    assert [page["pages"]["page"] for page in pages] == list(range(1, len(pages) + 1))
    assert "next" not in pages[-1]["pages"]


def test_many_contacts_share_one_second_and_more_than_a_page():
    space = Workspace.generate(contacts=3000, companies=0, conversations=0, now=NOW)
    counts: dict[int, int] = {}
    for item in space.contacts.current.values():
        counts[item.updated_at] = counts.get(item.updated_at, 0) + 1
    second, most = max(counts.items(), key=lambda pair: pair[1])
    assert most > 40
    caller = Caller(Simulator(space, clock=lambda: float(NOW)), "Preview")
    found = caller.found("contacts", where("updated_at", "=", second), sort="updated_at", size=20)
    assert len(set(found)) == len(found) == most


def test_alternatives_over_one_date_are_a_union(stable):
    query = either(where("updated_at", ">", MOMENT), where("updated_at", "=", MOMENT))
    start = midnight(MOMENT)
    expected = {one["id"] for one in contacts(stable) if one["updated_at"] >= start}
    assert set(stable.found("contacts", query)) == expected


def test_role_and_two_ranges(stable):
    query = both(
        where("role", "=", "lead"),
        where("created_at", "<", NOW - 100 * 86_400),
        either(where("updated_at", ">", MOMENT), where("updated_at", "=", MOMENT)),
    )
    start, end = midnight(MOMENT), midnight(NOW - 100 * 86_400)
    expected = {
        one["id"]
        for one in contacts(stable)
        if one["role"] == "lead" and one["created_at"] < end and one["updated_at"] >= start
    }
    for sort in ("updated_at", "created_at", None):
        assert set(stable.found("contacts", query, sort=sort)) == expected
    assert expected


@pytest.mark.parametrize(
    ("query", "test"),
    [
        (where("email", "~", "PERSON1"), lambda c: "person1" in (c["email"] or "").lower()),
        (where("email", "^", "shared"), lambda c: (c["email"] or "").startswith("shared")),
        (where("email_domain", "=", "acme.example"), lambda c: c["email_domain"] == "acme.example"),
        (where("email", "=", None), lambda c: c["email"] is None),
        (where("name", "!=", None), lambda c: c["name"] is not None),
        (where("role", "IN", ["lead", "user"]), lambda c: True),
        (where("unsubscribed_from_emails", "=", True), lambda c: c["unsubscribed_from_emails"]),
        (where("location.city", "=", "Kraków"), lambda c: c["location"]["city"] == "Kraków"),
        (
            where("custom_attributes.seats", ">=", 5),
            lambda c: c["custom_attributes"].get("seats", -1) >= 5,
        ),
    ],
)
def test_other_fields(stable, query, test):
    expected = {one["id"] for one in contacts(stable) if test(one)}
    assert set(stable.found("contacts", query)) == expected
    assert expected


def test_tags_are_searched_by_id(stable):
    held = {
        item.id: {tag.id for tag in item.owned.tags}
        for item in stable.simulator.workspace.contacts.current.values()
    }
    tag = next(iter(stable.simulator.workspace.tags))
    found = stable.found("contacts", where("tag_id", "=", tag))
    assert set(found) == {id for id, tags in held.items() if tag in tags}
    query = {"query": where("tag_id", "IN", [tag])}
    assert refusal(stable, "contacts", query)[0] == 400


def test_bodies_are_matched_by_word(stable):
    one = stable.found("conversations", where("source.body", "=", "support"))
    assert one
    assert stable.found("conversations", where("source.body", "=", "need support")) == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"query": where("company_id", "=", "1")}, "invalid_field"),
        ({"query": where("updated_at", "~~", 1)}, "parameter_invalid"),
        ({"query": where("updated_at", ">", "yesterday")}, "parameter_invalid"),
        ({"query": where("role", "=", "visitor")}, "parameter_invalid"),
        ({"query": where("name", ">", "a")}, "parameter_invalid"),
        ({"query": both(*[where("name", "=", "x")] * 16)}, "parameter_invalid"),
        ({"query": both(either(both(where("name", "=", "x"))))}, "parameter_invalid"),
        ({"query": both()}, "parameter_invalid"),
        ({}, "parameter_not_found"),
        (
            {"query": where("id", "=", "x"), "sort": {"field": "updated_at", "order": "desc"}},
            "invalid_sort_order",
        ),
        ({"query": where("id", "=", "x"), "sort": {"field": "shoe"}}, "invalid_sort_field"),
        (
            {"query": where("id", "=", "x"), "pagination": {"starting_after": "rubbish"}},
            "client_error",
        ),
    ],
)
def test_what_is_refused(stable, body, code):
    assert refusal(stable, "contacts", body)[:2] == (400, code)


@pytest.mark.parametrize("path", ["/contacts", "/conversations"])
def test_a_page_of_more_than_150_is_refused(stable, path):
    response = stable.ask("GET", path, per_page=151)
    assert decode(response.body)["errors"][0]["message"] == "Per Page is too big"
    body = {"query": where("created_at", ">", 0), "pagination": {"per_page": 151}}
    assert stable.ask("POST", f"{path}/search", body).status == 400


def test_default_sizes_and_orders(stable):
    listed = stable.get("/contacts")
    assert (listed["type"], listed["pages"]["per_page"], len(listed["data"])) == ("list", 10, 10)
    ids = [one["id"] for one in stable.listed("/contacts")]
    assert ids == sorted(ids)
    found = stable.post("/contacts/search", {"query": where("created_at", ">", 0)})
    assert [one["id"] for one in found["data"]] == ids[:50]
    talks = stable.get("/conversations")
    assert (talks["type"], len(talks["conversations"])) == ("conversation.list", 20)
    times = [one["updated_at"] for one in stable.listed("/conversations", "conversations")]
    assert times == sorted(times, reverse=True)


def test_a_sort_without_an_order_descends(stable):
    query = {"query": where("created_at", ">", 0), "sort": {"field": "updated_at"}}
    times = [one["updated_at"] for one in stable.post("/contacts/search", query)["data"]]
    assert times == sorted(times, reverse=True)


def test_a_token_is_a_position_not_an_offset():
    space = Workspace.generate(contacts=100, companies=0, conversations=0, now=NOW)
    simulator = Simulator(space, clock=lambda: float(NOW), index_lag=0)
    caller = Caller(simulator)
    body = {
        "query": where("created_at", ">", 0),
        "sort": {"field": "updated_at", "order": "ascending"},
        "pagination": {"per_page": 10},
    }
    first = caller.post("/contacts/search", body)
    moved = first["data"][0]["id"]
    simulator.control.update_contact(moved, name="moved")
    body["pagination"]["starting_after"] = first["pages"]["next"]["starting_after"]
    second = caller.post("/contacts/search", body)
    # An offset would skip the record that slid into the place of the one that moved away.
    times = sorted(item.updated_at for item in space.contacts.current.values())
    assert [one["updated_at"] for one in second["data"]] == times[9:19]
