"""Passes over lists: unpaged snapshots, paged catalogues, logs that only grow, the scroll.

What a snapshot omits is deleted; what another list omits is asked for by id.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
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
from connector.resources.readings import Catalogue, FullScan, Log, Part, Snapshot
from connector.sync.planning.spare import AT_EVERY_RUN
from connector.sync.readings.ask_omitted import ask
from connector.sync.readings.holes import doubt, keep_gaps
from connector.sync.resource_pass import Pass, size
from connector.sync.writing.effects import MarkAbsent
from connector.sync.writing.submission import Submission, pending_key
from connector.tools.ids import Ids
from connector.tools.prefetch import prefetch
from connector.warehouse import state
from connector.warehouse.values.instants import instant

logger = logging.getLogger(__name__)

SETTLED = timedelta(days=2)  # what is older hardly changes


async def snapshot(work: Pass, reading: Snapshot) -> None:
    """Lists that are always complete: what they omit is deleted."""
    submission, present, failed = work.submission(), list[Record](), dict[str, IntercomError]()
    for part in reading.parts:
        try:
            with work.client.memory.urgently():  # it holds one part while it asks for the next
                async with aclosing(snapshot_pages(work.client, reading, [part])) as listed:
                    async for page, records in listed:
                        await _take(work, submission, page, part)
                        present += records
                        page.release()
        except IntercomError as error:
            if len(reading.parts) == 1 or meaning(error, Asked.LIST_OF_ONE) is Meaning.STOP:
                raise
            failed[_name_of(_part_style(reading, part))] = error
    if len(failed) == len(reading.parts):
        raise next(iter(failed.values()))
    began_at = work.began_at()
    # Where a part failed what it would have shown is not known to be gone.
    absent = [] if failed else [MarkAbsent(work.resource, present, began_at)]
    done, kept = work.succeeded(began_at, full=True), keep_gaps(work, failed)
    submission.effects = (*absent, *kept, done)
    shown = () if work.resource.by_id else [pending_key(work.resource.table, r) for r in present]
    await work.submit(submission, settles=shown)


async def _take(work: Pass, submission: Submission, page: Page, part: Part) -> None:
    """Add what is not known yet of a page; what a part leaves unsaid is part of its records."""
    unsaid = repr((part.given, part.renamed)).encode()
    filtered = await work.filter_unchanged([page], unsaid)
    for left in filtered.pages:
        told = [_told(record, part) for record in left.records]
        submission.add(told, page.requested_at, left.weight)
    for key, digest in filtered.digests.items():
        same = submission.digests.get(key, digest) == digest
        submission.digests[key] = digest if same else None
    work.tally.warnings += page.bad


async def snapshot_pages(
    client: Client, reading: Snapshot, parts: Sequence[Part] | None = None
) -> AsyncGenerator[tuple[Page, list[Record]], None]:
    """The lists of a snapshot, or of these parts, and their records with what they leave unsaid."""
    for part in reading.parts if parts is None else parts:
        async with aclosing(pages(client, _part_style(reading, part))) as listed:
            async for page in listed:
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
    """A paged list, whole; what it omits is asked for by id, and deleted if that says so.

    One that grows is read only as far as it shows something new, unless it is short, or the
    requests that full passes leave suffice for all of it.
    """
    source = pages(work.client, catalogue_style(reading, skips=True))
    if await _is_read_whole(work, reading):
        await _complete(work, source, run_ahead=4)
    else:
        await _newest(work, source)


async def _is_read_whole(work: Pass, reading: Catalogue) -> bool:
    if not reading.grows or not work.has_baseline or work.progress.full_due_since is not None:
        return True
    loader, resource, last = work.writer.loader, work.resource, work.progress.last_full_pass_at
    rows = await work.writer.look(lambda conn: loader.alive(conn, resource))
    cost = math.ceil(rows / reading.per_page)
    if cost <= AT_EVERY_RUN or await work.writer.look(partial(_has_pending, name=resource.name)):
        return True
    return work.spare.affords(cost, work.began_at() - last if last else None)


def _has_pending(conn: sa.Connection, name: str) -> bool:
    return any(one.resource == name for one in state.pending(conn))


async def _newest(work: Pass, source: AsyncGenerator[Page, None]) -> None:
    """A list as far as it goes back in time and shows what is new, or may still change."""
    before, kept = work.began_at() - SETTLED, list[Gap]()
    oldest: datetime | None = None
    descends = True
    async with aclosing(source):
        async for page in source:
            moments = [moment for one in page.heads if (moment := instant(one.created_at))]
            if moments:
                descends = descends and (oldest is None or max(moments) <= oldest)
                oldest = min(moments)
            kept += [page.gap] if page.gap else []
            news = await work.filter_unchanged([page])
            await work.submit_pages(news.pages, digests=news.digests)
            page.release()
            if descends and not size(news.pages) and oldest is not None and oldest < before:
                break
    ends = keep_gaps(work, _named(kept))
    await work.writer.commit(*ends, work.succeeded(work.began_at(), full=False))


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
    gaps, refused = list[Gap](), set[str]()
    async with aclosing(work.batched(prefetch(pages(work.client, style), pages=4))) as batches:
        async for batch in batches:
            gaps += [page.gap for page in batch if page.gap]
            refused.update(await work.submit_pages(batch))
    if gaps:  # the cursor stays, so that the next run reads this again
        raise gaps[0].error
    if refused:  # the same: nothing else brings them; they are pending, and so the run fails
        return
    await work.writer.commit(work.succeeded(work.began_at(), full=full))


async def full_scan(work: Pass, reading: FullScan) -> None:
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
    async with aclosing(work.batched(prefetch(source, run_ahead))) as batches:
        async for batch in batches:
            asked_at = asked_at or batch[0].requested_at
            work.tally.expected = work.tally.expected or batch[0].total
            gaps += [page.gap for page in batch if page.gap]
            seen.add(await work.submit_changed(batch))
    began_at = work.began_at()
    omitted = () if asked_at is None else work.omitted(seen, asked_at)
    ends = (*keep_gaps(work, _named(gaps)), work.succeeded(began_at, full=True))
    if gaps:
        await work.writer.commit(*omitted)
        await doubt(work, gaps[0].error, *ends)
    else:
        await ask(work, *ends, omitted=omitted)


def _named(gaps: Sequence[Gap]) -> dict[str, IntercomError]:
    return {
        f"place {gap.place} of the list{' and after' if gap.rest else ''}": gap.error
        for gap in gaps
    }
