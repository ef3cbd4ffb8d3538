"""Lists of references to the COPY text of a link table; knows only that one link."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from connector.resources.resource import Column, Kind, Link
from connector.warehouse.encode.batch import Staged
from connector.warehouse.encode.keys import id_text
from connector.warehouse.encode.nested import Lists
from connector.warehouse.encode.unmapped import Leftovers
from connector.warehouse.values.columns import copy_text, fields
from connector.warehouse.values.copies import stripped
from connector.warehouse.values.fields import CONVERT, NULL, MisfitError
from connector.warehouse.values.shape import link_keys


def stage_link(
    link: Link,
    ids: Sequence[str],
    lists: Lists,
    complete: list[bool],
    full: frozenset[int],
    left: Leftovers,
) -> Staged:
    """Pairs of ids, the last of equal ones; ``full``: the rows whose elements are no references.

    A list with an element that names nothing is not known to be complete.
    """
    try:
        pairs = _pairs(link, ids, lists, full)
    except MisfitError:  # rarely: each on its own
        pairs = _patient_pairs(link, ids, lists, complete, full, left)
    names = (link.owner, link.target, *(column.name for column in link.columns))
    return Staged(names, len(pairs), copy_text(pairs.values()))


def _pairs(
    link: Link, ids: Sequence[str], lists: Lists, full: frozenset[int]
) -> dict[tuple[str, str], str]:
    """The lines by owner and target; MisfitError if any element holds what the link cannot."""
    elements = list(chain.from_iterable(filter(None, lists)))
    held = _held(link, elements)
    if not held <= link_keys(link) and not _all_full(lists, full):
        raise MisfitError
    owners = [id for id, some in zip(ids, lists, strict=True) for _ in some or ()]
    targets = fields(Kind.ID, _values(elements, link.item, held))
    if NULL in targets or "" in targets:
        raise MisfitError
    attributes = [
        fields(column.kind, _values(elements, column.path, held)) for column in link.columns
    ]
    lines = map("\t".join, zip(owners, targets, *attributes, strict=True))
    return dict(zip(zip(owners, targets, strict=True), lines, strict=True))


def _held(link: Link, elements: list[Any]) -> frozenset[str]:
    """The keys of the elements; MisfitError if one is no object where it should be."""
    if not link.item:
        return frozenset()
    if not set(map(type, elements)) <= {dict}:
        raise MisfitError
    return frozenset().union(*elements)


def _all_full(lists: Lists, full: frozenset[int]) -> bool:
    return all(row in full for row, some in enumerate(lists) if some)


def _values(elements: list[Any], path: str, held: frozenset[str]) -> list[Any]:
    """What each element holds at the path, None where it does not."""
    if not path:
        return elements
    if path.split(".")[0] not in held:
        return [None] * len(elements)
    if "." in path:
        return [_at(element, path) for element in elements]
    return [element.get(path) for element in elements]


def _at(element: Any, path: str) -> Any:
    for key in path.split(".") if path else ():
        element = element.get(key) if type(element) is dict else None
    return element


def _patient_pairs(
    link: Link,
    ids: Sequence[str],
    lists: Lists,
    complete: list[bool],
    full: frozenset[int],
    left: Leftovers,
) -> dict[tuple[str, str], str]:
    """The same for lists of anything, element by element."""
    pairs: dict[tuple[str, str], str] = {}
    known = link_keys(link)
    for row, elements in enumerate(lists):
        for position, element in enumerate(elements or ()):
            target = id_text(_at(element, link.item))
            if target is None:
                complete[row] = False
                left.misfit(row, link.told_at, element, at=(str(position),))
                continue
            attributes = [
                _attribute(column, element, target, row, link, left) for column in link.columns
            ]
            pairs[ids[row], target] = "\t".join((ids[row], target, *attributes))
            if type(element) is dict and row not in full:
                for key in sorted(element.keys() - known):
                    left.keep(row, (*link.told_at, target, key), stripped(element[key]))
    return pairs


def _attribute(
    column: Column, element: Any, target: str, row: int, link: Link, left: Leftovers
) -> str:
    value = _at(element, column.path)
    if value is None:
        return NULL
    try:
        return CONVERT[column.kind](value)
    except MisfitError as misfit:
        left.misfit(row, link.told_at, value, at=(target, *column.keys))
        return misfit.cleaned
