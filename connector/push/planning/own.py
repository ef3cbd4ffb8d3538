"""What was wished of the model's objects before and the mirror cannot show yet.

Of each field counts the newest wish that is unfinished, else the newest that is done and younger
than what the mirror holds. Failed ones count for nothing.
"""

from __future__ import annotations

import sqlalchemy as sa

from connector.push.kinds import CONTACTS
from connector.push.planning.match import ROWS
from connector.push.planning.model.columns import Model
from connector.warehouse.sql.execute import execute, scalar
from connector.warehouse.sql.names import Names, literal

HITS, SENT = "pg_temp._push_hits", "pg_temp._push_sent"
UNFINISHED = "o.state IN ('waiting', 'sending', 'sent', 'unknown')"
SEEN_AFTER = "interval '5 minutes'"  # after sending a read shows it
CUSTOM = "custom_attributes"
NEWEST = "(h.state = 'done'), h.id DESC"  # the order in which wishes count


def overlay(conn: sa.Connection, names: Names, model: Model) -> None:
    """Fill ``HITS``, wishes by row, and ``SENT``: of each such row one body of all of them."""
    execute(conn, f"DROP TABLE IF EXISTS {HITS}, {SENT}")
    execute(conn, f"CREATE TEMP TABLE {HITS} ON COMMIT DROP AS {_hits(names, model)}")
    execute(conn, f"ANALYZE {HITS} (n)")
    execute(conn, f"CREATE TEMP TABLE {SENT} ON COMMIT DROP AS {_sent()}")
    execute(conn, f"ANALYZE {SENT} (n)")


def is_any(conn: sa.Connection) -> bool:
    """Whether there is any such wish."""
    return bool(scalar(conn, f"SELECT EXISTS (SELECT FROM {SENT})"))


def _hits(names: Names, model: Model) -> str:
    kind = model.kind
    key = model.named("external_id" if kind is CONTACTS else "company_id")
    own, email = _of(key), _of(model.named("email"))
    wishes = (
        f"SELECT r.n, o.id, o.state, o.body FROM {ROWS} r JOIN {names('outbox')} o"
        f" ON o.kind = {literal(kind.name)} AND o.op IN ('upsert', 'update', 'create')"
        " AND jsonb_typeof(o.body) = 'object'"
    )
    unknown = f"o.object_id IS NULL AND {UNFINISHED}"
    ways = [f"{wishes} AND o.object_id = r.object_id WHERE {UNFINISHED} OR ({_not_mirrored()})"]
    ways.append(f"{wishes} AND o.external_id = coalesce(r.at_external_id, {own}) WHERE {unknown}")
    if kind is CONTACTS:
        at = f"lower(coalesce(r.at_email, {email}))"
        ways.append(f"{wishes} AND lower(o.email) = {at} WHERE o.external_id IS NULL AND {unknown}")
    return " UNION ALL ".join(ways)


def _of(column: str) -> str:
    return column if column.startswith("NULL") else f"r.{column}"


def _not_mirrored() -> str:
    """What is done and the mirror, as it is, cannot show; what was never sent ended otherwise."""
    return (
        "o.state = 'done' AND coalesce(o.confirmed_as_of, o.sent_at) IS NOT NULL"
        " AND CASE WHEN NOT r.is_shown THEN true"
        " WHEN o.confirmed_as_of IS NOT NULL"
        " THEN coalesce(r.at_updated_at < o.confirmed_as_of, true)"
        f" ELSE coalesce(r.at_read_at < o.sent_at + {SEEN_AFTER}, true) END"
    )


def _sent() -> str:
    """One wish is its own body; several are taken apart."""
    return f"""
        WITH one AS (
            SELECT h.n, count(*) AS wishes, (array_agg(h.body))[1] AS body
            FROM {HITS} h GROUP BY h.n
        ), fields AS (
            SELECT n, jsonb_object_agg(key, value) AS body
            FROM ({_newest(f"h.body - '{CUSTOM}'")}) f GROUP BY n
        ), custom AS (
            SELECT n, jsonb_build_object('{CUSTOM}', jsonb_object_agg(key, value)) AS body
            FROM ({_newest(f"h.body -> '{CUSTOM}'")}) c GROUP BY n
        )
        SELECT one.n, CASE WHEN one.wishes = 1 THEN one.body
            ELSE coalesce(fields.body, '{{}}') || coalesce(custom.body, '{{}}') END AS body
        FROM one LEFT JOIN fields ON fields.n = one.n LEFT JOIN custom ON custom.n = one.n"""


def _newest(source: str) -> str:
    """The newest entry of each key of a part of the bodies, where there are several bodies."""
    part = f"CASE WHEN jsonb_typeof({source}) = 'object' THEN {source} ELSE '{{}}' END"
    return (
        f"SELECT DISTINCT ON (h.n, e.key) h.n, e.key, e.value FROM {HITS} h"
        f" JOIN one ON one.n = h.n AND one.wishes > 1, jsonb_each({part}) e"
        f" ORDER BY h.n, e.key, {NEWEST}"
    )
