"""After the passes: what could not be read is tried again, and placeholders are filled in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from connector.resources.resource import Resource
from connector.sync.contradictions import asked_again
from connector.sync.work import PLACEHOLDER_TRIES, Pass
from connector.warehouse import state
from connector.warehouse.state import Pending

PLACEHOLDERS_A_RUN = 1_000  # read by id at the end of each run, at least
PENDING_AT_ONCE = 500
STALE_PATIENCE = timedelta(days=1)  # so long an index may lag before that is a failure


def of_resource(
    entries: Iterable[Pending], resource: Resource, selected: Sequence[Resource]
) -> list[str]:
    """Ids of the entries that a resource reads: its own, and as the first also its table's."""
    readers = [r for r in selected if r.table is resource.table and r.by_id]
    names = {resource.name}
    if readers and readers[0] is resource:
        names.add(resource.table.name)
    return list(dict.fromkeys(entry.id for entry in entries if entry.resource in names))


async def retry(work: Pass, entries: Iterable[Pending], selected: Sequence[Resource]) -> None:
    """Read again what is pending; what belongs to resources left out is not read any more.

    What is not found is gone, unless a search for it still shows it.
    """
    ids = of_resource(entries, work.resource, selected)[:PENDING_AT_ONCE]
    if ids and work.resource.by_id:
        await work.read_in_chunks(dict.fromkeys(ids), contradicted=asked_again)


async def fill_placeholders(work: Pass) -> None:
    """Read what is referred to and was never listed; what cannot be found stays as it is."""
    table, loader = work.resource.table, work.store.loader
    ids = await work.store.do(
        lambda conn: loader.unfilled(
            conn, table, PLACEHOLDER_TRIES, PLACEHOLDERS_A_RUN, work.readers
        )
    )
    if ids:
        await work.fill(ids)


def names_of(selected: Iterable[Resource]) -> set[str]:
    """Under which names entries of the selected resources stand."""
    return {name for resource in selected for name in (resource.name, resource.table.name)}


def spoken_of(selected: Iterable[Resource], only: Collection[str]) -> set[str]:
    """The selected resources, and what feeds that were asked for by name speak of."""
    found = set[str]()
    for resource in selected:
        found.add(resource.name)
        found.update(resource.hastens if resource.name in only else ())
    return found


def is_overdue(entry: Pending, names: Collection[str], now: datetime) -> bool:
    """Whether a pending object makes the run fail: at once, or after a day if it only lags.

    Those of resources that are not selected wait until they are.
    """
    late = entry.reason != state.STALE or now - entry.first_seen_at > STALE_PATIENCE
    return late and entry.resource in names
