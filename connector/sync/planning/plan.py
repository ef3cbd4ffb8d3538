"""Plans what to read: the partitions of a full pass, the bound of an incremental one. Pure.

A full pass is cut by created_at, which never changes. The outermost partitions have no bound, so
that nothing lies outside the plan, whatever its created_at.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connector.intercom.client import Client
from connector.intercom.facts import SEARCH_BY_SECOND
from connector.intercom.paging import search
from connector.resources.readings import Granularity, Members, Search
from connector.warehouse.state.partitions import OPEN_LOWER, OPEN_UPPER, Span
from connector.warehouse.values.instants import instant

INTERCOM_BEGAN = datetime(2011, 8, 1, tzinfo=UTC)

PARTITION_RECORDS = 1_500  # ten pages
LEAST_RECORDS = 450
PARTITION_OBJECTS = 300  # where each record costs a request of its own
MIDNIGHT = timedelta(minutes=15)  # around it contacts are known to be missing from searches
MOST_PARTS = 200  # partitions made of one at a time; uneven ones are cut again


def granularity(reading: Search | Members, client: Client) -> search.Granularity:
    """How exactly search compares times: Preview compares by the second everywhere.

    By whole days too where comparing by the second was seen to leave out what it must show.
    """
    by_day = reading.granularity is Granularity.DAY and client.version != "Preview"
    return "day" if by_day or client.facts.is_refuted(SEARCH_BY_SECOND) else "second"


def first_partition(since: datetime | None) -> Span:
    """The partition that holds everything, or everything updated since."""
    return Span(since or OPEN_LOWER, OPEN_UPPER)


def partition_query(
    reading: Search, unit: search.Granularity, span: Span, *, updated: bool
) -> dict[str, Any]:
    """The search for one partition of a plan, in an order that does not move while one reads."""
    return search.query(
        time_range(span),
        field="updated_at" if updated else "created_at",
        granularity=unit,
        filters=filters(reading),
        sort_field="created_at",
    )


def changes_query(reading: Search, unit: search.Granularity, bound: datetime) -> dict[str, Any]:
    """The search for what was updated since ``bound``.

    By the day newest first, so that reading can stop at the bound; by the second oldest first:
    what changes meanwhile then moves ahead of the reader and is seen twice, not missed.
    """
    return {
        "query": {
            "operator": "AND",
            "value": [
                *filters(reading),
                search.since(bound, field="updated_at", granularity=unit),
            ],
        },
        "sort": {
            "field": "updated_at",
            "order": "descending" if unit == "day" else "ascending",
        },
    }


def filters(reading: Search) -> list[dict[str, Any]]:
    """The filters that make a search show its resource alone."""
    return [search.compare(*one) for one in reading.filters]


def time_range(span: Span) -> search.TimeRange:
    """The span as a search knows it: an end that lies outside every plan is no bound."""
    return search.TimeRange(
        None if span.lower == OPEN_LOWER else span.lower,
        None if span.upper == OPEN_UPPER else span.upper,
    )


def target(total: int | None, partitions: int, whole_by_id: bool) -> int:
    """How many records a partition should hold, so that there are about so many.

    Each partition's last page is half empty: smaller ones cost requests, larger ones leave readers
    without work.
    """
    if whole_by_id:
        return PARTITION_OBJECTS
    return min(max((total or 0) // partitions, LEAST_RECORDS), PARTITION_RECORDS)


def divide(
    span: Span,
    total: int,
    *,
    earliest: datetime | None,
    now: datetime,
    unit: search.Granularity,
    target: int,
) -> list[Span]:
    """Partitions of about ``target`` records in the place of one that holds ``total``; or it alone.

    ``earliest`` is the first instant that the partition's records bear, where that is known: an
    open partition is cut from there on.
    """
    if total <= target * 3 // 2:
        return [span]
    lower = max(span.lower, earliest or INTERCOM_BEGAN)
    upper = min(span.upper, now + timedelta(days=1))
    if lower >= upper:
        return [span]
    parts = min(math.ceil(total / target), MOST_PARTS)
    edges = [part.lower for part in search.split(search.TimeRange(lower, upper), parts, unit)]
    inner = [edge for edge in edges[1:] if edge is not None]
    bounds = [span.lower, *inner, span.upper]
    return [Span(a, b) for a, b in itertools.pairwise(bounds)]


def is_near_midnight(at: datetime, timezone: str | None) -> bool:
    """Whether searches by the day are known to miss, for a day, what changed then."""
    return any(
        at.astimezone(zone).date() != (at + step).astimezone(zone).date()
        for zone in (UTC, _zone(timezone) or UTC)
        for step in (MIDNIGHT, -MIDNIGHT)
    )


def _zone(timezone: str | None) -> ZoneInfo | None:
    """The timezone of that IANA name; None where there is none or it is not known."""
    try:
        return ZoneInfo(timezone) if timezone else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def covered(span: Span, unit: search.Granularity, timezone: str | None) -> Span:
    """The records that the search for a partition surely shows, by their created_at.

    By the day it begins and ends with a day of the workspace's timezone (its IANA name). The
    partitions of a plan then still tile. Where the timezone is not known the partition itself is
    returned, and a few records near its end are asked for by id in vain.
    """
    zone = _zone(timezone)
    if unit == "second" or zone is None:
        return span

    def midnight(bound: datetime) -> datetime:
        if bound in (OPEN_LOWER, OPEN_UPPER):
            return bound
        return bound.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)

    return Span(midnight(span.lower), midnight(span.upper))


def _seconds(time: Any) -> float | None:
    found = instant(time)
    return None if found is None else found.timestamp()


class Order:
    """Watches whether records come newest first, and when all of a page is older than a bound."""

    def __init__(self, bound: datetime) -> None:
        self._bound = bound.timestamp()
        self._last = math.inf
        self._sorted = True
        self.is_broken = False
        """Whether a record came before one that it must come after."""
        self.has_stopped = False
        """Whether reading was stopped where this said so."""

    def is_past(self, times: Sequence[Any]) -> bool:
        """Whether reading may stop after a page with these times; never once the order broke.

        Times are as Intercom sends them.
        """
        newest = -math.inf
        for time in map(_seconds, times):
            if time is None or time > self._last:
                self._sorted = False
                self.is_broken |= time is not None
                return False
            self._last, newest = time, max(newest, time)
        return self._sorted and bool(times) and newest < math.floor(self._bound)


class Passing:
    """Watches records that come oldest first, for the end of a partition in a search beyond it."""

    def __init__(self, upper: datetime) -> None:
        self._upper = upper.timestamp()
        self._last = -math.inf
        self._sorted = True
        self.is_broken = False
        """Whether a record came before one that it must come after."""
        self.has_stopped = False
        """Whether reading was stopped where this said so."""

    def is_past(self, times: Sequence[Any]) -> bool:
        """Whether everything before the bound has come; never once the order broke.

        Times are as Intercom sends them.
        """
        for time in map(_seconds, times):
            if time is None or time < self._last:
                self._sorted = False
                self.is_broken |= time is not None
                return False
            self._last = time
        return self._sorted and self._last >= self._upper
