"""Merged contacts: whose rows they are now, and that nothing of theirs counts twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.warehouse import BY_TABLE, Warehouse, at, opened, unix


@pytest.fixture
def warehouse(database_url: str) -> Iterator[Warehouse]:
    with opened(database_url) as warehouse:
        yield warehouse


def merge(warehouse: Warehouse, source: str, target: str | None) -> None:
    row = {"source_contact_id": source, "target_contact_id": target, "merged_at": unix(5)}
    warehouse.write("contact_merges", row)


def identities(warehouse: Warehouse) -> dict[str, str]:
    return {
        row["contact_id"]: row["current_contact_id"]
        for row in warehouse.query("SELECT * FROM contact_identities")
    }


def contact(key: str) -> dict[str, object]:
    return {"id": key, "role": "user", "updated_at": unix(0)}


def event(owner: str, name: str, second: int) -> dict[str, object]:
    return {"contact_id": owner, "event_name": name, "created_at": unix(second)}


def test_identities_follow_chains_of_merges_to_their_end(warehouse):
    warehouse.write("contacts", *map(contact, "abcdx"))
    merge(warehouse, "a", "b")
    merge(warehouse, "b", "c")
    merge(warehouse, "d", "c")
    assert identities(warehouse) == {"a": "c", "b": "c", "c": "c", "d": "c", "x": "x"}


def test_a_circle_of_merges_does_not_hang(warehouse):
    merge(warehouse, "a", "b")
    merge(warehouse, "b", "a")
    assert identities(warehouse).keys() == {"a", "b"}


def test_a_merge_without_a_known_survivor_leaves_the_contact_itself(warehouse):
    merge(warehouse, "a", None)
    assert identities(warehouse) == {"a": "a"}


def test_events_under_several_identities_count_once(warehouse):
    warehouse.write("contacts", *map(contact, "abcx"))
    merge(warehouse, "a", "c")
    merge(warehouse, "b", "c")
    warehouse.write(
        "events",
        event("a", "seen by all", 1),
        event("b", "seen by all", 1),
        event("c", "seen by all", 1),
        event("a", "seen by the merged", 2),
        event("b", "seen by the merged", 2),
        event("a", "seen by one", 3),
        event("a", "seen by one", 4),
        event("x", "seen by all", 1),
    )
    shown = {
        (r["contact_id"], r["event_name"], r["created_at"].second)
        for r in warehouse.query("SELECT * FROM events_live")
    }
    assert shown == {
        ("c", "seen by all", 1),
        ("a", "seen by the merged", 2),
        ("a", "seen by one", 3),
        ("a", "seen by one", 4),
        ("x", "seen by all", 1),
    }


def test_the_source_of_a_merge_is_gone_and_asked_for_no_more(warehouse):
    merge(warehouse, "a", "b")
    with warehouse.database.transaction() as conn:
        marked = warehouse.loader.mark_merged(conn, BY_TABLE["contact_merges"], ["a"], at(9), 1)
        left = warehouse.loader.unfilled(conn, BY_TABLE["contacts"], 3, 10)
    assert (marked, left) == (["a"], ["b"])
    assert warehouse.one("contacts", "a")["_deleted_at"] == at(5)
    assert warehouse.one("contacts", "a")["_placeholder"]


@pytest.mark.parametrize("odd", ["x", {"a": 1}, [1], [{"merged_at": 1}]])
def test_a_history_that_tells_of_no_merge_is_kept(warehouse, odd):
    warehouse.write("contacts", {**contact("1"), "merge_history": odd})
    assert warehouse.one("contacts", "1")["extra"] == {"merge_history": odd}
    history = [{"source_contact_id": "2", "merged_at": 1}]
    warehouse.write("contacts", {**contact("1"), "merge_history": history}, read=1)
    assert warehouse.one("contacts", "1")["extra"] is None
