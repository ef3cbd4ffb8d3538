"""What the outbox holds, in numbers; what is tried again by hand; and what is kept no longer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import asdict

from connector.warehouse.sql.execute import execute, fetch, names_of, scalar

STATES = ("waiting", "sending", "sent", "unknown", "done", "failed")
SHOWN = 5  # reasons


class Reason(Struct, frozen=True):
    """Why wishes failed or are unknown: the code, how many, and one of them."""

    state: str
    code: str | None
    wishes: int
    example: int
    error: str | None


_SINCE = "greatest(o.sent_at, o.done_at) >= %(since)s"


def states(
    conn: sa.Connection, since: datetime | None = None, also: Sequence[int] = ()
) -> dict[str, int]:
    """How many wishes are in which state, of those that were sent or ended since, and of these."""
    where = "true" if since is None else f"{_SINCE} OR o.id = ANY(%(also)s)"
    return _states(conn, where, {"since": since, "also": list(also)})


def states_of(conn: sa.Connection, ids: Sequence[int]) -> dict[str, int]:
    """How many of these wishes are in which state."""
    return _states(conn, "o.id = ANY(%(ids)s)", {"ids": list(ids)})


def _states(conn: sa.Connection, where: str, parameters: dict[str, Any]) -> dict[str, int]:
    query = f"SELECT o.state, count(*) FROM {names_of(conn)('outbox')} o WHERE {where} GROUP BY 1"
    found = dict(fetch(conn, query, parameters))
    return {state: found.get(state, 0) for state in STATES}


def reasons(
    conn: sa.Connection, since: datetime | None = None, also: Sequence[int] = ()
) -> list[Reason]:
    """Why wishes failed or are unknown, the commonest first."""
    where = "true" if since is None else f"({_SINCE} OR o.id = ANY(%(also)s))"
    return _reasons(conn, where, {"since": since, "also": list(also)})


def reasons_of(conn: sa.Connection, ids: Sequence[int]) -> list[Reason]:
    """The same of these wishes."""
    return _reasons(conn, "o.id = ANY(%(ids)s)", {"ids": list(ids)})


def _reasons(conn: sa.Connection, where: str, parameters: dict[str, Any]) -> list[Reason]:
    rows = fetch(
        conn,
        "SELECT o.state, o.error_code, count(*), min(o.id),"
        f" (array_agg(o.error ORDER BY o.id))[1] FROM {names_of(conn)('outbox')} o"
        f" WHERE o.state IN ('failed', 'unknown') AND {where} GROUP BY 1, 2"
        f" ORDER BY 3 DESC, 4 LIMIT {SHOWN}",
        parameters,
    )
    return [Reason(*row) for row in rows]


def facts(conn: sa.Connection) -> dict[str, Any] | None:
    """What ``status`` tells; None where nothing was ever wished."""
    found = counts(conn)
    return found and found | {"reasons": [asdict(one) for one in reasons(conn)]}


def counts(conn: sa.Connection) -> dict[str, Any] | None:
    """The same in numbers alone, with nothing of what was wished."""
    found = states(conn)
    if not any(found.values()):
        return None
    (row,) = fetch(
        conn,
        "SELECT extract(epoch FROM now() - min(o.created_at))::float8,"
        f" (SELECT count(*) FROM {names_of(conn)('push_jobs')} j WHERE j.ended_at IS NULL)"
        f" FROM {names_of(conn)('outbox')} o WHERE o.state NOT IN ('done', 'failed')",
    )
    return found | {
        "oldest_seconds": row[0],
        "jobs": row[1],
    }


def now(conn: sa.Connection) -> datetime:
    """The time by the database's clock."""
    found: datetime = scalar(conn, "SELECT clock_timestamp()")
    return found


def retry(conn: sa.Connection, model: str | None) -> int:
    """Failed wishes wait again, all or those of a model; how many.

    Not those that a newer wish for the same object has overtaken.
    """
    outbox = names_of(conn)("outbox")
    of_model = "" if model is None else " AND o.model = %(model)s"
    newer = (
        f"EXISTS (SELECT FROM {outbox} n WHERE n.kind = o.kind AND n.id > o.id"
        " AND n.kind <> 'events' AND n.state <> 'failed'"
        " AND (n.object_id = o.object_id OR n.external_id = o.external_id))"
    )
    return execute(
        conn,
        f"UPDATE {outbox} o SET state = 'waiting', attempts = 0, not_before = NULL,"
        " error_code = NULL, error = NULL, job_id = NULL, task_id = NULL, sent_at = NULL,"
        f" done_at = NULL WHERE o.state = 'failed' AND o.body IS DISTINCT FROM NULL{of_model}"
        f" AND NOT {newer}",
        {"model": model},
    ).rowcount


def drop_old_bodies(conn: sa.Connection, days: int) -> int:
    """Bodies of what was done so long ago are emptied; of events name and second stay.

    By these an event that is pushed again is known. How many there were.
    """
    return execute(
        conn,
        f"UPDATE {names_of(conn)('outbox')} o SET before = NULL, body = CASE WHEN kind = 'events'"
        " THEN jsonb_build_object('event_name', body -> 'event_name', 'created_at',"
        " body -> 'created_at', 'metadata', NULL) END"
        " WHERE o.state = 'done' AND o.done_at < now() - make_interval(days => %(days)s)"
        " AND (o.before IS NOT NULL OR o.body IS NOT NULL AND (o.kind <> 'events'"
        " OR o.body -> 'metadata' <> 'null'))",
        {"days": days},
    ).rowcount
