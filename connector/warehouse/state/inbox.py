"""What notifications told and nobody has read since: one row for each object, however often told.

The receiver writes here with few rights: SELECT, INSERT and UPDATE on two tables. So no sequence
makes ``version``: it is the time of the telling in microseconds, or one more than the last. All
times are by the database's clock, which receiver and reader share.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from connector.resources.hint import Hint
from connector.warehouse.sql.execute import execute, fetch, names_of, scalar
from connector.warehouse.state.tables import INBOX, TOPICS

AHEAD = 300
"""Seconds by which an announced time may lie ahead of the database's clock; further it is none."""

PAUSES = (1, 10, 60, 600)
"""Seconds after which an object is read again that was older than told, by attempts before."""


class Waiting(Struct, frozen=True):
    """A row of sync_inbox; ``age`` is how many seconds ago it was last told."""

    resource: str
    id: str
    version: int
    announced: datetime | None
    gone: bool
    attempts: int
    age: float


class Backlog(Struct, frozen=True):
    """How much waits, for how many seconds, and when a notification last came.

    ``untried_seconds`` is the same of what was not read since it was told.
    """

    waiting: int
    oldest_seconds: float | None
    untried_seconds: float | None
    last_notification_at: datetime | None


# -- told ------------------------------------------------------------------------------------


def tell(conn: sa.Connection, told: Collection[Hint], delay: float) -> None:
    """Note that these objects may have changed; each is due ``delay`` seconds after its first.

    A later telling never puts it off. Rows are taken in one order, so that two receivers cannot
    wait for each other.
    """
    rows = sorted(_merged(told).values(), key=lambda one: (one.resource, one.id))
    table = names_of(conn)(INBOX.name)
    execute(
        conn,
        f"INSERT INTO {table} AS old (resource, id, version, announced, gone, attempts,"
        " not_before, first_told_at, told_at)"
        " SELECT t.resource, t.id, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,"
        " CASE WHEN t.announced <= extract(epoch FROM now()) + %(ahead)s"
        " THEN to_timestamp(t.announced) END, t.gone, 0,"
        " now() + make_interval(secs => %(delay)s), now(), now()"
        " FROM unnest(%(resources)s::text[], %(ids)s::text[], %(announced)s::bigint[],"
        " %(gone)s::boolean[]) WITH ORDINALITY AS t (resource, id, announced, gone, place)"
        " ORDER BY t.place"
        " ON CONFLICT (resource, id) DO UPDATE SET"
        " version = greatest(old.version + 1, EXCLUDED.version),"
        " announced = greatest(old.announced, EXCLUDED.announced),"
        " gone = old.gone OR EXCLUDED.gone, attempts = 0,"
        " not_before = least(old.not_before, EXCLUDED.not_before), told_at = EXCLUDED.told_at",
        {
            "resources": [one.resource for one in rows],
            "ids": [one.id for one in rows],
            "announced": [one.announced for one in rows],
            "gone": [one.gone for one in rows],
            "delay": float(delay),
            "ahead": AHEAD,
        },
    )


def _merged(told: Collection[Hint]) -> dict[tuple[str, str], Hint]:
    """One for each object: a statement may not meet a row twice."""
    found: dict[tuple[str, str], Hint] = {}
    for one in told:
        key = (one.resource, one.id)
        other = found.get(key, one)
        stamps = [stamp for stamp in (one.announced, other.announced) if stamp is not None]
        newest = max(stamps, default=None)
        found[key] = Hint(one.resource, one.id, newest, one.gone or other.gone)
    return found


def count_topics(conn: sa.Connection, topics: Mapping[str, tuple[int, int]]) -> None:
    """So many more notifications of each topic came, and so many of them were ignored."""
    names = sorted(topics)
    table = names_of(conn)(TOPICS.name)
    execute(
        conn,
        f"INSERT INTO {table} AS old (topic, received, ignored, last_received_at)"
        " SELECT t.topic, t.received, t.ignored, now()"
        " FROM unnest(%(names)s::text[], %(received)s::bigint[], %(ignored)s::bigint[])"
        " AS t (topic, received, ignored)"
        " ON CONFLICT (topic) DO UPDATE SET received = old.received + EXCLUDED.received,"
        " ignored = old.ignored + EXCLUDED.ignored,"
        " last_received_at = EXCLUDED.last_received_at",
        {
            "names": names,
            "received": [topics[name][0] for name in names],
            "ignored": [topics[name][1] for name in names],
        },
    )


# -- waiting ---------------------------------------------------------------------------------


def waiting(
    conn: sa.Connection,
    resources: Sequence[str],
    most: int,
    told_before: datetime | None = None,
    tried: Collection[tuple[str, str]] = (),
    *,
    only: bool = False,
    without: Collection[tuple[str, str]] = (),
) -> list[Waiting]:
    """What is due of these tables, the longest waiting first, ``without`` some by table and id.

    What was told before that time is due too, unless it was ``tried``; ``only``: nothing else.
    """
    rows = fetch(
        conn,
        "SELECT i.resource, i.id, i.version, i.announced, i.gone, i.attempts,"
        " extract(epoch FROM now() - i.told_at)::float8"
        f" FROM {names_of(conn)(INBOX.name)} i WHERE i.resource = ANY(%(resources)s::text[])"
        f" AND ({_TOLD if only else _DUE}) AND NOT {_among('out')}"
        " ORDER BY i.not_before LIMIT %(most)s",
        {
            "resources": list(resources),
            "before": told_before,
            "most": most,
            **_pairs("tried", tried),
            **_pairs("out", without),
        },
    )
    return [Waiting(*row) for row in rows]


def _among(name: str) -> str:
    """Whether a hint is one of the ``_pairs`` of that name."""
    return (
        f"EXISTS (SELECT FROM unnest(%({name}_tables)s::text[], %({name}_ids)s::text[])"
        " p (resource, id) WHERE p.resource = i.resource AND p.id = i.id)"
    )


def _pairs(name: str, pairs: Collection[tuple[str, str]]) -> dict[str, list[str]]:
    ordered = list(pairs)
    return {f"{name}_tables": [t for t, _ in ordered], f"{name}_ids": [k for _, k in ordered]}


_TOLD = f"i.told_at < %(before)s::timestamptz AND NOT {_among('tried')}"
_DUE = f"i.not_before <= now() OR ({_TOLD})"


def count_due(conn: sa.Connection, resource: str) -> int:
    """How many are due of a table by their own time."""
    found: int = scalar(
        conn,
        f"SELECT count(*) FROM {names_of(conn)(INBOX.name)} i"
        " WHERE i.resource = %(resource)s AND i.not_before <= now()",
        {"resource": resource},
    )
    return found


def hinted(conn: sa.Connection, resource: str, ids: Sequence[str]) -> set[str]:
    """Those of the objects of a table that wait."""
    query = sa.select(INBOX.c.id).where(INBOX.c.resource == resource, INBOX.c.id.in_(list(ids)))
    return set(conn.execute(query).scalars())


def seconds_to_next(conn: sa.Connection, resources: Sequence[str]) -> float | None:
    """In how many seconds something of these tables is due; None if nothing waits."""
    found = scalar(
        conn,
        "SELECT extract(epoch FROM min(not_before) - now())::float8"
        f" FROM {names_of(conn)(INBOX.name)} WHERE resource = ANY(%(resources)s::text[])",
        {"resources": list(resources)},
    )
    return None if found is None else max(0.0, found)


def count(conn: sa.Connection) -> int:
    """How many objects wait altogether."""
    found: int = scalar(conn, f"SELECT count(*) FROM {names_of(conn)(INBOX.name)}")
    return found


def backlog(conn: sa.Connection) -> Backlog:
    """How much waits altogether."""
    (row,) = fetch(
        conn,
        "SELECT count(*), extract(epoch FROM now() - min(first_told_at))::float8,"
        " extract(epoch FROM now() - min(first_told_at) FILTER (WHERE attempts = 0))::float8,"
        f" (SELECT max(last_received_at) FROM {names_of(conn)(TOPICS.name)})"
        f" FROM {names_of(conn)(INBOX.name)}",
    )
    return Backlog(*row)


def topics(conn: sa.Connection) -> list[dict[str, Any]]:
    """The rows of sync_topics, by name."""
    return [
        dict(row) for row in conn.execute(sa.select(TOPICS).order_by(TOPICS.c.topic)).mappings()
    ]


# -- settled ---------------------------------------------------------------------------------


def settle(conn: sa.Connection, hints: Sequence[Waiting], delay: float) -> None:
    """These were read: they go, but for what was told again meanwhile, which is due anew."""
    _lock(conn, hints)
    _change(conn, hints, _READ_SINCE)
    _change(
        conn,
        hints,
        "UPDATE {inbox} i SET first_told_at = i.told_at,"
        " not_before = greatest(i.not_before, i.told_at + make_interval(secs => %(delay)s))"
        " FROM {read} WHERE {same} AND i.version <> r.version",
        {"delay": float(delay)},
    )


def postpone(conn: sa.Connection, hints: Sequence[Waiting], at_least: float = 0.0) -> list[Waiting]:
    """These were read in vain: they are due again later; those that were too often, and go.

    ``at_least``: seconds for which they are left alone, however few attempts there were.
    """
    _lock(conn, hints)
    over = [one for one in hints if one.attempts >= len(PAUSES)]
    _change(conn, over, _READ_SINCE)
    again = [one for one in hints if one.attempts < len(PAUSES)]
    _change(
        conn,
        again,
        "UPDATE {inbox} i SET attempts = r.attempts + 1,"
        " not_before = clock_timestamp()"
        " + make_interval(secs => greatest(r.pause, %(at_least)s))"
        " FROM {read} WHERE {same} AND i.version = r.version",
        {"at_least": float(at_least)},
    )
    return over


_READ_SINCE = "DELETE FROM {inbox} i USING {read} WHERE {same} AND i.version = r.version"


def drop(conn: sa.Connection, resources: Sequence[str]) -> None:
    """Whatever was told of these tables goes."""
    conn.execute(sa.delete(INBOX).where(INBOX.c.resource.in_(list(resources))))


def drop_others(conn: sa.Connection, resources: Sequence[str]) -> None:
    """Whatever was told of other tables than these goes."""
    conn.execute(sa.delete(INBOX).where(INBOX.c.resource.not_in(list(resources))))


def _lock(conn: sa.Connection, hints: Sequence[Waiting]) -> None:
    """Take the rows in the order in which they are told, so that nobody waits in a circle."""
    _change(
        conn,
        hints,
        "SELECT FROM {inbox} i JOIN {read} ON {same} ORDER BY r.place FOR UPDATE OF i",
    )


def _change(
    conn: sa.Connection,
    hints: Sequence[Waiting],
    statement: str,
    parameters: Mapping[str, Any] | None = None,
) -> None:
    """Execute a statement on the rows of the hints."""
    if not hints:
        return
    ordered = sorted(hints, key=lambda one: (one.resource, one.id))
    read = (
        "unnest(%(resources)s::text[], %(ids)s::text[], %(versions)s::bigint[],"
        " %(attempts)s::int[], %(pauses)s::float8[]) WITH ORDINALITY"
        " AS r (resource, id, version, attempts, pause, place)"
    )
    text = statement.format(
        inbox=names_of(conn)(INBOX.name), read=read, same="i.resource = r.resource AND i.id = r.id"
    )
    values = {
        "resources": [one.resource for one in ordered],
        "ids": [one.id for one in ordered],
        "versions": [one.version for one in ordered],
        "attempts": [one.attempts for one in ordered],
        "pauses": [float(PAUSES[min(one.attempts, len(PAUSES) - 1)]) for one in ordered],
    }
    execute(conn, text, values | dict(parameters or {}))
