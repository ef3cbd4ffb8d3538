"""Partitions: what they hold, where they end, what they surely show."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.intercom.paging import search
from connector.sync.planning import plan
from connector.warehouse.state.partitions import OPEN_LOWER, OPEN_UPPER, Span

NOON = datetime(2026, 5, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def unix(moment: datetime) -> int:
    return int(moment.timestamp())


def test_a_partition_that_is_little_too_large_stays_whole() -> None:
    span = Span(NOON - 100 * DAY, NOON)
    options: dict[str, Any] = {"earliest": None, "now": NOON, "unit": "day", "target": 100}
    assert plan.divide(span, 150, **options) == [span]
    parts = plan.divide(span, 151, **options)
    assert len(parts) == 2
    assert (parts[0].lower, parts[-1].upper) == (span.lower, span.upper)
    assert parts[0].upper == parts[1].lower


def test_partitions_are_as_large_as_the_workspace_asks_for() -> None:
    assert plan.target(None, 64, False) == plan.LEAST_RECORDS
    assert plan.target(64 * 1_000, 64, False) == 1_000
    assert plan.target(10**7, 64, False) == plan.PARTITION_RECORDS
    assert plan.target(10**7, 64, True) == plan.PARTITION_OBJECTS


def test_a_search_beyond_a_partition_ends_once_all_of_it_has_come() -> None:
    end = plan.Passing(NOON)
    assert not end.is_past([unix(NOON) - 2, unix(NOON) - 1])
    assert end.is_past([unix(NOON) - 1, unix(NOON)])


@pytest.mark.parametrize("odd", [None, "5", 3])
def test_a_search_out_of_order_is_read_to_its_end(odd: object) -> None:
    end = plan.Passing(NOON)
    assert not end.is_past([unix(NOON) - 2, odd])
    assert not end.is_past([unix(NOON) + 10])


@pytest.mark.parametrize(
    "timezone", ["UTC", "America/New_York", "Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kolkata"]
)
def test_what_partitions_by_the_day_surely_show_tiles_and_lies_in_searches(
    timezone: str,
) -> None:
    spans = [
        Span(OPEN_LOWER, NOON),
        Span(NOON, NOON + 3 * DAY),
        Span(NOON + 3 * DAY, OPEN_UPPER),
    ]
    covered = [plan.covered(span, "day", timezone) for span in spans]
    assert covered[0].lower == OPEN_LOWER
    assert covered[-1].upper == OPEN_UPPER
    assert [one.upper for one in covered[:-1]] == [one.lower for one in covered[1:]]
    body = search.query(
        search.TimeRange(spans[1].lower, spans[1].upper), field="created_at", granularity="day"
    )
    after, before = (one["value"] for one in body["query"]["value"])
    zone = covered[1].lower.tzinfo
    first = datetime.fromtimestamp(after, zone).date() + DAY  # ">" begins with the day after
    assert first <= covered[1].lower.date()
    assert covered[1].upper.date() <= datetime.fromtimestamp(before, zone).date()


def test_a_partition_is_taken_as_it_is_where_days_do_not_matter_or_are_not_known() -> None:
    span = Span(NOON, NOON + DAY)
    assert plan.covered(span, "second", "America/New_York") == span
    assert plan.covered(span, "day", None) == span
    assert plan.covered(span, "day", "Atlantis/Capital") == span
    assert plan.covered(span, "day", "../etc/passwd") == span


@pytest.mark.parametrize("spell", [lambda t: t, lambda t: t * 1000, lambda t: str(t), float])
def test_the_order_of_records_is_seen_in_whatever_unit_their_times_come(
    spell: Callable[[int], object],
) -> None:
    bound = int(NOON.timestamp())
    order, end = plan.Order(NOON), plan.Passing(NOON)
    assert not order.is_past([spell(bound + 5), spell(bound + 1)])
    assert order.is_past([spell(bound - 1), spell(bound - 2)])
    assert not end.is_past([spell(bound - 1)])
    assert end.is_past([spell(bound), spell(bound + 1)])
    assert not plan.Order(NOON).is_past([None, spell(bound - 1)])
