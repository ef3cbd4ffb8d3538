"""The last step of a run: what seems to be gone is marked deleted, all of a table or none.

What counts as gone, and what does not, is told in ``warehouse/merge/deletions.py``. Here is asked
again, cheaply, what was found out by earlier runs: a few of it, and all if one of those lives.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from connector.resources.resource import Table
from connector.sync.fetch_by_id import read_objects
from connector.sync.readings.by_id import submit_answers
from connector.sync.resource_pass import Pass
from connector.sync.writing.writer import Writer
from connector.warehouse.merge import deletions
from connector.warehouse.merge.deletions import Candidate, Verdict
from connector.warehouse.merge.fuse import Fuse
from connector.warehouse.state import candidates

SAMPLE = 5  # answers of earlier runs that each run checks; one that is wrong discredits all
TRUSTED = timedelta(days=7)  # an answer older than that is asked for again

BY_ID = (candidates.GONE, candidates.ARCHIVED, candidates.MERGED)


async def confirm(
    work: Pass,
    owners: Collection[str],
    began_at: datetime,
    ids: Collection[str] | None = None,
    *,
    twice_told: bool = False,
) -> Verdict:
    """Decide on the candidates of a table whose rows belong to these owners; of ``ids``, if given.

    ``began_at`` is when the run began. ``twice_told``: both a notification and a read by id say
    that they are gone, so no broken reading can be to blame, and the fuse does not count them.
    """
    writer, table = work.writer, work.resource.table
    found = await _candidates(writer, table, owners, ids)
    if work.resource.by_id and await _check_old(work, found, began_at):
        found = await _candidates(writer, table, owners, ids)
    if not found:
        return Verdict()
    fuse = Fuse(opened=True) if twice_told else None
    return await writer.do(lambda conn: writer.tracker.decide(conn, table, found, fuse))


async def _candidates(
    writer: Writer, table: Table, owners: Collection[str], ids: Collection[str] | None
) -> list[Candidate]:
    if table.name not in writer.tracker.tables:
        return []
    names, lag = writer.loader.names, writer.lag
    found = await writer.do(lambda conn: deletions.found_gone(conn, names, table, lag, ids))
    return [one for one in found if one.owner in owners]


async def _check_old(work: Pass, found: Sequence[Candidate], began_at: datetime) -> bool:
    """Ask for some of what earlier runs found to be gone; whether anything was asked for."""
    old = sorted(
        (one for one in found if one.answer in BY_ID and not one.exact and one.at < began_at),
        key=lambda one: (one.at, one.id),
    )
    if not old:
        return False
    stale = [one for one in old if one.at < began_at - TRUSTED]
    first = list(dict.fromkeys([*stale, *old[:SAMPLE]]))
    if await _ask(work, first):
        await _ask(work, [one for one in old if one not in first])
    return True


async def _ask(work: Pass, some: Sequence[Candidate]) -> bool:
    """Ask for them by id; whether one of them lives. What fails keeps its answer."""
    found = await read_objects(work.client, work.resource, [one.id for one in some])
    found.failed.clear()
    return bool(await submit_answers(work, found))
