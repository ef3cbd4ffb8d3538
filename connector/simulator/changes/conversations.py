"""What happens to conversations, and whether it moves updated_at; knows no search."""

from __future__ import annotations

from random import Random
from typing import Any

from connector.simulator.changes.base import Changes
from connector.simulator.encoding import decode, render
from connector.simulator.generation import texts
from connector.simulator.generation.conversations import new_id, source
from connector.simulator.records.contact import contact_item
from connector.simulator.records.thread import (
    Thread,
    admin_author,
    contact_author,
    contact_reference,
)
from connector.simulator.records.workspace import Record


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
        self._save(thread)
        self._contact_wrote(id)
        return str(thread.record["id"])

    def send_outbound(self, contact: str) -> str:
        """A campaign writes to a contact: by id only, until the contact replies. Returns its id."""
        space, random = self._space, self._dice()
        thread = Thread.start(space, new_id(space, random.random() < 0.2), self._now)
        item = self._item("contacts", contact)
        thread.record["contacts"]["contacts"] = [contact_reference(item)]
        thread.record["source"] = {**source(random, self._by(None)), "delivered_as": "automated"}
        self._save(thread)
        return str(thread.record["id"])

    def reply(self, id: str, n: int = 1, admin: str | None = None, body: str | None = None) -> None:
        """Write n replies: by the contact, or by an admin if one is named."""
        thread, random = self._thread(id), self._dice()
        contacts = thread.record["contacts"]["contacts"]
        writer = None if admin or not contacts else contacts[0]["id"]
        known = self._space.contacts.get(writer) if writer else None
        author = contact_author(known) if known else self._by(admin)
        for _ in range(n):
            thread.comment(author, self._now, body or texts.html_body(random))
        self._save(thread)
        if known is not None:
            self._contact_wrote(known.id)

    def close(self, id: str, admin: str | None = None) -> None:
        """Close it."""
        thread = self._thread(id)
        thread.close(self._by(admin), self._now)
        self._save(thread)

    def reopen(self, id: str, admin: str | None = None) -> None:
        """Open it again."""
        thread = self._thread(id)
        thread.reopen(self._by(admin), self._now)
        self._save(thread)

    def snooze(self, id: str, until: int, admin: str | None = None) -> None:
        """Put it away until a time."""
        thread = self._thread(id)
        thread.snooze(self._by(admin), self._now, until)
        self._save(thread)

    def assign(self, id: str, admin: str | None = None, team: str | None = None) -> None:
        """Assign to an admin, a team or, with neither, to nobody (0)."""
        thread, space = self._thread(id), self._space
        target = space.admins[admin] if admin else None
        thread.assign(self._by(None), self._now, target, space.teams[team] if team else None)
        self._save(thread)

    def rate(self, id: str, rating: int = 5, remark: str | None = "", silent: bool = False) -> None:
        """A rating; a silent one leaves no part and does not move updated_at."""
        thread = self._thread(id)
        thread.rate(rating, remark, self._now, silent=silent)
        self._save(thread)

    def tag_conversation(self, id: str, tag: str, admin: str | None = None) -> None:
        """Tag it: a new part carries the tag."""
        thread = self._thread(id)
        if all(one["id"] != tag for one in thread.record["tags"]["tags"]):
            thread.tag(self._space.tags[tag], self._by(admin), self._now)
            self._save(thread)

    def untag_conversation(self, id: str, tag: str) -> None:
        """Untag it: an old part changes, no new one appears."""
        thread = self._thread(id)
        thread.untag(tag, self._now)
        self._save(thread)

    def mark_read(self, id: str, read: bool = True) -> None:
        """Set the read flag; a recorded workspace shows that updated_at does not move."""
        self.update_conversation_silently(id, read=read)

    def update_conversation(self, id: str, **fields: Any) -> None:
        """Set fields and add the part that tells of it."""
        thread = self._thread(id)
        thread.record.update(fields)
        kind = "conversation_attribute_updated_by_admin"
        thread.part(kind, self._by(None), self._now)
        self._save(thread)

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
                self._save(thread)
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

    def _thread(self, id: str) -> Thread:
        item = self._item("conversations", id)
        if item.group == "ticket":
            raise KeyError(f"{id} is a ticket; what happens to it has methods of its own")
        return Thread.reopen_item(self._space, item)

    def _save(self, thread: Thread) -> None:
        self._put("conversations", thread.item())

    def _by(self, admin: str | None) -> Record:
        return admin_author(self._author(admin))

    def _dice(self) -> Random:
        return Random(f"{self._space.seed}-{self._space.next_number('dice')}")

    def _contact_wrote(self, id: str) -> None:
        item = self._item("contacts", id)
        record = decode(item.body)
        record.update(last_replied_at=self._now, updated_at=self._now)
        self._put("contacts", contact_item(record, item.owned))
