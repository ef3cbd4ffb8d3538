"""Serves the lists that do nothing but list; knows none of them by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from connector.simulator.api.pages import by_id, numbered
from connector.simulator.messages import Response
from connector.simulator.plain import PLAIN, PlainList
from connector.simulator.requests.call import Call
from connector.simulator.requests.routing import Handler, Route


def routes(lists: Mapping[str, PlainList]) -> Iterator[Route]:
    """The routes of lists by kind: each list, and where there is such a read each record."""
    for kind, plain in lists.items():
        yield Route("GET", plain.path, _listed(kind, plain))
        if plain.by_id:
            yield Route("GET", f"{plain.path}/{{}}", by_id(kind))


def _listed(kind: str, plain: PlainList) -> Handler:
    def handler(call: Call) -> Response:
        records = call.listed(kind)
        if plain.per_page:
            sizes = plain.per_page, plain.most
            return numbered(call, kind, records, *sizes, type=plain.type, key=plain.key)
        return call.json({"type": plain.type, plain.key: call.shortage.left(kind, records)})

    return handler


ROUTES = list(routes(PLAIN))
