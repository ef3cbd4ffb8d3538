"""Notifications are lost and the database is away, for minutes: afterwards nothing is missing."""

from __future__ import annotations

import http.client
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from connector.simulator import Simulator
from tests.support.harness import Harness
from tests.support.life import small_workspace
from tests.support.postgres.server import Server
from tests.support.receiving import SECRET, Sender, eventually, serving
from tests.support.service import served
from tests.support.truth.compared import differences

REPAIRED_WITHIN = 60.0  # seconds after the database is back, with a pass every ten


class Deliverer(threading.Thread):
    """Changes a contact every so often and posts what is due, as Intercom does."""

    def __init__(self, simulator: Simulator, sender: Sender) -> None:
        super().__init__(daemon=True)
        self._simulator, self._sender = simulator, sender
        self._over = threading.Event()
        self.answers: Counter[int] = Counter()

    def run(self) -> None:
        number, control = 0, self._simulator.control
        contacts = [one["id"] for one in control.truth("contacts")]
        while not self._over.wait(0.5):
            number += 1
            control.update_contact(contacts[number % len(contacts)], name=f"Life {number}")
            self._simulator.webhooks.deliver(self._post)

    def _post(self, headers: dict[str, str], body: bytes) -> int | None:
        named = {name.replace("-", "_"): value for name, value in headers.items()}
        try:
            status = self._sender.ask("POST", body, **named).status
        except (OSError, http.client.HTTPException):
            return None
        self.answers[status] += 1
        return status

    @contextmanager
    def delivering(self) -> Iterator[None]:
        self.start()
        try:
            yield
        finally:
            self._over.set()
            self.join(30)


@pytest.mark.chaos
@pytest.mark.parametrize(("dropped", "away"), [(2.0, 3.0), (600.0, 300.0)])
def test_after_lost_notifications_and_a_lost_database_nothing_is_missing(
    server: Server, fresh_schema: str, dropped: float, away: float
) -> None:
    harness = Harness(server.url, fresh_schema)
    simulator = Simulator(small_workspace(9), index_lag=2.0)
    harness.simulator, harness.control = simulator, simulator.control
    simulator.webhooks.subscribe(SECRET)
    with (
        served(simulator) as url,
        serving(server.url, fresh_schema, intercom=url, CONNECTOR_SYNC_EVERY="10s") as it,
    ):
        sender = it.sender
        eventually(lambda: sender.health()[1]["last_sync_at"], 60)
        deliverer = Deliverer(simulator, sender)
        with deliverer.delivering():
            time.sleep(1.0)
            simulator.control.webhook_chaos(drop=1.0)
            time.sleep(dropped)
            simulator.control.webhook_chaos(drop=0.0)
            time.sleep(1.0)
            server.stop()
            good = deliverer.answers[200]
            eventually(lambda: sender.health()[0] == 503, 5)
            time.sleep(away)
            assert deliverer.answers[200] <= good + 1  # one that was answered as it stopped
            assert deliverer.answers[503]
            server.start()
            eventually(lambda: sender.health()[0] == 200)
        # What no search shows yet is brought by the pass after, not by the first.
        eventually(lambda: _settled(harness), REPAIRED_WITHIN)
        assert differences(harness, began=time.time(), after_full=False) == []
        [row] = harness.query("SELECT sum(received)::int AS n FROM sync_topics")
        assert row["n"] >= deliverer.answers[200]
        assert it.end(signal.SIGTERM) == 0
    harness.close()
    server.execute(f'DROP SCHEMA "{fresh_schema}" CASCADE')


def _settled(harness: Harness) -> bool:
    """Whether nothing waits, and every contact is as it is shown."""
    names = {row["id"]: row["name"] for row in harness.rows("contacts").values()}
    truth = {one["id"]: one["name"] for one in harness.control.truth("contacts")}
    return not harness.query("SELECT id FROM sync_inbox") and truth.items() <= names.items()
