"""Lists of links and children: what a whole list removes and a cut one leaves."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.records import contact, conversation, listed, part
from tests.support.warehouse import BY_TABLE, at, unix

# -- links -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "incomplete",
    [
        {"tags": listed("a", has_more=True)},
        {"tags": listed("a", total_count=2)},
        {"tags": listed("a", has_more=None)},
        {"tags": None},
        {"tags": {"data": None}},
        {"tags": {}},
        {},
    ],
)
def test_a_list_that_is_cut_null_or_absent_removes_no_link(warehouse, incomplete):
    warehouse.write("contacts", contact(tags=listed("a", "b", has_more=False)))
    warehouse.write("contacts", contact(name="new") | incomplete, read=1)
    assert warehouse.links("contact_tags") == {("1", "a"), ("1", "b")}
    assert warehouse.one("contacts", "1")["name"] == "new"


def test_a_complete_list_removes_the_links_it_omits_and_no_other_owners(warehouse):
    warehouse.write("contacts", contact("1", tags=listed("a", "b")), contact("2", tags=listed("a")))
    warehouse.write("contacts", contact("1", tags=listed("b", has_more=False)), read=1)
    assert warehouse.links("contact_tags") == {("1", "b"), ("2", "a")}
    warehouse.write("contacts", contact("1", tags=listed()), read=2)
    assert warehouse.links("contact_tags") == {("2", "a")}


def test_a_complete_list_that_was_read_for_its_record_counts_as_complete(warehouse):
    cut = contact(tags=listed("a", has_more=True))
    warehouse.write("contacts", contact(tags=listed("a", "b", "c")))
    complete_lists = {(0, "contact_tags"): [{"id": "a"}, {"id": "c", "applied_at": unix(5)}]}
    warehouse.write("contacts", cut, read=1, complete_lists=complete_lists)
    assert warehouse.links("contact_tags") == {("1", "a"), ("1", "c")}


def test_what_is_told_of_a_link_is_kept_when_it_is_not_told_again(warehouse):
    told = {"id": "a", "applied_at": unix(5), "applied_by": {"type": "admin", "id": "9"}}
    warehouse.write("contacts", contact(tags={"data": [told]}))
    before = warehouse.versions()
    warehouse.write("contacts", contact(tags=listed("a")), read=1)
    assert warehouse.versions() == before
    [link] = warehouse.query("SELECT * FROM contact_tags")
    assert (link["applied_at"], link["applied_by_id"], link["applied_by_type"]) == (
        at(5),
        "9",
        "admin",
    )


def test_the_deletion_of_an_object_removes_no_links(warehouse):
    warehouse.write("contacts", contact(tags=listed("a")))
    with warehouse.database.transaction() as conn:
        warehouse.loader.mark_deleted(conn, BY_TABLE["contacts"], {"1": at(9)}, 2)
    assert warehouse.links("contact_tags") == {("1", "a")}


# -- children --------------------------------------------------------------------------------


def test_a_part_that_a_complete_list_omits_is_marked_deleted_and_comes_back(warehouse):
    warehouse.write("conversations", conversation(part("a"), part("b", files=1)))
    warehouse.write("conversations", conversation(part("a")), read=7, run=3)
    gone = warehouse.one("conversation_parts", "b")
    assert (gone["_deleted_at"], gone["_run_id"], gone["body"]) == (at(7), 3, "text")
    assert warehouse.one("conversations", "1")["parts_stored"] == 1
    before = warehouse.versions()
    warehouse.write("conversations", conversation(part("a")), read=8, run=4)
    assert warehouse.versions() == before
    warehouse.write("conversations", conversation(part("a"), part("b", files=1)), read=9)
    assert warehouse.one("conversation_parts", "b")["_deleted_at"] is None
    assert warehouse.one("conversations", "1")["parts_stored"] == 2


def test_parts_that_are_held_back_change_nothing_and_what_changed_beside_them_counts(warehouse):
    warehouse.write("conversations", conversation(*(part(f"p{n}") for n in range(100))))
    before, content = warehouse.versions(), warehouse.content()
    for n in range(3):
        merged = warehouse.write("conversations", conversation(part("p0")), read=n + 1, run=n + 2)
        assert merged.held == {"conversation_parts": ["1"]}
        assert not merged.changes
        assert warehouse.versions() == before
    assert warehouse.content() == content
    new = conversation(part("p0", "edited", files=1), part("new"), updated=1, title="new")
    other = conversation(part("q"), id="2")
    merged = warehouse.write("conversations", new, other, read=9, run=9)
    assert (merged.inserted, merged.updated) == (1, 1)
    assert not merged.changes.deleted
    assert warehouse.written_since(before) == {
        "conversations": 2,
        "conversation_parts": 3,
        "conversation_part_attachments": 1,
        "_conversation_figures": 2,
    }
    row = warehouse.one("conversations", "1")
    assert (row["title"], row["_run_id"], row["parts_stored"]) == ("new", 9, 101)


@pytest.mark.parametrize("absent", [{}, {"conversation_parts": None}, {"conversation_parts": {}}])
def test_a_copy_without_parts_says_nothing_of_them(warehouse, absent):
    warehouse.write("conversations", conversation(part("a")))
    warehouse.write("conversations", {"id": "1", "updated_at": unix(1)} | absent, read=1)
    row = warehouse.one("conversations", "1")
    assert (row["parts_stored"], row["parts_truncated"]) == (1, False)
    assert warehouse.one("conversation_parts", "a")["_deleted_at"] is None


def test_a_part_that_moves_is_counted_where_it_is(warehouse):
    warehouse.write("conversations", conversation(part("a"), part("b")), conversation(id="2"))
    moved = [conversation(part("a")), conversation(part("b"), id="2")]
    assert warehouse.write("conversations", *moved, read=1).updated == 2
    rows = warehouse.rows("conversations")
    assert (rows["1"]["parts_stored"], rows["2"]["parts_stored"]) == (1, 1)
    part_b = warehouse.one("conversation_parts", "b")
    assert (part_b["conversation_id"], part_b["_deleted_at"]) == ("2", None)


def test_parts_that_move_are_not_held_back(warehouse):
    parts = [part(f"p{n}") for n in range(30)]
    warehouse.write("conversations", conversation(*parts))
    moved = [conversation(), conversation(*parts, id="2")]
    merged = warehouse.write("conversations", *moved, read=1)
    assert merged.held == {}
    owners = {row["conversation_id"] for row in warehouse.rows("conversation_parts").values()}
    assert owners == {"2"}


def test_a_cut_list_of_parts_marks_nothing_and_is_told(warehouse):
    warehouse.write("conversations", conversation(part("old")))
    newest = [part(f"p{n}") for n in range(500)]
    warehouse.write("conversations", conversation(*newest), read=1)
    row = warehouse.one("conversations", "1")
    assert (row["parts_stored"], row["parts_truncated"]) == (501, True)
    assert warehouse.one("conversation_parts", "old")["_deleted_at"] is None
    cut = conversation(part("old"))
    cut["conversation_parts"]["total_count"] = 2
    warehouse.write("conversations", cut, read=2)
    row = warehouse.one("conversations", "1")
    assert (row["parts_stored"], row["parts_truncated"]) == (501, True)
    warehouse.write("conversations", conversation(*newest[:499]), read=3)
    row = warehouse.one("conversations", "1")
    assert (row["parts_stored"], row["parts_truncated"]) == (499, False)


def test_an_attachment_that_its_part_no_longer_lists_is_removed(warehouse):
    def places() -> set[tuple[Any, ...]]:
        return warehouse.links("conversation_part_attachments")

    warehouse.write("conversations", conversation(part("a", files=3), part("b", files=1)))
    assert places() == {("a", 0), ("a", 1), ("a", 2), ("b", 0)}
    warehouse.write("conversations", conversation(part("a", files=1), part("b", files=1)), read=1)
    assert places() == {("a", 0), ("b", 0)}
    silent = conversation({"id": "a", "body": "text"}, {"id": "b", "attachments": None})
    warehouse.write("conversations", silent, read=2)
    assert places() == {("a", 0), ("b", 0)}
