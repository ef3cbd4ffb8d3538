"""The simulator's tickets: one search, heavy pages, two ids; some are conversations too."""

from __future__ import annotations

from typing import Any

import pytest

from connector.simulator import Simulator, Workspace
from connector.simulator.transport.caller import Caller, either, where

NOW = 1_780_000_000
LAG = 60
ALL = either(where("open", "=", True), where("open", "=", False))


def make(**options: Any) -> Simulator:
    space = Workspace.generate(4, now=NOW, contacts=100, conversations=30, tickets=230)
    return Simulator(space, clock=lambda: float(NOW), index_lag=LAG, **options)


@pytest.fixture
def simulator() -> Simulator:
    return make()


def found(caller: Caller, query: object) -> list[str]:
    return [t["id"] for page in caller.search("tickets", query) for t in page["tickets"]]


def test_a_search_finds_every_ticket_whole(simulator, caller):
    truth = {one["id"]: one for one in simulator.control.truth("tickets")}
    pages = list(caller.search("tickets", ALL, sort="updated_at", size=100))
    tickets = [ticket for page in pages for ticket in page["tickets"]]
    assert pages[0]["type"] == "ticket.list"
    assert [one["updated_at"] for one in tickets] == sorted(one["updated_at"] for one in tickets)
    assert {one["id"] for one in tickets} == set(truth)
    long = 0
    for ticket in tickets:
        expected = truth[ticket["id"]]
        parts = [one["id"] for one in expected["ticket_parts"]["ticket_parts"]]
        got = [one["id"] for one in ticket["ticket_parts"]["ticket_parts"]]
        assert got == parts[-500:]
        assert ticket["ticket_parts"]["total_count"] == len(got)
        assert ticket["updated_at"] >= ticket["created_at"]
        long += len(parts) > 500
        assert ticket["id"] != ticket["ticket_id"]
        assert "data" in ticket["ticket_type"]["ticket_type_attributes"]
        assert "_default_title_" in ticket["ticket_attributes"]
        assert ticket["ticket_state"]["type"] == "ticket_state"
    assert long == 2
    assert {one["category"] for one in tickets} == {"Customer", "Back-office", "Tracker"}
    assert any(one["linked_objects"]["data"] for one in tickets)
    assert any(one["admin_assignee_id"] == 0 for one in tickets)


def test_the_search_counts_seconds(simulator, caller):
    ticket = simulator.control.truth("tickets")[3]
    at = ticket["updated_at"]
    assert ticket["id"] in found(caller, where("updated_at", ">=", at))
    assert ticket["id"] not in found(caller, where("updated_at", ">", at))
    assert ticket["id"] in found(caller, where("updated_at", "<=", str(at)))


def test_search_fields(simulator, caller):
    truth = simulator.control.truth("tickets")
    kind = caller.get("/ticket_types")["data"][0]
    attribute = next(a for a in kind["ticket_type_attributes"]["data"] if a["name"] == "Retries")
    contact = next(t["contacts"]["contacts"][0]["id"] for t in truth if t["contacts"]["contacts"])
    cases = (
        (where("category", "=", "request"), lambda t: t["category"] == "Customer"),
        (where("state", "=", "resolved"), lambda t: t["ticket_state"]["category"] == "resolved"),
        (where("ticket_type_id", "=", kind["id"]), lambda t: t["ticket_type"]["id"] == kind["id"]),
        (
            where("contact_ids", "=", contact),
            lambda t: contact in [c["id"] for c in t["contacts"]["contacts"]],
        ),
        (
            where(f"ticket_attribute.{attribute['id']}", "=", 3),
            lambda t: t["ticket_attributes"].get("Retries") == 3,
        ),
    )
    for query, holds in cases:
        expected = {one["id"] for one in truth if holds(one)}
        assert expected
        assert set(found(caller, query)) == expected
    assert found(caller, where("category", "=", "Customer")) == []
    body = {"query": where("state", "?", 1)}
    assert caller.ask("POST", "/tickets/search", body).status == 400
    body = {"query": ALL, "pagination": {"per_page": 151}}
    assert caller.ask("POST", "/tickets/search", body).status == 400


def test_changes_show_by_id_at_once_and_in_searches_later(simulator, caller):
    control = simulator.control
    contact = next(iter(simulator.workspace.contacts.current))
    control.advance(1000)
    id = control.create_ticket(contact=contact, title="Neu")
    assert caller.get(f"/tickets/{id}")["ticket_attributes"]["_default_title_"] == "Neu"
    assert caller.get(f"/contacts/{contact}")["updated_at"] == NOW + 1000
    assert id not in found(caller, ALL)
    control.advance(LAG)
    assert id in found(caller, ALL)
    control.reply_ticket(id)
    control.reply_ticket(id, 2, admin=simulator.workspace.me)
    control.set_ticket_state(id, "resolved")
    control.assign_ticket(id, admin=simulator.workspace.me)
    control.set_ticket_attribute(id, "Retries", 5)
    ticket = caller.get(f"/tickets/{id}")
    parts = ticket["ticket_parts"]["ticket_parts"]
    assert [one["author"]["type"] for one in parts] == ["user"] + ["admin"] * 5
    assert (ticket["open"], ticket["ticket_state"]["category"]) == (False, "resolved")
    assert ticket["admin_assignee_id"] == int(simulator.workspace.me)
    assert parts[3]["previous_ticket_state"] == "submitted"
    assert parts[5]["updated_attribute_data"]["value"]["id"] == "5"
    control.assign_ticket(id)
    control.redact_ticket_part(id)
    ticket = caller.get(f"/tickets/{id}")
    assert (ticket["admin_assignee_id"], ticket["updated_at"]) == (0, NOW + 1000 + LAG)
    assert ticket["ticket_parts"]["ticket_parts"][0]["redacted"] is True


def test_a_deleted_ticket_vanishes_and_no_feed_tells(simulator, caller):
    id = found(caller, ALL)[0]
    simulator.control.delete_ticket(id)
    assert caller.ask("GET", f"/tickets/{id}").status == 404
    assert id in found(caller, ALL)
    simulator.control.advance(LAG)
    assert id not in found(caller, ALL)
    assert caller.get("/conversations/deleted")["total_count"] == 0
    assert any(one["id"] == id for one in simulator.control.truth_deleted())


def test_before_2_16_assignees_are_text(simulator, caller):
    id = next(t["id"] for t in simulator.control.truth("tickets") if not t["admin_assignee_id"])
    old = Caller(simulator, "2.15")
    assert old.get(f"/tickets/{id}")["admin_assignee_id"] == "0"
    assert caller.get(f"/tickets/{id}")["admin_assignee_id"] == 0


def test_types_and_states(simulator, caller):
    types, states = caller.get("/ticket_types")["data"], caller.get("/ticket_states")["data"]
    assert [one["archived"] for one in types].count(True) == 1
    assert any(one["archived"] for one in states)
    assert caller.get(f"/ticket_types/{types[0]['id']}") == types[0]
    assert caller.ask("GET", "/ticket_types/0").status == 404
    simulator.control.update_record("ticket_types", types[0]["id"], name="Renamed")
    ticket = next(iter(found(caller, where("ticket_type_id", "=", types[0]["id"]))))
    assert caller.get(f"/tickets/{ticket}")["ticket_type"]["name"] == "Renamed"


def test_without_the_scope_tickets_are_no_conversations(simulator, caller):
    tickets = set(found(caller, ALL))
    conversations = {one["id"] for one in caller.listed("/conversations", "conversations")}
    assert len(conversations) == 30
    assert not tickets & conversations
    assert all(caller.ask("GET", f"/conversations/{id}").status == 404 for id in list(tickets)[:9])


def test_with_the_scope_customer_tickets_are_conversations_too():
    simulator = make(tickets_in_conversations=True)
    caller, control = Caller(simulator), simulator.control
    customers = {t["id"] for t in control.truth("tickets") if t["category"] == "Customer"}
    listed = {one["id"] for one in caller.listed("/conversations", "conversations")}
    assert len(customers) > 20
    assert listed & {one["id"] for one in control.truth("tickets")} == customers
    assert set(caller.found("conversations", where("created_at", ">", 0))) == listed
    id = next(iter(customers))
    both = [caller.get(f"/{kind}/{id}") for kind in ("conversations", "tickets")]
    assert both[0]["updated_at"] == both[1]["updated_at"]
    control.advance(500)
    control.reply_ticket(id, body="<p>neu</p>")
    whole = caller.get(f"/conversations/{id}")
    assert whole["updated_at"] == NOW + 500
    assert whole["conversation_parts"]["conversation_parts"][-1]["body"] == "<p>neu</p>"
    control.advance(LAG)
    assert caller.found("conversations", where("updated_at", "=", NOW + 500)) == [id]
    with pytest.raises(KeyError, match="is a ticket"):
        control.close(id)
    control.delete_ticket(id)
    assert caller.ask("GET", f"/conversations/{id}").status == 404
