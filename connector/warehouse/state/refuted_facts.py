"""Facts of Intercom that were seen to be false in this workspace."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.dialects.postgresql import insert

from connector.warehouse.state.tables import FACTS

REMEMBERED = timedelta(days=30)
"""So long a fact counts as false that is not seen to be false any more."""


class RefutedFact(Struct, frozen=True):
    """A row of sync_refuted_facts."""

    fact: str
    detail: str
    resources: Sequence[str]
    times: int
    first_seen_at: datetime
    last_seen_at: datetime


def refuted(conn: sa.Connection) -> Sequence[RefutedFact]:
    """What is on record, by name."""
    rows = conn.execute(sa.select(FACTS).order_by(FACTS.c.fact)).mappings()
    return [RefutedFact(**row) for row in rows]


def note_refuted(
    conn: sa.Connection,
    fact: str,
    detail: str,
    resources: Collection[str],
    times: int,
    now: datetime,
) -> None:
    """The fact was seen to be false of these resources, so often."""
    known = {one.fact: one.resources for one in refuted(conn)}
    statement = insert(FACTS).values(
        fact=fact,
        detail=detail,
        resources=sorted({*known.get(fact, ()), *resources}),
        times=times,
        first_seen_at=now,
        last_seen_at=now,
    )
    new = statement.excluded
    changes = {
        "detail": new.detail,
        "resources": new.resources,
        "times": FACTS.c.times + new.times,
        "last_seen_at": now,
    }
    conn.execute(statement.on_conflict_do_update(index_elements=["fact"], set_=changes))


def note_confirmed(conn: sa.Connection, fact: str, resource: str) -> None:
    """The fact is true of the resource after all; it goes when it is true of all of them."""
    own = FACTS.c.fact == fact
    left = sa.func.array_remove(FACTS.c.resources, resource)
    conn.execute(sa.update(FACTS).where(own).values(resources=left))
    conn.execute(sa.delete(FACTS).where(own, sa.func.cardinality(FACTS.c.resources) == 0))


def drop_old_refutations(conn: sa.Connection, now: datetime) -> None:
    """Take to be true again what was not seen to be false for long."""
    conn.execute(sa.delete(FACTS).where(FACTS.c.last_seen_at < now - REMEMBERED))
