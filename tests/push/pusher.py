"""A mirror that is loaded, an outbox, and a push between them, in one process without sockets."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from psycopg.types.json import Json

from connector.push.outbox.claims import Terms
from connector.push.outbox.store import Store
from connector.push.sending import run as sending
from connector.push.sending.context import Options, Tally
from connector.simulator import Workspace
from connector.warehouse.sql.database import Database
from tests.support.harness import NOW, Harness

NEEDED = ("tags", "companies", "leads", "users")  # of a mirror, by what is pushed here


class Pusher:
    """``wish`` puts a row into the outbox, ``push`` sends what waits; ``row`` looks at one."""

    def __init__(self, harness: Harness) -> None:
        self.harness, self.control = harness, harness.control
        self.said: list[str] = []

    def wish(self, kind: str, op: str, body: Any = None, **columns: Any) -> int:
        """The number of a new wish."""
        if body is not None and not isinstance(body, Json):
            body = json.dumps(body)
        columns |= {"kind": kind, "op": op, "body": body}
        names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
        [row] = self.harness.query(
            f"INSERT INTO outbox ({names}) VALUES ({marks}) RETURNING id", *columns.values()
        )
        return row["id"]

    def row(self, wish: int) -> dict[str, Any]:
        [row] = self.harness.query("SELECT * FROM outbox WHERE id = %s", wish)
        return row

    def states(self) -> dict[str, int]:
        rows = self.harness.query("SELECT state, count(*) AS n FROM outbox GROUP BY 1")
        return {row["state"]: row["n"] for row in rows}

    def age(self, seconds: float) -> None:
        """Let what was sent, and what is put off, be so much older by the database's clock."""
        self.harness.pass_time(seconds)
        self.harness.query(
            "UPDATE outbox SET sent_at = sent_at - make_interval(secs => %s),"
            " not_before = not_before - make_interval(secs => %s)",
            seconds,
            seconds,
        )
        self.harness.query(
            "UPDATE push_jobs SET ended_at = ended_at - make_interval(secs => %s)", seconds
        )

    async def pause(self, seconds: float) -> None:
        """What a push does instead of sleeping: time passes for Intercom and for the database."""
        self.age(seconds)

    @asynccontextmanager
    async def opened(self, **options: Any) -> Any:
        database = Database(self.harness.database_url, self.harness.schema)
        try:
            async with self.harness.client() as client:
                yield sending.make(
                    client,
                    Store(database),
                    Options(**options),
                    self.said.append,
                    self.pause,
                    lambda: self.harness.now,
                )
        finally:
            database.close()

    async def push(self, deletes: bool = False, **options: Any) -> Tally:
        options.setdefault("terms", Terms(deletes=deletes))
        async with self.opened(**options) as push:
            return await push.run()

    def contact(self, key: str) -> dict[str, Any]:
        """A contact as it is at Intercom."""
        return self.control.truth_one("contacts", key)

    def by(self, **fields: Any) -> list[dict[str, Any]]:
        """The living contacts at Intercom with these values."""
        return [
            one
            for one in self.control.truth("contacts")
            if all(one.get(name) == value for name, value in fields.items())
        ]

    def done(self, did: str) -> int:
        """How many objects this was done to, by all requests together."""
        effects = [one for entry in self.control.writes() for one in entry["effects"]]
        return sum(effect["did"] == did for effect in effects)


async def loaded(harness: Harness, contacts: int = 120, **options: Any) -> Pusher:
    """A pusher over a mirror that has been loaded."""
    workspace = Workspace.generate(
        3, contacts=contacts, companies=12, conversations=2, now=int(NOW)
    )
    harness.simulate(workspace, **options)
    outcome = await harness.sync(full=True, only=NEEDED)
    assert outcome.exit_code == 0, outcome.error
    return Pusher(harness)


def patient(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pushes of the command wait as a ``Pusher`` does: time passes instead."""
    pause = Pusher(harness).pause
    made = partial(sending.make, sleep=pause, clock=lambda: harness.now)
    monkeypatch.setattr(sending, "make", made)
