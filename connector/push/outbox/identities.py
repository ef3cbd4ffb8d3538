"""Which object a wish means: found in the mirror and in the outbox, never by a search.

A search is late, and what is resolved by it is created twice. ``external_id`` wins over ``email``,
and names users only: that of a lead is Intercom's own. What neither the mirror nor the outbox
knows is created, and Intercom's own 409 names the one that exists.
"""

from __future__ import annotations

import sqlalchemy as sa

from connector.push.kinds import COMPANIES, CONTACTS, EVENTS
from connector.push.outbox import malformed
from connector.push.outbox.wish import none_other
from connector.warehouse.sql.execute import execute, names_of
from connector.warehouse.sql.names import literal, quote
from connector.warehouse.sql.rows import living
from connector.warehouse.views.identities import everyone

DUE = "(o.not_before IS NULL OR o.not_before <= clock_timestamp())"
IN_FLIGHT = "u.state IN ('sending', 'sent', 'unknown')"


def resolve(conn: sa.Connection) -> None:
    """Fill ``object_id`` of what waits, as far as it is known; end what can be no wish.

    What waits behind another wish for the same object is left alone.
    """
    malformed.refuse(conn)
    _follow_merges(conn)
    for kind in (CONTACTS, EVENTS):
        _find_contacts(conn, kind.name)
    _find_companies(conn)
    _fail_by_op(conn)


def _follow_merges(conn: sa.Connection) -> None:
    """A contact that was merged away is the one that it was merged into."""
    names = names_of(conn)
    persons = names("contacts")
    execute(
        conn,
        f"UPDATE {names('outbox')} o SET object_id = i.current_contact_id"
        f" FROM {everyone(names)}, {persons} c WHERE o.state = 'waiting'"
        " AND o.kind IN ('contacts', 'events') AND c.id = o.object_id"
        " AND c._deleted_at IS NOT NULL AND i.contact_id = o.object_id"
        " AND i.current_contact_id <> o.object_id",
    )


_CANDIDATES = """
    SELECT o.id, o.op, o.external_id, lower(o.email) AS email,
        coalesce(o.body ->> 'role', o.role, 'user') AS role
    FROM {outbox} o
    WHERE o.state = 'waiting' AND o.kind = {kind} AND o.object_id IS NULL AND {due} AND {free}
"""

_FOUND = """
    WITH w AS MATERIALIZED ({candidates}),
    by_external_id AS MATERIALIZED (
        SELECT w.id, array_agg(DISTINCT f.contact_id) AS ids FROM w JOIN (
            SELECT c.external_id, c.id AS contact_id FROM {contacts} c
            WHERE {living} AND c.role = 'user' AND c.external_id IS NOT NULL
            UNION ALL
            SELECT d.external_id, d.object_id FROM {made}
            AND d.external_id IS NOT NULL
        ) f USING (external_id) GROUP BY w.id),
    by_email AS MATERIALIZED (
        SELECT w.id,
            array_agg(DISTINCT f.contact_id ORDER BY f.contact_id)
                FILTER (WHERE f.role = 'user') AS users,
            array_agg(DISTINCT f.contact_id ORDER BY f.contact_id)
                FILTER (WHERE f.role = 'lead') AS leads,
            array_agg(DISTINCT f.contact_id ORDER BY f.contact_id)
                FILTER (WHERE f.role = 'user' AND f.external_id IS NULL) AS unnamed
        FROM w JOIN (
            SELECT lower(c.email) AS email, c.id AS contact_id, c.role,
                CASE WHEN c.role = 'user' THEN c.external_id END AS external_id
            FROM {contacts} c WHERE {living} AND c.email IS NOT NULL
            UNION ALL
            SELECT lower(d.email), d.object_id, coalesce(d.body ->> 'role', d.role, 'user'),
                d.external_id
            FROM {made} AND d.email IS NOT NULL
        ) f USING (email) GROUP BY w.id),
    judged AS (
        SELECT w.id, w.op, w.role, x.ids IS NOT NULL AS by_external_id, CASE
            WHEN cardinality(x.ids) = 1 AND e.users IS NOT NULL
                AND NOT x.ids[1] = ANY (e.users) THEN 'conflict'
            WHEN x.ids IS NOT NULL THEN CASE WHEN cardinality(x.ids) = 1 THEN 'found'
                ELSE 'ambiguous' END
            WHEN w.external_id IS NOT NULL AND e.users IS NOT NULL THEN CASE
                WHEN cardinality(e.users) > 1 THEN 'ambiguous'
                WHEN e.unnamed IS NULL THEN 'conflict' ELSE 'found' END
            WHEN w.op = 'create' AND w.role = 'lead' THEN 'none'
            WHEN e.users IS NOT NULL THEN CASE WHEN cardinality(e.users) = 1 THEN 'found'
                ELSE 'ambiguous' END
            WHEN e.leads IS NOT NULL THEN CASE WHEN cardinality(e.leads) = 1 THEN 'found'
                ELSE 'ambiguous' END
            ELSE 'none' END AS verdict,
            coalesce(x.ids, e.users, e.leads) AS ids,
            CASE WHEN x.ids IS NOT NULL THEN e.users ELSE coalesce(e.users, e.leads) END AS others
        FROM w LEFT JOIN by_external_id x USING (id) LEFT JOIN by_email e USING (id))
"""


def _find_contacts(conn: sa.Connection, kind: str) -> None:
    names = names_of(conn)
    outbox, contacts = names("outbox"), names("contacts")
    gone = (
        f"EXISTS (SELECT FROM {contacts} c WHERE c.id = d.object_id AND c._deleted_at IS NOT NULL)"
    )
    made = (
        f"{outbox} d WHERE d.kind = 'contacts' AND d.state = 'done' AND d.object_id IS NOT NULL"
        f" AND d.op IN ('upsert', 'update', 'create') AND NOT {gone}"
        f" AND NOT EXISTS (SELECT FROM {outbox} l WHERE l.kind = 'contacts' AND l.state = 'done'"
        " AND l.object_id = d.object_id AND l.op IN ('archive', 'delete') AND l.id > d.id)"
    )
    # A contact that was found by its email gets the external id, and a lead that has one is a user.
    named = (
        "j.verdict = 'found' AND NOT j.by_external_id AND o.external_id IS NOT NULL"
        " AND j.role = 'user' AND o.kind = 'contacts' AND o.op IN ('upsert', 'update')"
    )
    found = _FOUND.format(
        candidates=_CANDIDATES.format(
            outbox=outbox,
            kind=literal(kind),
            due=DUE,
            free=none_other(conn, "'contacts'", IN_FLIGHT),
        ),
        contacts=contacts,
        living=living("c"),
        made=made,
    )
    execute(
        conn,
        f"{found} UPDATE {outbox} o SET"
        " object_id = CASE WHEN j.verdict = 'found' THEN j.ids[1] END,"
        f" body = CASE WHEN {named} THEN coalesce(nullif(o.body, 'null'), '{{}}')"
        " || jsonb_build_object("
        "'external_id', o.external_id, 'role', j.role) ELSE o.body END,"
        " state = CASE WHEN j.verdict IN ('conflict', 'ambiguous') THEN 'failed' ELSE o.state END,"
        " error_code = CASE WHEN j.verdict IN ('conflict', 'ambiguous') THEN j.verdict"
        " ELSE o.error_code END,"
        " done_at = CASE WHEN j.verdict IN ('conflict', 'ambiguous') THEN clock_timestamp() END,"
        " error = CASE j.verdict WHEN 'conflict' THEN"
        " 'external_id and email name different contacts: the email belongs to '"
        " || array_to_string(j.others, ', ') WHEN 'ambiguous' THEN"
        " 'several contacts are meant: ' || array_to_string(j.ids, ', ') ELSE o.error END"
        " FROM judged j WHERE j.id = o.id AND j.verdict <> 'none'",
    )


def _find_companies(conn: sa.Connection) -> None:
    names, kind = names_of(conn), COMPANIES
    assert kind.table
    column = quote(kind.keys[1].column)
    execute(
        conn,
        f"UPDATE {names('outbox')} o SET object_id = c.id FROM {names(kind.table.name)} c"
        f" WHERE o.state = 'waiting' AND o.kind = {literal(kind.name)} AND o.object_id IS NULL"
        f" AND c.{column} = o.external_id AND {living('c')}",
    )


def _fail_by_op(conn: sa.Connection) -> None:
    """End what is to be created and exists, and what is to be changed and does not."""
    free = none_other(conn, "o.kind", IN_FLIGHT + " AND u.id < o.id")
    earlier = none_other(conn, "o.kind", "u.state = 'waiting' AND u.id < o.id")
    malformed.fail(
        conn,
        "o.kind IN ('contacts', 'companies') AND o.op = 'create' AND o.object_id IS NOT NULL"
        f" AND o.attempts = 0 AND {free}",
        "exists",
        "'it exists already: ' || o.object_id",
    )
    malformed.fail(
        conn,
        "o.kind IN ('contacts', 'companies') AND o.op IN ('update', 'archive', 'delete')"
        f" AND o.object_id IS NULL AND {DUE} AND {free} AND {earlier}",
        "not_found",
        "'neither the mirror nor the outbox knows it'",
    )
