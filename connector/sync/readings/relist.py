"""What complete lists omit: nominated while they are read, asked for by id at the end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial

import sqlalchemy as sa

from connector.sync.fetch_by_id import Found, read_objects
from connector.sync.resource_pass import CHUNK_OBJECTS, Pass, Then
from connector.sync.store import INDEX_LAG
from connector.warehouse.state import candidates
from connector.warehouse.state.partitions import Span


def nominate(
    work: Pass,
    conn: sa.Connection,
    seen: Iterable[str],
    asked_at: datetime,
    span: Span | None = None,
) -> None:
    """Nominate what a list asked for at that time omits; in a first pass nothing can be missed.

    ``span`` is of ``created_at``, or of ``updated_at`` where a limit is set to that.
    """
    if not work.may_know:
        return
    before = (work.progress.plan_began_at or work.began_at()) - INDEX_LAG
    names, resource = work.store.loader.names, work.resource
    by = "updated_at" if work.progress.plan_since else resource.table.cut_by
    if candidates.nominate(conn, names, resource, seen, asked_at, before, span, by):
        work.store.doubts.add(resource.table.name)


async def ask(work: Pass, then: Then) -> None:
    """Ask by id for every nominee that nobody asked for yet; ``then`` commits at the end.

    Those that are gone become candidates, on which the run decides when all is read.
    """
    last = ""
    while ids := await _next(work, last):
        found, last = await read_objects(work.client, work.resource, ids), ids[-1]
        await work.write_answers(found, partial(_acquit, work, found))
    await work.store.do(then)


async def _next(work: Pass, after: str) -> list[str]:
    name = work.resource.name
    return await work.store.do(lambda c: candidates.nominees(c, name, after, CHUNK_OBJECTS))


def _acquit(work: Pass, found: Found, conn: sa.Connection) -> None:
    """What lists omit and reads by id show is hidden; what could not be read is pending."""
    shown = [key for key in found.records if key not in found.archived]
    candidates.acquit(conn, work.resource, shown, work.client.clock.safe_now())
    candidates.drop_unanswered(conn, work.resource.name, [*found.failed, *found.ids()])
