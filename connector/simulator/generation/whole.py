"""Fills a whole workspace, kind by kind; knows the order, not the records."""

from __future__ import annotations

from random import Random

from connector.simulator.generation import (
    catalogue,
    companies,
    contacts,
    content,
    conversations,
    desk,
    directory,
    events,
    operations,
    tickets,
)
from connector.simulator.records.workspace import Sizes, Workspace


def populate(
    space: Workspace,
    sizes: Sizes,
    parts: tuple[int, int],
    years: float,
    hostile: float,
    lifelike: bool,
) -> None:
    """Fill the workspace; each kind draws by a seed of its own, so that sizes do not interfere."""

    def dice(kind: str) -> Random:
        return Random(f"{space.seed}-{kind}")

    directory.fill(space, dice("directory"), sizes, years)
    if lifelike:
        desk.name(space)
    companies.fill(space, dice("companies"), sizes.companies, years)
    contacts.fill(space, dice("contacts"), sizes.contacts, years, hostile)
    companies.count_users(space)
    if lifelike:
        desk.price(space)
        desk.fill(space, dice("desk"), sizes.conversations)
    else:
        conversations.fill(space, dice("conversations"), sizes.conversations, parts, years)
    catalogue.fill(space)
    tickets.fill(space, dice("tickets"), sizes.tickets or 0, years)
    events.fill(space, dice("events"), sizes.events or 0)
    content.fill(space, dice("content"), sizes, years)
    operations.fill(space, dice("operations"), sizes, years)
