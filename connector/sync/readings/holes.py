"""What lists hold and cannot show: read around, asked for by id where it is known, kept pending.

A pass with a hole counts as done but for the hole, which every later run tries again. What stands
in a hole is never taken for deleted: neither by its absence nor by a read by id.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import partial

from msgspec import Struct, field

from connector.errors import IntercomError
from connector.intercom.paging.page import Page
from connector.intercom.paging.search_holes import SMALL, Around, Hole, hole_of
from connector.resources.readings import Search
from connector.sync.fetch_by_id import Found, read_in_batches
from connector.sync.planning import plan
from connector.sync.readings.ask_omitted import unanswered
from connector.sync.readings.by_id import of_found, read_by_id
from connector.sync.resource_pass import BATCH_OBJECTS, Pass, announced
from connector.sync.writing.effects import (
    DropUnanswered,
    Effect,
    Postpone,
    Settle,
    SettlePlaces,
    is_place,
)
from connector.warehouse.state import stored
from connector.warehouse.state.partitions import OPEN_LOWER, OPEN_UPPER, Span

logger = logging.getLogger(__name__)

MOST_BY_ID = 200  # objects that a hole may hold and that are asked for by id


class Left(Struct):
    """What reading around came to: every id that was seen or may stand in a hole, and the holes."""

    ids: list[str] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)


async def read_around(
    work: Pass,
    reading: Search,
    hole: Hole,
    take: Callable[[Page], Awaitable[None]],
    first: int | None = None,
) -> Left:
    """Read a range of time that single records spoil, page by page, and say what is left of it."""
    around = Around(
        work.client,
        work.search(reading, {}),
        plan.filters(reading),
        plan.granularity(reading, work.client),
    )
    async with aclosing(around.read(hole, first)) as listed:
        async for page in listed:
            await take(page)
            page.release()
    left = Left([*around.seen])
    for found in around.holes.values():
        ids = await _may_be(work, reading, found, around.seen)
        left.ids += ids
        if not await _ask_by_id(work, found, ids):
            left.holes.append(found)
    return left


async def _may_be(work: Pass, reading: Search, hole: Hole, seen: Collection[str]) -> list[str]:
    """The stored objects that a hole may hold: those of its time that were not shown."""
    unit = plan.granularity(reading, work.client)
    lower, upper = hole.times.lower, hole.times.upper
    span = Span(lower or OPEN_LOWER, upper or OPEN_UPPER)
    span = plan.covered(span, unit, work.timezone)
    names, resource = work.writer.loader.names, work.resource
    found = await work.writer.look(
        lambda conn: stored.within(conn, names, resource, hole.field, span)
    )
    return [key for key in found if key not in seen]


async def _ask_by_id(work: Pass, hole: Hole, ids: Sequence[str]) -> bool:
    """Ask for what a hole may hold; whether that is all of it, so that no hole need be kept.

    What cannot be read, or is said not to be there although a list stumbles over it, is pending
    under its own id; what is said not to be there only as long as the hole is.
    """
    if not ids or len(ids) > MOST_BY_ID:
        return False
    error = hole.error or IntercomError("a list cannot show it")
    gone = 0
    async with aclosing(
        read_in_batches(work.client, work.resource, ids, BATCH_OBJECTS, patient=True)
    ) as batches:
        async for found in batches:
            await _submit_found(work, found, error)
            gone += len(found.gone) + len(found.archived)
    work.tried.update(ids)
    return not gone and hole.number == len(ids)


async def _submit_found(work: Pass, found: Found, error: IntercomError) -> None:
    shown = [key for key in found.records if key not in found.archived]
    bad: Mapping[str, IntercomError] = {**found.gone, **found.failed}
    reasons = {
        key: f"lists cannot show it ({error}), nor is it to be had by id ({refusal})"
        for key, refusal in bad.items()
    }
    submission = of_found(work, found, shown)
    submission.effects = (Postpone(work.resource.name, reasons, work.now()),)
    await work.submit(submission, settles=shown)


def keep(work: Pass, holes: Iterable[Hole]) -> Postpone:
    """Makes the holes pending, in the transaction that ends what they were found by."""
    reasons = {hole.id: hole.reason for hole in holes}
    return _pending(work, reasons)


def _pending(work: Pass, reasons: Mapping[str, str]) -> Postpone:
    """Makes places in lists pending that this run has tried, and says so."""
    work.tried.update(reasons)
    for key, reason in reasons.items():
        logger.warning("%s %s: %s", work.resource.name, key, reason)
    return Postpone(work.resource.name, reasons, work.now())


async def fill_holes(work: Pass, ids: Iterable[str]) -> None:
    """Try again the holes with these ids: what they show now is merged, and they are settled."""
    reading = work.resource.reading
    for key in ids:
        hole = hole_of(key)
        if hole is None or not isinstance(reading, Search):
            continue
        write = partial(submit_page, work, reading)
        left = await read_around(work, reading, hole, write, first=SMALL)
        filled = [] if key in {hole.id for hole in left.holes} else [key]
        settled = Settle([work.resource.name], filled)
        await work.writer.commit(settled, keep(work, left.holes))


async def submit_page(work: Pass, reading: Search, page: Page) -> None:
    """Submit one page, its objects read by id where search shows only a part of them."""
    if reading.whole_by_id:
        await read_by_id(work, announced([page]))
    else:
        await work.submit_pages([page])


# -- lists without times ---------------------------------------------------------------------


def keep_gaps(work: Pass, gaps: Mapping[str, IntercomError]) -> tuple[Effect, ...]:
    """Makes pending what a list read whole could not show, and settles what it could not before."""
    reasons = {key: str(error) for key, error in gaps.items()}
    return SettlePlaces(work.resource.name, reasons), _pending(work, reasons)


def is_object(id: str) -> bool:
    """Whether a pending id is an object's, to be asked for by it."""
    return not is_place(id) and hole_of(id) is None


async def doubt(work: Pass, error: IntercomError, *effects: Effect) -> None:
    """Ask by id for what a list with a gap omits, delete nothing; ``effects`` commit last."""
    last, asked = "", list[str]()
    while ids := await unanswered(work, last):
        last, asked = ids[-1], [*asked, *ids]
        async with aclosing(
            read_in_batches(work.client, work.resource, ids, BATCH_OBJECTS, patient=True)
        ) as batches:
            async for found in batches:
                await _submit_found(work, found, error)
        work.tried.update(ids)
    await work.writer.commit(DropUnanswered(work.resource.name, asked), *effects)
