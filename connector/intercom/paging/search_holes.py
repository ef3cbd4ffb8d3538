"""Reads a search around single records that Intercom cannot show; knows no resource and no table.

A record that spoils every page it would stand on ends a reading by cursor: what comes after it has
no page token. But the same search sorted the other way reaches everything on the far side, so that
one bad record costs nothing else. Between two bad ones the search is cut by its time, until each
lies alone; within what time cannot cut, other orders are tried. What is left is a hole.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from connector.errors import IntercomError, SpoiltPageError
from connector.intercom.client import Client
from connector.intercom.paging.page import Page
from connector.intercom.paging.search import Granularity, TimeRange, bounds, compare, day_edge
from connector.intercom.paging.search_pages import CursorSearch

Order = Literal["ascending", "descending"]
ALL = ("created_at", "updated_at", "id")  # what searches are sorted by
ORDERS: tuple[Order, ...] = ("ascending", "descending")

MOST_WALKS = 400  # readings of a part, so that no fault makes requests without end
SMALL = 8  # records on the first page of a part that is known to be spoilt
EARLIEST = datetime(2011, 8, 1, tzinfo=UTC)  # nothing is older, or all that is lies together

_ID = re.compile(r"^(created_at|updated_at) (\S*?)\.\.(\S*)$")


class Hole(Struct, frozen=True):
    """What a search holds and cannot show: ``number`` records of this time, None if not known."""

    field: str
    times: TimeRange
    number: int | None = None
    error: IntercomError | None = None

    @property
    def id(self) -> str:
        """Its bounds, under which it is kept: no id of Intercom's has a space in it."""
        return f"{self.field} {_text(self.times.lower)}..{_text(self.times.upper)}"

    @property
    def reason(self) -> str:
        """Why it is pending."""
        many = "some records" if self.number is None else f"{self.number} of the records"
        return f"a list fails for {many} of this time and shows all others: {self.error}"


def hole_of(id: str) -> Hole | None:
    """The hole that is kept under this id; None if it is an object's."""
    found = _ID.match(id)
    if not found:
        return None
    lower, upper = (datetime.fromisoformat(text) if text else None for text in found.groups()[1:])
    return Hole(found[1], TimeRange(lower, upper))


def _text(bound: datetime | None) -> str:
    return "" if bound is None else bound.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Part(Struct, frozen=True):
    """A part of the search: a range for each field it is cut by, the first one first."""

    ranges: tuple[tuple[str, TimeRange], ...]

    def times(self, name: str) -> TimeRange:
        return dict(self.ranges).get(name, TimeRange())

    def cut(self, name: str, times: TimeRange) -> _Part:
        return _Part(tuple({**dict(self.ranges), name: times}.items()))


class _Met(Struct):
    """What reading a part from both ends came to."""

    ids: set[Any] = field(default_factory=set)
    total: int | None = None
    stops: list[Any] = field(default_factory=list)  # the last value from each end
    whole: bool = False

    @property
    def missing(self) -> int | None:
        return None if self.total is None else max(1, self.total - len(self.ids))


class Around(Struct):
    """One reading: ``read`` gives the pages, ``seen`` and ``holes`` tell what came of it.

    ``style`` is the search, whose body is made here of ``filters`` and the range read.
    """

    client: Client
    style: CursorSearch
    filters: Sequence[dict[str, Any]]
    unit: Granularity
    holes: dict[str, Hole] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    _walks: int = 0
    _error: IntercomError | None = None

    async def read(self, hole: Hole, first: int | None = None) -> AsyncGenerator[Page, None]:
        """Every page that can be had of the hole's range; what is left are ``holes``.

        Raises what the client raises where that is no matter of single records.
        """
        axes = (hole.field, *(name for name in ALL if name != hole.field))
        part = _Part(((hole.field, hole.times),))
        async for page in self._read(part, axes, first or self.style.per_page):
            self.seen |= {str(head.id) for head in page.heads}
            yield page

    async def _read(
        self, part: _Part, axes: tuple[str, ...], first: int, number: int | None = None
    ) -> AsyncGenerator[Page, None]:
        met = _Met()
        for order in ORDERS:
            try:
                async for page in self._walk(part, axes[0], order, first, met):
                    yield page
            except SpoiltPageError as error:
                self._error = error
            if met.whole:
                return
        rest = self._rest(part, axes[0], met.stops)
        number = number if met.missing is None else met.missing
        if number == 1 or self._walks >= MOST_WALKS:
            self._note(rest, number)
            return
        async for page in self._divided(rest, axes, number, bool(met.ids)):
            yield page

    async def _walk(
        self, part: _Part, axis: str, order: Order, first: int, met: _Met
    ) -> AsyncGenerator[Page, None]:
        """The pages from one end on; ``met.whole`` if it reached the other."""
        self._walks += 1
        met.stops.append(None)
        style = replace(self.style, body=self._body(part, axis, order), first=first, proven=True)
        async for page in style.read(self.client):
            met.ids |= {head.id for head in page.heads}
            met.total = met.total if page.total is None else page.total
            for head in page.heads:
                met.stops[-1] = getattr(head, axis)
            yield page
        met.whole = True

    def _body(self, part: _Part, axis: str, order: Order) -> dict[str, Any]:
        value = [dict(one) for one in self.filters]
        for name, times in part.ranges:
            value += bounds(times, field=name, granularity=self.unit)
        value = value or [compare("created_at", ">", 0)]
        return {
            "query": {"operator": "AND", "value": value},
            "sort": {"field": axis, "order": order},
        }

    async def _divided(
        self, rest: _Part, axes: tuple[str, ...], number: int | None, some: bool
    ) -> AsyncGenerator[Page, None]:
        """What lies between two bad records: in halves, or in another order.

        ``number`` are missing there; ``some``: others of the same part could be had.
        """
        first = SMALL if some else 1
        halves = self._halves(rest, axes[0]) if some or len(axes) == len(ALL) else []
        for half in halves:
            async for page in self._read(half, axes, first):
                yield page
        if not halves and len(axes) > 1:
            async for page in self._read(rest, axes[1:], first, number):
                yield page
        elif not halves:
            self._note(rest, number)

    # -- bounds ------------------------------------------------------------------------------

    def _rest(self, part: _Part, axis: str, stops: Sequence[Any]) -> _Part:
        """The part between the last records from both ends."""
        if axis == "id":
            return part
        times = part.times(axis)
        first, last = (_instant(stop) for stop in stops)
        day, second = timedelta(days=1), timedelta(seconds=1)
        if self.unit == "day":  # whatever the timezone, these days hold the two instants
            first = day_edge(first) - day if first else None
            last = day_edge(last) + 2 * day if last else None
        else:
            last = last + second if last else None
        lower = max((b for b in (times.lower, first) if b), default=None)
        upper = min((b for b in (times.upper, last) if b), default=None)
        if lower and upper and lower >= upper:
            return part
        return part.cut(axis, TimeRange(lower, upper))

    def _halves(self, part: _Part, axis: str) -> list[_Part]:
        """The part cut in two by time; none if it cannot be."""
        if axis == "id":
            return []
        times, now = part.times(axis), self.client.clock.now()
        lower, upper = times.lower or EARLIEST, times.upper or now + timedelta(days=1)
        middle = lower + (upper - lower) / 2
        middle = day_edge(middle) if self.unit == "day" else middle.replace(microsecond=0)
        if not lower < middle < upper:
            return []
        parts = TimeRange(times.lower, middle), TimeRange(middle, times.upper)
        return [part.cut(axis, one) for one in parts]

    def _note(self, part: _Part, number: int | None) -> None:
        name, times = part.ranges[0]
        hole = Hole(name, times, number, self._error)
        known = self.holes.get(hole.id)
        if known:  # several parts of one second, or day
            both = known.number is not None and number is not None
            total = (known.number or 0) + (number or 0) if both else None
            hole = replace(hole, number=total)
        self.holes[hole.id] = hole


def _instant(value: Any) -> datetime | None:
    if type(value) is not int:
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
