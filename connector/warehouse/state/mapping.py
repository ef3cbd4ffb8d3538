"""How the rows of a resource are made, as one value; knows the declarations and the state.

That depends on the declarations, the API version, and what is excluded of the tables that the
resource fills. The value stands with the last full pass (what is there), with the one that is
under way, and in every digest. Whatever writes rows from anything but their records takes it away,
and a full pass is due.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from hashlib import sha256

import sqlalchemy as sa
from msgspec import Struct

from connector.resources import RESOURCES
from connector.resources.resource import Child, Link, Resource
from connector.warehouse.encode.exclusions import NONE, Exclusions
from connector.warehouse.state import digests, reads
from connector.warehouse.state.tables import STATE

AS_EVER = ""
"""What stands in ``sync_state.mapping`` where an older version did not note it: no reason to read
everything again."""


class Inputs(Struct, frozen=True):
    """What decides, beside the declarations, how records become rows."""

    version: str
    exclusions: Exclusions = NONE

    def of(self, resource: Resource) -> bytes:
        """16 bytes that are others wherever the resource's rows are made otherwise."""
        excluded = self.exclusions.on(fills(resource)).fingerprint
        return digests.salted(_revision(resource), self.version, excluded)


def invalidate(conn: sa.Connection, resources: Iterable[Resource]) -> None:
    """Rows of these were written from anything but their records: full passes are due.

    Nothing of them is known any more, and a full pass that is under way is given up.
    """
    for resource in resources:
        forget(conn, resource)
        conn.execute(
            sa.update(STATE)
            .where(STATE.c.resource == resource.name)
            .values(mapping=None, plan_mapping=None)
        )


def forget(conn: sa.Connection, resource: Resource) -> None:
    """Nothing that its lists showed is known any more; what it reads one by one is due again."""
    if not _within(resource):  # there are no digests of lists read beside objects
        digests.forget(conn, resource.table)
    reads.expire(conn, resource.name)


def adopt(conn: sa.Connection, inputs: Inputs) -> None:
    """Note how rows are made where an older version did not."""
    query = sa.select(STATE.c.resource).where(STATE.c.mapping == AS_EVER)
    old = set(conn.execute(query).scalars())
    for resource in RESOURCES:
        if resource.name in old:
            conn.execute(
                sa.update(STATE)
                .where(STATE.c.resource == resource.name)
                .values(mapping=inputs.of(resource).hex())
            )


def filled_by(tables: Collection[str]) -> list[Resource]:
    """The resources that fill any of these tables, link tables and child tables."""
    return [resource for resource in RESOURCES if not fills(resource).isdisjoint(tables)]


@cache
def fills(resource: Resource) -> frozenset[str]:
    """The tables that its records fill; lists read beside objects are no part of the objects."""
    within, table = _within(resource), resource.table
    if within:
        return frozenset(_below(_part(resource)))
    beside = {_within(other) for other in RESOURCES if other.table is table} - {""}
    found = {table.name} | {told.table.name for told in table.derived}
    parts: tuple[Link | Child, ...] = (*table.links, *table.children)
    for part in parts:
        if part.path not in beside:
            found |= set(_below(part))
    return frozenset(found)


def _within(resource: Resource) -> str:
    return str(getattr(resource.reading, "within", ""))


def _part(resource: Resource) -> Link | Child:
    """The link or child that a list read beside its objects is."""
    parts: tuple[Link | Child, ...] = (*resource.table.links, *resource.table.children)
    return next(part for part in parts if _within(resource) in part.path.split("|"))


def _below(part: Link | Child) -> Iterator[str]:
    if isinstance(part, Link):
        yield part.table
    else:
        for table in part.table.family():
            yield table.name
            yield from (link.table for link in table.links)


@cache
def _revision(resource: Resource) -> str:
    if not _within(resource):
        return digests.revision(resource.table)
    part = _part(resource)
    if isinstance(part, Child):
        return digests.revision(part.table)
    told = [part.table, part.path, part.item, [(c.path, c.kind.value) for c in part.columns]]
    return sha256(json.dumps(told).encode()).hexdigest()[:16]
