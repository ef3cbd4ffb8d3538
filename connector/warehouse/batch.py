"""Finished COPY text on its way from the encoder to the loader; knows no SQL."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from connector.resources.resource import Table


@dataclass
class Staged:
    """Finished COPY text for one table: its columns, the number of rows, the rows themselves.

    What every record left out (columns, and keys that lead to columns) is in ``absent`` and not
    among the columns. ``partial`` names what some left out; the rows tell which in ``_absent``.
    """

    columns: tuple[str, ...]
    rows: int
    data: bytes
    absent: frozenset[str] = frozenset()
    partial: frozenset[str] = frozenset()


@dataclass
class Batch:
    """What one call of ``encode`` made: staged rows by table, and what did not fit.

    ``beside`` holds the lists that came with copies of objects, and are none: merged after them.
    """

    table: Table
    staged: dict[str, Staged] = field(default_factory=dict)
    warnings: Counter[str] = field(default_factory=Counter)
    records: int = 0
    beside: Batch | None = None
