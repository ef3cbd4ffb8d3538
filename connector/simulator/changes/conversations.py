"""What happens to conversations, and whether it moves updated_at; knows no search."""

from __future__ import annotations

from random import Random
from typing import Any

from connector.simulator.changes.base import Changes
from connector.simulator.encoding import decode, render
from connector.simulator.generation import texts
from connector.simulator.generation.conversations import new_id, source
from connector.simulator.records.contact import contact_item
from connector.simulator.records.shelf import Item
from connector.simulator.records.thread import (
    Thread,
    add_participant,
    admin_author,
    contact_author,
    contact_reference,
    remove_participant,
)
from connector.simulator.records.workspace import Record
from connector.simulator.webhooks import threads

# The fields of which a topic tells, where they are set.
_TOLD = {
    "priority": "conversation.priority.updated",
    "company": "conversation.company.updated",
}


class ConversationChanges(Changes):
    """Changes to conversations. Admins are named by id; without one it is the token's admin."""

    def create_conversation(self, contact: str | None = None, body: str | None = None) -> str:
        """A contact writes for the first time. Returns the conversation's id."""
        space, random = self._space, self._dice()
        thread = Thread.start(space, new_id(space, random.random() < 0.2), self._now)
        id = contact or random.choice(list(space.contacts.current))
        item = self._item("contacts", id)
        thread.record["contacts"]["contacts"] = [contact_reference(item)]
        thread.record["source"] = source(random, contact_author(item))
        if body is not None:
            thread.record["source"]["body"] = body
        thread.record["waiting_since"] = self._now
        self._save(thread, "conversation.user.created")
        self._contact_wrote(id)
        return str(thread.record["id"])

    def send_outbound(self, contact: str) -> str:
        """A campaign writes to a contact: by id only, until the contact replies. Returns its id."""
        space, random = self._space, self._dice()
        thread = Thread.start(space, new_id(space, random.random() < 0.2), self._now)
        item = self._item("contacts", contact)
        thread.record["contacts"]["contacts"] = [contact_reference(item)]
        thread.record["source"] = {**source(random, self._by(None)), "delivered_as": "automated"}
        self._save(thread, "conversation.admin.single.created")
        return str(thread.record["id"])

    def reply(self, id: str, n: int = 1, admin: str | None = None, body: str | None = None) -> None:
        """Write n replies: by the contact, or by an admin if one is named; the bot is an admin."""
        thread, random = self._thread(id), self._dice()
        contacts = thread.record["contacts"]["contacts"]
        writer = None if admin or not contacts else contacts[0]["id"]
        known = self._space.contacts.get(writer) if writer else None
        author = contact_author(known) if known else self._by(admin)
        for _ in range(n):
            thread.comment(author, self._now, body or texts.html_body(random))
        who = "user" if known else "operator" if author["type"] == "bot" else "admin"
        self._save(thread, f"conversation.{who}.replied", new=n)
        if known is not None:
            self._contact_wrote(known.id)

    def note(self, id: str, body: str = "<p>noted</p>", admin: str | None = None) -> None:
        """A teammate writes a note that contacts do not see."""
        thread = self._thread(id)
        thread.part("note", self._by(admin), self._now, body)
        self._save(thread, "conversation.admin.noted")

    def close(self, id: str, admin: str | None = None) -> None:
        """Close it."""
        thread = self._thread(id)
        thread.close(self._by(admin), self._now)
        self._save(thread, "conversation.admin.closed")

    def reopen(self, id: str, admin: str | None = None) -> None:
        """Open it again; of one that is assigned two topics tell."""
        thread = self._thread(id)
        snoozed = thread.record["state"] == "snoozed"
        topics = ["conversation.admin.unsnoozed" if snoozed else "conversation.admin.opened"]
        if thread.record["admin_assignee_id"]:
            topics.append("conversation.admin.open.assigned")
        thread.reopen(self._by(admin), self._now)
        self._save(thread, *topics)

    def snooze(self, id: str, until: int, admin: str | None = None) -> None:
        """Put it away until a time."""
        thread = self._thread(id)
        thread.snooze(self._by(admin), self._now, until)
        self._save(thread, "conversation.admin.snoozed")

    def assign(self, id: str, admin: str | None = None, team: str | None = None) -> None:
        """Assign to an admin, a team or, with neither, to nobody (0)."""
        thread, space = self._thread(id), self._space
        target = space.admins[admin] if admin else None
        thread.assign(self._by(None), self._now, target, space.teams[team] if team else None)
        self._save(thread, "conversation.admin.assigned")

    def rate(self, id: str, rating: int = 5, remark: str | None = "", silent: bool = False) -> None:
        """A rating; a silent one leaves no part and does not move updated_at."""
        thread = self._thread(id)
        thread.rate(rating, remark, self._now, silent=silent)
        self._save(thread, *([] if silent else ["conversation.rating.added"]))

    def tag_conversation(self, id: str, tag: str, admin: str | None = None) -> None:
        """Tag it: a new part carries the tag."""
        thread = self._thread(id)
        if all(one["id"] != tag for one in thread.record["tags"]["tags"]):
            thread.tag(self._space.tags[tag], self._by(admin), self._now)
            self._save(thread, "conversation_part.tag.created")

    def untag_conversation(self, id: str, tag: str) -> None:
        """Untag it: an old part changes, no new one appears."""
        thread = self._thread(id)
        thread.untag(tag, self._now)
        self._save(thread)

    def mark_read(self, id: str, read: bool = True) -> None:
        """Set the read flag; a recorded workspace shows that updated_at does not move."""
        thread = self._thread(id)
        thread.record["read"] = read
        self._save(thread, *(["conversation.read"] if read else []))

    def update_conversation(self, id: str, **fields: Any) -> None:
        """Set fields and add the part that tells of it."""
        thread = self._thread(id)
        thread.record.update(fields)
        kind = "conversation_attribute_updated_by_admin"
        thread.part(kind, self._by(None), self._now)
        self._save(thread, *[topic for name, topic in _TOLD.items() if name in fields])

    def add_participant(self, id: str, contact: str) -> None:
        """A teammate adds a contact to it; adding twice is nothing."""
        thread, member = self._thread(id), self._item("contacts", contact)
        if not add_participant(thread.record, member):
            return
        thread.part("participant_added", self._by(None), self._now)
        self._tell_participant("attached", self._save(thread), member)

    def remove_participant(self, id: str, contact: str) -> None:
        """A teammate removes a contact from it; ValueError for the last, which stays."""
        thread, member = self._thread(id), self._item("contacts", contact)
        remove_participant(thread.record, contact)
        if not thread.record["contacts"]["contacts"]:
            raise ValueError("the last contact stays")
        thread.part("participant_removed", self._by(None), self._now)
        self._tell_participant("detached", self._save(thread), member)

    def update_conversation_silently(self, id: str, **fields: Any) -> None:
        """Set fields and leave updated_at alone."""
        thread = self._thread(id)
        thread.record.update(fields)
        self._save(thread)

    def redact_part(self, id: str, part: str | None = None) -> str:
        """Redact a part (the oldest with a body unless named): it keeps its id. Returns it."""
        thread = self._thread(id)
        for number, raw in enumerate(thread.parts):
            record = decode(raw)
            if record["id"] == part or (part is None and record["body"]):
                record.update(body=None, redacted=True, attachments=[], updated_at=self._now)
                thread.parts[number] = render(record)
                thread.record["updated_at"] = self._now
                told = thread.parts[number]
                item = self._save(thread)
                self._tell("conversation_part.redacted", threads.conversation, item, told)
                return str(record["id"])
        raise KeyError(f"no such part in conversation {id}")

    def delete_conversation(self, id: str, retain_metrics: bool = False) -> None:
        """Delete it; the feed of deletions tells."""
        self._bury("conversations", id, "deleted")
        self._space.deleted_conversations.append(
            {
                "type": "conversation",
                "id": id,
                "metrics_retained": retain_metrics,
                "deleted_at": self._now,
            }
        )
        self._tell("conversation.deleted", threads.conversation_gone, id)

    def _thread(self, id: str) -> Thread:
        item = self._item("conversations", id)
        if item.group == "ticket":
            raise KeyError(f"{id} is a ticket; what happens to it has methods of its own")
        return Thread.reopen_item(self._space, item)

    def _save(self, thread: Thread, *topics: str, new: int = 1) -> Item:
        """Keep it, and tell each topic once for each of the new parts; returns what is kept."""
        item = thread.item()
        self._put("conversations", item)
        for topic in topics:
            for part in item.owned[-new:] or [None]:
                self._tell(topic, threads.conversation, item, *([part] if part else []))
        return item

    def _tell_participant(self, what: str, item: Item, member: Item) -> None:
        about = self._space, item, item.owned[-1], member
        self._tell(f"conversation.contact.{what}", threads.conversation_contact, *about)

    def _by(self, admin: str | None) -> Record:
        return admin_author(self._author(admin))

    def _dice(self) -> Random:
        return Random(f"{self._space.seed}-{self._space.next_number('dice')}")

    def _contact_wrote(self, id: str) -> None:
        item = self._item("contacts", id)
        record = decode(item.body)
        record.update(last_replied_at=self._now, updated_at=self._now)
        self._put("contacts", contact_item(record, item.owned))
