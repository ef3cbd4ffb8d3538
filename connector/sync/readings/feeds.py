"""Passes over feeds: what Intercom says was deleted or merged, and when.

Feeds only hasten what full passes find as well. What they say makes deletion candidates with
Intercom's own time: believed, unless a copy that was read later speaks against it, or they tell of
more than is plausible.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import aclosing
from datetime import datetime

from msgspec import Struct, field

from connector.errors import BadRequestError, CursorRefusedError
from connector.intercom.paging.search_pages import is_cursor_refused
from connector.intercom.paging.styles import CursorList, Gap, NumberedPages, Page, pages
from connector.resources.lists import Record
from connector.resources.readings import Activities, Deletions
from connector.sync.planning import plan
from connector.sync.resource_pass import Pass
from connector.sync.writing.effects import Advance, Claim, Settle
from connector.sync.writing.submission import pending_key
from connector.sync.writing.writer import INDEX_LAG
from connector.tools.prefetch import prefetch
from connector.warehouse.values.instants import instant

logger = logging.getLogger(__name__)

MOST_PAGES = 2_000  # of the activities in one run; the next one goes on from there


# -- deletions -------------------------------------------------------------------------------


async def deletions(work: Pass, reading: Deletions, *, full: bool) -> None:
    """What was deleted since the last pass; at first since the oldest copy that is stored."""
    began_at = work.began_at()
    order = plan.Order(await _bound(work))
    style = NumberedPages(reading.path, reading.key, reading.per_page, skips=True)
    gaps: list[Gap] = []
    async with aclosing(prefetch(pages(work.client, style), 2)) as listed:
        async for page in listed:
            gaps += [page.gap] if page.gap else []
            await _delete(work, _times(page, reading.at), page.requested_at)
            page.release()
            if order.is_past([record.get(reading.at) for record in page.records]):
                break
    if gaps:  # the cursor stays, so that the next run reads this again
        raise gaps[0].error
    await work.writer.commit(work.succeeded(began_at, full=full))


async def _bound(work: Pass) -> datetime:
    bound = work.since()
    if bound is not None:
        return bound
    loader, table = work.writer.loader, work.resource.table
    oldest = await work.writer.look(lambda conn: loader.oldest_read(conn, table))
    return (oldest or work.began_at()) - INDEX_LAG


def _times(page: Page, at: str) -> dict[str, datetime]:
    found = {}
    for record in page.records:
        moment = instant(record.get(at))
        if moment is not None and type(record.get("id")) in (str, int):
            found[str(record["id"])] = moment
    return found


async def _delete(work: Pass, times: Mapping[str, datetime], now: datetime) -> None:
    tally = work.tally
    await work.writer.commit(Claim(work.resource, times, now))
    tally.fetched += len(times)
    tally.unchanged += len(times)
    work.changed()


# -- activities ------------------------------------------------------------------------------


class News(Struct):
    """What a page of activities tells."""

    deleted: dict[str, datetime] = field(default_factory=dict)
    merged: list[Record] = field(default_factory=list)


async def activities(work: Pass, reading: Activities, *, full: bool) -> None:
    """What happened since the page on which the last pass ended; that page is read again."""
    began_at, position = work.began_at(), work.progress.position
    try:
        at_end = await _read_on(work, reading, position)
    except (BadRequestError, CursorRefusedError) as error:
        refused = isinstance(error, CursorRefusedError) or is_cursor_refused(error)
        if position is None or not refused:
            raise
        logger.warning("%s: the place where the feed was left is gone; reading it anew", error)
        at_end = await _read_on(work, reading, None)
    if not at_end:
        logger.warning("%s: more happened than one run reads; the next goes on", reading.path)
    await work.writer.commit(work.succeeded(began_at, full=full))


async def _read_on(work: Pass, reading: Activities, position: str | None) -> bool:
    params = {} if position is None else {"starting_after": position}
    style = CursorList(
        reading.path, reading.key, reading.per_page, params, reading.version, kept=True
    )
    number = 0
    async with aclosing(prefetch(pages(work.client, style), 4)) as listed:
        async for page in listed:
            news, read_at = news_of(page, reading), page.requested_at
            taken = await _apply(work, news, len(page), read_at, position)
            page.release()
            if not taken:
                return True  # the next run reads this page again
            position, number = _next_token(page) or position, number + 1
            if number == MOST_PAGES:
                return False
    return True


def _next_token(page: Page) -> str | None:
    listing = page.envelope.get("pages")
    following = listing.get("next") if isinstance(listing, dict) else None
    token = following.get("starting_after") if isinstance(following, dict) else None
    return token if isinstance(token, str) and token else None


def news_of(page: Page, reading: Activities) -> News:
    """What the page tells of contacts that are gone."""
    news = News()
    for record in page.records:
        kind, at = record.get("event_type"), instant(record.get("created_at"))
        subject = record.get("contact_id")
        if kind == reading.deleted and at is not None and type(subject) is str:
            news.deleted[subject] = at
        elif kind == reading.merged:
            news.merged.append({column: record.get(key) for column, key in reading.row})
    return news


async def _apply(
    work: Pass, news: News, number: int, read_at: datetime, position: str | None
) -> bool:
    """Rows and the place in the feed commit together; whether Postgres takes all of them."""
    submission, table = work.submission(), work.resource.table
    others = number - len(news.merged)
    submission.add(news.merged, read_at)
    submission.effects = (
        Claim(work.resource, news.deleted, read_at, untold=True),
        Settle([work.resource.name], [pending_key(table, row) for row in news.merged]),
        Advance(work.resource.name, {"position": position}, past_rows=True),
    )
    refused = await work.writer.submit(submission)
    work.tally.fetched += others
    work.tally.unchanged += others
    work.changed()
    return not refused
