"""Counts what was asked and answered, for tests and benchmarks; changes nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

from connector.simulator.requests.apps import WINDOW


class Stats:
    """Counters since the start or the last reset."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything but what is in flight right now."""
        self.requests = 0
        self.endpoints: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.windows: Counter[int] = Counter()
        self.in_flight = getattr(self, "in_flight", 0)
        self.max_in_flight = self.in_flight
        self.scrolls_opened = 0

    def enter(self) -> None:
        """An outer layer began to serve a request."""
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def leave(self) -> None:
        """An outer layer is done with a request."""
        self.in_flight -= 1

    def count(self, endpoint: str, status: int, now: float) -> None:
        """One answered request."""
        self.requests += 1
        self.endpoints[endpoint] += 1
        self.statuses[status] += 1
        self.windows[int(now // WINDOW) * WINDOW] += 1

    def as_dict(self) -> dict[str, Any]:
        """Everything, with text keys so that it travels as JSON."""
        return {
            "requests": self.requests,
            "endpoints": dict(self.endpoints),
            "statuses": {str(status): n for status, n in self.statuses.items()},
            "rate_limited": self.statuses[429],
            "windows": {str(start): n for start, n in self.windows.items()},
            "max_in_flight": self.max_in_flight,
            "scrolls_opened": self.scrolls_opened,
        }
