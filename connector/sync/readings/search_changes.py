"""Incremental passes of searched resources: what was updated since the cursor."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from connector.errors import (
    CursorRefusedError,
    IntercomError,
    SpoiltPageError,
    TokenRefusedError,
)
from connector.intercom import facts
from connector.intercom.paging.search import TimeRange
from connector.intercom.paging.search_holes import Hole
from connector.intercom.paging.styles import Page, pages
from connector.jsontext import head
from connector.resources.readings import Search
from connector.sync.fetch_by_id import read_objects
from connector.sync.guards.control import Control
from connector.sync.guards.counting import LOST, leaves_out
from connector.sync.planning import plan
from connector.sync.readings import contradictions
from connector.sync.readings.by_id import read_by_id
from connector.sync.readings.holes import keep, read_around
from connector.sync.resource_pass import Pass, announced, release
from connector.sync.writing.writer import INDEX_LAG
from connector.tools.prefetch import prefetch
from connector.warehouse import state
from connector.warehouse.merge.stored_rows import Known
from connector.warehouse.values.instants import instant

CURSOR_RESTARTS = 3

_NEVER = datetime.max.replace(tzinfo=UTC)
_RELIED_ON = {"day": facts.SEARCH_BY_DAY, "second": facts.SEARCH_BY_SECOND}
_Watch = plan.Order | plan.Passing


async def changes(work: Pass, reading: Search) -> None:
    """What was updated since the cursor, with the lookback that Intercom's index lag asks for."""
    bound = work.since()
    assert bound is not None
    control = replace(work.control)
    holes = await _read_since(work, reading, bound, control)
    if not control.shown and not holes:
        holes = await _judge(work, reading, bound, control)
    await _judge_lag(work)
    kept = keep(work, holes)
    await work.writer.commit(kept, work.succeeded(work.began_at(), full=False))


async def _judge(work: Pass, reading: Search, bound: datetime, control: Control) -> list[Hole]:
    """What follows if the control was not shown: it is gone, or the search cannot be trusted."""
    unit = plan.granularity(reading, work.client)
    if not await _hides_control(work, reading, control):
        work.control.drop(control.id)
        return []
    detail = f"{work.resource.name}: what changed last is not shown, and is unchanged"
    work.refute(_RELIED_ON[unit], detail)
    if plan.granularity(reading, work.client) == unit:
        return []
    return await _read_since(work, reading, bound, control)


async def _read_since(work: Pass, reading: Search, bound: datetime, control: Control) -> list[Hole]:
    """Read the changes since then, from the control on if that is earlier; the holes in them."""
    unit, start = plan.granularity(reading, work.client), control.since(bound)
    body, doubted = plan.changes_query(reading, unit, start), False
    for attempt in range(CURSOR_RESTARTS + 1):
        order = plan.Order(start) if unit == "day" else plan.Passing(_NEVER)
        try:
            short = await _read_changes(work, reading, body, order, control)
            if short and doubted:
                detail = f"{short} changes of {work.resource.name} are counted and not listed"
                work.refute(facts.SEARCH_COUNTS, detail)
            if doubted or not short:
                break
            doubted = True  # once more: it may have changed while it was read
        except SpoiltPageError:
            return await _read_around(work, reading, bound)
        except CursorRefusedError:
            if attempt == CURSOR_RESTARTS:
                raise
    return []


async def _hides_control(work: Pass, reading: Search, control: Control) -> bool:
    """Whether the control, which was not shown, is there and changed before the index may lag."""
    before = work.began_at() - INDEX_LAG
    if control.id is None or control.updated_at is None or control.updated_at >= before:
        return False
    found = await read_objects(work.client, work.resource, [control.id])
    text, _ = found.records.get(control.id, (None, None))
    if text is None or found.archived or not work.owns(text):
        return False  # it is gone, or another resource's now
    updated_at = instant(head(text).updated_at)
    if updated_at is None or updated_at >= before:
        return False
    # What no search lists, as a message that nobody answered, is no matter of times.
    try:
        return control.id in await contradictions.search_ids(work, reading, [control.id])
    except TokenRefusedError:
        raise
    except IntercomError:
        return False  # nobody can tell


async def _read_around(work: Pass, reading: Search, bound: datetime) -> list[Hole]:
    """The changes where one record or more spoil their pages; what is left of them."""

    async def take(page: Page) -> None:
        await _submit(work, reading, [page])

    left = await read_around(work, reading, Hole("updated_at", TimeRange(bound)), take)
    return left.holes


async def _read_changes(
    work: Pass, reading: Search, body: dict[str, Any], order: _Watch, control: Control
) -> int:
    """Read what the search lists, to the bound; how many fewer that are than it counts.

    Of several pages a few may have moved meanwhile; where it was not read to its end, it is 0.
    """
    ahead, number, listed, counted = 1 if isinstance(order, plan.Order) else 4, 0, 0, 0
    source = prefetch(pages(work.client, work.search(reading, body)), pages=ahead)
    async with aclosing(work.batched(_until(source, order))) as batches:
        async for batch in batches:
            number += len(batch)
            listed += sum(len(page) + page.bad for page in batch)
            counted = batch[-1].total or 0
            heads = [head for page in batch for head in page.heads]
            control.look(heads)
            work.control.learn(heads)
            await _submit(work, reading, batch)
    if order.is_broken:
        detail = f"{work.resource.name} by updated_at, {body['sort']['order']}"
        work.refute(facts.SEARCH_SORTED, detail)
    short = counted - listed
    if number == 1 and counted <= reading.per_page:  # one reply, which says both
        return max(0, short)
    return short if leaves_out(short, counted) and not order.has_stopped else 0


async def _until(source: AsyncGenerator[Page, None], order: _Watch) -> AsyncGenerator[Page, None]:
    """The pages up to the one that is past what is asked for."""
    async with aclosing(source):
        async for page in source:
            past = order.is_past([head.updated_at for head in page.heads])
            order.has_stopped = past
            yield page
            if past:
                return


async def _submit(work: Pass, reading: Search, batch: Sequence[Page]) -> None:
    filtered = await work.filter_unchanged(await work.wanted(batch))
    listed = announced(filtered.pages)
    known = await _known(work, listed)
    _look(work, reading, filtered.pages, known)
    if not reading.whole_by_id:  # only those cost requests whose lists are embedded in part
        listed = {key: stamp for key, stamp in listed.items() if filtered.digests.get(key) is None}
    changed = {
        key: stamp
        for key, stamp in listed.items()
        if key in filtered.changed or not _is_known(instant(stamp), known.get(key), work.lookback)
    }
    if reading.whole_by_id:
        told = contradictions.listed(min(page.requested_at for page in batch))
        release(batch)  # what follows has its own bytes
        await read_by_id(work, changed, digests=filtered.digests, contradicted=told)
    else:
        known_lists = listed.keys() - changed.keys()
        await work.submit_pages(filtered.pages, digests=filtered.digests, known_lists=known_lists)


async def _known(work: Pass, ids: Collection[str]) -> Mapping[str, Known]:
    loader, table = work.writer.loader, work.resource.table
    if not ids:
        return {}
    return await work.writer.look(lambda conn: loader.known(conn, table, list(ids)))


def _look(work: Pass, reading: Search, pages: Sequence[Page], known: Mapping[str, Known]) -> None:
    """Notice what came too late for the pass before, and what was created at another time."""
    moved = 0
    for one in (one for page in pages for one in page.heads):
        stored = known.get(str(one.id))
        if stored is None:
            continue
        moved += stored.created_at is not None and instant(one.created_at) != stored.created_at
        updated_at = instant(one.updated_at)
        if updated_at and _is_late(work, reading, updated_at, stored):
            work.late.append(updated_at)
    if moved:
        detail = f"{work.resource.name}: it is another one than before"
        work.refute(facts.CREATED_AT_FIXED, detail, moved)


async def _judge_lag(work: Pass) -> None:
    """What many changes that came late say of the index; a few may have been away meanwhile.

    An object that is archived and unarchived comes late, and so does what a list could not show.
    """
    if len(work.late) < LOST or await _has_pending(work):
        return
    assert work.progress.cursor
    lag = work.progress.cursor - min(work.late) + INDEX_LAG
    detail = f"{work.resource.name}: a change came {lag.total_seconds():.0f} seconds late"
    work.refute(facts.INDEX_LAG, detail, len(work.late))


def _is_late(work: Pass, reading: Search, updated_at: datetime, stored: Known) -> bool:
    """Whether a change that was not known should have been shown to the pass before.

    A cursor that lay in the future asked for nothing; by the day what changed about midnight is
    known to be missing for a while.
    """
    cursor, before = work.progress.cursor, stored.updated_at
    if cursor is None or before is None or cursor > work.began_at():
        return False
    by_day = plan.granularity(reading, work.client) == "day"
    excused = by_day and plan.is_near_midnight(updated_at, work.timezone)
    return before < updated_at < cursor and not excused


async def _has_pending(work: Pass) -> bool:
    names, kept = {*work.readers, work.resource.name}, await work.writer.look(state.pending)
    return any(one.resource in names for one in kept)


def _is_known(announced: datetime | None, stored: Known | None, lookback: timedelta) -> bool:
    """Whether the stored copy was read late enough after the change that search announces.

    Two changes within one second, or an answer from before the second of them, look the same by
    updated_at: a copy counts only if it was read a while after.
    """
    if announced is None or stored is None:
        return False
    updated_at, read_at = stored.updated_at, stored.read_at
    if updated_at is None or read_at is None:
        return False
    return updated_at >= announced and read_at >= updated_at + max(lookback, timedelta(seconds=2))
