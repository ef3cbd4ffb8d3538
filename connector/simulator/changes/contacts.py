"""What happens to contacts, and whether it moves updated_at; knows no search."""

from __future__ import annotations

from typing import Any

from connector.simulator.changes.base import Changes
from connector.simulator.changes.companies import move_user_count
from connector.simulator.encoding import decode, encode
from connector.simulator.records.contact import contact_item, new_contact, note, note_id
from connector.simulator.records.shelf import Item
from connector.simulator.records.workspace import NO_TIES, Applied, Event, Record, Ties
from connector.simulator.webhooks import items


class ContactChanges(Changes):
    """Changes to contacts. Fields Intercom does not recompute are written as given."""

    def create_contact(self, role: str = "lead", **fields: Any) -> str:
        """A new contact; lists show it after the lag. Returns its id."""
        self.simulator.settle()
        record = new_contact(self._space, self._now, role)
        if role == "lead":
            record["external_id"] = f"{self._now:08x}-0000-4000-8000-{record['id'][-12:]}"
        _write(record, fields)
        item = contact_item(record, NO_TIES)
        self._put("contacts", item)
        self._activity("contact.created", item, record)
        self._tell(f"contact.{role}.created", items.contact, item)
        return item.id

    def tag_contacts(self, contacts: list[str], tag: str, admin: str | None = None) -> int:
        """Tag many at once; each is told of by itself. Returns how many were not tagged before."""
        return sum(self.tag_contact(contact, tag, admin) for contact in contacts)

    def update_contact(self, id: str, **fields: Any) -> bool:
        """Set fields; the same values again change nothing, not even updated_at.

        With the role `user` a lead becomes one, and has no external_id but a given one.
        """
        item = self._item("contacts", id)
        record = decode(item.body)
        before = dict(record)  # what is set is another value, none is changed in place
        converts = item.group == "lead" and fields.get("role") == "user"
        if converts:
            record["external_id"] = None
        _write(record, fields)
        if not any(_differ(value, before.get(name)) for name, value in record.items()):
            return False
        if "updated_at" not in fields:
            self._touch(record)
        changed = contact_item(record, item.owned)
        self._put("contacts", changed)
        if converts:
            self._activity("contact.role_updated", changed, record)
        self._tell_edit(before, record, changed)
        return True

    def update_contact_silently(self, id: str, **fields: Any) -> None:
        """Set fields and leave updated_at alone, as changes do that Intercom does not count."""
        item = self._item("contacts", id)
        record = decode(item.body)
        _write(record, fields)
        self._put("contacts", contact_item(record, item.owned))

    def tag_contact(self, contact: str, tag: str, admin: str | None = None) -> bool:
        """Attach a tag; moves updated_at. Tagging twice is nothing."""
        item = self._item("contacts", contact)
        if any(one.id == tag for one in item.owned.tags):
            return False
        applied = Applied(tag, self._now, self._author(admin)["id"])
        tagged = self._tie(item, item.owned._replace(tags=(*item.owned.tags, applied)), bump=True)
        self._tell_tag("created", tagged, tag)
        return True

    def untag_contact(self, contact: str, tag: str) -> bool:
        """Detach a tag; moves updated_at."""
        item = self._item("contacts", contact)
        kept = tuple(one for one in item.owned.tags if one.id != tag)
        if len(kept) == len(item.owned.tags):
            return False
        untagged = self._tie(item, item.owned._replace(tags=kept), bump=True)
        self._tell_tag("deleted", untagged, tag)
        return True

    def attach_company(self, contact: str, company: str, bump: bool = True) -> bool:
        """Attach to a company. Whether this moves the contact's updated_at is not known: `bump`.

        The company's user_count and updated_at follow later.
        """
        item = self._item("contacts", contact)
        joined = self._item("companies", company)
        if company in item.owned.companies:
            return False
        companies = (*item.owned.companies, company)
        member = self._tie(item, item.owned._replace(companies=companies), bump=bump)
        move_user_count(self, company, 1)
        self._tell("company.contact.attached", items.company_contact, joined, member)
        return True

    def detach_company(self, contact: str, company: str, bump: bool = True) -> bool:
        """Detach from a company; a company without users vanishes from lists, but lives."""
        item = self._item("contacts", contact)
        kept = tuple(id for id in item.owned.companies if id != company)
        if len(kept) == len(item.owned.companies):
            return False
        left = self._item("companies", company)
        self._tie(item, item.owned._replace(companies=kept), bump=bump)
        move_user_count(self, company, -1)
        # The contact is shown as it was: with the company that it left.
        self._tell("company.contact.detached", items.company_contact, left, item)
        return True

    def add_note(self, contact: str, body: str = "<p>noted</p>", admin: str | None = None) -> str:
        """Write a note: on record, updated_at does not move. Returns its id."""
        item = self._item("contacts", contact)
        written = note(self._space, contact, self._author(admin), self._now, body)
        self._tie(item, item.owned._replace(notes=(*item.owned.notes, written)), bump=False)
        return note_id(written)

    def subscribe_contact(self, contact: str, type: str, subscribed: bool = True) -> None:
        """Choose or refuse a subscription; assumed silent."""
        item = self._item("contacts", contact)
        choice = self._space.subscription_types[type]
        consent = choice["consent_type"]
        name = "opted_in" if consent == "opt_in" else "opted_out"
        chosen = subscribed == (consent == "opt_in")
        known = [one for one in getattr(item.owned, name) if one != type]
        choices = tuple([*known, type] if chosen else known)
        changed = self._tie(item, item.owned._replace(**{name: choices}), bump=False)
        self._note_subscriptions(contact)
        did = "subscribe" if subscribed else "unsubscribe"
        self._tell_subscription(f"granular.{did}", f"granular_{did}", changed, [choice])

    def set_segments(self, contact: str, segments: list[str]) -> None:
        """Membership is computed by Intercom; it moves no updated_at."""
        item = self._item("contacts", contact)
        self._tie(item, item.owned._replace(segments=tuple(segments)), bump=False)

    def convert_lead(self, id: str) -> None:
        """A lead becomes a user; the external_id that Intercom gave it is gone."""
        self.update_contact(id, role="user")

    def archive_contact(self, id: str) -> None:
        """Archive: gone from lists, still there by id; the activity feed says nothing."""
        item = self._bury("contacts", id, "archived")
        self._tell("contact.archived", items.contact_gone, item, "archived")

    def unarchive_contact(self, id: str, bump: bool = True) -> None:
        """Bring an archived contact back."""
        gone = self._space.gone["contacts"][id]
        if gone.how != "archived" or gone.item is None:
            raise ValueError(f"contact {id} is not archived")
        del self._space.gone["contacts"][id]
        record = decode(gone.item.body)
        if bump:
            self._touch(record)
        else:
            self._space.returned[id] = gone.since or gone.at
        back = contact_item(record, gone.item.owned)
        self._put("contacts", back)
        self._tell("contact.unarchived", items.contact, back)
        self._note_subscriptions(id)
        for event in self._space.events.get(id, ()):
            self._note_event(id, event, silent=not bump)

    def delete_contact(self, id: str) -> None:
        """Delete for good, also what is archived."""
        item = self._bury("contacts", id, "deleted")
        self._space.events.pop(id, None)
        for company in item.owned.companies:
            move_user_count(self, company, -1)
        self._activity("contact.deleted", item, decode(item.body))
        self._tell("contact.deleted", items.contact_gone, item, "deleted")

    def _tie(self, item: Item, ties: Ties, *, bump: bool) -> Item:
        record = decode(item.body)
        if bump:
            self._touch(record)
        tied = contact_item(record, ties)
        self._put("contacts", tied)
        return tied

    def _tell_edit(self, old: Record, new: Record, after: Item) -> None:
        signed_up = old["role"] == "lead" and after.group == "user"
        topic = "contact.lead.signed_up" if signed_up else f"contact.{after.group}.updated"
        self._tell(topic, items.contact, after)
        if new["email"] != old["email"]:
            added = after.group == "lead" and old["email"] is None
            email = "contact.lead.added_email" if added else "contact.email.updated"
            self._tell(email, items.contact, after)
        refused = new["unsubscribed_from_emails"]
        if refused != old["unsubscribed_from_emails"]:
            did = "unsubscribe" if refused else "subscribe"
            self._tell_subscription(f"contact.{did}d", f"contact_{did}", after, [])

    def _tell_tag(self, what: str, item: Item, tag: str) -> None:
        topic = f"contact.{item.group}.tag.{what}"
        self._tell(topic, items.contact_tag, self._space, item, tag, self._now)

    def _tell_subscription(self, topic: str, kind: str, item: Item, types: list[Record]) -> None:
        make = items.subscription
        self._tell(topic, make, kind, item, types, self._now)

    def _note_event(self, contact: str, event: Event, *, silent: bool) -> None:
        key = f"{contact} {event.name} {event.created_at}"
        shown_at = max(event.visible_at, self.simulator.now())
        self.simulator.journal.note("events", key, shown_at, silent=silent)

    def _note_subscriptions(self, contact: str) -> None:
        now = self.simulator.now()
        self.simulator.journal.note("contact_subscriptions", contact, now, silent=True)


def _differ(one: Any, other: Any) -> bool:
    """Whether they are not the same JSON: to Python 1, 1.0 and true are equal."""
    return one is not other and encode(one) != encode(other)


def _write(record: Record, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if name == "custom_attributes":
            record[name] = {**record[name], **value}
        else:
            record[name] = value
    if "email" in fields and "email_domain" not in fields:
        record["email_domain"] = str(fields["email"]).partition("@")[2] or None
