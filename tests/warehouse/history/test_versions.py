"""Versions of rows: what was, as it is written with each change, ended, emptied and removed."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.warehouse import followers
from connector.warehouse.changes import follow
from connector.warehouse.encode.exclusions import Exclusions
from connector.warehouse.history import kept, steps, tables
from connector.warehouse.merge.loader import Loader
from connector.warehouse.privacy import cleaning, erasure
from connector.warehouse.privacy.excludable import parse
from connector.warehouse.schema import versions
from connector.warehouse.schema.tables import metadata
from tests.support.records import contact, conversation, listed
from tests.support.warehouse import BY_TABLE, at, unix
from tests.warehouse.historian import EVERY, Historian


@pytest.fixture(scope="module")
def shared(database_url: str) -> Iterator[Historian]:
    historian = Historian(database_url, f"past_{os.getpid()}")
    try:
        yield historian
    finally:
        historian.drop()


@pytest.fixture
def past(shared: Historian) -> Historian:
    for name in EVERY:
        shared.execute(f'DROP TABLE IF EXISTS "{versions.name_of(name)}"')
    shared.clear()
    shared.execute("DELETE FROM sync_history; DELETE FROM sync_forgotten; DELETE FROM sync_state")
    shared.loader = Loader(shared.schema, followers=followers.declared())
    return shared


def member(*contacts: str, segment: str = "s") -> dict[str, Any]:
    """The members of a segment, as they are read beside it."""
    return {"id": segment, "members": {"complete": [{"id": key} for key in contacts]}}


# -- what a version holds ----------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_a_version_has_all_columns_of_its_row_but_bookkeeping(past: Historian, name: str) -> None:
    past.keep()
    stored = past.query(
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) AS type,"
        " col_description(c.oid, a.attnum) AS told FROM pg_class c JOIN pg_attribute a"
        " ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE c.relnamespace = to_regnamespace(%s) AND c.relname = ANY(%s)",
        f'"{past.schema}"',
        [name, f"{name}_history"],
    )
    of = {
        table: {r["attname"]: r["type"] for r in stored if r["relname"] == table}
        for table in (name, f"{name}_history")
    }
    row, version = of[name], of[f"{name}_history"]
    arrays = {one.name: "text[]" for one in versions.linked(BY_TABLE[name])}
    for left in ("_changed_at", "_read_at", "_deleted_at", "_placeholder"):
        del row[left]
    own = {"valid_from": "timestamp with time zone", "valid_to": "timestamp with time zone"}
    assert version == row | arrays | own
    assert all(one["told"] for one in stored)


def test_links_have_the_names_of_what_they_lead_to() -> None:
    found = {name: [one.name for one in versions.linked(BY_TABLE[name])] for name in EVERY}
    assert found == {
        "companies": ["tag_ids", "segment_ids"],
        "contacts": ["tag_ids", "company_ids", "subscription_type_ids", "segment_ids"],
        "conversations": ["contact_ids", "tag_ids", "admin_ids"],
        "tickets": ["contact_ids"],
    }


def test_the_tables_are_no_part_of_a_schema_without_history(past: Historian) -> None:
    assert not {versions.name_of(name) for name in EVERY} & metadata().tables.keys()
    past.write("contacts", contact())
    with past.database.transaction() as conn:
        assert versions.there(conn, EVERY) == set()


# -- when a version begins and ends ------------------------------------------------------------


def test_a_version_begins_when_the_object_was_updated(past: Historian) -> None:
    past.keep()
    past.write("contacts", contact("1", 5, name="Ann"), read=9)
    past.write("contacts", contact("1", 20, name="Anna"), read=30)
    past.write("contacts", contact("1", 40, name="Anne"), read=41)
    assert past.spans("contacts") == [(5, 20), (20, 40), (40, None)]
    assert [version["name"] for version in past.past("contacts")] == ["Ann", "Anna", "Anne"]


def test_what_moves_no_updated_at_begins_when_it_was_read(past: Historian) -> None:
    past.keep()
    past.write("contacts", contact("1", 5, browser="a"), read=9)
    past.write("contacts", contact("1", 5, browser="b"), read=30)
    assert past.spans("contacts") == [(5, 30), (30, None)]


def test_an_object_that_was_never_updated_begins_when_it_was_created(past: Historian) -> None:
    past.keep()
    past.write("contacts", {"id": "1", "created_at": unix(3), "updated_at": None}, read=9)
    past.write("contacts", {"id": "2", "updated_at": None}, read=9)
    assert (past.spans("contacts"), past.spans("contacts", "2")) == ([(3, None)], [(9, None)])


def test_no_version_begins_after_it_was_read(past: Historian) -> None:
    past.keep()
    past.write("contacts", contact("1", 500, name="of a clock that is fast"), read=9)
    past.write("contacts", contact("1", 501, name="b"), read=30)
    assert past.spans("contacts") == [(9, 30), (30, None)]


def test_nothing_is_written_where_nothing_changed(past: Historian) -> None:
    past.keep()
    ann = contact("1", 5, name="Ann", tags=listed("a", has_more=False))
    past.write("contacts", ann, contact("2", 5), read=9)
    rows = "SELECT ctid::text, xmin::text FROM contacts_history ORDER BY 1"
    before = past.query(rows)
    past.write("contacts", ann, contact("2", 5), read=30)
    past.write("contacts", contact("1", 4, name="older"), read=31)
    assert past.query(rows) == before


def test_a_change_of_notes_alone_is_none_of_the_contact(past: Historian) -> None:
    past.keep()
    note = {"id": "n", "body": "x", "author": {"id": "7"}}
    past.write("contacts", contact("1", 5), read=9)
    past.write("contacts", contact("1", 5, notes={"complete": [note]}), read=30)
    assert past.spans("contacts") == [(5, None)]


def test_a_signature_is_no_change_though_another_column_made_the_row_be_written(
    past: Historian,
) -> None:
    past.keep()
    address = "https://static.intercomassets.com/a.png?s={}"
    for read, number in ((9, 1), (30, 2)):
        avatar = {"image_url": address.format(number)}
        note = {"id": f"n{number}", "body": "x"}
        past.write(
            "contacts", contact("1", 5, avatar=avatar, notes={"complete": [note]}), read=read
        )
    assert past.one("contacts", "1")["avatar_image_url"] == address.format(2)
    assert past.spans("contacts") == [(5, None)]


def test_links_are_sorted_and_a_change_of_them_is_a_change(past: Historian) -> None:
    past.keep()
    past.write("contacts", contact("1", 5, tags=listed("b", "a", has_more=False)), read=9)
    past.write("contacts", contact("1", 5, tags=listed("c", "a", has_more=False)), read=30)
    assert [v["tag_ids"] for v in past.past("contacts")] == [["a", "b"], ["a", "c"]]
    assert past.spans("contacts") == [(5, 30), (30, None)]
    assert past.past("contacts")[0]["company_ids"] == []


def test_a_list_that_is_read_beside_the_object_counts_from_when_it_was_read(
    past: Historian,
) -> None:
    past.keep()
    past.write("contacts", contact("1", 5, name="Ann"), read=9)
    beside = {"id": "1", "subscriptions": {"complete": [{"id": "s"}]}}
    past.write("contacts", beside, read=50)
    assert past.spans("contacts") == [(5, 50), (50, None)]
    assert past.past("contacts")[1]["subscription_type_ids"] == ["s"]


def test_placeholders_have_no_version_until_they_are_filled(past: Historian) -> None:
    past.keep()
    past.write("conversations", conversation(contacts={"contacts": [{"id": "c"}]}, updated=3))
    assert past.past("contacts", "c") == []
    past.write("contacts", contact("c", 5), read=9)
    assert past.spans("contacts", "c") == [(5, None)]
    assert past.past("conversations")[0]["contact_ids"] == ["c"]


def test_a_deletion_ends_a_version_and_a_revival_begins_another(past: Historian) -> None:
    past.keep()
    past.write("contacts", contact("1", 5), contact("2", 5), read=9)
    past.delete("contacts", "1", 20)
    past.delete("contacts", "2", 2, exact=True)  # before it was seen
    assert (past.spans("contacts"), past.spans("contacts", "2")) == ([(5, 20)], [(5, 5)])
    past.write("contacts", contact("1", 4), read=25)  # an older copy, from a list
    past.write("contacts", contact("1", 5), read=30, by_id=True)
    assert past.spans("contacts") == [(5, 20), (30, None)]


def test_a_time_that_intercom_tells_later_moves_the_end_back(past: Historian) -> None:
    past.keep()
    past.write("contacts", contact("1", 5), read=9)
    past.delete("contacts", "1", 20)
    past.delete("contacts", "1", 15, exact=True)
    assert past.spans("contacts") == [(5, 15)]
    past.delete("contacts", "1", 18, exact=True)
    assert past.spans("contacts") == [(5, 15)]


def test_what_comes_back_and_had_no_version_begins_when_it_was_read(past: Historian) -> None:
    past.write("contacts", contact("1", 5), read=9)
    past.delete("contacts", "1", 20)
    past.keep(25)
    past.write("contacts", contact("1", 5), read=30, by_id=True)
    assert past.spans("contacts") == [(30, None)]


def test_what_a_list_omits_is_closed(past: Historian) -> None:
    past.keep()
    past.write("contacts", contact("1", 5), contact("2", 5), read=9)
    present = [{"id": "2"}]
    past.database.write(
        lambda conn: past.loader.mark_absent(conn, BY_TABLE["contacts"], present, at(40), 3)
    )
    assert past.spans("contacts") == [(5, 40)]
    assert past.spans("contacts", "2") == [(5, None)]


def test_a_version_is_written_in_the_transaction_of_its_row(past: Historian) -> None:
    past.keep()
    past.execute("ALTER TABLE contacts_history ADD CHECK (name <> 'no')")
    with pytest.raises(Exception, match="name_check"):
        past.write("contacts", contact("1", name="no"))
    assert past.rows("contacts") == {}


# -- members of groups -------------------------------------------------------------------------


def test_who_moves_between_segments_gets_a_version(past: Historian) -> None:
    past.execute("INSERT INTO sync_state (resource, cursor) VALUES ('contact_segments', now())")
    past.keep()
    past.write("segments", {"id": "s", "name": "VIP", "updated_at": unix(0)})
    past.write("contacts", contact("1", 5), contact("2", 5), read=9)
    past.write("segments", member("1", "2"), read=20)
    past.write("segments", member("2", "3"), read=30)
    assert past.spans("contacts") == [(5, 20), (20, 30), (30, None)]
    assert [v["segment_ids"] for v in past.past("contacts")] == [[], ["s"], []]
    assert past.spans("contacts", "2") == [(5, 20), (20, None)]
    assert past.past("contacts", "3") == []  # a placeholder
    before = past.query("SELECT ctid, xmin::text FROM contacts_history")
    past.write("segments", member("2", "3"), read=40)
    assert past.query("SELECT ctid, xmin::text FROM contacts_history") == before


def test_what_a_first_load_reads_of_segments_is_no_change(past: Historian) -> None:
    past.keep()
    past.write("segments", {"id": "s", "name": "VIP", "updated_at": unix(0)})
    past.write("contacts", contact("1", 5), contact("2", 5), read=9)
    past.write("segments", member("1"), read=20)
    assert past.past("contacts")[0]["segment_ids"] == []
    (history,) = [
        h for h in past.database.write(kept.now_kept).values() if h.table_name == "contacts"
    ]
    assert not past.database.write(partial(steps.may_add_memberships, history=history))
    past.execute("INSERT INTO sync_state (resource, cursor) VALUES ('contact_segments', now())")
    assert past.database.write(partial(steps.may_add_memberships, history=history))
    add = partial(steps.add_memberships, names=past.loader.names, table=history.table)
    assert past.database.write(lambda conn: add(conn, after="")) == "2"
    assert past.database.write(lambda conn: add(conn, after="2")) is None
    assert [(v["segment_ids"], v["valid_to"]) for v in past.past("contacts")] == [(["s"], None)]
    assert past.past("contacts", "2")[0]["segment_ids"] == []


# -- on and off --------------------------------------------------------------------------------


def test_turned_on_later_it_begins_then(past: Historian) -> None:
    past.write("contacts", contact("1", 5), contact("2", 5), contact("3", 5), read=9)
    past.delete("contacts", "3", 12)
    past.keep(20)
    past.keep(25)  # it is on
    past.write("contacts", contact("1", 15), read=26)
    past.write("contacts", contact("2", 30), read=40)
    past.write("contacts", contact("4", 6), read=40)
    assert past.spans("contacts") == [(20, 20.000001), (20.000001, None)]
    assert past.spans("contacts", "2") == [(20, 30), (30, None)]
    assert past.spans("contacts", "3") == []
    assert past.spans("contacts", "4") == [(20, None)]


def test_turned_off_it_ends_and_turned_on_again_it_begins_again(past: Historian) -> None:
    past.keep()
    past.write("contacts", contact("1", 5), read=9)
    past.database.write(partial(steps.end, names=("contacts",), now=at(20)))
    history = past.database.write(kept.all_kept)["contacts"]
    number = past.database.write(
        partial(steps.blocks, names=past.loader.names, table=history.table)
    )
    assert number == 1
    close = partial(steps.close, names=past.loader.names, history=history, block=0)
    past.database.write(close)
    past.follow()
    past.write("contacts", contact("1", 30), read=31)
    assert past.spans("contacts") == [(5, 20)]
    past.keep(40)
    past.write("contacts", contact("1", 50), read=51)
    assert past.spans("contacts") == [(5, 20), (40, 50), (50, None)]


def test_two_versions_of_a_row_are_never_open(past: Historian) -> None:
    past.keep()
    past.write("contacts", contact("1", 5), read=9)
    with pytest.raises(Exception, match="contacts_history_open_idx"):
        past.execute("INSERT INTO contacts_history (id, valid_from) VALUES ('1', '2030-01-01')")


def test_a_table_grows_with_what_is_declared(past: Historian) -> None:
    past.keep()
    past.execute("ALTER TABLE contacts_history DROP COLUMN browser, DROP COLUMN segment_ids")
    past.database.write(lambda conn: tables.bring(conn, ()))
    past.write("contacts", contact("1", 5, browser="b"), read=9)
    assert past.past("contacts")[0]["browser"] == "b"
    told = "SELECT col_description('contacts_history'::regclass, attnum) AS told FROM pg_attribute"
    (row,) = past.query(
        f"{told} WHERE attrelid = 'contacts_history'::regclass AND attname = 'browser'"
    )
    assert row["told"]


def test_a_table_that_somebody_dropped_is_made_anew_and_begins_anew(past: Historian) -> None:
    past.keep()
    past.write("contacts", contact("1", 5), read=9)
    past.execute("DROP TABLE contacts_history")
    past.follow()
    past.write("contacts", contact("1", 10), read=11)  # nothing fails
    past.keep(20)
    assert past.spans("contacts") == [(20, None)]


def test_what_ended_long_ago_is_removed(past: Historian) -> None:
    past.keep()
    for second in (5, 20, 40):
        past.write("contacts", contact("1", second), contact("2", 5), read=second + 1)
    past.delete("contacts", "2", 15)
    history = past.database.write(kept.all_kept)["contacts"]
    prune = partial(steps.prune, names=past.loader.names, history=history, block=0)
    past.database.write(lambda conn: prune(conn, before=at(30)))
    assert past.spans("contacts") == [(20, 40), (40, None)]
    assert past.spans("contacts", "2") == []


# -- what must not be kept ---------------------------------------------------------------------


def forget(past: Historian, *ids: str, reason: str = erasure.FORGOTTEN) -> None:
    def work(conn: sa.Connection) -> None:
        changes = erasure.forget(conn, past.loader.names, ids, reason, at(90), 9)
        follow(conn, past.loader.names, changes, past.loader.followers)

    past.database.write(work)


def talk(updated: int, *people: str, body: str = "secret words") -> dict[str, Any]:
    source = {"author": {"type": "user", "id": people[0], "name": "Ann"}, "body": body}
    contacts = {"contacts": [{"id": key} for key in people]}
    return conversation(updated=updated, contacts=contacts, source=source, title=body)


@pytest.mark.parametrize("on", [True, False])
def test_who_is_forgotten_is_emptied_in_all_versions(past: Historian, on: bool) -> None:
    past.keep()
    past.write("contacts", contact("a", 5, name="secret one"), contact("b", 5, name="Bo"), read=9)
    past.write("contacts", contact("a", 20, name="secret two", odd="secret three"), read=21)
    past.write("contacts", contact("a", 30, name=None), read=31)  # nothing to empty in the row
    past.write("conversations", talk(5, "a"), read=9)
    past.write("conversations", talk(20, "b", body="mine"), read=21)  # of the survivor of a merge
    if not on:
        past.database.write(partial(steps.end, names=EVERY, now=at(40)))
        past.follow()
    forget(past, "a")
    assert "secret" not in past.text()
    assert [v["name"] for v in past.past("contacts", "a")] == [None] * 3
    assert [v["name"] for v in past.past("contacts", "b")] == ["Bo"]
    assert [v["source_body"] for v in past.past("conversations")] == [None, "mine"]
    assert len(past.past("contacts", "a")) == 3  # emptying is no change
    past.write("contacts", contact("a", 50, name="secret four"), read=51)
    assert past.past("contacts", "a")[-1]["name"] is None


def test_what_a_forgotten_contact_joins_is_emptied_back_to_its_beginning(past: Historian) -> None:
    past.keep()
    past.write("contacts", contact("a", 5), contact("b", 5), read=9)
    past.write("tickets", {"id": "1", "updated_at": unix(5), "ticket_attributes": {"x": "secret"}})
    forget(past, "a")
    joined = {"contacts": [{"id": "a"}]}
    ticket = {"id": "1", "updated_at": unix(9), "ticket_attributes": {"x": "secret"}}
    past.write("tickets", ticket | {"contacts": joined}, read=10)
    assert "secret" not in past.text()


def test_who_was_merged_away_is_emptied_alone(past: Historian) -> None:
    past.keep()
    past.write("contacts", contact("a", 5, name="secret one"), read=9)
    past.write("conversations", talk(5, "a", body="words that live on"), read=9)
    forget(past, "a", reason=erasure.MERGED)
    assert past.past("contacts", "a")[0]["name"] is None
    assert past.past("conversations")[0]["source_body"] == "words that live on"


def clean(past: Historian, exclusions: Exclusions) -> None:
    names = past.loader.names
    past.database.write(lambda conn: cleaning.begin(conn, exclusions))
    while past.database.write(lambda conn: cleaning.step(conn, names, exclusions, 5)):
        pass


@pytest.mark.parametrize("size", [1, 2_000])
def test_what_is_newly_excluded_goes_from_versions_too(
    past: Historian, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(cleaning, "BATCH", size)
    past.execute("DELETE FROM sync_exclusions")
    past.keep()
    for second, mail in ((5, "secret@one"), (20, "secret@two"), (30, "secret@two")):
        record = contact("1", second, email=mail, phone="secret", odd="secret")
        past.write("contacts", record | {"custom_attributes": {"vat": "secret", "n": second}})
    before = past.spans("contacts")
    names = "contacts.phone,hash:contacts.email,contacts.extra.odd,contacts.custom_attributes.vat"
    exclusions = parse(names, "k" * 32)
    clean(past, exclusions)
    assert "secret" not in past.text()
    row, found = past.one("contacts", "1"), past.past("contacts")
    assert found[0]["email"] != found[1]["email"] == found[2]["email"] == row["email"]
    assert [v["custom_attributes"] for v in found] == [{"n": 5}, {"n": 20}, {"n": 30}]
    again = contact("1", 30, email="secret@two", phone="secret", odd="secret")
    again |= {"custom_attributes": {"vat": "secret", "n": 30}}
    past.write("contacts", again, read=60, exclusions=exclusions)
    assert past.spans("contacts") == before  # what is stored in another manner is no change
    past.execute("DELETE FROM sync_exclusions")


def test_a_table_that_goes_while_it_is_cleaned_leaves_nothing_after_it_out(
    past: Historian, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "BATCH", 1)
    past.execute("DELETE FROM sync_exclusions")
    past.keep()
    past.write("contacts", contact("1", 5, email="secret one"), read=9)
    past.write("conversations", talk(5, "1"), read=9)
    exclusions = parse("contacts.email,conversations.source_body,conversations.title")
    past.database.write(lambda conn: cleaning.begin(conn, exclusions))
    reached = ""
    while reached != "contacts_history":
        past.database.write(lambda conn: cleaning.step(conn, past.loader.names, exclusions, 5))
        (row,) = past.query("SELECT position ->> 'table' AS at FROM sync_exclusions LIMIT 1")
        reached = row["at"]
    past.execute("DROP TABLE contacts_history")
    clean(past, exclusions)
    assert "secret" not in past.text()
    past.execute("DELETE FROM sync_exclusions")


# -- whatever comes, in whatever order ---------------------------------------------------------

KEYS = ("a", "b", "c")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ("copy", "copy", "silent", "silent", "older", "by id", "delete", "told", "tags",
             "beside", "members", "forget", "note")
        ),
        st.sampled_from(KEYS),
        st.integers(0, 3),
    ),
    min_size=4,
    max_size=30,
)  # fmt: skip
_lives = itertools.count(1)


class Random:
    """A life of three contacts, and what the mirror held after each of its steps."""

    def __init__(self, past: Historian) -> None:
        self.past, self.number = past, next(_lives)
        self.updated: dict[str, int] = {}
        self.seen: list[tuple[float, dict[str, dict[str, Any]]]] = []

    def key(self, key: str) -> str:
        return f"{key}{self.number}"

    def step(self, now: int, what: str, key: str, number: int) -> None:
        past, id = self.past, self.key(key)
        if what == "older" and key not in self.updated:
            what = "copy"
        writes = what not in ("delete", "told", "forget", "members", "beside")
        if (writes and key not in self.updated) or (what in ("copy", "by id") and number):
            self.updated[key] = now - 3
        updated = self.updated.get(key, now) - (5 if what == "older" else 0)
        record = contact(id, updated, name=f"n{number}")
        if what == "tags":
            tags = [f"t{one}" for one in range(number)]
            record |= {"tags": listed(*tags, has_more=False)}
        if what == "note":
            record |= {"notes": {"complete": [{"id": f"{id} {now}", "body": "x"}]}}
        if what in ("delete", "told"):
            past.delete("contacts", id, now - (what == "told"), exact=what == "told")
        elif what == "forget":
            forget(past, id)
            for _, rows in self.seen:
                rows.get(id, {})["name"] = None
        elif what == "members":
            chosen = [self.key(one) for one in KEYS[:number]]
            past.write("segments", member(*chosen, segment=f"s{self.number}"), read=now)
        elif what == "beside":
            types = [{"id": f"y{one}"} for one in range(number)]
            past.write("contacts", {"id": id, "subscriptions": {"complete": types}}, read=now)
        else:
            past.write("contacts", record, read=now, by_id=what == "by id", run=now)
        self.seen.append((now + 1, self.rows()))

    def rows(self) -> dict[str, dict[str, Any]]:
        """What lives now, with its links."""
        ids = [self.key(key) for key in KEYS]
        return {
            row["id"]: row
            for row in self.past.query(
                "SELECT id, name, updated_at,"
                " ARRAY(SELECT tag_id FROM contact_tags WHERE contact_id = id ORDER BY 1)"
                " AS tag_ids, ARRAY(SELECT subscription_type_id FROM contact_subscriptions"
                " WHERE contact_id = id ORDER BY 1) AS subscription_type_ids,"
                " ARRAY(SELECT segment_id FROM contact_segments WHERE contact_id = id ORDER BY 1)"
                " AS segment_ids FROM contacts"
                " WHERE id = ANY(%s) AND _deleted_at IS NULL AND NOT _placeholder",
                ids,
            )
        }

    def valid(self, moment: float) -> dict[str, dict[str, Any]]:
        ids = [self.key(key) for key in KEYS]
        rows = self.past.query(
            "SELECT id, name, updated_at, tag_ids, subscription_type_ids, segment_ids"
            " FROM contacts_history WHERE id = ANY(%s) AND valid_from <= %s"
            " AND (valid_to IS NULL OR valid_to > %s)",
            ids,
            at(moment),
            at(moment),
        )
        assert len({row["id"] for row in rows}) == len(rows)
        return {row["id"]: row for row in rows}


@settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(chosen=STEPS)
def test_versions_are_what_rows_were_whatever_comes(
    past: Historian, chosen: list[tuple[str, str, int]]
) -> None:
    if not past.database.write(kept.now_kept):
        row = "INSERT INTO sync_state (resource, cursor) VALUES ('contact_segments', now())"
        past.execute(f"{row} ON CONFLICT DO NOTHING")
        past.keep()
    life = Random(past)
    past.write("segments", {"id": f"s{life.number}", "updated_at": unix(0)})
    for number, (what, key, some) in enumerate(chosen, start=1):
        life.step(10 * number, what, key, some)
    for moment, rows in life.seen:
        assert life.valid(moment) == rows, moment
    for key in KEYS:
        spans = past.spans("contacts", life.key(key))
        assert all(end is None or begin <= end for begin, end in spans)
        assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))
