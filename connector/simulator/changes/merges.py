"""What becomes of two contacts that are merged, and of what hangs on them; knows no search."""

from __future__ import annotations

from connector.simulator.changes.companies import move_user_count
from connector.simulator.changes.contacts import ContactChanges
from connector.simulator.encoding import decode, encode, render
from connector.simulator.generation.events import unique
from connector.simulator.records.contact import contact_item
from connector.simulator.records.shelf import Item
from connector.simulator.records.thread import contact_reference
from connector.simulator.records.workspace import Ties
from connector.simulator.webhooks import items


class MergeChanges(ContactChanges):
    """Merges: one contact goes, the other has what both had."""

    def merge_contacts(self, source_id: str, target_id: str, by_hand: bool = False) -> None:
        """Merge a lead into a user: the lead is gone from every list, by id it is 410 or 404.

        The API merges leads only; teammates, `by_hand`, may merge users as well.
        """
        source, target = self._item("contacts", source_id), self._item("contacts", target_id)
        if target.group != "user" or (source.group != "lead" and not by_hand):
            raise ValueError("only a lead can be merged, and only into a user")
        if source_id == target_id:
            raise ValueError("a contact cannot be merged into itself")
        record = decode(target.body)
        self._touch(record)
        for name in ("email", "email_domain", "phone", "name"):
            record[name] = record[name] or decode(source.body)[name]
        merge = {
            "type": "merge_history",
            "source_contact_id": source_id,
            "source_contact_role": source.group,
            "merged_at": self._now,
        }
        ties = _joined(target.owned, source.owned)
        inherited = source.owned.merges if self.simulator.merges_inherited else ()
        merges = (*target.owned.merges, *inherited, encode(merge))
        survivor = contact_item(record, ties._replace(merges=merges))
        self._bury("contacts", source_id, "merged", target_id)
        self._put("contacts", survivor)
        events = self._space.events
        if source_id in events:
            events[target_id] = unique([*events.get(target_id, []), *events.pop(source_id)])
        self._recount(source.owned, target.owned)
        self._note_subscriptions(target_id)
        self._activity(
            "contact.merged",
            survivor,
            record,
            merge_source_id=source_id,
            merge_target_id=target_id,
        )
        if self.simulator.merges_move:
            self._move_threads(source_id, survivor)
        # Nothing in it names the contact that is gone.
        self._tell("contact.merged", items.contact, survivor)

    def _move_threads(self, source_id: str, survivor: Item) -> None:
        mark = encode(source_id)
        for kind in ("conversations", "tickets"):
            for item in list(self._space.shelf(kind).current.values()):
                body = _succeeded(item.body, source_id, survivor) if mark in item.body else b""
                if body and body != item.body:
                    self._put(kind, item.with_body(body))

    def _recount(self, source: Ties, target: Ties) -> None:
        for company in source.companies:
            if company in target.companies:
                move_user_count(self, company, -1)


def _succeeded(body: bytes, source_id: str, survivor: Item) -> bytes:
    # The survivor takes the place of the contact; if it is there already, that place is gone.
    record = decode(body)
    contacts = record["contacts"]["contacts"]
    kept = [one for one in contacts if one["id"] not in (source_id, survivor.id)]
    record["contacts"]["contacts"] = [*kept, contact_reference(survivor)]
    return render(record) if len(kept) != len(contacts) else body


def _joined(target: Ties, source: Ties) -> Ties:
    tags = {tag.id: tag for tag in (*source.tags, *target.tags)}
    return target._replace(
        tags=tuple(tags.values()),
        companies=tuple(dict.fromkeys((*target.companies, *source.companies))),
        notes=(*target.notes, *source.notes),
        opted_out=tuple(dict.fromkeys((*target.opted_out, *source.opted_out))),
        opted_in=tuple(dict.fromkeys((*target.opted_in, *source.opted_in))),
    )
