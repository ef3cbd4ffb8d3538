"""Which row a value or a record names, as COPY text; knows of a record only that."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from connector.resources.lists import Record
from connector.resources.resource import Kind, Table
from connector.warehouse.values.columns import Fields, fields
from connector.warehouse.values.fields import CONVERT, NULL, MisfitError, identifier


def id_text(value: Any) -> str | None:
    """An id as its column's text, or None where the value can be none."""
    try:
        return identifier(value) or None
    except MisfitError as misfit:
        return None if misfit.cleaned in (NULL, "") else misfit.cleaned


def id_texts(values: Sequence[Any]) -> Sequence[str | None]:
    """What ``id_text`` says of each."""
    try:
        return _named(Kind.ID, values)
    except MisfitError:  # rarely: each on its own
        return list(map(id_text, values))


def row_key(table: Table, record: Record) -> str | None:
    """What identifies the record's row; None if it can be no row."""
    if table.key == ("id",):
        return id_text(record.get("id"))
    texts: list[str] = []
    for name in table.key:
        column = table.column(name)
        try:
            texts.append(CONVERT[column.kind](record.get(column.path)))
        except MisfitError as misfit:
            texts.append(misfit.cleaned)
    return None if NULL in texts or "" in texts else "\t".join(texts)


def row_keys(table: Table, records: Sequence[Record]) -> Sequence[str | None]:
    """What ``row_key`` says of each."""
    columns = [table.column(name) for name in table.key]
    try:
        texts = [
            _named(column.kind, [record.get(column.path) for record in records])
            for column in columns
        ]
    except MisfitError:  # rarely: each on its own
        return [row_key(table, record) for record in records]
    return list(map("\t".join, zip(*texts, strict=True)))


def shown(table: Table, record: Record) -> str:
    """The key of the record's row as people read it: its id, or its parts, instants in seconds."""
    parts = []
    for name in table.key:
        column = table.column(name)
        value = record.get(column.path)
        if column.kind is Kind.INSTANT:
            with contextlib.suppress(MisfitError, ValueError):
                moment = datetime.fromisoformat(CONVERT[column.kind](value))
                value = math.floor(moment.timestamp())
        parts.append(str(value) if column.kind is Kind.INSTANT else id_text(value) or "")
    return " ".join(parts)


def _named(kind: Kind, values: Sequence[Any]) -> Fields:
    """The values' fields, if every one of them can be a key; else MisfitError."""
    found = fields(kind, values)
    if NULL in found or "" in found:
        raise MisfitError
    return found
