"""What complete lists omit: nominated for asking by id, and remembered where that finds it alive.

Absence only nominates; the reads by id that convict are no business of this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from connector.resources.resource import Resource, Table
from connector.warehouse.schema import INSTANT
from connector.warehouse.state import TEXTS, Span, helper_table, key_column
from connector.warehouse.statements import Names, literal, quote

RARELY = timedelta(days=28)
"""So long an object that lists hide and reads by id show is left alone, after two reads."""

NOMINEES = helper_table(
    "sync_nominees",
    "Rows that a complete list omitted; a read by id tells whether their objects are gone.",
    key_column("resource", "Name of the resource"),
    key_column("id", "Intercom's id of the object"),
)

HIDDEN = helper_table(
    "sync_hidden",
    "Objects that lists omit and reads by id show, as companies without users; asked for rarely.",
    key_column("table_name", "Table of the row"),
    key_column("id", "Intercom's id of the object"),
    sa.Column("read_at", INSTANT, nullable=False, comment="When it was last read by id"),
    sa.Column("reads", sa.Integer(), nullable=False, comment="How often, since it is hidden"),
)


def nominate(
    conn: sa.Connection,
    names: Names,
    resource: Resource,
    seen: Iterable[str],
    read_at: datetime,
    before: datetime,
    span: Span | None = None,
) -> int:
    """Nominate the living rows that a list asked for at ``read_at`` omits; how many there are.

    Rows read since, created or changed after ``before`` are left out, and hidden ones that were
    asked for not long ago. ``span``: the list shows only what was created in it. What ``seen``
    names is hidden no more.
    """
    table = resource.table
    reveal(conn, table, seen)
    query = _omitted(names, resource, span)
    values = {"name": resource.name, "table": table.name, "seen": list(seen), "read_at": read_at}
    values |= {"before": before, "rarely": read_at - RARELY}
    if span:
        values |= {"lower": span.lower, "upper": span.upper}
    return conn.execute(sa.text(query), values).rowcount


def _omitted(names: Names, resource: Resource, span: Span | None) -> str:
    table = resource.table
    conditions = ["t._deleted_at IS NULL", "NOT t._placeholder"]
    conditions += [f"t.{quote(k)} = {literal(v)}" for k, v in resource.owns]
    conditions += ["(t._read_at IS NULL OR t._read_at < :read_at)"]
    moved = [c.name for c in table.columns if c.name in ("created_at", "updated_at")]
    conditions += [f"(t.{name} IS NULL OR t.{name} < :before)" for name in moved]
    if span:
        cut = f"t.{quote(table.cut_by)}"
        within = f"{cut} >= :lower AND {cut} < :upper"
        # The first window also answers for rows of which that time is not known.
        conditions.append(f"({within} OR {cut} IS NULL)" if span.lower.year == 1 else within)
    conditions += [
        "NOT EXISTS (SELECT FROM unnest(CAST(:seen AS text[])) s (id) WHERE s.id = t.id)",
        f"NOT EXISTS (SELECT FROM {names.in_text('sync_hidden')} h WHERE h.table_name = :table"
        " AND h.id = t.id AND h.reads > 1 AND h.read_at > :rarely)",
    ]
    return (
        f"INSERT INTO {names.in_text('sync_nominees')} (resource, id)"
        f" SELECT :name, t.id FROM {names.in_text(table.name)} t WHERE {' AND '.join(conditions)}"
        " ORDER BY t.id ON CONFLICT DO NOTHING"
    )


def nominees(conn: sa.Connection, resource: str, after: str, most: int) -> list[str]:
    """The nominees of a resource by id, at most so many, from behind ``after``."""
    query = (
        sa.select(NOMINEES.c.id)
        .where(NOMINEES.c.resource == resource, NOMINEES.c.id > after)
        .order_by(NOMINEES.c.id)
        .limit(most)
    )
    return list(conn.execute(query).scalars())


def acquit(conn: sa.Connection, resource: Resource, ids: Sequence[str], read_at: datetime) -> None:
    """A read by id showed these alive: they are no nominees, but hidden from lists."""
    if not ids:
        return
    drop(conn, resource.name, ids)
    rows = [
        {"table_name": resource.table.name, "id": key, "read_at": read_at, "reads": 1}
        for key in sorted(ids)
    ]
    new = insert(HIDDEN)
    conn.execute(
        new.on_conflict_do_update(
            index_elements=["table_name", "id"],
            set_={"read_at": new.excluded.read_at, "reads": HIDDEN.c.reads + 1},
        ),
        rows,
    )


def drop(conn: sa.Connection, resource: str, ids: Sequence[str] | None = None) -> None:
    """These, or all of a resource's, are no nominees any more."""
    statement = sa.delete(NOMINEES).where(NOMINEES.c.resource == resource)
    if ids is not None:
        statement = statement.where(NOMINEES.c.id == sa.any_(sa.literal(list(ids), TEXTS)))
    conn.execute(statement)


def reveal(conn: sa.Connection, table: Table, ids: Iterable[str] | None = None) -> None:
    """These, or all of a table, count as hidden no more: gone, or to be asked for again."""
    statement = sa.delete(HIDDEN).where(HIDDEN.c.table_name == table.name)
    if ids is not None:
        statement = statement.where(HIDDEN.c.id == sa.any_(sa.literal(list(ids), TEXTS)))
    conn.execute(statement)
