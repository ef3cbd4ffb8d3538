"""What is marked as deleted, what is not, and what comes back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from connector.errors import TooManyDeletesError
from connector.warehouse.encode.encoder import encode
from connector.warehouse.merge.fuse import Fuse
from tests.support.records import contact, conversation, listed
from tests.support.warehouse import BY_TABLE, Warehouse, at


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


def test_the_lag_of_a_list_is_a_parameter_not_a_constant(warehouse):
    warehouse.write("contacts", contact())
    delete(warehouse, "1")
    batch = encode(BY_TABLE["contacts"], [contact(name="B")], [at(130)])
    assert warehouse.merge(batch, lag=timedelta(seconds=31).total_seconds()).outdated == ("1",)
    assert warehouse.merge(batch, lag=29).updated == 1
