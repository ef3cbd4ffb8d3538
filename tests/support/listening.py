"""A simulator that somebody listens to, for tests of what it tells."""

from __future__ import annotations

import json
from typing import Any

from connector.simulator import Simulator, Workspace

NOW = 1_780_000_000
SECRET = "the-secret-of-the-app"
Json = dict[str, Any]


def workspace() -> Workspace:
    return Workspace.generate(
        contacts=30, companies=6, conversations=8, tickets=6, articles=4, calls=4, now=NOW
    )


class Listener:
    """A simulator, the controls to change it, and everything that it sent."""

    def __init__(self, **options: Any) -> None:
        self.simulator = Simulator(workspace(), clock=lambda: float(NOW), **options)
        self.control, self.space = self.simulator.control, self.simulator.workspace
        self.simulator.webhooks.subscribe(SECRET)
        self.headers: dict[str, str] = {}
        self.raw = b""

    def heard(self) -> list[Json]:
        """The envelopes since the last time, oldest first."""
        found = []

        def post(headers: dict[str, str], body: bytes) -> int:
            self.headers, self.raw = headers, body
            found.append(json.loads(body))
            return 200

        self.simulator.webhooks.deliver(post)
        return found

    def topics(self) -> list[str]:
        return [one["topic"] for one in self.heard()]

    def item(self, topic: str) -> Json:
        """The item of the only notification of a topic."""
        [found] = [one for one in self.heard() if one["topic"] == topic]
        item: Json = found["data"]["item"]
        return item

    def a(self, kind: str, role: str = "") -> str:
        """Some record of a kind."""
        items = self.space.shelf(kind).current.values()
        return next(i.id for i in items if not role or i.group == role)

    def tag(self) -> str:
        return next(iter(self.space.tags))

    def article(self) -> str:
        return next(iter(self.space.articles))

    def ticket_part(self) -> str:
        """The id of the first part of the first ticket."""
        [part, *_] = self.space.tickets.current[self.a("tickets")].owned.parts
        return str(json.loads(part)["id"])

    def untagged(self, role: str) -> str:
        contacts = self.space.contacts.current.values()
        return next(i.id for i in contacts if i.group == role and not i.owned.tags)

    def tied(self) -> tuple[str, str]:
        """A contact and a company that it belongs to."""
        item = next(i for i in self.space.contacts.current.values() if i.owned.companies)
        return item.id, item.owned.companies[0]

    def untied(self) -> tuple[str, str]:
        """A contact and a company that it does not belong to."""
        item = next(i for i in self.space.contacts.current.values() if not i.owned.companies)
        return item.id, self.a("companies")

    def stranger(self, kind: str, id: str) -> str:
        """A contact that takes no part."""
        body = self.space.shelf(kind).current[id].body.decode()
        return next(one for one in self.space.contacts.current if one not in body)
