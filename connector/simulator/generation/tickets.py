"""Generates ticket types, their states and tickets; knows no search."""

from __future__ import annotations

from random import Random
from typing import Any

from connector.simulator.generation import texts
from connector.simulator.records.shelf import Shelf
from connector.simulator.records.thread import admin_author, contact_author, contact_reference
from connector.simulator.records.ticket import (
    Ticket,
    new_number,
    short_state,
    short_type,
    ticket_author,
)
from connector.simulator.records.workspace import Record, Workspace
from connector.simulator.times import DAY, History

# One ticket in this many has more parts than a read returns.
_LONG_EVERY = 200
_STATES = (
    ("submitted", "Submitted", "Submitted", False),
    ("in_progress", "In progress", "In progress", False),
    ("in_progress", "With engineering &amp; QA", "In progress", False),
    ("waiting_on_customer", "Waiting on customer", "Waiting on you", False),
    ("resolved", "Resolved", "Resolved", False),
    ("resolved", "Won't fix (old)", "Resolved", True),
)
_TYPES = (
    ("Bug report", "Customer", False),
    ("Refund request", "Customer", False),
    ("Approval ✓", "Back-office", False),
    ("Outage", "Tracker", False),
    ("Old form", "Back-office", True),
)
# Name, type, options; ids differ from type to type, the names do not.
_ATTRIBUTES: tuple[tuple[str, str, Any], ...] = (
    ("_default_title_", "string", {"multiline": False}),
    ("_default_description_", "string", {"multiline": True}),
    ("Kosten €", "decimal", None),
    ("Retries", "integer", None),
    ("Urgent?", "boolean", None),
    ("Due", "datetime", None),
    (
        "Area",
        "list",
        {"list_options": [{"id": "3f6d", "label": "Größe"}, {"id": "9a1b", "label": ""}]},
    ),
    ("Files", "files", None),
)


def fill(space: Workspace, random: Random, count: int, years: float) -> None:
    """Put types, states and tickets into the workspace."""
    _describe(space)
    maker = _Maker(space, random, years)
    items = []
    for number, created in enumerate(sorted(maker.history.created() for _ in range(count))):
        parts = random.randint(0, 9)
        if number % _LONG_EVERY == 7:
            parts = random.randint(501, 560)
        items.append(maker.ticket(created, parts).item())
    space.tickets = Shelf(items)


def _describe(space: Workspace) -> None:
    created = space.app["created_at"]
    types = {str(55 + n): _type(space, str(55 + n), *row) for n, row in enumerate(_TYPES)}
    for number, (category, internal, external, archived) in enumerate(_STATES):
        state: Record = {
            "type": "ticket_state",
            "id": str(8269 + number),
            "category": category,
            "internal_label": internal,
            "external_label": external,
            "archived": archived,
            "ticket_types": {"type": "list", "data": [short_type(one) for one in types.values()]},
        }
        space.ticket_states[state["id"]] = state
    states = [short_state(one) for one in space.ticket_states.values() if not one["archived"]]
    for kind in types.values():
        kind.update(created_at=created, updated_at=created)
        kind["ticket_states"] = {"type": "list", "data": states}
    space.ticket_types.update(types)


def _type(space: Workspace, id: str, name: str, category: str, archived: bool) -> Record:
    created = space.app["created_at"]
    attributes = [
        {
            "type": "ticket_type_attribute",
            "id": str(space.next_number("ticket_attribute", 165)),
            "workspace_id": space.app["id_code"],
            "name": attribute,
            "description": "",
            "data_type": type,
            "input_options": options,
            "order": order,
            "required_to_create": False,
            "required_to_create_for_contacts": False,
            "visible_on_create": True,
            "visible_to_contacts": order < 2,
            "default": order < 2,
            "ticket_type_id": int(id),
            "archived": False,
            "created_at": created,
            "updated_at": created,
        }
        for order, (attribute, type, options) in enumerate(_ATTRIBUTES)
    ]
    return {
        "type": "ticket_type",
        "id": id,
        "name": name,
        "description": f"About: {name}",
        "icon": "🎟️",
        "workspace_id": space.app["id_code"],
        "archived": archived,
        "is_internal": category != "Customer",
        "category": category,
        # The description has the list under a name of its own; live payloads wrap it like this.
        "ticket_type_attributes": {"type": "list", "data": attributes},
    }


class _Maker:
    def __init__(self, space: Workspace, random: Random, years: float) -> None:
        self.space = space
        self.random = random
        self.history = History(random, space.now, years)
        self.contacts = list(space.contacts.current.values())
        self.admins = [a for a in space.admins.values() if "operator+" not in a["email"]]
        # Old parts name admins that no list knows any more.
        former = space.removed_admins.values()
        self.writers = [ticket_author(admin_author(a)) for a in [*self.admins, *former]]
        bot = next(a for a in space.admins.values() if "operator+" in a["email"])
        self.bot = ticket_author(admin_author(bot))
        self.teams = list(space.teams.values())
        self.types = [id for id, one in space.ticket_types.items() if not one["archived"]]
        self.states = [id for id, one in space.ticket_states.items() if not one["archived"]]
        self.last: Ticket | None = None

    def ticket(self, created: int, amount: int) -> Ticket:
        random = self.random
        type = random.choice(self.types)
        ticket = Ticket.start(self.space, new_number(self.space, random.random() < 0.5), type,
                              created)  # fmt: skip
        customer = self._begin(ticket)
        # A bot notes the first state within a second or two.
        ticket.part("ticket_state_updated_by_admin", self.bot, created + 1)
        last = self.history.updated(created)
        for at in sorted(self.history.between(created, last) for _ in range(amount)):
            self._step(ticket, customer, max(at, created + 1))
        self.last = ticket
        return ticket

    def _begin(self, ticket: Ticket) -> Record:
        random, record = self.random, ticket.record
        customer = random.choice(self.writers)
        if self.contacts and record["category"] != "Tracker" and random.random() < 0.95:
            item = random.choice(self.contacts)
            customer = ticket_author(contact_author(item))
            record["contacts"]["contacts"] = [contact_reference(item)]
        attributes = record["ticket_attributes"]
        attributes["_default_title_"] = random.choice([texts.words(random, 3), "", None])
        attributes["_default_description_"] = texts.words(random, 12)
        if random.random() < 0.5:
            attributes.update(self._values(record["created_at"]))
        if self.last is not None and random.random() < 0.1:
            other = self.last.record
            linked = {"type": "ticket", "id": other["id"], "category": other["category"]}
            record["linked_objects"].update(data=[linked], total_count=1)
        return customer

    def _values(self, created: int) -> Record:
        random = self.random
        return {
            "Kosten €": round(random.random() * 1000, 2),
            "Retries": random.choice([0, 3, -1]),
            "Urgent?": random.random() < 0.5,
            "Due": created + 3 * DAY,
            "Area": random.choice(["3f6d", None]),
            "Files": [texts.attachment(random)] if random.random() < 0.3 else [],
        }

    def _step(self, ticket: Ticket, customer: Record, at: int) -> None:
        random = self.random
        draw, author = random.random(), random.choice(self.writers)
        if draw < 0.5:
            files = [texts.attachment(random)] if random.random() < 0.05 else []
            by = customer if draw < 0.25 else author
            ticket.part("comment", by, at, body=texts.html_body(random), attachments=files)
        elif draw < 0.6:
            body = None if draw < 0.51 else f"<p>{texts.words(random, 5)}</p>"
            ticket.part("note", author, at, body=body, redacted=body is None)
        elif draw < 0.75:
            ticket.set_state(random.choice(self.states), author, at)
        elif draw < 0.9:
            admin = random.choice(self.admins) if draw < 0.85 else None
            team = random.choice(self.teams) if self.teams and draw > 0.82 else None
            ticket.assign(admin, team, author, at)
        else:
            ticket.set_attribute("Retries", random.randint(1, 9), author, at)
