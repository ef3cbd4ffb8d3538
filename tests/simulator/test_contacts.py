"""The simulator's contacts: embedded lists, lag, merges, deletions, and what is silent."""

from __future__ import annotations

from typing import Any

import pytest

from connector.simulator import Simulator, Workspace
from connector.simulator.encoding import decode
from connector.simulator.records.workspace import Gone
from connector.simulator.transport.caller import Caller, where

NOW = 1_780_000_000
LAG = 45


@pytest.fixture
def simulator() -> Simulator:
    space = Workspace.generate(seed=5, contacts=400, companies=60, conversations=10, now=NOW)
    return Simulator(space, clock=lambda: float(NOW), index_lag=LAG)


def pick(simulator: Simulator, role: str) -> str:
    for item in simulator.workspace.contacts.current.values():
        if item.group == role and not item.owned.merges:
            return item.id
    raise LookupError(role)


def listed(caller: Caller, id: str) -> dict[str, Any] | None:
    return next((one for one in caller.listed("/contacts") if one["id"] == id), None)


def listed_name(caller: Caller, id: str) -> str | None:
    """The name under which it is listed, which it is."""
    found = listed(caller, id)
    assert found is not None
    return found["name"]


@pytest.mark.parametrize("name", ["tags", "companies", "notes"])
def test_no_more_than_ten_are_embedded(simulator, caller, name):
    truth = {one["id"]: one for one in simulator.control.truth("contacts")}
    long = next(id for id, one in truth.items() if one[name]["total_count"] > 10)
    embedded = caller.get(f"/contacts/{long}")[name]
    assert len(embedded["data"]) == 10
    assert embedded["has_more"] is True
    assert embedded["total_count"] == truth[long][name]["total_count"]
    assert set(embedded["data"][0]) == {"id", "type", "url"}
    whole = caller.get(embedded["url"])["data"]
    assert {one["id"] for one in whole} == {one["id"] for one in truth[long][name]["data"]}


def test_the_endpoint_tells_when_and_by_whom_a_tag_was_applied(simulator, caller):
    item = next(i for i in simulator.workspace.contacts.current.values() if i.owned.tags)
    tag = caller.get(f"/contacts/{item.id}/tags")["data"][0]
    assert set(tag) == {"type", "id", "name", "applied_at", "applied_by"}
    assert tag["applied_by"]["type"] == "admin"


def test_sub_lists_page_by_number(simulator, caller):
    item = next(i for i in simulator.workspace.contacts.current.values() if len(i.owned.notes) > 3)
    page = caller.get(f"/contacts/{item.id}/notes", per_page=2)
    assert page["pages"]["next"].startswith(f"https://api.intercom.io/contacts/{item.id}/notes?")
    assert page["total_count"] == len(item.owned.notes)
    assert caller.ask("GET", f"/contacts/{item.id}/companies", per_page=61).status == 400
    assert caller.ask("GET", "/contacts/ffff/notes").status == 404


def test_undocumented_keys_are_there(caller):
    record = caller.get("/contacts")["data"][0]
    assert {
        "opted_out_subscription_types",
        "opted_in_subscription_types",
        "utm_source",
        "referrer",
        "sms_consent",
        "unsubscribed_from_sms",
        "enabled_push_messaging",
    } <= set(record)
    assert {"country_code", "continent_code"} <= set(record["location"])


def test_a_new_contact_is_read_by_id_before_it_is_listed(simulator, caller):
    id = simulator.control.create_contact("user", name="Neu")
    query = where("created_at", ">", NOW - 3 * 86_400)
    assert caller.get(f"/contacts/{id}")["name"] == "Neu"
    assert listed(caller, id) is None
    assert id not in caller.found("contacts", query)
    simulator.control.advance(LAG - 1)
    assert listed(caller, id) is None
    simulator.control.advance(1)
    assert listed(caller, id) is not None
    assert id in caller.found("contacts", query)


def test_lists_show_a_record_as_it_was_until_the_lag_is_over(simulator, caller):
    id = pick(simulator, "user")
    before = listed_name(caller, id)
    simulator.control.update_contact(id, name="Renamed")
    assert caller.get(f"/contacts/{id}")["name"] == "Renamed"
    assert listed_name(caller, id) == before
    simulator.control.advance(LAG)
    assert listed_name(caller, id) == "Renamed"


def test_with_a_random_lag_an_old_version_never_comes_back(simulator, caller):
    simulator.index_lag = (0, 100)
    id = pick(simulator, "user")
    for number in range(10):
        simulator.control.update_contact(id, name=f"version {number}")
        simulator.control.advance(1)
    seen = []
    for _ in range(110):
        seen.append(listed_name(caller, id))
        simulator.control.advance(1)
    numbers = [int(name.split()[1]) for name in seen if name and name.startswith("version")]
    assert numbers == sorted(numbers)
    assert seen[-1] == "version 9"


def test_bulk_changes_reach_every_index(simulator, caller):
    ids = [pick(simulator, "lead"), *list(simulator.workspace.contacts.current)[:200]]
    caller.found("contacts", where("created_at", ">", 0), sort="updated_at")
    for id in set(ids):
        simulator.control.update_contact(id, name="bulk")
    simulator.control.advance(LAG)
    for sort in ("updated_at", "created_at", "id"):
        found = caller.found("contacts", where("created_at", ">", 0), sort=sort)
        assert len(found) == len(set(found)) == len(simulator.workspace.contacts)
    recent = Caller(simulator, "Preview").found("contacts", where("updated_at", "=", NOW))
    assert set(recent) == set(ids)


@pytest.mark.parametrize(
    ("act", "bumps"),
    [
        (lambda c, id, e: c.update_contact(id, name="other"), True),
        (lambda c, id, e: c.tag_contact(id, e["tag"]), True),
        (lambda c, id, e: c.attach_company(id, e["company"]), True),
        (lambda c, id, e: c.attach_company(id, e["company"], bump=False), False),
        (lambda c, id, e: c.add_note(id, "<p>x</p>"), False),
        (lambda c, id, e: c.subscribe_contact(id, "136"), False),
        (lambda c, id, e: c.set_segments(id, []), False),
        (lambda c, id, e: c.update_contact_silently(id, browser="firefox"), False),
    ],
)
def test_what_moves_updated_at(simulator, caller, act, bumps):
    control = simulator.control
    id = control.create_contact("user", name="one")
    extra = {"tag": control.create_tag("neu"), "company": control.create_company("C")}
    control.advance(100)
    act(control, id, extra)
    assert caller.get(f"/contacts/{id}")["updated_at"] == NOW + (100 if bumps else 0)


def test_the_same_values_again_move_nothing(simulator, caller):
    id = simulator.control.create_contact("user", name="same")
    simulator.control.advance(100)
    assert simulator.control.update_contact(id, name="same") is False
    assert caller.get(f"/contacts/{id}")["updated_at"] == NOW


def test_notes_show_in_the_embedded_count_only(simulator, caller):
    id = simulator.control.create_contact("user")
    simulator.control.advance(100)
    note = simulator.control.add_note(id, "<p>hm</p>")
    record = caller.get(f"/contacts/{id}")
    assert record["notes"]["total_count"] == 1
    assert record["updated_at"] == NOW
    assert caller.get(f"/contacts/{id}/notes")["data"][0]["id"] == note


def test_a_merged_lead_is_410_with_a_link(simulator, caller):
    lead, user = pick(simulator, "lead"), pick(simulator, "user")
    simulator.control.advance(10)
    simulator.control.merge_contacts(lead, user)
    response = caller.ask("GET", f"/contacts/{lead}")
    assert response.status == 410
    assert decode(response.body)["errors"][0]["code"] == "contact_merged"
    assert response.headers["Link"] == f'</contacts/{user}>; rel="canonical"'
    assert caller.ask("GET", f"/contacts/{lead}/tags").status == 410
    old = Caller(simulator, "2.15").ask("GET", f"/contacts/{lead}")
    assert (old.status, decode(old.body)["errors"][0]["message"]) == (404, "User Not Found")
    assert caller.get(f"/contacts/{user}")["updated_at"] == NOW + 10
    assert listed(caller, lead) is not None
    simulator.control.advance(LAG)
    assert listed(caller, lead) is None


def test_the_survivor_tells_its_merges_when_asked(simulator, caller):
    lead, user = pick(simulator, "lead"), pick(simulator, "user")
    simulator.control.merge_contacts(lead, user)
    simulator.control.advance(LAG)
    assert "merge_history" not in caller.get(f"/contacts/{user}")
    merges = caller.get(f"/contacts/{user}", include_merge_history="true")["merge_history"]
    assert [(one["source_contact_id"], one["merged_at"]) for one in merges] == [(lead, NOW)]
    page = caller.post(
        "/contacts/search",
        {"query": where("created_at", ">", 0), "pagination": {"per_page": 150}},
        include_merge_history="true",
    )
    for one in page["data"]:
        assert ("merge_history" in one) == (one["role"] == "user")
    old = Caller(simulator, "2.15").get(f"/contacts/{user}", include_merge_history="true")
    assert "merge_history" not in old


def test_the_activity_feed_is_previews_and_skips_archiving(simulator, caller):
    control = simulator.control
    lead, user = pick(simulator, "lead"), pick(simulator, "user")
    new = control.create_contact("lead")
    control.convert_lead(new)
    control.merge_contacts(lead, user)
    control.archive_contact(user)
    control.delete_contact(new)
    assert caller.ask("GET", "/contacts/activities").status == 400
    preview = Caller(simulator, "Preview")
    first = preview.get("/contacts/activities", per_page=2)
    after = first["pages"]["next"]["starting_after"]
    second = preview.get("/contacts/activities", starting_after=after)
    events = [(one["event_type"], one["contact_id"]) for one in first["data"] + second["data"]]
    assert events == [
        ("contact.created", new),
        ("contact.role_updated", new),
        ("contact.merged", user),
        ("contact.deleted", new),
    ]
    assert second["data"][0]["merge_source_id"] == lead
    assert "next" not in second["pages"]


def test_deleted_and_archived_contacts(simulator, caller):
    control = simulator.control
    deleted, archived = pick(simulator, "lead"), pick(simulator, "user")
    control.delete_contact(deleted)
    control.archive_contact(archived)
    assert caller.ask("GET", f"/contacts/{deleted}").status == 404
    control.advance(LAG)
    assert listed(caller, deleted) is None
    assert listed(caller, archived) is None
    assert {(one["id"], one["how"]) for one in control.truth_deleted()} == {
        (deleted, "deleted"),
        (archived, "archived"),
    }
    control.unarchive_contact(archived)
    control.advance(LAG)
    assert listed(caller, archived) is not None


@pytest.mark.parametrize(
    ("says", "status", "marked"),
    [("missing", 404, None), ("marked", 200, True), ("shown", 200, None)],
)
def test_what_a_read_by_id_says_of_an_archived_contact_is_chosen(
    simulator, caller, says, status, marked
):
    simulator.archived_by_id = says
    archived = pick(simulator, "user")
    simulator.control.archive_contact(archived)
    answer = caller.ask("GET", f"/contacts/{archived}")
    assert answer.status == status
    assert decode(answer.body).get("archived") is marked
    simulator.control.unarchive_contact(archived)
    assert "archived" not in caller.get(f"/contacts/{archived}")


def test_a_converted_lead_changes_sides(simulator, caller):
    lead = pick(simulator, "lead")
    simulator.control.convert_lead(lead)
    simulator.control.advance(LAG)
    assert lead in caller.found("contacts", where("role", "=", "user"))
    assert lead not in caller.found("contacts", where("role", "=", "lead"))


def test_a_deleted_tag_disappears_without_a_trace(simulator, caller):
    item = next(i for i in simulator.workspace.contacts.current.values() if i.owned.tags)
    tag = item.owned.tags[0].id
    simulator.control.delete_tag(tag)
    after = caller.get(f"/contacts/{item.id}")
    assert tag not in [one["id"] for one in after["tags"]["data"]]
    assert after["updated_at"] == item.updated_at
    assert caller.ask("GET", f"/tags/{tag}").status == 404


def test_hostile_values_are_served_as_json():
    space = Workspace.generate(contacts=60, companies=0, conversations=0, now=NOW, hostile=1.0)
    simulator = Simulator(space, clock=lambda: float(NOW))
    raw = Caller(simulator).ask("GET", "/contacts", per_page=60).body
    assert b"\\u0000" in raw
    assert b"\\ud800" in raw
    assert str(2**70).encode() in raw
    assert len(decode(raw)["data"]) == 60
    simulator.control.update_contact(next(iter(space.contacts.current)), phone="1")


def test_addresses_are_signed_anew_at_every_read(simulator, caller):
    id = simulator.control.create_contact("user")
    url = "https://static.intercomassets.com/avatars/1/square_128"
    simulator.control.update_contact(id, avatar={"type": "avatar", "image_url": url + "?~signed~"})
    first, second = (caller.get(f"/contacts/{id}")["avatar"]["image_url"] for _ in range(2))
    assert first != second
    assert first.startswith(url + "?expires=")
    simulator.signed_urls = False
    assert caller.get(f"/contacts/{id}")["avatar"]["image_url"] == url


def test_merge_history_pages_by_an_opaque_cursor(simulator, caller):
    leads = [i.id for i in simulator.workspace.contacts.current.values() if i.group == "lead"][:3]
    user = pick(simulator, "user")
    for lead in leads:
        simulator.control.merge_contacts(lead, user)
        simulator.control.advance(1)
    first = caller.get(f"/contacts/{user}/merge_history", per_page=2)
    assert first["has_more"] is True
    second = caller.get(f"/contacts/{user}/merge_history", per_page=2, cursor=first["next_cursor"])
    assert second["has_more"] is False
    assert "next_cursor" not in second
    found = [one["source_contact_id"] for one in first["data"] + second["data"]]
    assert found == leads[::-1]


def test_a_chain_of_merges_links_to_its_end(simulator, caller):
    control = simulator.control
    lead, user = pick(simulator, "lead"), pick(simulator, "user")
    control.merge_contacts(lead, user)
    simulator.workspace.bury(Gone("contacts", "older", "merged", NOW, lead))
    link = caller.ask("GET", "/contacts/older").headers["Link"]
    assert link == f'</contacts/{user}>; rel="canonical"'


def test_contacts_of_a_company(simulator, caller):
    item = next(i for i in simulator.workspace.contacts.current.values() if i.owned.companies)
    company = item.owned.companies[0]
    expected = {
        i.id for i in simulator.workspace.contacts.current.values() if company in i.owned.companies
    }
    found = caller.listed(f"/companies/{company}/contacts", size=2)
    assert {one["id"] for one in found} == expected
    assert caller.ask("GET", "/companies/ffff/contacts").status == 404


def test_attributes(caller):
    data = caller.get("/data_attributes", model="contact")["data"]
    assert any("id" not in one for one in data)
    assert any(one["custom"] and isinstance(one["id"], int) for one in data)
    assert caller.ask("GET", "/data_attributes", model="conversation").status == 422
    assert caller.get("/conversations/attributes")["data"]
    assert Caller(caller.simulator, "2.15").ask("GET", "/conversations/attributes").status == 404


def test_the_hole_is_also_around_midnight_of_utc(simulator, caller):
    simulator.midnight_hole = 120
    simulator.index_lag = 0
    utc = NOW // 86_400 * 86_400
    id = simulator.control.create_contact(updated_at=utc + 60)
    assert id not in caller.found("contacts", where("updated_at", "=", utc + 60))
    assert id in caller.found("contacts", where("updated_at", ">", utc - 3 * 86_400))
