"""Finds the lists in a record and tells whether they are complete; knows the payloads' shapes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, Final

from msgspec import UNSET, Raw, defstruct

from connector.jsontext import decode, shaped
from connector.resources.resource import Link, Table

Record = Mapping[str, Any]
MISSING: Final = object()
MORE, SPACED_MORE = b'"has_more":true', b'"has_more": true'
BELIEVED: Final = "believed"
"""``has_more`` of a list that was asked for more than once and stayed shorter than is counted."""
EMBEDDED = 10
"""So many elements of a list Intercom embeds in a record."""
NAMED = 150
"""So many objects are named in one search: as many as a page shows."""


def is_complete(wrapper: Record, elements: list[Any]) -> bool:
    """Whether an embedded list, of the first ten at most, says that it holds all its elements.

    One that counts more than it holds does not, whatever else it says, until it is ``BELIEVED``.
    """
    more, total = wrapper.get("has_more", False), wrapper.get("total_count")
    if more == BELIEVED:
        return True
    return more is False and not (type(total) is int and total > len(elements))


def doubtful(table: Table, records: Sequence[Record | bytes]) -> dict[int, Record]:
    """By their places, decoded, the records that do not say that they embed each list whole.

    Only lists count that can be asked for. What says so, as most JSON texts do, is not decoded.
    """
    if not table.has_complete_lists:
        return {}
    is_whole = _outline(table)
    return {
        place: decode(record) if isinstance(record, bytes) else record
        for place, record in enumerate(records)
        if not isinstance(record, bytes) or not is_whole(record)
    }


@cache
def _outline(table: Table) -> Callable[[bytes], bool]:
    """Whether a text says of each such list that it is whole; reads of it only what wraps them.

    Each must be where it is usual, and count as many elements as it holds; of a list in halves
    both must be there, and the whole one nowhere.
    """
    links = [link for link in table.links if link.complete]
    fields: dict[str, Any] = {path[0]: (Any, UNSET) for link in links for path in link.every_path}
    usual = [path for link in links for path in link.half_paths or link.paths[:1]]
    for name, held in usual:
        wrapper = [("has_more", bool), ("total_count", int), (held, list[Raw])]
        fields[name] = (defstruct("Wrapper", wrapper, gc=False),)
    unset = [name for name, (_, *default) in fields.items() if default]
    given = [(name, *kind) for name, kind in fields.items()]
    read = shaped(defstruct("Outline", given, kw_only=True, gc=False))
    look = attrgetter(*(f"{name}.has_more" for name, _ in usual), *unset)
    whole = (*(False for _ in usual), *(UNSET for _ in unset))
    counts = attrgetter(*(f"{name}.total_count" for name, _ in usual))
    elements = attrgetter(*(f"{name}.{held}" for name, held in usual))

    def is_whole(text: bytes) -> bool:
        found = read(text)
        return (
            found is not None
            and look(found) == whole
            and counts(found) == tuple(map(len, elements(found)))
        )

    return is_whole


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
