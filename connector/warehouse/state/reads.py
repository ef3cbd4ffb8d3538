"""Whose turn it is to be read, for what Intercom lists only contact by contact or group by group.

Kept in ``sync_reads``; every function takes an open connection. Turns come page by page, so that
memory does not grow with the workspace.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.dialects.postgresql import insert

from connector.resources import MERGES, PERSONS
from connector.warehouse.sql.execute import fetch, scalar
from connector.warehouse.sql.names import Names, quote
from connector.warehouse.sql.rows import living
from connector.warehouse.state.tables import READS

PAGE = 2_000
EXPIRED = datetime(1970, 1, 1, tzinfo=UTC)
"""When what is to be read again was read, whenever that was."""

_ALIVE = living("c")


class Turn(Struct, frozen=True):
    """One contact, when it was last read, and when it was last read to the end of its list."""

    id: str
    read_at: datetime | None = None
    whole_read_at: datetime | None = None


class Turns(Struct, frozen=True):
    """Which contacts of a resource are due, and by what.

    ``embedded``: contacts embed what is read; those are due whose record was stored so soon after
    that a search may not have shown yet what had been read. ``before``: those last read before it;
    ``follows``: columns of contacts that tell when one was active, so that those are due which
    were since they were read; ``counted``: (child table, its parent column, count column of
    contacts) of those whose stored children are not as many as Intercom counts. ``began_at``: when
    the run began; what is pending, or was too short, and may be asked for again then, is due too.
    """

    resource: str
    began_at: datetime
    before: datetime | None = None
    follows: tuple[str, ...] = ()
    embedded: bool = False
    counted: tuple[str, str, str] | None = None


def never_read(
    conn: sa.Connection,
    names: Names,
    turns: Turns,
    after: str,
    since: datetime | None = None,
    *,
    active: bool = False,
) -> list[Turn]:
    """Contacts that were never read, nor tried in vain, by id.

    With ``since`` those that were ``active`` since then, or those that were not.
    Ids of contacts begin with when they were created, so those come first whose oldest elements
    Intercom may show for the shortest time.
    """
    condition = f"r.id IS NULL AND NOT EXISTS ({_pending(names)})"
    if since is not None:
        was = f"coalesce({_active(turns.follows)} > %(since)s, false)"
        condition += f" AND {'' if active else 'NOT '}{was}"
    return _turns(conn, names, turns, after, condition, {"since": since})


def _active(columns: Sequence[str]) -> str:
    """When the contact was last active; null where none of the columns tells.

    What lies ahead is no activity: a customer may set such times to anything.
    """
    moments = ("c." + quote(column) for column in columns)
    ahead = "%(began_at)s + interval '15 minutes'"
    return f"greatest({', '.join(f'CASE WHEN {at} <= {ahead} THEN {at} END' for at in moments)})"


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
    if turns.embedded:
        reasons.append("c._read_at > r.read_at AND c._read_at < r.read_at + interval '15 minutes'")
    if turns.follows:
        # Searches lag behind, so what was read just after a change may not have shown it.
        reasons.append(f"{_active(turns.follows)} > r.read_at - interval '15 minutes'")
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
        f"SELECT c.id, r.read_at, {_whole_read_at(names)} FROM {names(PERSONS.name)} c"
        f" LEFT JOIN {names('sync_reads')} r ON r.resource = %(resource)s AND r.id = c.id"
        f" WHERE {_ALIVE} AND c.id > %(after)s AND ({condition}) AND {_stays(names)}"
        f" ORDER BY c.id LIMIT {PAGE}"
    )
    values |= {"began_at": turns.began_at, "resource": turns.resource, "after": after}
    return [Turn(*row) for row in fetch(conn, query, values)]


def _whole_read_at(names: Names) -> str:
    """When its list was last read to the end; null where another's came into it since."""
    target = quote(MERGES.owner)
    return (
        f"CASE WHEN NOT EXISTS (SELECT FROM {names(MERGES.table.name)} m WHERE m.{target} = c.id"
        " AND greatest(m.merged_at, m._changed_at) > r.whole_read_at - interval '1 day')"
        " THEN r.whole_read_at END"
    )


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
    start = after or Turn("", datetime.min.replace(tzinfo=UTC))
    values = {
        "resource": turns.resource,
        "before": before,
        "read_at": start.read_at if after else "-infinity",
        "id": start.id,
    }
    return [Turn(*row) for row in fetch(conn, query, values)]


def sample(
    conn: sa.Connection, names: Names, resource: str, size: int, *, embedded: bool = False
) -> dict[str, datetime]:
    """So many living contacts that were read for the resource, by chance, and when they were.

    ``embedded``: a contact's own record was read for it, unless it was asked for by contact.
    """
    read_at = "coalesce(r.read_at, c._read_at)" if embedded else "r.read_at"
    query = (
        f"SELECT c.id, {read_at} FROM {names(PERSONS.name)} c"
        f" LEFT JOIN {names('sync_reads')} r ON r.resource = %(resource)s AND r.id = c.id"
        f" WHERE {_ALIVE} AND {read_at} IS NOT NULL ORDER BY random() LIMIT %(size)s"
    )
    return dict(fetch(conn, query, {"resource": resource, "size": size}))


def contacts(conn: sa.Connection, names: Names, resource: str = "") -> int:
    """How many living contacts there are; with a resource, that were read for it or are to be."""
    query = f"SELECT count(*) FROM {names(PERSONS.name)} c WHERE {_ALIVE}"
    if resource:
        query += (
            f" AND EXISTS (SELECT FROM {names('sync_reads')} r"
            " WHERE r.resource = %(resource)s AND r.id = c.id)"
        )
    return int(scalar(conn, query, {"resource": resource}))


def unread(conn: sa.Connection, names: Names, resource: str, column: str = "") -> int:
    """How many living contacts were never read for the resource; of those that count some there."""
    counts = f" AND coalesce(c.{quote(column)}, 0) > 0" if column else ""
    query = (
        f"SELECT count(*) FROM {names(PERSONS.name)} c WHERE {_ALIVE}{counts}"
        f" AND NOT EXISTS (SELECT FROM {names('sync_reads')} r"
        " WHERE r.resource = %(resource)s AND r.id = c.id)"
    )
    return int(scalar(conn, query, {"resource": resource}))


class Coverage(Struct, frozen=True):
    """Of how many contacts the lists were read, and since when those of all are whole here."""

    contacts: int
    read: int
    complete_since: datetime | None


def coverage(conn: sa.Connection, names: Names, resource: str) -> Coverage:
    """How many living contacts there are, how many were read, and since when all are known.

    Of contacts that were created since everything is known: they bound nothing.
    """
    later = "coalesce(c.created_at >= r.complete_since, false)"
    query = (
        f"SELECT count(*), count(r.id), max(r.complete_since) FILTER (WHERE NOT {later})"
        f" FROM {names(PERSONS.name)} c"
        f" LEFT JOIN {names('sync_reads')} r ON r.resource = %(resource)s AND r.id = c.id"
        f" WHERE {_ALIVE}"
    )
    ((number, read, since),) = fetch(conn, query, {"resource": resource})
    return Coverage(number, read, since if read == number else None)


class Short(Struct, frozen=True):
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
    shown_for: timedelta | None = None,
    in_part: Collection[str] = (),
) -> None:
    """Note when each was read, how many elements its list had, and which were too short.

    ``shown_for``: what is older the list did not show. Since when everything is here stays what it
    was unless so long went by without a read. ``in_part``: those whose lists were not read to the
    end, because the rest was known.
    """
    if not read:
        return
    rows: list[dict[str, Any]] = []
    for key, read_at in sorted(read.items()):
        since = read_at - shown_for if shown_for else None
        row = {"resource": resource, "id": key, "read_at": read_at, "elements": elements}
        row["complete_since"] = since
        row["whole_read_at"] = None if key in in_part else read_at
        lack = (short or {}).get(key)
        row["short_reads"] = lack.reads if lack else None
        row["again_at"] = lack.again_at if lack else None
        rows.append(row)
    statement = insert(READS)
    new = statement.excluded
    values: dict[str, Any] = {
        name: new[name] for name in ("read_at", "elements", "short_reads", "again_at")
    }
    goes_on = sa.and_(READS.c.complete_since.is_not(None), READS.c.read_at >= new.complete_since)
    values["whole_read_at"] = sa.func.coalesce(new.whole_read_at, READS.c.whole_read_at)
    values["complete_since"] = sa.case((goes_on, READS.c.complete_since), else_=new.complete_since)
    conn.execute(
        statement.on_conflict_do_update(index_elements=["resource", "id"], set_=values), rows
    )


def want(conn: sa.Connection, resource: str, ids: Collection[str]) -> None:
    """These are due to be read, unless they are known already: their records do not tell."""
    if ids:
        rows = [{"resource": resource, "id": key, "read_at": EXPIRED} for key in sorted(ids)]
        conn.execute(insert(READS).on_conflict_do_nothing(), rows)


def expire(conn: sa.Connection, resource: str) -> None:
    """All contacts, or groups, are due to be read again for this resource."""
    old = (READS.c.resource == resource, READS.c.read_at != EXPIRED)
    conn.execute(sa.update(READS).where(*old).values(read_at=EXPIRED))


class Group(Struct, frozen=True):
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
