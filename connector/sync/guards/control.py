"""The control of a search: an object that is known to be there, and that the search must show.

A search that leaves out what it must show looks like one in which nothing happened. So the object
that changed last is remembered, each search for changes begins no later than with it, and where it
is not shown it is asked for by id: unchanged there, the search cannot be trusted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Self

from msgspec import Struct, field

from connector.jsontext import Head
from connector.warehouse.state.cursors import Progress
from connector.warehouse.values.instants import instant

MOST = 50  # objects that changed in one second: more would be listed by every run


class Control(Struct):
    """The object that changed last, as far as is known, and whether this pass has shown it."""

    id: str | None = None
    updated_at: datetime | None = None
    shown: bool = False
    _same_second: set[str] = field(default_factory=set)  # what changed in it too

    @classmethod
    def of(cls, progress: Progress) -> Self:
        """The one that the last pass left."""
        return cls(progress.control_id, progress.control_updated_at)

    @classmethod
    def among(cls, newest: Sequence[tuple[str, datetime]]) -> Self:
        """The first of those that changed last; none where too many did at that time."""
        together = sum(at == newest[0][1] for _, at in newest)
        return cls(*newest[0]) if 0 < together <= MOST else cls()

    def since(self, bound: datetime) -> datetime:
        """From when on to search, so that it must be shown."""
        return min(bound, self.updated_at or bound)

    def look(self, heads: Iterable[Head]) -> None:
        """Note whether it is among these."""
        self.shown = self.shown or any(str(head.id) == self.id for head in heads)

    def learn(self, heads: Iterable[Head]) -> None:
        """Take the one of these, or the one it is, that changed last."""
        for head in heads:
            at = instant(head.updated_at)
            if at is None or type(head.id) not in (str, int):
                continue
            if self.updated_at is None or at > self.updated_at:
                self.id, self.updated_at, self._same_second = str(head.id), at, set()
            elif at == self.updated_at:
                self._same_second.add(str(head.id))

    def drop(self, id: str | None) -> None:
        """This one will not do, if it still is the one."""
        if self.id == id:
            self.id, self.updated_at, self._same_second = None, None, set()

    def values(self) -> dict[str, Any]:
        """What is kept of it; nothing where too many changed in its second."""
        if len(self._same_second) > MOST:
            return {"control_id": None, "control_updated_at": None}
        return {"control_id": self.id, "control_updated_at": self.updated_at}
