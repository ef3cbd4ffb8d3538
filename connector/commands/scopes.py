"""Which resources each token may read, by the smallest requests that tell."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from connector.errors import ConnectorError, NotFoundError
from connector.intercom.client import Client
from connector.resources.readings import (
    Activities,
    Catalogue,
    Deletions,
    FullScan,
    Log,
    Members,
    PerContact,
    Search,
    Snapshot,
)
from connector.resources.resource import Resource
from connector.settings import Settings

NOBODY = "0" * 24  # an id that no contact has


class Scope(Struct, frozen=True):
    """With which tokens a resource can be read: positions, and why not with the others."""

    resource: Resource
    may: tuple[int, ...] = ()
    refusals: Mapping[int, ConnectorError] = field(default_factory=dict)

    @property
    def refusal(self) -> ConnectorError | None:
        """Why it cannot be read at all; None if a token may."""
        return None if self.may else next(iter(self.refusals.values()), None)

    @property
    def by_some(self) -> str:
        """Which tokens may and which may not, where they differ."""
        if not self.may or not self.refusals:
            return ""
        told = "; ".join(f"not with token {n} ({_short(e)})" for n, e in self.refusals.items())
        return f" with token {', '.join(map(str, self.may))}, {told}"


def _short(error: ConnectorError) -> str:
    return getattr(error, "message", "") or str(error)


def is_selected(settings: Settings, resource: Resource) -> bool:
    """Whether a sync under these settings would read it."""
    if isinstance(resource.reading, Activities) and not settings.activity_feed:
        return False
    return settings.resources.takes(resource)


async def look(client: Client, resource: Resource) -> Scope:
    """Which of the client's living tokens may read it; raises nothing of Intercom's."""
    may, refusals = list[int](), dict[int, ConnectorError]()
    for token in client.tokens.living:
        try:
            await _probe(client.using(token), resource)
        except NotFoundError as error:
            # Nobody by that id, but the question was allowed; a list that is not found is none.
            if not isinstance(resource.reading, PerContact):
                refusals[token.position] = error
                continue
        except ConnectorError as error:
            refusals[token.position] = error
            continue
        may.append(token.position)
    return Scope(resource, tuple(may), refusals)


async def _probe(client: Client, resource: Resource) -> None:
    """The smallest request that needs the scope of a resource."""
    match resource.reading:
        case Snapshot() as reading:
            first = reading.parts[0]
            await client.request("GET", first.path or reading.path, params=dict(first.params))
        case Catalogue() as reading:
            await client.request("GET", reading.path, params={"per_page": 1})
        case Log() as reading:
            await client.request("GET", reading.path, params={reading.since: _yesterday(client)})
        case FullScan() as reading:  # a scroll would stay open and be in the way for a minute
            await client.request("POST", reading.list, params={"page": 1, "per_page": 1})
        case PerContact() as reading:
            params = dict(reading.params) | ({reading.param: NOBODY} if reading.param else {})
            await client.request("GET", reading.path.format(id=NOBODY), params=params)
        case Deletions() as reading:
            await client.request("GET", reading.path, params={"per_page": 1})
        case Activities() as reading:
            await client.request(
                "GET", reading.path, params={"per_page": 1}, version=reading.version
            )
        case Search() | Members() as reading:
            query = {"field": "created_at", "operator": ">", "value": 0}
            await client.request(
                "POST", reading.path, json={"query": query, "pagination": {"per_page": 1}}
            )


def _yesterday(client: Client) -> int:
    return int(client.clock.likely_now().timestamp()) - 86_400
