"""Search bodies and ranges of time: under Intercom's own rules of comparison, none is missed."""

import zoneinfo
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.intercom.paging.search import (
    TimeRange,
    compare,
    day_edge,
    is_day_edge,
    query,
    since,
    split,
)

ZONES = [zoneinfo.ZoneInfo(name) for name in sorted(zoneinfo.available_timezones())]
BEGIN = datetime(2015, 1, 1, tzinfo=UTC)
SECONDS = 12 * 365 * 86_400

instants = st.integers(0, SECONDS).map(lambda seconds: BEGIN + timedelta(seconds=seconds))
zones = st.sampled_from(ZONES)


def bounds(body: dict[str, Any]) -> list[tuple[str, int]]:
    return [(item["operator"], item["value"]) for item in body["query"]["value"]]


def finds_by_day(body: dict[str, Any], instant: datetime, zone: zoneinfo.ZoneInfo) -> bool:
    """Intercom 2.16 on contacts: whole days of the workspace's timezone."""
    day = instant.astimezone(zone).date()
    for operator, value in bounds(body):
        edge = datetime.fromtimestamp(value, zone).date()
        if not (day > edge if operator == ">" else day < edge):
            return False
    return True


def finds_by_second(body: dict[str, Any], instant: datetime, inclusive: bool) -> bool:
    at = int(instant.timestamp())
    for operator, value in bounds(body):
        equal = inclusive and at == value
        if not (equal or (at > value if operator == ">" else at < value)):
            return False
    return True


def test_a_body_has_filters_bounds_and_a_sort() -> None:
    times = TimeRange(datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC))
    body = query(times, filters=[compare("role", "=", "lead")], order="descending")
    assert body == {
        "query": {
            "operator": "AND",
            "value": [
                {"field": "role", "operator": "=", "value": "lead"},
                {"field": "updated_at", "operator": ">", "value": 1767312000 - 1},
                {"field": "updated_at", "operator": "<", "value": 1767398400},
            ],
        },
        "sort": {"field": "updated_at", "order": "descending"},
    }


def test_no_bound_and_no_filter_still_asks_for_everything() -> None:
    assert bounds(query(TimeRange())) == [(">", 0)]


def test_more_filters_than_intercom_takes_are_refused() -> None:
    with pytest.raises(ValueError, match="16 filters"):
        query(TimeRange(), filters=[compare("open", "=", True)] * 16)


@given(instants, st.integers(1, 100_000), st.integers(1, 40), instants)
def test_ranges_by_the_second_cover_each_instant_exactly_once(
    lower: datetime, length: int, parts: int, instant: datetime
) -> None:
    upper = lower + timedelta(seconds=length)
    instant = lower + (instant - BEGIN) % (upper - lower)
    bodies = [query(times) for times in split(TimeRange(lower, upper), parts)]
    # Inclusive comparison brings a neighbour's second twice: what counts is that none is missing.
    assert sum(finds_by_second(body, instant, inclusive=False) for body in bodies) == 1
    assert sum(finds_by_second(body, instant, inclusive=True) for body in bodies) >= 1


@settings(max_examples=600)
@given(instants, st.integers(1, 400), st.integers(1, 40), st.floats(0, 1), zones)
def test_ranges_by_the_day_cover_every_instant_in_every_timezone(
    first: datetime, days: int, parts: int, where: float, zone: zoneinfo.ZoneInfo
) -> None:
    lower = day_edge(first)
    upper = lower + timedelta(days=days)
    instant = lower + (upper - lower) * min(where, 0.999999)
    ranges = split(TimeRange(lower, upper), parts, "day")
    # The day of the last edge belongs to the next range.
    ranges.append(TimeRange(upper, upper + timedelta(days=2)))
    found = [finds_by_day(query(times, granularity="day"), instant, zone) for times in ranges]
    assert 1 <= sum(found) <= 2


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_days_are_covered_once_a_day_long_in_every_timezone(zone: zoneinfo.ZoneInfo) -> None:
    # Every day's start, noon and last minute through the years with all their clock changes.
    edges = [datetime(2018, 12, 20, 12, tzinfo=UTC) + timedelta(days=n) for n in range(0, 800)]
    bodies = [query(TimeRange(a, b), granularity="day") for a, b in pairwise(edges)]
    for number in range(3, 790):
        instant = edges[number] + timedelta(hours=number % 24)
        near = bodies[number - 3 : number + 4]
        assert any(finds_by_day(body, instant, zone) for body in near), instant


@pytest.mark.parametrize("name", ["UTC", "Europe/Dublin", "America/New_York", "Asia/Kolkata"])
def test_days_come_exactly_once_where_most_people_live(name: str) -> None:
    zone = zoneinfo.ZoneInfo(name)
    edges = [datetime(2025, 12, 20, 12, tzinfo=UTC) + timedelta(days=n) for n in range(0, 400)]
    bodies = [query(TimeRange(a, b), granularity="day") for a, b in pairwise(edges)]
    for number in range(3, 390):
        instant = edges[number] + timedelta(hours=number % 24)
        assert (
            sum(finds_by_day(body, instant, zone) for body in bodies[number - 3 : number + 4]) == 1
        )


@given(instants, instants, zones)
def test_an_incremental_bound_misses_nothing_after_it(
    bound: datetime, instant: datetime, zone: zoneinfo.ZoneInfo
) -> None:
    bound, instant = sorted((bound, instant))
    by_day = {"query": {"value": [since(bound, granularity="day")]}}
    by_second = {"query": {"value": [since(bound, granularity="second")]}}
    assert finds_by_day(by_day, instant, zone)
    assert finds_by_day(query(TimeRange(bound), granularity="day"), instant, zone)
    assert finds_by_second(by_second, instant, inclusive=False)


@given(instants, instants, instants, zones)
def test_a_range_by_the_day_with_odd_edges_holds_all_between_them(
    one: datetime, two: datetime, three: datetime, zone: zoneinfo.ZoneInfo
) -> None:
    lower, instant, upper = sorted((one, two, three))
    if not is_day_edge(upper) and instant < upper:
        assert finds_by_day(query(TimeRange(lower, upper), granularity="day"), instant, zone)


@given(
    instants,
    st.integers(0, 10**7),
    st.integers(0, 999_999),
    st.integers(-1, 50),
    st.sampled_from(["second", "day"]),
)
def test_splitting_keeps_the_range(
    lower: datetime, length: int, micro: int, parts: int, granularity: Any
) -> None:
    times = TimeRange(lower, lower + timedelta(seconds=length, microseconds=micro))
    split_up = split(times, parts, granularity)
    assert split_up[0].lower == times.lower
    assert split_up[-1].upper == times.upper
    assert all(a.upper == b.lower for a, b in pairwise(split_up))
    assert len(split_up) <= max(1, parts)
    assert len(split_up) == 1 or all(w.lower < w.upper for w in split_up if w.lower and w.upper)
    inner = [w.upper for w in split_up[:-1] if w.upper]
    assert all(is_day_edge(e) if granularity == "day" else not e.microsecond for e in inner)


def test_an_open_range_cannot_be_split() -> None:
    assert split(TimeRange(BEGIN), 4) == [TimeRange(BEGIN)]
    assert split(TimeRange(BEGIN, BEGIN + timedelta(seconds=1)), 4) == [
        TimeRange(BEGIN, BEGIN + timedelta(seconds=1))
    ]
