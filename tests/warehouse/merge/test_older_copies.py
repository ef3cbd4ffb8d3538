"""What a copy may replace, and what several copies of one object in a batch come to."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.resources import BY_NAME
from connector.sync.writing.submission import Submission
from connector.warehouse.encode.encoder import encode
from connector.warehouse.state.runs import Tally
from tests.support.records import contact, conversation, listed, part
from tests.support.warehouse import BY_TABLE, at, unix

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


# -- several copies of one object in one batch -----------------------------------------------


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
