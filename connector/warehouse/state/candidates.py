"""Deletion candidates: what lists omit, reads by id miss, feeds tell; and what lists only hide.

Nothing is marked deleted here: candidates wait, with what was found out about them, until
``deletions`` decides on all of a table at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from connector.resources.resource import Resource, Table
from connector.warehouse.sql.execute import execute, scalar
from connector.warehouse.sql.names import Names, quote
from connector.warehouse.sql.rows import living, own_living
from connector.warehouse.sql.types import TEXTS
from connector.warehouse.state.partitions import Span
from connector.warehouse.state.tables import DELETION_CANDIDATES as CANDIDATES
from connector.warehouse.state.tables import UNLISTED

RARELY = timedelta(days=28)
"""So long an object that lists hide and reads by id show is left alone, after two reads."""

GONE, ARCHIVED, MERGED, TOLD = "gone", "archived", "merged", "told"  # what was found out


def add_omitted(
    conn: sa.Connection,
    names: Names,
    resource: Resource,
    seen: Iterable[str],
    read_at: datetime,
    before: datetime,
    span: Span | None = None,
    by: str = "",
) -> int:
    """Make candidates of living rows that a list asked for at ``read_at`` omits; how many.

    Rows read since, created or changed after ``before`` are left out, and unlisted ones that were
    asked for not long ago. ``span``: the list shows only what falls into it by the column ``by``.
    What ``seen`` names is unlisted no more.
    """
    table = resource.table
    relist(conn, table, seen)
    query = (
        f"INSERT INTO {names('sync_deletion_candidates')} (resource, id)"
        f" SELECT %(name)s, t.id FROM {_omitted(names, resource, span, by)}"
        " ORDER BY t.id ON CONFLICT DO NOTHING"
    )
    told = {"name": resource.name, "seen": list(seen)}
    values = {**told, **_values(resource, read_at, before, span)}
    return execute(conn, query, values).rowcount


def omitted(
    conn: sa.Connection, names: Names, resource: Resource, now: datetime, span: Span, by: str
) -> int:
    """How many rows that fall into the span would be asked for by id, if a list omitted them."""
    query = f"SELECT count(*) FROM {_omitted(names, resource, span, by)}"
    values = {"seen": list[str](), **_values(resource, now, now, span)}
    return int(scalar(conn, query, values))


def _values(
    resource: Resource, read_at: datetime, before: datetime, span: Span | None
) -> dict[str, object]:
    values: dict[str, object] = {"table": resource.table.name, "read_at": read_at}
    values |= {"before": before, "rarely": read_at - RARELY}
    return values | ({"lower": span.lower, "upper": span.upper} if span else {})


def _omitted(names: Names, resource: Resource, span: Span | None, by: str) -> str:
    table = resource.table
    conditions = [own_living(resource, "t")]
    conditions += ["(t._read_at IS NULL OR t._read_at < %(read_at)s)"]
    moved = [c.name for c in table.columns if c.name in ("created_at", "updated_at")]
    conditions += [f"(t.{name} IS NULL OR t.{name} < %(before)s)" for name in moved]
    if span:
        cut = f"t.{quote(by)}"
        within = f"{cut} >= %(lower)s AND {cut} < %(upper)s"
        # The first partition also answers for rows of which that time is not known.
        conditions.append(f"({within} OR {cut} IS NULL)" if span.lower.year == 1 else within)
    conditions += [
        "NOT EXISTS (SELECT FROM unnest(CAST(%(seen)s AS text[])) s (id) WHERE s.id = t.id)",
        f"NOT EXISTS (SELECT FROM {names('sync_unlisted')} h WHERE h.table_name = %(table)s"
        " AND h.id = t.id AND h.reads > 1 AND h.read_at > %(rarely)s)",
    ]
    return f"{names(table.name)} t WHERE {' AND '.join(conditions)}"


def unanswered(conn: sa.Connection, resource: str, after: str, most: int) -> list[str]:
    """The candidates of a resource that nobody asked for yet, by id, from behind ``after``."""
    query = (
        sa.select(CANDIDATES.c.id)
        .where(
            CANDIDATES.c.resource == resource,
            CANDIDATES.c.answer.is_(None),
            CANDIDATES.c.id > after,
        )
        .order_by(CANDIDATES.c.id)
        .limit(most)
    )
    return list(conn.execute(query).scalars())


def answer(
    conn: sa.Connection,
    names: Names,
    table: Table,
    resource: str,
    what: str,
    gone: Mapping[str, datetime | None],
    at: datetime,
) -> None:
    """Note that these were found to be gone at that time; only of rows that live there.

    ``gone`` are Intercom's own times at which they went, where it told.
    """
    if not gone:
        return
    own = "coalesce(excluded.deleted_at, n.deleted_at)"
    statement = (
        f"INSERT INTO {names(CANDIDATES.name)} AS n (resource, id, answer, answered_at, deleted_at)"
        " SELECT %(resource)s, v.id, %(what)s, %(at)s, v.went_at"
        " FROM unnest(%(ids)s::text[], %(times)s::timestamptz[]) v (id, went_at)"
        f" JOIN {names(table.name)} o ON o.id = v.id WHERE {living('o')} ORDER BY v.id"
        " ON CONFLICT (resource, id) DO UPDATE SET answer = excluded.answer,"
        f" answered_at = excluded.answered_at, deleted_at = {own}"
    )
    values = {"resource": resource, "what": what, "at": at}
    execute(conn, statement, {**values, "ids": list(gone), "times": list(gone.values())})


def dismiss(
    conn: sa.Connection,
    resources: Collection[str],
    ids: Sequence[str],
    shown_at: datetime | None = None,
    lag: timedelta = timedelta(0),
) -> None:
    """These are no candidates: they were read alive, or a list asked for at ``shown_at`` has them.

    A list asked for within ``lag`` of the time at which one was found to be gone says nothing.
    """
    statement = sa.delete(CANDIDATES).where(
        CANDIDATES.c.resource == sa.any_(sa.literal(list(resources), TEXTS)),
        CANDIDATES.c.id == sa.any_(sa.literal(list(ids), TEXTS)),
    )
    if shown_at is not None:
        since = sa.func.coalesce(CANDIDATES.c.deleted_at, CANDIDATES.c.answered_at)
        statement = statement.where(sa.or_(since.is_(None), since < shown_at - lag))
    conn.execute(statement)


def answered(conn: sa.Connection, resources: Collection[str], ids: Collection[str]) -> set[str]:
    """Those of these that are candidates about which something was found out."""
    query = sa.select(CANDIDATES.c.id).where(
        CANDIDATES.c.resource == sa.any_(sa.literal(list(resources), TEXTS)),
        CANDIDATES.c.id == sa.any_(sa.literal(list(ids), TEXTS)),
        CANDIDATES.c.answer.is_not(None),
    )
    return set(conn.execute(query).scalars())


def doubted(conn: sa.Connection) -> set[str]:
    """Names of the resources, or tables, that have candidates."""
    return set(conn.execute(sa.select(CANDIDATES.c.resource).distinct()).scalars())


def note_unlisted(
    conn: sa.Connection, resource: Resource, ids: Sequence[str], read_at: datetime
) -> None:
    """A read by id showed these alive: lists hide them."""
    if not ids:
        return
    rows = [
        {"table_name": resource.table.name, "id": key, "read_at": read_at, "reads": 1}
        for key in sorted(ids)
    ]
    new = insert(UNLISTED)
    conn.execute(
        new.on_conflict_do_update(
            index_elements=["table_name", "id"],
            set_={"read_at": new.excluded.read_at, "reads": UNLISTED.c.reads + 1},
        ),
        rows,
    )


def unlisted(conn: sa.Connection, table: Table, ids: Collection[str]) -> set[str]:
    """Those of these that lists omit and a read by id has shown."""
    query = sa.select(UNLISTED.c.id).where(
        UNLISTED.c.table_name == table.name, UNLISTED.c.id == sa.any_(sa.literal(list(ids), TEXTS))
    )
    return set(conn.execute(query).scalars())


def drop_unanswered(conn: sa.Connection, resource: str, ids: Sequence[str]) -> None:
    """Those of these about which nothing was found out are no candidates any more."""
    conn.execute(
        sa.delete(CANDIDATES).where(
            CANDIDATES.c.resource == resource,
            CANDIDATES.c.id == sa.any_(sa.literal(list(ids), TEXTS)),
            CANDIDATES.c.answer.is_(None),
        )
    )


def relist(conn: sa.Connection, table: Table, ids: Iterable[str] | None = None) -> None:
    """These, or all of a table, count as unlisted no more: gone, or to be asked for again."""
    statement = sa.delete(UNLISTED).where(UNLISTED.c.table_name == table.name)
    if ids is not None:
        statement = statement.where(UNLISTED.c.id == sa.any_(sa.literal(list(ids), TEXTS)))
    conn.execute(statement)
