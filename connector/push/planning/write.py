"""Puts what differs into the outbox, and keeps digests of what was found equal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from connector.errors import RowRefusedError
from connector.push.kinds import CONTACTS
from connector.push.planning.asked import Asked
from connector.push.planning.compare import OUTCOME
from connector.push.planning.match import ROWS
from connector.push.planning.model.columns import Model
from connector.push.planning.own import CUSTOM
from connector.warehouse.schema import damage
from connector.warehouse.sql.execute import execute
from connector.warehouse.sql.names import Names, literal
from connector.warehouse.state.tables import OUTBOX

WRITTEN = "x.state IN ('create', 'update')"


def write(
    conn: sa.Connection, names: Names, asked: Asked, model: Model, beyond: int, number: int
) -> int:
    """Write all wishes before the row of that number, so many; how many drifts are reported."""
    parameters = {"model": asked.model, "beyond": beyond}
    put(conn, _wishes(names, asked, model), parameters, number)
    _write_digests(conn, names, model)
    if asked.on_drift != "report":
        return 0
    return execute(conn, _reports(names, asked, model), parameters).rowcount


def put(conn: sa.Connection, statement: str, parameters: Mapping[str, Any], number: int) -> None:
    """Insert so many wishes into the outbox; RowRefusedError where it does not take them all."""
    taken = execute(conn, statement, parameters).rowcount
    if taken != number:
        raise RowRefusedError(
            f"of {number:,} wishes it takes {taken:,}; {damage.keeping(conn, OUTBOX.name)}"
        )


def _wishes(names: Names, asked: Asked, model: Model) -> str:
    return (
        f"INSERT INTO {names('outbox')} (kind, op, role, object_id, external_id, email, body,"
        f" before, model) SELECT {literal(model.kind.name)}, {literal(asked.mode)},"
        f" {_identity(model)}, x.body, x.before, %(model)s FROM {OUTCOME} x"
        f" JOIN {ROWS} r ON r.n = x.n"
        f" WHERE {WRITTEN} AND x.n < %(beyond)s ORDER BY x.n"
    )


def _identity(model: Model) -> str:
    """The role and the keys of the object: the email only where it names the object."""
    if model.kind is not CONTACTS:
        own = model.named("company_id")
        own = own if own.startswith("NULL") else f"r.{own}"
        return f"NULL, r.object_id, coalesce({own}, r.at_external_id), NULL"
    role, own, email = (
        column if column.startswith("NULL") else f"r.{column}"
        for column in map(model.named, ("role", "external_id", "email"))
    )
    is_named = "r.used = 'email' OR x.state = 'create'"
    return (
        f"CASE WHEN r.at_role = 'user' THEN 'user' WHEN {role} IS NOT NULL THEN {role}"
        f" WHEN r.at_role = 'lead' AND {own} IS NULL THEN 'lead'"
        " WHEN r.object_id IS NULL OR r.at_role IS NOT NULL THEN 'user' END,"
        f" r.object_id, coalesce({own}, r.at_external_id), CASE WHEN {is_named} THEN {email} END"
    )


def _write_digests(conn: sa.Connection, names: Names, model: Model) -> None:
    execute(
        conn,
        f"INSERT INTO {names('push_digests')} AS p (kind, object_id, digests)"
        f" SELECT {literal(model.kind.name)}, x.object_id, x.digests FROM {OUTCOME} x"
        " WHERE x.digests IS NOT NULL ORDER BY x.object_id ON CONFLICT (kind, object_id)"
        " DO UPDATE SET digests = p.digests || excluded.digests",
    )


# -- drift --------------------------------------------------------------------------------------


def _reports(names: Names, asked: Asked, model: Model) -> str:
    """A failed wish for each object that drifted, unless its newest one says the very same."""
    kind, outbox = literal(model.kind.name), names("outbox")
    last = (
        f"(SELECT n.body -> e.key FROM {outbox} o, LATERAL (SELECT o.body - '{CUSTOM}' ||"
        f" coalesce(o.body -> '{CUSTOM}', '{{}}') AS body) n WHERE o.kind = {kind}"
        " AND o.object_id = x.object_id AND o.state = 'done' AND n.body ? e.key"
        " ORDER BY o.id DESC LIMIT 1)"
    )
    told = (
        f"(SELECT string_agg(format('%s: last pushed %s, now %s, wished %s', e.key,"
        f" coalesce({last}::text, 'a value no longer kept'), now.value, e.value), '; '"
        f" ORDER BY e.key) FROM {_fields('x.drift')} e JOIN {_fields('x.drift_before')} now"
        " ON now.key = e.key)"
    )
    return (
        f"INSERT INTO {outbox} (kind, op, role, object_id, external_id, email, body, before, model,"
        f" state, error_code, error, done_at) SELECT {kind}, {literal(asked.mode)},"
        f" {_identity(model)}, x.drift, x.drift_before, %(model)s, 'failed', 'drift',"
        f" 'changed at Intercom since it was last pushed: ' || t.told, now() FROM {OUTCOME} x"
        f" JOIN {ROWS} r ON r.n = x.n CROSS JOIN LATERAL (SELECT {told} AS told) t"
        " WHERE x.drift IS NOT NULL AND x.state IN ('update', 'unchanged') AND x.n < %(beyond)s"
        " AND NOT EXISTS (SELECT FROM (SELECT o.error_code, o.state, o.body, o.before"
        f" FROM {outbox} o WHERE o.kind = {kind} AND o.object_id = x.object_id"
        " ORDER BY o.id DESC LIMIT 1) o WHERE o.state = 'failed' AND o.error_code = 'drift'"
        " AND o.body = x.drift AND o.before = x.drift_before) ORDER BY x.n"
    )


def _fields(body: str) -> str:
    """The entries of a body, those of custom attributes beside the others."""
    return f"jsonb_each({body} - '{CUSTOM}' || coalesce({body} -> '{CUSTOM}', '{{}}'))"
