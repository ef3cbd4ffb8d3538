"""Tells Intercom's time from the Date headers of its replies; knows no request and no table."""

import email.utils
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

log = logging.getLogger(__name__)

DAY = 86_400.0
NOTABLE = 300.0


class Clock:
    """Intercom's time as seen from here.

    Two figures, because two mistakes must be avoided. ``offset`` is the smallest difference seen,
    so that ``now`` is late rather than early: cursors are cut from it. ``edge_offset`` is the
    best estimate, for telling where the ten-second windows of the request budget begin.
    Both are 0 until a Date header was seen, in seconds to add to the local clock.
    """

    def __init__(self, local: Callable[[], float] = time.time) -> None:
        self.local = local
        self.offset = 0.0
        self.edge_offset = 0.0
        self._seen = False
        self._warned: set[str] = set()

    def observe(self, date_header: str | None, sent: float, received: float) -> None:
        """Learn from one reply: its Date, and the local times of sending and of its headers."""
        date = parse_date(date_header)
        if date is None:
            return
        delta = date - received
        if delta > DAY:
            # A cursor cut from such a clock would skip everything until then.
            self._warn("future", "a Date header lies %.0f s ahead; it is not believed", delta)
            return
        self.offset = min(self.offset, delta) if self._seen else delta
        self._tighten(delta, date + 1.0 - sent)
        self._seen = True
        if abs(delta) > NOTABLE:
            self._warn("differs", "the local clock differs from Intercom's by %.0f s", delta)

    def _tighten(self, at_least: float, at_most: float) -> None:
        # Date is cut to whole seconds and was written between sending and receiving, so the true
        # difference lies in this interval. An estimate outside it means that a clock was set.
        if not self._seen or self.edge_offset > at_most:
            self.edge_offset = at_least
        else:
            self.edge_offset = max(self.edge_offset, at_least)

    def at(self, local: float) -> datetime:
        """Intercom's time at a local time, aware, in UTC; never later than it really was."""
        return _aware(local + self.offset)

    def now(self) -> datetime:
        """Intercom's time now, aware, in UTC."""
        return self.at(self.local())

    def safe_now(self) -> datetime:
        """The earlier of Intercom's and the local time: what both clocks bear out."""
        local = self.local()
        return min(self.at(local), _aware(local))

    def edge_now(self) -> float:
        """Intercom's time now in Unix seconds, by the best estimate: for the request budget."""
        return self.local() + self.edge_offset

    def _warn(self, kind: str, text: str, seconds: float) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            log.warning(text, seconds)


def parse_date(header: str | None) -> float | None:
    """Unix seconds of an HTTP Date header; None if there is none or it cannot be read."""
    if not header:
        return None
    try:
        date = email.utils.parsedate_to_datetime(header)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _aware(seconds: float) -> datetime:
    return datetime.fromtimestamp(max(0.0, seconds), UTC)
