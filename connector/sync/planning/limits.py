"""What ``backfill --since`` leaves out, until somebody asks for everything.

The limit stands in ``sync_state.plan_since``, by resource. It bounds only what comes in for the
first time: what is here stays, is kept up to date, and is missed when it is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import sqlalchemy as sa
from msgspec import Struct

from connector.resources import RESOURCES
from connector.resources.readings import Log, Search
from connector.resources.resource import Resource, Table
from connector.warehouse import state

LIMITABLE = (Search, Log)  # readings that can be asked for what was updated since


class Demand(Struct, frozen=True):
    """What a run asks for: everything again, or at first only what was updated since.

    ``at`` is when, by Intercom's clock.
    """

    full: bool = False
    since: datetime | None = None
    at: datetime | None = None

    def limit(self, resource: Resource) -> dict[str, datetime | None]:
        """The limit of a resource that is new, or limited already, as columns of its state."""
        if self.since is None or not isinstance(resource.reading, LIMITABLE):
            return {"plan_since": None, "limited_at": None}
        return {"plan_since": self.since, "limited_at": self.at}


def is_limited(conn: sa.Connection, table: Table) -> bool:
    """Whether older objects of the table are left out."""
    resources = [resource for resource in RESOURCES if resource.table is table]
    return any(state.progress(conn, one.name).plan_since is not None for one in resources)


def referring(table: Table) -> list[tuple[str, str]]:
    """The columns, by table and name, in which what is searched refers to objects of a table.

    What was left out comes in where these name it. Other lists, such as the members of segments,
    name everything that there is.
    """
    searched = {r.table.name: r.table for r in RESOURCES if isinstance(r.reading, Search)}
    return [place for one in searched.values() for place in _references(one, table.name)]


def _references(table: Table, target: str) -> Iterator[tuple[str, str]]:
    for part in table.family():
        yield from ((part.name, c.name) for c in part.columns if c.refers_to == target)
        yield from ((link.table, link.target) for link in part.links if link.refers_to == target)
