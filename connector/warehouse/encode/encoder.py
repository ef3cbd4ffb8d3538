"""Records to COPY text, table by table, as the declarations say; a pure function of its input.

Columnar: one column of all records at a time. What no column, link or child claims, and what
does not fit where it belongs, goes to the row's ``extra``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, TypeVar

from connector.resources.lists import MISSING, Record
from connector.resources.resource import Child, Column, DerivedRows, Table
from connector.warehouse.encode.batch import Batch, Staged
from connector.warehouse.encode.exclusions import NONE, Exclusions
from connector.warehouse.encode.keys import id_texts, row_key, shown
from connector.warehouse.encode.keys import row_keys as row_ids
from connector.warehouse.encode.links import stage_link
from connector.warehouse.encode.nested import (
    Levels,
    Lists,
    absent,
    levels,
    lists,
    put_together,
    residue,
)
from connector.warehouse.encode.newest import CompleteLists, newest, separate_lists
from connector.warehouse.encode.unmapped import Leftovers
from connector.warehouse.values.columns import Fields, documents, fields, flags, table_text
from connector.warehouse.values.copies import without_copies
from connector.warehouse.values.fields import CONVERT, NULL, MisfitError, document, leftovers, tidy
from connector.warehouse.values.shape import Shape

Owner = Callable[[int], tuple[str, str]]
R = TypeVar("R")

PIECE = 10_000
"""Elements of one list that are encoded at a time."""


def encode(
    table: Table,
    records: Sequence[Record],
    read_at: Sequence[datetime],
    complete_lists: CompleteLists | None = None,
    exclusions: Exclusions = NONE,
    uneven: Mapping[str, frozenset[str]] | None = None,
) -> Batch:
    """The records of one table as a batch.

    ``read_at`` tells when each was requested, by Intercom's clock. ``complete_lists`` are by
    (place of the record, link table). Of several copies of one record the newest counts, with its
    own lists. A record without an id cannot be a row: it is only counted. What is excluded is
    taken out first of all, so nothing below can meet it. Of what is ``uneven``, by table, each row
    tells that its record leaves it out, also where all do.
    """
    lists, uneven = complete_lists or {}, uneven or {}
    if exclusions:
        records = exclusions.records(table, records)
        lists = exclusions.lists(table, lists)
    separate = separate_lists(table, records)
    if not separate:
        return _encode(table, records, read_at, lists, uneven)
    copies = sorted(set(range(len(records))).difference(separate))
    separate.sort(key=read_at.__getitem__)
    ids = row_ids(table, [records[place] for place in separate])
    if not copies or set(ids).isdisjoint(row_ids(table, [records[place] for place in copies])):
        return _encode(table, *chosen([*copies, *separate], records, read_at, lists), uneven)
    after = _encode(table, *chosen(separate, records, read_at, lists), uneven)
    batch = _encode(table, *chosen(copies, records, read_at, lists), uneven)
    batch.separate_lists = after
    for row, counted in after.misfits.items():
        batch.misfits.setdefault(row, Counter()).update(counted)
    return batch


def chosen(
    places: Sequence[int],
    records: Sequence[R],
    read_at: Sequence[datetime],
    lists: CompleteLists,
) -> tuple[list[R], list[datetime], CompleteLists]:
    """The records at these places, with what belongs to each."""
    moved = {old: new for new, old in enumerate(places)} if lists else {}
    return (
        [records[place] for place in places],
        [read_at[place] for place in places],
        {(moved[place], n): some for (place, n), some in lists.items() if place in moved},
    )


def _encode(
    table: Table,
    records: Sequence[Record],
    read_at: Sequence[datetime],
    lists: CompleteLists,
    uneven: Mapping[str, frozenset[str]],
) -> Batch:
    """Records all of which are copies of their objects, or none of which is."""
    batch = Batch(table, read_at=max(read_at, default=None), uneven=uneven)
    kept = newest(table, records, read_at, lists)
    if kept.lost:
        without = f"{table.name}: record without {' or '.join(table.key)}"
        batch.misfits[table.name, ""] = Counter({without: kept.lost})
    batch.records = len(kept.copies)
    rows = [record for record, _ in kept.copies.values()]
    stamps = _stamps([moment for _, moment in kept.copies.values()])
    _encode_rows(
        batch,
        table,
        list(kept.copies),
        rows,
        {"_read_at": stamps},
        kept.lists,
        lambda row: (table.name, shown(table, rows[row])),
    )
    return batch


def encode_list(
    table: Table,
    record: Callable[[Sequence[str | None]], Record],
    elements: Collection[str | None],
    read_at: datetime,
    exclusions: Exclusions = NONE,
) -> Batch:
    """One record whose list may have a million elements, as a batch.

    ``record`` makes it of some elements. It is encoded piece by piece: of all but the first only
    the links count. None is an element that names nothing: the list is then not known to be
    complete.
    """
    named = sorted({element for element in elements if element is not None})
    nameless: list[str | None] = [None] if None in elements else []
    batch = encode(table, [record([*nameless, *named[:PIECE]])], [read_at], exclusions=exclusions)
    texts = {name: [staged.data] for name, staged in batch.staged.items()}
    for start in range(PIECE, len(named), PIECE):
        some = [record(named[start : start + PIECE])]
        piece = encode(table, some, [read_at], exclusions=exclusions)
        for link in table.links:
            staged = piece.staged[link.table]
            texts[link.table].append(staged.data)
            batch.staged[link.table].rows += staged.rows
    for name, staged in batch.staged.items():
        staged.data = b"".join(texts[name])
    return batch


def _stamps(moments: Sequence[datetime]) -> Fields:
    """As COPY text; one object is the moment of all records of a page."""
    different = {id(moment): moment for moment in moments}
    texts = {key: moment.isoformat(" ") for key, moment in different.items()}
    return [texts[id(moment)] for moment in moments]


def row_keys(table: Table, records: Iterable[Record]) -> list[list[str]]:
    """For each key column, its values in the records that can be rows."""
    found = [
        [tidy(str(record.get(table.column(name).path))) for name in table.key]
        for record in records
        if row_key(table, record) is not None
    ]
    return [list(values) for values in zip(*found, strict=True)] or [[] for _ in table.key]


def _encode_rows(
    batch: Batch,
    table: Table,
    ids: Sequence[str],
    rows: Sequence[Record],
    given: dict[str, Fields],
    complete_lists: CompleteLists,
    owner: Owner,
) -> None:
    """Stage the rows of one table, then those of its links and children.

    ``owner`` tells table and key of the row that a misfit is counted for.
    """
    if not table.positioned:
        batch.keys[table.name] = ids
    shape = Shape.of(table)
    left = Leftovers(table, batch.misfits, owner)
    found = levels(shape, rows, left)
    columns = {column.name: _column(column, found, left) for column in table.columns}
    for link in table.links:
        elements, complete = lists(link.paths, found, left, link.null_is_empty)
        if link.halves:
            put_together(
                [lists((path,), found, left) for path in link.half_paths], elements, complete
            )
        full = _put_complete(link.table, elements, complete, complete_lists)
        batch.staged[link.table] = stage_link(link, ids, elements, complete, full, left)
        columns[f"_complete_{link.table}"] = flags(complete)
    for child in table.children:
        elements, complete = lists(child.paths, found, left)
        if child.cap:
            _cut_by_cap(child.cap, elements, complete)
            columns[table.parts.truncated] = _truncated(elements, complete)
        _encode_child(batch, child, ids, elements, complete, given["_read_at"], left, owner)
        columns[f"_complete_{child.table.name}"] = flags(complete)
    for told in table.derived:
        _keep_untold(told, rows, left)
    residue(shape, found, left)
    columns |= given
    uneven = batch.uneven.get(table.name, frozenset())
    batch.staged[table.name] = _stage(columns, len(rows), left, uneven)


def _keep_untold(told: DerivedRows, rows: Sequence[Record], left: Leftovers) -> None:
    """What stands where rows of another table should, and can be none of them, is kept here."""
    for row, record in enumerate(rows):
        listed = record.get(told.path)
        if listed is not None and not _tells(told, listed):
            left.misfit(row, (told.path,), listed)


def _tells(told: DerivedRows, listed: Any) -> bool:
    return type(listed) is list and all(
        type(element) is dict and row_key(told.table, element) is not None for element in listed
    )


def _column(column: Column, found: Levels, left: Leftovers) -> Fields:
    """The column's fields, row by row."""
    values = without_copies(column, found[column.keys[:-1]].values(column.keys[-1]))
    try:
        out = fields(column.kind, values)
    except MisfitError:
        out = _patient(column, values, column.keys in found, left)
    return _refer(column, values, out, left) if column.refers_to else out


def _patient(column: Column, values: Sequence[Any], leads_on: bool, left: Leftovers) -> Fields:
    """The fields of a column in which some values are absent or do not fit."""
    missing = absent(values)
    if missing:
        left.miss(column.name, missing)
        values = [None if value is MISSING else value for value in values]
    try:
        return fields(column.kind, values)
    except MisfitError:  # rarely: each on its own
        return [
            NULL if value is None else _field(column, row, value, leads_on, left)
            for row, value in enumerate(values)
        ]


def _field(column: Column, row: int, value: Any, leads_on: bool, left: Leftovers) -> str:
    """One field; what does not fit is kept. ``leads_on``: an object there has its own columns."""
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


def _refer(column: Column, values: Sequence[Any], references: Fields, left: Leftovers) -> Fields:
    """References without those that name nobody: 0 where Intercom writes it so, and ''."""
    if column.zero_is_null and "0" in references:
        references = [NULL if reference == "0" else reference for reference in references]
    if "" not in references:
        return references
    for row, reference in enumerate(references):
        if reference == "" and values[row] == "":  # what else became "" is kept already
            left.misfit(row, column.keys, "")
    return [reference or NULL for reference in references]


def _put_complete(
    name: str, elements: Lists, complete: list[bool], complete_lists: CompleteLists
) -> frozenset[int]:
    """Put complete lists in the place of embedded ones; the rows that have them.

    Their elements are objects of their own, not references.
    """
    full = {row: some for (row, link), some in complete_lists.items() if link == name}
    for row, some in full.items():
        elements[row], complete[row] = list(some), True
    return frozenset(full)


def _cut_by_cap(cap: int, elements: Lists, complete: list[bool]) -> None:
    for row, some in enumerate(elements):
        if some is not None and len(some) >= cap:
            complete[row] = False


def _truncated(elements: Lists, complete: list[bool]) -> Fields:
    return [
        NULL if some is None else "f" if whole else "t"
        for some, whole in zip(elements, complete, strict=True)
    ]


def _encode_child(
    batch: Batch,
    child: Child,
    ids: Sequence[str],
    lists: Lists,
    complete: list[bool],
    read_at: Fields,
    left: Leftovers,
    owner: Owner,
) -> None:
    """Stage the elements of the rows' lists: by their ids, or by their places.

    What has a place only counts for the row that it stands in.
    """
    found = _owned(child, ids, lists, complete, left)
    named = [key for _, key in found]
    given: dict[str, Fields] = {
        child.parent: [ids[row] for _, row in found.values()],
        "_read_at": [read_at[row] for _, row in found.values()],
    }
    if child.table.positioned:
        given["position"] = named
    owners = [row for _, row in found.values()]

    def own(row: int) -> tuple[str, str]:
        return owner(owners[row]) if child.table.positioned else (child.table.name, named[row])

    elements = [element for element, _ in found.values()]
    _encode_rows(batch, child.table, named, elements, given, {}, own)


def _owned(
    child: Child, ids: Sequence[str], lists: Lists, complete: list[bool], left: Leftovers
) -> dict[tuple[str, str], tuple[Record, int]]:
    """The elements and the rows that own them, by owner where need be and id or place.

    A list with an element that is no object with an id is not known to be complete.
    """
    positioned = child.table.positioned
    rows = [row for row, some in enumerate(lists) for _ in some or ()]
    places = [str(place) for some in lists for place in range(len(some or ()))]
    elements = list(chain.from_iterable(filter(None, lists)))
    keys: Sequence[str | None] = places if positioned else id_texts(list(map(_id, elements)))
    found: dict[tuple[str, str], tuple[Record, int]] = {}
    for row, place, key, element in zip(rows, places, keys, elements, strict=True):
        if key is None or type(element) is not dict:
            complete[row] = False
            left.misfit(row, child.paths[0], element, at=(place,))
        else:
            found[ids[row] if positioned else "", key] = (element, row)
    return found


def _id(element: Any) -> Any:
    return element.get("id") if type(element) is dict else None


def _stage(
    columns: dict[str, Fields], rows: int, left: Leftovers, uneven: frozenset[str]
) -> Staged:
    columns["extra"] = _extra(left.extra, rows)
    everywhere, partial = _absence(left.absent, rows, uneven)
    if partial:
        columns["_absent"] = _names(
            {name: left.absent.get(name, ()) for name in sorted(partial)}, rows
        )
    columns = {name: texts for name, texts in columns.items() if name not in everywhere}
    text = table_text(columns.values(), rows)
    return Staged(tuple(columns), rows, text, everywhere, partial)


def _extra(extra: dict[int, dict[str, Any]], rows: int) -> Fields:
    if not extra:
        return [NULL] * rows
    texts = dict(zip(extra, documents(list(extra.values()), leftovers), strict=True))
    return [texts.get(row, NULL) for row in range(rows)]


def _absence(
    missing: dict[str, set[int]], rows: int, uneven: frozenset[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """What all rows leave out, and of what the rows tell one by one."""
    everywhere = frozenset(name for name, where in missing.items() if len(where) == rows) - uneven
    return everywhere, uneven.union(missing) - everywhere


def _names(missing: Mapping[str, Collection[int]], rows: int) -> Fields:
    """Row by row the names of what is missing there, as an array."""
    names: list[list[str]] = [[] for _ in range(rows)]
    for name, where in missing.items():
        for row in where:
            names[row].append(name)
    return ["{" + ",".join(some) + "}" if some else NULL for some in names]
