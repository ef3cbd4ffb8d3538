"""Which instant a JSON value names; the one place that knows the units in which Intercom writes.

Calls carry texts where the rest carries numbers, and live payloads mix seconds and milliseconds,
so the size of a number tells its unit.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

MILLISECONDS_FROM = 10**11
"""A number of this size or more, of either sign, is milliseconds; below it seconds."""

FIRST_SECOND = -62135596800  # 0001-01-01, the first that both Python and PostgreSQL hold
LAST_SECOND = 253402300799  # 9999-12-31 23:59:59
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_NUMBER = re.compile(r"-?[0-9]+([.][0-9]+)?")


def instant(value: Any) -> datetime | None:
    """Unix seconds, Unix milliseconds or ISO 8601 as a UTC instant; None if it names none.

    A text without a zone is UTC. Years before 1 and after 9999 are none.
    """
    try:
        if type(value) is str:
            return _from_text(value)
        return _from_number(value) if type(value) in (int, float) else None
    except (ValueError, OverflowError):
        return None


def _from_text(value: str) -> datetime:
    number = _NUMBER.fullmatch(value)
    if number:
        return _from_number(float(value) if number[1] else int(value))
    if "\0" in value:  # Python reads no further
        raise ValueError
    parsed = datetime.fromisoformat(value)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)


def _from_number(value: float) -> datetime:
    if abs(value) >= MILLISECONDS_FROM:
        return EPOCH + timedelta(milliseconds=value)
    return EPOCH + timedelta(seconds=value)
