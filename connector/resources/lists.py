"""Finds the lists in a record and tells whether they are complete; knows the payloads' shapes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from connector.resources.resource import Link, Table

Record = Mapping[str, Any]
MISSING: Final = object()
MORE, SPACED_MORE = b'"has_more":true', b'"has_more": true'
EMBEDDED = 10
"""So many elements of a list Intercom embeds in a record."""
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


def incomplete_links(table: Table, record: Record, *, every: bool = False) -> Iterator[Link]:
    """The links whose complete list must be read; ``every``: of each list."""
    for link in table.links:
        wrapper, elements = find(link.paths, record)
        if not link.complete or elements is None:
            continue
        if every or not is_complete(wrapper, elements):
            yield link


def find(paths: Iterable[tuple[str, ...]], record: Record) -> tuple[Record, list[Any] | None]:
    """What holds the list at the first of these paths that has one, and the list; None if none."""
    for path in paths:
        wrapper: Any = record
        for key in path[:-1]:
            wrapper = wrapper.get(key) if type(wrapper) is dict else None
        elements = wrapper.get(path[-1]) if type(wrapper) is dict else None
        if type(elements) is list:
            return wrapper, elements
    return {}, None
