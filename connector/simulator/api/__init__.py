"""The route table: one module per family of resources, each adding its own routes.

A list that does nothing but list is an entry of PLAIN in ``records/plain.py``. A family with a
behaviour of its own is a module here with ROUTES, its records in the workspace, and a generator.
What writes stands in ``writing``.
"""

from __future__ import annotations

from connector.simulator.api import (
    activities,
    attributes,
    companies,
    contacts,
    content,
    conversations,
    directory,
    events,
    operations,
    scroll,
    tickets,
)
from connector.simulator.api.pages import routes
from connector.simulator.api.writing import ROUTES as WRITES
from connector.simulator.records.plain import PLAIN
from connector.simulator.requests.routing import Router

ROUTER = Router(
    [
        *directory.ROUTES,
        *companies.ROUTES,
        *scroll.ROUTES,
        *activities.ROUTES,
        *attributes.ROUTES,
        *contacts.ROUTES,
        *conversations.ROUTES,
        *tickets.ROUTES,
        *events.ROUTES,
        *content.ROUTES,
        *operations.ROUTES,
        *routes(PLAIN),
        *WRITES,
    ]
)
