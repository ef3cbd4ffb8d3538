"""Batches into Postgres: what is written, and what is not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from connector.resources import BY_NAME
from connector.warehouse.encode.encoder import encode
from connector.warehouse.merge import diff, loader
from connector.warehouse.merge.batch_merge import KEPT
from connector.warehouse.values.signatures import INTERCOM
from tests.support.records import contact, conversation, listed, part
from tests.support.warehouse import BY_TABLE, at, opened, unix

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
    assert warehouse.written_since(before) == {"contacts": 1}
    row = warehouse.one("contacts", "7")
    assert (row["name"], row["_run_id"], row["_read_at"]) == ("B", 2, at(60))
    assert warehouse.one("contacts", "8")["_read_at"] == at(0)


def test_a_changed_link_writes_its_owner_once_and_nothing_else(warehouse):
    warehouse.write("contacts", contact("1", tags=listed("a")), contact("2", tags=listed("a")))
    before = warehouse.versions()
    old = warehouse.one("contacts", "1")
    warehouse.write("contacts", contact("1", tags=listed("a", "b")), contact("2"), read=9, run=2)
    assert warehouse.written_since(before) == {"contacts": 1, "contact_tags": 1, "tags": 1}
    row = warehouse.one("contacts", "1")
    assert row["_changed_at"] > old["_changed_at"]
    assert (row["_run_id"], row["_read_at"]) == (2, at(9))
    before = warehouse.versions()
    warehouse.write("contacts", contact("1", tags=listed("b")), read=10)
    assert warehouse.written_since(before) == {"contacts": 1}
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
        new = warehouse.written_since(before)
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
    new = warehouse.written_since(before)
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


# -- what the next full pass costs -----------------------------------------------------------


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
