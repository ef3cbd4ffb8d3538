"""When a value that is shown is the one that was wished; pure.

Intercom shows texts HTML-escaped, emails in lower case, phones in a form of its own, instants in
whole seconds, numbers as whole or not: none of that is a difference.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from connector.push.kinds.field import Kind, Type


class Difference(Struct, frozen=True):
    """A field that is not as wished."""

    field: str
    wished: Any
    shown: Any

    def __str__(self) -> str:
        return f"{self.field} is {brief(self.shown)}, wished {brief(self.wished)}"


def differences(kind: Kind, body: Mapping[str, Any], record: Mapping[str, Any]) -> list[Difference]:
    """The fields of a body that a record of Intercom's does not show as wished; no lists."""
    return [one for one in _compared(kind, body, record) if one is not None]


def _compared(
    kind: Kind, body: Mapping[str, Any], record: Mapping[str, Any]
) -> Iterator[Difference | None]:
    for name, wished in body.items():
        field = kind.field(name)
        if field:
            shown = _at(record, field.shown)
            yield None if same(field.type, wished, shown) else Difference(name, wished, shown)
    attributes = record.get("custom_attributes")
    shown_attributes = attributes if isinstance(attributes, dict) else {}
    for name, wished in (body.get("custom_attributes") or {}).items():
        shown = shown_attributes.get(name)
        if not same_attribute(wished, shown):
            yield Difference(f"custom_attributes.{name}", wished, shown)


def _at(record: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        record = record.get(key) if isinstance(record, dict) else None
    return record


def same(kind: Type, wished: Any, shown: Any) -> bool:
    """Whether a field is as wished."""
    if _is_nothing(kind, wished) or _is_nothing(kind, shown):
        return _is_nothing(kind, wished) and _is_nothing(kind, shown)
    match kind:
        case Type.EMAIL:
            return str(wished).strip().lower() == str(shown).strip().lower()
        case Type.PHONE:
            return _digits(wished) == _digits(shown)
        case Type.INSTANT:
            return _seconds(wished) == _seconds(shown)
        case Type.INTEGER | Type.NUMBER | Type.FLAG:
            return bool(_number(wished) == _number(shown))
        case _:
            return _same_text(str(wished), str(shown))


def same_attribute(wished: Any, shown: Any) -> bool:
    """Whether a custom attribute is as wished, whatever its type."""
    if wished is None or shown is None:
        return wished is None and shown is None
    if isinstance(wished, str) and isinstance(shown, str):
        return _same_text(wished, shown) or _same_instant(wished, shown)
    if isinstance(wished, bool) or isinstance(shown, bool):
        return wished is shown
    if isinstance(wished, int | float) and isinstance(shown, int | float):
        return bool(wished == shown)
    return _same_instant(wished, shown) or bool(wished == shown)


def _is_nothing(kind: Type, value: Any) -> bool:
    return value is None or value == "" or (kind is Type.ID and str(value) == "0")


def _same_text(wished: str, shown: str) -> bool:
    return wished == shown or wished == html.unescape(shown)


def _same_instant(wished: Any, shown: Any) -> bool:
    """Whether both name one second; digits alone, as a text, are a number and no time."""
    if any(isinstance(v, bool) or (isinstance(v, str) and v.isdecimal()) for v in (wished, shown)):
        return False
    at = _seconds(wished)
    return at is not None and at == _seconds(shown)


def _digits(value: Any) -> str:
    return re.sub(r"[^0-9+]", "", str(value))


def _number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def _seconds(value: Any) -> int | None:
    """Whole Unix seconds of a number or an ISO text; None where it is neither."""
    if isinstance(value, int | float):
        return int(value)
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        return int(value) if str(value).isdecimal() else None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def brief(value: Any) -> str:
    """The value in a message, cut."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
