"""Reads again what is pending under any kind of id: objects, lists of one, places in lists."""

from __future__ import annotations

from collections.abc import Sequence

from connector.resources.resource import Members, PerContact, Resource
from connector.sync.holes import fill_holes, is_object, is_place
from connector.sync.passes import run_pass
from connector.sync.rotation import read_contacts, read_groups
from connector.sync.work import Pass


def can_read_again(resource: Resource, ids: Sequence[str]) -> bool:
    """Whether these ids can be read again although Intercom shows no object by id."""
    return isinstance(resource.reading, PerContact | Members) or not any(map(is_object, ids))


async def read_again(work: Pass, ids: Sequence[str]) -> None:
    """Read what these ids name: by id, or the list of that contact or group, or its place."""
    objects = [key for key in ids if is_object(key)]
    if any(map(is_place, ids)):
        await run_pass(work, full=False)  # such lists are read whole
    await fill_holes(work, [key for key in ids if not is_object(key) and not is_place(key)])
    reading = work.resource.reading
    if isinstance(reading, PerContact):
        await read_contacts(work, reading, objects)
    elif isinstance(reading, Members):
        await read_groups(work, reading, objects)
    elif objects:
        await work.read_in_chunks(dict.fromkeys(objects))
