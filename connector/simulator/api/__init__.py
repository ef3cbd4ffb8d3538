"""The route table: one module per family of resources, each adding its own routes.

A new family is a module here with ROUTES, its records in the workspace, and a generator.
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
    ]
)
