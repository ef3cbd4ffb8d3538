"""What contacts do: events from their browsers and from servers; knows no lists."""

from __future__ import annotations

from typing import Any

from connector.simulator.changes.merges import MergeChanges
from connector.simulator.encoding import decode, render
from connector.simulator.generation.events import place
from connector.simulator.records.contact import contact_item
from connector.simulator.records.workspace import Event
from connector.simulator.webhooks import items

# Further keys are ignored.
_KEYS = 10


class EventChanges(MergeChanges):
    """Events. On merge they follow their contact, on deletion they go with it."""

    def track_event(
        self,
        contact: str,
        name: str,
        metadata: dict[str, Any] | None = None,
        server_side: bool = True,
        created_at: int | None = None,
    ) -> bool:
        """Record an event; False if Intercom takes it for one it knows (same name and second).

        One sent by a server leaves the contact as it is. One from the browser is a visit: it moves
        last_seen_at and updated_at. Lists show the event after the lag, whenever it happened.
        """
        item = self._item("contacts", contact)
        kept = dict(list((metadata or {}).items())[:_KEYS])
        moment = self._now if created_at is None else created_at
        # Clients send seconds; no two events of a contact share what pages are cut by.
        ms = moment * 1000 + self._space.next_number("event_ms", 0) % 1000
        events = self._space.events.setdefault(contact, [])
        visible_at = self.simulator.visible_at()
        event = Event(ms, name, render(kept), visible_at)
        if not place(events, event):
            return False
        self._note_event(contact, event, silent=server_side)
        self._tell("event.created", items.event, item, event)
        if not server_side:
            record = decode(item.body)
            record.update(last_seen_at=self._now, updated_at=self._now)
            self._put("contacts", contact_item(record, item.owned))
        return True
