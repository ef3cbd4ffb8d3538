"""Takes out of nested values what only wraps lists or repeats rows of other tables; pure.

A reference tells which object is meant. What it copies from that object would be wrong from the
moment the object changes, so only its id and type, and what nothing else holds, are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from connector.resources.resource import Column, Embedded, Kind
from connector.warehouse.values.shape import REFERENCE, WRAPPER, copied, copies

NESTED = frozenset({dict, list})


def stripped(value: Any, *, wrappers: bool = True) -> Any:
    """A value without what its references copy, and without what only wraps its lists."""
    if type(value) not in NESTED:
        return value
    try:
        return _strip(value, wrappers)
    except RecursionError:
        return value


def without_copies(column: Column, values: Sequence[Any]) -> Sequence[Any]:
    """The values of a JSON column without what their references copy."""
    if column.kind is not Kind.JSON or NESTED.isdisjoint(map(type, values)):
        return values
    found = [stripped(value, wrappers=False) if value else value for value in values]
    for embedded in column.embeds:
        found = [_cleared(value, embedded) for value in found]
    return found


# -- references that say what they are -------------------------------------------------------


def _strip(value: Any, wrappers: bool, history: bool = False) -> Any:
    if type(value) is list:
        return [_strip(v, wrappers) if v and type(v) in NESTED else v for v in value]
    kind = value.get("type")
    kind = kind if type(kind) is str else ""
    kept = {}
    for key in _data(tuple(value), "" if history or not copies(kind) else kind, wrappers):
        inner = value[key]
        if inner and type(inner) in NESTED:
            # An author as it was when writing is data.
            inner = _strip(inner, wrappers, key == "author" and kind.endswith("part"))
        kept[key] = inner
    return kept


@lru_cache(maxsize=10_000)
def _data(keys: tuple[str, ...], kind: str, wrappers: bool) -> tuple[str, ...]:
    """Of an object's keys those that hold data; ``kind`` is what a reference says it is."""
    drop: frozenset[str] = frozenset()
    if kind and "id" in keys:
        keys = tuple(key for key in keys if key not in copies(kind))
    if wrappers and ("has_more" in keys or ("data" in keys and "url" in keys)):
        drop = WRAPPER
    elif (wrappers or kind) and "id" in keys and REFERENCE.issuperset(keys):
        drop = frozenset({"url"})
    return tuple(key for key in keys if key not in drop)


# -- references that are declared ------------------------------------------------------------


def _cleared(value: Any, embedded: Embedded) -> Any:
    """The value, an object or a list of some, with these references cleared of copies."""
    if type(value) is list:
        return [_cleared(element, embedded) for element in value]
    if type(value) is not dict:
        return value
    if not embedded.path:
        return _reference(value, embedded)
    inner = value.get(embedded.path)
    return {**value, embedded.path: _reference(inner, embedded)} if type(inner) is dict else value


def _reference(value: dict[str, Any], embedded: Embedded) -> dict[str, Any]:
    prefix = embedded.prefix
    if f"{prefix}id" not in value:
        return value
    drop = {f"{prefix}{key}" for key in copied(embedded.table) - {"id", "type"}}
    return {key: inner for key, inner in value.items() if key not in drop}
