"""Objects that could not be read, or must be read again, and when."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.dialects.postgresql import insert

from connector.warehouse.sql.execute import execute, fetch, names_of
from connector.warehouse.state.tables import PENDING


class Pending(Struct, frozen=True):
    """One object that must be read again."""

    resource: str
    id: str
    reason: str
    attempts: int
    not_before: datetime
    first_seen_at: datetime
    announced_at: datetime | None = None


# Reasons of what is no failure (yet):
STALE = "read by id it was older than search announced"
REVIVED = "its contact is forgotten no more: what was emptied is read again"

HELD = "its list omits implausibly many; none of them was marked deleted"
CONTRADICTION = "lists show it, and a read by id does not find it; not taken as deleted"

FREE_ATTEMPTS = 2  # the next run tries at once; a hiccup shall not cost a day
LONGEST_DELAY = timedelta(hours=6)


def delay(attempts: int) -> timedelta:
    """How long an object waits after that many failures: 0, 0, 1 min, 4 min, ... 6 h."""
    if attempts <= FREE_ATTEMPTS:
        return timedelta()
    return min(LONGEST_DELAY, timedelta(minutes=4.0 ** min(attempts - FREE_ATTEMPTS - 1, 9)))


def postpone(
    conn: sa.Connection,
    resource: str,
    ids: Iterable[str],
    reason: str,
    now: datetime,
    announced_at: datetime | None = None,
) -> None:
    """Note that the objects must be read again, and that one more attempt has failed.

    A copy that is older than ``announced_at`` will not do.
    """
    for key in sorted(set(ids)):
        new = insert(PENDING).values(
            resource=resource,
            id=key,
            reason=reason,
            attempts=1,
            not_before=now,
            first_seen_at=now,
            announced_at=announced_at,
        )
        row = new.on_conflict_do_update(
            index_elements=["resource", "id"],
            set_={
                "reason": reason,
                "attempts": PENDING.c.attempts + 1,
                "announced_at": sa.func.greatest(PENDING.c.announced_at, new.excluded.announced_at),
            },
        ).returning(PENDING.c.attempts)
        attempts = conn.execute(row).scalar_one()
        conn.execute(
            sa.update(PENDING)
            .where(PENDING.c.resource == resource, PENDING.c.id == key)
            .values(not_before=now + delay(attempts))
        )


def doubt(
    conn: sa.Connection, resource: str, ids: Iterable[str], reason: str, now: datetime
) -> None:
    """Note that the objects must be read, which nobody has tried; what is pending stays so."""
    for key in sorted(set(ids)):
        new = insert(PENDING).values(
            resource=resource, id=key, reason=reason, not_before=now, first_seen_at=now
        )
        conn.execute(new.on_conflict_do_nothing())


def settle(conn: sa.Connection, resources: str | Collection[str], ids: Iterable[str]) -> None:
    """The objects of this resource, or of these, have been read, or are known to be gone."""
    names = [resources] if isinstance(resources, str) else list(resources)
    keys = list(ids)
    if not keys:
        return
    table = names_of(conn)(PENDING.name)
    query = f"DELETE FROM {table} WHERE resource = ANY (%s) AND id = ANY (%s)"
    execute(conn, query, [names, keys])


def pending(conn: sa.Connection, due: datetime | None = None) -> list[Pending]:
    """The pending objects, oldest first; with ``due`` only those to be tried by then."""
    columns = ", ".join(Pending.__struct_fields__)
    query = (
        f"SELECT {columns} FROM {names_of(conn)(PENDING.name)}"
        " WHERE %(due)s::timestamptz IS NULL OR not_before <= %(due)s"
        " ORDER BY first_seen_at, id"
    )
    return [Pending(*row) for row in fetch(conn, query, {"due": due})]
