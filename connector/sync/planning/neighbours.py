"""Which resources may be read at the same time; the others wait for what they refer to."""

from __future__ import annotations

from collections.abc import Sequence

from connector.resources.readings import Catalogue, Log, Members, Search, Snapshot
from connector.resources.resource import Resource, Table

_LISTS = (Snapshot, Catalogue, Log, Members)


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
    if one.table is other.table:
        return isinstance(one.reading, Search) and isinstance(other.reading, Search)
    lists = [isinstance(resource.reading, _LISTS) for resource in (one, other)]
    searches = [isinstance(resource.reading, Search) for resource in (one, other)]
    if not any(lists) or sum(lists) + sum(searches) < 2:
        return False
    return not _refers(one.table, other.table) and not _refers(other.table, one.table)


def _refers(table: Table, target: Table) -> bool:
    parts = list(table.family())
    found = {column.refers_to for part in parts for column in part.columns}
    return target.name in found | {link.refers_to for part in parts for link in part.links}
