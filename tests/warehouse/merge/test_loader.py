"""Batches into Postgres: what is written, what is not, and what a copy may replace."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.errors import TooManyDeletesError
from connector.resources import BY_NAME
from connector.sync.writing.submission import Submission
from connector.warehouse.encode.encoder import encode
from connector.warehouse.merge import diff, loader
from connector.warehouse.merge.batch_merge import KEPT
from connector.warehouse.merge.fuse import Fuse
from connector.warehouse.state.runs import Tally
from connector.warehouse.values.signatures import INTERCOM
from tests.support.records import contact, conversation, listed, part
from tests.support.warehouse import BY_TABLE, Warehouse, at, opened, unix


def changed(warehouse: Warehouse, before: dict[str, set[tuple[str, str]]]) -> dict[str, int]:
    """How many new row versions each table has."""
    after = warehouse.versions()
    return {name: len(after[name] - before[name]) for name in after if after[name] - before[name]}


# -- what is written -------------------------------------------------------------------------


def test_the_same_content_again_writes_not_one_row_version(warehouse):
    people = [contact(str(n), tags=listed("t"), owner_id="9", odd={"n": n}) for n in range(50)]
    talk = conversation(part("a", files=2), part("b"), custom_attributes={"x": [1.0, None]})
    assert warehouse.write("contacts", *people).inserted == 50
    assert warehouse.write("conversations", talk).inserted == 1
    before, content = warehouse.versions(), warehouse.content()
    again = warehouse.write("contacts", *people, read=60, run=2)
    assert (again.inserted, again.updated) == (0, 0)
    assert not warehouse.write("conversations", talk, read=60, run=2, by_id=True).wrote
    assert warehouse.versions() == before
    assert warehouse.content() == content


def test_only_the_rows_that_changed_are_written(warehouse):
    warehouse.write("contacts", *(contact(str(n), name="A") for n in range(20)))
    before = warehouse.versions()
    records = [contact(str(n), name="B" if n == 7 else "A") for n in range(20)]
    written = warehouse.write("contacts", *records, read=60, run=2)
    assert (written.inserted, written.updated) == (0, 1)
    assert changed(warehouse, before) == {"contacts": 1}
    row = warehouse.one("contacts", "7")
    assert (row["name"], row["_run_id"], row["_read_at"]) == ("B", 2, at(60))
    assert warehouse.one("contacts", "8")["_read_at"] == at(0)


def test_a_changed_link_writes_its_owner_once_and_nothing_else(warehouse):
    warehouse.write("contacts", contact("1", tags=listed("a")), contact("2", tags=listed("a")))
    before = warehouse.versions()
    old = warehouse.one("contacts", "1")
    warehouse.write("contacts", contact("1", tags=listed("a", "b")), contact("2"), read=9, run=2)
    assert changed(warehouse, before) == {"contacts": 1, "contact_tags": 1, "tags": 1}
    row = warehouse.one("contacts", "1")
    assert row["_changed_at"] > old["_changed_at"]
    assert (row["_run_id"], row["_read_at"]) == (2, at(9))
    before = warehouse.versions()
    warehouse.write("contacts", contact("1", tags=listed("b")), read=10)
    assert changed(warehouse, before) == {"contacts": 1}
    assert warehouse.one("contacts", "1")["_changed_at"] > row["_changed_at"]


def test_a_changed_part_or_attachment_writes_its_conversation_once(warehouse):
    warehouse.write("conversations", conversation(part("a"), part("b", files=1)))
    for n, parts in enumerate(
        [
            (part("a", "edited"), part("b", files=1)),
            (part("a", "edited"), part("b", files=2)),
            (part("a", "edited"), part("b", files=1)),
            (part("b", files=1),),
        ]
    ):
        before, old = warehouse.versions(), warehouse.one("conversations", "1")
        warehouse.write("conversations", conversation(*parts), read=n + 1)
        new = changed(warehouse, before)
        assert (new["conversations"], new["conversation_parts"]) == (1, 1)
        assert warehouse.one("conversations", "1")["_changed_at"] > old["_changed_at"]


def test_two_batches_in_one_transaction_are_two_batches(warehouse):
    table = BY_TABLE["contacts"]
    first = encode(table, [contact("1", name="A", tags=listed("a"))], [at(0)])
    second = encode(table, [contact("1", name="B"), contact("2")], [at(1)] * 2)
    with warehouse.database.transaction() as conn:
        warehouse.loader.merge(conn, first, 1)
        written = warehouse.loader.merge(conn, second, 1)
    assert (written.inserted, written.updated) == (1, 1)
    assert warehouse.one("contacts", "1")["name"] == "B"


def test_new_changed_older_and_same_records_of_one_batch_are_each_treated_as_they_are(warehouse):
    people = [contact(str(n), 5, name="A", tags=listed("a")) for n in range(4)]
    warehouse.write("contacts", *people)
    warehouse.write("conversations", conversation(contacts={"contacts": [{"id": "4"}]}))
    before = warehouse.versions()
    people[1] |= {"name": "B", "tags": listed("a", "b")}
    people[2] |= {"updated_at": unix(0), "name": "B", "tags": listed("c")}
    people[3] |= {"tags": listed()}
    people += [contact("4", tags=listed("a")), contact("5", owner_id="9", tags=listed("a", "d"))]
    written = warehouse.write("contacts", *people, read=9)
    assert (written.inserted, written.updated) == (1, 3)
    assert written.outdated == ("2",)
    new = changed(warehouse, before)
    assert new == {"contacts": 4, "contact_tags": 4, "tags": 2, "admins": 1}
    assert warehouse.links("contact_tags") == {
        *[("0", "a"), ("1", "a"), ("1", "b"), ("2", "a")],
        *[("4", "a"), ("5", "a"), ("5", "d")],
    }
    assert "c" not in warehouse.rows("tags")


@pytest.fixture
def filling(warehouse, monkeypatch):
    """The warehouse while its contacts are loaded: the last batch of them was all new."""
    monkeypatch.setattr(loader, "MANY", 3)
    warehouse.write("contacts", *(contact(str(n), 5, name="A") for n in range(10)))
    return warehouse


def test_while_a_table_is_filled_a_batch_of_new_rows_is_compared_with_nothing(filling, monkeypatch):
    def refuse(*_: Any) -> str:
        raise AssertionError("nothing is to be compared")

    monkeypatch.setattr(diff, "diff", refuse)
    people = [contact(str(n), tags=listed("a"), owner_id="9") for n in range(10, 20)]
    written = filling.write("contacts", *people)
    assert (written.inserted, written.updated) == (10, 0)
    assert sorted(written.changes.written("contacts")) == [str(n) for n in range(10, 20)]
    assert filling.links("contact_tags") == {(str(n), "a") for n in range(10, 20)}
    assert set(filling.rows("admins")) == {"9"}


def test_while_a_table_is_filled_what_is_stored_is_treated_as_it_is(filling):
    filling.write("conversations", conversation(contacts={"contacts": [{"id": "99"}]}))
    older = [contact("1", 4, name="older", tags=listed("c"))]
    same, changed = contact("2", 5, name="A"), contact("3", 6, name="B")
    new = [contact(str(n), tags=listed("a")) for n in range(10, 40)]
    written = filling.write("contacts", *new, *older, same, changed, contact("99"), read=9)
    assert (written.inserted, written.updated) == (30, 2)
    assert written.outdated == ("1",)
    rows = filling.rows("contacts")
    assert rows.keys() == {str(n) for n in (*range(40), 99)}
    assert [rows[key]["name"] for key in "123"] == ["A", "A", "B"]
    assert not rows["99"]["_placeholder"]
    assert filling.links("contact_tags") == {(str(n), "a") for n in range(10, 40)}


def test_new_rows_beside_older_copies_alone_are_all_written(filling):
    new = [contact(str(n), tags=listed("a")) for n in range(10, 40)]
    older = contact("1", 4, name="older", tags=listed("c"))
    for people in (new[:15], [*new[15:], older]):
        written = filling.write("contacts", *people, read=9)
        assert written.inserted == 15
    assert written.outdated == ("1",)
    assert filling.links("contact_tags") == {(str(n), "a") for n in range(10, 40)}
    assert filling.one("contacts", "1")["name"] == "A"


def test_children_that_are_stored_move_to_new_owners_while_a_table_is_filled(
    warehouse, monkeypatch
):
    monkeypatch.setattr(loader, "MANY", 3)
    for first in (0, 10):
        warehouse.write(
            "conversations",
            *(
                conversation(part("a" if n % 10 == 0 else str(n)), id=str(first + n))
                for n in range(5)
            ),
            read=first,
        )
    assert len(warehouse.rows("conversations")) == 10
    assert warehouse.one("conversation_parts", "a")["conversation_id"] == "10"


def test_an_empty_batch_does_nothing(warehouse):
    before = warehouse.versions()
    assert warehouse.write("contacts").inserted == 0
    assert warehouse.versions() == before


# -- older copies ----------------------------------------------------------------------------


def test_an_older_copy_is_refused_with_its_links_and_children(warehouse):
    new = conversation(part("a", "new"), updated=10, tags={"tags": [{"id": "t"}]}, title="new")
    old = conversation(
        part("a", "old", files=3), part("z"), updated=9, tags={"tags": [{"id": "u"}]}, title="old"
    )
    warehouse.write("conversations", new)
    before, content = warehouse.versions(), warehouse.content()
    written = warehouse.write("conversations", old, read=99, by_id=True)
    assert written.outdated == ("1",)
    assert (written.inserted, written.updated) == (0, 0)
    assert warehouse.versions() == before
    assert warehouse.content() == content


def test_a_copy_of_the_same_age_replaces_only_what_was_read_no_later(warehouse):
    warehouse.write("contacts", contact(name="first"), read=10)
    warehouse.write("contacts", contact(name="silent change"), read=20)
    assert warehouse.one("contacts", "1")["name"] == "silent change"
    assert warehouse.write("contacts", contact(name="late"), read=19).outdated == ("1",)
    assert warehouse.one("contacts", "1")["name"] == "silent change"


def test_a_newer_copy_replaces_one_that_was_read_later(warehouse):
    warehouse.write("contacts", contact(updated=1, name="old"), read=50)
    warehouse.write("contacts", contact(updated=2, name="new"), read=40)
    row = warehouse.one("contacts", "1")
    assert (row["name"], row["_read_at"]) == ("new", at(40))


def test_a_separate_list_is_not_refused_for_its_time(warehouse):
    warehouse.write("contacts", contact(updated=1, name="A"), read=10)
    held = {"id": "1", "subscriptions": {"complete": [{"id": "s"}], "total_count": 1}}
    assert warehouse.write("contacts", held, read=9.5).outdated == ()
    assert warehouse.links("contact_subscriptions") == {("1", "s")}
    row = warehouse.one("contacts", "1")
    assert (row["name"], row["_read_at"]) == ("A", at(10))


def test_without_updated_at_the_time_of_the_request_decides(warehouse):
    warehouse.write("tags", {"id": "1", "name": "new"}, read=10)
    assert warehouse.write("tags", {"id": "1", "name": "old"}, read=9).outdated == ("1",)
    assert warehouse.one("tags", "1")["name"] == "new"


def _copy(key: str, updated: int, read: int) -> tuple[dict[str, Any], int]:
    """A whole conversation whose content follows from its age."""
    age = f"{updated}.{read}"
    parts = [part(f"{key}-{n}", age, files=(updated + read) % 3) for n in range(1 + read % 3)]
    record = conversation(
        *parts,
        updated=updated,
        id=key,
        title=age,
        state="open",
        admin_assignee_id=read % 2,
        contacts={"contacts": [{"id": f"c{updated % 2}"}, {"id": f"c{read}"}]},
        tags={"tags": [{"id": f"t{read % 3}", "applied_at": unix(1)}]},
        odd={"age": age},
    )
    return record, read


COPIES = [
    _copy(key, updated, read) for key in ("x", "y") for updated, read in [(1, 1), (1, 3), (2, 2)]
]


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.permutations(COPIES),
    st.lists(st.sampled_from(COPIES), max_size=4),
    st.integers(1, len(COPIES)),
)
def test_the_order_and_number_of_copies_does_not_matter(warehouse, copies, repeated, size):
    def load(batches: list[list[tuple[dict[str, Any], int]]]) -> dict[str, Any]:
        warehouse.clear()
        for batch in batches:
            records, reads = [record for record, _ in batch], [at(read) for _, read in batch]
            warehouse.merge(encode(BY_TABLE["conversations"], records, reads))
        rows = warehouse.rows("conversations")
        return {
            "rows": {
                key: (row["title"], row["extra"], row["_read_at"], row["admin_assignee_id"])
                for key, row in rows.items()
            },
            "links": [
                warehouse.links(name) for name in ("conversation_tags", "conversation_contacts")
            ],
            "parts": {
                key: row["body"]
                for key, row in warehouse.rows("conversation_parts").items()
                if not row["_deleted_at"]
            },
            "files": warehouse.links("conversation_part_attachments"),
        }

    newest = [_copy("x", 2, 2), _copy("y", 2, 2)]
    arrival = [*copies, *repeated]
    batches = [arrival[n : n + size] for n in range(0, len(arrival), size)]
    got, expected = load(batches), load([newest])
    living = set(expected["parts"])
    files = {pair for pair in got["files"] if pair[0] in living}
    assert {**got, "files": files} == expected


# -- several copies of one object in one batch ------------------------------------------------


def test_each_copy_that_was_read_is_counted(warehouse):
    copies = [contact("1", 1), contact("1", 2), contact("1", 3), contact("2")]
    tally = Tally()
    warehouse.write("contacts", *copies).count(tally, len(copies), 0, Counter())
    assert (tally.fetched, tally.inserted, tally.updated, tally.unchanged) == (4, 2, 0, 2)


def _versions(draw: Any) -> list[tuple[dict[str, Any], int, list[dict[str, Any]] | None]]:
    """Copies of one contact of different ages, each with its own lists; and separate lists of it.

    A copy, when it was asked for, and its complete list of tags if that was read.
    """
    found: list[tuple[dict[str, Any], int, list[dict[str, Any]] | None]] = []
    for read in draw(st.permutations(range(6)))[: draw(st.integers(1, 6))]:
        tags = draw(st.lists(st.sampled_from("abcdef"), max_size=3, unique=True))
        kind = draw(st.sampled_from(["whole", "cut", "complete", "absent", "separate"]))
        record: dict[str, Any] = {"id": "1"}
        if kind == "separate":
            name = draw(st.sampled_from(["notes", "subscriptions"]))
            elements = [{"id": f"{read}{tag}"} for tag in tags]
            found.append((record | {name: {"complete": elements}}, read, None))
            continue
        record |= {"updated_at": unix(draw(st.integers(0, 3))), "name": f"as of {read}"}
        if kind != "absent":
            record["tags"] = listed(*tags, has_more=kind in ("cut", "complete"))
        complete = [{"id": tag} for tag in (*tags, "z")] if kind == "complete" else None
        found.append((record, read, complete))
    return found


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def test_a_batch_of_many_copies_is_what_they_are_newest_first(warehouse, data):
    versions = _versions(data.draw)
    stored = data.draw(st.booleans())

    def begin() -> None:
        warehouse.clear()
        if stored:
            warehouse.write("contacts", contact(updated=1, name="stored", tags=listed("s")))

    def content() -> dict[str, Any]:
        # Lists that are put together have one time, which rows made of them get.
        apart = {"contact_notes", *([] if copies or stored else ["contacts"])}
        return {
            name: [
                {k: v for k, v in r.items() if k != "_read_at" or name not in apart} for r in rows
            ]
            for name, rows in warehouse.content().items()
            if name in ("contacts", "contact_tags", "contact_notes", "contact_subscriptions")
        }

    copies = [one for one in versions if "updated_at" in one[0]]
    copies.sort(key=lambda one: (one[0]["updated_at"], one[1]), reverse=True)
    # Of separate lists the last of each kind.
    lists = sorted((one for one in versions if one not in copies), key=lambda one: one[1])
    separate = {"notes" in record: (record, read, None) for record, read, _ in lists}
    begin()
    for record, read, complete in (*copies, *separate.values()):
        own = {(0, "contact_tags"): complete} if complete is not None else None
        warehouse.write("contacts", record, read=read, complete_lists=own)
    expected = content()
    arrival = data.draw(st.permutations(versions))
    begin()
    batch = encode(
        BY_TABLE["contacts"],
        [record for record, _, _ in arrival],
        [at(read) for _, read, _ in arrival],
        {
            (place, "contact_tags"): complete
            for place, (_, _, complete) in enumerate(arrival)
            if complete is not None
        },
    )
    warehouse.merge(batch)
    assert content() == expected


def test_the_complete_list_of_an_older_copy_gives_way_to_the_list_of_a_newer_one(warehouse):
    older = contact(updated=1, tags=listed("a", has_more=True))
    newer = contact(updated=2, tags=listed("n", has_more=False))
    elements = [{"id": "a"}, {"id": "b"}]
    for records, place in (([older, newer], 0), ([newer, older], 1)):
        warehouse.clear()
        complete_lists = {(place, "contact_tags"): elements}
        warehouse.write("contacts", *records, complete_lists=complete_lists)
        assert warehouse.links("contact_tags") == {("1", "n")}


def test_lists_keep_to_their_records_when_submissions_are_joined():
    one, other = (Submission(BY_NAME["users"].table, Tally(), "users") for _ in range(2))
    one.add([contact("1"), contact("2")], at(0))
    one.complete_lists[1, "contact_tags"] = ["b"]
    other.add([contact("1"), contact("3")], at(1))
    other.complete_lists |= {(0, "contact_tags"): ["a"], (1, "contact_tags"): ["c"]}
    one.take_in(other)
    owners = [one.records[place] for place, _ in one.complete_lists]
    assert {owner["id"] for owner in owners if not isinstance(owner, bytes)} == {"1", "2", "3"}
    assert one.complete_lists == {
        (1, "contact_tags"): ["b"],
        (2, "contact_tags"): ["a"],
        (3, "contact_tags"): ["c"],
    }


# -- placeholders ----------------------------------------------------------------------------


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
    assert changed(warehouse, before) == {
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


# -- deletions -------------------------------------------------------------------------------


def delete(warehouse: Warehouse, *keys: str, when: float = 100) -> int:
    times = dict.fromkeys(keys, at(when))
    with warehouse.database.transaction() as conn:
        return len(warehouse.loader.mark_deleted(conn, BY_TABLE["contacts"], times, 5))


def test_a_deletion_is_dated_counted_and_not_repeated(warehouse):
    warehouse.write("contacts", contact("1"), contact("2"))
    old = warehouse.one("contacts", "1")["_changed_at"]
    assert delete(warehouse, "1", "nobody") == 1
    row = warehouse.one("contacts", "1")
    assert (row["_deleted_at"], row["_run_id"]) == (at(100), 5)
    assert row["_changed_at"] > old
    assert delete(warehouse, "1", when=200) == 0
    assert warehouse.one("contacts", "1")["_deleted_at"] == at(100)


def test_intercoms_own_time_of_a_deletion_corrects_what_was_found_out_and_counts_once(warehouse):
    table = BY_TABLE["contacts"]

    def exact(key: str, when: float) -> list[str]:
        with warehouse.database.transaction() as conn:
            return warehouse.loader.mark_deleted(
                conn, table, {key: at(when)}, 6, exact=True, lag=timedelta(seconds=60)
            )

    warehouse.write("contacts", contact("1"), contact("2"), contact("3"), read=100)
    assert delete(warehouse, "1", when=200) == 1
    assert exact("1", 150) == []  # it lived no more
    assert warehouse.one("contacts", "1")["_deleted_at"] == at(150)
    version = warehouse.versions()["contacts"]
    assert exact("1", 150) == []
    assert warehouse.versions()["contacts"] == version
    assert exact("2", 40) == ["2"]  # a list that lagged still showed it
    assert exact("3", 39) == []  # a copy that was read so much later speaks against it
    assert warehouse.one("contacts", "3")["_deleted_at"] is None


def test_what_a_batch_did_is_counted_by_rows_not_by_their_links(warehouse):
    tags: dict[str, Any] = {"tags": {"data": [{"id": str(n)} for n in range(9)], "has_more": False}}
    warehouse.write("contacts", contact("1"), contact("2"))
    written = warehouse.write("contacts", contact("1", **tags), contact("2"), read=1)
    assert (written.inserted, written.updated) == (0, 1)
    members = {"members": {"complete": [{"id": str(n)} for n in range(9)]}}
    warehouse.write("segments", {"id": "s"})
    written = warehouse.write("segments", {"id": "s", **members}, read=1)
    assert (written.inserted, written.updated) == (0, 1)


@pytest.mark.parametrize(
    ("read", "by_id", "revived"),
    [
        (50, False, False),
        (150, False, False),
        (160, False, False),
        (161, False, True),
        (101, True, True),
    ],
)
def test_only_a_read_by_id_or_a_late_list_revives_a_deleted_row(warehouse, read, by_id, revived):
    warehouse.write("contacts", contact(name="A"))
    delete(warehouse, "1")
    record = contact(updated=50, name="B", tags=listed("t"))
    written = warehouse.write("contacts", record, read=read, by_id=by_id, lag=60)
    row = warehouse.one("contacts", "1")
    assert (row["_deleted_at"] is None) is revived
    assert (row["name"], written.updated) == (("B", 1) if revived else ("A", 0))
    assert bool(warehouse.links("contact_tags")) is revived


def test_the_same_content_revives_a_deleted_row_too(warehouse):
    warehouse.write("contacts", contact())
    delete(warehouse, "1")
    assert warehouse.write("contacts", contact(), read=101, by_id=True).updated == 1
    assert warehouse.one("contacts", "1")["_deleted_at"] is None


def absent(warehouse: Warehouse, present: list[str], began: float, *, allow: bool = False) -> int:
    with warehouse.database.transaction() as conn:
        return warehouse.loader.mark_absent(
            conn, BY_TABLE["tags"], [{"id": key} for key in present], at(began), 7, fuse=Fuse(allow)
        )


def test_what_a_complete_list_omits_is_marked_unless_it_was_read_since(warehouse):
    warehouse.write("tags", {"id": "kept"}, {"id": "gone"}, read=1)
    warehouse.write("tags", {"id": "later"}, read=11)
    assert absent(warehouse, ["kept"], 10) == 1
    deleted = {key: row["_deleted_at"] for key, row in warehouse.rows("tags").items()}
    assert deleted == {"kept": None, "gone": at(10), "later": None}


@pytest.mark.parametrize(
    ("alive", "omitted", "refused"),
    [(20, 20, False), (21, 21, True), (100, 21, True), (440, 22, False), (439, 22, True)],
)
def test_more_than_twenty_rows_and_five_per_cent_are_not_marked_unasked(
    warehouse, alive, omitted, refused
):
    ids = [str(n) for n in range(alive)]
    warehouse.write("tags", *({"id": key} for key in ids))
    if refused:
        before = warehouse.versions()
        with pytest.raises(TooManyDeletesError, match=f"{omitted} of {alive} rows of tags"):
            absent(warehouse, ids[omitted:], 10)
        assert warehouse.versions() == before
        assert absent(warehouse, ids[omitted:], 10, allow=True) == omitted
    else:
        assert absent(warehouse, ids[omitted:], 10) == omitted


def test_known_tells_the_age_of_living_rows_only(warehouse):
    warehouse.write("contacts", contact("1", updated=3), contact("2"), contact("3"), read=5)
    warehouse.write("conversations", conversation(contacts={"contacts": [{"id": "9"}]}))
    delete(warehouse, "2")
    with warehouse.database.transaction() as conn:
        known = warehouse.loader.known(conn, BY_TABLE["contacts"], ["1", "2", "9", "nobody"])
    assert list(known) == ["1"]
    assert (known["1"].updated_at, known["1"].read_at) == (at(3), at(5))


# -- extra -----------------------------------------------------------------------------------


def test_a_leftover_that_the_next_copy_does_not_mention_stays(warehouse):
    warehouse.write("contacts", contact(odd=1, other={"a": 1}))
    warehouse.write("contacts", contact(other={"b": 2}), read=1)
    assert warehouse.one("contacts", "1")["extra"] == {"odd": 1, "other": {"b": 2}}
    warehouse.write("contacts", contact(odd=None), read=2)
    assert warehouse.one("contacts", "1")["extra"] == {"odd": None, "other": {"b": 2}}


def test_a_spoilt_value_that_heals_leaves_extra(warehouse):
    spoilt: dict[str, Any] = {
        "name": 5, "location": "x", "custom_attributes": {"k": "\0"}, "tags": {"data": 1},
    }  # fmt: skip
    warehouse.write("contacts", contact(**spoilt))
    assert set(warehouse.one("contacts", "1")["extra"]) == set(spoilt)
    warehouse.write("contacts", contact(name="fine"), contact("2", location=None), read=1)
    assert set(warehouse.one("contacts", "1")["extra"]) == set(spoilt) - {"name"}
    healed: dict[str, Any] = {
        "location": {"city": "X"}, "custom_attributes": {}, "tags": listed(),
    }  # fmt: skip
    warehouse.write("contacts", contact(**healed), read=2)
    assert warehouse.one("contacts", "1")["extra"] is None


def test_a_spoilt_list_keeps_its_original_until_the_list_is_sent_again(warehouse):
    warehouse.write("teams", {"id": "1", "admin_ids": "all"})
    warehouse.write("teams", {"id": "1", "name": "T"}, read=1)
    assert warehouse.one("teams", "1")["extra"] == {"admin_ids": "all"}
    warehouse.write("teams", {"id": "1", "admin_ids": [5]}, read=2)
    assert warehouse.one("teams", "1")["extra"] is None
    assert warehouse.links("team_admins") == {("1", "5")}


# -- schemas ---------------------------------------------------------------------------------


def test_two_schemas_with_the_same_ids_do_not_touch_each_other(warehouse, database_url):
    with opened(database_url) as other:
        warehouse.write("contacts", contact(name="one", tags=listed("a")))
        before = warehouse.versions()
        other.write("contacts", contact(name="two", owner_id="9", tags=listed("b")), read=1)
        other.write("contacts", contact(name="two", tags=listed()), read=2)
        assert warehouse.versions() == before
        assert other.one("contacts", "1")["name"] == "two"
        assert warehouse.rows("admins") == {}


def test_the_lag_of_a_list_is_a_parameter_not_a_constant(warehouse):
    warehouse.write("contacts", contact())
    delete(warehouse, "1")
    batch = encode(BY_TABLE["contacts"], [contact(name="B")], [at(130)])
    assert warehouse.merge(batch, lag=timedelta(seconds=31).total_seconds()).outdated == ("1",)
    assert warehouse.merge(batch, lag=29).updated == 1


# -- what the next full pass costs -------------------------------------------------------------


def test_what_confirms_lists_that_are_embedded_in_part_is_counted(warehouse):
    def requests(name: str) -> int:
        loader, resource = warehouse.loader, BY_NAME[name]
        return warehouse.database.write(lambda conn: loader.cut_requests(conn, resource))

    eleven = listed(*map(str, range(11)))
    ten = listed(*map(str, range(10)))
    warehouse.write(
        "contacts",
        contact("1", role="user", tags=eleven, companies=eleven),
        contact("2", role="user", tags=eleven, companies=ten),
        contact("3", role="lead", tags=eleven),
        contact("4", role="user", tags=ten),
    )
    # A search for each tag, and the list of the one whose companies do not count it.
    assert (requests("users"), requests("leads"), requests("companies")) == (11 + 1, 11, 0)
    warehouse.execute("UPDATE companies SET user_count = 2, _placeholder = false")
    warehouse.execute("UPDATE companies SET user_count = 1 WHERE id = '10'")
    assert requests("users") == 11
    warehouse.execute("UPDATE contacts SET _deleted_at = now() WHERE id = '2'")
    assert requests("users") == 11 + 1  # each company counts one who is gone


# -- what it costs ---------------------------------------------------------------------------


def test_stored_rows_are_looked_up_by_their_index_however_few_statistics_there_are(database_url):
    with opened(database_url) as warehouse:  # of which nothing was ever counted
        people = [contact(str(n), tags=listed("a")) for n in range(2_000)]
        for name in ("contacts", "contact_tags"):  # or there may be statistics after a while
            warehouse.execute(f"ALTER TABLE {name} SET (autovacuum_enabled = off)")
        warehouse.write("contacts", *people)
        batch = encode(BY_TABLE["contacts"], people[:200], [at(1)] * 200)
        query = "EXPLAIN " + diff.diff(warehouse.loader.names, batch.table, diff.outline(batch))
        with warehouse.database.transaction() as conn:
            warehouse.loader.compare(conn, batch)  # makes and fills the stages
            driver = conn.connection.driver_connection
            assert driver is not None
            cursor = driver.cursor()
            values = {
                "by_id": False,
                "lag": timedelta(0),
                "run_id": 1,
                "signed": INTERCOM.expression,
            }
            cursor.execute(query, values)
            plan = "\n".join(line for (line,) in cursor.fetchall())
        assert "using contacts_pkey on contacts" in plan
        assert "Seq Scan on contacts" not in plan
        assert "Seq Scan on contact_tags" not in plan


def test_stages_that_are_out_of_use_are_dropped(warehouse):
    def stages() -> set[str]:
        with warehouse.database.transaction() as conn:
            found = conn.exec_driver_sql(
                "SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()"
                " AND relkind = 'r' AND relname LIKE '\\_stage\\_%%'"
            )
            return {name.split("_", 3)[3] for name in found.scalars()}

    warehouse.write("macros", {"id": "1"})
    assert "macros" in stages()
    for n in range(KEPT + 1):
        warehouse.write("tags", {"id": "1", "name": str(n)}, read=n)
    assert stages() == {"tags"}
    warehouse.write("macros", {"id": "1", "name": "N"}, read=1)
    assert warehouse.one("macros", "1")["name"] == "N"
