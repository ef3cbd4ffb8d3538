"""Records that are encoded piece by piece make the same rows as all of them at once."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.resources import BY_NAME
from connector.resources.resource import Table
from connector.simulator import Workspace
from connector.warehouse.encode import derived as told_by
from connector.warehouse.encode import pieces
from connector.warehouse.encode.batch import Batch, Staged
from connector.warehouse.encode.encoder import encode
from connector.warehouse.encode.pieces import Made, Pieces

T0 = datetime(2026, 1, 1, tzinfo=UTC)
CONTACTS, CONVERSATIONS = BY_NAME["users"].table, BY_NAME["conversations"].table
COMPANIES, TICKETS = BY_NAME["companies"].table, BY_NAME["tickets"].table
Lists = Mapping[tuple[int, str], Sequence[Any]]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_RECORDS", 3)


def at_once(
    table: Table, records: Sequence[Any], read_at: Sequence[datetime], lists: Lists
) -> Made:
    whole = encode(table, records, read_at, lists)
    return whole, told_by.batches(table, list(told_by.rows(table, records, read_at)))


def rows(staged: Staged) -> Counter[tuple[Any, ...]]:
    """What each row holds and leaves out, wherever that is told."""
    found = Counter[tuple[Any, ...]]()
    for line in staged.data.decode().splitlines():
        row = dict(zip(staged.columns, line.split("\t"), strict=True))
        named = row.pop("_absent", "\\N").strip("{}")
        left_out = staged.absent | (frozenset() if named == "\\N" else {*named.split(",")})
        held = {name: text for name, text in row.items() if name not in left_out}
        found[frozenset(held.items()), left_out] += 1
    assert found.total() == staged.rows
    return found


def told(batch: Batch | None) -> Any:
    if batch is None:
        return None
    staged = {name: rows(staged) for name, staged in batch.staged.items()}
    return staged, batch.misfits, batch.records, batch.read_at, told(batch.separate_lists)


def same(
    table: Table,
    records: Sequence[Any],
    lists: Lists | None = None,
    read_at: Sequence[datetime] = (),
    made_by: Pieces | None = None,
) -> Batch:
    """The batch of the pieces, which is that of all at once."""
    moments = read_at or [T0 + timedelta(seconds=n // 4) for n in range(len(records))]
    texts = [json.dumps(record).encode() if n % 5 else record for n, record in enumerate(records)]
    batch, others = (made_by or Pieces()).make(table, texts, moments, lists or {})
    whole, all_others = at_once(table, records, moments, lists or {})
    assert told(batch) == told(whole)
    assert [(told(b), keys) for b, keys in others] == [(told(b), keys) for b, keys in all_others]
    return batch


def space() -> Workspace:
    return Workspace.generate(5, contacts=40, companies=12, conversations=15, events=0, tickets=8)


def records_of(shelf: Any) -> list[dict[str, Any]]:
    return [json.loads(item.body) for item in shelf.current.values()]


def contact(key: Any, **told: Any) -> dict[str, Any]:
    return {"type": "contact", "id": key, "role": "user", "updated_at": 1_700_000_000, **told}


def test_whatever_a_workspace_holds() -> None:
    workspace = space()
    for table, shelf in (
        (CONTACTS, workspace.contacts),
        (COMPANIES, workspace.companies),
        (CONVERSATIONS, workspace.conversations),
        (TICKETS, workspace.tickets),
    ):
        found = records_of(shelf)
        assert len(found) > pieces.PIECE_RECORDS
        same(table, found)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_is_left_out_comes_twice_or_does_not_fit(seed: int) -> None:
    dice = random.Random(seed)
    made_by = Pieces()
    for table, found in (
        (CONTACTS, records_of(space().contacts)),
        (CONVERSATIONS, records_of(space().conversations)),
    ) * 2:
        some = [dict(record) for record in dice.sample(found, dice.randint(1, len(found)))]
        for record in some:
            for key in dice.sample(sorted(record), dice.choice([0, 0, 1, 5])):
                if key == "id" or (key == "updated_at" and dice.random() < 0.7):
                    continue
                if dice.random() < 0.5:
                    del record[key]
                else:
                    record[key] = dice.choice([None, [], {}, "odd", -1, True, [{"id": 7}]])
        for copy in dice.choices(some, k=dice.choice([0, 1, 4])):
            updated_at = dice.choice([copy.get("updated_at"), 1, 2_000_000_000])
            some.append({**copy, "updated_at": updated_at})
        if dice.random() < 0.2:
            some.append({"type": "contact"})  # which can be no row
        dice.shuffle(some)
        same(table, some, made_by=made_by)


def test_the_newest_copy_counts_in_whichever_piece_it_stands() -> None:
    records = [contact(str(n), name=str(n)) for n in range(20)]
    records[1] = contact("17", name="older", updated_at=1)
    records[9] = contact("17", name="newest", updated_at=2_000_000_000)
    batch = same(CONTACTS, records)
    assert batch.staged["contacts"].rows == 18
    assert b"newest" in batch.staged["contacts"].data
    assert b"older" not in batch.staged["contacts"].data


def test_lists_go_with_their_records() -> None:
    records = [contact(str(n), tags={"data": [], "has_more": n == 13}) for n in range(20)]
    batch = same(CONTACTS, records, {(13, "contact_tags"): [{"id": "7"}, {"id": "8"}]})
    assert batch.staged["contact_tags"].data.decode().split() == ["13", "7", "13", "8"] or (
        batch.staged["contact_tags"].rows == 2
    )


def test_a_part_that_two_conversations_show_is_one_row() -> None:
    def conversation(key: int) -> dict[str, Any]:
        parts = {"conversation_parts": [{"id": "1", "body": str(key)}], "total_count": 1}
        return {"id": str(key), "updated_at": 1_700_000_000, "conversation_parts": parts}

    batch = same(CONVERSATIONS, [conversation(n) for n in range(9)])
    assert batch.staged["conversation_parts"].rows == 1


@pytest.mark.parametrize("both", [False, True])
def test_separate_lists_beside_copies(both: bool) -> None:
    copies = [contact(str(n)) for n in range(8)]
    lists = [
        {"id": str(n if both else n + 100), "subscriptions": {"complete": [{"id": "3"}]}}
        for n in range(8)
    ]
    made_by = Pieces()
    for records in ([*copies, *lists], lists, copies):
        batch = same(CONTACTS, records, made_by=made_by)
    assert "updated_at" not in batch.staged["contacts"].absent
    assert "updated_at" in same(CONTACTS, lists, made_by=made_by).staged["contacts"].absent


def test_separate_lists_of_one_object_in_several_pieces() -> None:
    def subscribed(key: str, to: str) -> dict[str, Any]:
        return {"id": key, "subscriptions": {"complete": [{"id": to}]}}

    first = [contact("1"), subscribed("1", "7"), contact("2")]
    second = [contact("3"), subscribed("3", "7"), {"id": "1", "tags": {"data": [{"id": "9"}]}}]
    batch = same(CONTACTS, [*first, *second])
    assert batch.separate_lists is not None
    assert batch.separate_lists.staged["contacts"].rows == 2


def test_what_records_tell_of_other_tables() -> None:
    merges = [[{"source_contact_id": str(n)}, {"source_contact_id": "77"}] for n in range(8)]
    records = [contact(str(n + 100), merge_history=told) for n, told in enumerate(merges)]
    moments = [T0] * len(records)
    _, ((batch, keys),) = Pieces().make(CONTACTS, records, moments, {})
    assert sorted(keys) == [*map(str, range(8)), *["77"] * 8]
    assert batch.staged["contact_merges"].rows == 9
    same(CONTACTS, records)


def test_what_some_leave_out_is_known_for_the_next_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = Counter[str]()

    def counting(*args: Any) -> Batch:
        calls["encode"] += 1
        return encode(*args)

    monkeypatch.setattr(pieces, "encode", counting)
    made_by = Pieces()
    records = [contact(str(n), **{"phone": "1"} if n % 6 else {}) for n in range(12)]
    same(CONTACTS, records, made_by=made_by)
    assert calls.pop("encode") == 8  # four pieces, of which two and two are not alike
    same(CONTACTS, records, made_by=made_by)
    assert calls.pop("encode") == 4


def test_a_batch_is_divided_by_ids() -> None:
    tags = [{"data": [{"id": str(tag)} for tag in range(n % 3)]} for n in range(20)]
    records = [contact(f"k{n}", name="é", tags=tags[n]) for n in range(20)]
    batch, _ = Pieces().make(CONTACTS, records, [T0] * 20, {})
    chosen = {"k3", "k4", "k17", "other"}
    others, those = batch.divided(chosen)
    assert set(batch.ids) == {*others.ids, *those.ids}
    assert set(those.ids) == chosen - {"other"}
    for part, wanted in ((others, False), (those, True)):
        some = [record for record in records if (record["id"] in chosen) is wanted]
        alone, _ = Pieces().make(CONTACTS, some, [T0] * len(some), {})
        assert told(part)[0] == told(alone)[0]


@pytest.mark.parametrize(
    ("table", "records"),
    [
        (CONTACTS, [contact("a\\b")]),  # written otherwise than it is
        (CONTACTS, [contact("1", notes={"complete": [{"id": "7"}]})]),  # children may be stored
        (BY_NAME["events"].table, [{"contact_id": "1", "event_name": "a", "created_at": 1}]),
    ],
)
def test_other_batches_are_not_divided(table: Table, records: list[dict[str, Any]]) -> None:
    batch, _ = Pieces().make(table, records, [T0], {})
    assert batch.staged[table.name].rows == 1
    assert not batch.ids


def test_no_records_make_an_empty_batch() -> None:
    assert told(same(CONTACTS, [])) == told(encode(CONTACTS, [], []))


def test_pieces_are_cut_by_bytes_and_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 100)
    found = pieces._cuts([b"x" * 60, b"x" * 30, b"x" * 30, b"x" * 300, b"", {}, {}, {}, {}])
    assert [list(places) for places in found] == [[0, 1], [2], [3], [4, 5, 6], [7, 8]]
