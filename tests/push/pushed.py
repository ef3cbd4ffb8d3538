"""A served mirror with an outbox, and wishes that a push has begun."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from connector.commands.serving.pushes import Pushes
from connector.settings import load
from connector.warehouse.sql.database import Database
from tests.support.living import Living

AGO = "now() - interval '1 hour'"


class Pushed(Living):
    """A mirror with an outbox, and what follows it in this process."""

    def wish(self, body: dict[str, Any], **columns: Any) -> int:
        given = {"kind": "contacts", "op": "upsert", "body": json.dumps(body)} | columns
        names, marks = ", ".join(given), ", ".join(["%s"] * len(given))
        [row] = self.harness.query(
            f"INSERT INTO outbox ({names}) VALUES ({marks}) RETURNING id", *given.values()
        )
        return int(row["id"])

    def row(self, wish: int) -> dict[str, Any]:
        [row] = self.harness.query("SELECT * FROM outbox WHERE id = %s", wish)
        return row

    def is_done(self, wish: int) -> bool:
        return bool(self.row(wish)["state"] == "done")

    def began(self, wish: int, state: str, **columns: Any) -> None:
        """A push has sent it, an hour ago."""
        sets = "".join(f", {name} = {value}" for name, value in columns.items())
        self.harness.query(
            f"UPDATE outbox SET state = %s, attempts = 1, sent_at = {AGO}{sets} WHERE id = %s",
            state,
            wish,
        )

    @asynccontextmanager
    async def following(self, **environ: str) -> AsyncIterator[Pushes]:
        settings = load(self.environ | environ)
        database = Database(self.harness.database_url, self.harness.schema)
        pushes = Pushes(settings, database, every=0.2)
        async with pushes.followed():
            yield pushes

    async def until(self, what: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 20
        while not what():
            assert time.monotonic() < deadline, "it did not come"
            await asyncio.sleep(0.05)
