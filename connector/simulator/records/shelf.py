"""Keeps the records of one kind twice: as they are, and as Intercom's lagging index shows them.

Knows records only by id, times and group; what is inside a record is not its business.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Any

# An index entry: sort value, id as it sorts, the record. (value, key) is unique, so comparing two
# entries never reaches the record.
Entry = tuple[Any, Any, "Item"]
INDEXED = ("created_at", "updated_at", "id")
# Above this many changes at once an index is sorted again instead of being patched entry by entry.
_PATCH_LIMIT = 64


class Item:
    """One version of one record; never changed in place, because the index may still show it."""

    __slots__ = (
        "body",
        "created_at",
        "group",
        "id",
        "key",
        "owned",
        "shown",
        "signed",
        "updated_at",
    )  # fmt: skip

    def __init__(
        self,
        id: str,
        group: str,
        created_at: int,
        updated_at: int,
        body: bytes,
        *,
        key: str | int | None = None,
        signed: bool = False,
        owned: Any = None,
        shown: bool = True,
    ) -> None:
        self.id = id
        self.key = id if key is None else key
        self.group = group
        self.created_at = created_at
        self.updated_at = updated_at
        self.body = body
        self.signed = signed
        self.owned = owned
        self.shown = shown

    def with_body(self, body: bytes) -> Item:
        """The same record with another body."""
        return Item(
            self.id,
            self.group,
            self.created_at,
            self.updated_at,
            body,
            key=self.key,
            signed=self.signed,
            owned=self.owned,
            shown=self.shown,
        )

    def entry(self, field: str) -> Entry:
        """The entry of this record in the index over `field`."""
        if field == "updated_at":
            return (self.updated_at, self.key, self)
        if field == "created_at":
            return (self.created_at, self.key, self)
        return (self.key, self.key, self)


class Shelf:
    """The records of one kind, read by id as they are and in lists as the index shows them."""

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self.current: dict[str, Item] = {item.id: item for item in items}
        self._listed: dict[str, Item] = {i: item for i, item in self.current.items() if item.shown}
        self._indexes: dict[tuple[str, str], list[Entry]] = {}
        self._waiting: list[tuple[float, int, str, Item | None]] = []
        self._sequence = 0
        self._applied: dict[str, int] = {}
        self._omitted: dict[str, float] = {}
        self._watched: list[set[str]] = []
        self.generation = 0

    def __len__(self) -> int:
        return len(self.current)

    def get(self, id: str) -> Item | None:
        """The record as it is now: reads by id do not lag."""
        return self.current.get(id)

    def put(self, item: Item, visible_at: float) -> None:
        """Store a version; lists show it from `visible_at` on."""
        self.current[item.id] = item
        self._wait(visible_at, item.id, item if item.shown else None)

    def drop(self, id: str, visible_at: float) -> Item | None:
        """Remove a record; lists go on showing it until `visible_at`."""
        item = self.current.pop(id, None)
        self._wait(visible_at, id, None)
        return item

    def watch(self) -> set[str]:
        """A set that gets the id of all that is put or dropped from now on; empty it at will."""
        changed: set[str] = set()
        self._watched.append(changed)
        return changed

    def listed(self) -> Iterator[Item]:
        """Every record the index shows, in no particular order."""
        return (item for id, item in self._listed.items() if id not in self._omitted)

    def omit(self, ids: Iterable[str], until: float) -> None:
        """Let the index leave these out until then, as if they were not there."""
        self._omitted.update(dict.fromkeys(ids, until))
        self.generation += 1

    def index(self, field: str, group: str) -> list[Entry]:
        """The sorted entries of one group over one field, built when first asked for."""
        entries = self._indexes.get((field, group))
        if entries is None:
            entries = [i.entry(field) for i in self._listed.values() if i.group == group]
            entries.sort()
            self._indexes[field, group] = entries
        if self._omitted:
            return [entry for entry in entries if entry[2].id not in self._omitted]
        return entries

    def listed_of(self, ids: Iterable[str]) -> list[Item]:
        """Those of these records that lists show, as they show them."""
        return [self._listed[id] for id in ids if id in self._listed and id not in self._omitted]

    def settle(self, now: float) -> None:
        """Let the index catch up with every change that is old enough to be seen."""
        if any(until <= now for until in self._omitted.values()):
            self._omitted = {id: until for id, until in self._omitted.items() if now < until}
            self.generation += 1
        waiting = self._waiting
        if not waiting or waiting[0][0] > now:
            return
        latest: dict[str, tuple[int, Item | None]] = {}
        while waiting and waiting[0][0] <= now:
            _, sequence, id, item = heapq.heappop(waiting)
            # With a random lag a later change can become visible before an earlier one.
            if sequence > self._applied.get(id, -1):
                self._applied[id] = sequence
                latest[id] = (sequence, item)
        self._apply({id: item for id, (_, item) in latest.items()})

    def _wait(self, visible_at: float, id: str, item: Item | None) -> None:
        for changed in self._watched:
            changed.add(id)
        heapq.heappush(self._waiting, (visible_at, self._sequence, id, item))
        self._sequence += 1

    def _apply(self, changes: dict[str, Item | None]) -> None:
        removed: list[Item] = []
        added: list[Item] = []
        for id, item in changes.items():
            old = self._listed.pop(id, None)
            if old is not None:
                removed.append(old)
            if item is not None:
                self._listed[id] = item
                added.append(item)
        if not removed and not added:
            return
        self.generation += 1
        for (field, group), entries in self._indexes.items():
            out = [item.entry(field) for item in removed if item.group == group]
            into = [item.entry(field) for item in added if item.group == group]
            _patch(entries, out, into)


def _patch(entries: list[Entry], out: list[Entry], into: list[Entry]) -> None:
    if len(out) + len(into) > _PATCH_LIMIT:
        gone = {entry[:2] for entry in out}
        entries[:] = [entry for entry in entries if entry[:2] not in gone]
        entries.extend(into)
        entries.sort()
        return
    for entry in out:
        del entries[bisect_left(entries, entry[:2])]
    for entry in into:
        insort(entries, entry)
