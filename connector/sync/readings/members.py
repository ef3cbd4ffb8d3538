"""The members of groups, which Intercom shows for one group at a time, by a search."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from msgspec import Struct, field

from connector.errors import (
    IntercomError,
    RowRefusedError,
    SpoiltPageError,
)
from connector.intercom.client import Client
from connector.intercom.facts import SEARCH_COUNTS
from connector.intercom.paging.search import TimeRange
from connector.intercom.paging.search_holes import Around, Hole
from connector.intercom.paging.styles import (
    CursorSearch,
    Page,
    pages,
)
from connector.intercom.refusals import MANY, Asked, Meaning, is_closed, meaning
from connector.resources.lists import NAMED
from connector.resources.readings import Members
from connector.sync.guards.counting import leaves_out
from connector.sync.planning import plan
from connector.sync.planning.spare import A_NIGHT
from connector.sync.readings.in_turn import began_at_of, holding
from connector.sync.resource_pass import Pass
from connector.sync.writing.effects import Effect, NoteRead, Postpone
from connector.tools.ids import Ids
from connector.tools.prefetch import concurrently, prefetch
from connector.warehouse import state
from connector.warehouse.state import reads
from connector.warehouse.state.reads import Group

FEWER = "a search shows fewer members than it counts"
GROUPS_AT_ONCE = 4  # the ids of all their members are held
LONG = 1_000  # members: longer lists are submitted one by one, shorter ones together
WEIGHT = 40  # bytes that stand for a member
CHEAP = 60  # requests: so few are spent on the members of all groups at every run


async def members(work: Pass, reading: Members, *, full: bool) -> None:
    """Read the members of the groups whose turn it is; a group's list counts only if whole.

    Where all together are not cheap, a night lies between two reads, and the requests that full
    passes leave decide how many are read; of the others those that count another number.
    """
    began_at = await began_at_of(work, full)
    name, table = work.resource.name, work.resource.table
    names = work.writer.loader.names
    groups, pending = await work.writer.look(
        lambda conn: (reads.groups(conn, names, name, table.name), state.pending(conn))
    )
    cheap = sum(map(_cost, groups)) <= CHEAP
    waiting = {entry.id for entry in pending if entry.resource == name}

    async def due() -> AsyncGenerator[tuple[str, int | None], None]:
        for group in groups:
            age = began_at - group.read_at if group.read_at else None
            again = age is None or cheap or (full and age > timedelta())
            if again or group.id in waiting:
                yield group.id, None
            elif age and age > A_NIGHT:
                affords = work.spare.affords(_cost(group), age)
                yield group.id, None if affords else group.elements

    async def read_due(
        group: tuple[str, int | None],
    ) -> tuple[list[_Group], list[IntercomError]]:
        return await _read_group(work, reading, *group)

    failed: list[IntercomError] = []
    short: list[_Group] = []
    read = 0
    async with aclosing(concurrently(due(), read_due, GROUPS_AT_ONCE)) as results:
        async for group, errors in results:
            read += not errors
            failed += errors
            if not read and len(failed) == MANY:
                break
            short += group
            if sum(len(one.listed) for one in short) > LONG:
                await _submit(work, reading, short)
                short = []
    await _submit(work, reading, short)
    if failed and not read and (len(failed) >= MANY or all(map(is_closed, failed))):
        raise failed[0]  # for each of many, or not permitted at all: no matter of the groups
    work.client.facts.confirm(SEARCH_COUNTS, name)  # unless one of them showed less
    await work.writer.commit(work.succeeded(began_at, full=full))


async def read_groups(work: Pass, reading: Members, ids: Sequence[str]) -> None:
    """Read the members of these groups, whether or not it is their turn."""
    for key in ids:
        group, _ = await _read_group(work, reading, key)
        await _submit(work, reading, group)


def _cost(group: Group) -> int:
    """How many requests its members take."""
    return group.elements // NAMED + 1


async def _read_group(
    work: Pass, reading: Members, key: str, known: int | None = None
) -> tuple[list[_Group], list[IntercomError]]:
    """Read the members of one group; the group if it is still to be submitted.

    Or the error if they cannot be read, and it is pending then. Neither if it still counts as many
    as were ``known``.
    """
    name = work.resource.name
    try:
        if known is not None and await _count(work.client, reading, key) == known:
            return [], []
        members = await _members(work.client, reading, key)
    except IntercomError as error:
        if meaning(error, Asked.LIST_OF_ONE) not in (Meaning.PENDING, Meaning.GONE):
            raise
        await work.writer.commit(Postpone(name, {key: str(error)}, work.now()))
        return [], [error]

    if members.reason == FEWER:
        work.refute(SEARCH_COUNTS, f"{name}: {members.missing} are counted and not listed")

    read_at = members.read_at or work.client.clock.now()
    noted = _noted(work, key, members, read_at)
    group = _Group(key, [*members.ids, *members.unknown], read_at, noted)
    if len(group.listed) <= LONG:
        return [group], []
    await _submit_long(work, reading, group)
    return [], []


class _Group(Struct, frozen=True):
    """A group whose members were read: their ids, and what is noted of it."""

    key: str
    listed: list[str | None]
    read_at: datetime
    noted: Effect

    def record(self, within: str, some: Sequence[str | None]) -> Mapping[str, Any]:
        """What holds some of its members."""
        return holding(self.key, within, [{"id": one} for one in some])


async def _submit(work: Pass, reading: Members, groups: Sequence[_Group]) -> None:
    """Submit short lists together; each by itself where Postgres refuses them all."""
    if not groups:
        return
    submission = work.submission()
    submission.effects = tuple(group.noted for group in groups)
    for group in groups:
        held = group.record(reading.within, group.listed)
        submission.add([held], group.read_at, len(group.listed) * WEIGHT)
    try:
        await work.writer.submit(submission)
    except RowRefusedError:
        for group in groups:
            await _submit_long(work, reading, group)
    work.changed()


async def _submit_long(work: Pass, reading: Members, group: _Group) -> None:
    """Submit one list, however long; its group is pending where Postgres refuses it."""
    submission = work.submission()
    submission.effects = (group.noted,)
    record = partial(group.record, reading.within)
    try:
        await work.writer.submit_list(submission, record, group.listed, group.read_at)
    except RowRefusedError as error:
        refused = Postpone(work.resource.name, {group.key: str(error)}, work.now())
        await work.writer.commit(refused)
    work.changed()


class _Members(Struct):
    """The members of a group, and how many of them no page shows."""

    ids: Ids = field(default_factory=Ids)
    nameless: int = 0
    read_at: datetime | None = None
    missing: int = 0
    reason: str = ""
    counted: int = 0

    @property
    def short(self) -> int:
        """By how many they are fewer than the search counts."""
        return max(0, self.counted - len(self.ids) - self.nameless)

    @property
    def unknown(self) -> list[None]:
        """What stands for members that are not known by id, so that the list is not whole."""
        return [None] if self.missing or self.nameless else []

    def add(self, page: Page) -> None:
        """Of what the page shows only the ids are kept."""
        self.read_at = self.read_at or page.requested_at
        self.counted = page.total or 0
        named = [str(head.id) for head in page.heads if type(head.id) in (str, int)]
        self.ids.add(named)
        self.nameless += len(page.heads) - len(named) + page.bad
        page.release()


def _search(reading: Members, key: str, per_page: int = NAMED) -> CursorSearch:
    wanted = {"field": reading.field, "operator": "=", "value": key}
    body = {"query": wanted, "sort": {"field": "created_at", "order": "ascending"}}
    return CursorSearch(reading.path, reading.key, body, per_page)


async def _count(client: Client, reading: Members, key: str) -> int | None:
    """How many members the group has; None where that cannot be told."""
    try:
        page = await anext(pages(client, _search(reading, key, 1)))
    except SpoiltPageError:
        return None
    page.release()
    return page.total


async def _members(client: Client, reading: Members, key: str) -> _Members:
    style = _search(reading, key)
    wanted = style.body["query"]
    found = _Members()
    try:
        for _ in range(2):  # one that shows less than it counts is read once more
            found = _Members()
            async with aclosing(prefetch(pages(client, style), 2)) as listed:
                async for page in listed:
                    found.add(page)
            if not leaves_out(found.short, found.counted):
                return found
        found.missing, found.reason = found.short, FEWER
    except SpoiltPageError:
        unit = plan.granularity(reading, client)
        around, found = Around(client, style, [wanted], unit), _Members()
        async with aclosing(around.read(Hole("created_at", TimeRange()))) as listed:
            async for page in listed:
                found.add(page)
        holes = list(around.holes.values())
        found.missing = sum(hole.number or 1 for hole in holes)
        found.reason = "; ".join(hole.reason for hole in holes)
    return found


def _noted(work: Pass, key: str, members: _Members, read_at: datetime) -> Effect:
    """A group of which all members are known is read; one with a hole must be read again."""
    name = work.resource.name
    if members.missing:
        return Postpone(name, {key: members.reason}, work.now())
    return NoteRead(name, {key: read_at}, len(members.ids))


async def read_members(
    client: Client, reading: Members, key: str
) -> tuple[Mapping[str, Any], datetime, int]:
    """A record of the group that holds its members, when it was asked for, and how many."""
    found = await _members(client, reading, key)
    ids = [*found.ids, *found.unknown]
    record = holding(key, reading.within, [{"id": one} for one in ids])
    return record, found.read_at or client.clock.now(), len(ids)
