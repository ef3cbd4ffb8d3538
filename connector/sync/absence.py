"""What complete lists omit: nominated while they are read, convicted by reads by id at the end."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime

import sqlalchemy as sa

from connector.errors import MergedError, NotFoundError, TooManyDeletesError
from connector.sync.objects import Found, read_objects
from connector.sync.store import INDEX_LAG
from connector.sync.work import CHUNK_OBJECTS, Pass, Then, chunk_of
from connector.warehouse import absence, state
from connector.warehouse.loader import check_plausible
from connector.warehouse.state import Span

logger = logging.getLogger(__name__)


def nominate(
    work: Pass,
    conn: sa.Connection,
    seen: Iterable[str],
    asked_at: datetime,
    span: Span | None = None,
) -> None:
    """Nominate what a list asked for at that time omits; in a first pass nothing can be missed."""
    if work.progress.last_full_pass_at is None:
        return
    before = (work.progress.plan_began_at or work.began_at()) - INDEX_LAG
    names, resource = work.store.loader.names, work.resource
    absence.nominate(conn, names, resource, seen, asked_at, before, span)


async def convict(work: Pass, then: Then) -> None:
    """Ask by id for every nominee and mark deleted those that are gone; ``then`` commits with it.

    Raises TooManyDeletesError, having marked none, if implausibly many are gone and that is not
    allowed; the next run then reads the lists anew.
    """
    gone: dict[str, NotFoundError | MergedError] = {}
    archived: set[str] = set()
    alive, last = await work.store.do(lambda c: work.store.loader.alive(c, work.resource)), ""
    while ids := await _next(work, last):
        found, last = await read_objects(work.client, work.resource, ids), ids[-1]
        await _acquit(work, found)
        gone |= found.gone
        archived |= found.archived
        if not work.allow_deletes:
            await _check(work, len(gone) + len(archived), alive)
    work.tally.deleted += await work.store.do(lambda conn: _mark(work, conn, gone, archived, then))


async def _next(work: Pass, after: str) -> list[str]:
    name = work.resource.name
    return await work.store.do(lambda c: absence.nominees(c, name, after, CHUNK_OBJECTS))


async def _acquit(work: Pass, found: Found) -> None:
    """Merge what is there after all, and come back to what could not be read."""
    resource, now = work.resource, work.client.clock.safe_now()
    shown = [key for key in found.records if key not in found.archived]

    def also(conn: sa.Connection) -> None:
        absence.acquit(conn, resource, shown, now)
        absence.drop(conn, resource.name, list(found.failed))
        for key, error in found.failed.items():
            state.postpone(conn, resource.name, [key], str(error), now)

    await work.write_chunk(chunk_of(found, shown), by_id=True, settles=shown, then=also)


async def _check(work: Pass, gone: int, alive: int) -> None:
    try:
        check_plausible(work.resource.table, gone, alive)
    except TooManyDeletesError:
        await work.store.do(lambda conn: _begin_anew(work, conn))
        raise


def _begin_anew(work: Pass, conn: sa.Connection) -> None:
    name = work.resource.name
    absence.drop(conn, name)
    state.drop_windows(conn, name)
    state.advance(conn, name, plan_began_at=None)


def _mark(
    work: Pass,
    conn: sa.Connection,
    gone: Mapping[str, NotFoundError | MergedError],
    archived: set[str],
    then: Then,
) -> int:
    store, table, now = work.store, work.resource.table, work.client.clock.safe_now()
    deleted = store.convict(conn, table, gone, now)
    deleted += store.mark_deleted(conn, table, dict.fromkeys(sorted(archived), now))
    absence.drop(conn, work.resource.name)
    state.settle(conn, work.resource.name, [*gone, *archived])
    then(conn)
    return deleted
