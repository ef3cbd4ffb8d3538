"""Finds the object of each row: in the mirror, or in the outbox where the mirror lacks it yet.

A contact is named by its id, followed through merges; by external_id, which only users have of the
customer's; or by email, which names a user before a lead. Where several could be meant, or an email
names a user of another external_id, the row stays ``unclear``: the sender says so.
"""

from __future__ import annotations

import sqlalchemy as sa

from connector.push.kinds import CONTACTS, Type
from connector.push.planning.model.columns import Given, Model
from connector.push.planning.model.stage import STAGE
from connector.push.planning.values import from_column, from_json
from connector.resources.resource import Table
from connector.warehouse.sql.execute import execute, scalar
from connector.warehouse.sql.names import Names, literal, quote
from connector.warehouse.sql.rows import living
from connector.warehouse.views import identities

FOUND, ROWS = "pg_temp._push_found", "pg_temp._push_rows"


def match(conn: sa.Connection, names: Names, model: Model) -> None:
    """Fill ``ROWS``: the model's rows, each with its object's id and what the mirror holds.

    ``object_id`` is null where no object is known or the row is ``unclear``; ``used`` is the key by
    which it was found or will be; ``is_shown`` says whether the mirror holds the object.
    """
    assert model.kind.table
    execute(conn, f"DROP TABLE IF EXISTS {FOUND}, {ROWS}")
    columns = "n bigint, object_id text, unclear boolean, used text"
    execute(conn, f"CREATE TEMP TABLE {FOUND} ({columns}) ON COMMIT DROP")
    for given in model.keys:
        _look(conn, names, model, given)
    execute(
        conn, f"CREATE TEMP TABLE {ROWS} ON COMMIT DROP AS {_rows(names, model, model.kind.table)}"
    )
    execute(conn, f"ANALYZE {ROWS} (n, object_id)")


# -- which object -------------------------------------------------------------------------------


def _look(conn: sa.Connection, names: Names, model: Model, given: Given) -> None:
    """Find by one key the objects of rows that earlier keys did not find: mirror, then outbox."""
    for query in (_mirrored, _sent):
        rows, found = (scalar(conn, f"SELECT count(*) FROM {of}") for of in (STAGE, FOUND))
        if rows == found:
            return
        still = f"s.{given.stage} IS NOT NULL"
        if found:
            still += f" AND NOT EXISTS (SELECT FROM {FOUND} f WHERE f.n = s.n)"
        if (first := model.get("id")) and given is not first:
            still += f" AND s.{first.stage} IS NULL"
        execute(
            conn,
            f"INSERT INTO {FOUND} SELECT s.n, CASE WHEN NOT s.unclear THEN s.id END, s.unclear,"
            f" {literal(given.name)} FROM ({query(names, model, given)} WHERE {still}"
            " GROUP BY s.n) s",
        )
        execute(conn, f"ANALYZE {FOUND} (n)")


def _mirrored(names: Names, model: Model, given: Given) -> str:
    """Rows and living objects by that key: n, the id, whether several could be meant."""
    kind = model.kind
    assert given.key
    assert kind.table
    table, value = names(kind.table.name), f"s.{given.stage}"
    if given.type is Type.EMAIL:
        return _by_email(table, model, value)
    if given.name == "id" and kind is CONTACTS:
        return (
            f"SELECT s.n, min(c.id) AS id, false AS unclear FROM {STAGE} s"
            f" JOIN {identities.everyone(names)} ON i.contact_id = {value}"
            f" JOIN {table} c ON c.id = i.current_contact_id AND {living('c')}"
        )
    users = " AND c.role = 'user'" if kind is CONTACTS else ""
    return (
        f"SELECT s.n, min(c.id) AS id, count(*) > 1 AS unclear FROM {STAGE} s JOIN {table} c"
        f" ON c.{quote(given.key.column)} = {value} AND {living('c')}{users}"
    )


def _by_email(table: str, model: Model, value: str) -> str:
    """Users before leads; the user of another external_id than the model's is not clear."""
    users, leads = (f"FILTER (WHERE c.role = '{role}')" for role in ("user", "lead"))
    own = model.get("external_id")
    another = f"s.{own.stage} IS NOT NULL AND c.role = 'user'" if own else "false"
    return (
        f"SELECT s.n, coalesce(min(c.id) {users}, min(c.id) {leads}) AS id,"
        f" coalesce(nullif(count(*) {users}, 0), count(*) {leads}) > 1"
        f" OR bool_or({another} AND c.external_id IS NOT NULL) AS unclear FROM {STAGE} s"
        f" JOIN {table} c ON lower(btrim(c.email)) = lower({value}) AND {living('c')}"
    )


def _sent(names: Names, model: Model, given: Given) -> str:
    """The same of objects that the outbox made or met and of which the mirror knows nothing."""
    assert given.key
    assert model.kind.table
    column, value = f"o.{given.key.outbox}", f"s.{given.stage}"
    if given.type is Type.EMAIL:
        column, value = f"lower({column})", f"lower({value})"
    return (
        "SELECT s.n, (array_agg(o.object_id ORDER BY o.id DESC))[1] AS id, false AS unclear"
        f" FROM {STAGE} s JOIN {names('outbox')} o ON {column} = {value}"
        f" AND o.kind = {literal(model.kind.name)} AND o.object_id IS NOT NULL"
        " AND o.state <> 'failed' AND o.op NOT IN ('archive', 'delete')"
        f" AND NOT EXISTS (SELECT FROM {names(model.kind.table.name)} c"
        " WHERE c.id = o.object_id AND NOT c._placeholder)"
    )


# -- what it holds ------------------------------------------------------------------------------


def _rows(names: Names, model: Model, table: Table) -> str:
    person = model.kind is CONTACTS
    own = "CASE WHEN m.role = 'user' THEN m.external_id END" if person else "m.company_id"
    shown = "".join(f", {_shown(model, given)} AS {given.shown}" for given in model.fields)
    return (
        "SELECT s.*, f.object_id, coalesce(f.unclear, false) AS unclear,"
        f" coalesce(f.used, {_named(model)}) AS used, m.id IS NOT NULL AS is_shown,"
        f" {'m.role' if person else 'NULL::text'} AS at_role, {own} AS at_external_id,"
        f" {'m.email' if person else 'NULL::text'} AS at_email, m.updated_at AS at_updated_at,"
        f" m._read_at AS at_read_at{shown} FROM {STAGE} s LEFT JOIN {FOUND} f ON f.n = s.n"
        f" LEFT JOIN {names(table.name)} m ON m.id = f.object_id AND {living('m')}"
        f"{_custom(model, table)}"
    )


def _named(model: Model) -> str:
    """The key that names an object which is not known."""
    cases = (f"WHEN s.{given.stage} IS NOT NULL THEN {literal(given.name)}" for given in model.keys)
    return f"CASE {' '.join(cases)} END"


def _custom(model: Model, table: Table) -> str:
    """The custom attributes, each taken out of its map once."""
    values = [
        f"m.{table.attributes.column} -> {literal(given.path)} AS j{given.position}"
        for given in model.fields
        if given.custom
    ]
    return f" CROSS JOIN LATERAL (SELECT {', '.join(values)} OFFSET 0) j" if values else ""


def _shown(model: Model, given: Given) -> str:
    """The value of a field that the mirror holds, as text."""
    if given.custom:
        return from_json(given, f"j.j{given.position}")
    if model.kind is CONTACTS and given.name == "external_id":
        return "CASE WHEN m.role = 'user' THEN m.external_id END"
    return from_column(given, f"m.{quote(given.column)}")
