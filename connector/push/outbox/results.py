"""What became of wishes: sent, done, failed, unknown, or to be tried again.

Whatever was written is a hint for the mirror, committed with the result: mirrored rows are written
by reading only. What was done leaves digests of its values behind, by which a change made at
Intercom since is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from msgspec import Struct, field

from connector.errors import RowRefusedError
from connector.jsontext import encode
from connector.push.kinds import KINDS
from connector.push.outbox.digests import note
from connector.push.outbox.wish import Wish
from connector.resources.hint import WHOLE_LIST, Hint
from connector.warehouse.privacy import wishes
from connector.warehouse.schema import damage
from connector.warehouse.sql.execute import fetch, names_of, scalars
from connector.warehouse.sql.names import literal
from connector.warehouse.state import inbox
from connector.warehouse.state.tables import OUTBOX

PERSONAL = ("contacts", "events")
LONGEST_ERROR = 1_000  # characters


class Result(Struct, frozen=True):
    """What became of a wish.

    ``after``: seconds until it is sent, read or looked up again. ``as_of``: updated_at of the
    object as it was read back, in Unix seconds. ``gone``: the object lives no more.
    ``hinted``: whether the object may have changed. ``task``: job and task that carry it.
    ``untaken``: sending it was no attempt, for nothing of it was taken.
    """

    wish: Wish
    state: str
    code: str | None = None
    error: str | None = None
    object_id: str | None = None
    after: float | None = None
    as_of: int | None = None
    gone: bool = False
    hinted: bool = False
    task: tuple[str, str | None] | None = None
    untaken: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)


def record(conn: sa.Connection, results: Sequence[Result], delay: float) -> None:
    """Note what became of wishes, with the hints that follow; ``delay`` is a hint's, in seconds.

    RowRefusedError where the outbox does not keep what is noted.
    """
    if not results:
        return
    noted = scalars(
        conn,
        f"UPDATE {names_of(conn)('outbox')} o SET state = r.state, error_code = r.code,"
        " attempts = o.attempts - r.untaken, error = r.error,"
        " object_id = coalesce(r.object_id, o.object_id),"
        " job_id = CASE WHEN r.state = 'waiting' THEN NULL ELSE coalesce(r.job_id, o.job_id) END,"
        " task_id = CASE WHEN r.state = 'waiting' THEN NULL ELSE coalesce(r.task_id, o.task_id)"
        " END, confirmed_as_of = coalesce(to_timestamp(r.as_of), o.confirmed_as_of),"
        " not_before = clock_timestamp() + make_interval(secs => r.after),"
        " done_at = CASE WHEN r.state IN ('done', 'failed') THEN clock_timestamp() END"
        " FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (id bigint, state text, code text,"
        " error text, object_id text, job_id text, task_id text, as_of bigint, after float8,"
        " untaken int)"
        f" WHERE o.id = r.id AND o.error_code IS DISTINCT FROM {literal(wishes.FORGOTTEN)}"
        " RETURNING o.state = r.state",
        {"rows": encode([_row(one) for one in results]).decode()},
    )
    if sum(noted) < len(results):
        _refuse_unnoted(conn, results)
    note(conn, [(r.wish.kind, _object(r), r.values) for r in results if r.values and _object(r)])
    if hints := list(_hints(results)):
        inbox.tell(conn, hints, delay)
    ended = [one.wish.id for one in results if one.state in ("done", "failed")]
    if ended:
        wishes.exclude(conn, names_of(conn), ended)
    wishes.empty(conn, names_of(conn), list(_forgotten(conn, results)))


def _refuse_unnoted(conn: sa.Connection, results: Sequence[Result]) -> None:
    """RowRefusedError where a row is there and not as noted, unless its contact is forgotten."""
    wished = {one.wish.id: one.state for one in results}
    rows = fetch(
        conn,
        f"SELECT o.id, o.state FROM {names_of(conn)('outbox')} o WHERE o.id = ANY(%(ids)s)"
        f" AND o.error_code IS DISTINCT FROM {literal(wishes.FORGOTTEN)}",
        {"ids": list(wished)},
    )
    if any(state != wished[key] for key, state in rows):
        raise RowRefusedError(damage.keeping(conn, OUTBOX.name))


def _forgotten(conn: sa.Connection, results: Sequence[Result]) -> Iterator[int]:
    """Wishes that were named by keys alone, and turned out to be for a forgotten contact."""
    found = {
        one.wish.id: one.object_id
        for one in results
        if one.object_id and not one.wish.object_id and one.wish.kind in PERSONAL
    }
    ids = sorted(set(found.values()))
    forgotten = wishes.are_forgotten(conn, names_of(conn), ids) if ids else ()
    for one in results:
        if one.code == wishes.FORGOTTEN or found.get(one.wish.id) in forgotten:
            yield one.wish.id


def _row(one: Result) -> dict[str, Any]:
    job, task = one.task or (None, None)
    error = _storable(one.error)[:LONGEST_ERROR] if one.error else None
    return {
        "id": one.wish.id,
        "state": one.state,
        "code": one.code,
        "error": error,
        "object_id": one.object_id,
        "job_id": job,
        "task_id": task,
        "as_of": one.as_of,
        "after": one.after,
        "untaken": int(one.untaken),
    }


def _storable(text: str) -> str:
    """The text without what Postgres takes in none: NUL and halves of characters."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _object(one: Result) -> str:
    return one.object_id or one.wish.object_id or ""


def _hints(results: Iterable[Result]) -> Iterable[Hint]:
    for one in results:
        key, table = _object(one), KINDS[one.wish.kind].table
        if not one.hinted:
            continue
        if table is None:  # an event: read with its contact
            if key:
                yield Hint(one.wish.kind, key)
        elif one.wish.kind == "tags":
            yield Hint(table.name, WHOLE_LIST)
        elif key:
            yield Hint(table.name, key, one.as_of, one.gone)
