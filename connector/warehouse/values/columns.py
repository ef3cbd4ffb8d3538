"""A whole column of JSON values to fields of COPY text, by kind; knows no table and no record.

What ``values.py`` says of one value holds for each of a column. Here many are looked at together:
a column mostly holds values of one type, and joined they can be searched and escaped in one go.
Where that is not so, each value is converted on its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from itertools import groupby
from types import NoneType
from typing import Any, Final

import msgspec

from connector.resources.lists import MISSING
from connector.resources.resource import Kind
from connector.warehouse.values.fields import CONVERT, NULL, REFUSALS, MisfitError, document, escape
from connector.warehouse.values.instants import EPOCH, FIRST_SECOND, MILLISECONDS_FROM

Fields = Sequence[str]

SEPARATOR: Final = "\0"  # no text that PostgreSQL holds has it
DAY: Final = 86400
DAYS_KEPT: Final = 10_000
MINUTES: Final = [f"{minute // 60:02}:{minute % 60:02}:" for minute in range(DAY // 60)]
SECONDS: Final = [f"{second:02}+00:00" for second in range(60)]
_encoder = msgspec.json.Encoder()


class Nulls(list[str]):
    """The fields of a column that is null in every row."""


def fields(kind: Kind, values: Sequence[Any]) -> Fields:
    """The values' fields in their order, None as null; MisfitError if one is MISSING or misfits."""
    if values and values[0] is None and values.count(None) == len(values):
        return Nulls([NULL] * len(values))
    types = set(map(type, values))
    if type(MISSING) in types:
        raise MisfitError
    if NoneType not in types:
        return _WHOLE[kind](values, types) if types else []
    types.remove(NoneType)
    there = [value for value in values if value is not None]
    texts = _WHOLE[kind](there, types)
    if texts is there:
        return [NULL if value is None else value for value in values]
    rest = iter(texts)
    return [NULL if value is None else next(rest) for value in values]


def documents(values: Sequence[Any], patient: Callable[[Any], str] = document) -> Fields:
    """JSON values as jsonb; ``patient`` converts each if there is any that jsonb cannot hold."""
    try:
        text = _encoder.encode_lines(values).decode()
        if "null" in text:  # the fast encoder writes NaN as null
            json.dumps(values, allow_nan=False)
    except REFUSALS:
        return [patient(value) for value in values]
    if "\\u0000" in text:  # also of a backslash before u0000: the patient way decides
        return [patient(value) for value in values]
    return text.replace("\\", "\\\\").split("\n")[:-1]


def _texts(values: Sequence[Any], types: set[type]) -> Fields:
    if types != {str}:
        return _each(Kind.TEXT, values)
    joined = SEPARATOR.join(values)
    if joined.count(SEPARATOR) >= len(values) or not _is_unicode(joined):
        return _each(Kind.TEXT, values)
    escaped = escape(joined)
    return values if escaped == joined else escaped.split(SEPARATOR)


def _is_unicode(text: str) -> bool:
    """Whether it is free of halves of surrogate pairs."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _identifiers(values: Sequence[Any], types: set[type]) -> Fields:
    if types == {int}:
        return list(map(str, values))
    return _texts(values, types) if types == {str} else _each(Kind.ID, values)


def _flags(values: Sequence[Any], types: set[type]) -> Fields:
    return flags(values) if types == {bool} else _each(Kind.FLAG, values)


def flags(values: Sequence[bool]) -> Fields:
    """Booleans as COPY writes them."""
    return ["t" if value else "f" for value in values]


def _counts(values: Sequence[Any], types: set[type]) -> Fields:
    if types == {int} and min(values) >= -(2**63) and max(values) < 2**63:
        return list(map(str, values))
    return _each(Kind.COUNT, values)


class _Days(dict[int, str]):
    """The dates of days since 1970, as they begin the text of an instant."""

    def __missing__(self, day: int) -> str:
        if len(self) >= DAYS_KEPT:
            self.clear()
        self[day] = (EPOCH + timedelta(days=day)).isoformat(" ")[:11]
        return self[day]


_days = _Days()


def _instants(values: Sequence[Any], types: set[type]) -> Fields:
    """Seconds take their text from tables; making and formatting a datetime costs seven times."""
    if types == {int} and min(values) >= FIRST_SECOND and max(values) < MILLISECONDS_FROM:
        return [
            f"{_days[value // DAY]}{MINUTES[value % DAY // 60]}{SECONDS[value % 60]}"
            for value in values
        ]
    return _each(Kind.INSTANT, values)


def _mappings(values: Sequence[Any], types: set[type]) -> Fields:
    return documents(values) if types == {dict} else _each(Kind.MAP, values)


def _each(kind: Kind, values: Sequence[Any]) -> Fields:
    return list(map(CONVERT[kind], values))


_WHOLE: dict[Kind, Callable[[Sequence[Any], set[type]], Fields]] = {
    Kind.ID: _identifiers,
    Kind.TEXT: _texts,
    Kind.INSTANT: _instants,
    Kind.FLAG: _flags,
    Kind.COUNT: _counts,
    Kind.MONEY: lambda values, _: _each(Kind.MONEY, values),
    Kind.JSON: lambda values, _: documents(values),
    Kind.MAP: _mappings,
    Kind.URL: _texts,
    Kind.FILES: lambda values, _: documents(values),
}


def table_text(columns: Iterable[Fields], rows: int) -> bytes:
    """The columns as rows of COPY text; of the many that are all null, neighbours become one."""
    merged: list[Fields] = []
    for null, run in groupby(columns, key=lambda texts: type(texts) is Nulls):
        texts = list(run)
        merged += [["\t".join([NULL] * len(texts))] * rows] if null else texts
    return copy_text(map("\t".join, zip(*merged, strict=True)))


def copy_text(lines: Iterable[str]) -> bytes:
    """The rows as one text for COPY, in UTF-8."""
    # Line by line: a single wide character would make the whole text as wide.
    return b"\n".join([*map(str.encode, lines), b""])
