"""Rows of other tables that stand in records, as batches of their own; a pure function.

Contacts tell of the contacts that were merged into them, and so does an answer by id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from connector.resources.lists import Record
from connector.resources.resource import DerivedRows, Table
from connector.warehouse.encode.batch import Batch
from connector.warehouse.encode.encoder import encode, row_keys
from connector.warehouse.encode.exclusions import NONE, Exclusions

Row = tuple[DerivedRows, Record, datetime]
"""A row that a record tells of, and when that record was requested."""


def rows(table: Table, records: Sequence[Record], read_at: Sequence[datetime]) -> Iterator[Row]:
    """The rows of other tables that these records tell of."""
    for told in table.derived:
        for record, moment in zip(records, read_at, strict=True):
            listed = record.get(told.path)
            for element in listed if type(listed) is list else ():
                if type(element) is dict:
                    yield told, {**element, told.owner: record.get("id")}, moment


def batches(
    table: Table, found: Sequence[Row], exclusions: Exclusions = NONE
) -> list[tuple[Batch, list[str]]]:
    """For each kind of row that is told of: a batch, and the ids it tells of."""
    made = []
    for told in table.derived:
        own = [(row, moment) for kind, row, moment in found if kind is told]
        if own:
            records, moments = zip(*own, strict=True)
            made.append(_batch(told, records, moments, exclusions))
    return made


def successions(
    table: Table, merged: Mapping[str, str], at: datetime, exclusions: Exclusions = NONE
) -> list[tuple[Batch, list[str]]]:
    """The same of objects that, asked for by id, were merged: survivors' ids by their own."""
    if not merged:
        return []
    return [
        _batch(
            told,
            [{told.subject: key, told.owner: survivor} for key, survivor in sorted(merged.items())],
            [at] * len(merged),
            exclusions,
        )
        for told in table.derived
    ]


def _batch(
    told: DerivedRows, rows: Sequence[Record], moments: Sequence[datetime], exclusions: Exclusions
) -> tuple[Batch, list[str]]:
    batch = encode(told.table, rows, moments, None, exclusions)
    return batch, row_keys(told.table, rows)[0]
