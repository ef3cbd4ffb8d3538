"""How values of each type are read, compared and written, as SQL; executes nothing.

Between reading and writing every value is a text: numbers without needless zeros, instants as Unix
seconds, flags as true and false. So the model, the mirror and own wishes compare alike.
"""

from __future__ import annotations

from connector.push.kinds import Type
from connector.push.kinds.digest import digest_sql, once_unescaped_sql, unescaped_sql
from connector.push.planning.model.columns import Given
from connector.warehouse.views.casts import typed

BOOL, INT8, INT2, INT4, FLOAT4, FLOAT8, NUMERIC = 16, 20, 21, 23, 700, 701, 1700
DATE, TIMESTAMP, TIMESTAMPTZ = 1082, 1114, 1184
NUMBER = "'^-?[0-9]{1,30}([.][0-9]{1,30})?$'"
_TEXT, _NUMBER = "::pg_catalog.text", "::pg_catalog.numeric"


# -- as the model gives it, executed where others' functions may be found -----------------------


def staged(given: Given, value: str) -> str:
    """A value of the model as text, or as it is kept besides."""
    if given.kept:
        return f"{value}::pg_catalog.{given.kept}"
    if given.type is Type.INSTANT and given.oid in (DATE, TIMESTAMP, TIMESTAMPTZ):
        seconds = f"pg_catalog.floor(EXTRACT(epoch FROM {value}))::pg_catalog.int8{_TEXT}"
        return f"CASE WHEN NOT pg_catalog.isfinite({value}) THEN 'Infinity' ELSE {seconds} END"
    if given.oid in (FLOAT4, FLOAT8, NUMERIC):
        return f"pg_catalog.trim_scale({value}{_TEXT}{_NUMBER}){_TEXT}"
    if given.type is Type.EMAIL:
        return f"pg_catalog.btrim({value}{_TEXT})"
    return f"{value}{_TEXT}"


# -- as the mirror and bodies show it -----------------------------------------------------------


def from_column(given: Given, value: str) -> str:
    """What a column of the mirror holds."""
    if given.type is Type.INSTANT:
        return f"floor(extract(epoch FROM {value}))::bigint::text"
    if given.type in (Type.INTEGER, Type.NUMBER):
        return f"trim_scale({value}::numeric)::text"
    if given.is_owner:
        return f"nullif({value}, '0')"
    return f"{value}::text" if given.type is Type.FLAG else value


def from_json(given: Given, value: str) -> str:
    """What a custom attribute of the mirror or a body holds, a jsonb expression."""
    text = f"({value} #>> '{{}}')"
    if given.type is Type.INSTANT:
        seconds = f"floor(extract(epoch FROM {typed(value, 'date')}))::bigint::text"
        return f"CASE WHEN {text} ~ '^[1-9][0-9]{{0,9}}$' THEN {text} ELSE {seconds} END"
    if given.type in (Type.INTEGER, Type.NUMBER):
        return (
            f"CASE WHEN jsonb_typeof({value}) = 'number' OR {text} ~ {NUMBER}"
            f" THEN trim_scale({text}::numeric)::text ELSE {text} END"
        )
    return f"nullif({text}, '0')" if given.is_owner else text


def to_json(given: Given, value: str) -> str:
    """The value as it stands in a body."""
    if given.type in (Type.INTEGER, Type.NUMBER, Type.INSTANT):
        return f"to_jsonb({value}::numeric)"
    if given.type is Type.FLAG:
        return f"to_jsonb({value}::boolean)"
    if given.is_owner:
        digits = f"{value} ~ '^[1-9][0-9]{{0,17}}$'"
        return (
            f"CASE WHEN {digits} THEN to_jsonb({value}::bigint) ELSE to_jsonb(nullif({value}, '0'))"
            " END"
        )
    return f"to_jsonb({value})"


def shown_json(given: Given, value: str) -> str:
    """What an object holds, as in a body; a custom attribute may hold what its type forbids."""
    fits = {
        Type.INTEGER: f"{value} ~ {NUMBER}",
        Type.NUMBER: f"{value} ~ {NUMBER}",
        Type.FLAG: f"{value} IN ('true', 'false')",
    }
    if given.custom and given.type in fits:
        return (
            f"CASE WHEN {value} IS NULL OR {fits[given.type]} THEN {to_json(given, value)}"
            f" ELSE to_jsonb({value}) END"
        )
    return to_json(given, value)


# -- compared -----------------------------------------------------------------------------------


def differs(given: Given, wished: str, current: str) -> str:
    """Whether two values are not the same to Intercom; never null."""
    one = f"{wished} IS DISTINCT FROM {current}"
    forms = _one_form(given, wished), _one_form(given, current)
    if forms != (wished, current):
        one += f" AND {forms[0]} IS DISTINCT FROM {forms[1]}"
    if given.escaped:
        one += f" AND {wished} IS DISTINCT FROM {once_unescaped_sql(current)}"
    return f"({one})"


def digested(given: Given, value: str) -> str:
    """The digest of a value."""
    form = unescaped_sql(value) if given.escaped else _one_form(given, value)
    return digest_sql(given.type, form)


def _one_form(given: Given, value: str) -> str:
    if given.custom:
        return value
    if given.type is Type.EMAIL:
        return f"lower(btrim({value}))"
    if given.type is Type.PHONE:
        plus = f"CASE WHEN left(btrim({value}), 1) = '+' THEN '+' ELSE '' END"
        others = f"translate({value}, '0123456789', '')"
        return f"({plus} || translate({value}, {others}, ''))"
    if given.is_owner:
        return f"nullif({value}, '0')"
    return f"split_part({value}, '?', 1)" if given.address else value
