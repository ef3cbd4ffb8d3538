"""Whose turn it is to be read, for what Intercom lists only contact by contact or group by group.

Kept in ``sync_reads``; every function takes an open connection. Turns come page by page, so that
memory does not grow with the workspace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from connector.resources import PERSONS
from connector.warehouse.sql.execute import fetch, scalar
from connector.warehouse.sql.names import Names, quote
from connector.warehouse.sql.rows import living
from connector.warehouse.state.tables import READS

PAGE = 2_000
EXPIRED = datetime(1970, 1, 1, tzinfo=UTC)
"""When what is to be read again was read, whenever that was."""

_ALIVE = living("c")


@dataclass(frozen=True)
class Turn:
    """One contact, and where the page that it ends stands."""

    id: str
    read_at: datetime | None


@dataclass(frozen=True)
class Turns:
    """Which contacts of a resource are due, and by what.

    ``before``: those last read before it; ``active``: those that were seen or updated since they
    were read; ``counted``: (child table, its parent column, count column of contacts) of those
    whose stored children are not as many as Intercom counts. ``began_at``: when the run began;
    what is pending, or was too short, and may be asked for again by then, is due too.
    """

    resource: str
    began_at: datetime
    before: datetime | None = None
    active: bool = False
    counted: tuple[str, str, str] | None = None


def never_read(conn: sa.Connection, names: Names, turns: Turns, after: str) -> list[Turn]:
    """Contacts that were never read, nor tried in vain, by id."""
    condition = f"r.id IS NULL AND NOT EXISTS ({_pending(names)})"
    return _turns(conn, names, turns, after, condition, {})


def _pending(names: Names) -> str:
    return f"SELECT FROM {names('sync_pending')} p WHERE p.resource = %(resource)s AND p.id = c.id"


def changed(conn: sa.Connection, names: Names, turns: Turns, after: str) -> list[Turn]:
    """Contacts that are due for a reason, by id."""
    reasons = [
        "r.read_at = %(expired)s",
        f"EXISTS ({_pending(names)}{'' if turns.before else ' AND p.not_before <= %(began_at)s'})",
    ]
    if turns.before is not None:
        reasons.append("r.read_at < %(before)s")
    if turns.active:
        # Searches lag behind, so what was read just after a change may not have shown it.
        reasons.append("greatest(c.updated_at, c.last_seen_at) > r.read_at - interval '15 minutes'")
    if turns.counted:
        table, parent, column = turns.counted
        reasons.append(
            "(r.id IS NULL OR c._read_at > r.read_at OR r.again_at <= %(began_at)s)"
            f" AND coalesce(c.{quote(column)}, 0) <>"
            f" (SELECT count(*) FROM {names(table)} k WHERE k.{quote(parent)} = c.id"
            " AND k._deleted_at IS NULL)"
        )
    condition = "(" + ") OR (".join(reasons) + ")"
    return _turns(
        conn, names, turns, after, condition, {"before": turns.before, "expired": EXPIRED}
    )


def _turns(
    conn: sa.Connection,
    names: Names,
    turns: Turns,
    after: str,
    condition: str,
    values: dict[str, Any],
) -> list[Turn]:
    query = (
        f"SELECT c.id, r.read_at FROM {names(PERSONS.name)} c"
        f" LEFT JOIN {names('sync_reads')} r ON r.resource = %(resource)s AND r.id = c.id"
        f" WHERE {_ALIVE} AND c.id > %(after)s AND ({condition}) AND {_stays(names)}"
        f" ORDER BY c.id LIMIT {PAGE}"
    )
    values |= {"began_at": turns.began_at, "resource": turns.resource, "after": after}
    return [Turn(*row) for row in fetch(conn, query, values)]


def _stays(names: Names) -> str:
    """That the contact was not found to be gone; if it was not after all, it is read then."""
    return (
        f"NOT EXISTS (SELECT FROM {names('sync_deletion_candidates')} n WHERE n.id = c.id"
        " AND n.answer IS NOT NULL)"
    )


def longest_ago(
    conn: sa.Connection, names: Names, turns: Turns, before: datetime, after: Turn | None
) -> list[Turn]:
    """Contacts in the order in which they were last read, all before ``before``."""
    query = (
        f"SELECT r.id, r.read_at FROM {names('sync_reads')} r"
        f" JOIN {names(PERSONS.name)} c ON c.id = r.id AND {_ALIVE}"
        " WHERE r.resource = %(resource)s AND r.read_at < %(before)s"
        f" AND (r.read_at, r.id) > (%(read_at)s, %(id)s) AND {_stays(names)}"
        f" ORDER BY r.read_at, r.id LIMIT {PAGE}"
    )
    start = after or Turn("", datetime.min)
    values = {
        "resource": turns.resource,
        "before": before,
        "read_at": start.read_at if after else "-infinity",
        "id": start.id,
    }
    return [Turn(*row) for row in fetch(conn, query, values)]


def sample(conn: sa.Connection, names: Names, resource: str, size: int) -> dict[str, datetime]:
    """So many living contacts that were read for the resource, by chance, and when they were."""
    query = (
        f"SELECT c.id, r.read_at FROM {names(PERSONS.name)} c"
        f" JOIN {names('sync_reads')} r ON r.resource = %(resource)s AND r.id = c.id"
        f" WHERE {_ALIVE} ORDER BY random() LIMIT %(size)s"
    )
    return dict(fetch(conn, query, {"resource": resource, "size": size}))


def contacts(conn: sa.Connection, names: Names) -> int:
    """How many living contacts there are."""
    query = f"SELECT count(*) FROM {names(PERSONS.name)} c WHERE {_ALIVE}"
    return int(scalar(conn, query))


@dataclass(frozen=True)
class Short:
    """A list that was shorter than Intercom counts: how often in a row, and when to ask again."""

    reads: int
    again_at: datetime


def unseen(
    conn: sa.Connection, names: Names, resource: str, told: Mapping[str, datetime]
) -> set[str]:
    """The contacts of which there is no row of that time, to the second."""
    if not told:
        return set()
    rows = fetch(
        conn,
        "SELECT t.id FROM unnest(%(ids)s::text[], %(times)s::timestamptz[]) t (id, told_at)"
        f" WHERE NOT EXISTS (SELECT FROM {names(resource)} r WHERE r.contact_id = t.id"
        " AND r.created_at >= t.told_at AND r.created_at < t.told_at + interval '1 second')",
        {"ids": list(told), "times": list(told.values())},
    )
    return {key for (key,) in rows}


def shortages(
    conn: sa.Connection, names: Names, resource: str, column: str, lengths: Mapping[str, int]
) -> dict[str, tuple[int, int]]:
    """Contacts that count more than these lengths: their counts, and how often it was so before."""
    query = (
        f"SELECT c.id, c.{quote(column)}, coalesce(r.short_reads, 0)"
        " FROM unnest(CAST(%(ids)s AS text[]), CAST(%(lengths)s AS bigint[])) v (id, length)"
        f" JOIN {names(PERSONS.name)} c ON c.id = v.id AND c.{quote(column)} > v.length"
        f" LEFT JOIN {names('sync_reads')} r ON r.resource = %(resource)s AND r.id = c.id"
    )
    values = {"ids": list(lengths), "lengths": list(lengths.values()), "resource": resource}
    return {key: (counted, before) for key, counted, before in fetch(conn, query, values)}


def note(
    conn: sa.Connection,
    resource: str,
    read: Mapping[str, datetime],
    elements: int | None = None,
    short: Mapping[str, Short] | None = None,
) -> None:
    """Note when each was read, how many elements its list had, and which were too short."""
    if not read:
        return
    rows: list[dict[str, Any]] = []
    for key, read_at in sorted(read.items()):
        row = {"resource": resource, "id": key, "read_at": read_at, "elements": elements}
        lack = (short or {}).get(key)
        row["short_reads"] = lack.reads if lack else None
        row["again_at"] = lack.again_at if lack else None
        rows.append(row)
    statement = insert(READS)
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["resource", "id"],
            set_={
                name: statement.excluded[name]
                for name in ("read_at", "elements", "short_reads", "again_at")
            },
        ),
        rows,
    )


def expire(conn: sa.Connection, resource: str) -> None:
    """All contacts, or groups, are due to be read again for this resource."""
    old = (READS.c.resource == resource, READS.c.read_at != EXPIRED)
    conn.execute(sa.update(READS).where(*old).values(read_at=EXPIRED))


@dataclass(frozen=True)
class Group:
    """A group whose members are read, when they last were, and how many there were."""

    id: str
    read_at: datetime | None
    elements: int


def groups(conn: sa.Connection, names: Names, resource: str, table: str) -> list[Group]:
    """The living groups, those first that were read longest ago."""
    query = (
        f"SELECT c.id, r.read_at, coalesce(r.elements, 0) FROM {names(table)} c"
        f" LEFT JOIN {names('sync_reads')} r ON r.resource = %(resource)s AND r.id = c.id"
        f" WHERE {_ALIVE} ORDER BY r.read_at NULLS FIRST, c.id"
    )
    return [Group(*row) for row in fetch(conn, query, {"resource": resource})]
