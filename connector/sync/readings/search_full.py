"""Full passes of searched resources: partitions planned once, read concurrently, done one by one.

The plan is recorded before the first partition is read; the last rows of each commit together with
its end, so a crash costs at most the partitions that were not finished.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import replace

from connector.errors import (
    CursorRefusedError,
    IntercomError,
    SpoiltPageError,
    TokenRefusedError,
)
from connector.intercom.facts import SEARCH_BY_SECOND, SEARCH_COUNTS
from connector.intercom.paging.search_holes import Hole
from connector.intercom.paging.styles import Page, pages
from connector.resources.readings import Search
from connector.sync.fetch_by_id import AT_ONCE
from connector.sync.filter_unchanged import Filtered
from connector.sync.guards.counting import LOST, leaves_out
from connector.sync.planning import plan
from connector.sync.readings.ask_omitted import ask
from connector.sync.readings.by_id import read_by_id
from connector.sync.readings.contradictions import listed
from connector.sync.readings.cut_lists import agreeing, confirm, may_be_spared
from connector.sync.readings.holes import is_object, keep, read_around
from connector.sync.resource_pass import Pass, announced, release
from connector.sync.writing.effects import Effect, FinishPartition
from connector.sync.writing.writer import INDEX_LAG
from connector.tools.ids import Ids
from connector.tools.priority import PrioritySemaphore
from connector.tools.tasks import task_group
from connector.warehouse import state
from connector.warehouse.state.partitions import Span
from connector.warehouse.values.instants import instant

logger = logging.getLogger(__name__)

PARTITIONS_AT_ONCE = 1_000  # partitions that may be begun at the same time
ABOUT = 64  # partitions that a plan aims at
PAGES_AT_ONCE = 100  # pages of theirs that are asked for or being written
SHARES = 40  # a partition that is a larger share of what is left is read without waiting
RESERVED = 16  # so many more for partitions whose pages come one after the other for long
OBJECTS_AT_ONCE = 4  # partitions whose objects are read by id; each holds up to 175 of them
LARGE = 20_000  # records: from here on a first load goes without foreign keys
CURSOR_RESTARTS = 3
FAILURES = 5  # partitions in a row: then it is no matter of partitions


async def partitions(work: Pass, reading: Search) -> None:
    """A full pass in partitions, planned once, read side by side, committed one by one."""
    began_at, since = await _planned(work)
    reader = _Reader(work, reading, since)
    try:
        await reader.read_open_partitions()
    except IntercomError:
        await work.writer.restore_foreign_keys(work.resource)
        raise
    await work.writer.restore_foreign_keys(work.resource)
    if since is None:
        await _read_what_is_lacking(work, reading, reader)
    else:
        await _note_older(work, since)
    if reader.spares:
        await confirm(work, reading)
    await work.choose_control()
    await ask(work, work.succeeded(began_at, full=True))


async def _read_what_is_lacking(work: Pass, reading: Search, reader: _Reader) -> None:
    """Read across the edges of partitions if there are fewer rows than Intercom counts.

    Contacts within minutes of midnight are known to be missing from searches for the days that
    meet there; by the second nothing should be missing at an edge.
    """
    unit, name = plan.granularity(reading, work.client), work.resource.name
    short = total = 0
    if unit == "day" or await _seems_short(work, reader.missing):
        short, total = await _lack(work, reading, reader.missing)
    if short:
        before = await _old_rows(work)
        await work.writer.do(lambda conn: _reopen_edges(conn, name))
        await reader.read_open_partitions()
        found = await _old_rows(work) - before
        if unit == "second" and found >= max(LOST, short / 2):
            detail = f"{found} of {name} stood between the ranges of two searches"
            work.refute(SEARCH_BY_SECOND, detail)
        short, total = await _lack(work, reading, reader.missing)
        if short:
            logger.warning("%s: search counts more than it lists", name)
    left_out = max(short - await _lately_dead(work) if short else 0, reader.short)
    if leaves_out(left_out, max(total, work.tally.expected or 0)):
        work.refute(SEARCH_COUNTS, f"{left_out} of {name} are counted and not listed")
    else:
        work.client.facts.confirm(SEARCH_COUNTS, name)


async def _note_older(work: Pass, since: datetime) -> None:
    """What was last updated before the limit is in no partition: it is asked for by id."""
    older, now = Span(state.OPEN_LOWER, since), work.client.clock.safe_now()
    await work.writer.commit(*work.omitted([], now, older))


async def _planned(work: Pass) -> tuple[datetime, datetime | None]:
    """The plan that is under way, or a new one: when it began, and its limit."""
    progress, name = work.progress, work.resource.name
    if progress.plan_began_at is not None:
        return progress.plan_began_at, progress.plan_since
    began_at, since = work.began_at(), progress.plan_since

    def begin(conn: sa.Connection) -> None:
        state.drop_partitions(conn, name)
        state.replace_partitions(conn, name, [], [plan.first_partition(since)])
        state.advance(conn, name, plan_began_at=began_at, plan_mapping=work.salt.hex())

    await work.writer.do(begin)
    return began_at, since


async def _lack(work: Pass, reading: Search, missing: int) -> tuple[int, int]:
    """By how many objects fewer are accounted for than Intercom counts and could show; and that."""
    unit = plan.granularity(reading, work.client)
    everything = plan.partition_query(reading, unit, plan.first_partition(None), updated=False)
    try:
        page = await anext(pages(work.client, work.search(reading, everything, per_page=1)))
    except SpoiltPageError:
        return 0, 0  # the first of all cannot be shown, and that is known
    page.release()
    total = (page.total or 0) - missing
    return max(0, total - await _accounted_for(work)), total


async def _seems_short(work: Pass, missing: int) -> bool:
    """Whether fewer objects are accounted for than were counted when the pass began."""
    expected = work.tally.expected
    return expected is None or await _accounted_for(work) + missing < expected


async def _accounted_for(work: Pass) -> int:
    """Living rows, and objects that were shown and have none: they are pending, and named."""
    loader, resource = work.writer.loader, work.resource
    names = {*work.readers, resource.name}

    def look(conn: sa.Connection) -> int:
        kept = [one.id for one in state.pending(conn) if one.resource in names]
        shown = {key for key in kept if is_object(key)}
        rowless = shown - loader.living(conn, resource.table, list(shown)) if shown else shown
        return loader.alive(conn, resource) + len(rowless)

    return await work.writer.look(look)


async def _lately_dead(work: Pass) -> int:
    """How many rows were marked deleted so lately that searches may still count their objects."""
    loader, resource, since = work.writer.loader, work.resource, work.began_at() - INDEX_LAG
    return await work.writer.look(lambda conn: loader.died_since(conn, resource, since))


async def _old_rows(work: Pass) -> int:
    """How many living rows there are of what was created well before the pass began."""
    loader, resource, before = work.writer.loader, work.resource, work.began_at() - INDEX_LAG
    return await work.writer.look(lambda conn: loader.alive(conn, resource, before))


def _reopen_edges(conn: sa.Connection, name: str) -> None:
    edges = [span.upper for span in state.all_spans(conn, name) if span.upper != state.OPEN_UPPER]
    day = timedelta(days=1)
    spans = [Span(edge - day - timedelta(seconds=1), edge + 2 * day) for edge in edges]
    state.replace_partitions(conn, name, [], spans)


class _Partition(Struct):
    """A partition that is being read; it becomes smaller when it is divided."""

    span: Span


class _Reader:
    """Reads the partitions of one plan that are not finished yet, many at the same time."""

    def __init__(self, work: Pass, reading: Search, since: datetime | None) -> None:
        self.work, self.reading, self.since = work, reading, since
        self._group: asyncio.TaskGroup
        self._waiting: list[Span] = []
        self._reading = 0  # tasks that read partitions
        self._turns = itertools.count()
        self._read_so_far = 0
        # Each ends with its slowest replies, so more in flight takes more of them.
        by_id = OBJECTS_AT_ONCE * max(1, work.client.concurrency // AT_ONCE)
        self._most = by_id if reading.whole_by_id else PARTITIONS_AT_ONCE
        self._permits = (
            PrioritySemaphore(by_id)
            if reading.whole_by_id
            else PrioritySemaphore(PAGES_AT_ONCE + RESERVED, RESERVED)
        )
        self.spares = may_be_spared(work)  # lists that are confirmed at the end
        self._in_a_row = 0  # partitions that failed since one was finished
        self._failed: list[IntercomError] = []
        self.missing = 0  # records that no page shows
        self.short = 0  # by which searches that were read to their end show less than they count

    async def read_open_partitions(self) -> None:
        """Read them, and those that they are divided into."""
        name = self.work.resource.name
        spans = await self.work.writer.look(
            lambda conn: state.all_spans(conn, name, finished=False)
        )
        async with task_group() as self._group:
            self._put(spans)
        if self._failed:  # the others are read; these stay open for the next run
            raise self._failed[0]

    def _put(self, spans: Sequence[Span]) -> None:
        # The newest first: most workspaces grow, so these are the fullest.
        self._waiting += spans
        for _ in range(min(len(spans), self._most - self._reading)):
            self._reading += 1
            self._group.create_task(self._read_partitions())

    async def _read_partitions(self) -> None:
        while self._waiting:
            try:
                await self._read_partition(_Partition(self._waiting.pop()))
            except TokenRefusedError:
                raise
            except IntercomError as error:
                self._failed.append(error)
                self._in_a_row += 1
                if self._in_a_row >= FAILURES:
                    raise
                logger.warning("%s: one part failed: %s", self.work.resource.name, error)
        self._reading -= 1

    async def _read_partition(self, partition: _Partition) -> None:
        for attempt in range(CURSOR_RESTARTS + 1):
            try:
                await self._read(partition)
                return
            except SpoiltPageError:
                await self._read_around(partition)
                return
            except CursorRefusedError:
                if attempt == CURSOR_RESTARTS:
                    raise

    async def _read(self, partition: _Partition) -> None:
        """Read one partition to its end; if it is too large only its first part."""
        work, updated = self.work, self.since is not None
        unit = plan.granularity(self.reading, work.client)
        body = plan.partition_query(self.reading, unit, partition.span, updated=updated)
        seen, listed_so_far, counted = Ids(), 0, 0
        asked_at: datetime | None = None
        end: plan.Passing | None = None
        async with task_group() as group, aclosing(self._pages(partition, body)) as listed:
            async for page in listed:
                if asked_at is None:
                    asked_at = page.requested_at
                    if await self._divide(partition, page):
                        if updated:
                            # Cut by one time, sorted by the other: each part from its beginning.
                            self._put([partition.span])
                            page.release()
                            self._permits.release()
                            return
                        # The page that counted the partition begins its first part.
                        end = plan.Passing(partition.span.upper)
                listed_so_far, counted = listed_so_far + len(page) + page.bad, page.total or 0
                taking = group.create_task(self._take(page, seen))
                taking.add_done_callback(partial(self._leave, page))
                if end and end.is_past([head.created_at for head in page.heads]):
                    break
                del page  # not to be held until the next one comes
        self.short += 0 if end else max(0, counted - listed_so_far)
        await self._finish(partition, seen, asked_at)

    async def _finish(
        self,
        partition: _Partition,
        seen: Iterable[str],
        asked_at: datetime | None,
        *effects: Effect,
    ) -> None:
        """End a partition, with what its list omits."""
        work, omitted = self.work, tuple[Effect, ...]()
        if asked_at is not None:
            omitted = work.omitted(seen, asked_at, self._covered(partition.span))
        finished = FinishPartition(work.resource.name, partition.span)
        await self._submit(Filtered(), finished, *omitted, *effects)
        self._in_a_row = 0

    async def _read_around(self, partition: _Partition) -> None:
        """Read a partition that single records spoil: from both ends, and between them."""
        work, name = self.work, "created_at" if self.since is None else "updated_at"
        asked_at = work.client.clock.at(work.client.clock.local())
        if work.tally.expected is None and await self._divide_unseen(partition):
            return

        async def take(page: Page) -> None:
            await self._take(page, Ids())

        hole = Hole(name, plan.time_range(partition.span))
        left = await read_around(work, self.reading, hole, take)
        self.missing += sum(hole.number or 1 for hole in left.holes)
        await self._finish(partition, left.ids, asked_at, keep(work, left.holes))

    async def _divide_unseen(self, partition: _Partition) -> bool:
        """Divide the first partition though its first page cannot be had: by the number alone."""
        unit, updated = plan.granularity(self.reading, self.work.client), self.since is not None
        body = plan.partition_query(self.reading, unit, partition.span, updated=updated)
        body["sort"] = {**body["sort"], "order": "descending"}
        style = replace(self.work.search(self.reading, body), proven=True)
        try:
            page = await anext(pages(self.work.client, style))
        except SpoiltPageError:
            return False
        page.release()
        if not await self._divide(partition, page.only(())):
            return False
        self._put([partition.span])
        return True

    async def _pages(
        self, partition: _Partition, body: Mapping[str, Any]
    ) -> AsyncGenerator[Page, None]:
        """The pages of a partition, each with a permit that whoever takes it must release.

        Where much is left of a partition it need not wait: its pages can only be had one after the
        other. Of the others first pages go first, for they tell what there is to do; then one
        partition after the other, so that they end.
        """
        source = pages(self.work.client, self.work.search(self.reading, body))
        turn, left = next(self._turns), math.inf
        while True:
            first, long = left == math.inf, self._is_long(left)
            await self._permits.acquire(left if first or long else -turn, urgent=long)
            try:
                found = [await anext(source)]
            except StopAsyncIteration:
                self._permits.release()
                return
            except BaseException:
                self._permits.release()
                raise
            left = (found[0].total or 0 if first else left) - len(found[0])
            self._read_so_far += len(found[0])
            yield found.pop()  # what waits for its next page holds none

    def _is_long(self, left: float) -> bool:
        """Whether a partition with so many records left would be read when all others are done."""
        everywhere = (self.work.tally.expected or 0) - self._read_so_far
        return math.inf > left > min(plan.PARTITION_RECORDS * 3 // 2, everywhere / SHARES)

    def _leave(self, page: Page, _: object) -> None:
        """A page is written: give back its permit, and the bytes that it took."""
        page.release()
        self._permits.release()

    async def _take(self, page: Page, seen: Ids) -> None:
        pages = await self.work.wanted([page])
        if not self.work.has_baseline and not self.reading.whole_by_id:
            await self._submit(Filtered(list(pages)))  # at first sight without digests
            return
        filtered = await self.work.filter_unchanged(pages)
        if self.work.has_baseline:
            seen.add(filtered.seen)
        await self._submit(filtered)

    async def _divide(self, partition: _Partition, page: Page) -> bool:
        """Whether the partition was too large: it is its first part now, the others are queued."""
        work, old = self.work, partition.span
        if old == plan.first_partition(self.since):
            work.tally.expected = page.total
            await self._drop_foreign_keys()
        parts = self._parts(old, page)
        if len(parts) == 1:
            return False
        await work.writer.do(
            lambda conn: state.replace_partitions(conn, work.resource.name, [old], parts)
        )
        partition.span = parts[0]
        self._put(parts[1:])
        return True

    async def _drop_foreign_keys(self) -> None:
        """For a large first load: its foreign keys are checked once at the end."""
        work = self.work
        if work.has_baseline or self.reading.whole_by_id or (work.tally.expected or 0) < LARGE:
            return
        await work.writer.drop_foreign_keys(work.resource)

    def _parts(self, span: Span, page: Page) -> list[Span]:
        earliest = None
        if self.since is None and len(page):
            earliest = instant(page.heads[0].created_at)
        client, by_id = self.work.client, self.reading.whole_by_id
        return plan.divide(
            span,
            page.total or 0,
            earliest=earliest,
            now=client.clock.likely_now(),
            unit=plan.granularity(self.reading, client),
            target=plan.target(self.work.tally.expected, ABOUT, by_id),
        )

    def _covered(self, span: Span) -> Span:
        """What the search for a partition surely shows: what it omits of that may be gone."""
        unit = plan.granularity(self.reading, self.work.client)
        return plan.covered(span, unit, self.work.timezone)

    async def _submit(self, filtered: Filtered, *effects: Effect) -> None:
        """Submit what is not known yet, read by id where search shows only a part of it."""
        pages, digests = filtered.pages, filtered.digests
        if self.reading.whole_by_id:
            asked_at = min((page.requested_at for page in pages), default=None)
            heads, told = announced(pages), listed(asked_at)
            release(pages)  # what follows has its own bytes
            await read_by_id(self.work, heads, *effects, digests=digests, contradicted=told)
        else:
            known = await agreeing(self.work, pages) if self.spares and pages else ()
            await self.work.submit_pages(pages, *effects, digests=digests, known_lists=known)
