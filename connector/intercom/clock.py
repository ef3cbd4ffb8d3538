"""Tells Intercom's time from the Date headers of its replies; knows no request and no table.

What lies between two readings is measured by a clock that nobody sets, so Intercom's time differs
from ours by one figure throughout a run. Each Date bounds it; one reply in some may come from a
front end, or a cache, whose clock is wrong, so no single Date decides.
"""

import email.utils
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

log = logging.getLogger(__name__)

DAY = 86_400.0
NOTABLE = 300.0
NEAR = 120.0
"""Dates that lie further than so many seconds from most others do not count for times of reads."""
JUDGES = 33
"""So many Dates decide, by their middle one, which of them are to be believed."""
RECENT = 64
"""So many bound where the windows of the request budget begin: clocks drift in a long run."""
WITNESSES = 10
"""Where no reply bears a Date, this many different times must agree that it is not earlier."""
EARLIEST = 1_312_156_800.0
"""August 2011: Intercom's clock has never been before it."""
RELEASED = 1_767_225_600.0
"""January 2026: a local clock before it is certainly wrong."""
LATEST = 32_503_680_000.0
FEW = 8
"""Of so few replies the middle one says where windows begin, however it moves."""
UNTOLD = (
    "no reply bears a Date header: how fresh the data are follows from the newest changes that"
    " replies show, and more than has changed is read again"
)


def steady() -> Callable[[], float]:
    """A clock in Unix seconds that begins with the system's and goes on whatever that is set to.

    It counts what the machine sleeps through, where the system can tell.
    """
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    tick = time.monotonic if boot is None else lambda: time.clock_gettime(boot)
    began = time.time() - tick()
    return lambda: began + tick()


class Clock:
    """Intercom's time as seen from here, by differences to add to the local clock.

    Three figures, because three mistakes must be avoided. ``offset`` is the smallest difference
    that is believed: cursors are cut from it, so that they are late rather than early. Times of
    reads go by the smallest of those near the middle one, so that no outlier puts them back.
    ``edge_offset`` is the best estimate, for telling where the windows of the budget begin.
    Without any Date they follow from what replies say changed: that was not in Intercom's future.
    """

    def __init__(self, local: Callable[[], float] | None = None) -> None:
        self.local = local or steady()
        self._judges: list[float] = []
        self._lowest = self._nearest = math.inf  # of those after the judges
        self._recent: deque[tuple[float, float]] = deque(maxlen=RECENT)
        self._edge = 0.0
        self._said: dict[float, float] = {}
        self._proven = -math.inf
        self._warned: set[str] = set()

    # -- learning ----------------------------------------------------------------------------

    def observe(
        self, date_header: str | None, sent: float, received: float, age: str | None = None
    ) -> None:
        """Learn from one reply: its Date and Age, local times of sending and of its headers."""
        date = parse_date(date_header)
        if date is None:
            return
        date += _seconds(age)
        least, most = date - received, date + 1.0 - sent
        if least > DAY + self._slow():
            # A cursor cut from such a clock would skip everything until then.
            self._warn("future", "a Date header lies %.0f s ahead; it is not believed", least)
            return
        if len(self._judges) < JUDGES:
            self._judges.append(least)
        else:
            middle = _middle(self._judges)
            self._lowest = min(self._lowest, least if least >= middle - DAY else math.inf)
            self._nearest = min(self._nearest, least if least >= middle - NEAR else math.inf)
        self._recent.append((least, most))
        self._edge = self._find_edge()
        if abs(least) > NOTABLE:
            self._warn("differs", "the local clock differs from Intercom's by %.0f s", least)

    def _find_edge(self) -> float:
        """The difference that agrees with most replies; the last one, while many agree with it.

        Date is cut to whole seconds and was written between sending and receiving, so the true
        difference lies in an interval, which each reply of the same front end makes smaller.
        """
        recent, edge = self._recent, self._edge
        agreeing = sum(least - 1.0 <= edge <= most + 1.0 for least, most in recent)
        if len(recent) < FEW or agreeing * 4 < len(recent):
            edge = _middle([least for least, _ in recent])
        at_most = min((most for _, most in recent if most >= edge), default=edge)
        return max((least for least, _ in recent if least <= at_most), default=edge)

    def witness(self, times: Iterable[Any]) -> None:
        """Learn, while no reply has borne a Date, from times at which something changed there."""
        if self.is_borne_out:
            return
        now = self.local()
        for moment in times:
            if type(moment) is int and EARLIEST < moment < LATEST:
                self._said.setdefault(moment, moment - now)
        newest = sorted(self._said, reverse=True)[:WITNESSES]
        self._said = {moment: self._said[moment] for moment in newest}

    def prove(self, instant: datetime) -> None:
        """Learn that Intercom's clock has been past this instant."""
        self._proven = max(self._proven, instant.timestamp() - self.local())

    @property
    def is_borne_out(self) -> bool:
        """Whether a Date that is believed has told Intercom's time."""
        return bool(self._judges)

    def _bound(self) -> float:
        """The difference below which it cannot be.

        One record may bear a time in the future; of many, the oldest of the newest is believed.
        """
        told = min(self._said.values(), default=-math.inf)
        bound = max(told, self._proven, EARLIEST - self.local())
        return bound if self.local() < RELEASED else min(bound, 0.0)

    def _slow(self) -> float:
        """By how many seconds at least the local clock is provably behind."""
        return max(0.0, self._bound())

    # -- telling -----------------------------------------------------------------------------

    @property
    def offset(self) -> float:
        """Seconds to add to the local clock for a time that is never beyond Intercom's."""
        if not self._judges:
            return self._bound()
        middle = _middle(self._judges)
        return min(self._lowest, *(one for one in self._judges if one >= middle - DAY))

    @property
    def edge_offset(self) -> float:
        """Seconds to add to the local clock for Intercom's time as exactly as is known."""
        return self._edge

    def at(self, local: float) -> datetime:
        """Intercom's time at a local time, aware, in UTC; never later than it really was."""
        return _aware(local + self.offset)

    def stamp(self, local: float) -> datetime:
        """The same of a request, without regard to outliers: later ones bear later times."""
        if not self._judges:
            return self.at(local)
        middle = _middle(self._judges)
        near = [one for one in self._judges if abs(one - middle) <= NEAR]
        return _aware(local + min(self._nearest, *near))

    def now(self) -> datetime:
        """Intercom's time now, aware, in UTC."""
        return self.at(self.local())

    def safe_at(self, local: float) -> datetime:
        """The earlier of Intercom's and the local time: what both clocks bear out."""
        return min(self.at(local), _aware(local + self._slow()))

    def safe_now(self) -> datetime:
        """The same now, without regard to outliers: when something was found out."""
        local = self.local()
        return min(self.stamp(local), _aware(local + self._slow()))

    def likely_now(self) -> datetime:
        """Intercom's time now, by the local clock where no Date tells: for what may be inexact."""
        return self.safe_now() if self.is_borne_out else _aware(self.local())

    def edge_now(self) -> float:
        """Intercom's time now in Unix seconds, by the best estimate: for the request budget."""
        return self.local() + self._edge

    def warn_if_untold(self) -> None:
        """Say once that no Date has told Intercom's time."""
        if not self.is_borne_out:
            self._warn("untold", UNTOLD)

    def _warn(self, kind: str, text: str, *seconds: float) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            log.warning(text, *seconds)


def parse_date(header: str | None) -> float | None:
    """Unix seconds of an HTTP Date header; None if there is none or it cannot be read."""
    if not header:
        return None
    try:
        date = email.utils.parsedate_to_datetime(header)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _seconds(age: str | None) -> float:
    """What a cache says of how long it kept the reply."""
    return float(age) if age and age.strip().isdigit() and len(age) < 8 else 0.0


def _middle(values: Iterable[float]) -> float:
    """The middle one by size; of two the smaller."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]


def _aware(seconds: float) -> datetime:
    return datetime.fromtimestamp(max(0.0, seconds), UTC)
