"""Every leaf of every documented reply is in the warehouse: in a column, link, child or extra.

The collector below knows the rules of the tables, not the encoder: it walks a payload, leaves out
what is no data, and looks for each value where an analyst would.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connector.resources.declarations.data_attributes import DATA_ATTRIBUTES
from connector.resources.readings import Snapshot
from connector.simulator.records.plain import PLAIN
from connector.sync.readings.lists import _told
from connector.warehouse.encode.encoder import encode
from connector.warehouse.sql import staging
from tests.warehouse import BY_TABLE, T0, Warehouse, opened

DATA = Path(__file__).parent / "data"
REPLIES = [
    (version, reply)
    for version in ("2.16", "preview")
    for reply in json.loads((DATA / f"examples-{version}.json").read_text(encoding="utf-8"))
]
# Of plain lists the simulator's own records are examples too.
REPLIES += [
    ("simulated", {"reply": f"GET {one.path}", "table": kind, "records": one.records})
    for kind, one in PLAIN.items()
    if one.records
]
NAMES = [f"{version} {reply['reply']}" for version, reply in REPLIES]

# (table, path of the list): link table, its columns for owner and target, the targets' table
LINKS = {
    ("teams", "admin_ids"): ("team_admins", "team_id", "admin_id", "admins"),
    ("companies", "tags.tags"): ("company_tags", "company_id", "tag_id", "tags"),
    ("companies", "segments.segments"): (
        "company_segments",
        "company_id",
        "segment_id",
        "segments",
    ),
    ("contacts", "tags.data"): ("contact_tags", "contact_id", "tag_id", "tags"),
    ("contacts", "companies.data"): ("contact_companies", "contact_id", "company_id", "companies"),
    ("contacts", "companies.companies"): (
        "contact_companies",
        "contact_id",
        "company_id",
        "companies",
    ),
    ("conversations", "contacts.contacts"): (
        "conversation_contacts",
        "conversation_id",
        "contact_id",
        "contacts",
    ),
    ("conversations", "tags.tags"): ("conversation_tags", "conversation_id", "tag_id", "tags"),
    ("conversations", "teammates.admins"): (
        "conversation_teammates",
        "conversation_id",
        "admin_id",
        "admins",
    ),
    ("conversations", "teammates.teammates"): (
        "conversation_teammates",
        "conversation_id",
        "admin_id",
        "admins",
    ),
    ("contacts", "subscriptions.complete"): (
        "contact_subscriptions",
        "contact_id",
        "subscription_type_id",
        "subscription_types",
    ),
    ("contacts", "opted_out_subscription_types.data"): (
        "contact_subscriptions",
        "contact_id",
        "subscription_type_id",
        "subscription_types",
    ),
    ("contacts", "opted_in_subscription_types.data"): (
        "contact_subscriptions",
        "contact_id",
        "subscription_type_id",
        "subscription_types",
    ),
    ("tickets", "contacts.contacts"): ("ticket_contacts", "ticket_id", "contact_id", "contacts"),
    ("conversation_parts", "tags"): ("conversation_part_tags", "part_id", "tag_id", "tags"),
    ("tickets", "contacts.data"): ("ticket_contacts", "ticket_id", "contact_id", "contacts"),
}
# (table, path of a JSON value): the table whose rows its objects refer to, and how its keys begin
EMBEDDED = {
    ("ticket_types", "ticket_states.data"): ("ticket_states", ""),
    ("ticket_states", "ticket_types.data"): ("ticket_types", ""),
    ("articles", "tags.tags"): ("tags", ""),
    ("conversations", "statistics.assigned_team_first_response_time"): ("teams", "team_"),
    (
        "conversations",
        "statistics.assigned_team_first_response_time_in_office_hours",
    ): ("teams", "team_"),
}
# (table, path of the list): child table, its key
CHILDREN = {
    ("contacts", "notes.complete"): ("contact_notes", "id"),
    ("tickets", "ticket_parts.ticket_parts"): ("ticket_parts", "id"),
    ("conversations", "conversation_parts.conversation_parts"): ("conversation_parts", "id"),
    ("conversation_parts", "attachments"): ("conversation_part_attachments", "position"),
}
# Objects that have rows of their own: a reference tells its id, the rest of it is a copy.
REFERENCES = {
    ("conversations", "company"),
    ("conversations", "conversation_rating.contact"),
    ("conversations", "conversation_rating.teammate"),
    ("contact_notes", "author"),
    ("contact_notes", "contact"),
    ("tickets", "ticket_state"),
    ("tickets", "ticket_type"),
}
# Nested objects that can only be of one kind.
SINGLE = {
    "",
    "avatar",
    "plan",
    "location",
    "social_profiles",
    "team_priority_level",
    "admin_priority_level",
    "statistics",
    "conversation_rating",
    "sla_applied",
    "ai_agent",
    "ai_agent.content_sources",
    "channel",
    "email_message_metadata",
    "source.email_message_metadata",
}
# Lists of references to objects that are read on their own, and refer back.
REPEATED = {("contacts", "notes.data"), ("contacts", "merge_history")}
NOBODY = ("owner_id", "assignee_id", "last_closed_by_id")
# Lists that Intercom wraps and the table holds under the wrapper's name.
UNWRAPPED = {
    "social_profiles.data": "social_profiles",
    "linked_objects.data": "linked_objects",
    "notes.data": "notes",
    "notes.notes": "notes",
    "ai_agent.content_sources.content_sources": "ai_agent_content_sources",
    "ticket_type_attributes.data": "ticket_type_attributes",
    "ticket_states.data": "ticket_states",
    "ticket_types.data": "ticket_types",
    "tags.tags": "tags",
}
MISSING = object()


class Collector:
    """Looks for the leaves of one record in a warehouse."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self._tables: dict[str, list[dict[str, Any]]] = {}

    def lost(self, table: str, record: dict[str, Any]) -> list[str]:
        """The paths of leaves that are nowhere; empty if nothing is lost."""
        row = self._row(table, **{name: record[name] for name in BY_TABLE[table].key})
        return list(self._object(table, row, (), record))

    def _row(self, table: str, **key: Any) -> dict[str, Any] | None:
        if table not in self._tables:
            self._tables[table] = self.warehouse.query(f'SELECT * FROM "{table}"')
        for row in self._tables[table]:
            if all(same(name, row[name], value) for name, value in key.items()):
                return row
        return None

    def _object(
        self, table: str, row: dict[str, Any] | None, path: tuple[str, ...], value: dict[str, Any]
    ) -> Iterator[str]:
        if row is None:
            yield f"{table}: no row for {value}"
            return
        dotted = ".".join(path)
        for key, inner in value.items():
            if (key == "type" and dotted in SINGLE) or self._is_wrapping(key, value):
                continue
            if (table, dotted) in REFERENCES and key != "id":
                continue
            yield from self._leaf(table, row, (*path, key), inner)

    @staticmethod
    def _is_wrapping(key: str, value: dict[str, Any]) -> bool:
        lists = [name for name, inner in value.items() if isinstance(inner, list)]
        wrapper = "has_more" in value or ".list" in str(value.get("type")) or "data" in lists
        if key in ("has_more", "total_count", "pages"):
            return True
        if key == "url":
            return wrapper or value.keys() <= {"id", "type", "url"}
        return key == "type" and wrapper

    def _leaf(
        self, table: str, row: dict[str, Any], path: tuple[str, ...], value: Any
    ) -> Iterator[str]:
        dotted = ".".join(path)
        if (table, dotted) in REPEATED:
            return
        if (table, dotted) in EMBEDDED:
            value = uncopied(*EMBEDDED[table, dotted], value)
        if isinstance(value, list) and (table, dotted) in LINKS:
            yield from self._links(table, row, path, value)
        elif isinstance(value, list) and (table, dotted) in CHILDREN:
            yield from self._children(table, row, dotted, value)
        elif self._in_column(row, path, value) or self._in_extra(row, path, value):
            return
        elif isinstance(value, dict):
            yield from self._object(table, row, path, value)
        elif not self._is_said_otherwise(table, dotted, value):
            yield f"{table}.{dotted} = {value!r}"

    @staticmethod
    def _is_said_otherwise(table: str, dotted: str, value: Any) -> bool:
        """A null in the place of an object or list says the same as its empty columns."""
        declared = [*LINKS, *CHILDREN] + [(table, f"{name}.x") for name in SINGLE]
        declared += [(owner, f"{name}.x") for owner, name in REFERENCES]
        declared += [(table, f"{name}.x") for name in ("source", "assigned_to", "role")]
        declared += [(table, "first_contact_reply.x"), (table, "sales_agent.x")]
        prefixes = {(t, p.rsplit(".", 1)[0]) for t, p in declared}
        return value is None and ((table, dotted) in prefixes or (table, dotted) in CHILDREN)

    def _in_column(self, row: dict[str, Any], path: tuple[str, ...], value: Any) -> bool:
        dotted = ".".join(path)
        name = UNWRAPPED.get(dotted, "_".join(path))
        if path[0] == "conversation_rating":
            name = "_".join(("rating", *path[1:]))
        return name in row and name != "extra" and same(name, row[name], value)

    @staticmethod
    def _in_extra(row: dict[str, Any], path: tuple[str, ...], value: Any) -> bool:
        place = row["extra"]
        for key in path:
            place = place.get(key, MISSING) if isinstance(place, dict) else MISSING
        if place is MISSING:
            return False
        return place == value or place == without_wrapping(value)

    def _links(
        self, table: str, row: dict[str, Any], path: tuple[str, ...], elements: list[Any]
    ) -> Iterator[str]:
        link, owner, target, targets = LINKS[table, ".".join(path)]
        copied = {"type", "url", "id", *BY_TABLE[targets].top_keys()}
        for element in elements:
            element = element if isinstance(element, dict) else {"id": element}
            key = str(element["id"])
            found = self._row(link, **{owner: row["id"], target: key})
            if found is None:
                yield f"{link}: no link to {key}"
                continue
            found = {**found, "extra": row["extra"]}
            for name, value in element.items():
                nested = value if isinstance(value, dict) else {None: value}
                for inner, leaf in nested.items():
                    place = (name, inner) if inner else (name,)
                    if name in copied or self._in_column(found, place, leaf):
                        continue
                    if not self._in_extra(row, (*path, key, *place), leaf):
                        yield f"{link}.{'.'.join(place)} = {leaf!r}"

    def _children(
        self, table: str, row: dict[str, Any], dotted: str, elements: list[Any]
    ) -> Iterator[str]:
        child, key = CHILDREN[table, dotted]
        for position, element in enumerate(elements):
            if key == "position":
                found = self._row(child, part_id=row["id"], position=position)
            else:
                found = self._row(child, id=str(element["id"]))
            yield from self._object(child, found, (), element)


def uncopied(table: str, prefix: str, value: Any) -> Any:
    """References without what they copy from the rows of the table."""
    if isinstance(value, list):
        return [uncopied(table, prefix, element) for element in value]
    if not isinstance(value, dict) or f"{prefix}id" not in value:
        return value
    copied = {f"{prefix}{key}" for key in {*BY_TABLE[table].top_keys(), "url"} - {"id"}}
    return {key: inner for key, inner in value.items() if key not in copied}


def without_wrapping(value: Any) -> Any:
    """An undeclared value without what Intercom only wraps lists and references in."""
    if isinstance(value, list):
        return [without_wrapping(item) for item in value]
    if not isinstance(value, dict):
        return value
    drop = {"has_more", "total_count", "pages"}
    if "has_more" in value or ("data" in value and "url" in value):
        drop |= {"type", "url"}
    elif value.keys() <= {"id", "type", "url"} and "id" in value:
        drop |= {"url"}
    return {key: without_wrapping(item) for key, item in value.items() if key not in drop}


def same(name: str, stored: Any, value: Any) -> bool:
    """Whether a column says what Intercom said."""
    if stored is None:
        return value is None or (name.endswith(NOBODY) and value in (0, "0"))
    if isinstance(stored, datetime):
        if isinstance(value, str):
            return stored == datetime.fromisoformat(value).astimezone(UTC)
        return isinstance(value, int) and stored.timestamp() in (value, value / 1000)
    if isinstance(stored, bool) or isinstance(value, bool):
        return stored is value
    if isinstance(stored, str):
        spoken = value if isinstance(value, str) else json.dumps(value)
        return stored == spoken or ("://" in spoken and stored == spoken.split("?")[0])
    return bool(stored == value)


def as_read(record: dict[str, Any]) -> dict[str, Any]:
    """A record with what its reader tells of it."""
    if record.get("type") != "conversation_attribute":
        return record
    assert isinstance(DATA_ATTRIBUTES.reading, Snapshot)
    [part] = [part for part in DATA_ATTRIBUTES.reading.parts if part.path]
    return _told(record, part)


def lists_in(value: Any, *path: str) -> Iterator[str]:
    """The paths of the lists in a record that are not empty."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from lists_in(inner, *path, key)
    elif isinstance(value, list) and value:
        yield ".".join(path)


@pytest.fixture(scope="module")
def shared(database_url: str) -> Iterator[Warehouse]:
    with opened(database_url) as warehouse:
        yield warehouse


@pytest.fixture
def warehouse(shared: Warehouse) -> Warehouse:
    shared.clear()
    return shared


@pytest.mark.parametrize(("version", "reply"), REPLIES, ids=NAMES)
def test_no_leaf_of_a_documented_reply_is_lost(warehouse, version, reply):
    records = [as_read(record) for record in reply["records"]]
    warehouse.write(reply["table"], *records)
    collector = Collector(warehouse)
    for record in records:
        assert collector.lost(reply["table"], record) == []


# Links whose lists are empty in every documented reply: table and a record that has elements.
FILLED: dict[str, tuple[str, dict[str, Any]]] = {
    "company_tags": ("companies", {"tags": {"type": "tag.list", "tags": [{"id": "t"}]}}),
    "company_segments": (
        "companies",
        {"segments": {"type": "segment.list", "segments": [{"id": "s", "later": 1}]}},
    ),
    "contact_tags": (
        "contacts",
        {"tags": {"data": [{"id": "t", "type": "tag", "url": "/tags/t", "applied_at": 5}]}},
    ),
    "contact_companies": (
        "contacts",
        {"companies": {"data": [{"id": "k", "type": "company", "url": "/companies/k"}]}},
    ),
    "conversation_teammates": (
        "conversations",
        {"teammates": {"type": "admin.list", "admins": [{"type": "admin", "id": "8"}]}},
    ),
}


@pytest.mark.parametrize("link", FILLED)
def test_no_leaf_is_lost_of_a_list_that_documented_replies_leave_empty(warehouse, link):
    table, lists = FILLED[link]
    warehouse.write(table, {"id": "1", **lists})
    assert Collector(warehouse).lost(table, {"id": "1", **lists}) == []
    assert len(warehouse.links(link)) == 1


def test_the_documented_replies_cover_every_resource_and_hold_links_and_children():
    assert {reply["table"] for _, reply in REPLIES} == set(BY_TABLE)
    held = {
        (reply["table"], dotted)
        for _, reply in REPLIES
        for record in reply["records"]
        for dotted in lists_in(record)
    }
    parts = [
        part
        for _, reply in REPLIES
        if reply["table"] == "conversations"
        for record in reply["records"]
        for part in record.get("conversation_parts", {}).get("conversation_parts", [])
    ]
    held |= {("conversation_parts", dotted) for part in parts for dotted in lists_in(part)}
    children = {child for child in CHILDREN if child[0] in BY_TABLE}
    links = {LINKS[path][0] for path in held if path in LINKS}
    assert children <= held
    assert links | FILLED.keys() == {link[0] for link in LINKS.values()}
    assert {name for name in NAMES if "GET /admins/{" in name}
    assert {name for name in NAMES if "GET /companies/scroll" in name}


# -- the collector itself --------------------------------------------------------------------

RICH = {
    "type": "conversation",
    "id": "1",
    "title": "T",
    "created_at": 1734537334,
    "admin_assignee_id": 0,
    "source": {"type": "email", "author": {"type": "lead", "id": "9", "name": "N"}},
    "company": {"type": "company", "id": "k", "name": "copied"},
    "tags": {
        "type": "tag.list",
        "tags": [{"id": "t", "applied_at": 5, "applied_by": {"type": "admin", "id": "8"}}],
    },
    "conversation_rating": {"rating": 5, "contact": {"type": "contact", "id": "c"}},
    "custom_attributes": {"a": 1},
    "tomorrow": {"new": [1, {"deep": "x"}]},
    "conversation_parts": {
        "conversation_parts": [
            {"id": "p", "body": "b", "later": 1, "attachments": [{"name": "f", "width": 3}]}
        ]
    },
}


def test_the_collector_finds_everything_of_a_rich_record(warehouse):
    warehouse.write("conversations", RICH)
    assert Collector(warehouse).lost("conversations", RICH) == []


@pytest.mark.parametrize(
    ("damage", "reported"),
    [
        ("UPDATE conversations SET title = 'other'", "conversations.title = 'T'"),
        ("UPDATE conversations SET title = NULL", "conversations.title = 'T'"),
        ("UPDATE conversations SET created_at = NULL", "conversations.created_at = 1734537334"),
        ("UPDATE conversations SET source_type = NULL", "conversations.source.type = 'email'"),
        (
            "UPDATE conversations SET source_author_name = NULL",
            "conversations.source.author.name = 'N'",
        ),
        ("UPDATE conversations SET company_id = NULL", "conversations.company.id = 'k'"),
        (
            "UPDATE conversations SET rating_rating = 4",
            "conversations.conversation_rating.rating = 5",
        ),
        ("UPDATE conversations SET custom_attributes = '{}'", "conversations.custom_attributes.a"),
        ("UPDATE conversations SET extra = NULL", "conversations.tomorrow.new"),
        (
            """UPDATE conversations SET extra = '{"tomorrow": {"new": [1, {}]}}'""",
            "conversations.tomorrow.new",
        ),
        ("DELETE FROM conversation_tags", "conversation_tags: no link to t"),
        ("UPDATE conversation_tags SET applied_at = NULL", "conversation_tags.applied_at = 5"),
        (
            "UPDATE conversation_tags SET applied_by_id = NULL",
            "conversation_tags.applied_by.id = '8'",
        ),
        ("UPDATE conversation_parts SET body = NULL", "conversation_parts.body = 'b'"),
        ("UPDATE conversation_parts SET extra = NULL", "conversation_parts.later = 1"),
        (
            "UPDATE conversation_part_attachments SET width = NULL",
            "conversation_part_attachments.width = 3",
        ),
        ("DELETE FROM conversation_part_attachments", "conversation_part_attachments: no row"),
    ],
)
def test_the_collector_reports_a_leaf_that_is_lost(warehouse, damage, reported):
    warehouse.write("conversations", RICH)
    warehouse.execute(damage)
    [lost] = Collector(warehouse).lost("conversations", RICH)
    assert lost.startswith(reported)


def test_a_leaf_whose_column_is_no_longer_declared_is_in_extra_and_lost_without_it(
    warehouse, monkeypatch
):
    # One process knows one declaration of a table; the other one goes when the test ends.
    monkeypatch.setattr(staging, "_registry", dict(staging._registry))
    table = BY_TABLE["contacts"]
    poorer = dataclasses.replace(
        table, columns=tuple(column for column in table.columns if column.name != "email")
    )
    record = {"id": "1", "email": "a@example.com"}
    warehouse.merge(encode(poorer, [record], [T0]))
    assert warehouse.one("contacts", "1")["extra"] == {"email": "a@example.com"}
    assert Collector(warehouse).lost("contacts", record) == []
    warehouse.execute("UPDATE contacts SET extra = NULL")
    assert Collector(warehouse).lost("contacts", record) == ["contacts.email = 'a@example.com'"]
