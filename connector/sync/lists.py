"""Passes over lists: unpaged snapshots, paged catalogues, logs that only grow, the scroll.

What a snapshot omits is deleted; what another list omits is asked for by id.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from connector.errors import IntercomError, ScrollBrokenError, ScrollExistsError
from connector.intercom.paging import (
    CursorList,
    Gap,
    NumberedPages,
    Page,
    Scroll,
    Style,
    WholeList,
    pages,
)
from connector.intercom.refusals import Asked, Meaning, is_spoilt, meaning
from connector.resources.lists import Record
from connector.resources.resource import Catalogue, Log, Part, Snapshot, Sweep
from connector.sync.absence import convict, nominate
from connector.sync.ahead import ahead
from connector.sync.holes import doubt, keep_gaps
from connector.sync.store import Chunk
from connector.sync.work import CHUNK_RECORDS, Pass, size

logger = logging.getLogger(__name__)


async def snapshot(work: Pass, reading: Snapshot) -> None:
    """Lists that are always complete: what they omit is deleted."""
    chunk, present, failed = Chunk(), list[Record](), dict[str, IntercomError]()
    for part in reading.parts:
        style = WholeList(part.path or reading.path, reading.key, dict(part.params))
        try:
            async for page in pages(work.client, style):
                records = [_told(record, part) for record in page.records]
                chunk.add(records, page.requested_at)
                present += records
                work.tally.warnings += page.bad
        except IntercomError as error:
            if len(reading.parts) == 1 or meaning(error, Asked.BESIDE) is Meaning.STOP:
                raise
            failed[_name_of(style)] = error
    if len(failed) == len(reading.parts):
        raise next(iter(failed.values()))
    await work.write_chunk(chunk)
    began_at, table = work.began_at(), work.resource.table
    done, kept = work.succeeded(began_at, full=True), keep_gaps(work, failed)

    def close(conn: sa.Connection) -> int:
        loader, run_id = work.store.loader, work.store.run_id
        allow, deleted = work.allow_deletes, 0
        if not failed:  # else what a part would have shown is not known to be gone
            deleted = loader.mark_absent(conn, table, present, began_at, run_id, allow=allow)
        kept(conn)
        done(conn)
        return deleted

    work.tally.deleted += await work.store.do(close)


def _name_of(style: WholeList) -> str:
    """What a part of a snapshot is pending under."""
    query = "&".join(f"{key}={value}" for key, value in style.params.items())
    return f"GET {style.path}" + (f"?{query}" if query else "")


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
    style: Style = NumberedPages(reading.path, reading.key, reading.per_page, skips=True)
    if reading.by_cursor:
        style = CursorList(reading.path, reading.key, reading.per_page, skips=True)
    await _complete(work, pages(work.client, style), run_ahead=4)


async def log(work: Pass, reading: Log, *, full: bool) -> None:
    """What was added since the cursor; everything on a full pass."""
    since = 0
    if not full and work.progress.cursor is not None:
        since = int((work.progress.cursor - work.lookback).timestamp())
    style = NumberedPages(
        reading.path, reading.key, None, params={reading.since: since}, skips=True
    )
    gaps: list[Gap] = []
    async for group in grouped(ahead(pages(work.client, style), pages=4), CHUNK_RECORDS):
        gaps += [page.gap for page in group if page.gap]
        await work.write(group)
    if gaps:  # the cursor stays, so that the next run reads this again
        raise gaps[0].error
    await work.store.do(work.succeeded(work.began_at(), full=full))


async def sweep(work: Pass, reading: Sweep) -> None:
    """Every object by the scroll, or by the list where the scroll is not to be had."""
    try:
        await _complete(work, pages(work.client, Scroll(reading.scroll, reading.key)))
    except IntercomError as error:
        if not is_spoilt(error) and not isinstance(error, ScrollExistsError | ScrollBrokenError):
            raise
        logger.warning("%s: %s; reading the list instead", work.resource.name, error)
        style = NumberedPages(reading.list, reading.key, per_page=60, method="POST", skips=True)
        await _complete(work, pages(work.client, style))


async def _complete(work: Pass, source: AsyncIterator[Page], run_ahead: int = 200) -> None:
    """A list to its end; what it omits is asked for by id, and deleted if that says so.

    What it omits is in doubt where it could not show a record: then nothing is deleted.
    """
    # The reader runs ahead of the writer: a scroll that waits a minute for Postgres expires.
    seen: list[str] = []
    gaps: list[Gap] = []
    asked_at: datetime | None = None
    async for group in grouped(ahead(source, run_ahead), CHUNK_RECORDS):
        asked_at = asked_at or group[0].requested_at
        gaps += [page.gap for page in group if page.gap]
        seen += await work.write_changed(group)
    began_at = work.began_at()
    if asked_at is not None:
        first = asked_at
        await work.store.do(lambda conn: nominate(work, conn, seen, first))
    kept, done = keep_gaps(work, _named(gaps)), work.succeeded(began_at, full=True)

    def end(conn: sa.Connection) -> None:
        kept(conn)
        done(conn)

    if gaps:
        await doubt(work, gaps[0].error, end)
    else:
        await convict(work, end)


def _named(gaps: Sequence[Gap]) -> dict[str, IntercomError]:
    return {
        f"place {gap.place} of the list{' and after' if gap.rest else ''}": gap.error
        for gap in gaps
    }


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
