"""The digest of a pushed value, in Python and in SQL: the one definition.

It is made of the value's text: strings in quotation marks, numbers without needless zeros and
exponent, flags and null as in JSON. What Intercom shows in another way than it was sent is brought
to one form before: emails to lower case, phones to their digits, texts without HTML's escapes,
addresses without their query. Custom attributes are taken as they are.
"""

from __future__ import annotations

import hashlib
import json
import re
from decimal import Decimal
from typing import Any

from connector.push.kinds.field import Kind, Type
from connector.resources.resource import Kind as ColumnKind

CUSTOM = "custom_attributes."
LENGTH = 16  # hexadecimal digits of an MD5
ESCAPES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#39;", "'"))
NUMBERS = (Type.INTEGER, Type.NUMBER, Type.INSTANT)


def digest(kind: Kind, name: str, value: Any) -> str:
    """The digest of a field's value as it stands in a body.

    ``name`` is the API's own, a custom attribute's custom_attributes.<name>.
    """
    field = None if name.startswith(CUSTOM) else kind.field(name)
    if field and isinstance(value, str):
        value = _one_form(field.type, is_address(kind, name), value)
    elif field and field.type is Type.ID and value is not None:
        value = None if value == 0 else str(value)
    return hashlib.md5(_canonical(value).encode(), usedforsecurity=False).hexdigest()[:LENGTH]


def is_address(kind: Kind, name: str) -> bool:
    """Whether the mirror holds the field as an address, whose query changes at every read."""
    field = kind.field(name)
    columns = kind.table.columns if kind.table else ()
    return any(c.name == field.column and c.kind is ColumnKind.URL for c in columns if field)


def _one_form(of: Type, address: bool, value: str) -> str | None:
    if of is Type.EMAIL:
        return value.strip(" ").lower()
    if of is Type.PHONE:
        return ("+" if value.strip(" ")[:1] == "+" else "") + re.sub("[^0-9]", "", value)
    if of is Type.ID:
        return None if value == "0" else value
    if address:
        return value.split("?", 1)[0]
    return _unescaped(value) if of is Type.TEXT else value


def _unescaped(value: str) -> str:
    value = re.sub("&(amp;)+", "&", value)
    for escape, char in ESCAPES:
        value = value.replace(escape, char)
    return value


def _canonical(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int | float | Decimal):
        number = format(Decimal(str(value)), "f")
        number = number.rstrip("0").rstrip(".") if "." in number else number
        return "0" if number == "-0" else number
    if isinstance(value, str):
        return f'"{value}"'
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def digest_sql(of: Type, one_form: str) -> str:
    """The same of a value of that type, which is in its one form, as text; NULL has a digest."""
    plain = of in NUMBERS or of is Type.FLAG
    text = one_form if plain else f"'\"' || {one_form} || '\"'"
    return f"left(md5(coalesce({text}, 'null')), {LENGTH})"


def unescaped_sql(text: str) -> str:
    """A text without HTML's escapes, however often its ampersands were escaped."""
    return _replaced(text, f"regexp_replace({text}, '&(amp;)+', '&', 'g')")


def once_unescaped_sql(text: str) -> str:
    """A text as it was before HTML's escapes were put in once."""
    return _replaced(text, text, ("&amp;", "&"))


def _replaced(text: str, inner: str, *last: tuple[str, str]) -> str:
    for escape, char in (*ESCAPES, *last):
        quoted = char.replace("'", "''")
        inner = f"replace({inner}, '{escape}', '{quoted}')"
    escaped = f"strpos({text}, '&') > 0 AND strpos({text}, ';') > 0"
    return f"CASE WHEN {escaped} THEN {inner} ELSE {text} END"
