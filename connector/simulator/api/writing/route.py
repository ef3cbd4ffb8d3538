"""A route that writes: its scope is asked for, and what it did is remembered; knows no resource."""

from __future__ import annotations

from collections.abc import Callable

from connector.simulator.messages import Response
from connector.simulator.requests.call import Call
from connector.simulator.requests.routing import Handler, Route
from connector.simulator.writes.log import Entry

Writer = Callable[[Call, Entry], Response]

PEOPLE = "write_users_companies"


def write(method: str, path: str, scope: str, writer: Writer) -> Route:
    """The route of a handler that fills in the entry of its request."""
    return Route(method, path, _remembered(scope, writer))


def _remembered(scope: str, writer: Writer) -> Handler:
    def handler(call: Call) -> Response:
        call.simulator.gate.require(scope)
        log = call.simulator.writes.log
        entry = Entry(call.now, call.request.method, call.request.path)
        with log.collect(entry.effects):
            response = writer(call, entry)
        # What was refused is no write.
        log.entries.append(entry)
        return response

    return handler
