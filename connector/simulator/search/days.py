"""The workspace's days as stretches of unix seconds; knows timezones, and nothing of searches."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

# A half-open stretch of seconds: from, to; None is unbounded.
Span = tuple[int | None, int | None]
# A value past this is milliseconds by mistake: Intercom answers with nothing, and no error.
LATEST = 100_000_000_000
_DAY = 86_400


@lru_cache(maxsize=4096)
def day(timezone: str, moment: int) -> tuple[int, int]:
    """Start of the local day that holds `moment`, and start of the next one."""
    zone = ZoneInfo(timezone)
    date = datetime.fromtimestamp(moment, zone).date()
    start = datetime(date.year, date.month, date.day, tzinfo=zone)
    following = date + timedelta(days=1)
    end = datetime(following.year, following.month, following.day, tzinfo=zone)
    return int(start.timestamp()), int(end.timestamp())


def union(spans: list[Span]) -> list[Span]:
    """The same seconds as sorted, disjoint spans."""
    ordered = sorted(spans, key=lambda span: (span[0] is not None, span[0] or 0))
    merged: list[Span] = []
    for low, high in ordered:
        if low is not None and high is not None and low >= high:
            continue
        if merged and _touches(merged[-1], low):
            merged[-1] = (merged[-1][0], _later(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged


def intersection(left: list[Span], right: list[Span]) -> list[Span]:
    """The seconds that are in both lists of spans."""
    return union([_overlap(a, b) for a in left for b in right])


def contains(spans: list[Span], second: int) -> bool:
    """True when one of the spans holds the second."""
    return any(
        (low is None or low <= second) and (high is None or second < high) for low, high in spans
    )


def cut_midnights(spans: list[Span], seconds: int) -> list[Span]:
    """The same spans without what lies near the edges of a day, the workspace's and UTC's.

    Contacts updated within minutes of midnight UTC are known to be missed by searches for that day;
    searches that begin a day or more away find them.
    """
    for edge in {bound for span in spans for bound in span if bound is not None}:
        utc = edge // _DAY * _DAY
        for midnight in (edge, utc, utc + _DAY):
            around: list[Span] = [(None, midnight - seconds), (midnight + seconds, None)]
            spans = intersection(spans, around)
    return spans


def _touches(span: Span, low: int | None) -> bool:
    return low is None or span[1] is None or low <= span[1]


def _later(left: int | None, right: int | None) -> int | None:
    return None if left is None or right is None else max(left, right)


def _overlap(left: Span, right: Span) -> Span:
    lows = [low for low in (left[0], right[0]) if low is not None]
    highs = [high for high in (left[1], right[1]) if high is not None]
    return (max(lows) if lows else None, min(highs) if highs else None)
