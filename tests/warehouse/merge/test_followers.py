"""What a merge tells its followers, and that they write in its transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from connector.warehouse.changes import Changes, follow, relation
from connector.warehouse.followers import declared
from connector.warehouse.merge.loader import Loader
from connector.warehouse.privacy import erasure
from connector.warehouse.sql.execute import execute, fetch
from connector.warehouse.sql.names import Names
from tests.support.records import contact, conversation, listed, part
from tests.support.warehouse import BY_TABLE, Warehouse, at


@dataclass
class Recorder:
    """Keeps what it was told, and looks at the rows while the transaction is open."""

    needs_children: bool = False
    needs_members: bool = False
    told: list[Changes] = field(default_factory=list)
    seen: list[Any] = field(default_factory=list)
    fails: bool = False

    def follow(self, conn: sa.Connection, names: Names, changes: Changes) -> None:
        self.told.append(changes)
        rows = relation(names, BY_TABLE["contacts"], changes.written("contacts"))
        self.seen += fetch(conn, f"SELECT r.id, r.name FROM {rows.text}", rows.parameters)
        if self.fails:
            raise ValueError("no")


@pytest.fixture
def warehouse(shared: Warehouse) -> Warehouse:
    shared.clear()
    shared.loader = Loader(shared.schema, followers=declared())
    return shared


def followed(warehouse: Warehouse, **options: Any) -> Recorder:
    """A recorder that follows what the warehouse does from now on."""
    recorder = Recorder(**options)
    warehouse.loader = Loader(warehouse.schema, followers=[*declared(), recorder])
    return recorder


def test_a_merge_tells_which_rows_are_new_and_which_changed(warehouse: Warehouse) -> None:
    recorder = followed(warehouse)
    warehouse.write("contacts", contact("1", name="Ann"), contact("2", name="Bo"))
    warehouse.write("contacts", contact("1", 1, name="Anna"), contact("2", name="Bo"), read=1)
    warehouse.write("contacts", contact("1", 1, name="Anna"), read=2)  # nothing changed
    first, second = recorder.told
    assert set(first.inserted["contacts"].keys or ()) == {"1", "2"}
    assert not first.updated
    assert second.updated["contacts"].keys == ["1"]
    assert not second.inserted
    assert sorted(recorder.seen) == [("1", "Ann"), ("1", "Anna"), ("2", "Bo")]


def test_a_row_whose_links_or_children_change_is_updated(warehouse: Warehouse) -> None:
    recorder = followed(warehouse)
    warehouse.write("contacts", contact("1", tags=listed("a", has_more=False)))
    warehouse.write("contacts", contact("1", tags=listed("b", has_more=False)), read=1)
    assert recorder.told[-1].updated["contacts"].keys == ["1"]
    warehouse.write("conversations", conversation(part("p1"), part("p2")))
    warehouse.write("conversations", conversation(part("p1"), part("p2", "new")), read=1)
    assert recorder.told[-1].updated["conversations"].keys == ["1"]


@pytest.mark.parametrize("asked", [True, False])
def test_keys_of_children_are_told_where_somebody_asks(warehouse: Warehouse, asked: bool) -> None:
    recorder = followed(warehouse, needs_children=asked)
    warehouse.write("conversations", conversation(part("p1", files=1), part("p2", files=2)))
    inserted = recorder.told[-1].inserted
    assert inserted["conversation_parts"].number == 2
    files = inserted["conversation_part_attachments"]
    assert files.number == 3
    assert (files.keys is not None) is asked
    if asked:
        assert set(inserted["conversation_parts"].keys or ()) == {"p1", "p2"}


def test_what_is_gone_is_told_with_its_time(warehouse: Warehouse) -> None:
    warehouse.write("contacts", contact("1"), contact("2"))
    recorder = followed(warehouse)
    table, times = BY_TABLE["contacts"], {"1": at(5), "nobody": at(6)}
    warehouse.database.write(
        lambda conn: warehouse.loader.mark_deleted(conn, table, times, 7, merged=["1"])
    )
    (changes,) = recorder.told
    assert changes.run_id == 7
    assert changes.marked("contacts") == ["1"]
    found = changes.deleted["contacts"]
    assert [(found[key].at, found[key].merged, found[key].lived) for key in times] == [
        (at(5), True, True),
        (at(6), False, False),
    ]


def test_what_a_complete_list_omits_is_told(warehouse: Warehouse) -> None:
    warehouse.write("tags", {"id": "1", "name": "x"}, {"id": "2", "name": "y"})
    recorder = followed(warehouse)
    present = [{"id": "1", "name": "x"}]
    warehouse.database.write(
        lambda conn: warehouse.loader.mark_absent(conn, BY_TABLE["tags"], present, at(9), 3)
    )
    assert recorder.told[-1].marked("tags") == ["2"]


def test_what_is_erased_is_told_and_parents_have_changed(warehouse: Warehouse) -> None:
    author = {"type": "user", "id": "c", "name": "Ann", "email": "a@b.c"}
    warehouse.write("contacts", contact("c", name="Ann"))
    warehouse.write("conversations", conversation(part("p1") | {"author": author}))
    recorder = followed(warehouse)

    def work(conn: sa.Connection) -> None:
        names = warehouse.loader.names
        changes = erasure.forget(conn, names, ["c"], erasure.FORGOTTEN, at(1), 9)
        follow(conn, names, changes, warehouse.loader.followers)

    warehouse.database.write(work)
    (changes,) = recorder.told
    assert changes.erased["contacts"].keys == ["c"]
    assert changes.erased["conversation_parts"].keys == ["p1"]
    assert warehouse.one("conversations", "1")["_run_id"] == 9


def test_a_follower_that_fails_takes_the_merge_with_it(warehouse: Warehouse) -> None:
    followed(warehouse, fails=True)
    with pytest.raises(ValueError, match="no"):
        warehouse.write("contacts", contact("1"))
    assert warehouse.rows("contacts") == {}


def test_what_waits_for_a_row_goes_with_it(warehouse: Warehouse) -> None:
    warehouse.write("tags", {"id": "1", "name": "x"})

    def work(conn: sa.Connection) -> None:
        names = warehouse.loader.names
        execute(
            conn,
            f"INSERT INTO {names('sync_pending')} (resource, id, reason, not_before)"
            " VALUES ('tags', '1', 'x', now())",
        )
        loader, lag = warehouse.loader, timedelta(0)
        loader.mark_deleted(conn, BY_TABLE["tags"], {"1": at(1)}, 2, lag=lag)

    warehouse.database.write(work)
    assert warehouse.query("SELECT * FROM sync_pending") == []


@pytest.mark.parametrize("scrubs", [False, True])
def test_children_that_a_list_omits_are_told_and_followed(
    warehouse: Warehouse, scrubs: bool
) -> None:
    recorder = Recorder()
    followers = [*declared(scrubs_deleted=scrubs), recorder]
    warehouse.loader = Loader(warehouse.schema, followers=followers)
    both = conversation(part("p1", files=1), part("p2", files=2))
    warehouse.write("conversations", both)
    one = conversation(part("p1"), updated=1)
    warehouse.write("conversations", one, read=1)
    changes = recorder.told[-1]
    assert changes.marked("conversation_parts") == ["p2"]
    assert changes.marked("conversation_part_attachments") == ["p1"]  # it stands under its owner
    assert changes.updated["conversations"].keys == ["1"]
    assert warehouse.one("conversation_parts", "p2")["_deleted_at"] == at(1)
