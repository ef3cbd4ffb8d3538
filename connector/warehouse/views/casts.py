"""SQL that reads one custom attribute as its type and never raises; executes nothing.

A view that raises on one bad row is of no use, so every cast stands behind a CASE that lets
through only what the cast can take; the rest is NULL there and stays in ``custom_attributes``.
Everything is inline: who may read the view needs no right on anything else.
"""

from __future__ import annotations

from collections.abc import Callable

from connector.warehouse.values.instants import FIRST_SECOND, LAST_SECOND, MILLISECONDS_FROM

LARGEST_DOUBLE = "1.7976931348623157e308"  # what Intercom calls a float can be no larger

_LONG_MONTH = "(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])"
_SHORT_MONTH = "(0[469]|11)-(0[1-9]|[12][0-9]|30)"
_FEBRUARY = "02-(0[1-9]|1[0-9]|2[0-8])"
_LEAP_YEAR = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)"
_DATE = f"(?!0000)([0-9]{{4}}-({_LONG_MONTH}|{_SHORT_MONTH}|{_FEBRUARY})|{_LEAP_YEAR}-02-29)"
_TIME = r"[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,12})?)?"
_ZONE = "(Z|[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?)"  # PostgreSQL knows no zone 16 hours away
WITHOUT_ZONE = f"^{_DATE}({_TIME})?$"
WITH_ZONE = f"^{_DATE}{_TIME} ?{_ZONE}$"
NUMERIC = "^-?[0-9]{1,20}([.][0-9]{1,20})?$"
_FIRST, _LAST = "timestamptz '0001-01-01 00:00:00Z'", "timestamptz '9999-12-31 23:59:59.999999Z'"


def _text(value: str) -> str:
    """Any scalar as text: a number in a text attribute is still readable."""
    return (
        f"CASE WHEN jsonb_typeof({value}) IN ('string', 'number', 'boolean')"
        f" THEN {value} #>> '{{}}' END"
    )


def _any(value: str) -> str:
    return f"{value} #>> '{{}}'"


def _boolean(value: str) -> str:
    return f"CASE WHEN jsonb_typeof({value}) = 'boolean' THEN ({value})::boolean END"


def _if_number(value: str, condition: str, then: str) -> str:
    """``then`` where the value is a number that meets the condition; {n} is the number.

    Two CASEs: of two conditions joined by AND, either may be computed first.
    """
    number = f"({value})::numeric"
    return (
        f"CASE WHEN jsonb_typeof({value}) = 'number' THEN"
        f" CASE WHEN {condition.format(n=number)} THEN {then.format(n=number)} END END"
    )


def _integer(value: str) -> str:
    whole = f"{{n}} BETWEEN {-(2**63)} AND {2**63 - 1} AND {{n}} = trunc({{n}})"
    return _if_number(value, whole, "({n})::bigint")


def _float(value: str) -> str:
    return _if_number(value, f"abs({{n}}) <= {LARGEST_DOUBLE}", "{n}")


def _instant(value: str) -> str:
    """Unix seconds, Unix milliseconds or ISO 8601, which is UTC if it names no zone."""
    text = f"({value} #>> '{{}}')"
    local, absolute = f"{text}::timestamp AT TIME ZONE 'UTC'", f"{text}::timestamptz"
    return (
        f"CASE jsonb_typeof({value})"
        f" WHEN 'number' THEN {_from_number(f'({value})::numeric')}"
        f" WHEN 'string' THEN CASE"
        f" WHEN {text} ~ '{NUMERIC}' THEN {_from_number(f'{text}::numeric')}"
        f" WHEN {text} ~ '{WITHOUT_ZONE}' THEN {_bounded(local)}"
        f" WHEN {text} ~ '{WITH_ZONE}' THEN {_bounded(absolute)} END END"
    )


def _from_number(number: str) -> str:
    """Its size tells the unit, as for every other number that names an instant."""
    return (
        f"CASE WHEN abs({number}) < {MILLISECONDS_FROM} THEN"
        f" CASE WHEN {number} >= {FIRST_SECOND} THEN to_timestamp({number}) END"
        f" WHEN {number} BETWEEN {FIRST_SECOND * 1000} AND {LAST_SECOND * 1000 + 999}"
        f" THEN to_timestamp({number} / 1000) END"
    )


def _bounded(instant: str) -> str:
    """A zone or a rounded fraction may lead out of the years that clients can read."""
    return f"CASE WHEN {instant} BETWEEN {_FIRST} AND {_LAST} THEN {instant} END"


# By Intercom's data_type: the SQL type, and how a value is read. Other types (list, relationship,
# files and whatever comes) are text: a string as it is, anything else as JSON.
_CASTS: dict[str, tuple[str, Callable[[str], str]]] = {
    "string": ("text", _text),
    "integer": ("bigint", _integer),
    "float": ("numeric", _float),
    "decimal": ("numeric", _float),  # a ticket attribute's word for it
    "boolean": ("boolean", _boolean),
    "date": ("timestamptz", _instant),
    "datetime": ("timestamptz", _instant),
}


def sql_type(data_type: str) -> str:
    """The type of the column for an attribute of Intercom's type ``data_type``."""
    return _CASTS[data_type][0] if data_type in _CASTS else "text"


def typed(value: str, data_type: str) -> str:
    """An SQL expression of ``sql_type``: the jsonb expression ``value``, or NULL if it misfits."""
    return _CASTS[data_type][1](value) if data_type in _CASTS else _any(value)
