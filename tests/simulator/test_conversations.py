"""The simulator's conversations: parts, counts, what moves updated_at, deletions, odd payloads."""

from __future__ import annotations

import pytest

from connector.simulator import Simulator, Workspace
from connector.simulator.encoding import decode
from connector.simulator.transport.caller import Caller, where

NOW = 1_780_000_000
LAG = 20


@pytest.fixture
def simulator() -> Simulator:
    space = Workspace.generate(seed=9, contacts=200, companies=20, conversations=320, now=NOW)
    return Simulator(space, clock=lambda: float(NOW), index_lag=LAG)


@pytest.fixture
def some(simulator) -> str:
    known = simulator.workspace.contacts.current
    return next(
        item.id
        for item in simulator.workspace.conversations.current.values()
        if item.owned
        and decode(item.body)["statistics"]
        and decode(item.body)["contacts"]["contacts"][0]["id"] in known
    )


def parts(record: dict) -> list[dict]:
    return record["conversation_parts"]["conversation_parts"]


def test_a_read_returns_the_newest_500_parts(simulator, caller):
    item = next(i for i in simulator.workspace.conversations.current.values() if len(i.owned) > 500)
    record = caller.get(f"/conversations/{item.id}")
    whole = simulator.control.truth_one("conversations", item.id)
    assert len(parts(record)) == record["conversation_parts"]["total_count"] == 500
    newest = [one["id"] for one in parts(whole)][-500:]
    assert [one["id"] for one in parts(record)] == newest
    assert record["statistics"]["count_conversation_parts"] == len(item.owned) + 1


def test_counts_and_times_agree(simulator):
    for record in simulator.control.truth("conversations"):
        if record["statistics"] is not None and parts(record):
            assert record["statistics"]["count_conversation_parts"] == len(parts(record)) + 1
        if parts(record):
            assert record["updated_at"] == max(one["updated_at"] for one in parts(record))
        assert record["created_at"] <= record["updated_at"] <= NOW


def test_lists_have_no_parts(caller):
    page = caller.get("/conversations")
    assert all("conversation_parts" not in one for one in page["conversations"])


def test_live_oddities_occur(simulator):
    records = simulator.control.truth("conversations")
    assert any(one["source"] is None for one in records)
    assert any(one["statistics"] is None for one in records)
    assert any(one["admin_assignee_id"] == 0 for one in records)
    assert any(len(one["id"]) == 15 for one in records)
    assert any(one["company"] for one in records)
    assert any(one["sla_applied"] for one in records)
    assert any(one["ai_agent"] for one in records)
    assert any(one["linked_objects"]["total_count"] for one in records)
    assert any(one["conversation_rating"] for one in records)
    kinds = {part["author"]["type"] for one in records for part in parts(one)}
    assert kinds == {"admin", "user", "lead", "bot", "team"}
    staff = {one["id"] for one in simulator.control.truth("admins")}
    writers = {
        p["author"]["id"] for one in records for p in parts(one) if p["author"]["type"] == "admin"
    }
    assert writers - staff
    teammates = [one["teammates"] for one in records if one["teammates"]]
    assert all(set(one) == {"type", "admins"} for one in teammates)
    tags = [tag for one in records for tag in one["tags"]["tags"]]
    assert all({"applied_at", "applied_by"} <= set(tag) for tag in tags)


def test_before_2_16_nobody_is_null(simulator, caller):
    id = simulator.control.create_conversation()
    assert caller.get(f"/conversations/{id}")["admin_assignee_id"] == 0
    assert Caller(simulator, "2.15").get(f"/conversations/{id}")["admin_assignee_id"] is None


@pytest.mark.parametrize(
    ("act", "bumps"),
    [
        (lambda c, id: c.reply(id), True),
        (lambda c, id: c.reply(id, 3, admin="991267007"), True),
        (lambda c, id: c.close(id), True),
        (lambda c, id: c.reopen(id), True),
        (lambda c, id: c.snooze(id, NOW + 9999), True),
        (lambda c, id: c.assign(id, admin="991267007"), True),
        (lambda c, id: c.assign(id), True),
        (lambda c, id: c.rate(id, 2), True),
        (lambda c, id: c.rate(id, 2, silent=True), False),
        (lambda c, id: c.mark_read(id), False),
        (lambda c, id: c.update_conversation_silently(id, state="closed", open=False), False),
        (lambda c, id: c.redact_part(id), True),
    ],
)
def test_what_moves_updated_at(simulator, caller, some, act, bumps):
    before = caller.get(f"/conversations/{some}")
    simulator.control.advance(50)
    act(simulator.control, some)
    after = caller.get(f"/conversations/{some}")
    assert after["updated_at"] == (NOW + 50 if bumps else before["updated_at"])
    assert after["statistics"]["count_conversation_parts"] == len(parts(after)) + 1
    after.pop("updated_at"), before.pop("updated_at")
    assert after != before


def test_a_reply_of_a_contact_moves_the_contact_too(simulator, caller, some):
    simulator.control.advance(50)
    simulator.control.reply(some)
    contact = caller.get(f"/conversations/{some}")["contacts"]["contacts"][0]["id"]
    record = caller.get(f"/contacts/{contact}")
    assert (record["updated_at"], record["last_replied_at"]) == (NOW + 50, NOW + 50)


def test_tagging_adds_a_part_and_untagging_changes_an_old_one(simulator, caller, some):
    control = simulator.control
    tag = control.create_tag("Neu")
    control.tag_conversation(some, tag)
    tagged = caller.get(f"/conversations/{some}")
    assert tagged["tags"]["tags"][-1]["applied_at"] == NOW
    assert parts(tagged)[-1]["part_type"] == "conversation_tags_updated"
    assert parts(tagged)[-1]["tags"] == [{"type": "tag", "id": tag, "name": "Neu"}]
    control.advance(50)
    control.untag_conversation(some, tag)
    untagged = caller.get(f"/conversations/{some}")
    assert len(parts(untagged)) == len(parts(tagged))
    assert parts(untagged)[-1]["tags"] == []
    assert parts(untagged)[-1]["updated_at"] == untagged["updated_at"] == NOW + 50


def test_search_lags_and_reads_do_not(simulator, caller, some):
    simulator.control.advance(50)
    simulator.control.close(some)
    query = where("updated_at", ">", NOW + 1)
    assert caller.get(f"/conversations/{some}")["state"] == "closed"
    assert caller.found("conversations", query) == []
    simulator.control.advance(LAG)
    assert caller.found("conversations", query) == [some]


def test_deletions_have_a_feed_since_2_16(simulator, caller):
    ids = list(simulator.workspace.conversations.current)[:3]
    for number, id in enumerate(ids):
        simulator.control.delete_conversation(id, retain_metrics=bool(number % 2))
        simulator.control.advance(5)
    assert caller.ask("GET", f"/conversations/{ids[0]}").status == 404
    feed = caller.get("/conversations/deleted", per_page=2)
    assert feed["type"] == "conversations.list"
    assert [one["id"] for one in feed["conversations"]] == ids[::-1][:2]
    assert feed["conversations"][0]["deleted_at"] == NOW + 10
    assert "page=2" in feed["pages"]["next"]
    oldest = caller.get("/conversations/deleted", order="asc")
    assert [one["id"] for one in oldest["conversations"]] == ids
    refused = Caller(simulator, "2.15").ask("GET", "/conversations/deleted")
    assert decode(refused.body)["errors"][0]["code"] == "intercom_version_invalid"
    assert caller.ask("GET", "/conversations/deleted", per_page=61).status == 400


def test_files_and_inline_images_are_signed_anew(simulator, caller):
    for id in simulator.workspace.conversations.current:
        first = caller.ask("GET", f"/conversations/{id}").body
        assert b"~signed" not in first
        if b'<img src=\\"' in first and b"&amp;signature=" in first:
            second = caller.ask("GET", f"/conversations/{id}").body
            assert first != second
            return
    raise AssertionError("no conversation has an inline image")


def test_a_removed_admin_is_still_named(simulator, caller, some):
    simulator.control.assign(some, admin="991267007")
    simulator.control.remove_admin("991267007")
    assert caller.ask("GET", "/admins/991267007").status == 404
    assert "991267007" not in [one["id"] for one in caller.get("/admins")["admins"]]
    assert caller.get(f"/conversations/{some}")["admin_assignee_id"] == 991267007
    assert all(991267007 not in team["admin_ids"] for team in caller.get("/teams")["teams"])


def test_a_renamed_tag_is_renamed_where_it_is_embedded(simulator, caller, some):
    tag = simulator.control.create_tag("alt")
    simulator.control.tag_conversation(some, tag)
    before = caller.get(f"/conversations/{some}")["updated_at"]
    simulator.control.advance(50)
    simulator.control.rename_tag(tag, "neu")
    after = caller.get(f"/conversations/{some}")
    assert after["tags"]["tags"][-1]["name"] == "neu"
    assert parts(after)[-1]["tags"][0]["name"] == "neu"
    assert after["updated_at"] == before


def test_an_unanswered_campaign_is_no_conversation_in_any_list(simulator, caller):
    contact = next(iter(simulator.workspace.contacts.current))
    id = simulator.control.send_outbound(contact)
    simulator.control.advance(LAG)
    assert caller.get(f"/conversations/{id}")["source"]["delivered_as"] == "automated"
    query = where("created_at", ">", 0)
    assert id not in caller.found("conversations", query)
    assert simulator.control.truth_one("conversations", id)["_hidden"] is True
    simulator.control.reply(id)
    simulator.control.advance(LAG)
    assert id in caller.found("conversations", query)
