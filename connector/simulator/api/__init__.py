"""The route table: one module per family of resources, each adding its own routes."""

from __future__ import annotations

from connector.simulator.api import (
    activities,
    companies,
    contacts,
    conversations,
    directory,
    scroll,
)
from connector.simulator.routing import Router

ROUTER = Router(
    [
        *directory.ROUTES,
        *companies.ROUTES,
        *scroll.ROUTES,
        *activities.ROUTES,
        *contacts.ROUTES,
        *conversations.ROUTES,
    ]
)
