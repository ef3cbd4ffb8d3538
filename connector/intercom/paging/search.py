"""Search bodies and ranges of time; pure: knows Intercom's rules on time, sends nothing.

Two granularities. Conversations, tickets, and contacts on Preview compare times by the second.
Contacts on 2.16 compare days of the workspace's timezone: ``>`` begins with the day after the one
the value falls on, ``<`` ends before that day, and nothing but ``>``, ``<``, ``=`` is allowed.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from msgspec import Struct

Granularity = Literal["second", "day"]
Filter = Mapping[str, Any]

MOST_FILTERS = 15
"""Intercom takes no more in one AND."""

# An hour more than a day: where clocks go back near the date's turn (Norfolk Island), noon UTC of
# two neighbouring dates is the same local day, and a day less would step over nothing.
_DAY_BEFORE = timedelta(hours=25)
_TWO_DAYS = timedelta(days=2)


class TimeRange(Struct, frozen=True):
    """A time range read on its own: from ``lower`` on, before ``upper``; None is no bound."""

    lower: datetime | None = None
    upper: datetime | None = None


def compare(field: str, operator: str, value: Any) -> dict[str, Any]:
    """One filter: ``compare("role", "=", "lead")``."""
    return {"field": field, "operator": operator, "value": value}


def query(
    times: TimeRange,
    *,
    field: str = "updated_at",
    granularity: Granularity = "second",
    filters: Sequence[Filter] = (),
    sort_field: str | None = None,
    order: Literal["ascending", "descending"] = "ascending",
) -> dict[str, Any]:
    """The body of a search for what lies in the range, without pagination.

    Every record of the range is found; by the day, and where Intercom takes ``>`` as ``>=``,
    some neighbours come too. Sorted by ``sort_field``, by default the field of the range.
    ValueError for more filters than Intercom takes.
    """
    value = [*map(dict, filters), *bounds(times, field=field, granularity=granularity)]
    if not value:
        # There is no list of tickets: reading all means a filter that everything passes.
        value = [compare("created_at", ">", 0)]
    if len(value) > MOST_FILTERS:
        raise ValueError(f"{len(value)} filters, and Intercom takes {MOST_FILTERS}")
    return {
        "query": {"operator": "AND", "value": value},
        "sort": {"field": sort_field or field, "order": order},
    }


def bounds(times: TimeRange, *, field: str, granularity: Granularity) -> list[dict[str, Any]]:
    """The filters that show everything in the range, and perhaps some neighbours."""
    return _by_day(times, field) if granularity == "day" else _by_second(times, field)


def _by_second(times: TimeRange, field: str) -> list[dict[str, Any]]:
    # ">" is documented as "greater (or equal)" for conversations and strict for contacts; one
    # second less is right either way, and "<" at worst brings one second of the next range.
    bounds = []
    if times.lower is not None:
        bounds.append(compare(field, ">", math.floor(times.lower.timestamp()) - 1))
    if times.upper is not None:
        bounds.append(compare(field, "<", math.ceil(times.upper.timestamp())))
    return bounds


def _by_day(times: TimeRange, field: str) -> list[dict[str, Any]]:
    # Day edges tile: the day before the lower edge's day, and the upper edge's day itself, whatever
    # the timezone. Any other instant is widened by two days, which covers every timezone (-12 to
    # +14), daylight saving, and the contacts that Intercom loses around midnight.
    bounds = []
    if times.lower is not None:
        back = _DAY_BEFORE if is_day_edge(times.lower) else _TWO_DAYS
        bounds.append(compare(field, ">", math.floor((times.lower - back).timestamp())))
    if times.upper is not None:
        ahead = timedelta() if is_day_edge(times.upper) else _TWO_DAYS
        bounds.append(compare(field, "<", math.ceil((times.upper + ahead).timestamp())))
    return bounds


def since(bound: datetime, *, field: str = "updated_at", granularity: Granularity) -> Filter:
    """The one filter of an incremental read: everything from ``bound`` on, and some before."""
    if granularity == "second":
        return _by_second(TimeRange(bound), field)[0]
    return compare(field, ">", math.floor((bound - _TWO_DAYS).timestamp()))


def day_edge(instant: datetime) -> datetime:
    """Noon UTC of the instant's date: where ranges by the day may be cut."""
    noon = instant.astimezone(UTC)
    return noon.replace(hour=12, minute=0, second=0, microsecond=0)


def is_day_edge(instant: datetime) -> bool:
    """Whether ranges by the day may be cut here."""
    return instant == day_edge(instant)


def split(times: TimeRange, parts: int, granularity: Granularity = "second") -> list[TimeRange]:
    """The range cut in at most so many parts of about equal length, in order, none empty.

    Edges fall on whole seconds or on day edges. What cannot be cut comes back as it is: an open
    range, or one with no edge inside.
    """
    if times.lower is None or times.upper is None or parts < 2:
        return [times]
    step = (times.upper - times.lower) / parts
    cut = day_edge if granularity == "day" else _whole_second
    wanted = (cut(times.lower + step * number) for number in range(1, parts))
    inner = sorted({edge for edge in wanted if times.lower < edge < times.upper})
    edges = [times.lower, *inner, times.upper]
    return [TimeRange(lower, upper) for lower, upper in itertools.pairwise(edges)]


def _whole_second(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(microsecond=0)
