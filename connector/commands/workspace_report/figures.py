"""Numbers, durations and times as people read them."""

from __future__ import annotations

from datetime import date, datetime, tzinfo
from decimal import Decimal

NOTHING = "–"
MINUTE, HOUR, DAY = 60, 3_600, 86_400
_STEPS = (
    *(1, 2, 5, 10, 15, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE),
    *(HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY),
)
_TICKS = 5


def number(value: int | float | Decimal | None, digits: int = 0) -> str:
    """With separators of thousands."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def percent(value: float | Decimal | None) -> str:
    """A rate between 0 and 1; small ones with a digit more."""
    if value is None:
        return NOTHING
    share = float(value) * 100
    return f"{share:.1f}%" if 0 < share < 9.95 else f"{share:.0f}%"


def duration(seconds: float | Decimal | None) -> str:
    """In the two largest units that matter: 2 d 3 h, 1 h 5 min, 40 s."""
    if seconds is None:
        return NOTHING
    whole = round(seconds)
    if whole < MINUTE:
        return f"{float(seconds):.1f} s" if 0 < seconds < 10 and whole != seconds else f"{whole} s"
    if whole < HOUR:
        return _two(whole // MINUTE, "min", whole % MINUTE if whole < 10 * MINUTE else 0, "s")
    minutes = round(whole / MINUTE)
    if minutes < 24 * 60:
        return _two(minutes // 60, "h", minutes % 60, "min")
    hours = round(whole / HOUR)
    return _two(hours // 24, "d", hours % 24, "h") if hours < 240 else f"{whole / DAY:,.0f} d"


def age(seconds: float) -> str:
    """In the largest unit alone."""
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"


def _two(large: int, unit: str, small: int, other: str) -> str:
    return f"{large:,} {unit}" + (f" {small} {other}" if small else "")


def ticks(most: float) -> list[int]:
    """Durations at which an axis is marked: round ones, few, up to the largest value or over."""
    step = next((s for s in _STEPS if most / s <= _TICKS), 0)
    if not step:
        days = most / DAY / _TICKS
        scale = 10 ** (len(str(int(days))) - 1)
        step = DAY * scale * next(f for f in (1, 2, 5, 10) if days <= f * scale)
    return list(range(0, int(most) + step, step))


def day(value: date) -> str:
    """A day with its weekday."""
    return f"{value:%a} {value.day} {value:%b %Y}"


def month(value: date) -> str:
    """A month."""
    return f"{value:%B %Y}"


def moment(value: datetime | None, zone: tzinfo) -> str:
    """An instant in that timezone, to the minute."""
    if value is None:
        return "never"
    there = value.astimezone(zone)
    return f"{there.day} {there:%b %Y, %H:%M}"
