"""Which resources may be read at the same time; the others wait for what they refer to."""

from __future__ import annotations

from collections.abc import Sequence

from connector.resources.readings import Catalogue, Log, Search, Snapshot
from connector.resources.resource import Resource, Table


def concurrent(resources: Sequence[Resource]) -> list[list[Resource]]:
    """Neighbours that may be read concurrently, so that none leaves the budget unused.

    These are searches over one table, and what does not refer to each other: lists, which come page
    after page, and one search beside them.
    """
    groups: list[list[Resource]] = []
    for resource in resources:
        if groups and all(_may_go_with(resource, other) for other in groups[-1]):
            groups[-1].append(resource)
        else:
            groups.append([resource])
    return groups


def _may_go_with(one: Resource, other: Resource) -> bool:
    lists = [
        isinstance(reading, Snapshot | Catalogue | Log) for reading in (one.reading, other.reading)
    ]
    searches = [isinstance(reading, Search) for reading in (one.reading, other.reading)]
    if one.table is other.table:
        return all(searches)
    if not any(lists) or not all(map(any, zip(lists, searches, strict=True))):
        return False
    return not _refers(one.table, other.table) and not _refers(other.table, one.table)


def _refers(table: Table, target: Table) -> bool:
    parts = list(table.family())
    found = {column.refers_to for part in parts for column in part.columns}
    return target.name in found | {link.refers_to for part in parts for link in part.links}
