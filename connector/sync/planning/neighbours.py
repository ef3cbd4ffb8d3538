"""Which resources may be read at the same time; the others wait for what they refer to."""

from __future__ import annotations

from collections.abc import Sequence

from connector.resources.readings import Catalogue, Search, Snapshot
from connector.resources.resource import Resource, Table


def concurrent(resources: Sequence[Resource]) -> list[list[Resource]]:
    """Neighbours that may be read concurrently, so that none leaves the budget unused.

    These are searches over one table, and short lists that do not refer to each other.
    """
    groups: list[list[Resource]] = []
    for resource in resources:
        if groups and all(_may_go_with(resource, other) for other in groups[-1]):
            groups[-1].append(resource)
        else:
            groups.append([resource])
    return groups


def _may_go_with(one: Resource, other: Resource) -> bool:
    readings = (one.reading, other.reading)
    if one.table is other.table:
        return all(isinstance(reading, Search) for reading in readings)
    short = all(isinstance(reading, Snapshot | Catalogue) for reading in readings)
    return short and not _refers(one.table, other.table) and not _refers(other.table, one.table)


def _refers(table: Table, target: Table) -> bool:
    parts = list(table.family())
    found = {column.refers_to for part in parts for column in part.columns}
    return target.name in found | {link.refers_to for part in parts for link in part.links}
