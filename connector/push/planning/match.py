"""Finds the object of each row: in the mirror, or in the outbox where the mirror lacks it yet.

A contact is named by its id, followed through merges; by external_id, which only users have of the
customer's; or by email, which names a user before a lead. Where several could be meant, or an email
names a user of another external_id, the row stays ``unclear``: the sender says so.
"""

from __future__ import annotations

import sqlalchemy as sa

from connector.push.kinds import CONTACTS, Kind, Type
from connector.push.planning.model.columns import Given, Model
from connector.push.planning.model.stage import STAGE
from connector.push.planning.values import from_column, from_json
from connector.resources.resource import Table
from connector.warehouse.sql.execute import execute
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
    execute(conn, f"CREATE TEMP TABLE {FOUND} ON COMMIT DROP AS {_found(names, model)}")
    execute(conn, f"ANALYZE {FOUND}")
    execute(
        conn, f"CREATE TEMP TABLE {ROWS} ON COMMIT DROP AS {_rows(names, model, model.kind.table)}"
    )
    execute(conn, f"ANALYZE {ROWS}")


# -- which object -------------------------------------------------------------------------------


def _found(names: Names, model: Model) -> str:
    """Each row's number with the object's id, whether it is unclear, and the key that found it.

    A key is looked for where those before it found nothing.
    """
    joins, ids, unclear, used = "", list[str](), ["false"], ""
    before: list[str] = []
    for number, given in enumerate(model.keys):
        mirror, own = f"a{number}", f"o{number}"
        still = "".join(f" AND {one} IS NULL" for one in before)
        value = f"s.{given.stage}"
        value = f"lower({value})" if given.type is Type.EMAIL else value
        joins += f" LEFT JOIN ({_mirrored(names, model.kind, given)}) {mirror}"
        joins += f" ON {mirror}.key = {value}{still}"
        joins += f" LEFT JOIN ({_sent(names, model.kind, given)}) {own}"
        joins += f" ON {own}.key = {value} AND {mirror}.id IS NULL{still}"
        doubt = f"{mirror}.many > 1{_doubt(model, given, mirror)}"
        ids += [f"CASE WHEN NOT ({doubt}) THEN {mirror}.id END", f"{own}.id"]
        unclear.append(f"coalesce({doubt}, false)")
        found = f"coalesce({mirror}.id, {own}.id)"
        used += f" WHEN {found} IS NOT NULL THEN {literal(given.name)}"
        before = [f"s.{given.stage}"] if given.name == "id" else [*before, found]
    used += "".join(f" WHEN s.{g.stage} IS NOT NULL THEN {literal(g.name)}" for g in model.keys)
    return (
        f"SELECT s.n, coalesce({', '.join(ids)}) AS object_id, {' OR '.join(unclear)} AS unclear,"
        f" CASE{used} END AS used FROM {STAGE} s{joins}"
    )


def _doubt(model: Model, given: Given, row: str) -> str:
    """More for which an email does not name the object: it is the user of another external_id."""
    own = model.get("external_id")
    return (
        f" OR ({row}.named AND s.{own.stage} IS NOT NULL)" if own and given.name == "email" else ""
    )


def _mirrored(names: Names, kind: Kind, given: Given) -> str:
    """Living objects by that key: key, id, how many, and whether named by another key too."""
    assert given.key
    assert kind.table
    table = names(kind.table.name)
    if given.name == "id":
        return _by_id(names, kind)
    column = f"c.{quote(given.key.column)}"
    if given.type is Type.EMAIL:
        users, leads = (f"FILTER (WHERE c.role = '{role}')" for role in ("user", "lead"))
        return (
            f"SELECT lower(btrim({column})) AS key, coalesce(min(c.id) {users}, min(c.id) {leads})"
            f" AS id, coalesce(nullif(count(*) {users}, 0), count(*) {leads}) AS many,"
            " bool_or(c.role = 'user' AND c.external_id IS NOT NULL) AS named"
            f" FROM {table} c WHERE {living('c')} AND {column} IS NOT NULL GROUP BY 1"
        )
    users = " AND c.role = 'user'" if kind is CONTACTS else ""
    return (
        f"SELECT {column} AS key, min(c.id) AS id, count(*) AS many, true AS named FROM {table} c"
        f" WHERE {living('c')}{users} AND {column} IS NOT NULL GROUP BY 1"
    )


def _by_id(names: Names, kind: Kind) -> str:
    assert kind.table
    table = names(kind.table.name)
    if kind is CONTACTS:
        return (
            f"SELECT i.contact_id AS key, c.id, 1 AS many, true AS named"
            f" FROM {identities.everyone(names)}"
            f" JOIN {table} c ON c.id = i.current_contact_id WHERE {living('c')}"
        )
    return f"SELECT c.id AS key, c.id, 1 AS many, true AS named FROM {table} c WHERE {living('c')}"


def _sent(names: Names, kind: Kind, given: Given) -> str:
    """Objects by that key that the outbox made or met, and of which the mirror knows nothing."""
    assert given.key
    assert kind.table
    column = f"o.{given.key.outbox}"
    column = f"lower(btrim({column}))" if given.type is Type.EMAIL else column
    return (
        f"SELECT DISTINCT ON (1) {column} AS key, o.object_id AS id FROM {names('outbox')} o"
        f" WHERE o.kind = {literal(kind.name)} AND o.object_id IS NOT NULL AND o.state <> 'failed'"
        f" AND o.op NOT IN ('archive', 'delete') AND {column} IS NOT NULL AND NOT EXISTS ("
        f"SELECT FROM {names(kind.table.name)} c WHERE c.id = o.object_id AND NOT c._placeholder)"
        " ORDER BY 1, o.id DESC"
    )


# -- what it holds ------------------------------------------------------------------------------


def _rows(names: Names, model: Model, table: Table) -> str:
    person = model.kind is CONTACTS
    own = "CASE WHEN m.role = 'user' THEN m.external_id END" if person else "m.company_id"
    shown = "".join(f", {_shown(model, given)} AS {given.shown}" for given in model.fields)
    return (
        "SELECT s.*, f.object_id, f.unclear, f.used, m.id IS NOT NULL AS is_shown,"
        f" {'m.role' if person else 'NULL::text'} AS at_role, {own} AS at_external_id,"
        f" {'m.email' if person else 'NULL::text'} AS at_email, m.updated_at AS at_updated_at,"
        f" m._read_at AS at_read_at{shown} FROM {STAGE} s JOIN {FOUND} f ON f.n = s.n"
        f" LEFT JOIN {names(table.name)} m ON m.id = f.object_id AND {living('m')}"
        f"{_custom(model, table)}"
    )


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
