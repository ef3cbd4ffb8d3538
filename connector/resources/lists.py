"""Finds the lists in a record and tells whether they are complete; knows the payloads' shapes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType, defstruct

from connector.jsontext import decode, shaped
from connector.resources.resource import Link, Table

Record = Mapping[str, Any]
MISSING: Final = object()
MORE, SPACED_MORE = b'"has_more":true', b'"has_more": true'
EMBEDDED = 10
"""So many elements of a list Intercom embeds in a record."""
NAMED = 150
"""So many objects are named in one search: as many as a page shows."""


def is_complete(wrapper: Record, elements: list[Any]) -> bool:
    """Whether an embedded list holds all its elements: the first ten at most, by ``has_more``."""
    more = wrapper.get("has_more", MISSING)
    if more is not MISSING:
        return more is False
    total = wrapper.get("total_count")
    return not (type(total) is int and total > len(elements))


def doubtful(table: Table, records: Sequence[Record | bytes]) -> dict[int, Record]:
    """By their places, decoded, the records that do not say that they embed each list whole.

    Only lists count that can be asked for. What says so, as most JSON texts do, is not decoded.
    """
    if not table.has_complete_lists:
        return {}
    outline, whole = _outline(table)
    return {
        place: decode(record) if isinstance(record, bytes) else record
        for place, record in enumerate(records)
        if not isinstance(record, bytes) or outline(record) != whole
    }


class _Wrapper(Struct):
    has_more: bool | UnsetType = UNSET


@cache
def _outline(table: Table) -> tuple[Callable[[bytes], Struct | None], Struct]:
    """What reads of a record what wraps those lists, and what it reads where all are whole."""
    links = [link for link in table.links if link.complete]
    told = {path[0] for link in links for path in link.half_paths or link.paths}
    names = sorted({path[0] for link in links for path in link.every_path})
    shape = defstruct("Outline", [(name, _Wrapper | UnsetType, UNSET) for name in names])
    return shaped(shape), shape(**dict.fromkeys(told, _Wrapper(has_more=False)))


def incomplete_links(
    table: Table, record: Record, distrusted: Collection[Link] = ()
) -> Iterator[Link]:
    """The links whose complete list must be read: those cut, and those that are ``distrusted``."""
    for link in table.links:
        if not link.complete:
            continue
        wrapper, elements = embedded(link, record)
        if elements is None:
            continue
        if link in distrusted or not is_complete(wrapper, elements):
            yield link


def embedded(link: Link, record: Record) -> tuple[Record, list[Any] | None]:
    """The list that a record embeds of a link, and what holds it; None where it embeds none.

    Of a list in halves all must be there: what holds it counts them together.
    """
    wrapper, elements = _find(link.paths, record)
    if elements is not None or not link.halves:
        return wrapper, elements
    found = [_find((path,), record) for path in link.half_paths]
    whole: list[Any] = []
    for _, half in found:
        if half is None:
            return {}, None
        whole += half
    counts = [wrapper.get("total_count", len(half or ())) for wrapper, half in found]
    told: dict[str, Any] = {"has_more": not all(is_complete(w, half or []) for w, half in found)}
    if all(type(count) is int for count in counts):
        told["total_count"] = sum(counts)
    return told, whole


def _find(paths: Iterable[tuple[str, ...]], record: Record) -> tuple[Record, list[Any] | None]:
    """What holds the list at the first of these paths that has one, and the list; None if none."""
    for path in paths:
        wrapper: Any = record
        for key in path[:-1]:
            wrapper = wrapper.get(key) if type(wrapper) is dict else None
        elements = wrapper.get(path[-1]) if type(wrapper) is dict else None
        if type(elements) is list:
            return wrapper, elements
    return {}, None
