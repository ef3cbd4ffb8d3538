"""Decides which deletion candidates of a table are marked deleted: for these the one place.

What confirms that an object is deleted, and what does not:

- Candidates come from whatever says that an object is gone: a read by id of what a complete list
  omitted, ``refetch``, a pending object or a placeholder, an answer that bears ``archived``, a
  feed, a merge that a record or an answer tells of. They wait until all of a run is read, then
  they are counted together.
- The fuse: where more than 5 % of the living rows of a table and more than 20 would go, none does.
  They stay candidates with what was found out, so the next run need not ask again.
- An object that a list shows and a read by id does not find is a contradiction: pending, and no
  candidate, until the lists have caught up. A list asked for no later than the lag of Intercom's
  index after the object was found to be gone is stale: it neither contradicts nor revives.
- A candidate goes when a read by id, or a list later than that, shows its object.

Marked at once, as it is read, and with the same fuse:

- what an unpaged list (a snapshot) omits (``Loader.mark_absent``);
- children that are kept for ever (parts, notes) and that a complete list omits (``BatchMerge``).
  Beyond the fuse no more of them are, and their owners are read again until that is allowed.

Marked at once, without the fuse, since no living row goes:

- what was not alive here when it was read by id and bore ``archived`` (``mark_archived``);
- placeholders that a tombstone names (``mark_merged``).

A feed that tells of rows that are deleted already corrects their times at once (``claim``). Links,
and children that can be fetched again, are no objects of their own: what a complete list omits of
them is removed as it comes.

With the mark goes all that waited for the object, pending reads of it and of what hangs on it: the
follower ``LetGo`` sees to that, in the transaction that marks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import cache

import sqlalchemy as sa
from msgspec import Struct, field

from connector.resources import BY_NAME, RESOURCES, TABLE_BY_NAME
from connector.resources.readings import Activities, Deletions, Members, PerContact
from connector.resources.resource import Resource, Table
from connector.warehouse import state
from connector.warehouse.merge.fuse import Fuse, too_many
from connector.warehouse.merge.loader import Loader
from connector.warehouse.merge.statements import subject_of
from connector.warehouse.sql.execute import execute, fetch, scalar
from connector.warehouse.sql.names import Names, literal
from connector.warehouse.sql.rows import living, owned
from connector.warehouse.state import candidates, digests

FEEDS_AND_PARTS = (Activities, Deletions, Members, PerContact)


# -- who speaks of which table ---------------------------------------------------------------


@cache
def sources(table: Table) -> tuple[str, ...]:
    """Under which names candidates of a table stand: resources that speak of it, and its own."""
    found = [r.name for r in RESOURCES if r.table is table or _tells_of(r.table, table)]
    return (*found, table.name)


def _tells_of(telling: Table, table: Table) -> bool:
    return bool(telling.tombstone) and subject_of(telling) is table


@cache
def owners(table: Table) -> tuple[Resource, ...]:
    """The resources that list a table's objects: each row belongs to one of them."""
    return tuple(
        r for r in RESOURCES if r.table is table and not isinstance(r.reading, FEEDS_AND_PARTS)
    )


@cache
def keyed_by(table: Table) -> tuple[str, ...]:
    """Under which names pending entries bear ids of a table's rows."""
    found = [r.name for r in RESOURCES if r.table is table or _hangs_on(r, table)]
    return tuple(dict.fromkeys((*found, table.name)))


def _hangs_on(resource: Resource, table: Table) -> bool:
    """Whether it is read contact by contact or group by group, and these are they."""
    if isinstance(resource.reading, Members):
        return resource.table is table
    return isinstance(resource.reading, PerContact) and table.holds_persons


@cache
def reads_children(table: Table, child: str) -> str:
    """Under which name the owner of children is pending whose list must be read again."""
    for resource in RESOURCES:
        reading = resource.reading
        if isinstance(reading, PerContact) and reading.counted and reading.counted[0] == child:
            return resource.name
    return table.name


# -- candidates ------------------------------------------------------------------------------


class Candidate(Struct, frozen=True):
    """A living row whose object seems to be gone.

    ``resource`` found it, ``owner`` lists such objects. ``exact``: ``at`` is Intercom's own time.
    """

    id: str
    resource: str
    owner: str
    answer: str
    at: datetime
    exact: bool


def found_gone(
    conn: sa.Connection,
    names: Names,
    table: Table,
    lag: timedelta,
    ids: Collection[str] | None = None,
) -> list[Candidate]:
    """The candidates of a table about which something was found out; of these ids, if given.

    Those whose row is gone already, or was read ``lag`` after they were found to be, are dropped.
    """
    _drop_moot(conn, names, table, lag)
    only = "" if ids is None else " AND n.id = ANY(%(ids)s)"
    query = (
        f"SELECT DISTINCT ON (n.id) n.id, n.resource, {_owner(table)}, n.answer,"
        " coalesce(n.deleted_at, n.answered_at), n.deleted_at IS NOT NULL"
        f" FROM {names('sync_deletion_candidates')} n"
        f" JOIN {names(table.name)} o ON o.id = n.id"
        f" WHERE n.resource = ANY(%(sources)s) AND n.answer IS NOT NULL{only}"
        " ORDER BY n.id, n.deleted_at NULLS LAST, n.answered_at DESC"
    )
    rows = fetch(conn, query, {"sources": list(sources(table)), "ids": list(ids or ())})
    return [Candidate(*row) for row in rows]


def _drop_moot(conn: sa.Connection, names: Names, table: Table, lag: timedelta) -> None:
    """Drop candidates that are no living rows, and those that were read since."""
    execute(
        conn,
        f"DELETE FROM {names('sync_deletion_candidates')} n"
        " WHERE n.resource = ANY(%(sources)s) AND n.answer IS NOT NULL"
        f" AND NOT EXISTS (SELECT FROM {names(table.name)} o WHERE o.id = n.id"
        f" AND {living('o')} AND (o._read_at IS NULL"
        " OR o._read_at <= coalesce(n.deleted_at, n.answered_at) + %(lag)s))",
        {"sources": list(sources(table)), "lag": lag},
    )


def _owner(table: Table) -> str:
    """SQL for the name of the resource that a row ``o`` belongs to."""
    shared = [r for r in owners(table) if r.discriminator]
    alone = [r for r in owners(table) if not r.discriminator]
    default = literal(alone[0].name) if alone else "n.resource"
    if not shared:
        return default
    cases = [f"WHEN {owned(r, 'o')} THEN {literal(r.name)}" for r in shared]
    return f"CASE {' '.join(cases)} ELSE {default} END"


# -- deciding --------------------------------------------------------------------------------


class Verdict(Struct):
    """What was decided: how many were marked, by resource, and the rest.

    ``held`` are those that the fuse holds back, by the resource they belong to; ``alive`` rows
    live in the table.
    """

    marked: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    alive: int = 0

    def error(self, table: Table, owner: str) -> str:
        """What the failing resource says."""
        return str(too_many(table.name, self.held.total(), self.alive, owner))


def decide(
    conn: sa.Connection,
    loader: Loader,
    table: Table,
    found: Sequence[Candidate],
    fuse: Fuse,
    run_id: int,
    lag: timedelta,
) -> Verdict:
    """Mark these deleted, or where they are implausibly many, and not allowed, none of them."""
    free = [c for c in found if fuse.is_open(table.name, c.owner, c.resource)]
    bound = [c for c in found if not fuse.is_open(table.name, c.owner, c.resource)]
    verdict = Verdict()
    if bound:
        verdict.alive = _alive(conn, loader.names, table)
    if fuse.is_blown(table.name, len(bound), verdict.alive):
        verdict.held = Counter(c.owner for c in bound)
    else:
        free += bound
    marked = set(_mark(conn, loader, table, free, run_id, lag))
    verdict.marked = Counter(_counted_by(table, c) for c in free if c.id in marked)
    fuse.note(table.name, len(marked))
    return verdict


def _counted_by(table: Table, found: Candidate) -> str:
    """The feed that told of it, else the resource that lists it."""
    listing = {owner.name for owner in owners(table)}
    told = found.resource in BY_NAME and found.resource not in listing
    return found.resource if told else found.owner


def _alive(conn: sa.Connection, names: Names, table: Table) -> int:
    return int(scalar(conn, f"SELECT count(*) FROM {names(table.name)} WHERE {living()}"))


def _mark(
    conn: sa.Connection,
    loader: Loader,
    table: Table,
    found: Sequence[Candidate],
    run_id: int,
    lag: timedelta,
) -> list[str]:
    """Mark these deleted; the ids that lived until now, which ``LetGo`` lets go of."""
    marked: list[str] = []
    for exact in (True, False):
        times = {c.id: c.at for c in found if c.exact == exact}
        if times:
            merged = [c.id for c in found if c.id in times and c.answer == candidates.MERGED]
            marked += loader.mark_deleted(
                conn, table, times, run_id, exact=exact, lag=lag, merged=merged
            )
    let_go(conn, table, [c.id for c in found if c.id not in set(marked)])
    return marked


def let_go(conn: sa.Connection, table: Table, ids: Sequence[str]) -> None:
    """What is gone is no known copy, not unlisted, no candidate, and nothing of it is pending.

    The follower ``LetGo`` calls it for what is marked, ``_mark`` for candidates that no mark meets.
    """
    if not ids:
        return
    digests.forget(conn, table, ids)
    candidates.relist(conn, table, ids)
    candidates.dismiss(conn, sources(table), ids)
    state.settle(conn, keyed_by(table), ids)


def settle_dead(conn: sa.Connection, loader: Loader) -> None:
    """Nothing is pending that hangs on rows which are gone."""
    for table in TABLE_BY_NAME.values():
        hanging = [r.name for r in RESOURCES if _hangs_on(r, table)]
        if not hanging:
            continue
        execute(
            conn,
            f"DELETE FROM {loader.names('sync_pending')} p"
            f" USING {loader.names(table.name)} o"
            " WHERE p.resource = ANY(%s) AND o.id = p.id AND o._deleted_at IS NOT NULL",
            [hanging],
        )
