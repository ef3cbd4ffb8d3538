"""Full passes of searched resources: windows planned once, read side by side, done one by one.

The plan is recorded before the first window is read; a window's last rows commit together with
its end, so a crash costs at most the windows that were not finished.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from connector.errors import CursorRefusedError
from connector.intercom.paging import Page, pages
from connector.resources.resource import Search
from connector.sync import plan
from connector.sync.absence import convict, nominate
from connector.sync.known import Sifted
from connector.sync.work import CHUNK_RECORDS, Pass, Then, announced, size
from connector.warehouse import state
from connector.warehouse.state import Span

logger = logging.getLogger(__name__)

SIDE_BY_SIDE = 8  # windows read at the same time; each holds up to five pages
CURSOR_RESTARTS = 3


async def windows(work: Pass, reading: Search) -> None:
    """A full pass in windows, planned once, read side by side, committed one by one."""
    began_at, since = await _planned(work)
    await _read_open_windows(work, reading, since)
    by_day = plan.granularity(reading, work.client.version) == "day"
    if by_day and since is None and await _is_short(work, reading):
        # Contacts within minutes of midnight are known to be missing from searches for the days
        # that meet there: read again across every edge between two windows.
        await work.store.do(lambda conn: _reopen_edges(conn, work.resource.name))
        await _read_open_windows(work, reading, since)
        if await _is_short(work, reading):
            logger.warning("%s: search counts more than it lists", work.resource.name)
    done = work.succeeded(began_at, full=True)
    if since is None:
        await convict(work, done)
    else:
        await work.store.do(done)


async def _read_open_windows(work: Pass, reading: Search, since: datetime | None) -> None:
    open_spans = await work.store.do(lambda c: state.windows(c, work.resource.name, finished=False))
    queue = asyncio.LifoQueue[Span]()
    for span in reversed(open_spans):
        queue.put_nowait(span)
    await _drain(queue, SIDE_BY_SIDE, lambda span: _read_window(work, reading, span, since, queue))


async def _is_short(work: Pass, reading: Search) -> bool:
    """Whether the warehouse holds fewer living rows than Intercom counts."""
    everything = plan.window_query(
        reading, work.client.version, plan.first_window(None), updated=False
    )
    page = await anext(pages(work.client, work.search(reading, everything, per_page=1)))
    stored = await work.store.do(lambda conn: work.store.loader.alive(conn, work.resource))
    return stored < (page.total or 0)


def _reopen_edges(conn: sa.Connection, name: str) -> None:
    edges = [span.upper for span in state.windows(conn, name) if span.upper != plan.OPEN_UPPER]
    day = timedelta(days=1)
    spans = [Span(edge - day - timedelta(seconds=1), edge + 2 * day) for edge in edges]
    state.replace_windows(conn, name, [], spans)


async def _planned(work: Pass) -> tuple[datetime, datetime | None]:
    """The plan that is under way, or a new one: when it began, and its limit."""
    progress, name = work.progress, work.resource.name
    if progress.plan_began_at is not None:
        return progress.plan_began_at, progress.plan_since
    began_at, since = work.began_at(), progress.plan_since

    def begin(conn: sa.Connection) -> None:
        state.drop_windows(conn, name)
        state.replace_windows(conn, name, [], [plan.first_window(since)])
        state.advance(conn, name, plan_began_at=began_at)

    await work.store.do(begin)
    return began_at, since


async def _drain(queue: asyncio.LifoQueue[Span], readers: int, read: Callable[[Span], Any]) -> None:
    """Work off a queue that grows while it is worked off."""

    async def reader() -> None:
        while True:
            span = await queue.get()
            await read(span)
            queue.task_done()

    finished = asyncio.ensure_future(queue.join())
    tasks = [asyncio.ensure_future(reader()) for _ in range(readers)]
    try:
        await asyncio.wait([finished, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                await task  # a reader ends only by an error
    finally:
        for task in (finished, *tasks):
            task.cancel()
        await asyncio.gather(finished, *tasks, return_exceptions=True)


async def _read_window(
    work: Pass,
    reading: Search,
    span: Span,
    since: datetime | None,
    queue: asyncio.LifoQueue[Span],
) -> None:
    for attempt in range(CURSOR_RESTARTS + 1):
        try:
            parts = await _read_span(work, reading, span, since)
            break
        except CursorRefusedError:
            if attempt == CURSOR_RESTARTS:
                raise
    for part in reversed(parts):
        queue.put_nowait(part)


async def _read_span(work: Pass, reading: Search, span: Span, since: datetime | None) -> list[Span]:
    """Read one window to its end; or, if it is too large, return finer ones in its place."""
    name, target = work.resource.name, plan.WINDOW_RECORDS
    if reading.whole_by_id:
        target = plan.WINDOW_OBJECTS
    body = plan.window_query(reading, work.client.version, span, updated=since is not None)
    source = pages(work.client, work.search(reading, body))
    group: list[Page] = []
    seen: list[str] = []
    asked_at: datetime | None = None
    async for page in source:
        if asked_at is None:
            asked_at = page.requested_at
            if span == plan.first_window(since):
                work.tally.expected = page.total
            parts = _parts(work, reading, span, since, page, target)
            if len(parts) > 1:
                await work.store.do(partial(_refine, name, span, parts))
                return parts
        group.append(page)
        if size(group) >= CHUNK_RECORDS:
            sifted = await work.sift(group)
            seen += sifted.seen
            await _write(work, reading, sifted)
            group = []
    sifted = await work.sift(group)
    seen += sifted.seen

    def finish(conn: sa.Connection) -> None:
        state.finish_window(conn, name, span)
        if since is None and asked_at is not None:
            nominate(work, conn, seen, asked_at, span)

    await _write(work, reading, sifted, finish)
    return []


def _refine(name: str, span: Span, parts: list[Span], conn: sa.Connection) -> None:
    state.replace_windows(conn, name, [span], parts)


def _parts(
    work: Pass, reading: Search, span: Span, since: datetime | None, page: Page, target: int
) -> list[Span]:
    earliest = None
    if since is None and len(page):
        earliest = plan.instant(page.heads[0].created_at)
    return plan.divide(
        span,
        page.total or 0,
        earliest=earliest,
        now=work.client.clock.now(),
        unit=plan.granularity(reading, work.client.version),
        target=target,
    )


async def _write(work: Pass, reading: Search, sifted: Sifted, then: Then | None = None) -> None:
    """Write what is not known yet, read by id where search shows only a part of it."""
    if reading.whole_by_id:
        await work.read_in_chunks(announced(sifted.pages), then, sifted.digests)
    else:
        await work.write(sifted.pages, then, sifted.digests)
