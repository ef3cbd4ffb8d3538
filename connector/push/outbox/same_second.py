"""Intercom keeps one event of a contact, name and second: a second one would be lost in silence.

The same event again is no wish of its own; a different one of the same second fails, for it can
never be shown.
"""

from __future__ import annotations

import sqlalchemy as sa

from connector.warehouse.sql.execute import execute, names_of, scalar
from connector.warehouse.sql.names import literal

SAME_SECOND = "same second"
_ERROR = "Intercom keeps one event of a contact, name and second, and this second has another one"
_NEW = "o.kind = 'events' AND o.state = 'waiting' AND o.attempts = 0"
_SECOND = (
    "CASE WHEN o.body ->> 'created_at' ~ '^-?[0-9]{1,15}([.][0-9]+)?$'"
    " THEN floor((o.body ->> 'created_at')::numeric)::text END"
)
_MOMENT = f"jsonb_build_array(k.contact, o.body ->> 'event_name', {_SECOND})"
_CONTACTS = (
    "(VALUES ('id ' || o.object_id), ('external_id ' || o.external_id),"
    " (CASE WHEN o.external_id IS NULL THEN 'email ' || lower(o.email) END)) k (contact)"
)


def judge(conn: sa.Connection) -> None:
    """End waiting events that the outbox holds already, and those that cannot be beside them.

    The first of a second counts. What is kept of an old body has no metadata to compare: it counts
    as the same event.
    """
    outbox = names_of(conn)("outbox")
    if not scalar(conn, f"SELECT EXISTS (SELECT FROM {outbox} o WHERE {_NEW})"):
        return
    execute(
        conn,
        f"WITH moments AS MATERIALIZED (SELECT o.id, {_NEW} AS is_new, {_MOMENT} AS moment,"
        " coalesce(o.body -> 'metadata', '{}') AS metadata"
        f" FROM {outbox} o CROSS JOIN LATERAL {_CONTACTS}"
        " WHERE o.kind = 'events' AND o.state <> 'failed' AND k.contact IS NOT NULL"
        " AND jsonb_typeof(o.body) = 'object'),"
        " ranked AS (SELECT m.*, first_value(id) OVER w AS first,"
        " first_value(metadata) OVER w AS leader FROM moments m"
        " WHERE moment IN (SELECT moment FROM moments WHERE is_new)"
        " WINDOW w AS (PARTITION BY moment ORDER BY id)),"
        " judged AS (SELECT id, min(first) AS first,"
        " bool_or(leader IN (metadata, 'null')) AS same FROM ranked"
        " WHERE is_new AND first < id GROUP BY id)"
        f" UPDATE {outbox} o SET done_at = clock_timestamp(),"
        " state = CASE WHEN j.same THEN 'done' ELSE 'failed' END,"
        f" error_code = CASE WHEN j.same THEN 'replaced' ELSE {literal(SAME_SECOND)} END,"
        f" error = CASE WHEN j.same THEN 'the same event as ' ELSE {literal(_ERROR + ': ')} END"
        " || j.first FROM judged j WHERE j.id = o.id",
    )
