"""A warehouse that hears of its workspace, in one process without sockets."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

from connector.simulator import Simulator
from connector.sync.options import Options
from connector.sync.outcome import Outcome
from connector.sync.run import Kept, settle_hints
from connector.warehouse.sql.database import Database
from connector.warehouse.state import inbox
from connector.webhooks.notification import read
from tests.support.harness import Harness
from tests.support.life import small_workspace
from tests.support.truth import told

SECRET = "client-secret"


class Mirror:
    """A warehouse that hears of its workspace, and reads what it was told of."""

    def __init__(self, harness: Harness, secret: str = SECRET, **options: Any) -> None:
        self.harness = harness
        self.simulator: Simulator = harness.simulate(small_workspace(7), **options)
        self.simulator.webhooks.subscribe(secret)
        self.database = Database(harness.database_url, harness.schema)
        self.kept, self.delay = Kept(), 0.0
        self.hinted = set[tuple[str, str]]()
        self.bodies = list[bytes]()

    def receive(self, drop: float = 0.0, random: Random | None = None) -> int:
        """Take what was sent, as the receiver does; how many hints."""
        self.bodies.clear()
        self.hinted.clear()

        def post(headers: dict[str, str], body: bytes) -> int:
            if not random or random.random() >= drop:
                self.bodies.append(body)
            return 200

        self.simulator.webhooks.deliver(post)
        came = [read(body) for body in self.bodies]
        code = self.simulator.workspace.app["id_code"]
        hints = [hint for one in came if one.app_id == code for hint in one.hints]
        self.hinted |= {(hint.resource, hint.id) for hint in hints}
        self.database.write(lambda conn: inbox.tell(conn, hints, self.delay))
        return len(hints)

    async def settle(self, **options: Any) -> Outcome:
        """One burst, of as long as it takes."""
        given: dict[str, Any] = {"lookback": timedelta(seconds=900), "live_delay": self.delay}
        settings = Options(command="serve", partial=True, **(given | options))
        async with self.harness.client() as client:
            outcome = await settle_hints(client, self.database, settings, self.kept, 60.0)
        self.kept.outcome = outcome
        self.database.unlock()
        return outcome

    def hurry(self) -> None:
        """What is to be read again later is due."""
        self.harness.query("UPDATE sync_inbox SET not_before = now()")

    def waiting(self) -> list[dict[str, Any]]:
        return self.harness.query("SELECT * FROM sync_inbox ORDER BY resource, id")

    def wrong(self) -> list[str]:
        return told.wrong(self.harness, self.hinted)
