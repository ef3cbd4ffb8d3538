"""A simulator that is written to, for tests of its writes."""

from __future__ import annotations

from typing import Any

from connector.simulator import Simulator, Workspace
from connector.simulator.encoding import decode
from connector.simulator.messages import Response
from connector.simulator.transport.caller import Caller

NOW = 1_780_000_000
LAG = 45
Json = dict[str, Any]


class Writer:
    """A workspace, and a client that writes to it: one request each on a stable and on Preview."""

    def __init__(self, **options: Any) -> None:
        self.space = Workspace.generate(seed=5, contacts=60, companies=12, conversations=4, now=NOW)
        self.simulator = Simulator(self.space, clock=lambda: float(NOW), index_lag=LAG, **options)
        self.control = self.simulator.control
        self.stable = Caller(self.simulator)
        self.preview = Caller(self.simulator, "Preview")

    def ask(self, method: str, path: str, body: Any = None) -> Response:
        return self.stable.ask(method, path, body)

    def ok(self, method: str, path: str, body: Any = None) -> Json:
        """The answer to a write that succeeds."""
        response = self.ask(method, path, body)
        assert response.status == 200, response.body
        return decode(response.body)

    def refused(self, method: str, path: str, body: Any = None) -> tuple[int, str, str]:
        """Status, code and message of a write that is refused."""
        return error(self.ask(method, path, body))

    def bulk(self, method: str, path: str, **body: Any) -> Json:
        """The job of a bulk request that is taken."""
        response = self.preview.ask(method, path, body)
        assert response.status == 202, response.body
        return decode(response.body)

    def bulk_refused(self, method: str, path: str, **body: Any) -> tuple[int, str, str]:
        return error(self.preview.ask(method, path, body))

    def done(self) -> None:
        """Let all that was taken come to its end, tags included."""
        self.control.advance(60)

    def job(self, job: Json) -> Json:
        """The job as GET shows it."""
        return self.preview.get(job["url"].removeprefix("https://api.intercom.io"))

    def fates(self, job: Json) -> list[str]:
        """What became of each item of a job."""
        [found] = [one for one in self.control.jobs() if one["id"] == job["id"]]
        return [item["state"] for task in found["tasks"] for item in task["items"]]

    def get(self, kind: str, id: str) -> Json:
        return self.stable.get(f"/{kind}/{id}")

    def pick(self, role: str, number: int = 0, **wanted: bool) -> str:
        """The id of a contact that has, or has not, these fields."""
        found = [
            item.id
            for item in self.space.contacts.current.values()
            if item.group == role
            and all((decode(item.body)[name] is not None) is has for name, has in wanted.items())
        ]
        return found[number]

    def user(self, **fields: Any) -> str:
        return self.control.create_contact("user", **fields)

    def company(self, number: int = 0) -> str:
        return list(self.space.companies.current)[number]

    def tag(self, number: int = 0) -> str:
        return list(self.space.tags)[number]

    def counted(self, did: str) -> int:
        """How many objects this was done to, by all requests together."""
        effects = [one for entry in self.control.writes() for one in entry["effects"]]
        return sum(effect["did"] == did for effect in effects)


def error(response: Response) -> tuple[int, str, str]:
    body = decode(response.body)
    assert body["type"] == "error.list"
    return response.status, body["errors"][0]["code"], body["errors"][0]["message"]
