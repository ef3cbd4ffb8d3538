"""What notifications about conversations and tickets hold: the summary and only the new part."""

from __future__ import annotations

import re
from typing import Any
from zlib import crc32

from connector.simulator.encoding import decode, encode
from connector.simulator.records.shelf import Item
from connector.simulator.records.ticket import embedded
from connector.simulator.records.workspace import Record, Workspace
from connector.simulator.webhooks.items import contact, iso

_TAGS = re.compile(r"<[^>]*>")
_EMPTY = (
    "user_id", "url", "ua", "assignee_id", "rule_id", "unauthenticated", "facebook_message_id",
    "client_assigned_uuid", "external_source_id", "identity_verified",
)  # fmt: skip


def conversation(item: Item, *parts: bytes) -> Record:
    """A conversation with these parts and no other; the statistics count all.

    Bodies are plain text, where REST shows HTML.
    """
    record: Record = decode(item.body)
    if record["source"] is not None:
        record["source"] = _plain(record["source"])
    shown = [_plain(decode(part)) for part in parts]
    record["conversation_parts"] = {
        "type": "conversation_part.list",
        "conversation_parts": shown,
        "total_count": len(shown),
    }
    return record


def conversation_gone(id: str) -> Record:
    """What is left of a deleted conversation: its id is not in `id`."""
    return {"type": "conversation", "conversation_id": id}


def conversation_contact(space: Workspace, item: Item, part: bytes, member: Item) -> Record:
    """A contact that came or went, and the conversation as Intercom keeps it inside.

    The conversation's id is a number at `conversation.model.id`.
    """
    app = _app_number(space)
    inside = {
        "parts": [_part_inside(decode(part), item, app, decode(member.body))],
        "options": {"expand_for_notification": True},
        "model": _model(item, app),
    }
    return {"conversation": inside, "contact": contact(member)}


def ticket(space: Workspace, item: Item, *parts: bytes) -> Record:
    """A ticket with these parts and no other; assignees are texts, where REST shows numbers."""
    record: Record = decode(embedded(space, item, 1))
    for name in ("admin_assignee_id", "team_assignee_id"):
        record[name] = str(record[name])
    shown = [decode(part) for part in parts]
    record["ticket_parts"] = {
        "type": "ticket_part.list",
        "ticket_parts": shown,
        "total_count": len(shown),
    }
    return record


def ticket_wrapped(space: Workspace, item: Item, *parts: bytes) -> Record:
    """A closed ticket: within an item that has neither type nor id."""
    return {"ticket": ticket(space, item, *parts)}


def ticket_part(space: Workspace, item: Item, part: bytes) -> Record:
    """A ticket and what was done to it, side by side; the item itself has no id."""
    whole = ticket(space, item, part)
    return {"type": "ticket_ticket_part", "ticket": whole, "ticket_part": decode(part)}


def ticket_contact(space: Workspace, item: Item, member: Item) -> Record:
    """A contact that came or went, and the ticket under a number."""
    record, kind = decode(item.body), space.ticket_types[item.owned.type]
    state = space.ticket_states[item.owned.state]
    attributes = record["ticket_attributes"]
    short = {
        "type": "ticket",
        "id": int(item.id),
        "url": f"https://app.intercom.com/a/apps/{space.app['id_code']}/conversations/{item.id}",
        "custom_attributes": {name: {"value": value} for name, value in attributes.items()},
        "state": state["category"],
        "ticket_type": kind["name"],
        "ticket_type_description": kind["description"],
        "ticket_type_emoji": kind["icon"],
        "ticket_custom_state_admin_label": state["internal_label"],
        "ticket_custom_state_user_label": state["external_label"],
    }
    return {"ticket": short, "contact": contact(member)}


def _plain(record: Record) -> Record:
    body = record.get("body")
    return {**record, "body": _TAGS.sub("", body)} if body else record


def _app_number(space: Workspace) -> int:
    return crc32(space.app["id_code"].encode()) % 10**7


def _model(item: Item, app: int) -> Record:
    contacts = decode(item.body)["contacts"]["contacts"]
    return {
        "app_id": app,
        "id": int(item.id),
        "user_id": contacts[0]["id"] if contacts else None,
        "message_id": crc32(item.id.encode()),
        "created_at": iso(item.created_at),
        "updated_at": iso(item.updated_at),
        "company_id": "-1",
        "message_type": "conversation",
        "read": False,
        "deleted": False,
        "original_user_id": "-1",
        "delivery_state": "delivered",
        "initial_channel": 2,
        "current_channel": 2,
    }


def _part_inside(part: Record, item: Item, app: int, member: Record) -> Record:
    named = {name: member[name] for name in ("id", "name", "email")}
    data: dict[str, Any] = {"participant": {"type": member["role"], **named}}
    author = part["author"]["id"]
    return {
        **dict.fromkeys(_EMPTY),
        "id": int(part["id"]),
        "app_id": app,
        "conversation_id": int(item.id),
        "body": "",
        "created_at": iso(part["created_at"]),
        "updated_at": iso(part["updated_at"]),
        "owner_id": int(author) if author.isdigit() else None,
        "deleted": False,
        "json_blocks": "[]",
        "data": encode(data).decode(),
    }
