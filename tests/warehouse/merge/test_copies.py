"""What references copy from objects that have rows of their own is stored nowhere."""

from __future__ import annotations

import json
from typing import Any

import pytest


def talk(*tags: Any, key: str = "p", **more: Any) -> dict[str, Any]:
    """A conversation whose part has these tags."""
    part = {"type": "conversation_part", "id": key, "body": "b", "tags": list(tags)} | more
    wrapper = {"type": "conversation_part.list", "conversation_parts": [part]}
    return {"id": "1", "updated_at": 1, "conversation_parts": wrapper}


def tag(key: str, name: str = "VIP", **more: Any) -> dict[str, Any]:
    return {"type": "tag", "id": key, "name": name} | more


# -- tags of parts ---------------------------------------------------------------------------


def test_tags_of_parts_are_links(warehouse):
    by = {"type": "admin", "id": "9", "name": "Ann"}
    warehouse.write("conversations", talk(tag("1"), tag("2", applied_at=5, applied_by=by)))
    rows = {row["tag_id"]: row for row in warehouse.query("SELECT * FROM conversation_part_tags")}
    assert {row["part_id"] for row in rows.values()} == {"p"}
    assert (rows["1"]["applied_at"], rows["1"]["applied_by_id"]) == (None, None)
    assert rows["2"]["applied_at"].timestamp() == 5
    assert (rows["2"]["applied_by_id"], rows["2"]["applied_by_type"]) == ("9", "admin")
    assert warehouse.one("conversation_parts", "p")["extra"] is None
    assert "tags" not in warehouse.one("conversation_parts", "p")
    assert set(warehouse.rows("tags")) == {"1", "2"}


def test_a_renamed_tag_changes_no_part(warehouse):
    warehouse.write("conversations", talk(tag("1", "its first name")))
    before = warehouse.versions()
    warehouse.write("conversations", talk(tag("1", "new")), read=1)
    assert warehouse.versions() == before
    assert "its first name" not in warehouse.text()


def test_a_changed_tag_of_a_part_changes_the_part_and_its_conversation(warehouse):
    warehouse.write("conversations", talk(tag("1"), tag("2")))
    old = warehouse.one("conversations", "1")["_changed_at"]
    warehouse.write("conversations", talk(tag("2"), tag("3")), read=1, run=2)
    assert warehouse.links("conversation_part_tags") == {("p", "2"), ("p", "3")}
    assert warehouse.one("conversation_parts", "p")["_run_id"] == 2
    assert warehouse.one("conversations", "1")["_changed_at"] > old


@pytest.mark.parametrize(
    ("tags", "left"),
    [
        ([], set()),
        (None, set()),  # the description lets it be null
        ({"type": "tag.list", "tags": [tag("2")]}, {("p", "2")}),
        ({"type": "list", "data": [tag("2")], "has_more": True}, {("p", "1"), ("p", "2")}),
        ({"type": "tag.list", "tags": []}, set()),
        ("text", {("p", "1")}),
        ([tag("2"), "text"], {("p", "1"), ("p", "2")}),
        ([{"name": "no id"}], {("p", "1")}),
    ],
)
def test_only_a_whole_list_removes_tags_of_a_part(warehouse, tags, left):
    warehouse.write("conversations", talk(tag("1")))
    record = talk()
    record["conversation_parts"]["conversation_parts"][0]["tags"] = tags
    warehouse.write("conversations", record, read=1)
    assert warehouse.links("conversation_part_tags") == left


def test_an_absent_list_and_a_part_that_was_cut_off_keep_their_tags(warehouse):
    warehouse.write("conversations", talk(tag("1")))
    record = talk()
    del record["conversation_parts"]["conversation_parts"][0]["tags"]
    warehouse.write("conversations", record, read=1)
    assert warehouse.links("conversation_part_tags") == {("p", "1")}
    parts = [{"id": f"q{n}", "tags": []} for n in range(500)]
    record["conversation_parts"]["conversation_parts"] = parts
    warehouse.write("conversations", record, read=2)
    assert warehouse.links("conversation_part_tags") == {("p", "1")}
    record["conversation_parts"]["conversation_parts"] = parts[:1]
    warehouse.write("conversations", record, read=3)
    assert warehouse.links("conversation_part_tags") == {("p", "1")}  # deletion removes no link


def test_an_older_copy_brings_no_tags_of_parts(warehouse):
    warehouse.write("conversations", talk(tag("1")) | {"updated_at": 5})
    warehouse.write("conversations", talk(tag("2")) | {"updated_at": 4}, read=1)
    assert warehouse.links("conversation_part_tags") == {("p", "1")}


# -- references inside JSON ------------------------------------------------------------------

STATE = {
    "type": "ticket_state",
    "id": "5",
    "category": "submitted",
    "internal_label": "COPY",
    "external_label": "COPY",
}
TYPE = {"type": "ticket_type", "id": "6", "name": "COPY", "description": "COPY", "icon": "C"}
ADMIN = {"type": "admin", "id": "7", "name": "COPY", "email": "COPY", "team_ids": [1]}
CONTACT = {"type": "user", "id": "8", "external_id": "COPY", "name": "COPY", "email": "COPY"}
TEAM_TIME = {"team_id": 3, "team_name": "COPY", "response_time": 9}
PLACES: list[tuple[str, dict[str, Any], str, Any]] = [
    ("articles", {"tags": {"tags": [tag("1", "COPY")]}}, "tags", [{"type": "tag", "id": "1"}]),
    ("articles", {"tags": {"tags": [{"id": "1", "name": "COPY"}]}}, "tags", [{"id": "1"}]),
    (
        "ticket_types",
        {"ticket_states": {"data": [STATE]}},
        "ticket_states",
        [{"type": "ticket_state", "id": "5"}],
    ),
    (
        "ticket_states",
        {"ticket_types": {"data": [TYPE | {"later": 1}]}},
        "ticket_types",
        [{"type": "ticket_type", "id": "6", "later": 1}],
    ),
    (
        "companies",
        {"notes": {"data": [{"type": "note", "id": "n", "author": ADMIN, "body": "b"}]}},
        "notes",
        [{"type": "note", "id": "n", "author": {"type": "admin", "id": "7"}, "body": "b"}],
    ),
    (
        "conversations",
        {"statistics": {"assigned_team_first_response_time": [TEAM_TIME]}},
        "statistics_assigned_team_first_response_time",
        [{"team_id": 3, "response_time": 9}],
    ),
    (
        "conversations",
        {"ticket": {"id": "1", "ticket_type": TYPE, "ticket_state": STATE}},
        "ticket",
        {
            "id": "1",
            "ticket_type": {"type": "ticket_type", "id": "6"},
            "ticket_state": {"type": "ticket_state", "id": "5"},
        },
    ),
    (
        "conversations",
        {"scorecards": [{"id": "s", "reviewed_teammate": ADMIN}]},
        "scorecards",
        [{"id": "s", "reviewed_teammate": {"type": "admin", "id": "7"}}],
    ),
    (
        "contacts",
        {"later": {"owner": ADMIN | {"mood": "good"}, "with": [CONTACT]}},
        "extra",
        {
            "later": {
                "owner": {"type": "admin", "id": "7", "mood": "good"},
                "with": [{"type": "user", "id": "8"}],
            }
        },
    ),
    (
        "tickets",
        {"company": {"type": "company", "id": "9", "name": "COPY"}},
        "extra",
        {"company": {"type": "company", "id": "9"}},
    ),
    (
        "tickets",
        {"linked_objects": {"data": [{"type": "ticket", "id": "2", "category": "Tracker"}]}},
        "linked_objects",
        [{"type": "ticket", "id": "2", "category": "Tracker"}],
    ),
]


@pytest.mark.parametrize(("table", "record", "column", "stored"), PLACES)
def test_what_a_reference_copies_is_not_stored(warehouse, table, record, column, stored):
    warehouse.write(table, {"id": "1", "updated_at": 1, **record})
    assert warehouse.one(table, "1")[column] == stored
    assert "COPY" not in warehouse.text()


@pytest.mark.parametrize("table", ["conversations", "tickets"])
def test_whom_a_part_assigned_to_is_named_by_id_and_type_alone(warehouse, table):
    name = f"{table[:-1]}_parts"
    part = {"id": "p", "assigned_to": {"type": "admin", "id": "7", "name": "COPY", "email": "COPY"}}
    warehouse.write(table, {"id": "1", name: {name: [part | {"later": 1}]}})
    row = warehouse.one(name, "p")
    assert (row["assigned_to_id"], row["assigned_to_type"]) == ("7", "admin")
    assert row["extra"] == {"later": 1}
    assert "COPY" not in warehouse.text()


def test_authors_as_they_were_and_maps_of_the_customer_are_data(warehouse):
    own = {"owner": {"type": "admin", "id": "7", "name": "theirs"}}
    side = [
        {
            "type": "conversation_part",
            "id": "s",
            "author": {"type": "admin", "id": "7", "name": "then"},
        }
    ]
    record = talk(author={"type": "admin", "id": "7", "name": "then", "email": "e"})
    warehouse.write("conversations", record | {"custom_attributes": own, "side": side})
    assert warehouse.one("conversations", "1")["custom_attributes"] == own
    assert warehouse.one("conversations", "1")["extra"] == {"side": side}
    assert warehouse.one("conversation_parts", "p")["author_name"] == "then"


def test_a_rename_elsewhere_rewrites_nothing(warehouse):
    def write(name: str, read: float) -> int:
        changed = 0
        for number, (table, record, _, _) in enumerate(PLACES):
            renamed = json.loads(json.dumps(record).replace("COPY", name))
            one = {"id": str(number), "updated_at": 1, **renamed}
            changed += warehouse.write(table, one, read=read).updated
        return changed

    write("before", 0)
    before = warehouse.versions()
    assert write("after", 1) == 0
    assert warehouse.versions() == before
