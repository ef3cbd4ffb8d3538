"""Reads what stands around a record that spoils its page of a list; knows no resource.

By page numbers every record has a place: a page of 50 is ten pages of 5, so the one that cannot be
shown is left out alone. By cursor nothing behind it can be had, and what is before it comes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from connector.errors import IntercomError, SpoiltPageError
from connector.intercom.client import Client
from connector.intercom.paging.list_pages import Listed, Walk, fetch_page, walk
from connector.intercom.paging.page import Gap, Page, Trail, gap_page
from connector.intercom.refusals import is_spoilt
from connector.intercom.retry import ONCE, TWICE, Retry

IN_A_ROW = 5  # records that cannot be shown: then it is no matter of records
LISTED_DAYS = 92  # so long events are listed, and a little longer
SIZE = 20  # records on a page where the list does not say

Ask = Callable[[int, int, Retry], Awaitable[Page]]
"""Asks for a page by its number and size."""


class Pieces(Struct):
    """One page read in smaller ones; ``ended``: the list was found to end on it."""

    ask: Ask
    now: Callable[[], datetime]
    ended: bool = False
    in_a_row: int = 0

    async def read(self, start: int, size: int, error: IntercomError) -> AsyncGenerator[Page, None]:
        """The pages, and one with a gap for each record left out, from place ``start`` (from 0).

        Raises the error of the last one when many in a row cannot be shown.
        """
        if size == 1:
            self.in_a_row += 1
            if self.in_a_row >= IN_A_ROW:
                raise error
            yield gap_page(Gap(start + 1, error), self.now())
            return
        step = _smaller(size)
        for at in range(start, start + size, step):
            if self.ended:
                return
            try:
                page = await self.ask(at // step + 1, step, TWICE if step == 1 else ONCE)
            except IntercomError as refusal:
                if not is_spoilt(refusal):
                    raise
                async for page in self.read(at, step, refusal):
                    yield page
                continue
            self.in_a_row = 0
            self.ended = page.is_empty
            yield replace(page, total=None)


def _smaller(size: int) -> int:
    """The largest page size that divides it."""
    return next(step for step in range(size // 2, 0, -1) if size % step == 0)


async def back_in_time(
    client: Client, style: Listed, retry: Retry | None
) -> AsyncGenerator[Page, None]:
    """As ``walk``; past what spoils its pages, to the first time before which there is more."""
    place, gaps, last = 1, 0, int(client.clock.now().timestamp() * 1000)
    way = Walk("GET", style, shrinks=True, trusts=True)
    while True:
        try:
            async for page in walk(client, way, retry):
                times = [t * 1000 for head in page.heads if type(t := head.created_at) is int]
                last, place = min([last, *times]), place + len(page)
                yield page
            return
        except IntercomError as error:
            gaps += 1
            if not is_spoilt(error) and not isinstance(error, SpoiltPageError):
                raise
            if gaps >= IN_A_ROW:
                raise
            last = await _before(client, way, last, error)
            yield gap_page(Gap(place, error), client.clock.now())
        way = replace(way, more={"before": last})


async def _before(client: Client, way: Walk, upper: int, error: IntercomError) -> int:
    """The first time behind ``upper``, in milliseconds, before which an event can be had.

    Raises the error if nothing can be had where surely no event is left: it is of the whole list.
    """
    end = upper - LISTED_DAYS * 86_400_000
    if not await _can_be_had(client, way, end):
        raise error
    step, lower = 1_000, upper
    while lower > end:
        lower = max(end, upper - step)
        if lower == end or await _can_be_had(client, way, lower):
            break
        upper, step = lower, step * 2
    while upper - lower > 1_000:
        middle = (lower + upper) // 2
        if await _can_be_had(client, way, middle):
            lower = middle
        else:
            upper = middle
    return lower


async def _can_be_had(client: Client, way: Walk, before: int) -> bool:
    params = {**way.first_params(), "per_page": 1, "before": before}
    try:
        await fetch_page(client, way, params, 1, TWICE)
    except IntercomError as error:
        if not is_spoilt(error):
            raise
        return False
    return True


async def skip(client: Client, way: Walk, retry: Retry | None) -> AsyncGenerator[Page, None]:
    """As ``walk`` where page numbers go on by one, around what spoils a page."""
    number, size = 1, way.style.per_page or SIZE

    async def ask(number: int, size: int | None, patience: Retry | None) -> Page:
        sized = {} if size is None else {"per_page": size}
        params = {**way.style.params, **sized, "page": number}
        return await fetch_page(client, way, params, number, patience)

    pieces, last = Pieces(ask, client.clock.now), None
    while True:
        try:
            page = await ask(number, way.style.per_page, retry)
        except IntercomError as error:
            if not is_spoilt(error):
                raise
            async for page in pieces.read((number - 1) * size, size, error):
                yield page
            if pieces.ended:
                return
        else:
            if page.texts and page.texts == last:
                raise Trail(way.method, way.style.path).error("the same page came again")
            pieces.in_a_row, last = 0, page.texts
            size = _size_of(page) or size
            yield page
            if _has_ended(way, page, number, client.base_url):
                return
        number += 1


def _size_of(page: Page) -> int | None:
    """The page size that Intercom says it went by."""
    listing = page.envelope.get("pages")
    size = listing.get("per_page") if isinstance(listing, dict) else None
    return size if type(size) is int and size > 0 else None


def _has_ended(way: Walk, page: Page, number: int, base_url: str) -> bool:
    try:
        return way.next_params(page, number, base_url) is None
    except ValueError as error:
        raise Trail(way.method, way.style.path).error(str(error)) from error
