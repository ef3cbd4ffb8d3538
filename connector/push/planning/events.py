"""Events of a model: those that the outbox does not hold yet go into it.

Intercom takes one event of a contact, name and second. An identical one is skipped, in the model
and against the outbox, so that a model can be pushed again; another one fails at once. Events touch
no object, so neither mirror nor fuse has a say.
"""

from __future__ import annotations

import sqlalchemy as sa

from connector.push.planning.asked import Asked, Plan, Sample
from connector.push.planning.model.checks import key_of
from connector.push.planning.model.columns import Model
from connector.push.planning.model.stage import STAGE
from connector.push.planning.write import put
from connector.warehouse.sql.execute import execute, fetch, scalar
from connector.warehouse.sql.names import Names

EVENTS_OF = "pg_temp._push_events"
SAME_SECOND = "same second"
_ERROR = (
    "another event of this contact, name and second is there, with other metadata: Intercom keeps"
    " one of them; give it another second"
)
_SAMPLES = 5


def plan_events(conn: sa.Connection, names: Names, asked: Asked, model: Model, rows: int) -> Plan:
    """The plan of an event model, carried out unless it is a dry run."""
    execute(conn, f"DROP TABLE IF EXISTS {EVENTS_OF}")
    execute(conn, f"CREATE TEMP TABLE {EVENTS_OF} ON COMMIT DROP AS {_fates(names, model)}")
    execute(conn, f"ANALYZE {EVENTS_OF}")
    beyond = _beyond(conn, asked.limit)
    query = (
        "SELECT CASE WHEN fate = 'create' AND n >= %(beyond)s THEN 'beyond the limit'"
        f" ELSE fate END, count(*) FROM {EVENTS_OF} GROUP BY 1 ORDER BY 1"
    )
    counts: dict[str, int] = dict(fetch(conn, query, {"beyond": beyond}))
    creates, failed = counts.pop("create", 0), counts.pop(SAME_SECOND, 0)
    if not asked.dry_run:
        _insert(conn, names, asked, beyond)
    return Plan(
        rows,
        creates,
        skipped=counts,
        failed={SAME_SECOND: failed} if failed else {},
        samples=_samples(conn, beyond),
        dry_run=asked.dry_run,
    )


def _beyond(conn: sa.Connection, limit: int | None) -> int:
    query = f"SELECT n FROM {EVENTS_OF} WHERE fate = 'create' ORDER BY n OFFSET %(limit)s LIMIT 1"
    found = scalar(conn, query, {"limit": limit}) if limit is not None else None
    return 2**62 if found is None else int(found)


def _fates(names: Names, model: Model) -> str:
    """Each event with what becomes of it: create, same second, or why it is skipped.

    The first of a contact, name and second counts, unless the outbox holds one that did not fail.
    Where bodies were emptied, what is left of them is the same event.
    """
    return f"""
        WITH event AS ({_events(model)}), held AS ({_held(names)}),
        seen AS (
            SELECT e.n, bool_or(h.metadata = e.metadata OR h.is_emptied) AS same,
                bool_or(NOT h.has_failed) AS other
            FROM event e JOIN held h ON h.key = e.key AND h.event_name = e.event_name
                AND h.second = e.second GROUP BY e.n
        ), first AS (
            SELECT e.*, first_value(e.metadata) OVER (moment) AS leader,
                row_number() OVER (moment) AS place,
                row_number() OVER (PARTITION BY e.key, e.event_name, e.second, e.metadata
                    ORDER BY e.n) AS copy
            FROM event e WINDOW moment AS (PARTITION BY e.key, e.event_name, e.second ORDER BY e.n)
        )
        SELECT f.n, f.key, f.object_id, f.external_id, f.email, f.body, CASE
            WHEN s.same THEN 'already in the outbox'
            WHEN f.copy > 1 THEN 'twice in the model'
            WHEN s.other OR f.place > 1 THEN '{SAME_SECOND}'
            ELSE 'create' END AS fate
        FROM first f LEFT JOIN seen s ON s.n = f.n"""


def _events(model: Model) -> str:
    """The model's events with the key that is compared, their second and their body."""
    metadata = model.get("metadata")
    given = f"nullif(coalesce(s.{metadata.stage}, '{{}}'), 'null')" if metadata else "'{}'::jsonb"
    name, second = (f"s.{model.named(name)}" for name in ("event_name", "created_at"))
    keys = ", ".join(_key(model, name) for name in ("id", "external_id", "email"))
    return (
        f"SELECT *, jsonb_build_object('event_name', event_name, 'created_at', second)"
        " || CASE WHEN metadata = '{}' THEN '{}' ELSE jsonb_build_object('metadata', metadata) END"
        f" AS body FROM (SELECT s.n, {_named_key(model)} AS key, {keys}, {name} AS event_name,"
        f" {second}::bigint AS second, coalesce({given}, '{{}}') AS metadata FROM {STAGE} s"
        " OFFSET 0) e"
    )


def _named_key(model: Model) -> str:
    """The key with its name, as the outbox is read."""
    order = {str(n): given.key.outbox for n, given in enumerate(model.keys) if given.key}
    words = " ".join(f"WHEN '{n}' THEN '{outbox} '" for n, outbox in order.items())
    key = key_of(model)
    return f"CASE left({key}, 1) {words} END || substr({key}, 2)"


def _key(model: Model, name: str) -> str:
    given = model.get(name)
    outbox = "object_id" if name == "id" else name
    return f"{f's.{given.stage}' if given else 'NULL::text'} AS {outbox}"


def _held(names: Names) -> str:
    """The outbox's events by the same key."""
    number = "o.body ->> 'created_at'"
    return (
        "SELECT CASE WHEN o.object_id IS NOT NULL AND o.external_id IS NULL AND o.email IS NULL"
        " THEN 'object_id ' || o.object_id WHEN o.external_id IS NOT NULL"
        " THEN 'external_id ' || o.external_id ELSE 'email ' || lower(o.email) END AS key,"
        " o.body ->> 'event_name' AS event_name,"
        f" CASE WHEN {number} ~ '^-?[0-9]{{1,15}}([.][0-9]+)?$' THEN floor(({number})::numeric)"
        " END::bigint AS second, coalesce(o.body -> 'metadata', '{}') AS metadata,"
        " o.body -> 'metadata' = 'null' IS TRUE AS is_emptied,"
        f" o.state = 'failed' AS has_failed FROM {names('outbox')} o"
        " WHERE o.kind = 'events' AND jsonb_typeof(o.body) = 'object'"
    )


def _insert(conn: sa.Connection, names: Names, asked: Asked, beyond: int) -> None:
    chosen = f"FROM {EVENTS_OF} WHERE fate IN ('create', %(code)s) AND n < %(beyond)s"
    given = {"model": asked.model, "code": SAME_SECOND, "error": _ERROR, "beyond": beyond}
    put(
        conn,
        f"INSERT INTO {names('outbox')} (kind, op, object_id, external_id, email, body, model,"
        " state, error_code, error, done_at) SELECT 'events', 'create', object_id, external_id,"
        " email, body, %(model)s, CASE WHEN bad THEN 'failed' ELSE 'waiting' END,"
        " CASE WHEN bad THEN %(code)s END, CASE WHEN bad THEN %(error)s END,"
        f" CASE WHEN bad THEN now() END FROM (SELECT *, fate = %(code)s AS bad {chosen}) e"
        " ORDER BY n",
        given,
        scalar(conn, f"SELECT count(*) {chosen}", given),
    )


def _samples(conn: sa.Connection, beyond: int) -> tuple[Sample, ...]:
    query = (
        "SELECT coalesce(object_id, external_id, email), body"
        f" FROM {EVENTS_OF} WHERE fate = 'create' AND n < %(beyond)s ORDER BY n LIMIT {_SAMPLES}"
    )
    found = fetch(conn, query, {"beyond": beyond})
    return tuple(Sample("create", key, "", None, body) for key, body in found)
