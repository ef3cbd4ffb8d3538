"""Where changes are told and deliverers ask: every subscription of one simulator; no I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import UUID

from connector.simulator.encoding import encode
from connector.simulator.records.workspace import Record
from connector.simulator.webhooks.chaos import Chaos, Telling
from connector.simulator.webhooks.delivery import Attempt, Subscription
from connector.simulator.webhooks.items import ping
from connector.simulator.webhooks.notification import Notification

if TYPE_CHECKING:
    from connector.simulator.simulator import Simulator

Post = Callable[[dict[str, str], bytes], int | None]
# Notifications of these have no id.
_NAMELESS = frozenset({"ping", "conversation.read"})


class Webhooks:
    """What one simulator tells, to whom, and what waits to be delivered.

    `chaos` is what goes wrong on the way out.
    """

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._random = Random(f"{simulator.workspace.seed}-webhooks")
        self._number = 0
        self.subscriptions: list[Subscription] = []
        self.chaos = Chaos()

    def subscribe(self, secret: str, topics: Iterable[str] | None = None) -> Subscription:
        """Tell these topics from now on, or all; one more app hears everything once more."""
        wanted = None if topics is None else frozenset(topics)
        subscription = Subscription(secret, wanted)
        self.subscriptions.append(subscription)
        return subscription

    def tell(self, topic: str, make: Callable[..., Record], *about: Any) -> None:
        """A change: its notification is queued for whoever hears the topic.

        The item is what `make` returns of `about`; nothing is made if nobody hears.
        """
        hearing = [one for one in self.subscriptions if one.hears(topic)]
        if hearing:
            app_id = self._simulator.workspace.app["id_code"]
            telling = Telling(topic, make(*about), app_id)
            for subscription in hearing:
                self._queue(subscription, telling)

    def ping(self, message: str = "something something interzen") -> None:
        """The test button of the Developer Hub; no chaos befalls it."""
        app_id = self._simulator.workspace.app["id_code"]
        for subscription in self.subscriptions:
            self._offer(subscription, Telling("ping", ping(message), app_id))

    def due(self, most: int | None = None) -> list[Attempt]:
        """What is to be posted now, over all subscriptions, but no more than `most`."""
        self._simulator.settle()
        found: list[Attempt] = []
        for subscription in self.subscriptions:
            left = None if most is None else most - len(found)
            found += subscription.next_due(self._simulator.now(), left)
        return found

    def answered(self, attempt: Attempt, status: int | None) -> None:
        """How the receiver answered; None is no answer within five seconds, or no connection."""
        attempt.subscription.answered(attempt, status, self._simulator.now())

    def deliver(self, post: Post) -> int:
        """Post everything that is due now, one after the other; returns how many."""
        attempts = self.due()
        for attempt in attempts:
            self.answered(attempt, post(*attempt.request()))
        return len(attempts)

    def next_due_at(self) -> float | None:
        """When something is due next, by the simulator's clock; None if nothing waits."""
        self._simulator.settle()
        times = [at for one in self.subscriptions if (at := one.next_due_at()) is not None]
        return min(times, default=None)

    def stats(self) -> list[dict[str, Any]]:
        """Of each subscription what was sent and what became of it; no secret is in it."""
        now = self._simulator.now()
        return [subscription.stats(now) for subscription in self.subscriptions]

    def _queue(self, subscription: Subscription, telling: Telling) -> None:
        for one in self.chaos.spread(self._random, telling):
            self._offer(subscription, one)

    def _offer(self, subscription: Subscription, telling: Telling) -> None:
        self._number += 1
        now = self._simulator.now()
        notification = Notification(
            self._number,
            telling.topic,
            self._id(telling.topic),
            telling.app_id,
            int(now),
            self._simulator.signer()(encode(telling.item)),
        )
        subscription.counts["told"] += 1
        subscription.offer(notification, now + telling.later, now)

    def _id(self, topic: str) -> str | None:
        id = UUID(int=self._random.getrandbits(128), version=4)
        return None if topic in _NAMELESS else f"notif_{id}"


class WebhookControls:
    """What a test or a person may do to webhooks; a part of the switchboard."""

    simulator: Simulator

    def subscribe(self, secret: str, topics: list[str] | None = None) -> None:
        """Send notifications of these topics, or all, signed with the secret of an app."""
        self.simulator.webhooks.subscribe(secret, topics)

    def ping(self) -> None:
        """Press the test button."""
        self.simulator.webhooks.ping()

    def webhook_stats(self) -> list[dict[str, Any]]:
        """Of each subscription: told, sent, answered by status, retried, lost, paused, disabled."""
        return self.simulator.webhooks.stats()

    def webhook_chaos(self, **knobs: float) -> None:
        """Let notifications go wrong on their way; the knobs are those of `Chaos`."""
        webhooks = self.simulator.webhooks
        webhooks.chaos = webhooks.chaos.changed(**knobs)

    def webhook_outage(self, seconds: float) -> None:
        """Intercom sends nothing for so long, then the newest first."""
        until = self.simulator.now() + seconds
        for subscription in self.simulator.webhooks.subscriptions:
            subscription.outage(until)

    def webhook_set_live(self) -> None:
        """A person enables every subscription again that was disabled or paused."""
        for subscription in self.simulator.webhooks.subscriptions:
            subscription.set_live()
