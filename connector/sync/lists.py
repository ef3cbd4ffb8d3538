"""Passes over lists: unpaged snapshots, paged catalogues, logs that only grow, the scroll.

What a snapshot omits is deleted; what another list omits is asked for by id.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from connector.errors import ScrollBrokenError, ScrollExistsError
from connector.intercom.paging import (
    CursorList,
    NumberedPages,
    Page,
    Scroll,
    Style,
    WholeList,
    pages,
)
from connector.resources.lists import Record
from connector.resources.resource import Catalogue, Log, Part, Snapshot, Sweep
from connector.sync.absence import convict, nominate
from connector.sync.ahead import ahead
from connector.sync.ids import Ids
from connector.sync.store import Chunk
from connector.sync.work import Pass

logger = logging.getLogger(__name__)


async def snapshot(work: Pass, reading: Snapshot) -> None:
    """Lists that are always complete: what they omit is deleted."""
    chunk, present = Chunk(), list[Record]()
    for part in reading.parts:
        style = WholeList(part.path or reading.path, reading.key, dict(part.params))
        with work.client.memory.urgently():  # it holds one part while it asks for the next
            async for page in pages(work.client, style):
                records = [_told(record, part) for record in page.records]
                chunk.add(records, page.requested_at, page.weight)
                present += records
                work.tally.warnings += page.bad
                page.release()
    await work.write_chunk(chunk)
    began_at, table = work.began_at(), work.resource.table
    done = work.succeeded(began_at, full=True)

    def close(conn: sa.Connection) -> int:
        loader, run_id = work.store.loader, work.store.run_id
        allow = work.allow_deletes
        deleted = loader.mark_absent(conn, table, present, began_at, run_id, allow=allow)
        done(conn)
        return deleted

    work.tally.deleted += await work.store.do(close)


def _told(record: dict[str, Any], part: Part) -> dict[str, Any]:
    """The record with what it leaves unsaid."""
    told = dict(record)
    for key, value in part.given:
        if told.get(key) is None:
            told[key] = value
    for key, other in part.renamed:
        if told.get(key) is None:
            told[key] = record.get(other)
    return told


async def catalogue(work: Pass, reading: Catalogue) -> None:
    """A paged list, whole; what it omits is asked for by id, and deleted if that says so."""
    style: Style = NumberedPages(reading.path, reading.key, reading.per_page)
    if reading.by_cursor:
        style = CursorList(reading.path, reading.key, reading.per_page)
    await _complete(work, pages(work.client, style), run_ahead=4)


async def log(work: Pass, reading: Log, *, full: bool) -> None:
    """What was added since the cursor; everything on a full pass."""
    since, bound = 0, work.since()
    if not full and bound is not None:
        since = int(bound.timestamp())
    style = NumberedPages(reading.path, reading.key, None, params={reading.since: since})
    async for group in work.grouped(ahead(pages(work.client, style), pages=4)):
        await work.write(group)
    await work.store.do(work.succeeded(work.began_at(), full=full))


async def sweep(work: Pass, reading: Sweep) -> None:
    """Every object by the scroll, or by the list where the scroll is not to be had."""
    try:
        await _complete(work, pages(work.client, Scroll(reading.scroll, reading.key)))
    except (ScrollExistsError, ScrollBrokenError) as error:
        logger.warning("%s: %s; reading the list instead", work.resource.name, error)
        style = NumberedPages(reading.list, reading.key, per_page=60, method="POST")
        await _complete(work, pages(work.client, style))


async def _complete(work: Pass, source: AsyncIterator[Page], run_ahead: int = 200) -> None:
    """A list to its end; what it omits is asked for by id, and deleted if that says so."""
    # The reader runs ahead of the writer: a scroll that waits a minute for Postgres expires.
    seen = Ids()
    asked_at: datetime | None = None
    async for group in work.grouped(ahead(source, run_ahead)):
        asked_at = asked_at or group[0].requested_at
        seen.add(await work.write_changed(group))
    began_at = work.began_at()
    if asked_at is not None:
        first = asked_at
        await work.store.do(lambda conn: nominate(work, conn, seen, first))
    await convict(work, work.succeeded(began_at, full=True))
