"""What all tokens may send together in each window; knows no token, only that one was refused.

Intercom allows a workspace 25,000 requests a minute, whatever the number of its apps, and the
company's other integrations live from the same pool. Nothing announces how full it is: headers
tell of the app alone. A 429 to an app whose own count is not used up is the only sign.
"""

from __future__ import annotations

import math

ASTRAY = 6
"""Windows that the estimate of Intercom's clock may go back without the clock having been set."""
KEPT = 0.75
"""Of what was sent in a window until the pool was empty, so much is sent in the next ones."""
HALF = 0.5
"""One refused window takes no more than this: it may have been a burst, or the clock."""
LEAST = 1 / 16
"""Of what is allowed, so much is tried in each window however long others use up the pool."""
HELD = 12
"""Windows, two minutes, before more is tried again after the pool was empty."""
STEP = 1 / 40
"""So much of what is allowed is added in each window after that."""


class Allowance:
    """At most so many requests a minute, spread over its six windows; None is no bound."""

    def __init__(self, per_minute: int | None = None) -> None:
        self.per_minute = per_minute
        self.window = -1
        self.sent = 0

    def cap(self, window: int) -> float:
        """How many requests the window may have."""
        # The remainder is spread: 100 a minute is 16, 17, 17, 16, 17, 17.
        if self.per_minute is None:
            return math.inf
        sixth = window % 6
        return self.per_minute * (sixth + 1) // 6 - self.per_minute * sixth // 6

    def is_spent(self, window: int) -> bool:
        """Whether nothing more may be sent in the window."""
        self._roll(window)
        return self.sent >= self.cap(self.window)

    def take(self, window: int) -> None:
        """One request is sent in the window."""
        self._roll(window)
        self.sent += 1

    def refuse(self, window: int) -> None:
        """A token was refused in the window though its own count is not used up."""

    def _roll(self, window: int) -> None:
        # Each budget looks at the clock by itself; one that is a moment behind opens nothing.
        if not self.window - ASTRAY <= window <= self.window:
            self.window, self.sent = window, 0


class SharedAllowance(Allowance):
    """An allowance out of a pool from which others live too: less while they use it up.

    ``share`` is the part of ``per_minute`` that is used now, 1 at the most.
    """

    def __init__(self, per_minute: int) -> None:
        super().__init__(per_minute)
        self.share = 1.0
        self._refused = -ASTRAY  # the last window in which the pool was empty

    def cap(self, window: int) -> float:
        """How many requests the window may have; none in one that has found the pool empty."""
        if window == self._refused:
            return 0
        return max(1, int(super().cap(window) * self.share))

    def refuse(self, window: int) -> None:
        """The pool is empty: nothing more in this window, and less in the next ones."""
        self._roll(window)
        if self.window == self._refused:
            return  # of the same window: what was under way
        got = self.sent / max(1.0, super().cap(self.window)) * KEPT
        self.share = max(LEAST, self.share * HALF, min(self.share * KEPT, got))
        self._refused = self.window

    def _roll(self, window: int) -> None:
        before = self.window
        super()._roll(window)
        if self.window > before and self.window > self._refused + HELD:
            self.share = min(1.0, self.share + STEP)
