"""One pass over one resource, by the way it is read; every way ends in the same merge.

What is due is decided in ``run``. Here are the changes of searched resources; their full passes
are in ``windows``, lists in ``lists``, reading in turn in ``rotation``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from connector.errors import CursorRefusedError, SpoiltPageError
from connector.intercom.paging.search import Window
from connector.intercom.paging.search_holes import Hole
from connector.intercom.paging.styles import Page, pages
from connector.resources.resource import (
    Activities,
    Catalogue,
    Deletions,
    Log,
    Members,
    PerContact,
    Search,
    Snapshot,
    Sweep,
)
from connector.sync import contradictions
from connector.sync.planning import plan
from connector.sync.readings.feeds import activities, deletions
from connector.sync.readings.holes import keep, read_around
from connector.sync.readings.lists import catalogue, log, snapshot, sweep
from connector.sync.readings.rotation import members, per_contact
from connector.sync.readings.search_full import windows
from connector.sync.resource_pass import Pass, announced, release
from connector.sync.tools.prefetch import prefetch
from connector.warehouse.values.instants import instant

CURSOR_RESTARTS = 3


async def run_pass(work: Pass, *, full: bool) -> None:
    """Read the resource once and leave its cursor behind the pass; raises what stops it."""
    match work.resource.reading:
        case Snapshot() as reading:
            await snapshot(work, reading)
        case Catalogue() as reading:
            await catalogue(work, reading)
        case Log() as reading:
            await log(work, reading, full=full)
        case Sweep() as reading:
            await sweep(work, reading)
        case Search() as reading if full:
            await windows(work, reading)
        case PerContact() as reading:
            await per_contact(work, reading, full=full)
        case Members() as reading:
            await members(work, reading, full=full)
        case Search() as reading:
            await changes(work, reading)
        case Deletions() as reading:
            await deletions(work, reading, full=full)
        case Activities() as reading:
            await activities(work, reading, full=full)


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
    kept, done = keep(work, holes), work.succeeded(work.began_at(), full=False)

    def end(conn: sa.Connection) -> None:
        kept(conn)
        done(conn)

    await work.store.do(end)


async def _read_around(work: Pass, reading: Search, bound: datetime) -> list[Hole]:
    """The changes where one record or more spoil their pages; what is left of them."""

    async def take(page: Page) -> None:
        await _write_group(work, reading, [page])

    left = await read_around(work, reading, Hole("updated_at", Window(bound)), take)
    return left.holes


async def _read_changes(
    work: Pass, reading: Search, body: dict[str, Any], order: plan.Order | None
) -> None:
    source = prefetch(pages(work.client, work.search(reading, body)), pages=1 if order else 4)
    async for group in work.grouped(_until(source, order)):
        await _write_group(work, reading, group)


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


async def _write_group(work: Pass, reading: Search, group: Sequence[Page]) -> None:
    sifted = await work.sift(await work.wanted(group))
    listed = announced(sifted.pages)
    if not reading.whole_by_id:  # only those cost requests whose lists are embedded in part
        listed = {key: stamp for key, stamp in listed.items() if sifted.digests.get(key) is None}
    known = await work.store.do(
        lambda conn: work.store.loader.known(conn, work.resource.table, list(listed))
    )
    changed = {
        key: stamp
        for key, stamp in listed.items()
        if key in sifted.changed or not _is_known(instant(stamp), known.get(key), work.lookback)
    }
    if reading.whole_by_id:
        told = contradictions.listed(min(page.requested_at for page in group))
        release(group)  # what follows has its own bytes
        await work.read_in_chunks(changed, seen=sifted.digests, contradicted=told)
    else:
        known_lists = listed.keys() - changed.keys()
        await work.write(sifted.pages, seen=sifted.digests, known_lists=known_lists)


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
