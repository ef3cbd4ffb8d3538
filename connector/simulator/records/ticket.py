"""A ticket while it is being written: parts are appended and its summary follows.

Knows the shapes of tickets and their parts; not who decides what happens next, and no HTTP.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from connector.simulator.encoding import decode, encode, is_signed, render
from connector.simulator.records.shelf import Item, Shelf
from connector.simulator.records.thread import Thread
from connector.simulator.records.workspace import Record, Workspace

# Every list and read embeds the newest parts up to this number; there is no way to page on.
MAX_PARTS = 500
# What the type's page and the state's page repeat of each other.
_SHORT_STATE = ("type", "id", "category", "internal_label", "external_label")
_SHORT_TYPE = (
    "type", "id", "name", "description", "icon", "archived", "is_internal", "category",
)  # fmt: skip


class Owned(NamedTuple):
    """What a ticket embeds besides itself: its type, its state and its parts."""

    type: str
    state: str
    parts: tuple[bytes, ...]


def new_number(space: Workspace, long: bool) -> str:
    """A ticket's id: in the space of the conversations', because a ticket is one."""
    number = space.next_number("ticket")
    return str(216_100_000_000_000 + number * 4013 if long else 10_004 + number * 13)


class Ticket:
    """A ticket opened for writing; `item` closes it again."""

    def __init__(self, space: Workspace, record: Record, owned: Owned) -> None:
        self.space = space
        self.record = record
        self.type = owned.type
        self.state = owned.state
        self.parts = list(owned.parts)

    @classmethod
    def start(cls, space: Workspace, id: str, type: str, created: int) -> Ticket:
        """A ticket with nothing in it, in the first state."""
        state = next(iter(space.ticket_states))
        record: Record = {
            "type": "ticket",
            "id": id,
            # The number people see; ids are for the API.
            "ticket_id": str(space.next_number("ticket_id")),
            "category": space.ticket_types[type]["category"],
            "ticket_attributes": {"_default_title_": None, "_default_description_": None},
            "contacts": {"type": "contact.list", "contacts": []},
            "admin_assignee_id": 0,
            "team_assignee_id": 0,
            "created_at": created,
            "updated_at": created,
            "open": True,
            "linked_objects": {"type": "list", "data": [], "total_count": 0, "has_more": False},
            "is_shared": space.ticket_types[type]["category"] == "Customer",
            "previous_ticket_state_id": None,
        }
        return cls(space, record, Owned(type, state, ()))

    @classmethod
    def reopen_item(cls, space: Workspace, item: Item) -> Ticket:
        """A stored ticket, to go on writing."""
        return cls(space, decode(item.body), item.owned)

    def item(self) -> Item:
        """The ticket as the shelf keeps it."""
        record = self.record
        body = render(record)
        return Item(
            record["id"],
            "ticket",
            record["created_at"],
            record["updated_at"],
            body,
            key=int(record["id"]),
            signed=is_signed(body) or any(is_signed(part) for part in self.parts),
            owned=Owned(self.type, self.state, tuple(self.parts)),
        )

    def part(
        self, kind: str, author: Record, at: int, before: str | None = None, **extra: Any
    ) -> str:
        """Append a part; it moves updated_at. What a part does not have it leaves out."""
        category = self.space.ticket_states[self.state]["category"]
        id = str(self.space.next_number("ticket_part", 188_000_000))
        part: Record = {
            "type": "ticket_part",
            "id": id,
            "part_type": kind,
            "ticket_state": category,
            "previous_ticket_state": before or category,
            "created_at": at,
            "updated_at": at,
            "author": author,
            "attachments": [],
            "redacted": False,
            **extra,
        }
        self.parts.append(render(part))
        self.record["updated_at"] = max(self.record["updated_at"], at)
        return id

    def set_state(self, state: str, author: Record, at: int) -> None:
        """Move it to another state; only a resolved ticket is not open."""
        before = self.state
        self.state = state
        states = self.space.ticket_states
        self.record["previous_ticket_state_id"] = before
        self.record["open"] = states[state]["category"] != "resolved"
        kind = "ticket_state_updated_by_admin"
        self.part(kind, author, at, before=states[before]["category"])

    def assign(self, admin: Record | None, team: Record | None, author: Record, at: int) -> None:
        """Give it to an admin, a team or, with neither, to nobody (0)."""
        self.record["admin_assignee_id"] = int(admin["id"]) if admin else 0
        self.record["team_assignee_id"] = int(team["id"]) if team else 0
        target = team if team is not None else admin
        extra: Record = {}
        if target is not None:
            extra["assigned_to"] = {"type": target["type"], "id": target["id"]}
        self.part("assignment", author, at, **extra)

    def set_attribute(self, name: str, value: Any, author: Record, at: int) -> None:
        """Write an attribute; they are kept by name, not by id."""
        self.record["ticket_attributes"][name] = value
        attribute = next(
            one
            for one in self.space.ticket_types[self.type]["ticket_type_attributes"]["data"]
            if one["name"] == name
        )
        text = value if value is None or isinstance(value, str) else str(value)
        self.part(
            "ticket_attribute_updated_by_admin",
            author,
            at,
            updated_attribute_data={
                "attribute": {"type": "attribute", "id": attribute["id"], "label": name},
                "value": {"type": "value", "id": text, "label": text or ""},
            },
        )


def embedded(space: Workspace, item: Item, most: int | None = MAX_PARTS) -> bytes:
    """A rendered ticket with its state, its type and its newest parts, oldest of them first."""
    owned: Owned = item.owned
    parts = owned.parts if most is None else owned.parts[-most:]
    kind = {k: v for k, v in space.ticket_types[owned.type].items() if k != "ticket_states"}
    return b"".join(
        (
            item.body[:-1],
            b',"ticket_state":%s' % encode(short_state(space.ticket_states[owned.state])),
            b',"ticket_type":%s' % encode(kind),
            b',"ticket_parts":{"type":"ticket_part.list","ticket_parts":[',
            b",".join(parts),
            b'],"total_count":%d}}' % len(parts),
        )
    )


def short_state(state: Record) -> Record:
    """A state as tickets and types embed it."""
    return {name: state[name] for name in _SHORT_STATE}


def short_type(kind: Record) -> Record:
    """A type as states embed it."""
    return {name: kind[name] for name in _SHORT_TYPE}


def ticket_author(author: Record) -> Record:
    """The author of a conversation part as ticket parts name it: contacts are users to them."""
    type = "user" if author["type"] in ("user", "lead") else author["type"]
    return {
        "id": author["id"],
        "type": type,
        "name": author["name"],
        "email": author["email"] or "",
    }


def as_conversation(space: Workspace, item: Item) -> Item | None:
    """A Customer ticket as conversations show it, under the same id; None for the others.

    Only tokens that may read tickets see it there.
    """
    record = decode(item.body)
    if record["category"] != "Customer":
        return None
    thread = Thread.start(space, item.id, item.created_at)
    for name in ("contacts", "admin_assignee_id", "team_assignee_id", "linked_objects", "open"):
        thread.record[name] = record[name]
    thread.record["state"] = "open" if record["open"] else "closed"
    thread.record["title"] = record["ticket_attributes"]["_default_title_"]
    for raw in item.owned.parts:
        part = decode(raw)
        at = part["created_at"]
        kept = ("id", "updated_at", "attachments", "redacted", "assigned_to")
        extra = {name: part[name] for name in kept if name in part}
        thread.part(part["part_type"], part["author"], at, part.get("body"), **extra)
    thread.record["updated_at"] = item.updated_at
    whole = thread.item()
    whole.group = "ticket"
    return whole


def show_as_conversations(space: Workspace) -> None:
    """Put every Customer ticket among the conversations, for a token that may see it there."""
    items = [item for item in space.conversations.current.values() if item.group != "ticket"]
    mirrors = (as_conversation(space, item) for item in space.tickets.current.values())
    items += [mirror for mirror in mirrors if mirror is not None]
    space.conversations = Shelf(items)
