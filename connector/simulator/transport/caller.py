"""Asks a simulator in process and parses its answers, for tests; knows the two paging styles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from connector.simulator.encoding import decode, encode
from connector.simulator.messages import Request, Response
from connector.simulator.simulator import Simulator

Json = dict[str, Any]


class Caller:
    """A well-behaved client without a transport."""

    def __init__(self, simulator: Simulator, version: str = "2.16", token: str | None = None):
        self.simulator = simulator
        self.headers = {
            "authorization": f"Bearer {token or simulator.gate.token}",
            "accept": "application/json",
            "intercom-version": version,
        }

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Response:
        """One request; query values may be of any type."""
        text = {name: str(value) for name, value in query.items()}
        raw = b"" if body is None else encode(body)
        return self.simulator.respond(Request(method, path, text, self.headers, raw))

    def get(self, path: str, **query: Any) -> Json:
        """The JSON of a GET."""
        answer: Json = decode(self.ask("GET", path, **query).body)
        return answer

    def post(self, path: str, body: Any = None, **query: Any) -> Json:
        """The JSON of a POST."""
        answer: Json = decode(self.ask("POST", path, {} if body is None else body, **query).body)
        return answer

    def search(
        self,
        kind: str,
        query: Any,
        sort: str | None = None,
        order: str = "ascending",
        size: int = 150,
    ) -> Iterator[Json]:
        """Every page of a search."""
        body: Json = {"query": query, "pagination": {"per_page": size}}
        if sort is not None:
            body["sort"] = {"field": sort, "order": order}
        while True:
            page = self.post(f"/{kind}/search", body)
            yield page
            following = page["pages"].get("next")
            if following is None:
                return
            body["pagination"]["starting_after"] = following["starting_after"]

    def found(self, kind: str, query: Any, **how: Any) -> list[str]:
        """The ids a search finds, in its order."""
        key = "conversations" if kind == "conversations" else "data"
        return [one["id"] for page in self.search(kind, query, **how) for one in page[key]]

    def listed(self, path: str, key: str = "data", size: int = 150) -> list[Json]:
        """Every record of a cursor-style list."""
        records: list[Json] = []
        query: Json = {"per_page": size}
        while True:
            page = self.get(path, **query)
            records += page[key]
            following = page["pages"].get("next")
            if following is None:
                return records
            query["starting_after"] = following["starting_after"]


def where(field: str, operator: str, value: Any) -> Json:
    """One filter."""
    return {"field": field, "operator": operator, "value": value}


def both(*filters: Json) -> Json:
    """Filters joined by AND."""
    return {"operator": "AND", "value": list(filters)}


def either(*filters: Json) -> Json:
    """Filters joined by OR."""
    return {"operator": "OR", "value": list(filters)}
