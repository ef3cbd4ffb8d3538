"""What ``refetch`` reads again: which resource an id belongs to, and how each kind is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from connector.errors import SettingsError
from connector.resources import RESOURCES
from connector.resources.readings import Members, PerContact
from connector.resources.resource import Resource
from connector.sync.readings.by_id import read_by_id
from connector.sync.readings.dispatch import run_pass
from connector.sync.readings.holes import fill_holes, is_object
from connector.sync.readings.members import read_groups
from connector.sync.readings.per_contact import read_contacts
from connector.sync.resource_pass import Pass
from connector.sync.writing.effects import is_place
from connector.warehouse import state
from connector.warehouse.merge.loader import Loader

Shares = dict[Resource, list[str]]


def check_readable(resources: Sequence[Resource], ids: Sequence[str]) -> None:
    """SettingsError for a resource whose objects Intercom does not show one by one.

    What is pending and no object's id, but a place in a list, can be read again of any.
    """
    if not any(map(is_object, ids)):
        return
    for resource in resources:
        if not (resource.by_id or isinstance(resource.reading, PerContact | Members)):
            raise SettingsError(
                f"Intercom does not show {resource.name} one by one;"
                f" 'sync --only {resource.name}' reads them all"
            )


def shares(
    conn: sa.Connection, loader: Loader, resources: Sequence[Resource], ids: Iterable[str]
) -> Shares:
    """Which of the resources each id is read for: where it is pending, else whose row it is.

    What nobody knows yet is read for the first of them: by id it is one request for all.
    """
    left, found = list(dict.fromkeys(ids)), Shares()
    waiting = {(entry.resource, entry.id) for entry in state.pending(conn)}
    for resource in resources:
        found[resource] = [key for key in left if (resource.name, key) in waiting]
        left = [key for key in left if key not in found[resource]]
    for resource in resources if len(resources) > 1 else ():
        owned = loader.owned(conn, resource, left)
        found[resource] += [key for key in left if key in owned]
        left = [key for key in left if key not in owned]
    found[resources[0]] += left
    return {resource: keys for resource, keys in found.items() if keys}


async def read_again(work: Pass, ids: Sequence[str]) -> list[str]:
    """Read what these ids name: objects, the list of a contact or group, a place in a list.

    Returns the ids that neither Intercom nor the warehouse knows.
    """
    resource, writer = work.resource, work.writer
    objects = [key for key in ids if is_object(key)]
    if any(map(is_place, ids)):
        await run_pass(work, full=False)  # such lists are read whole
    await fill_holes(work, [key for key in ids if not is_object(key) and not is_place(key)])
    if isinstance(resource.reading, PerContact):
        return await read_contacts(work, resource.reading, objects)
    if isinstance(resource.reading, Members):
        known = await writer.look(lambda conn: writer.loader.filled(conn, resource.table, objects))
        await read_groups(work, resource.reading, [key for key in objects if key in known])
    elif objects:
        await read_by_id(work, dict.fromkeys(objects))
    await writer.do(lambda conn: _settle_namesakes(conn, resource, objects))
    return await writer.do(lambda conn: _nowhere(conn, writer.loader, resource, objects))


def _settle_namesakes(conn: sa.Connection, resource: Resource, ids: Sequence[str]) -> None:
    """What was read is pending no more under the other names of its table."""
    if not resource.by_id:
        return
    failed = {entry.id for entry in state.pending(conn) if entry.resource == resource.name}
    read = [key for key in ids if key not in failed]
    table = resource.table
    others = {other.name for other in RESOURCES if other.table is table and other.by_id}
    for name in sorted((others | {table.name}) - {resource.name}):
        state.settle(conn, [name], read)


def _nowhere(
    conn: sa.Connection, loader: Loader, resource: Resource, ids: Sequence[str]
) -> list[str]:
    known = loader.filled(conn, resource.table, ids)
    known |= {entry.id for entry in state.pending(conn) if entry.resource == resource.name}
    return [key for key in ids if key not in known]
