"""Every leaf of every documented reply is in the warehouse: in a column, link, child or extra.

The collector below knows the rules of the tables, not the encoder: it walks a payload, leaves out
what is no data, and looks for each value where an analyst would.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import structs

from connector.simulator.records.plain import PLAIN
from connector.warehouse.encode.encoder import encode
from connector.warehouse.sql import staging
from tests.support.leaves import CHILDREN, LINKS, Collector, as_read
from tests.support.places import DATA
from tests.support.warehouse import BY_TABLE, T0

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


def lists_in(value: Any, *path: str) -> Iterator[str]:
    """The paths of the lists in a record that are not empty."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from lists_in(inner, *path, key)
    elif isinstance(value, list) and value:
        yield ".".join(path)


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
    poorer = structs.replace(
        table, columns=tuple(column for column in table.columns if column.name != "email")
    )
    record = {"id": "1", "email": "a@example.com"}
    warehouse.merge(encode(poorer, [record], [T0]))
    assert warehouse.one("contacts", "1")["extra"] == {"email": "a@example.com"}
    assert Collector(warehouse).lost("contacts", record) == []
    warehouse.execute("UPDATE contacts SET extra = NULL")
    assert Collector(warehouse).lost("contacts", record) == ["contacts.email = 'a@example.com'"]
