"""Refuses a staged model with a row that cannot be sent, before anything is planned.

Emails are trimmed and compared in any case; other keys are taken as they are, and one with a space
at its ends, or an empty one, is refused.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from connector.push.kinds import CONTACTS, EVENTS, Type
from connector.push.planning.asked import Asked
from connector.push.planning.model.columns import Given, Model
from connector.push.planning.model.stage import STAGE
from connector.warehouse.sql.execute import fetch
from connector.warehouse.values.instants import FIRST_SECOND, MILLISECONDS_FROM

_EXAMPLES, _SHOWN, _METADATA = 3, 4, 10
_LARGEST_MONEY = 2**31 - 1
_NESTED = (
    "EXISTS (SELECT FROM jsonb_each({}) m WHERE jsonb_typeof(m.value) = 'array'"
    " OR jsonb_typeof(m.value) = 'object' AND NOT ((m.value - ARRAY['url', 'value'] = '{{}}'"
    " AND m.value ?& ARRAY['url', 'value'] OR m.value - ARRAY['amount', 'currency'] = '{{}}'"
    " AND m.value ?& ARRAY['amount', 'currency'])"
    " AND NOT jsonb_path_exists(m.value, 'strict $.**{{2}}')))"
)
_ROWS = "min(n) AS first, max(n) AS last, count(*) AS rows"  # of a group
Check = tuple[str, str]  # a condition that no row may meet, and what is wrong with such rows


def check_rows(conn: sa.Connection, asked: Asked, model: Model) -> int:
    """The number of rows; SettingsError says which are wrong and gives examples."""
    checks = list(_checks(model))
    counted = ", ".join(f"count(*) FILTER (WHERE {condition})" for condition, _ in checks)
    [(rows, *wrong)] = fetch(conn, f"SELECT count(*), {counted} FROM {STAGE}")
    for number, (condition, what) in zip(wrong, checks, strict=True):
        if number:
            raise asked.wrong(f"{_rows(number)} {what}; {_examples(conn, model, condition)}")
    if asked.kind is not EVENTS:
        _check_unique(conn, asked, model)
    return int(rows)


def _rows(number: int) -> str:
    return "1 row has" if number == 1 else f"{number:,} rows have"


def _examples(conn: sa.Connection, model: Model, condition: str) -> str:
    """The first such rows: their numbers and first columns."""
    shown = model.columns[:_SHOWN]
    values = ", ".join(f"left({given.stage}::text, 40)" for given in shown)
    query = f"SELECT n, {values} FROM {STAGE} WHERE {condition} ORDER BY n LIMIT {_EXAMPLES}"
    found = [f"row {n} ({', '.join(_pairs(shown, values))})" for n, *values in fetch(conn, query)]
    return "as " + ", ".join(found)


def _pairs(columns: tuple[Given, ...], values: list[str | None]) -> Iterator[str]:
    for given, value in zip(columns, values, strict=True):
        yield f"{given.name} is NULL" if value is None else f"{given.name} {value!r}"


# -- what is wrong with one row -----------------------------------------------------------------


def _checks(model: Model) -> Iterator[Check]:
    names = " and ".join(given.name for given in model.keys)
    nothing = " AND ".join(f"{given.stage} IS NULL" for given in model.keys)
    yield nothing, f"no key: {names} {'is' if len(model.keys) == 1 else 'are'} NULL"
    for given in model.columns:
        yield from _of_column(given)
    if model.kind is EVENTS:
        yield from _of_events(model)
    if model.kind is CONTACTS:
        yield from _of_contacts(model)
    yield from _of_lists(model)


def _of_column(given: Given) -> Iterator[Check]:
    c = given.stage
    if given.key or given.name in ("company_id", "event_name"):
        yield f"{c} = ''", f"an empty {given.name}; use NULLIF({given.name}, '')"
    if (given.key and given.type is not Type.EMAIL) or given.name == "company_id":
        yield f"{c} <> btrim({c}, E' \\t\\n\\r')", f"a {given.name} with spaces at its ends"
    if given.type is Type.EMAIL:
        yield f"{c} <> '' AND strpos({c}, '@') = 0", f"an {given.name} without @"
    if given.type in (Type.INTEGER, Type.NUMBER):
        yield f"{c} IN ('NaN', 'Infinity', '-Infinity')", f"no finite number in {given.name}"
    if given.type is Type.INTEGER:
        yield f"strpos({c}, '.') > 0", f"no whole number in {given.name}; round it"
        size = f"abs({c}::numeric) > {_LARGEST_MONEY}"
        if not given.custom:
            yield size, f"a {given.name} beyond {_LARGEST_MONEY:,}, which Intercom does not take"
    if given.type is Type.INSTANT:
        beyond = f"{c}::numeric >= {MILLISECONDS_FROM} OR {c}::numeric < {FIRST_SECOND}"
        yield beyond, f"no instant in {given.name}: infinity, or not in seconds"


def _of_events(model: Model) -> Iterator[Check]:
    for field in EVENTS.fields:
        yield f"{model.named(field.name)} IS NULL", f"no {field.name}"
    if metadata := model.get("metadata"):
        c = metadata.stage
        is_object = f"jsonb_typeof({c}) = 'object'"
        yield f"jsonb_typeof({c}) NOT IN ('object', 'null')", "a metadata that is no JSON object"
        keys = f"(SELECT count(*) FROM jsonb_object_keys({c}))"
        yield (
            f"CASE WHEN {is_object} THEN {keys} > {_METADATA} END",
            f"a metadata with over {_METADATA} keys, which is all that Intercom takes",
        )
        yield (
            f"CASE WHEN {is_object} THEN {_NESTED.format(c)} END",
            "a metadata with lists or other objects in it; Intercom takes single values, a link as"
            " {url, value} and an amount as {amount, currency}",
        )


def _of_contacts(model: Model) -> Iterator[Check]:
    role, own = model.get("role"), model.get("external_id")
    if role:
        yield f"{role.stage} NOT IN ('user', 'lead')", "a role that is neither user nor lead"
    if role and own:
        yield (
            f"{role.stage} = 'lead' AND {own.stage} IS NOT NULL",
            "the role lead and an external_id, which Intercom itself gives to leads",
        )


def _of_lists(model: Model) -> Iterator[Check]:
    add, remove = model.get("tags_add"), model.get("tags_remove")
    for given in (add, remove):
        if given:
            yield f"'' = ANY ({given.stage})", f"an empty name in {given.name}"
    if add and remove:
        both = f"lower({add.stage}::text)::text[] && lower({remove.stage}::text)::text[]"
        yield both, "the same tag in tags_add and tags_remove"
    if name := model.get("company_name"):
        missing = f"{name.stage} IS NOT NULL AND {model.named('company_id')} IS NULL"
        yield missing, "a company_name without company_id"


# -- what is wrong with several -----------------------------------------------------------------


def key_of(model: Model) -> str:
    """The key that names a row's object, as it is compared: with a letter for which it is."""
    texts = [
        f"'{number}' || {f'lower({g.stage})' if g.type is Type.EMAIL else g.stage}"
        for number, g in enumerate(model.keys)
    ]
    return f"coalesce({', '.join(texts)})"


def _check_unique(conn: sa.Connection, asked: Asked, model: Model) -> None:
    query = (
        f"SELECT *, count(*) OVER () FROM (SELECT {key_of(model)}, {_ROWS} FROM {STAGE}"
        f" GROUP BY 1 HAVING count(*) > 1) k ORDER BY first LIMIT {_EXAMPLES}"
    )
    found = fetch(conn, query)
    if found:
        told = [f"{model.keys[int(k[0])].name} {k[1:]!r} in {_numbers(*r)}" for k, *r, _ in found]
        many = "1 key is" if found[0][-1] == 1 else f"{found[0][-1]:,} keys are"
        raise asked.wrong(f"{many} there more than once: {'; '.join(told)}")


def check_objects(conn: sa.Connection, asked: Asked, table: str) -> None:
    """SettingsError where two rows of that table, by their own keys, name one object."""
    query = (
        f"SELECT *, count(*) OVER () FROM (SELECT object_id, {_ROWS} FROM {table}"
        f" WHERE object_id IS NOT NULL GROUP BY 1 HAVING count(*) > 1) k"
        f" ORDER BY first LIMIT {_EXAMPLES}"
    )
    found = fetch(conn, query)
    if found:
        told = [f"{_numbers(*rest)} name {object_id}" for object_id, *rest, _ in found]
        many = "1 object is" if found[0][-1] == 1 else f"{found[0][-1]:,} objects are"
        raise asked.wrong(f"{many} named by several rows: {'; '.join(told)}")


def _numbers(first: int, last: int, number: int) -> str:
    between = f", and {number - 2:,} between them" if number > 2 else ""
    return f"rows {first} and {last}{between}"
