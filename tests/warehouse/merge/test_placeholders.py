"""Rows for what is referred to and has not been read."""

from __future__ import annotations

from tests.support.records import contact, conversation, listed, part
from tests.support.warehouse import BY_TABLE, at


def test_what_is_referred_to_gets_a_placeholder_that_the_object_fills_in(warehouse):
    warehouse.write("contacts", contact(owner_id="9", tags=listed("t"), companies=listed("c")))
    for table, key in (("admins", "9"), ("tags", "t"), ("companies", "c")):
        row = warehouse.one(table, key)
        assert row["_placeholder"] is True
        assert row["_read_at"] is row["_deleted_at"] is None
        assert row["_run_id"] == 1
    written = warehouse.write("tags", {"id": "t", "name": "T"}, read=-100, run=2)
    assert (written.inserted, written.updated) == (0, 1)
    row = warehouse.one("tags", "t")
    assert (row["name"], row["_placeholder"], row["_read_at"]) == ("T", False, at(-100))
    warehouse.write("contacts", contact("2", tags=listed("t")))
    assert warehouse.one("tags", "t")["_placeholder"] is False


def test_a_placeholder_is_filled_even_by_an_empty_object(warehouse):
    warehouse.write("contacts", contact(tags=listed("t")))
    warehouse.write("tags", {"id": "t"})
    assert warehouse.one("tags", "t")["_placeholder"] is False


def test_a_placeholder_never_becomes_a_deletion(warehouse):
    warehouse.write("contacts", contact(tags=listed("t")))
    table = BY_TABLE["tags"]
    with warehouse.database.transaction() as conn:
        assert warehouse.loader.mark_deleted(conn, table, {"t": at(9), "nobody": at(9)}, 2) == []
        assert warehouse.loader.mark_absent(conn, table, [], at(9), 2) == 0
    row = warehouse.one("tags", "t")
    assert (row["_placeholder"], row["_deleted_at"]) == (True, None)


def test_placeholders_are_offered_a_bounded_number_of_times_least_tried_first(warehouse):
    warehouse.write("contacts", contact(tags=listed("a", "b", "c")))
    table, loader = BY_TABLE["tags"], warehouse.loader
    with warehouse.database.transaction() as conn:
        assert loader.unfilled(conn, table, 2, 2) == ["a", "b"]
        loader.note_tried(conn, table, ["a", "b"])
        assert loader.unfilled(conn, table, 2, 9) == ["c", "a", "b"]
        loader.note_tried(conn, table, ["a"])
        assert loader.unfilled(conn, table, 2, 9) == ["c", "b"]
        conn.rollback()


def test_every_foreign_key_holds_at_the_commit(warehouse):
    talk = conversation(
        part("p", files=1),
        admin_assignee_id=1,
        team_assignee_id=2,
        company={"id": "3"},
        conversation_rating={"contact": {"id": "4"}, "teammate": {"id": 5}},
        statistics={"last_closed_by_id": 6},
        teammates={"admins": [{"id": "7"}]},
        contacts={"contacts": [{"id": "8"}]},
    )
    warehouse.write("conversations", talk)
    assert set(warehouse.rows("admins")) == {"1", "5", "6", "7"}
    assert set(warehouse.rows("contacts")) == {"4", "8"}
    assert set(warehouse.rows("teams")) == {"2"}
    assert set(warehouse.rows("companies")) == {"3"}
