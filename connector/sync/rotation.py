"""Passes that read one contact or one group after the other, because there is no list of all.

Each is read in turn: what was never read, what changed since, and, spread evenly over the days of
a sweep, everything again. When each was last read is kept in ``sync_reads``.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from connector.errors import IntercomError, SpoiltPageError
from connector.intercom.around import Around, Hole
from connector.intercom.paging import (
    CursorSearch,
    EventPages,
    NumberedPages,
    Page,
    Style,
    WholeList,
    pages,
)
from connector.intercom.refusals import MANY, Asked, Meaning, is_closed, meaning
from connector.intercom.retry import QUICK
from connector.intercom.search import Window
from connector.resources.resource import Members, PerContact
from connector.sync import plan
from connector.sync.ahead import ahead, side_by_side
from connector.sync.objects import AT_ONCE
from connector.sync.store import Chunk, Store
from connector.sync.work import Pass
from connector.warehouse import reads, state
from connector.warehouse.reads import Turn, Turns

LOT = 100  # contacts whose answers are written together
FIRST_READS = 10_000  # requests that a run after the first spends on contacts never read
GROUPS_AT_ONCE = 4  # the ids of all their members are held
CHEAP = 60  # requests: so few are spent on the members of all groups at every run
AGAIN = timedelta(hours=20)  # else a night must lie between


# -- contacts --------------------------------------------------------------------------------


async def per_contact(work: Pass, reading: PerContact, *, full: bool) -> None:
    """Read the contacts whose turn it is."""
    began_at = await _began_at(work, full)
    async for found in _read_all(work, reading, _turns(work, reading, began_at, full)):
        await _write(work, reading, found)
    await work.store.do(work.succeeded(began_at, full=full))


async def read_contacts(work: Pass, reading: PerContact, ids: Sequence[str]) -> None:
    """Read the lists of these contacts, whoever's turn it is."""

    async def named() -> AsyncIterator[list[str]]:
        yield list(ids)

    async for found in _read_all(work, reading, named()):
        await _write(work, reading, found)


async def _turns(
    work: Pass, reading: PerContact, began_at: datetime, full: bool
) -> AsyncIterator[list[str]]:
    """Ids, page by page: pending, due for a reason, never read, and a share of all the others."""
    names, store = work.store.loader.names, work.store
    turns = Turns(
        work.resource.name,
        before=began_at if full else None,
        active=reading.follows_activity,
        counted=reading.counted,
    )
    now = work.client.clock.safe_now()
    yield await store.do(lambda conn: reads.waiting(conn, names, work.resource.name, now))
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
        self.parts: dict[str, tuple[list[Any], datetime]] = {}  # what could be had of the failed
        self.gone: list[str] = []
        self.failed: dict[str, IntercomError] = {}

    def __len__(self) -> int:
        return len(self.lists) + len(self.gone) + len(self.failed)

    def add(self, other: _Read) -> None:
        """What the others answered as well."""
        self.lists |= other.lists
        self.parts |= other.parts
        self.gone += other.gone
        self.failed |= other.failed


async def _read_all(
    work: Pass, reading: PerContact, turns: AsyncIterator[list[str]]
) -> AsyncIterator[_Read]:
    async def ids() -> AsyncIterator[str]:
        waiting: set[str] | None = None  # the first ones may be due for another reason too
        async for some in turns:
            for key in some:
                if key not in (waiting or ()):
                    yield key
            waiting = set(some) if waiting is None else waiting

    lot = _Read()
    async for one in side_by_side(ids(), lambda key: _read_one(work, reading, key), AT_ONCE):
        lot.add(one)
        if len(lot) >= LOT:
            yield _checked(lot)
            lot = _Read()
    if len(lot):
        yield _checked(lot)


def _checked(lot: _Read) -> _Read:
    if len(lot) >= MANY and len(lot.failed) == len(lot):
        raise next(iter(lot.failed.values()))
    return lot


async def _read_one(work: Pass, reading: PerContact, key: str) -> _Read:
    found = _Read()
    elements: list[Any] = []
    read_at: datetime | None = None
    try:
        async for page in pages(work.client, _style(reading, key), retry=QUICK):
            elements += page.records
            read_at = read_at or page.requested_at
            if page.gap:
                found.failed[key] = page.gap.error
    except IntercomError as error:
        match meaning(error, Asked.BESIDE):
            case Meaning.GONE:
                found.gone.append(key)  # the passes over contacts say what became of it
            case Meaning.PENDING:
                found.failed[key] = error
            case _:
                raise
    if key not in found.failed and key not in found.gone:
        found.lists[key] = (elements, read_at or work.client.clock.now())
    elif read_at and not reading.within:  # rows of their own: the others need not wait
        found.parts[key] = (elements, read_at)
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
    chunk = Chunk()
    for key, (elements, read_at) in (found.lists | found.parts).items():
        chunk.add(_records(reading, key, elements), read_at)
    name, now = work.resource.name, work.client.clock.safe_now()
    read = {key: read_at for key, (_, read_at) in found.lists.items()}
    read |= dict.fromkeys(found.gone, now)

    def also(conn: sa.Connection) -> None:
        reads.note(conn, name, read)
        state.settle(conn, name, read)
        for key, error in found.failed.items():
            state.postpone(conn, name, [key], str(error), now)

    await work.store.merge(work.resource.table, chunk, work.tally, then=also, resource=name)
    work.changed()


def _records(reading: PerContact, key: str, elements: Sequence[Any]) -> list[Mapping[str, Any]]:
    """Rows of their own with the contact's id, or a record of the contact that holds the list."""
    if reading.within:
        return [_holding(key, reading.within, elements)]
    return [{**element, "contact_id": key} for element in elements]


def _holding(key: str, path: str, elements: Sequence[Any], missing: int = 0) -> Mapping[str, Any]:
    """A record that holds the list; where elements are missing it takes no link away."""
    *outer, last = path.split(".")
    value: dict[str, Any] = {last: list(elements), "total_count": len(elements) + missing}
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

    pending = await work.store.do(lambda conn: state.pending(conn))
    waiting = {entry.id for entry in pending if entry.resource == name}

    async def due() -> AsyncIterator[str]:
        for group in groups:
            age = began_at - group.read_at if group.read_at else None
            again = age is None or cheap or age > AGAIN or (full and age > timedelta())
            if again or group.id in waiting:
                yield group.id

    failed: list[IntercomError] = []
    read = 0
    async for errors in side_by_side(due(), partial(_read_group, work, reading), GROUPS_AT_ONCE):
        read += not errors
        failed += errors
        if not read and len(failed) == MANY:
            break
    if failed and not read and (len(failed) >= MANY or all(map(is_closed, failed))):
        raise failed[0]  # for each of many, or not permitted at all: no matter of the groups
    await work.store.do(work.succeeded(began_at, full=full))


async def read_groups(work: Pass, reading: Members, ids: Sequence[str]) -> None:
    """Read the members of these groups, whoever's turn it is."""
    for key in ids:
        await _read_group(work, reading, key)


async def _read_group(work: Pass, reading: Members, key: str) -> list[IntercomError]:
    """Read the members of one group; the error if they cannot be read, and it is pending then."""
    name = work.resource.name
    try:
        members = await _members(work, reading, key)
    except IntercomError as error:
        if meaning(error, Asked.BESIDE) not in (Meaning.PENDING, Meaning.GONE):
            raise
        refusal, now = error, work.client.clock.safe_now()
        await work.store.do(lambda c: state.postpone(c, name, [key], str(refusal), now))
        return [error]
    chunk = Chunk()
    read_at = members.read_at or work.client.clock.now()
    chunk.add([_holding(key, reading.within, members.ids, members.missing)], read_at)
    await work.store.merge(
        work.resource.table,
        chunk,
        work.tally,
        then=lambda conn: _note_group(work, conn, key, members),
        resource=name,
    )
    work.changed()
    return []


@dataclass
class _Members:
    """The members of a group, and how many of them no page shows."""

    ids: list[dict[str, Any]] = field(default_factory=list)
    read_at: datetime | None = None
    missing: int = 0
    reason: str = ""

    def add(self, page: Page) -> None:
        self.read_at = self.read_at or page.requested_at
        self.ids += [{"id": head.id} for head in page.heads]


async def _members(work: Pass, reading: Members, key: str) -> _Members:
    wanted = {"field": reading.field, "operator": "=", "value": key}
    body = {"query": wanted, "sort": {"field": "created_at", "order": "ascending"}}
    style = CursorSearch(reading.path, reading.key, body)
    found = _Members()
    try:
        async for page in ahead(pages(work.client, style), 2):
            found.add(page)
    except SpoiltPageError:
        unit = plan.granularity(reading, work.client.version)
        around, found = Around(work.client, style, [wanted], unit), _Members()
        async for page in around.read(Hole("created_at", Window())):
            found.add(page)
        holes = list(around.holes.values())
        found.missing = sum(hole.number or 1 for hole in holes)
        found.reason = "; ".join(hole.reason for hole in holes)
    return found


def _note_group(work: Pass, conn: sa.Connection, key: str, members: _Members) -> None:
    """A group of which all members are known is read; one with a hole must be read again."""
    name = work.resource.name
    if members.missing:
        now = work.client.clock.safe_now()
        state.postpone(conn, name, [key], members.reason, now)
        return
    read_at = members.read_at or work.client.clock.now()
    reads.note(conn, name, {key: read_at}, len(members.ids))
    state.settle(conn, name, [key])
