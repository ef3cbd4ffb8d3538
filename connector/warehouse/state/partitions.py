"""The partitions by created_at that a full pass is divided into, and which are done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.dialects.postgresql import insert

from connector.warehouse.sql.types import INSTANT
from connector.warehouse.state.tables import PARTITIONS

OPEN_LOWER = datetime(1, 1, 1, tzinfo=UTC)
OPEN_UPPER = datetime(9999, 12, 31, tzinfo=UTC)


class Span(Struct, frozen=True, order=True):
    """A partition of a plan: [lower, upper) of created_at; OPEN_LOWER and OPEN_UPPER: no bound.

    In the database those are infinite, as no date there is that a session's timezone could move.
    """

    lower: datetime
    upper: datetime


def _stored_bound(bound: datetime) -> datetime | str:
    return {OPEN_LOWER: "-infinity", OPEN_UPPER: "infinity"}.get(bound, bound)


def all_spans(conn: sa.Connection, resource: str, *, finished: bool | None = None) -> list[Span]:
    """The partitions of the resource's plan, oldest first; all, or only (un)finished ones."""
    query = (
        sa.select(
            sa.func.nullif(PARTITIONS.c.lower_bound, sa.literal("-infinity", INSTANT)),
            sa.func.nullif(PARTITIONS.c.upper_bound, sa.literal("infinity", INSTANT)),
        )
        .where(PARTITIONS.c.resource == resource)
        .order_by(PARTITIONS.c.lower_bound)
    )
    if finished is not None:
        query = query.where(PARTITIONS.c.finished_at.is_not(None) == finished)
    return [Span(a or OPEN_LOWER, b or OPEN_UPPER) for a, b in conn.execute(query)]


def replace_partitions(
    conn: sa.Connection, resource: str, old: Iterable[Span], new: Sequence[Span]
) -> None:
    """Put finer partitions in the place of coarser ones."""
    for span in old:
        conn.execute(sa.delete(PARTITIONS).where(_is(resource, span)))
    if new:
        rows = [
            {
                "resource": resource,
                "lower_bound": _stored_bound(span.lower),
                "upper_bound": _stored_bound(span.upper),
            }
            for span in new
        ]
        conn.execute(insert(PARTITIONS).on_conflict_do_nothing(), rows)


def finish_partition(conn: sa.Connection, resource: str, span: Span) -> None:
    """Note that every row of the partition is written."""
    conn.execute(sa.update(PARTITIONS).where(_is(resource, span)).values(finished_at=sa.func.now()))


def drop_partitions(conn: sa.Connection, resource: str) -> None:
    """Forget the resource's plan."""
    conn.execute(sa.delete(PARTITIONS).where(PARTITIONS.c.resource == resource))


def _is(resource: str, span: Span) -> sa.ColumnElement[bool]:
    lower = sa.literal(_stored_bound(span.lower), INSTANT)
    return sa.and_(PARTITIONS.c.resource == resource, PARTITIONS.c.lower_bound == lower)
