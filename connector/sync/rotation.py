"""Passes that read one contact or one group after the other, because there is no list of all.

Each is read in turn: what was never read, what changed since, and, spread evenly over the days of
a sweep, everything again. When each was last read is kept in ``sync_reads``.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from connector.errors import IntercomError, MergedError, NotFoundError
from connector.intercom.memory import Share
from connector.intercom.paging import (
    CursorSearch,
    EventPages,
    NumberedPages,
    Style,
    WholeList,
    pages,
)
from connector.intercom.retry import QUICK
from connector.jsontext import decode
from connector.resources.resource import Members, PerContact
from connector.sync.ahead import ahead, gathered, side_by_side
from connector.sync.ids import Ids
from connector.sync.objects import AT_ONCE, MANY, UNREADABLE
from connector.sync.store import Chunk, Store
from connector.sync.work import CHUNK_BYTES, Pass
from connector.warehouse import reads, state
from connector.warehouse.reads import Turn, Turns

LOT = 100  # contacts whose answers are written together
PIECE = 1 << 19  # bytes of one contact's rows that are written before its list has ended
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


async def _turns(
    work: Pass, reading: PerContact, began_at: datetime, full: bool
) -> AsyncIterator[list[str]]:
    """Ids, page by page: never read, due for a reason, and a share of all the others."""
    names, store = work.store.loader.names, work.store
    turns = Turns(
        work.resource.name,
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
    """What a number of contacts answered: their lists, and those that could not be read.

    ``lists`` hold what is not written yet, as JSON texts; ``shares`` the bytes in flight that they
    take.
    """

    def __init__(self) -> None:
        self.lists: dict[str, tuple[list[bytes], datetime]] = {}
        self.gone: list[str] = []
        self.failed: dict[str, IntercomError] = {}
        self.shares: list[Share] = []

    def __len__(self) -> int:
        return len(self.lists) + len(self.gone) + len(self.failed)

    @property
    def weight(self) -> int:
        """Bytes of the lists."""
        return sum(len(text) for texts, _ in self.lists.values() for text in texts)

    def add(self, other: _Read) -> None:
        """What the others answered as well."""
        self.lists |= other.lists
        self.gone += other.gone
        self.failed |= other.failed
        self.shares += other.shares

    def release(self) -> None:
        """Give back the bytes in flight that the lists take."""
        for share in self.shares:
            share.release()


async def _read_all(
    work: Pass, reading: PerContact, turns: AsyncIterator[list[str]]
) -> AsyncIterator[_Read]:
    async def ids() -> AsyncIterator[str]:
        async for some in turns:
            for key in some:
                yield key

    def is_full(lot: list[_Read]) -> bool:
        return len(lot) >= LOT or sum(one.weight for one in lot) >= CHUNK_BYTES

    each = side_by_side(ids(), lambda key: _read_one(work, reading, key), AT_ONCE)
    async for some in gathered(each, is_full, work.client.memory.short):
        lot = _Read()
        for one in some:
            lot.add(one)
        try:
            yield _checked(lot)
        finally:
            lot.release()


def _checked(lot: _Read) -> _Read:
    if len(lot) >= MANY and len(lot.failed) == len(lot):
        raise next(iter(lot.failed.values()))
    return lot


async def _read_one(work: Pass, reading: PerContact, key: str) -> _Read:
    found = _Read()
    texts: list[bytes] = []
    read_at: datetime | None = None
    memory = work.client.memory
    try:
        with ExitStack() as stack:
            async for page in pages(work.client, _style(reading, key), retry=QUICK):
                if read_at is None:
                    read_at = page.requested_at
                    # Who holds the beginning of a list must not wait for room for the rest.
                    stack.enter_context(memory.urgently())
                texts += page.texts
                found.shares += [page.share] if page.share else []
                if not reading.within and (sum(map(len, texts)) >= PIECE or memory.short.is_set()):
                    await _write_piece(work, reading, key, texts, page.requested_at)
                    texts = []
                    found.release()
    except (NotFoundError, MergedError):
        found.gone.append(key)  # the passes over contacts say what became of it
    except UNREADABLE as error:
        found.failed[key] = error
    else:
        found.lists[key] = (texts, read_at or work.client.clock.now())
    return found


async def _write_piece(
    work: Pass, reading: PerContact, key: str, texts: Sequence[bytes], read_at: datetime
) -> None:
    """Rows of a long list: they are right whatever becomes of the rest.

    That the list was read is noted with its last ones.
    """
    chunk = Chunk()
    chunk.add(_records(reading, key, texts), read_at, sum(map(len, texts)))
    await work.store.merge(work.resource.table, chunk, work.tally)
    work.changed()


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
    for key, (texts, read_at) in found.lists.items():
        chunk.add(_records(reading, key, texts), read_at, sum(map(len, texts)))
    name, now = work.resource.name, work.client.clock.safe_now()
    read = {key: read_at for key, (_, read_at) in found.lists.items()}
    read |= dict.fromkeys(found.gone, now)

    def also(conn: sa.Connection) -> None:
        reads.note(conn, name, read)
        state.settle(conn, name, read)
        for key, error in found.failed.items():
            state.postpone(conn, name, [key], str(error), now)

    await work.store.merge(work.resource.table, chunk, work.tally, then=also)
    work.changed()


def _records(reading: PerContact, key: str, texts: Sequence[bytes]) -> list[Mapping[str, Any]]:
    """Rows of their own with the contact's id, or a record of the contact that holds the list."""
    elements = [decode(text) for text in texts]
    if reading.within:
        return [_holding(key, reading.within, elements)]
    return [{**element, "contact_id": key} for element in elements]


def _holding(key: str, path: str, elements: Sequence[Any]) -> Mapping[str, Any]:
    *outer, last = path.split(".")
    value: dict[str, Any] = {last: list(elements), "total_count": len(elements)}
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
    ids, nameless = Ids(), 0
    read_at: datetime | None = None
    style = CursorSearch(reading.path, reading.key, body)
    async for page in ahead(pages(work.client, style), 2):
        read_at = read_at or page.requested_at
        ids.add(str(head.id) for head in page.heads if type(head.id) in (str, int))
        nameless += sum(type(head.id) not in (str, int) for head in page.heads) + page.bad
        page.release()
    assert read_at is not None
    name, asked_at = work.resource.name, read_at

    def record(some: Sequence[str | None]) -> Mapping[str, Any]:
        return _holding(key, reading.within, [{"id": one} for one in some])

    await work.store.merge_list(
        work.resource.table,
        record,
        [*ids, *[None] * nameless],
        asked_at,
        work.tally,
        then=lambda conn: reads.note(conn, name, {key: asked_at}, len(ids)),
    )
    work.changed()
