"""Incremental passes of searched resources: what was updated since the cursor."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any

from connector.errors import CursorRefusedError, SpoiltPageError
from connector.intercom.paging.search import TimeRange
from connector.intercom.paging.search_holes import Hole
from connector.intercom.paging.styles import Page, pages
from connector.resources.readings import (
    Search,
)
from connector.sync.planning import plan
from connector.sync.readings import contradictions
from connector.sync.readings.by_id import read_by_id
from connector.sync.readings.holes import keep, read_around
from connector.sync.resource_pass import Pass, announced, release
from connector.sync.tools.prefetch import prefetch
from connector.warehouse.values.instants import instant

CURSOR_RESTARTS = 3


async def changes(work: Pass, reading: Search) -> None:
    """What was updated since the cursor, with the lookback that Intercom's index lag asks for."""
    bound = work.since()
    assert bound is not None
    body = plan.changes_query(reading, work.client.version, bound)
    by_day = plan.granularity(reading, work.client.version) == "day"
    holes: list[Hole] = []
    for attempt in range(CURSOR_RESTARTS + 1):
        try:
            await _read_changes(work, reading, body, plan.Order(bound) if by_day else None)
            break
        except SpoiltPageError:
            holes = await _read_around(work, reading, bound)
            break
        except CursorRefusedError:
            if attempt == CURSOR_RESTARTS:
                raise
    kept = keep(work, holes)
    await work.writer.commit(kept, work.succeeded(work.began_at(), full=False))


async def _read_around(work: Pass, reading: Search, bound: datetime) -> list[Hole]:
    """The changes where one record or more spoil their pages; what is left of them."""

    async def take(page: Page) -> None:
        await _submit(work, reading, [page])

    left = await read_around(work, reading, Hole("updated_at", TimeRange(bound)), take)
    return left.holes


async def _read_changes(
    work: Pass, reading: Search, body: dict[str, Any], order: plan.Order | None
) -> None:
    source = prefetch(pages(work.client, work.search(reading, body)), pages=1 if order else 4)
    async with aclosing(work.batched(_until(source, order))) as batches:
        async for batch in batches:
            await _submit(work, reading, batch)


async def _until(
    source: AsyncGenerator[Page, None], order: plan.Order | None
) -> AsyncGenerator[Page, None]:
    """The pages up to the one that is past what is asked for."""
    async with aclosing(source):
        async for page in source:
            past = order and order.is_past([head.updated_at for head in page.heads])
            yield page
            if past:
                return


async def _submit(work: Pass, reading: Search, batch: Sequence[Page]) -> None:
    filtered = await work.filter_unchanged(await work.wanted(batch))
    listed = announced(filtered.pages)
    if not reading.whole_by_id:  # only those cost requests whose lists are embedded in part
        listed = {key: stamp for key, stamp in listed.items() if filtered.digests.get(key) is None}
    loader, table = work.writer.loader, work.resource.table
    known = await work.writer.do(lambda conn: loader.known(conn, table, list(listed)))
    changed = {
        key: stamp
        for key, stamp in listed.items()
        if key in filtered.changed or not _is_known(instant(stamp), known.get(key), work.lookback)
    }
    if reading.whole_by_id:
        told = contradictions.listed(min(page.requested_at for page in batch))
        release(batch)  # what follows has its own bytes
        await read_by_id(work, changed, digests=filtered.digests, contradicted=told)
    else:
        known_lists = listed.keys() - changed.keys()
        await work.submit_pages(filtered.pages, digests=filtered.digests, known_lists=known_lists)


def _is_known(
    announced: datetime | None,
    stored: tuple[datetime | None, datetime | None] | None,
    lookback: timedelta,
) -> bool:
    """Whether the stored copy was read late enough after the change that search announces.

    Two changes within one second, or an answer from before the second of them, look the same by
    updated_at: a copy counts only if it was read a while after.
    """
    if announced is None or stored is None:
        return False
    updated_at, read_at = stored
    if updated_at is None or read_at is None:
        return False
    return updated_at >= announced and read_at >= updated_at + max(lookback, timedelta(seconds=2))
