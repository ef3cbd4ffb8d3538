"""The simulator's generated workspace and its day of changes: repeatable, varied, consistent."""

from __future__ import annotations

from typing import Any

import pytest

from connector.simulator import Simulator, Workspace
from connector.simulator.transport.caller import Caller, where

NOW = 1_780_000_000
KINDS = ("tags", "segments", "admins", "teams", "companies", "contacts", "conversations")


def make(seed: int = 1, **size: Any) -> Simulator:
    space = Workspace.generate(seed=seed, now=NOW, **size)
    return Simulator(space, clock=lambda: float(NOW), index_lag=30, signed_urls=False)


def test_the_same_seed_gives_the_same_workspace():
    first, second, other = make(1), make(1), make(2)
    for kind in KINDS:
        assert first.control.truth(kind) == second.control.truth(kind)
    assert first.control.truth("contacts") != other.control.truth("contacts")


def test_the_same_seed_gives_the_same_changes():
    first, second = make(1), make(1)
    assert first.control.change(0.1, seed=4) == second.control.change(0.1, seed=4)
    assert first.control.truth("conversations") == second.control.truth("conversations")


@pytest.mark.parametrize("contacts", [0, 1])
def test_tiny_workspaces_answer(contacts):
    simulator = make(contacts=contacts, companies=0, conversations=0, tags=0, segments=0, teams=0)
    caller = Caller(simulator)
    assert len(caller.listed("/contacts")) == contacts
    assert caller.get("/conversations")["pages"]["total_pages"] == 0
    assert caller.get("/companies/scroll")["data"] == []


def test_contents_are_varied():
    simulator = make(contacts=3000, companies=300)
    contacts = simulator.control.truth("contacts")
    users = sum(one["role"] == "user" for one in contacts)
    assert 0.66 < users / len(contacts) < 0.74
    assert all(one["created_at"] <= one["updated_at"] <= NOW for one in contacts)
    assert all(int(one["id"][:8], 16) == one["created_at"] for one in contacts)
    signed_up = {one["signed_up_at"] for one in contacts}
    assert 2_738_966_400 in signed_up
    assert any(at is not None and at < 0 for at in signed_up)
    names = "".join(one["name"] or "" for one in contacts)
    assert all(odd in names for odd in ("🦄", "\t", "\n", "\\", "&amp;", "美"))
    assert any(one["name"] is None for one in contacts)
    assert any(one["name"] == "" for one in contacts)
    for name in ("tags", "companies", "notes"):
        long = sum(one[name]["total_count"] > 10 for one in contacts)
        assert 0 < long < 0.1 * len(contacts)
    emails = [one["email"] for one in contacts if one["role"] == "user" and one["email"]]
    assert len(emails) == len(set(emails))


def test_user_counts_are_right():
    simulator = make()
    counts: dict[str, int] = {}
    for contact in simulator.control.truth("contacts"):
        for company in contact["companies"]["data"]:
            counts[company["id"]] = counts.get(company["id"], 0) + 1
    for company in simulator.control.truth("companies"):
        assert company["user_count"] == counts.get(company["id"], 0)
        assert company["_hidden"] == (company["user_count"] == 0)


def test_after_a_day_of_changes_lists_and_reads_tell_the_truth():
    simulator = make(contacts=400, companies=60, conversations=120)
    caller = Caller(simulator)
    everything = where("created_at", ">", 0)
    for kind in ("contacts", "conversations"):
        caller.found(kind, everything, sort="updated_at")
    for _ in range(5):
        simulator.control.change(0.2)
        simulator.control.advance(40)
    simulator.control.advance(300)
    for kind in ("contacts", "conversations"):
        truth = {one["id"]: one for one in simulator.control.truth(kind)}
        key = "data" if kind == "contacts" else kind
        pages = caller.search(kind, everything, sort="updated_at")
        listed = {one["id"]: one for page in pages for one in page[key]}
        assert set(listed) == set(truth)
        for id, record in listed.items():
            assert record["updated_at"] == truth[id]["updated_at"]
            assert caller.get(f"/{kind}/{id}").items() >= record.items()
    shown = {one["id"] for one in simulator.control.truth("companies") if not one["_hidden"]}
    param, scrolled = None, set()
    while True:
        page = caller.get("/companies/scroll", **({"scroll_param": param} if param else {}))
        param = page["scroll_param"]
        scrolled |= {one["id"] for one in page["data"]}
        if not page["data"]:
            break
    assert scrolled == shown


def test_what_changed_is_what_is_reported():
    simulator = make(contacts=300, companies=40, conversations=60)
    control = simulator.control
    control.advance(1000)
    kinds = ("contacts", "conversations")
    before = {kind: {r["id"]: r for r in control.truth(kind)} for kind in kinds}
    changed = control.change(0.1, seed=1)
    for kind in kinds:
        after = {record["id"]: record for record in control.truth(kind)}
        moved = {id for id, record in after.items() if before[kind].get(id) != record}
        assert moved <= set(changed[kind])
        assert all(after[id]["updated_at"] == NOW + 1000 for id in moved)


def test_whole_lists_are_current_at_once():
    simulator = make()
    control, caller = simulator.control, Caller(simulator)
    tag = control.create_tag("neu")
    control.rename_tag(tag, "neuer")
    assert caller.get(f"/tags/{tag}")["name"] == "neuer"
    segment = control.create_segment("Alle")
    control.advance(10)
    control.update_segment(segment, name="Keine")
    record = caller.get(f"/segments/{segment}")
    assert (record["name"], record["updated_at"]) == ("Keine", NOW + 10)
    team = control.create_team("Neu", ["991267000"])
    control.update_team(team, name="Neuer")
    assert caller.get(f"/teams/{team}")["admin_ids"] == [991267000]
    control.delete_team(team)
    control.delete_segment(segment)
    admin = control.create_admin("Ada", "ada@example.com")
    control.update_admin(admin, away_mode_enabled=True)
    assert caller.get(f"/admins/{admin}")["away_mode_enabled"] is True
    for path in (f"/teams/{team}", f"/segments/{segment}"):
        assert caller.ask("GET", path).status == 404
    bots = [a for a in caller.get("/admins")["admins"] if a["email"].startswith("operator+")]
    assert [bot["email"] for bot in bots] == ["operator+sim00001@intercom.io"]
