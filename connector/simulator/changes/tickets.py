"""What happens to tickets; knows no search."""

from __future__ import annotations

from random import Random
from typing import Any

from connector.simulator.changes.base import Changes
from connector.simulator.encoding import decode, render
from connector.simulator.generation import texts
from connector.simulator.records.contact import contact_item
from connector.simulator.records.shelf import Item
from connector.simulator.records.thread import (
    add_participant,
    admin_author,
    contact_author,
    contact_reference,
    remove_participant,
)
from connector.simulator.records.ticket import Ticket, as_conversation, new_number, ticket_author
from connector.simulator.records.workspace import Record
from connector.simulator.webhooks import threads


class TicketChanges(Changes):
    """Changes to tickets. Admins are named by id; without one it is the token's admin."""

    def create_ticket(
        self,
        ticket_type: str | None = None,
        contact: str | None = None,
        title: str | None = "A new ticket",
        **attributes: Any,
    ) -> str:
        """A new ticket, of the first type unless named. Returns its id."""
        space = self._space
        type = ticket_type or next(iter(space.ticket_types))
        id = new_number(space, space.next_number("ticket_made") % 2 == 0)
        ticket = Ticket.start(space, id, type, self._now)
        names = {"_default_title_": title, **attributes}
        ticket.record["ticket_attributes"].update(names)
        if contact is not None:
            item = self._item("contacts", contact)
            ticket.record["contacts"]["contacts"] = [contact_reference(item)]
        made = self._save_ticket(ticket)
        self._tell("ticket.created", threads.ticket, space, made)
        if contact is not None:
            self._wrote(contact)
        return id

    def reply_ticket(
        self,
        id: str,
        n: int = 1,
        admin: str | None = None,
        body: str | None = None,
        note: bool = False,
    ) -> None:
        """Write n replies: by the contact, or by an admin if one is named; notes are admins'."""
        ticket = self._ticket(id)
        contacts = ticket.record["contacts"]["contacts"]
        writer = None if admin or note or not contacts else contacts[0]["id"]
        known = self._space.contacts.get(writer) if writer else None
        author = ticket_author(contact_author(known)) if known else self._teammate(admin)
        dice = Random(f"{self._space.seed}-ticket-{self._space.next_number('ticket_dice')}")
        for _ in range(n):
            text = body or texts.html_body(dice)
            ticket.part("note" if note else "comment", author, self._now, body=text)
        told = "note.created" if note else "contact.replied" if known else "admin.replied"
        self._tell_parts(f"ticket.{told}", self._save_ticket(ticket), n)
        if known is not None:
            self._wrote(known.id)

    def set_ticket_state(self, id: str, state: str, admin: str | None = None) -> None:
        """Move it to a state, by the state's id or by its category."""
        states = self._space.ticket_states
        named = next((one for one, it in states.items() if state in (one, it["category"])), None)
        if named is None:
            raise KeyError(f"no ticket state {state}")
        ticket = self._ticket(id)
        ticket.set_state(named, self._teammate(admin), self._now)
        item = self._save_ticket(ticket)
        about = self._space, item, item.owned.parts[-1]
        self._tell("ticket.state.updated", threads.ticket, *about)
        if states[named]["category"] == "resolved":
            self._tell("ticket.resolved", threads.ticket, *about)
            self._tell("ticket.closed", threads.ticket_wrapped, *about)

    def set_ticket_attribute(self, id: str, name: str, value: Any) -> None:
        """Write an attribute by its name; a part tells of it."""
        ticket = self._ticket(id)
        ticket.set_attribute(name, value, self._teammate(None), self._now)
        self._tell_parts("ticket.attribute.updated", self._save_ticket(ticket))

    def update_ticket_silently(self, id: str, **fields: Any) -> None:
        """Set fields and leave updated_at alone."""
        ticket = self._ticket(id)
        ticket.record.update(fields)
        self._save_ticket(ticket)

    def assign_ticket(self, id: str, admin: str | None = None, team: str | None = None) -> None:
        """Assign to an admin, a team or, with neither, to nobody (0)."""
        ticket, space = self._ticket(id), self._space
        target = space.admins[admin] if admin else None
        group = space.teams[team] if team else None
        ticket.assign(target, group, self._teammate(None), self._now)
        topic = "ticket.team.assigned" if group else "ticket.admin.assigned"
        self._tell_parts(topic, self._save_ticket(ticket))

    def add_ticket_contact(self, id: str, contact: str) -> None:
        """A teammate adds a contact to it; adding twice is nothing."""
        ticket, member = self._ticket(id), self._item("contacts", contact)
        if not add_participant(ticket.record, member):
            return
        ticket.part("participant_added", self._teammate(None), self._now)
        item = self._save_ticket(ticket)
        self._tell("ticket.contact.attached", threads.ticket_contact, self._space, item, member)

    def remove_ticket_contact(self, id: str, contact: str) -> None:
        """A teammate removes a contact from it."""
        ticket, member = self._ticket(id), self._item("contacts", contact)
        remove_participant(ticket.record, contact)
        ticket.part("participant_removed", self._teammate(None), self._now)
        item = self._save_ticket(ticket)
        self._tell("ticket.contact.detached", threads.ticket_contact, self._space, item, member)

    def redact_ticket_part(self, id: str, part: str | None = None) -> str:
        """Redact a part (the oldest with a body unless named): it keeps its id. Returns it."""
        ticket = self._ticket(id)
        for number, raw in enumerate(ticket.parts):
            record = decode(raw)
            if record["id"] == part or (part is None and record.get("body")):
                record.update(body=None, redacted=True, attachments=[], updated_at=self._now)
                ticket.parts[number] = render(record)
                ticket.record["updated_at"] = self._now
                self._save_ticket(ticket)
                return str(record["id"])
        raise KeyError(f"no such part in ticket {id}")

    def delete_ticket(self, id: str) -> None:
        """Delete it: gone by id at once, from searches after the lag. No feed tells."""
        self._bury("tickets", id, "deleted")
        mirror = self._space.conversations.get(id)
        if mirror is not None and mirror.group == "ticket":
            self._drop("conversations", id)

    def _ticket(self, id: str) -> Ticket:
        return Ticket.reopen_item(self._space, self._item("tickets", id))

    def _save_ticket(self, ticket: Ticket) -> Item:
        item = ticket.item()
        self._put("tickets", item)
        mirror = self._mirror(item)
        if mirror is not None:
            self._put("conversations", mirror)
        return item

    def _tell_parts(self, topic: str, item: Item, n: int = 1) -> None:
        # One for each of the newest parts; its mirror among the conversations is not told of.
        for part in item.owned.parts[-n:]:
            self._tell(topic, threads.ticket_part, self._space, item, part)

    def _mirror(self, item: Item) -> Item | None:
        wanted = self.simulator.tickets_in_conversations
        return as_conversation(self._space, item) if wanted else None

    def _teammate(self, admin: str | None) -> Record:
        return ticket_author(admin_author(self._author(admin)))

    def _wrote(self, contact: str) -> None:
        # Writing to a ticket is writing: it shows on the contact as a reply does.
        item = self._item("contacts", contact)
        record = decode(item.body)
        record.update(last_replied_at=self._now, updated_at=self._now)
        self._put("contacts", contact_item(record, item.owned))
