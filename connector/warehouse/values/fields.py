"""One JSON value to one field of COPY text, by kind; knows no table and no record.

COPY's text format separates fields by tabs and rows by newlines, writes null as ``\\N`` and
escapes by backslash. What a column cannot hold raises ``MisfitError``; the caller keeps the
original.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from connector.resources.resource import Kind
from connector.warehouse.values import instants

NULL = "\\N"
ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))

# PostgreSQL's text holds neither NUL nor half a surrogate pair; COPY escapes backslashes and what
# separates fields. Strings without any of these are their own COPY text.
_SUSPECT = re.compile("[\x00\\\\\t\n\r\ud800-\udfff]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

# Of the JSON encoders: half a surrogate pair, a number that is none or past a double, no end of
# nesting.
REFUSALS = (
    msgspec.MsgspecError,
    UnicodeEncodeError,
    OverflowError,
    TypeError,
    ValueError,
    RecursionError,
)


class MisfitError(ValueError):
    """A value that its column cannot hold; ``cleaned`` is what the column gets instead."""

    def __init__(self, cleaned: str = NULL) -> None:
        super().__init__()
        self.cleaned = cleaned


def escape(text: str) -> str:
    """The text with what COPY reads otherwise escaped."""
    for character, escaped in ESCAPES:
        text = text.replace(character, escaped)
    return text


def text(value: Any) -> str:
    """A string; MisfitError for other types, and with the rest where characters had to go."""
    if type(value) is not str:
        raise MisfitError
    if not _SUSPECT.search(value):
        return value
    cleaned = escape(_UNSTORABLE.sub("", value))
    if _UNSTORABLE.search(value):
        raise MisfitError(cleaned)
    return cleaned


def identifier(value: Any) -> str:
    """An id: Intercom sends some as integers that its description calls strings."""
    return str(value) if type(value) is int else text(value)


def flag(value: Any) -> str:
    """True or false; MisfitError for anything else."""
    if value is True:
        return "t"
    if value is False:
        return "f"
    raise MisfitError


def count(value: Any) -> str:
    """A whole number of 64 bits."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is int and -(2**63) <= value < 2**63:
        return str(value)
    raise MisfitError


def money(value: Any) -> str:
    """A finite number; MisfitError for anything else."""
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return repr(value)
    raise MisfitError


def instant(value: Any) -> str:
    """Unix seconds, Unix milliseconds or ISO 8601, whichever Intercom sent."""
    found = instants.instant(value)
    if found is None:
        raise MisfitError
    return found.isoformat(" ")


def url(value: Any) -> str:
    """An address, as any text."""
    return text(value)


def mapping(value: Any) -> str:
    """An object as jsonb."""
    if type(value) is not dict:
        raise MisfitError
    return document(value)


def document(value: Any) -> str:
    """Any JSON value as jsonb; MisfitError with the cleaned rest if jsonb cannot hold it all."""
    encoded = _plain(value)
    if encoded is None:
        try:
            cleaned, original = tidy(value), holdable(value)
        except RecursionError:
            raise MisfitError from None
        encoded = dumps(cleaned)
        if original != value:
            raise MisfitError(encoded.replace("\\", "\\\\"))
    return encoded.replace("\\", "\\\\")


def _plain(value: Any) -> str | None:
    """JSON text, or None if jsonb cannot hold it as it is."""
    try:
        encoded = msgspec.json.encode(value).decode()
        if "\\u0000" in encoded:  # also of a backslash before u0000: the careful way decides
            return None
        if "null" in encoded:  # the fast encoder writes NaN as null
            json.dumps(value, allow_nan=False)
        return encoded
    except REFUSALS:
        return None


def leftovers(extra: Mapping[str, Any]) -> str:
    """The row's ``extra`` as jsonb: originals."""
    encoded = _plain(extra)
    if encoded is None:
        encoded = dumps({keepable(key): keepable(value) for key, value in extra.items()})
    return encoded.replace("\\", "\\\\")


def dumps(value: Any) -> str:
    """Compact JSON text of what ``tidy`` or ``holdable`` made."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def tidy(value: Any) -> Any:
    """The value as jsonb can hold it: what does not fit is left out."""
    match value:
        case str():
            return _UNSTORABLE.sub("", value)
        case dict():
            kept = {key: tidy(item) for key, item in value.items() if not _UNSTORABLE.search(key)}
            rest = {_UNSTORABLE.sub("", key): tidy(value[key]) for key in value.keys() - kept}
            return rest | kept  # a key that had to be cleaned takes no other's place
        case list():
            return [tidy(item) for item in value]
        case float() if not math.isfinite(value):
            return None
    return value


def holdable(value: Any) -> Any:
    """The original in a form jsonb can hold: unstorable characters and numbers are spelled out."""
    match value:
        case str():
            return json.dumps(value)[1:-1] if _UNSTORABLE.search(value) else value
        case dict():
            return {holdable(key): holdable(item) for key, item in value.items()}
        case list():
            return [holdable(item) for item in value]
        case float() if not math.isfinite(value):
            return str(value)
    return value


def keepable(value: Any) -> Any:
    """The original for ``extra``: holdable, with no key that is not.

    What is nested too deeply to be looked through is kept as the JSON text that it is.
    """
    try:
        return tidy(holdable(value))
    except RecursionError:
        return _UNSTORABLE.sub("", _spelled_out(value))


def _spelled_out(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (UnicodeEncodeError, RecursionError):
        return "nested too deeply to be kept"


CONVERT: dict[Kind, Callable[[Any], str]] = {
    Kind.ID: identifier,
    Kind.TEXT: text,
    Kind.INSTANT: instant,
    Kind.FLAG: flag,
    Kind.COUNT: count,
    Kind.MONEY: money,
    Kind.JSON: document,
    Kind.MAP: mapping,
    Kind.URL: url,
    Kind.FILES: document,
}
