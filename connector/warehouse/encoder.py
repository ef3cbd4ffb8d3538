"""Records to COPY text, table by table, as the declarations say; a pure function of its input.

Columnar: one column of all records at a time. What no column, link or child claims, and what
does not fit where it belongs, goes to the row's ``extra``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from connector.resources.lists import MISSING, Record, is_whole
from connector.resources.resource import Child, Column, Link, Table
from connector.warehouse.batch import Batch, Staged
from connector.warehouse.exclusions import NONE, Exclusions
from connector.warehouse.leftovers import Leftovers, residue, stripped
from connector.warehouse.shape import Path, Shape, link_keys
from connector.warehouse.values import (
    CONVERT,
    NULL,
    MisfitError,
    document,
    identifier,
    instant,
    leftovers,
    tidy,
)


class _Void(dict[str, Any]):
    """Stands for an object that is not there: whatever is asked for gets the same answer."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def get(self, key: str, default: Any = None) -> Any:
        return self.answer


ABSENT: Final = _Void(MISSING)
NULLED: Final = _Void(None)
SPOILT: Final = _Void(None)  # something else stands there, so it says nothing of lists


def encode(
    table: Table,
    records: Sequence[Record],
    read_at: Sequence[datetime],
    completed: Mapping[tuple[str, str], Sequence[Any]] | None = None,
    exclusions: Exclusions = NONE,
) -> Batch:
    """The records of one table as a batch.

    ``read_at`` tells when each was requested, by Intercom's clock. ``completed`` holds the
    complete lists that were read beside a record, by (record id, link table). Of several copies
    of one record the newest counts. A record without an id cannot be a row: it is only counted.
    What is excluded is taken out first of all, so nothing below can meet it.
    """
    if exclusions:
        records = exclusions.records(table, records)
        completed = exclusions.lists(table, completed or {})
    batch = Batch(table)
    newest = _newest(table, records, read_at, batch.warnings)
    batch.records = len(newest)
    stamps = [moment.isoformat(" ") for _, moment in newest.values()]
    rows = [record for record, _ in newest.values()]
    _encode_rows(batch, table, list(newest), rows, {"_read_at": stamps}, completed or {})
    return batch


def _newest(
    table: Table,
    records: Sequence[Record],
    read_at: Sequence[datetime],
    warnings: Counter[str],
) -> dict[str, tuple[Record, datetime]]:
    kept: dict[str, tuple[Record, datetime]] = {}
    for record, moment in zip(records, read_at, strict=True):
        key = _row_key(table, record)
        if key is None:
            warnings[f"{table.name}: record without {' or '.join(table.key)}"] += 1
        elif key not in kept or _replaces(table, (record, moment), kept[key]):
            kept[key] = (record, moment)
    return kept


def _replaces(table: Table, new: tuple[Record, datetime], old: tuple[Record, datetime]) -> bool:
    """Whether the copy is not the older one, as the loader decides it against stored rows."""
    if table.has_updated_at:
        mine, theirs = _updated_at(new[0]), _updated_at(old[0])
        if mine and theirs and mine != theirs:
            return mine > theirs
    return new[1] >= old[1]


def _updated_at(record: Record) -> str | None:
    """As COPY text, whose order is that of time."""
    try:
        return instant(record.get("updated_at"))
    except MisfitError:
        return None


def _key(value: Any) -> str | None:
    """An id as its column's text, or None where the value can be none."""
    try:
        return identifier(value) or None
    except MisfitError as misfit:
        return None if misfit.cleaned in (NULL, "") else misfit.cleaned


def _row_key(table: Table, record: Record) -> str | None:
    """What identifies the record's row, as COPY text; None if it can be no row."""
    if table.key == ("id",):
        return _key(record.get("id"))
    fields: list[str] = []
    for name in table.key:
        column = table.column(name)
        try:
            fields.append(CONVERT[column.kind](record.get(column.path)))
        except MisfitError as misfit:
            fields.append(misfit.cleaned)
    return None if NULL in fields or "" in fields else "\t".join(fields)


def row_keys(table: Table, records: Iterable[Record]) -> list[list[str]]:
    """For each key column, its values in the records that can be rows."""
    found = [
        [tidy(str(record.get(table.column(name).path))) for name in table.key]
        for record in records
        if _row_key(table, record) is not None
    ]
    return [list(values) for values in zip(*found, strict=True)] or [[] for _ in table.key]


def _encode_rows(
    batch: Batch,
    table: Table,
    ids: list[str],
    rows: list[Record],
    given: dict[str, list[str]],
    completed: Mapping[tuple[str, str], Sequence[Any]],
) -> None:
    """Stage the rows of one table, then those of its links and children."""
    shape = Shape.of(table)
    left = Leftovers(table, batch.warnings)
    objects = _objects(shape, rows, left)
    columns: dict[str, list[str]] = {}
    for column in table.columns:
        columns[column.name] = _column(column, objects, left, shape)
    for link in table.links:
        lists, whole = _lists(link, objects, left, link.null_is_empty)
        full = _complete(link.table, rows, lists, whole, completed)
        _encode_link(batch, link, ids, lists, whole, full, left)
        columns[f"_whole_{link.table}"] = _flags(whole)
    for child in table.children:
        lists, whole = _lists(child, objects, left, null_is_empty=False)
        if child.cap:
            _cut_by_cap(child.cap, lists, whole)
            columns[table.truncated] = _truncated(lists, whole)
        _encode_child(batch, child, ids, lists, whole, given["_read_at"], left)
        columns[f"_whole_{child.table.name}"] = _flags(whole)
    residue(shape, objects, left)
    columns |= given
    _stage(batch, table, columns, len(rows), left)


def _objects(shape: Shape, rows: list[Record], left: Leftovers) -> dict[Path, list[Any]]:
    """Every nested object that a declared path leads through, row by row."""
    objects: dict[Path, list[Any]] = {(): rows}
    for path in shape.prefixes:
        parents, key = objects[path[:-1]], path[-1]
        found: list[Any] = []
        for row, parent in enumerate(parents):
            value = parent.get(key, MISSING)
            if type(value) is dict:
                found.append(value)
            elif value is MISSING:
                found.append(ABSENT)
                if len(path) == 1:
                    left.miss(row, key)
            elif value is None or path in shape.leaves:
                found.append(NULLED)
            else:
                found.append(SPOILT)
                left.misfit(row, path, value)
        objects[path] = found
    return objects


def _column(
    column: Column, objects: dict[Path, list[Any]], left: Leftovers, shape: Shape
) -> list[str]:
    """The column's fields, row by row."""
    convert, key = CONVERT[column.kind], column.keys[-1]
    values = [parent.get(key, MISSING) for parent in objects[column.keys[:-1]]]
    try:
        if MISSING in values:
            raise MisfitError
        out = [NULL if value is None else convert(value) for value in values]
    except MisfitError:  # rarely: each on its own
        out = [
            _field(column, row, value, column.keys in objects, left)
            for row, value in enumerate(values)
        ]
    return _refer(column, out, left) if column.refers_to else out


def _field(column: Column, row: int, value: Any, leads_on: bool, left: Leftovers) -> str:
    """One field; what does not fit is kept. ``leads_on``: an object there has its own columns."""
    if value is MISSING:
        left.miss(row, column.name)
        return NULL
    if value is None:
        return NULL
    try:
        return CONVERT[column.kind](value)
    except MisfitError as misfit:
        if type(value) is dict and misfit.cleaned != NULL:
            _keep_entries(column, row, value, left)
        elif not (type(value) is dict and leads_on):
            left.misfit(row, column.keys, value)
        return misfit.cleaned


def _keep_entries(column: Column, row: int, value: dict[str, Any], left: Leftovers) -> None:
    """Of an object with open keys, the entries that did not fit."""
    for key, entry in value.items():
        try:
            document({key: entry})
        except MisfitError:
            left.misfit(row, column.keys, entry, at=(key,))


def _refer(column: Column, fields: list[str], left: Leftovers) -> list[str]:
    """References without those that name nobody: 0 where Intercom writes it so, and ''."""
    for row, reference in enumerate(fields):
        if reference == "":
            left.misfit(row, column.keys, "")
            fields[row] = NULL
        elif reference == "0" and column.zero_is_null:
            fields[row] = NULL
    return fields


def _lists(
    part: Link | Child, objects: dict[Path, list[Any]], left: Leftovers, null_is_empty: bool
) -> tuple[list[list[Any] | None], list[bool]]:
    """Each row's list (None where there is none) and whether it is known to be complete."""
    lists: list[list[Any] | None] = []
    whole: list[bool] = []
    for row in range(len(objects[()])):
        found, complete = _list(part.paths, objects, row, left, null_is_empty)
        lists.append(found)
        whole.append(complete)
    return lists, whole


def _list(
    paths: Iterable[Path],
    objects: dict[Path, list[Any]],
    row: int,
    left: Leftovers,
    null_is_empty: bool,
) -> tuple[list[Any] | None, bool]:
    nulled, missing = False, True
    for path in paths:
        wrapper = objects[path[:-1]][row]
        value = MISSING if wrapper is SPOILT else wrapper.get(path[-1], MISSING)
        missing = missing and len(path) == 1 and value is MISSING
        if type(value) is list:
            return value, len(path) == 1 or is_whole(wrapper, value)
        if value is None:
            nulled = True
        elif value is not MISSING:
            left.misfit(row, path, value)
    if missing:
        left.miss(row, path[0])
    return ([], True) if nulled and null_is_empty else (None, False)


def _complete(
    name: str,
    rows: list[Record],
    lists: list[list[Any] | None],
    whole: list[bool],
    completed: Mapping[tuple[str, str], Sequence[Any]],
) -> frozenset[int]:
    """Put complete lists in the place of embedded ones; the rows that have them.

    Their elements are objects of their own, not references.
    """
    if not completed:
        return frozenset()
    full = set()
    for row, record in enumerate(rows):
        elements = completed.get((str(record.get("id")), name))
        if elements is not None:
            lists[row], whole[row] = list(elements), True
            full.add(row)
    return frozenset(full)


def _cut_by_cap(cap: int, lists: list[list[Any] | None], whole: list[bool]) -> None:
    for row, elements in enumerate(lists):
        if elements is not None and len(elements) >= cap:
            whole[row] = False


def _truncated(lists: list[list[Any] | None], whole: list[bool]) -> list[str]:
    return [
        NULL if elements is None else "f" if complete else "t"
        for elements, complete in zip(lists, whole, strict=True)
    ]


def _flags(values: list[bool]) -> list[str]:
    return ["t" if value else "f" for value in values]


def _encode_link(
    batch: Batch,
    link: Link,
    ids: list[str],
    lists: list[list[Any] | None],
    whole: list[bool],
    full: frozenset[int],
    left: Leftovers,
) -> None:
    """Stage pairs of ids; a list with an element that names nothing is not known to be whole."""
    pairs: dict[tuple[str, str], list[str]] = {}
    known = link_keys(link)
    for row, elements in enumerate(lists):
        for position, element in enumerate(elements or ()):
            target = _key(_at(element, link.item))
            if target is None:
                whole[row] = False
                left.misfit(row, link.paths[0], element, at=(str(position),))
                continue
            pairs[ids[row], target] = [
                _attribute(column, element, target, row, link, left) for column in link.columns
            ]
            if type(element) is dict and not element.keys() <= known and row not in full:
                for key in element.keys() - known:
                    left.keep(row, (*link.paths[0], target, key), stripped(element[key]))
    lines = ["\t".join((*pair, *attributes)) for pair, attributes in pairs.items()]
    names = (link.owner, link.target, *(column.name for column in link.columns))
    batch.staged[link.table] = Staged(names, len(lines), _text(lines))


def _at(element: Any, path: str) -> Any:
    if not path:
        return element
    if "." not in path:
        return element.get(path) if type(element) is dict else None
    for key in path.split("."):
        element = element.get(key) if type(element) is dict else None
    return element


def _attribute(
    column: Column, element: Any, target: str, row: int, link: Link, left: Leftovers
) -> str:
    value = _at(element, column.path)
    if value is None:
        return NULL
    try:
        return CONVERT[column.kind](value)
    except MisfitError as misfit:
        left.misfit(row, link.paths[0], value, at=(target, *column.keys))
        return misfit.cleaned


def _encode_child(
    batch: Batch,
    child: Child,
    ids: list[str],
    lists: list[list[Any] | None],
    whole: list[bool],
    read_at: list[str],
    left: Leftovers,
) -> None:
    """Stage the elements of the rows' lists: by their ids, or by their places.

    A list with an element that is no object with an id is not known to be whole.
    """
    found: dict[tuple[str, str], tuple[Record, str, str]] = {}
    for row, elements in enumerate(lists):
        for position, element in enumerate(elements or ()):
            key = str(position) if child.table.positioned else _child_key(element)
            if key is None or type(element) is not dict:
                whole[row] = False
                left.misfit(row, child.paths[0], element, at=(str(position),))
            else:
                owner = ids[row] if child.table.positioned else ""
                found[owner, key] = (element, ids[row], read_at[row])
    given = {
        child.parent: [parent for _, parent, _ in found.values()],
        "_read_at": [moment for _, _, moment in found.values()],
    }
    keys = [key for _, key in found]
    if child.table.positioned:
        given["position"] = keys
    _encode_rows(batch, child.table, keys, [r for r, _, _ in found.values()], given, {})


def _child_key(element: Any) -> str | None:
    return _key(element.get("id")) if type(element) is dict else None


def _stage(
    batch: Batch, table: Table, columns: dict[str, list[str]], rows: int, left: Leftovers
) -> None:
    columns["extra"] = [
        leftovers(left.extra[row]) if row in left.extra else NULL for row in range(rows)
    ]
    absent, partial = _absence(left.absent, rows)
    if partial:
        columns["_absent"] = [_names(left.absent.get(row, set()) & partial) for row in range(rows)]
    columns = {name: values for name, values in columns.items() if name not in absent}
    lines = ["\t".join(fields) for fields in zip(*columns.values(), strict=True)]
    batch.staged[table.name] = Staged(tuple(columns), rows, _text(lines), absent, partial)


def _absence(absent: dict[int, set[str]], rows: int) -> tuple[frozenset[str], frozenset[str]]:
    """What all rows leave out, and what only some do."""
    if not absent:
        return frozenset(), frozenset()
    sets = list(absent.values())
    everywhere = frozenset.intersection(*map(frozenset, sets)) if len(sets) == rows else frozenset()
    return everywhere, frozenset().union(*sets) - everywhere


def _names(names: set[str] | frozenset[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}" if names else NULL


def _text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
