"""Where the leaves of a record are in a warehouse, and which are nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from connector.resources.declarations.data_attributes import DATA_ATTRIBUTES
from connector.resources.readings import Snapshot
from connector.sync.readings.lists import _told
from tests.support.warehouse import BY_TABLE, Warehouse

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
