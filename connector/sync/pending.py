"""After the passes: what could not be read is tried again, and placeholders are filled in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from connector.intercom.facts import ABSENT_IS_GONE, BY_ID_IS_CURRENT
from connector.intercom.paging.search_holes import hole_of
from connector.resources import RESOURCES
from connector.resources.resource import Resource
from connector.sync.planning import limits
from connector.sync.readings.by_id import PLACEHOLDER_TRIES, fill, read_by_id
from connector.sync.readings.contradictions import asked_again
from connector.sync.readings.holes import fill_holes, is_object
from connector.sync.resource_pass import Pass
from connector.sync.writing.writer import INDEX_LAG
from connector.warehouse import state
from connector.warehouse.state import inbox
from connector.warehouse.state.pending_objects import Pending

PLACEHOLDERS_A_RUN = 1_000  # read by id at the end of each run, at least
PENDING_AT_ONCE = 500
_CONTRADICTS = {state.CONTRADICTION: ABSENT_IS_GONE, state.STALE: BY_ID_IS_CURRENT}
NO_FAILURE = (state.STALE, state.REVIVED)  # for as long as an index may lag:
STALE_PATIENCE = timedelta(days=1)


def of_resource(
    entries: Iterable[Pending], resource: Resource, selected: Sequence[Resource]
) -> list[Pending]:
    """The entries that a resource reads: its own, and as the first also its table's."""
    readers = [r for r in selected if r.table is resource.table and r.by_id]
    names = {resource.name}
    if readers and readers[0] is resource:
        names.add(resource.table.name)
    return list({entry.id: entry for entry in entries if entry.resource in names}.values())


async def retry_holes(work: Pass) -> None:
    """Try again what lists of the resource could not show: every run does."""
    kept = await _left(work, [work.resource])
    await fill_holes(work, [one.id for one in kept if hole_of(one.id)])


async def retry(work: Pass, selected: Sequence[Resource], until: datetime | None) -> None:
    """Read again the objects that are pending and due by then, or all (None).

    What belongs to resources left out is not read any more. What is not found is gone, unless a
    search for it still shows it.
    """
    due = [
        one
        for one in await _left(work, selected)
        if is_object(one.id) and (until is None or one.not_before <= until)
    ]
    if due and work.resource.by_id:
        some = due if until is None else due[:PENDING_AT_ONCE]
        announced = {one.id: one.announced_at for one in some}
        await read_by_id(work, announced, contradicted=asked_again)
        await _look(work, announced)


async def _look(work: Pass, tried: Collection[str]) -> None:
    """Notice objects of which a search and a read by id say different things for long."""
    kept, before = await work.writer.look(lambda conn: state.pending(conn)), work.now() - INDEX_LAG
    for reason, fact in _CONTRADICTS.items():
        names = {work.resource.name, work.resource.table.name}
        found = [
            one
            for one in kept
            if one.resource in names and one.id in tried and one.reason == reason
        ]
        if number := sum(one.first_seen_at < before for one in found):
            work.refute(fact, f"{work.resource.name}: {reason}", number)


async def _left(work: Pass, selected: Sequence[Resource]) -> list[Pending]:
    """What is pending and was not tried by this run."""
    kept = await work.writer.look(lambda conn: state.pending(conn))
    found = of_resource(kept, work.resource, selected)
    return [entry for entry in found if entry.id not in work.tried]


async def fill_placeholders(work: Pass) -> None:
    """Read what is referred to and was never listed; what cannot be found stays as it is."""
    if ids := await work.writer.look(lambda conn: unfilled(conn, work)):
        await fill(work, ids)


def any_unfilled(conn: sa.Connection, works: Iterable[Pass]) -> bool:
    """Whether there are placeholders of one of these that are worth a read by id."""
    known = state.progress_of(conn, [resource.name for resource in RESOURCES])
    limited = {r.table.name for r in RESOURCES if known[r.name].plan_since is not None}
    return any(
        _unfilled(conn, work, is_limited=work.resource.table.name in limited, most=1)
        for work in works
    )


def unfilled(conn: sa.Connection, work: Pass) -> list[str]:
    """Placeholders that are worth a read by id."""
    is_limited = limits.is_limited(conn, work.resource.table)
    return _unfilled(conn, work, is_limited=is_limited, most=PLACEHOLDERS_A_RUN)


def _unfilled(conn: sa.Connection, work: Pass, *, is_limited: bool, most: int) -> list[str]:
    table, loader = work.resource.table, work.writer.loader
    referring = limits.referring(table) if is_limited else None
    found = loader.unfilled(conn, table, PLACEHOLDER_TRIES, most, work.readers, referring)
    hinted = inbox.hinted(conn, table.name, found) if found else ()  # these are read for that
    return [key for key in found if key not in hinted]


def names_of(selected: Iterable[Resource]) -> set[str]:
    """Under which names entries of the selected resources stand."""
    return {name for resource in selected for name in (resource.name, resource.table.name)}


def spoken_of(selected: Iterable[Resource], only: Collection[str]) -> set[str]:
    """The selected resources, and what feeds that were asked for by name speak of."""
    found = set[str]()
    for resource in selected:
        found.add(resource.name)
        found.update(resource.early_signal_of if resource.name in only else ())
    return found


def is_overdue(entry: Pending, names: Collection[str], now: datetime) -> bool:
    """Whether a pending object makes the run fail: at once, or after a day if it only lags.

    Those of resources that are not selected wait until they are.
    """
    late = entry.reason not in NO_FAILURE or now - entry.first_seen_at > STALE_PATIENCE
    return late and entry.resource in names
