"""Very many objects that notifications told of: read by searches for their ids, 150 a request.

A search shows a change late. What it shows is good enough where it proves to be: no older than
what was told, or asked for later than the index lag after the last telling. The rest stays due.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import aclosing

from connector.intercom.paging import search
from connector.intercom.paging.styles import Page, pages
from connector.resources.readings import Search
from connector.resources.resource import Resource
from connector.sync.hints.effects import SettleHints
from connector.sync.readings.cut_lists import agreeing
from connector.sync.resource_pass import Pass, is_older
from connector.sync.writing.writer import INDEX_LAG
from connector.tools.chunks import chunks
from connector.tools.tasks import gather
from connector.warehouse.state import inbox
from connector.warehouse.state.inbox import Waiting

FEW = 12_000
"""So many can be read by id in about a minute, where a search does not show them yet."""

SHOWN_AFTER = 90.0
"""Seconds after which an index mostly shows a change (30 to 101 in recorded traffic)."""

AGAIN_AFTER = 60.0  # seconds
MOST = 30_000  # hints that are looked at in one go
SIDE_BY_SIDE = 8  # searches

Searched = dict[tuple[str, str], tuple[int, float]]
"""Which version of a hint was searched for in vain, and when, by table and id."""


def is_possible(resource: Resource) -> bool:
    """Whether a search shows whole objects."""
    return isinstance(resource.reading, Search) and not resource.reading.whole_by_id


def is_left(hint: Waiting, searched: Searched, due: int) -> bool:
    """Whether it must be read by id: a search shows no object that is gone, or did not show it."""
    return hint.gone or (due <= FEW and _was_searched(hint, searched))


def _was_searched(hint: Waiting, searched: Searched) -> bool:
    version, at = searched.get((hint.resource, hint.id), (None, 0.0))
    return version == hint.version and time.monotonic() - at < AGAIN_AFTER


async def settle(work: Pass, searched: Searched, due: int, delay: float) -> int:
    """Search for what was not searched for lately, and settle what is shown new enough; how many.

    Of more than could be read by id in a while, each is searched for only once it will be shown.
    """
    name = work.resource.table.name
    found = await work.writer.look(lambda conn: inbox.waiting(conn, [name], MOST))
    _forget_old(searched)
    wanted = [
        one
        for one in found
        if not one.gone
        and not _was_searched(one, searched)
        and (due <= FEW or one.age >= SHOWN_AFTER)
    ]
    reading, settled = work.resource.reading, 0
    assert isinstance(reading, Search)

    async def look(some: Sequence[Waiting]) -> None:
        nonlocal settled
        settled += await _look(work, reading, some, searched, delay)

    for row in chunks(list(chunks(wanted, reading.per_page)), SIDE_BY_SIDE):
        await gather(*map(look, row))
    return settled


async def _look(
    work: Pass, reading: Search, hints: Sequence[Waiting], searched: Searched, delay: float
) -> int:
    asked_at, by_id, settled = time.monotonic(), {one.id: one for one in hints}, 0
    body = {
        "query": {"operator": "AND", "value": [search.compare("id", "IN", list(by_id))]},
        "sort": {"field": "created_at", "order": "ascending"},
    }
    async with aclosing(pages(work.client, work.search(reading, body))) as listed:
        async for page in listed:
            good = {
                place: by_id[str(one.id)]
                for place, one in enumerate(page.heads)
                if str(one.id) in by_id and _proves(one.updated_at, by_id[str(one.id)])
            }
            shown = page.only(list(good))
            accepted = shown.only([n for n, r in enumerate(shown.records) if work.accepts(r)])
            await _submit(work, accepted, list(good.values()), delay)
            page.release()
            settled += len(good)
            for one in good.values():
                del by_id[one.id]
    searched.update({(one.resource, one.id): (one.version, asked_at) for one in by_id.values()})
    return settled


async def _submit(work: Pass, page: Page, settled: Sequence[Waiting], delay: float) -> None:
    """What is good enough. A list that is cut and agrees with the stored one is not asked for.

    A bulk write would cost a request more for each contact with many tags. What was exchanged
    further on in such a list is told by a notification of its own, and else found by a full pass.
    """
    ids = [str(one.id) for one in page.heads]
    known = await agreeing(work, [page])
    effect = SettleHints(settled, delay)
    await work.submit_pages([page], effect, digests=dict.fromkeys(ids), known_lists=known)


def _proves(updated_at: object, hint: Waiting) -> bool:
    """Whether a copy that a search shows is at least as new as what was told."""
    if hint.age > INDEX_LAG.total_seconds():
        return True
    return hint.announced is not None and not is_older(updated_at, hint.announced)


def _forget_old(searched: Searched) -> None:
    before = time.monotonic() - AGAIN_AFTER
    for key in [key for key, (_, at) in searched.items() if at < before]:
        del searched[key]
