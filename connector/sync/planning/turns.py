"""Whose turn it is to be read, for what Intercom shows for one contact at a time.

What there is a reason for comes first, then what was never read, and, spread evenly over the days
of the refresh interval, everything again. When each was last read is kept in ``sync_reads``.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from connector.resources.readings import PerContact
from connector.sync.resource_pass import Pass
from connector.sync.writing.writer import Writer
from connector.warehouse.state import reads
from connector.warehouse.state.reads import EXPIRED, Turn, Turns

TOLD_LATE = timedelta(days=3)  # an event may be told so long after it happened, and is seen soon


async def turns_of(
    work: Pass, reading: PerContact, began_at: datetime, full: bool
) -> AsyncGenerator[list[Turn], None]:
    """Turns, page by page: pending, due for a reason, never read, and a share of all the others.

    Of those never read the active come first. Whose count is right with nothing stored has nothing
    to tell, and who was not active little: their first read can wait for their share.
    """
    names, writer = work.writer.loader.names, work.writer
    waits = bool(reading.counted) or (bool(reading.follows) and work.only_active)
    turns = Turns(
        work.resource.name,
        began_at=work.run_began_at(),
        before=began_at if full and not (reading.follows and work.only_active) else None,
        follows=reading.follows,
        embedded=reading.embedded,
        counted=reading.counted,
    )

    def by_id(
        most: float, query: Callable[..., list[Turn]], **of: Any
    ) -> AsyncGenerator[list[Turn], None]:
        return _by_id(writer, partial(query, names=names, turns=turns, **of), most)

    async with aclosing(by_id(math.inf, reads.changed)) as due:
        async for some in due:
            yield some
    since = began_at - reading.shown_for if reading.follows and reading.shown_for else None
    if since:
        async with aclosing(by_id(math.inf, reads.never_read, since=since, active=True)) as active:
            async for some in active:
                yield some
    left = await _share(work, reading, began_at)
    if not reading.embedded:
        most = left if waits else math.inf
        async with aclosing(by_id(most, reads.never_read, since=since)) as others:
            async for some in others:
                yield some
                left -= len(some) if waits else 0
    last: Turn | None = None
    while left > 0:
        oldest = partial(reads.longest_ago, names=names, turns=turns, before=began_at, after=last)
        page = (await writer.look(oldest))[:left]
        if not page:
            return
        yield [Turn(turn.id) for turn in page]  # each to its end
        left, last = left - len(page), page[-1]


async def _by_id(
    writer: Writer, query: Callable[..., list[Turn]], most: float
) -> AsyncGenerator[list[Turn], None]:
    last = ""
    while most > 0:
        page = await writer.look(partial(query, after=last))
        if not page:
            return
        yield page if len(page) <= most else page[: int(most)]
        most, last = most - len(page), page[-1].id


def since_of(work: Pass, turn: Turn, full: bool) -> datetime | None:
    """From when on the list of a contact can hold news; None where all of it must be read.

    What happened longer ago and was told late is found when the list is next read to its end, and
    that is within the refresh interval.
    """
    if full or turn.read_at is None or turn.whole_read_at is None:
        return None
    if turn.read_at <= EXPIRED or turn.whole_read_at < work.began_at() - work.refresh_interval:
        return None
    return turn.read_at - TOLD_LATE


async def _share(work: Pass, reading: PerContact, began_at: datetime) -> int:
    """How many contacts are to be read again, so that all are within the refresh interval."""
    fresh, names = work.progress.fresh_as_of, work.writer.loader.names
    if fresh is None or began_at <= fresh:
        return 0
    among = work.resource.name if reading.embedded else ""
    number = await work.writer.look(lambda conn: reads.contacts(conn, names, among))
    # Rounded up: the rest of a fraction is lost, as what counts is the time since the last run.
    return math.ceil(number * min(1.0, (began_at - fresh) / work.refresh_interval))
