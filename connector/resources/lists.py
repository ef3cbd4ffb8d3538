"""Finds the lists in a record and tells whether they are complete; knows the payloads' shapes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from connector.jsontext import decode
from connector.resources.resource import Link, Table

Record = Mapping[str, Any]
MISSING: Final = object()
MORE, SPACED_MORE = b'"has_more":true', b'"has_more": true'
EMBEDDED = 10
"""So many elements of a list Intercom embeds in a record."""
NAMED = 150
"""So many objects are named in one search: as many as a page shows."""
_NO_MORE = (b":false", b": false")


def is_complete(wrapper: Record, elements: list[Any]) -> bool:
    """Whether an embedded list holds all its elements: the first ten at most, by ``has_more``."""
    more = wrapper.get("has_more", MISSING)
    if more is not MISSING:
        return more is False
    total = wrapper.get("total_count")
    return not (type(total) is int and total > len(elements))


def may_be_cut(text: bytes) -> bool:
    """Whether a record's JSON text may hold a list that is not complete, without decoding it."""
    _, *told = text.split(b'"has_more"')
    return not all(rest.startswith(_NO_MORE) for rest in told) or len(told) < text.count(
        b'"total_count"'
    )


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


def is_lacking(link: Link, record: Record | bytes) -> bool:
    """Whether a record, or its JSON text, does not embed the halves that its link is made of."""
    if isinstance(record, bytes):
        for close, spaced in link.half_marks:
            if close not in record and spaced not in record:
                break
        else:
            return False
    told: Record = decode(record) if isinstance(record, bytes) else record
    return embedded(link, told)[1] is None


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
