"""Serves tickets, which only a search lists, with their types and states."""

from __future__ import annotations

import re
from collections.abc import Iterable

from connector.simulator.api.searching import Searchable, search
from connector.simulator.faults.falsehoods import BY_SECOND
from connector.simulator.messages import Response
from connector.simulator.records.shelf import Item
from connector.simulator.records.ticket import embedded
from connector.simulator.records.workspace import Workspace
from connector.simulator.requests.call import Call, not_found
from connector.simulator.requests.routing import Route
from connector.simulator.search.fields import Fields, ticket_fields
from connector.simulator.search.operators import Dates
from connector.simulator.search.query import Language

_OPERATORS = frozenset({"=", "!=", ">", "<", ">=", "<=", "IN", "NIN"})
_ASSIGNEE = re.compile(rb'"(admin|team)_assignee_id":(\d+)')


def _fields(space: Workspace) -> Fields:
    types = {
        attribute["id"]: (attribute["name"], attribute["data_type"])
        for kind in space.ticket_types.values()
        for attribute in kind["ticket_type_attributes"]["data"]
    }
    return ticket_fields(types, lambda state: str(space.ticket_states[state]["category"]))


def _language(call: Call) -> Language:
    dates = Dates(
        by_day=BY_SECOND in call.simulator.false,
        timezone=call.space.timezone,
        inclusive=call.simulator.inclusive,
        operators=_OPERATORS,
    )
    return Language(_fields(call.space), dates)


_TICKETS = Searchable(
    "tickets",
    "ticket.list",
    "tickets",
    frozenset({"ticket"}),
    20,
    ("updated_at", True),
    _language,
)


def search_tickets(call: Call) -> Response:
    """POST /tickets/search: every page embeds the parts, the types and the states."""
    return search(call, _TICKETS, _whole)


def get_ticket(call: Call) -> Response:
    """GET /tickets/{id}: as it is now."""
    call.space.settle(call.now)
    item = call.space.tickets.get(call.params[0])
    if item is None:
        raise not_found("Resource Not Found", "ticket_not_found")
    return call.reply(_whole(call, [item])[0], signed=False)


def _whole(call: Call, items: Iterable[Item]) -> list[bytes]:
    sign = call.simulator.signer()
    chunks = []
    for item in items:
        body = embedded(call.space, item)
        if not call.is_at_least(16):
            # Before 2.16 assignees were text.
            body = _ASSIGNEE.sub(rb'"\1_assignee_id":"\2"', body, count=2)
        chunks.append(sign(body) if item.signed else body)
    return chunks


def list_ticket_types(call: Call) -> Response:
    """GET /ticket_types: archived ones too."""
    return call.json({"type": "list", "data": list(call.space.ticket_types.values())})


def get_ticket_type(call: Call) -> Response:
    """GET /ticket_types/{id}."""
    kind = call.space.ticket_types.get(call.params[0])
    if kind is None:
        raise not_found()
    return call.json(kind)


def list_ticket_states(call: Call) -> Response:
    """GET /ticket_states: archived ones too."""
    return call.json({"type": "list", "data": list(call.space.ticket_states.values())})


ROUTES = [
    Route("POST", "/tickets/search", search_tickets),
    Route("GET", "/tickets/{}", get_ticket),
    Route("GET", "/ticket_types", list_ticket_types),
    Route("GET", "/ticket_types/{}", get_ticket_type),
    Route("GET", "/ticket_states", list_ticket_states),
]
