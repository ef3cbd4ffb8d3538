"""What the simulator's lists do wrong on purpose, what happens meanwhile, and what it remembers."""

from __future__ import annotations

import pytest

from connector.simulator import Simulator, Workspace
from connector.simulator.transport.caller import Caller, where

NOW = 1_780_000_000
LAG = 45
EVERYTHING = where("created_at", ">", 0)


@pytest.fixture
def simulator() -> Simulator:
    space = Workspace.generate(seed=6, contacts=80, companies=30, conversations=12, now=NOW)
    return Simulator(space, clock=lambda: float(NOW), index_lag=LAG)


def ids(simulator: Simulator, kind: str) -> list[str]:
    return [one["id"] for one in simulator.control.truth(kind) if not one.get("_hidden")]


def searched(caller: Caller, kind: str, size: int = 150) -> list[str]:
    key = kind if kind in ("conversations", "tickets") else "data"
    pages = caller.search(kind, EVERYTHING, "created_at", size=size)
    return [one["id"] for page in pages for one in page[key]]


@pytest.mark.parametrize("kind", ["contacts", "conversations", "tickets"])
def test_what_is_omitted_is_in_no_search_but_there_by_id(simulator, caller, kind):
    left = ids(simulator, kind)[:2]
    simulator.control.omit(kind, left, 300)
    assert set(searched(caller, kind)) == set(ids(simulator, kind)) - set(left)
    assert caller.ask("GET", f"/{kind}/{left[0]}").status == 200
    simulator.control.advance(300)
    assert set(searched(caller, kind)) == set(ids(simulator, kind))


def test_a_change_to_what_is_omitted_is_shown_once_it_is_listed_again(simulator, caller):
    left = ids(simulator, "contacts")[0]
    simulator.control.omit("contacts", [left], 300)
    simulator.control.update_contact(left, name="Changed")
    simulator.control.advance(LAG + 1)
    assert left not in searched(caller, "contacts")
    simulator.control.advance(300)
    [record] = [one for one in caller.listed("/contacts") if one["id"] == left]
    assert record["name"] == "Changed"


def test_companies_and_directories_can_be_omitted_too(simulator, caller):
    company, article = ids(simulator, "companies")[0], ids(simulator, "articles")[0]
    simulator.control.omit("companies", [company], 60)
    simulator.control.omit("articles", [article], 60)
    scrolled = [one["id"] for one in caller.get("/companies/scroll")["data"]]
    assert set(scrolled) == set(ids(simulator, "companies")) - {company}
    listed = caller.get("/articles", per_page=50)
    assert article not in [one["id"] for one in listed["data"]]
    assert caller.ask("GET", f"/articles/{article}").status == 200


@pytest.mark.parametrize("told", [True, False])
def test_a_cut_search_ends_early(simulator, caller, told):
    simulator.control.cut_lists("contacts", 25, told)
    assert len(searched(caller, "contacts", size=10)) == 25
    page = next(caller.search("contacts", EVERYTHING, size=10))
    assert page["total_count"] == (80 if told else 25)
    simulator.control.cut_lists("contacts", None)
    assert len(searched(caller, "contacts")) == 80


def test_a_cut_list_by_page_numbers_ends_early(simulator, caller):
    simulator.control.cut_lists("companies", 7, told=False)
    simulator.control.cut_lists("articles", 3)
    assert len(caller.get("/companies/scroll")["data"]) == 7
    page = caller.post("/companies/list", page=1, per_page=5)
    assert (len(page["data"]), page["pages"]["total_pages"]) == (5, 2)
    assert len(caller.post("/companies/list", page=2, per_page=5)["data"]) == 2
    page = caller.get("/articles", per_page=50)
    assert (len(page["data"]), page["total_count"]) == (3, len(ids(simulator, "articles")))


def test_a_change_can_happen_while_a_list_is_read(simulator, caller):
    control, user = simulator.control, ids(simulator, "contacts")[0]
    seen: list[str] = []
    control.when({"path": "^/tags$"}, lambda: seen.append("after"), times=2)
    control.when({"path": "^/tags$"}, lambda: seen.append("before"), after=1, before=True)
    caller.get("/tags")
    assert seen == ["after"]
    for _ in range(2):
        caller.get("/tags")
    assert seen == ["after", "before", "after"]
    control.when({"method": "GET"}, "update_contact", {"id": user, "name": "Meanwhile"})
    assert caller.get(f"/contacts/{user}")["name"] != "Meanwhile"
    assert caller.get(f"/contacts/{user}")["name"] == "Meanwhile"
    control.when(None, lambda: seen.append("never"), times=None)
    control.clear_hooks()
    caller.get("/tags")
    assert "never" not in seen


def test_feeds_lag_if_told_to(simulator, caller):
    control = simulator.control
    simulator.feed_lag = 120.0
    control.delete_contact(ids(simulator, "contacts")[0])
    control.delete_conversation(ids(simulator, "conversations")[0])
    preview = Caller(simulator, "Preview")
    for lag, count in ((119, 0), (1, 1)):
        control.advance(lag)
        assert len(preview.get("/contacts/activities")["data"]) == count
        assert len(caller.get("/conversations/deleted")["conversations"]) == count


def test_the_journal_tells_silent_changes_from_others(simulator):
    control = simulator.control
    silent, loud, both = ids(simulator, "contacts")[:3]
    control.advance(100)
    control.update_contact_silently(silent, name="A")
    control.update_contact(loud, name="B")
    control.update_contact_silently(both, name="C")
    control.update_contact(both, name="D")
    created = control.create_contact("user")
    assert set(control.unsettled("contacts", NOW + 100)) == {silent, loud, both, created}
    assert control.silent("contacts", NOW + 100) == [silent]
    assert control.unsettled("contacts", NOW + 100 + LAG + 1) == []
    ticket = ids(simulator, "tickets")[0]
    control.delete_ticket(ticket)
    assert control.silent("tickets", NOW) == [ticket]


def test_a_merge_by_hand_may_take_a_user_and_a_chain_is_followed(simulator, caller):
    control = simulator.control
    lead = next(one["id"] for one in control.truth("contacts") if one["role"] == "lead")
    user, last = [one["id"] for one in control.truth("contacts") if one["role"] == "user"][:2]
    simulator.merges_inherited = False
    control.merge_contacts(lead, user)
    with pytest.raises(ValueError, match="only a lead"):
        control.merge_contacts(user, last)
    control.merge_contacts(user, last, by_hand=True)
    assert f"/contacts/{last}" in caller.ask("GET", f"/contacts/{lead}").headers["Link"]
    [merge] = caller.get(f"/contacts/{last}", include_merge_history="true")["merge_history"][-1:]
    assert (merge["source_contact_id"], merge["source_contact_role"]) == (user, "user")
    told = {one["source_contact_id"]: one for one in control.truth("contact_merges")}
    assert told[lead]["target_contact_id"] == user
    assert told[user]["source_contact_role"] == "user"


def test_a_merge_can_move_conversations_in_silence(simulator, caller):
    control = simulator.control
    simulator.merges_move = True
    lead = control.create_contact("lead")
    user = next(one["id"] for one in control.truth("contacts") if one["role"] == "user")
    thread, ticket = control.create_conversation(lead), control.create_ticket(contact=lead)
    control.advance(500)
    control.merge_contacts(lead, user)
    for path in (f"/conversations/{thread}", f"/tickets/{ticket}"):
        record = caller.get(path)
        assert [one["id"] for one in record["contacts"]["contacts"]] == [user]
        assert record["updated_at"] == NOW
    assert thread in control.silent("conversations", NOW + 500)
