"""Office hours of a workspace: when somebody is there, and what lies so much work later."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

HOUR = 3_600
OPENS, CLOSES, WORKDAYS = 9, 18, 5  # Monday to Friday


class Office:
    """The hours from nine to six on weekdays, in a timezone; instants are Unix seconds."""

    def __init__(self, timezone: str) -> None:
        self._zone = ZoneInfo(timezone)

    def is_open(self, at: int) -> bool:
        """Whether somebody is there."""
        local = datetime.fromtimestamp(at, self._zone)
        return local.weekday() < WORKDAYS and OPENS <= local.hour < CLOSES

    def later(self, at: int, seconds: float) -> int:
        """So many seconds of office hours later."""
        left = int(seconds)
        while True:
            until = _next_hour(at)
            if self.is_open(at):
                if left < until - at:
                    return at + left
                left -= until - at
            at = until

    def seconds(self, since: int, until: int) -> int:
        """How much of the time in between was office hours."""
        passed = 0
        while since < until:
            step = min(until, _next_hour(since))
            passed += step - since if self.is_open(since) else 0
            since = step
        return passed


def _next_hour(at: int) -> int:
    return at + HOUR - at % HOUR
