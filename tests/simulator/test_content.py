"""The simulator's articles, news, macros, calls, logs and catalogues, and a day that moves all."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from connector.simulator import Simulator, Workspace
from connector.simulator.transport.caller import Caller, where

NOW = 1_780_000_000


def make() -> Simulator:
    space = Workspace.generate(
        6,
        now=NOW,
        contacts=300,
        companies=20,
        conversations=40,
        articles=120,
        macros=170,
        calls=60,
        activity_logs=90,
    )
    return Simulator(space, clock=lambda: float(NOW), index_lag=60, signed_urls=False)


@pytest.fixture
def simulator() -> Simulator:
    return make()


def paged(caller: Caller, path: str, size: int) -> list[Any]:
    records: list[Any] = []
    for number in range(1, 100):
        page = caller.get(path, page=number, per_page=size)
        assert "next" not in page["pages"]
        records += page["data"]
        if number >= page["pages"]["total_pages"]:
            assert page["total_count"] == len(records)
            return records
    raise AssertionError("no end")


@pytest.mark.parametrize(
    ("kind", "path", "most"),
    [
        ("articles", "/articles", 50),
        ("collections", "/help_center/collections", 50),
        ("news_items", "/news/news_items", 50),
        ("newsfeeds", "/news/newsfeeds", 50),
        ("calls", "/calls", 25),
    ],
)
def test_page_number_lists(simulator, caller, kind, path, most):
    truth = {one["id"]: one for one in simulator.control.truth(kind)}
    for size in (7, most):
        records = paged(caller, path, size)
        assert sorted(one["id"] for one in records) == sorted(truth)
    assert caller.ask("GET", path, per_page=most + 1).status == 400
    id = records[0]["id"]
    assert caller.get(f"{path}/{id}").keys() == truth[id].keys()
    assert caller.ask("GET", f"{path}/0").status == 404


def test_articles_come_by_their_last_change_without_statistics(simulator, caller):
    page = caller.get("/articles")
    assert (page["pages"]["per_page"], page["total_count"]) == (25, 120)
    moments = [one["updated_at"] for one in page["data"]]
    assert moments == sorted(moments, reverse=True)
    assert all("statistics" not in one and "parent_ids" in one for one in page["data"])
    oldest = paged(caller, "/articles", 50)[-1]["id"]
    assert caller.get(f"/articles/{oldest}")["statistics"]["type"] == "article_statistics"
    # What changes jumps to the front and pushes the others into pages already read.
    simulator.control.update_record("articles", oldest, title="moved")
    assert caller.get("/articles")["data"][0]["id"] == oldest
    before = caller.get(f"/articles/{oldest}")
    simulator.control.advance(10)
    simulator.control.view_article(oldest, 3)
    simulator.control.translate_article(oldest, "fr", title="autre")
    after = caller.get(f"/articles/{oldest}")
    assert after["updated_at"] == before["updated_at"]
    assert after["statistics"]["views"] == before["statistics"]["views"] + 3
    assert after["translated_content"]["fr"]["title"] == "autre"
    assert "parent_type" in Caller(simulator, "2.15").get(f"/articles/{oldest}")


def test_sections_and_help_centers(simulator, caller):
    records = paged(caller, "/help_center/collections", 50)
    ids = {one["id"] for one in records}
    centers = {int(one["id"]) for one in caller.get("/help_center/help_centers")["data"]}
    assert any(one["parent_id"] in ids for one in records)
    assert all(one["parent_id"] in ids or one["help_center_id"] in centers for one in records)
    assert caller.get("/help_center/help_centers/79")["default"] is True


def test_a_newsfeed_shows_its_live_items(simulator, caller):
    feed = caller.get("/news/newsfeeds")["data"][0]["id"]
    items = caller.get(f"/news/newsfeeds/{feed}/items", per_page=50)["data"]
    assert items
    assert {one["state"] for one in items} == {"live"}
    assert caller.ask("GET", "/news/newsfeeds/0/items").status == 404


def test_macros_page_by_cursor_with_times_in_words(simulator, caller):
    records, query = [], {"per_page": 50}
    while True:
        page = caller.get("/macros", **query)
        records += page["data"]
        if page["pages"]["next"] is None:
            break
        query["starting_after"] = page["pages"]["next"]["starting_after"]
    assert len({one["id"] for one in records}) == len(records) == 170
    moments = [one["updated_at"] for one in records]
    assert moments == sorted(moments, reverse=True)
    assert moments[0].endswith(".000Z")
    simulator.control.advance(100)
    simulator.control.update_record("macros", records[-1]["id"], name="new")
    found = caller.get("/macros", updated_since=NOW + 99)["data"]
    assert [one["id"] for one in found] == [records[-1]["id"]]
    assert caller.ask("GET", "/macros", per_page=151).status == 400
    assert caller.ask("GET", "/macros", updated_since="soon").status == 400
    assert caller.ask("GET", "/macros", starting_after="?").status == 400
    assert Caller(simulator, "2.15").ask("GET", "/macros").status == 400


def test_calls_tell_time_in_two_ways(simulator, caller):
    kinds = {type(one["created_at"]) for one in paged(caller, "/calls", 25)}
    assert kinds == {int, str}
    assert any(one["answered_at"] is None for one in paged(caller, "/calls", 25))


def test_activity_logs_follow_addresses_newest_first(simulator, caller):
    url, records = "https://x/admins/activity_logs?created_at_after=1", []
    while url:
        parts = urlsplit(url)
        page = caller.get(parts.path, **dict(parse_qsl(parts.query)))
        assert len(page["activity_logs"]) <= 20
        records += page["activity_logs"]
        url = page["pages"]["next"]
    assert records == simulator.control.truth("activity_logs")[::-1]
    assert len(records) == 90
    assert caller.ask("GET", "/admins/activity_logs").status == 400
    middle = records[40]["created_at"]
    later = caller.get("/admins/activity_logs", created_at_after=middle)
    assert all(one["created_at"] > middle for one in later["activity_logs"])
    simulator.control.log_activity("role_change")
    body = {"created_at_after": 1, "event_types": ["role_change"], "per_page": 250}
    found = caller.post("/admins/activity_logs/search", body)["activity_logs"]
    assert found[0]["created_at"] == NOW
    assert {one["activity_type"] for one in found} == {"role_change"}
    for wrong in ({}, {"created_at_after": 1, "per_page": 251}):
        assert caller.ask("POST", "/admins/activity_logs/search", wrong).status == 400


def test_attributes_are_told_by_model_archived_ones_on_demand(simulator, caller):
    control = simulator.control
    shown = caller.get("/data_attributes", model="company")["data"]
    known = caller.get("/data_attributes", model="company", include_archived="true")["data"]
    assert [one["name"] for one in known if one["archived"]] == ["old_region"]
    assert len(shown) == len(known) - 1
    # Two attributes with one name: only the path tells them apart.
    assert [one["full_name"] for one in shown if one["name"] == "name"] == ["name", "plan.name"]
    assert {one["model"] for one in caller.get("/data_attributes")["data"]} == {
        "contact",
        "company",
    }
    old = Caller(simulator, "2.15").get("/data_attributes", model="conversation")["data"]
    assert {one["model"] for one in old} == {"conversation"}
    kinds = {one["data_type"] for one in caller.get("/conversations/attributes")["data"]}
    assert {"list", "relationship", "string", "boolean"} <= kinds
    control.create_data_attribute("contact", "Neu")
    control.update_data_attribute("conversation", "Severity", archived=True)
    names = [one["full_name"] for one in control.truth("data_attributes")]
    assert "custom_attributes.Neu" in names
    assert all(one["name"] != "Severity" for one in caller.get("/conversations/attributes")["data"])


def test_what_hangs_on_contacts_is_told_in_pairs(simulator, caller):
    control = simulator.control
    notes = control.truth("contact_notes")
    contact = notes[0]["contact_id"]
    control.advance(5)
    ids = [control.add_note(contact, f"<p>{n}</p>") for n in range(70)]
    page = caller.get(f"/contacts/{contact}/notes", per_page=60)
    assert page["data"][0]["id"] == ids[-1]
    assert page["pages"]["next"].startswith("https://api.intercom.io/contacts/")
    assert caller.get(f"/contacts/{contact}/notes", per_page=60, page=2)["pages"]["next"] is None
    assert caller.ask("GET", f"/contacts/{contact}/notes", per_page=61).status == 400
    assert len(control.truth("contact_notes")) == len(notes) + 70
    pairs = control.truth("contact_segments")
    segment = pairs[0]["segment_id"]
    expected = {one["contact_id"] for one in pairs if one["segment_id"] == segment}
    assert set(caller.found("contacts", where("segment_id", "=", segment))) == expected
    choice = control.truth("contact_subscriptions")[0]
    data = caller.get(f"/contacts/{choice['contact_id']}/subscriptions")["data"]
    assert choice["subscription_type_id"] in [one["id"] for one in data]


@pytest.mark.parametrize(
    ("options", "status", "code", "text"),
    [
        ({}, 403, "forbidden", "required scope"),
        ({"status": 401}, 401, "token_unauthorized", "Not authorized"),
        ({"code": "api_plan_restricted"}, 403, "api_plan_restricted", "Active subscription"),
        ({"code": "forbidden", "message": "No"}, 403, "forbidden", "No"),
    ],
)
def test_refusals_say_why(simulator, caller, options, status, code, text):
    simulator.control.deny("^/calls", **options)
    response = caller.ask("GET", "/calls")
    assert response.status == status
    error = caller.get("/calls")["errors"][0]
    assert error["code"] == code
    assert text in error["message"]
    assert caller.ask("GET", "/articles").status == 200


ALL = (
    "contacts companies conversations events tickets articles macros news_items calls"
    " activity_logs contact_notes contact_segments contact_subscriptions"
)


def test_a_day_of_everything_is_repeatable_and_silent_where_intercom_is(simulator):
    control = simulator.control
    again = make()
    control.advance(1000)
    again.control.advance(1000)
    before = {one["id"]: one for one in control.truth("contacts")}
    changed = control.change(0.3, seed=2, everything=True)
    assert changed == again.control.change(0.3, seed=2, everything=True)
    assert set(changed) == set(ALL.split())
    for kind in ALL.split():
        assert control.truth(kind) == again.control.truth(kind)
    after = {one["id"]: one for one in control.truth("contacts")}
    moved = {id for id, one in after.items() if one["updated_at"] == NOW + 1000}
    assert moved <= set(changed["contacts"])
    silent = (set(changed["contact_segments"]) | set(changed["contact_notes"])) - moved
    assert silent
    assert all(before[id]["updated_at"] == after[id]["updated_at"] for id in silent & set(before))


def test_sizes_can_be_nothing():
    nothing: dict[str, Any] = dict.fromkeys(
        ("events", "tickets", "articles", "news_items", "macros", "calls", "activity_logs"), 0
    )
    simulator = Simulator(Workspace.generate(1, now=NOW, contacts=3, **nothing))
    assert not any(simulator.control.truth(kind) for kind in nothing)
    simulator.control.change(everything=True)


def test_renaming_a_tag_shows_on_articles(simulator):
    article = next(a for a in simulator.control.truth("articles") if a["tags"]["tags"])
    tag = article["tags"]["tags"][0]["id"]
    simulator.control.rename_tag(tag, "umbenannt")
    after = {one["id"]: one for one in simulator.control.truth("articles")}[article["id"]]
    assert after["tags"]["tags"][0]["name"] == "umbenannt"
    simulator.control.delete_tag(tag)
    after = {one["id"]: one for one in simulator.control.truth("articles")}[article["id"]]
    assert after["tags"]["tags"] == []
