"""How often and how long a temporary failure is tried again; knows no HTTP.

Before attempt n (the second is n = 1) the client waits::

    rng() * min(cap, base * 2 ** (n - 1))        seconds, rng() between 0 and 1 ("full jitter")

and never less than what a Retry-After header asks for (up to ``cap``). It gives up when
``attempts`` requests were made, or when attempts and waits together would exceed ``seconds``.
Waiting for the request budget does not count. A 429 was not processed and is no attempt: it is
repeated up to ``refusals`` times, the budget decides when.
"""

from collections.abc import Callable

from msgspec import Struct

from connector.errors import BadAnswerError, RetryExhaustedError


class Retry(Struct, frozen=True):
    """A bound on repetition: 8 attempts, some 30 s of waiting on average, 300 s in all."""

    attempts: int = 8
    base: float = 0.5
    cap: float = 30.0
    seconds: float = 300.0
    refusals: int = 30

    def delay(self, attempts_made: int, random: float, asked: float = 0.0) -> float:
        """Seconds to wait after so many attempts; ``random`` in [0, 1), ``asked`` Retry-After."""
        longest = min(self.cap, self.base * 2.0 ** (attempts_made - 1))
        return max(random * longest, min(asked, self.cap))


QUICK = Retry(attempts=4, cap=4.0, seconds=90.0)
"""For one object among many: at most 3.5 s of waiting, so that it cannot hold up the rest."""
TWICE = Retry(attempts=2)
"""For heavy search pages: fail fast, then ask for less."""
ONCE = Retry(attempts=1)
"""For what must not be repeated, such as a scroll page that may have been delivered."""


class Tries:
    """Keeps count of one request's attempts."""

    def __init__(self, retry: Retry, rng: Callable[[], float]) -> None:
        self._retry = retry
        self._rng = rng
        self._attempts = 0
        self._refusals = 0
        self._spent = 0.0

    def delay_after(self, error: RetryExhaustedError | BadAnswerError, took: float) -> float:
        """Seconds to wait after a failure that took so long; raises it when it was the last."""
        delay = 0.0
        if error.status == 429:
            self._refusals += 1
        else:
            self._attempts += 1
            asked = error.retry_after if isinstance(error, RetryExhaustedError) else 0.0
            delay = self._retry.delay(self._attempts, self._rng(), asked)
        self._spent += took + delay
        if self._is_over():
            error.attempts = self._attempts + self._refusals
            raise error
        return delay

    def _is_over(self) -> bool:
        retry = self._retry
        over = self._attempts >= retry.attempts or self._refusals > retry.refusals
        return over or self._spent > retry.seconds
