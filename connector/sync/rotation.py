"""Passes that read one contact or one group after the other, because there is no list of all.

Each is read in turn: what was never read, what changed since, and, spread evenly over the days of
a sweep, everything again. When each was last read is kept in ``sync_reads``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from connector.errors import IntercomError, MergedError, NotFoundError
from connector.intercom.paging import (
    CursorSearch,
    EventPages,
    NumberedPages,
    Style,
    WholeList,
    pages,
)
from connector.intercom.retry import QUICK
from connector.resources.resource import Members, PerContact
from connector.sync.ahead import ahead, side_by_side
from connector.sync.objects import AT_ONCE, MANY, UNREADABLE
from connector.sync.store import Chunk, Store
from connector.sync.work import Pass
from connector.warehouse import absence, deletions, reads, state
from connector.warehouse.erasure import persons
from connector.warehouse.reads import Short, Turn, Turns

logger = logging.getLogger(__name__)

LOT = 100  # contacts whose answers are written together
FIRST_READS = 10_000  # requests that a run after the first spends on contacts never read
GROUPS_AT_ONCE = 4  # the ids of all their members are held
CHEAP = 60  # requests: so few are spent on the members of all groups at every run
AGAIN = timedelta(hours=20)  # else a night must lie between
DOUBTED_READS = 1  # so often a list that is shorter than counted is not believed to be complete
READS_SOON = 2  # so often the very next run asks for it again, then ever more rarely
READS_MOST = 6  # after so many the count is taken to be wrong


# -- contacts --------------------------------------------------------------------------------


async def per_contact(work: Pass, reading: PerContact, *, full: bool) -> None:
    """Read the contacts whose turn it is."""
    began_at = await _began_at(work, full)
    async for found in _read_all(work, reading, _turns(work, reading, began_at, full)):
        await _write(work, reading, found)
    await work.store.do(work.succeeded(began_at, full=full))


async def _turns(
    work: Pass, reading: PerContact, began_at: datetime, full: bool
) -> AsyncIterator[list[str]]:
    """Ids, page by page: never read, due for a reason, and a share of all the others."""
    names, store = work.store.loader.names, work.store
    turns = Turns(
        work.resource.name,
        began_at=work.run_began_at or began_at,
        before=began_at if full else None,
        active=reading.follows_activity,
        counted=reading.counted,
    )
    async for ids in _by_id(store, partial(reads.changed, names=names, turns=turns), math.inf):
        yield ids
    left = await _share(work, began_at)
    # Whose count is right with nothing stored has nothing to tell: its first read can wait.
    everyone = full or reading.follows_activity
    most = left if reading.counted else math.inf if everyone else FIRST_READS
    async for ids in _by_id(store, partial(reads.never_read, names=names, turns=turns), most):
        yield ids
        left -= len(ids) if reading.counted else 0
    last: Turn | None = None
    while left > 0:
        oldest = partial(reads.longest_ago, names=names, turns=turns, before=began_at, after=last)
        page = (await store.do(oldest))[:left]
        if not page:
            return
        yield [turn.id for turn in page]
        left, last = left - len(page), page[-1]


async def _by_id(
    store: Store, query: Callable[..., list[Turn]], most: float
) -> AsyncIterator[list[str]]:
    last = ""
    while most > 0:
        page = await store.do(partial(query, after=last))
        if not page:
            return
        ids = [turn.id for turn in page]
        yield ids if len(ids) <= most else ids[: int(most)]
        most, last = most - len(ids), ids[-1]


async def _share(work: Pass, began_at: datetime) -> int:
    """How many contacts are to be read again, so that all are within the days of a sweep."""
    fresh, names = work.progress.fresh_as_of, work.store.loader.names
    if fresh is None or began_at <= fresh:
        return 0
    number = await work.store.do(lambda conn: reads.contacts(conn, names))
    # Rounded up: the rest of a fraction is lost, as what counts is the time since the last run.
    return math.ceil(number * min(1.0, (began_at - fresh) / work.sweep))


async def _began_at(work: Pass, full: bool) -> datetime:
    """When this pass began; a full one that was interrupted goes on from its first instant."""
    if not full:
        return work.began_at()
    if work.progress.plan_began_at is not None:
        return work.progress.plan_began_at
    began_at, name = work.began_at(), work.resource.name
    await work.store.do(lambda conn: state.advance(conn, name, plan_began_at=began_at))
    return began_at


class _Read:
    """What a number of contacts answered: their lists, and those that could not be read."""

    def __init__(self) -> None:
        self.lists: dict[str, tuple[list[Any], datetime]] = {}
        self.gone: dict[str, IntercomError] = {}
        self.failed: dict[str, IntercomError] = {}

    def __len__(self) -> int:
        return len(self.lists) + len(self.gone) + len(self.failed)

    def add(self, other: _Read) -> None:
        """What the others answered as well."""
        self.lists |= other.lists
        self.gone |= other.gone
        self.failed |= other.failed


async def _read_all(
    work: Pass, reading: PerContact, turns: AsyncIterator[list[str]]
) -> AsyncIterator[_Read]:
    async def ids() -> AsyncIterator[str]:
        async for some in turns:
            for key in some:
                yield key

    lot = _Read()
    async for one in side_by_side(ids(), lambda key: _read_one(work, reading, key), AT_ONCE):
        lot.add(one)
        if len(lot) >= LOT:
            yield _checked(lot)
            lot = _Read()
    if len(lot):
        yield _checked(lot)


def _checked(lot: _Read) -> _Read:
    """The lot; raises if none of many could be read, or none of them is said to exist."""
    if len(lot) >= MANY and not lot.lists:
        raise next(iter((lot.failed or lot.gone).values()))
    return lot


async def _read_one(work: Pass, reading: PerContact, key: str) -> _Read:
    found = _Read()
    elements: list[Any] = []
    read_at: datetime | None = None
    try:
        async for page in pages(work.client, _style(reading, key), retry=QUICK):
            elements += page.records
            read_at = read_at or page.requested_at
    except (NotFoundError, MergedError) as error:
        found.gone[key] = error
    except UNREADABLE as error:
        found.failed[key] = error
    else:
        found.lists[key] = (elements, read_at or work.client.clock.now())
    return found


def _style(reading: PerContact, key: str) -> Style:
    path, params = reading.path.format(id=quote(key, safe="")), dict(reading.params)
    if reading.param:
        params[reading.param] = key
    if reading.backwards:
        return EventPages(path, reading.key, params=params)
    if reading.numbered:
        return NumberedPages(path, reading.key, 60, params=params)
    return WholeList(path, reading.key, params)


async def _write(work: Pass, reading: PerContact, found: _Read) -> None:
    """The lists; a contact that lists show, and of which this one does not exist, is doubted.

    It becomes pending itself, so that the end of the run asks whether it is gone.
    """
    name, now = work.resource.name, work.client.clock.safe_now()
    short = await _short(work, reading, found, now)
    chunk = Chunk()
    for key, (elements, read_at) in found.lists.items():
        chunk.add(_records(reading, key, elements, short.get(key)), read_at)
    read = {key: read_at for key, (_, read_at) in found.lists.items()}
    doubted = await _doubted(work, found, now)

    def also(conn: sa.Connection) -> None:
        lacks = {key: lack.noted for key, lack in short.items()}
        reads.note(conn, name, read, short=lacks)
        state.settle(conn, [name], read)
        state.postpone(conn, name, doubted, state.CONTRADICTION, now)
        state.doubt(conn, persons().name, doubted, state.CONTRADICTION, now)
        for key, error in found.failed.items():
            state.postpone(conn, name, [key], str(error), now)

    await work.store.merge(work.resource.table, chunk, work.tally, then=also)
    work.changed()


async def _doubted(work: Pass, found: _Read, now: datetime) -> Collection[str]:
    """The contacts that are said not to exist, and of which that is news."""
    if not found.gone:
        return ()
    names, table, loader = deletions.sources(persons()), persons(), work.store.loader
    gone = list(found.gone)

    def look(conn: sa.Connection) -> set[str]:
        return loader.living(conn, table, gone) - absence.answered(conn, names, gone)

    return await work.store.do(look)


@dataclass(frozen=True)
class _Lack:
    """A list that is shorter than Intercom counts; ``believed`` once it said so again."""

    counted: int
    believed: bool
    noted: Short


async def _short(work: Pass, reading: PerContact, found: _Read, now: datetime) -> dict[str, _Lack]:
    """Contacts whose lists are shorter than counted: asked for again soon, then more rarely."""
    if not reading.counted or not found.lists:
        return {}
    names, name, column = work.store.loader.names, work.resource.name, reading.counted[2]
    lengths = {key: len(elements) for key, (elements, _) in found.lists.items()}
    lacking = await work.store.do(lambda conn: reads.shortages(conn, names, name, column, lengths))
    if lacking:
        logger.warning("%s: %d lists are shorter than Intercom counts", name, len(lacking))
    return {
        key: _Lack(counted, before >= DOUBTED_READS, Short(before + 1, now + _again_after(before)))
        for key, (counted, before) in lacking.items()
        if before < READS_MOST
    }


def _again_after(before: int) -> timedelta:
    """When a list that was too short so often before is asked for again: soon, then rarely."""
    return timedelta(days=2.0 ** (before - READS_SOON)) if before >= READS_SOON else timedelta()


def _records(
    reading: PerContact, key: str, elements: Sequence[Any], lack: _Lack | None
) -> list[Mapping[str, Any]]:
    """Rows of their own with the contact's id, or a record of the contact that holds the list."""
    if reading.within:
        return [_holding(key, reading.within, elements, lack)]
    return [{**element, "contact_id": key} for element in elements]


def _holding(
    key: str, path: str, elements: Sequence[Any], lack: _Lack | None = None
) -> Mapping[str, Any]:
    """A record that holds the list; shorter than counted, it is complete only if believed."""
    *outer, last = path.split(".")
    value: dict[str, Any] = {last: list(elements), "total_count": len(elements)}
    if lack:
        value |= {"total_count": lack.counted, "has_more": not lack.believed}
    for step in reversed(outer):
        value = {step: value}
    return {"id": key, **value}


# -- groups ----------------------------------------------------------------------------------


async def members(work: Pass, reading: Members, *, full: bool) -> None:
    """Read the members of the groups whose turn it is; a group's list counts only if whole."""
    began_at = await _began_at(work, full)
    name, table = work.resource.name, work.resource.table
    names = work.store.loader.names
    groups = await work.store.do(lambda conn: reads.groups(conn, names, name, table.name))
    cheap = sum(group.elements // 150 + 1 for group in groups) <= CHEAP

    async def due() -> AsyncIterator[str]:
        for group in groups:
            age = began_at - group.read_at if group.read_at else None
            if age is None or cheap or age > AGAIN or (full and age > timedelta()):
                yield group.id

    async for _ in side_by_side(due(), partial(_read_group, work, reading), GROUPS_AT_ONCE):
        pass
    await work.store.do(work.succeeded(began_at, full=full))


async def _read_group(work: Pass, reading: Members, key: str) -> None:
    body = {
        "query": {"field": reading.field, "operator": "=", "value": key},
        "sort": {"field": "created_at", "order": "ascending"},
    }
    ids: list[dict[str, Any]] = []
    read_at: datetime | None = None
    style = CursorSearch(reading.path, reading.key, body)
    async for page in ahead(pages(work.client, style), 2):
        read_at = read_at or page.requested_at
        ids += [{"id": head.id} for head in page.heads]
    assert read_at is not None
    name, asked_at = work.resource.name, read_at
    chunk = Chunk()
    chunk.add([_holding(key, reading.within, ids)], asked_at)
    await work.store.merge(
        work.resource.table,
        chunk,
        work.tally,
        then=lambda conn: reads.note(conn, name, {key: asked_at}, len(ids)),
    )
    work.changed()
