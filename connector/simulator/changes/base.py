"""What every change needs: the present, the workspace, and when lists will show it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from connector.simulator.encoding import decode
from connector.simulator.faults.falsehoods import MOVES
from connector.simulator.records.contact import contact_item
from connector.simulator.records.shelf import Item
from connector.simulator.records.workspace import Gone, Record, Ties, Workspace

if TYPE_CHECKING:
    from connector.simulator.simulator import Simulator


class Changes:
    """The common ground of the changes to one kind of object."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    @property
    def _space(self) -> Workspace:
        return self.simulator.workspace

    @property
    def _now(self) -> int:
        return int(self.simulator.now())

    def _item(self, kind: str, id: str) -> Item:
        self._space.settle(self.simulator.now())
        item = self._space.shelf(kind).get(id)
        if item is None:
            raise KeyError(f"no {kind} with id {id}")
        return item

    def _put(self, kind: str, item: Item, visible_at: float | None = None) -> None:
        shelf = self._space.shelf(kind)
        known, shown_at = shelf.get(item.id), visible_at or self.simulator.visible_at()
        before = self._now - 1 if known is None else known.updated_at
        self.simulator.journal.note(kind, item.id, shown_at, silent=item.updated_at <= before)
        shelf.put(item, shown_at)

    def _drop(self, kind: str, id: str) -> None:
        shown_at = self.simulator.visible_at()
        self.simulator.journal.note(kind, id, shown_at, silent=True)
        self._space.shelf(kind).drop(id, shown_at)

    def _bury(self, kind: str, id: str, how: str, target: str | None = None) -> Item:
        item = (self._archived(kind, id) if how == "deleted" else None) or self._item(kind, id)
        self._drop(kind, id)
        kept = item if how == "archived" else None
        since = self._space.returned.pop(id, None)
        self._space.bury(Gone(kind, id, how, self._now, target, kept, item.group, since))
        return item

    def _archived(self, kind: str, id: str) -> Item | None:
        gone = self._space.gone.get(kind, {}).get(id)
        return gone.item if gone is not None else None

    def _retie(self, change: Callable[[Ties], Ties]) -> None:
        """Change what hangs on contacts in silence, archived ones included."""
        for item in list(self._space.contacts.current.values()):
            if (ties := change(item.owned)) != item.owned:
                self._put("contacts", contact_item(decode(item.body), ties))
        for gone in self._space.gone.get("contacts", {}).values():
            if gone.item is not None:
                gone.item = contact_item(decode(gone.item.body), change(gone.item.owned))

    def _tell(self, topic: str, make: Callable[..., Record], *about: Any) -> None:
        """Notify whoever subscribed to the topic; the item is made only if somebody did."""
        self.simulator.webhooks.tell(topic, make, *about)

    def _touch(self, record: Record) -> None:
        if MOVES not in self.simulator.false:
            record["updated_at"] = self._now

    def _author(self, admin: str | None) -> Record:
        return self._space.admins[admin or self._space.me]

    def _activity(self, event: str, item: Item, record: Record, **extra: Any) -> None:
        # The feed of contacts.activities: archiving is not among its events.
        number = self._space.next_number("activity")
        entry: Record = {
            "type": "contact_activity",
            "id": f"{int(self.simulator.now() * 1000)}.{number:06x}",
            "event_type": event,
            "contact_id": item.id,
            "external_id": record.get("external_id"),
            "role": item.group,
            **extra,
            "created_at": self._now,
        }
        if event == "contact.deleted" or entry["external_id"] is None:
            del entry["external_id"]
        self._space.activities.append(entry)
