"""What lists and searches wrongly leave out for a while, though reads by id show it.

Knows kinds, ids and places in lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from msgspec import Struct

T = TypeVar("T")


class Cut(Struct, frozen=True):
    """A list that ends after so many records; `told`: its total_count still counts them all."""

    after: int
    told: bool


class Shortage:
    """The omissions and cuts in force."""

    def __init__(self) -> None:
        self._omitted: dict[str, dict[str, float]] = {}
        self._cuts: dict[str, Cut] = {}

    def omit(self, kind: str, ids: Iterable[str], until: float) -> None:
        """Lists of the kind leave these out until then."""
        self._omitted.setdefault(kind, {}).update(dict.fromkeys(ids, until))

    def omitted(self, kind: str, now: float) -> set[str]:
        """What lists of the kind leave out now."""
        return {id for id, until in self._omitted.get(kind, {}).items() if now < until}

    def cut(self, kind: str, cut: Cut | None) -> None:
        """Cut lists of the kind, or with None no more."""
        self._cuts.pop(kind, None)
        if cut is not None:
            self._cuts[kind] = cut

    def total(self, kind: str, total: int) -> int:
        """The total_count of a list that would hold so many."""
        cut = self._cuts.get(kind)
        return total if cut is None or cut.told else min(total, cut.after)

    def left(self, kind: str, records: Sequence[T], start: int = 0) -> Sequence[T]:
        """Of a page that begins at this place of its list, what the list still shows."""
        cut = self._cuts.get(kind)
        return records if cut is None else records[: max(0, cut.after - start)]
