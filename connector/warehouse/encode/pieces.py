"""Encodes many records piece by piece, and puts the pieces together; a pure function of its input.

Decoded, a record takes several times the memory of its text, and each column walks through all of
them. Pieces that a processor's cache holds are encoded in two thirds of the time. What is decided
among records is decided among all of them: pieces that hold copies of one row are encoded as one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain

from connector.jsontext import decode
from connector.resources.lists import Record
from connector.resources.resource import Table
from connector.warehouse.encode import derived as told_by
from connector.warehouse.encode.batch import Batch, Staged
from connector.warehouse.encode.encoder import chosen, encode
from connector.warehouse.encode.exclusions import NONE, Exclusions
from connector.warehouse.encode.newest import CompleteLists

PIECE_BYTES = 256 << 10
"""JSON text of one piece: decoded it takes some four times as much."""
PIECE_RECORDS = 300
"""Records of one piece, of those too that come decoded."""

NOTHING = frozenset[str]()

Made = tuple[Batch, list[tuple[Batch, list[str]]]]
"""A batch, and batches of the rows that its records tell of, with the ids told of."""


class Pieces:
    """Makes batches; of all that it made it knows what some records leave out and others do not.

    Rows tell of that one by one, by table, so that the pieces of later batches are alike at once.
    """

    def __init__(self) -> None:
        self._uneven: dict[str, frozenset[str]] = {}

    def make(
        self,
        table: Table,
        records: Sequence[Record | bytes],
        read_at: Sequence[datetime],
        complete_lists: CompleteLists,
        exclusions: Exclusions = NONE,
    ) -> Made:
        """Records, decoded or as JSON text, as a batch, and what they tell of other tables."""
        rows: list[told_by.Row] = []

        def encoded(places: Sequence[int], *, first: bool = False) -> Batch:
            some, moments, lists = chosen(places, records, read_at, complete_lists)
            decoded = [decode(one) if isinstance(one, bytes) else one for one in some]
            if first:
                rows.extend(told_by.rows(table, decoded, moments))
            return encode(table, decoded, moments, lists, exclusions, self._uneven)

        cuts = list(_cuts(records))
        made = [encoded(places, first=True) for places in cuts]
        if shared := _sharing(made):
            cuts = [places for n, places in enumerate(cuts) if n not in shared] + [
                list(chain.from_iterable(places for n, places in enumerate(cuts) if n in shared))
            ]
            made = [one for n, one in enumerate(made) if n not in shared] + [encoded(cuts[-1])]
        if uneven := _uneven(made):
            if "updated_at" in uneven.get(table.name, NOTHING):
                cuts = [range(len(records))]  # what has an age, and what has none: among all
            else:
                self._uneven |= {n: self._uneven.get(n, NOTHING) | uneven[n] for n in uneven}
            made = [encoded(places) for places in cuts]
        return _together(made), told_by.batches(table, rows, exclusions)


def _cuts(records: Sequence[Record | bytes]) -> Iterator[Sequence[int]]:
    """The places of the records, piece by piece; one piece at least."""
    start, held = 0, 0
    for place, record in enumerate(records):
        size = len(record) if isinstance(record, bytes) else 0
        if place > start and (held + size > PIECE_BYTES or place - start >= PIECE_RECORDS):
            yield range(start, place)
            start, held = place, 0
        held += size
    yield range(start, len(records))


def _sharing(made: Sequence[Batch]) -> Collection[int]:
    """Which pieces hold a row that another one holds too."""
    keys = [list(_keys(batch)) for batch in made]
    several = Counter[tuple[str, str]]()
    for table in {table for piece in keys for table, _ in piece}:
        found = [some for piece in keys for name, some in piece if name == table]
        if len(set().union(*found)) < sum(map(len, found)):
            counted = Counter(chain.from_iterable(found))
            several.update({(table, key): n for key, n in counted.items() if n > 1})
    return {
        number
        for number, piece in enumerate(keys)
        if several and any((table, key) in several for table, some in piece for key in some)
    }


def _keys(batch: Batch) -> Iterator[tuple[str, frozenset[str]]]:
    """The keys of its rows, by table."""
    own = {name: frozenset(some) for name, some in batch.keys.items()}
    beside = batch.separate_lists.keys if batch.separate_lists else {}
    for name in own.keys() | beside.keys():
        yield name, own.get(name, frozenset()).union(beside.get(name, ()))


def _uneven(made: Sequence[Batch]) -> dict[str, frozenset[str]]:
    """By table, what the rows of some pieces leave out and those of others do not."""
    found = dict[str, frozenset[str]]()
    beside = [batch.separate_lists for batch in made if batch.separate_lists]
    for batches in (made, beside):
        for name, parts in _by_table(batches).items():
            told = {(part.columns, part.absent, part.partial) for part in parts}
            if len(told) > 1:
                some = frozenset().union(*(part.absent | part.partial for part in parts))
                everywhere = frozenset.intersection(*(part.absent for part in parts))
                found[name] = found.get(name, frozenset()) | (some - everywhere)
    return found


def _by_table(batches: Iterable[Batch]) -> Mapping[str, list[Staged]]:
    """What is staged of each table: of pieces with rows where any has some."""
    found: dict[str, list[Staged]] = {}
    for batch in batches:
        for name, staged in batch.staged.items():
            found.setdefault(name, []).append(staged)
    return {
        name: [part for part in parts if part.rows] or parts[:1] for name, parts in found.items()
    }


def _together(made: Sequence[Batch]) -> Batch:
    """The pieces as one batch; no two of them hold the same row, and all their rows are alike."""
    whole = Batch(made[0].table)
    for name, (first, *others) in _by_table(made).items():
        parts = (first, *others)
        rows, data = sum(part.rows for part in parts), b"".join(part.data for part in parts)
        whole.staged[name] = Staged(first.columns, rows, data, first.absent, first.partial)
    for one in made:
        for row, counted in one.misfits.items():
            whole.misfits.setdefault(row, Counter()).update(counted)
    whole.keys[whole.table.name] = [
        *chain.from_iterable(one.keys.get(whole.table.name, ()) for one in made)
    ]
    whole.records = sum(one.records for one in made)
    whole.read_at = max((one.read_at for one in made if one.read_at), default=None)
    if beside := [one.separate_lists for one in made if one.separate_lists]:
        whole.separate_lists = _together(beside)
    return whole
