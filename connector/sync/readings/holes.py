"""What lists hold and cannot show: read around, asked for by id where it is known, kept pending.

A pass with a hole counts as done but for the hole, which every later run tries again. What stands
in a hole is never taken for deleted: neither by its absence nor by a read by id.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import sqlalchemy as sa

from connector.errors import IntercomError
from connector.intercom.paging.page import Page
from connector.intercom.paging.search_holes import SMALL, Around, Hole, hole_of
from connector.resources.resource import Search
from connector.sync.fetch_by_id import Found, read_in_lots
from connector.sync.planning import plan
from connector.sync.resource_pass import CHUNK_OBJECTS, Pass, Then, announced, chunk_of
from connector.warehouse import state
from connector.warehouse.state import candidates, stored
from connector.warehouse.state.partitions import OPEN_LOWER, OPEN_UPPER, Span

logger = logging.getLogger(__name__)

MOST_BY_ID = 200  # objects that a hole may hold and that are asked for by id


@dataclass
class Left:
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
    """Read a window that single records spoil, page by page, and say what is left of it."""
    around = Around(
        work.client,
        work.search(reading, {}),
        plan.filters(reading),
        plan.granularity(reading, work.client.version),
    )
    async for page in around.read(hole, first):
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
    unit = plan.granularity(reading, work.client.version)
    lower, upper = hole.window.lower, hole.window.upper
    span = Span(lower or OPEN_LOWER, upper or OPEN_UPPER)
    span = plan.covered(span, unit, work.timezone)
    names, resource = work.store.loader.names, work.resource
    found = await work.store.do(lambda conn: stored.within(conn, names, resource, hole.field, span))
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
    async for found in read_in_lots(work.client, work.resource, ids, CHUNK_OBJECTS, patient=True):
        await _write_found(work, found, error)
        gone += len(found.gone) + len(found.archived)
    work.tried.update(ids)
    return not gone and hole.number == len(ids)


async def _write_found(work: Pass, found: Found, error: IntercomError) -> None:
    shown = [key for key in found.records if key not in found.archived]
    bad: Mapping[str, IntercomError] = {**found.gone, **found.failed}
    now, name = work.client.clock.safe_now(), work.resource.name

    def also(conn: sa.Connection) -> None:
        for key, refusal in bad.items():
            reason = f"lists cannot show it ({error}), nor is it to be had by id ({refusal})"
            state.postpone(conn, name, [key], reason, now)

    await work.write_chunk(chunk_of(found, shown), by_id=True, settles=shown, then=also)


def keep(work: Pass, holes: Iterable[Hole]) -> Then:
    """Makes the holes pending, in the transaction that ends what they were found by."""
    kept = list(holes)
    now, name = work.client.clock.safe_now(), work.resource.name
    work.tried.update(hole.id for hole in kept)
    for hole in kept:
        logger.warning("%s %s: %s", name, hole.id, hole.reason)

    def write(conn: sa.Connection) -> None:
        for hole in kept:
            state.postpone(conn, name, [hole.id], hole.reason, now)

    return write


async def fill_holes(work: Pass, ids: Iterable[str]) -> None:
    """Try again the holes with these ids: what they show now is merged, and they are settled."""
    reading = work.resource.reading
    for key in ids:
        hole = hole_of(key)
        if hole is None or not isinstance(reading, Search):
            continue
        write = partial(write_page, work, reading)
        left = await read_around(work, reading, hole, write, first=SMALL)
        await work.store.do(_refilled(work, key, left))


def _refilled(work: Pass, key: str, left: Left) -> Then:
    still, name = keep(work, left.holes), work.resource.name
    gone = [key] if key not in {hole.id for hole in left.holes} else []

    def write(conn: sa.Connection) -> None:
        state.settle(conn, name, gone)
        still(conn)

    return write


async def write_page(work: Pass, reading: Search, page: Page) -> None:
    """Write one page, its objects read by id where search shows only a part of them."""
    if reading.whole_by_id:
        await work.read_in_chunks(announced([page]))
    else:
        await work.write([page])


# -- lists without times ---------------------------------------------------------------------


def keep_gaps(work: Pass, gaps: Mapping[str, IntercomError]) -> Then:
    """Makes pending what a list read whole could not show, and settles what it could not before."""
    now, name = work.client.clock.safe_now(), work.resource.name
    work.tried.update(gaps)
    for key, error in gaps.items():
        logger.warning("%s %s: %s", name, key, error)

    def write(conn: sa.Connection) -> None:
        before = [p.id for p in state.pending(conn) if p.resource == name and is_place(p.id)]
        state.settle(conn, name, [key for key in before if key not in gaps])
        for key, error in gaps.items():
            state.postpone(conn, name, [key], str(error), now)

    return write


def is_place(id: str) -> bool:
    """Whether a pending id is a place in a list and no object's."""
    return id.startswith(("place ", "GET "))


def is_object(id: str) -> bool:
    """Whether a pending id is an object's, to be asked for by it."""
    return not is_place(id) and hole_of(id) is None


async def doubt(work: Pass, error: IntercomError, then: Then) -> None:
    """Ask by id for what a list with a gap omits, and delete nothing; ``then`` commits last."""
    name, last, asked = work.resource.name, "", list[str]()
    while ids := await work.store.do(
        partial(candidates.nominees, resource=name, after=last, most=CHUNK_OBJECTS)
    ):
        last, asked = ids[-1], [*asked, *ids]
        async for found in read_in_lots(
            work.client, work.resource, ids, CHUNK_OBJECTS, patient=True
        ):
            await _write_found(work, found, error)
        work.tried.update(ids)

    def end(conn: sa.Connection) -> None:
        candidates.drop_unanswered(conn, name, asked)
        then(conn)

    await work.store.do(end)
