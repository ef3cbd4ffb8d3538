"""Asks whether lists show, all the same, what a read by id does not find.

A read by id and a list of the same run that contradict each other confirm nothing: a broken read
would delete what lives. Deleted between the two, an object leaves the lists within the lag of
their index, so it is asked for again, by id and in a search for its id, until both agree.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import aclosing
from datetime import datetime

import sqlalchemy as sa

from connector.errors import IntercomError, TokenRefusedError
from connector.intercom.paging import search
from connector.intercom.paging.styles import pages
from connector.resources.readings import Search
from connector.sync.readings.by_id import Contradicted
from connector.sync.resource_pass import Pass
from connector.tools.chunks import chunks

AT_ONCE = 50  # ids in one search
WITNESSES = 3  # objects of the table that live, asked for beside: an answer without is worthless


def listed(asked_at: datetime | None) -> Contradicted:
    """All of them, but for what is gone here already and stands in a list that is merely stale."""

    async def contradicted(work: Pass, ids: Sequence[str]) -> Collection[str]:
        return await work.contradicted(ids, asked_at)

    return contradicted


async def asked_again(work: Pass, ids: Sequence[str]) -> Collection[str]:
    """Those that a search for their ids still shows; all, where that cannot be told."""
    reading, found = work.resource.reading, set[str]()
    if not isinstance(reading, Search):
        listed = await _ever_read(work, ids)
        return await work.contradicted(listed, work.began_at())
    for some in chunks(ids, AT_ONCE):
        found |= await _shown(work, reading, some)
    return await work.contradicted(sorted(found), work.began_at())


async def _ever_read(work: Pass, ids: Sequence[str]) -> list[str]:
    """Those of which there is more than a stand-in: what was never read no list has shown."""
    loader, table = work.writer.loader, work.resource.table

    def stand_ins(conn: sa.Connection) -> set[str]:
        return loader.present(conn, table, ids) - loader.filled(conn, table, ids)

    never = await work.writer.look(stand_ins)
    return [key for key in ids if key not in never]


async def _shown(work: Pass, reading: Search, ids: Sequence[str]) -> set[str]:
    loader, table = work.writer.loader, work.resource.table
    witnesses = set(await work.writer.look(lambda conn: loader.others(conn, table, ids, WITNESSES)))
    try:
        shown = await search_ids(work, reading, [*ids, *sorted(witnesses)])
    except TokenRefusedError:
        raise
    except IntercomError:
        return set(ids)
    # Where nothing else lives nobody can vouch for the answer; then the fuse must do.
    return shown & set(ids) if shown & witnesses or not witnesses else set(ids)


async def search_ids(work: Pass, reading: Search, ids: Sequence[str]) -> set[str]:
    """Those of the objects that a search for their ids shows; raises what the client raises."""
    body = {
        "query": {"operator": "AND", "value": [search.compare("id", "IN", list(ids))]},
        "sort": {"field": "created_at", "order": "ascending"},
    }
    async with aclosing(pages(work.client, work.search(reading, body))) as listed:
        return {str(head.id) async for page in listed for head in page.heads}
