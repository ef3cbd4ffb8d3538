"""Reads what stands around a record that spoils its page of a list; knows no resource.

By page numbers every record has a place: a page of 50 is ten pages of 5, so the one that cannot be
shown is left out alone. By cursor nothing behind it can be had, and what is before it comes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from connector.errors import IntercomError
from connector.intercom.page import Page
from connector.intercom.refusals import is_spoilt
from connector.intercom.retry import ONCE, TWICE, Retry

IN_A_ROW = 5  # records that cannot be shown: then it is no matter of records
SIZE = 20  # records on a page where the list does not say

Ask = Callable[[int, int, Retry], Awaitable[Page]]
"""Asks for a page by its number and size."""


@dataclass(frozen=True)
class Gap:
    """A record that a list cannot show: its place, from 1; ``rest``: and all that come after it."""

    place: int
    error: IntercomError
    rest: bool = False


def gap_page(gap: Gap, at: datetime) -> Page:
    """A page that shows nothing but the gap."""
    return Page(requested_at=at, texts=[], total=None, envelope={}, gap=gap)


@dataclass
class Pieces:
    """One page read in smaller ones; ``ended``: the list was found to end on it."""

    ask: Ask
    now: Callable[[], datetime]
    ended: bool = False
    in_a_row: int = 0

    async def read(self, start: int, size: int, error: IntercomError) -> AsyncIterator[Page]:
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
