"""Intercom keeps one event of a contact, name and second: a second one would be lost in silence.

The same event again is no wish of its own; a different one of the same second fails, for it can
never be shown.
"""

from __future__ import annotations

import sqlalchemy as sa

from connector.warehouse.sql.execute import execute, names_of
from connector.warehouse.sql.names import literal

SAME_SECOND = "same second"
_ERROR = "Intercom keeps one event of a contact, name and second, and this second has another one"
SECOND = (
    "CASE WHEN {0}.body ->> 'created_at' ~ '^-?[0-9]{{1,15}}([.][0-9]+)?$'"
    " THEN floor(({0}.body ->> 'created_at')::numeric) END"
)
# What is kept of an old body has no metadata to compare: it counts as the same event.
SAME = (
    "({0}.body -> 'metadata' = 'null'"
    " OR coalesce({0}.body -> 'metadata', '{{}}') = coalesce({1}.body -> 'metadata', '{{}}'))"
)


def judge(conn: sa.Connection) -> None:
    """End waiting events that the outbox holds already, and those that cannot be beside them."""
    outbox = names_of(conn)("outbox")
    # One join for each key: a join by any of them would compare each event with each.
    pairs = " UNION ALL ".join(
        f"SELECT o.id, e.id AS other, {SAME.format('e', 'o')} AS same FROM {outbox} o"
        f" JOIN {outbox} e ON e.kind = 'events' AND {same_contact}"
        " AND e.body ->> 'event_name' = o.body ->> 'event_name'"
        f" AND {SECOND.format('e')} = {SECOND.format('o')}"
        " AND e.id < o.id AND e.state <> 'failed' AND jsonb_typeof(e.body) = 'object'"
        " WHERE o.kind = 'events' AND o.state = 'waiting' AND o.attempts = 0"
        for same_contact in (
            "e.object_id = o.object_id",
            "e.external_id = o.external_id",
            "lower(e.email) = lower(o.email) AND e.external_id IS NULL AND o.external_id IS NULL",
        )
    )
    execute(
        conn,
        f"UPDATE {outbox} o SET done_at = clock_timestamp(),"
        " state = CASE WHEN f.same THEN 'done' ELSE 'failed' END,"
        f" error_code = CASE WHEN f.same THEN 'replaced' ELSE {literal(SAME_SECOND)} END,"
        f" error = CASE WHEN f.same THEN 'the same event as ' ELSE {literal(_ERROR + ': ')} END"
        " || f.other FROM (SELECT id, bool_or(same) AS same, min(other) AS other"
        f" FROM ({pairs}) p GROUP BY id) f WHERE f.id = o.id",
    )
