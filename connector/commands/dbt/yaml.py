"""Writes mappings, lists, texts and whole numbers as YAML; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

Value = Mapping[str, "Value"] | Sequence["Value"] | str | int

_PLAIN = re.compile("[a-z][a-z0-9_]*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}  # no texts, for YAML 1.1
_UNPRINTABLE = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")  # fmt: skip  # noqa: E501


def written(value: Value) -> str:
    """The value as a document; keys are plain words."""
    return "\n".join(_lines(value)) + "\n"


def scalar(value: str | int) -> str:
    """A text or number as it stands behind a key: a plain word, or between quotes."""
    if isinstance(value, int):
        return str(value)
    if _PLAIN.fullmatch(value) and value not in _WORDS:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def _lines(value: Value) -> Iterator[str]:
    if isinstance(value, str | int):
        yield scalar(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _under(f"{key}:", inner)
    else:
        for inner in value:
            head, *more = _lines(inner)
            yield f"- {head}"
            yield from (f"  {line}" for line in more)


def _under(key: str, value: Value) -> Iterator[str]:
    if isinstance(value, str | int):
        yield f"{key} {scalar(value)}"
    else:
        yield key
        yield from (f"  {line}" for line in _lines(value))
