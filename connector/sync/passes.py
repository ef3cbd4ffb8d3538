"""One pass over one resource, by the way it is read; every way ends in the same merge.

What is due is decided in ``run``, full passes of searched resources are in ``windows``.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from connector.errors import CursorRefusedError, ScrollBrokenError, ScrollExistsError
from connector.intercom.paging import CursorSearch, NumberedPages, Page, Scroll, WholeList, pages
from connector.resources.resource import Search, Snapshot, Sweep
from connector.sync import plan
from connector.sync.ahead import ahead
from connector.sync.windows import windows
from connector.sync.work import CHUNK_RECORDS, Pass, announced, size

logger = logging.getLogger(__name__)

CURSOR_RESTARTS = 3


async def run_pass(work: Pass, *, full: bool) -> None:
    """Read the resource once and leave its cursor behind the pass; raises what stops it."""
    match work.resource.reading:
        case Snapshot() as reading:
            await snapshot(work, reading)
        case Sweep() as reading:
            await sweep(work, reading)
        case Search() as reading if full:
            await windows(work, reading)
        case Search() as reading:
            await changes(work, reading)


async def snapshot(work: Pass, reading: Snapshot) -> None:
    """A list that is always complete: what it omits is deleted."""
    found = [page async for page in pages(work.client, WholeList(reading.path, reading.key))]
    await work.write(found)
    began_at = work.began_at()
    ids = [str(record["id"]) for page in found for record in page.records if "id" in record]
    done = work.succeeded(began_at, full=True)

    def close(conn: sa.Connection) -> int:
        deleted = work.store.loader.mark_absent(
            conn,
            work.resource.table,
            ids,
            began_at,
            work.store.run_id,
            allow=work.allow_deletes,
        )
        done(conn)
        return deleted

    work.tally.deleted += await work.store.do(close)


async def sweep(work: Pass, reading: Sweep) -> None:
    """Every object by the scroll, or by the list where the scroll is not to be had."""
    try:
        await _write_all(work, pages(work.client, Scroll(reading.scroll, reading.key)))
    except (ScrollExistsError, ScrollBrokenError) as error:
        logger.warning("%s: %s; reading the list instead", work.resource.name, error)
        style = NumberedPages(reading.list, reading.key, per_page=60, method="POST")
        await _write_all(work, pages(work.client, style))
    await work.store.do(work.succeeded(work.began_at(), full=True))


async def _write_all(work: Pass, source: AsyncIterator[Page]) -> None:
    # The reader runs ahead of the writer: a scroll that waits a minute for Postgres expires.
    async for group in grouped(ahead(source, pages=200), CHUNK_RECORDS):
        await work.write(group)


async def changes(work: Pass, reading: Search) -> None:
    """What was updated since the cursor, with the lookback that Intercom's index lag asks for."""
    assert work.progress.cursor is not None
    bound = work.progress.cursor - work.lookback
    body = plan.changes_query(reading, work.client.version, bound)
    by_day = plan.granularity(reading, work.client.version) == "day"
    for attempt in range(CURSOR_RESTARTS + 1):
        try:
            await _read_changes(work, reading, body, plan.Order(bound) if by_day else None)
            break
        except CursorRefusedError:
            if attempt == CURSOR_RESTARTS:
                raise
    await work.store.do(work.succeeded(work.began_at(), full=False))


async def _read_changes(
    work: Pass, reading: Search, body: dict[str, Any], order: plan.Order | None
) -> None:
    source = pages(work.client, CursorSearch(reading.path, reading.key, body))
    group: list[Page] = []
    async for page in ahead(source, pages=1 if order else 4):
        group.append(page)
        if size(group) >= CHUNK_RECORDS:
            await _write_group(work, reading, group)
            group = []
        if order and order.is_past(page.records):
            break
    await _write_group(work, reading, group)


async def _write_group(work: Pass, reading: Search, group: Sequence[Page]) -> None:
    if not group:
        return
    if not reading.whole_by_id:
        await work.write(group)
        return
    listed = announced(group)
    known = await work.store.do(
        lambda conn: work.store.loader.known(conn, work.resource.table, list(listed))
    )
    changed = {
        key: stamp
        for key, stamp in listed.items()
        if not _is_known(plan.instant(stamp), known.get(key), work.lookback)
    }
    await work.read_in_chunks(changed)


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


async def grouped(source: AsyncIterator[Page], least: int) -> AsyncIterator[list[Page]]:
    """Pages in groups of at least so many records; the last group may hold fewer."""
    group: list[Page] = []
    async for page in source:
        group.append(page)
        if size(group) >= least:
            yield group
            group = []
    if group:
        yield group
