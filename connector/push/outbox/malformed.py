"""Ends what can be no wish: what names no object, what no kind takes, bodies of another form."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from connector.push.kinds import KINDS, Kind, Type
from connector.warehouse.sql.execute import execute, names_of
from connector.warehouse.sql.names import literal
from connector.warehouse.values.instants import FIRST_SECOND, MILLISECONDS_FROM

_IS_OBJECT = "jsonb_typeof({value}) = 'object'"
_TEXTS = (
    "({value} -> '{name}' IS NULL OR CASE jsonb_typeof({value} -> '{name}') WHEN 'array' THEN"
    " NOT EXISTS (SELECT FROM jsonb_array_elements({value} -> '{name}') e"
    " WHERE jsonb_typeof(e) <> 'string' OR e = '\"\"') ELSE false END)"
)
_ID = "^[A-Za-z0-9_-]{1,64}$"
_TAGS = (
    f"CASE WHEN {_IS_OBJECT} THEN {_TEXTS.replace('{name}', 'add')}"
    f" AND {_TEXTS.replace('{name}', 'remove')} AND {{value}} - ARRAY['add', 'remove'] = '{{}}'"
    " ELSE false END"
)
_COMPANIES = (
    "CASE jsonb_typeof({value}) WHEN 'array' THEN NOT EXISTS (SELECT"
    " FROM jsonb_array_elements({value}) e WHERE NOT CASE jsonb_typeof(e)"
    " WHEN 'object' THEN jsonb_typeof(e -> 'company_id') IN ('string', 'number')"
    " AND e ->> 'company_id' <> '' AND e - ARRAY['company_id', 'name', 'remove'] = '{}'"
    " ELSE false END) ELSE false END"
)
FORMS = {
    "custom_attributes": (_IS_OBJECT, "an object"),
    "metadata": (_IS_OBJECT, "an object"),
    "tags": (_TAGS, 'an object with lists of names, as {"add": ["VIP"], "remove": ["old"]}'),
    "companies": (_COMPANIES, 'a list of objects with company_id, as [{"company_id": "c1"}]'),
}
"""What of a body must have a form: the condition on its value, and the form in words."""

DEEPEST = 8
"""Levels of a body at most, more than Intercom takes: what is deeper, no driver reads."""

_ROLE = "coalesce(o.body ->> 'role', o.role, 'user')"
_NO_KEY = (
    "o.object_id IS NULL AND nullif(o.external_id, '') IS NULL AND nullif(o.email, '') IS NULL"
)
# A contact that is created may be named by its body alone, a lead by nothing.
_MAY_BE_NEW = (
    "(o.kind = 'contacts' AND o.op IN ('upsert', 'create') AND (o.body ?| ARRAY['external_id',"
    f" 'email'] OR {_ROLE} = 'lead') OR o.kind = 'companies' AND o.body ->> 'company_id' <> '')"
)


def refuse(conn: sa.Connection) -> None:
    """End what can be no wish, each with what is wrong; keys that only a body names are set."""
    _fail_forms(conn)
    for kind in KINDS.values():
        ops = ", ".join(map(literal, kind.ops))
        told = literal(f"{kind.name} take {', '.join(kind.ops)}, not ")
        of_kind = f"o.kind = {literal(kind.name)} AND o.op NOT IN ({ops})"
        _malformed(conn, of_kind, f"{told} || o.op")
    _fail_unknown_fields(conn)
    _malformed(
        conn,
        f"o.object_id !~ {literal(_ID)}",
        "'object_id must be an id of Intercom''s: letters, digits, - and _'",
    )
    _malformed(
        conn,
        "o.kind = 'events' AND NOT coalesce(o.body, '{}') ? 'event_name'",
        "'body names no event_name'",
    )
    role = "CASE WHEN o.body ? 'role' THEN coalesce(o.body ->> 'role', 'null') ELSE o.role END"
    _malformed(
        conn,
        f"o.kind = 'contacts' AND {role} NOT IN ('user', 'lead')",
        f"'role must be user or lead, not ' || {role}",
    )
    _malformed(
        conn,
        "o.kind = 'companies' AND o.body ->> 'company_id' <> nullif(o.external_id, '')",
        "'company_id never changes: body and external_id name different companies'",
    )
    _fail_instants(conn)
    _malformed(
        conn,
        f"o.kind <> 'tags' AND {_NO_KEY} AND NOT ({_MAY_BE_NEW})",
        "'names no object: object_id, external_id and email are empty'",
    )
    _take_keys_of_bodies(conn)


def _fail_forms(conn: sa.Connection) -> None:
    _malformed(
        conn,
        f"jsonb_path_exists(o.body, 'strict $.**{{{DEEPEST}}}')",
        f"'body has more than {DEEPEST} levels of objects and lists'",
    )
    _malformed(
        conn,
        "jsonb_typeof(o.body) NOT IN ('object', 'null')",
        "'body must be a JSON object, and is of type ' || jsonb_typeof(o.body)",
    )
    for name, (condition, form) in FORMS.items():
        value = f"(o.body -> {literal(name)})"
        wrong = f"{value} IS NOT NULL AND NOT ({condition.replace('{value}', value)})"
        _malformed(conn, wrong, literal(f"{name} must be {form}"))


def _fail_unknown_fields(conn: sa.Connection) -> None:
    """Intercom passes over what it does not know: a misspelled field would be lost in silence."""
    for kind in KINDS.values():
        known = {field.name for field in kind.fields} | {*kind.lists, *kind.passed}
        known |= {"custom_attributes"} if kind.custom else set()
        _fail_keys(conn, kind, known)
        names = ", ".join(map(literal, sorted(known)))
        unknown = (
            "(SELECT min(k) FROM jsonb_object_keys(CASE jsonb_typeof(o.body) WHEN 'object' THEN"
            f" o.body ELSE '{{}}' END) k WHERE k NOT IN ({names}))"
        )
        told = literal(f"no field of {kind.name} that can be written: ")
        _malformed(
            conn, f"o.kind = {literal(kind.name)} AND {unknown} IS NOT NULL", f"{told} || {unknown}"
        )


def _fail_keys(conn: sa.Connection, kind: Kind, known: Collection[str]) -> None:
    """What names the object and is no field of it: it is passed over, or names another object."""
    for key in kind.keys:
        if key.name not in known:
            _malformed(
                conn,
                f"o.kind = {literal(kind.name)} AND jsonb_typeof(o.body) = 'object'"
                f" AND o.body ? {literal(key.name)}",
                literal(f"{key.name} is no field: the column {key.outbox} names the object"),
            )


def _fail_instants(conn: sa.Connection) -> None:
    for kind in KINDS.values():
        for name in (field.name for field in kind.fields if field.type is Type.INSTANT):
            number = f"(o.body ->> {literal(name)})::numeric"
            beyond = f"{number} >= {MILLISECONDS_FROM} OR {number} < {FIRST_SECOND}"
            is_number = f"jsonb_typeof(o.body -> {literal(name)}) = 'number'"
            _malformed(
                conn,
                f"o.kind = {literal(kind.name)} AND CASE WHEN {is_number} THEN {beyond} END",
                literal(f"{name} must be in Unix seconds"),
            )


def _take_keys_of_bodies(conn: sa.Connection) -> None:
    """What only the body names names the object as well."""
    execute(
        conn,
        f"UPDATE {names_of(conn)('outbox')} o SET"
        " external_id = coalesce(nullif(o.external_id, ''), o.body ->> 'external_id'),"
        " email = coalesce(nullif(o.email, ''), o.body ->> 'email')"
        f" WHERE o.state = 'waiting' AND o.kind = 'contacts' AND {_NO_KEY}"
        " AND (o.body ?| ARRAY['external_id', 'email'] OR o.email = '' OR o.external_id = '')",
    )
    execute(
        conn,
        f"UPDATE {names_of(conn)('outbox')} o SET external_id = o.body ->> 'company_id'"
        f" WHERE o.state = 'waiting' AND o.kind = 'companies' AND {_NO_KEY}"
        " AND o.body ? 'company_id'",
    )


def _malformed(conn: sa.Connection, where: str, error: str) -> None:
    fail(conn, where, "malformed", error)


def fail(conn: sa.Connection, where: str, code: str, error: str) -> None:
    """End waiting wishes; ``error`` is SQL."""
    execute(
        conn,
        f"UPDATE {names_of(conn)('outbox')} o SET state = 'failed', error_code = {literal(code)},"
        f" error = {error}, done_at = clock_timestamp() WHERE o.state = 'waiting' AND ({where})",
    )
