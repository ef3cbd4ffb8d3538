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
from connector.intercom.client import Client
from connector.intercom.paging.styles import (
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
from connector.sync.readings.holes import doubt, keep_gaps
from connector.sync.readings.relist import ask, nominate
from connector.sync.resource_pass import Pass
from connector.sync.store import Chunk
from connector.sync.tools.ids import Ids
from connector.sync.tools.prefetch import prefetch

logger = logging.getLogger(__name__)


async def snapshot(work: Pass, reading: Snapshot) -> None:
    """Lists that are always complete: what they omit is deleted."""
    chunk, present, failed = Chunk(), list[Record](), dict[str, IntercomError]()
    for part in reading.parts:
        try:
            with work.client.memory.urgently():  # it holds one part while it asks for the next
                async for page, records in snapshot_pages(work.client, reading, [part]):
                    chunk.add(records, page.requested_at, page.weight)
                    present += records
                    work.tally.warnings += page.bad
                    page.release()
        except IntercomError as error:
            if len(reading.parts) == 1 or meaning(error, Asked.BESIDE) is Meaning.STOP:
                raise
            failed[_name_of(_part_style(reading, part))] = error
    if len(failed) == len(reading.parts):
        raise next(iter(failed.values()))
    await work.write_chunk(chunk)
    began_at, table = work.began_at(), work.resource.table
    done, kept = work.succeeded(began_at, full=True), keep_gaps(work, failed)

    def close(conn: sa.Connection) -> int:
        store, name, deleted = work.store, work.resource.name, 0
        if not failed:  # else what a part would have shown is not known to be gone
            deleted = store.loader.mark_absent(
                conn, table, present, began_at, store.run_id, fuse=store.fuse, name=name
            )
        kept(conn)
        done(conn)
        return deleted

    work.tally.deleted += await work.store.do(close)


async def snapshot_pages(
    client: Client, reading: Snapshot, parts: Sequence[Part] | None = None
) -> AsyncIterator[tuple[Page, list[Record]]]:
    """The lists of a snapshot, or of these parts, and their records with what they leave unsaid."""
    for part in reading.parts if parts is None else parts:
        async for page in pages(client, _part_style(reading, part)):
            yield page, [_told(record, part) for record in page.records]


def _part_style(reading: Snapshot, part: Part) -> WholeList:
    return WholeList(part.path or reading.path, reading.key, dict(part.params))


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
    await _complete(work, pages(work.client, catalogue_style(reading, skips=True)), run_ahead=4)


def catalogue_style(reading: Catalogue, *, skips: bool = False) -> Style:
    """How its pages follow each other; ``skips``: around what spoils them."""
    if reading.by_cursor:
        return CursorList(reading.path, reading.key, reading.per_page, skips=skips)
    return NumberedPages(reading.path, reading.key, reading.per_page, skips=skips)


async def log(work: Pass, reading: Log, *, full: bool) -> None:
    """What was added since the cursor; on a full pass everything, or what the limit allows."""
    since, bound = 0, work.progress.plan_since if full else work.since()
    if bound is not None:
        since = int(bound.timestamp())
    style = NumberedPages(
        reading.path, reading.key, None, params={reading.since: since}, skips=True
    )
    gaps: list[Gap] = []
    async for group in work.grouped(prefetch(pages(work.client, style), pages=4)):
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
    seen, gaps = Ids(), list[Gap]()
    asked_at: datetime | None = None
    async for group in work.grouped(prefetch(source, run_ahead)):
        asked_at = asked_at or group[0].requested_at
        gaps += [page.gap for page in group if page.gap]
        seen.add(await work.write_changed(group))
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
        await ask(work, end)


def _named(gaps: Sequence[Gap]) -> dict[str, IntercomError]:
    return {
        f"place {gap.place} of the list{' and after' if gap.rest else ''}": gap.error
        for gap in gaps
    }
