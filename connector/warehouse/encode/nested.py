"""The objects and lists that a table's records consist of, one for each row; knows no kind.

A level is what stands at one path in all records, and is asked for one key of all its objects at
a time. Where no object is, though one is declared, stands an object that answers every declared
key alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from types import NoneType
from typing import Any

from msgspec import Struct

from connector.resources.lists import MISSING, Record, is_complete
from connector.warehouse.encode.unmapped import Leftovers
from connector.warehouse.values.shape import Path, Shape


class Level:
    """The objects at one path, row by row, and the keys that any of them holds."""

    def __init__(self, objects: Sequence[Record], keys: frozenset[str]) -> None:
        self.objects, self.keys = objects, keys

    def values(self, key: str) -> Sequence[Any]:
        """What each object holds under the key, MISSING where it does not hold it."""
        if key not in self.keys:
            return [MISSING] * len(self.objects)
        try:
            return list(map(itemgetter(key), self.objects))
        except KeyError:
            return [found.get(key, MISSING) for found in self.objects]


class Uniform(Level):
    """Objects that all hold the same keys in the same order, as most records of a page do."""

    def __init__(self, objects: Sequence[Record], keys: list[str]) -> None:
        super().__init__(objects, frozenset(keys))
        columns = zip(*[found.values() for found in objects], strict=True)
        self._columns = dict(zip(keys, columns, strict=True))

    def values(self, key: str) -> Sequence[Any]:
        """What each object holds under the key, MISSING where it does not hold it."""
        return self._columns.get(key) or [MISSING] * len(self.objects)


FEW_KEYS = 9  # so few are cheaper to ask for one by one


def level_of(objects: Sequence[Record]) -> Level:
    """The objects as a level: ``Uniform`` where all have the same keys in the same order."""
    keys = list(objects[0]) if objects else []
    if len(keys) < FEW_KEYS or any(map(keys.__ne__, map(list, objects))):
        return Level(objects, frozenset().union(*objects))
    return Uniform(objects, keys)


Levels = dict[Path, Level]


def absent(values: Sequence[Any]) -> list[int]:
    """The rows whose objects do not hold the key."""
    return [row for row, value in enumerate(values) if value is MISSING]


class Spoilt(dict[str, Any]):
    """Stands where something else than an object is, which says nothing of lists."""


def levels(shape: Shape, rows: Sequence[Record], left: Leftovers) -> Levels:
    """Every level that a declared path leads through; the records themselves are at ``()``."""
    found: Levels = {(): level_of(rows)}
    for path in shape.prefixes:
        values = found[path[:-1]].values(path[-1])
        types = set(map(type, values))
        if type(MISSING) in types and len(path) == 1:
            left.miss(path[0], absent(values))
        if types - {dict, NoneType, type(MISSING)} and path not in shape.leaves | shape.lists:
            _spoil(values, path, left)
        found[path] = level_of(values if types == {dict} else _with_stand_ins(values, path, shape))
    return found


def _spoil(values: Sequence[Any], path: Path, left: Leftovers) -> None:
    for row, value in enumerate(values):
        if type(value) not in (dict, NoneType, type(MISSING)):
            left.misfit(row, path, value)


def _with_stand_ins(values: Sequence[Any], path: Path, shape: Shape) -> list[dict[str, Any]]:
    known = shape.known[path]
    instead: dict[type, dict[str, Any]] = {
        NoneType: dict.fromkeys(known),
        type(MISSING): dict.fromkeys(known, MISSING),
    }
    # Where a column has the same path, what is no object is its value and spoils nothing.
    other = instead[NoneType] if path in shape.leaves else Spoilt.fromkeys(known)
    return [value if type(value) is dict else instead.get(type(value), other) for value in values]


def residue(shape: Shape, found: Levels, left: Leftovers) -> None:
    """Keep what no declaration claims."""
    for path, known in shape.known.items():
        level = found[path]
        for key in sorted(level.keys - known):
            left.keep_column((*path, key), level.values(key))


class Place(Struct):
    """Where a list can stand: what is there, and in what, row by row."""

    path: Path
    level: Level
    values: Sequence[Any]


Lists = list[list[Any] | None]


def lists(
    paths: Sequence[Path], found: Levels, left: Leftovers, null_is_empty: bool = False
) -> tuple[Lists, list[bool]]:
    """Each row's list (None where there is none) and whether it is known to be complete."""
    rows = len(found[()].objects)
    places = []
    for path in paths:
        level = found[path[:-1]]
        places.append(Place(path, level, level.values(path[-1])))
    for place in places:
        types = set(map(type, place.values))
        if types == {list}:
            return list(place.values), _complete(place)
        if types - {type(MISSING)}:
            answers = [_list(places, row, left, null_is_empty) for row in range(rows)]
            return [elements for elements, _ in answers], [complete for _, complete in answers]
    if all(len(path) == 1 for path in paths):
        left.miss(paths[-1][0], range(rows))
    return [None] * rows, [False] * rows


def put_together(
    halves: Sequence[tuple[Lists, list[bool]]], elements: Lists, complete: list[bool]
) -> None:
    """Where a row has no list, put what its halves make together; nothing where one lacks."""
    found = zip(*(half for half, _ in halves), strict=True)
    wholes = zip(*(whole for _, whole in halves), strict=True)
    for row, (parts, whole) in enumerate(zip(found, wholes, strict=True)):
        if elements[row] is None and None not in parts:
            elements[row] = [*chain.from_iterable(filter(None, parts))]
            complete[row] = all(whole)


def _complete(place: Place) -> list[bool]:
    if len(place.path) == 1:
        return [True] * len(place.values)
    level = place.level
    more, counts = level.values("has_more"), level.values("total_count")
    return [
        (told is False and count == len(value)) or is_complete(wrapper, value)
        for told, count, wrapper, value in zip(
            more, counts, level.objects, place.values, strict=True
        )
    ]


def _list(
    places: Sequence[Place], row: int, left: Leftovers, null_is_empty: bool
) -> tuple[list[Any] | None, bool]:
    nulled, missing = False, True
    for place in places:
        wrapper, value = place.level.objects[row], place.values[row]
        if type(value) is list:
            return value, len(place.path) == 1 or is_complete(wrapper, value)
        if value is MISSING or type(wrapper) is Spoilt:
            missing = missing and len(place.path) == 1
            continue
        missing = False
        if value is None:
            nulled = True
        elif not (type(value) is dict and any(p.path[:-1] == place.path for p in places)):
            left.misfit(row, place.path, value)
    if missing:
        left.miss(places[-1].path[0], (row,))
    return ([], True) if nulled and null_is_empty else (None, False)
