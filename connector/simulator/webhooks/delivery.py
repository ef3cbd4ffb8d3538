"""When a notification is sent, sent again, or lost: the rules of one subscription; no I/O.

Read ``next_due`` for what is sent and in which order, ``answered`` for what an answer means.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from connector.simulator.webhooks.notification import Notification, headers

# An answer that takes longer is none, whatever the receiver did with the request.
TIMEOUT = 5.0
RETRY_AFTER = 60.0
_ATTEMPTS = 2
# More errors than this without a success in between, within this time: a pause as long.
_ERRORS, _PAUSE = 1_000, 900.0
_SHORTEST_DELAY, _LONGEST_DELAY = 60.0, 7_200.0
_SUSPENDED_AFTER = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request that is to be made: what it posts and with which headers."""

    subscription: Subscription = field(repr=False, compare=False)
    notification: Notification
    number: int
    due: float
    first_sent_at: int

    @property
    def body(self) -> bytes:
        """The raw bytes that are signed."""
        return self.notification.body(self.number, self.first_sent_at)

    def request(self) -> tuple[dict[str, str], bytes]:
        """Headers and body."""
        body = self.body
        return headers(self.subscription.secret, body), body


class Subscription:
    """One app's subscription: what waits for its receiver, and how the receiver behaved.

    `topics` None is every topic. `ping` is heard whatever was subscribed to.
    """

    def __init__(self, secret: str, topics: frozenset[str] | None = None) -> None:
        self.secret = secret
        self.topics = topics
        self.disabled: str | None = None
        self.paused_until = 0.0
        self.counts: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self._held_until = 0.0  # by an answer of 429 or an outage
        self._delay = 0.0  # of the last 429
        self._backlog = False  # what waits longest goes last
        self._errors: deque[float] = deque()
        self._failing_since: float | None = None
        self._waiting: list[tuple[float, int, Notification, int, int]] = []
        self._sequence = 0
        self._ready: deque[tuple[float, int, Notification, int, int]] = deque()
        self._in_flight = 0

    def __repr__(self) -> str:
        return f"Subscription(topics={self.topics}, waiting={len(self)}, secret=…)"

    def __len__(self) -> int:
        return len(self._waiting) + len(self._ready)

    def hears(self, topic: str) -> bool:
        """Whether a topic is told here."""
        return self.topics is None or topic in self.topics or topic == "ping"

    def offer(self, notification: Notification, due: float, now: float) -> None:
        """Queue a notification, unless nothing is queued now: then it is lost."""
        if self.disabled or now < self.paused_until:
            self.counts["lost"] += 1
        else:
            self._queue(notification, 1, due, 0)

    def next_due_at(self) -> float | None:
        """When something is to be sent next, or None."""
        if not len(self):
            return None
        held = max(self._held_until, self.paused_until)
        return max(held, self._ready[0][0] if self._ready else self._waiting[0][0])

    def next_due(self, now: float, most: int | None = None) -> list[Attempt]:
        """What is to be sent now, each handed out once; whoever takes it must say how it went.

        In the order of becoming due; after an outage, a pause or a delay the newest first.
        """
        if now < max(self._held_until, self.paused_until):
            return []
        while self._waiting and self._waiting[0][0] <= now:
            self._ready.append(heapq.heappop(self._waiting))
        if self._delay:
            self._drop_old(now)
        if self._backlog:
            self._ready = deque(sorted(self._ready, key=lambda one: -one[2].number))
        count = len(self._ready) if most is None else min(most, len(self._ready))
        taken = [self._ready.popleft() for _ in range(count)]
        self._backlog = self._backlog and bool(self._ready)
        self._in_flight += count
        self.counts["sent"] += count
        self.counts["retried"] += sum(number > 1 for *_, number, _ in taken)
        return [
            Attempt(self, notification, number, due, first or int(now))
            for due, _, notification, number, first in taken
        ]

    def answered(self, attempt: Attempt, status: int | None, now: float) -> None:
        """An attempt was answered; None is no answer within five seconds, or no connection.

        Without an answer the receiver may still have what was sent, and gets it once more.
        """
        self._in_flight -= 1
        self.answers["none" if status is None else str(status)] += 1
        if status is not None and 200 <= status < 300:
            self._succeeded()
        elif status == 410:
            self._disable("410")
            self.counts["lost"] += 1
        elif status == 429:
            self._throttled(attempt, now)
        else:
            self._failed(attempt, now)

    def outage(self, until: float) -> None:
        """Intercom itself sends nothing until then; it goes on with the newest."""
        self._held_until = max(self._held_until, until)
        self._backlog = True

    def set_live(self) -> None:
        """A person enables the subscription again; what came meanwhile stays lost."""
        self.disabled, self._failing_since = None, None
        self.paused_until = self._held_until = 0.0
        self._succeeded()

    def stats(self, now: float) -> dict[str, Any]:
        """Counts of what was sent and became of it, and what is the matter now."""
        names = ("told", "sent", "retried", "lost", "dropped")
        return {
            **{name: self.counts[name] for name in names},
            "answered": dict(self.answers),
            "waiting": len(self),
            "in_flight": self._in_flight,
            "paused": now < self.paused_until,
            "delayed": now < self._held_until,
            "disabled": self.disabled,
        }

    def _queue(self, what: Notification, number: int, due: float, first: int) -> None:
        self._sequence += 1
        heapq.heappush(self._waiting, (due, self._sequence, what, number, first))

    def _succeeded(self) -> None:
        self._errors.clear()
        self._failing_since, self._delay = None, 0.0

    def _failed(self, attempt: Attempt, now: float) -> None:
        if self.disabled or attempt.number >= _ATTEMPTS:
            self.counts["lost"] += 1
        else:
            due = now + RETRY_AFTER
            self._queue(attempt.notification, attempt.number + 1, due, attempt.first_sent_at)
        self._count_error(now)

    def _count_error(self, now: float) -> None:
        self._failing_since = now if self._failing_since is None else self._failing_since
        self._errors.append(now)
        while self._errors[0] <= now - _PAUSE:
            self._errors.popleft()
        if now - self._failing_since > _SUSPENDED_AFTER:
            self._disable("suspended")
        elif len(self._errors) > _ERRORS:
            self.paused_until = now + _PAUSE
            self._backlog = True
            self._errors.clear()

    def _throttled(self, attempt: Attempt, now: float) -> None:
        if now >= self._held_until:
            # Answers to what was under way at the time make it no longer.
            self._delay = min(max(2 * self._delay, _SHORTEST_DELAY), _LONGEST_DELAY)
            self._held_until = now + self._delay
        self._backlog = True
        if self.disabled:
            self.counts["lost"] += 1
        else:
            due, number = self._held_until, attempt.number + 1
            self._queue(attempt.notification, number, due, attempt.first_sent_at)

    def _drop_old(self, now: float) -> None:
        kept = [one for one in self._ready if now - one[2].created_at <= _LONGEST_DELAY]
        self.counts["dropped"] += len(self._ready) - len(kept)
        self._ready = deque(kept)

    def _disable(self, why: str) -> None:
        self.disabled = why
        self.counts["lost"] += len(self)
        self._waiting.clear()
        self._ready.clear()
