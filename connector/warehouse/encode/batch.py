"""Finished COPY text on its way from the encoder to the loader; knows no SQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from msgspec import Struct, field
from msgspec.structs import replace

from connector.resources.resource import Table


class Staged(Struct):
    """Finished COPY text for one table: its columns, the number of rows, the rows themselves.

    What every record left out (columns, and keys that lead to columns) is in ``absent`` and not
    among the columns. ``partial`` names what some left out; the rows tell which in ``_absent``.
    """

    columns: tuple[str, ...]
    rows: int
    data: bytes
    absent: frozenset[str] = frozenset()
    partial: frozenset[str] = frozenset()


class Batch(Struct):
    """What one call of ``encode`` made: staged rows by table, and what did not fit.

    ``misfits`` are counted by the row that they belong to, its table and key: a warning is about
    rows that are written. What can be no row has the key "". ``separate_lists`` came
    with copies of the same objects, and are merged after them. ``read_at`` is when the last of its
    records was requested. ``keys`` are those of its rows that have ids, by table, as COPY text; of
    a batch that was put together only those of its own table. While it is made, ``uneven`` is what
    each row tells that it leaves out, also where all do.
    """

    table: Table
    staged: dict[str, Staged] = field(default_factory=dict)
    misfits: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    records: int = 0
    separate_lists: Batch | None = None
    read_at: datetime | None = None
    keys: dict[str, Collection[str]] = field(default_factory=dict)
    uneven: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def ids(self) -> Collection[str]:
        """The ids of its rows, where each of them and of their links begins with one; else none."""
        ids, own = self.keys.get(self.table.name, ()), {self.table.name}
        own.update(link.table for link in self.table.links)
        others = any(staged.rows for name, staged in self.staged.items() if name not in own)
        first = self.staged[self.table.name].columns[:1]
        return () if first != self.table.key or others or "\\" in "".join(ids) else ids

    def divided(self, ids: Collection[str]) -> tuple[Batch, Batch]:
        """Two batches: without the rows of these ids and their links, and of those alone."""
        chosen = {key.encode() for key in ids}
        others, those = (Batch(self.table, read_at=self.read_at) for _ in range(2))
        for name, staged in self.staged.items():
            lines = staged.data.split(b"\n")[:-1]
            owners = [line.partition(b"\t")[0] in chosen for line in lines]
            for batch, wanted in ((others, False), (those, True)):
                some = [line for line, is_of in zip(lines, owners, strict=True) if is_of is wanted]
                data = b"\n".join([*some, b""])
                batch.staged[name] = replace(staged, rows=len(some), data=data)
        name, found = self.table.name, self.keys[self.table.name]
        others.keys[name] = [key for key in found if key not in ids]
        those.keys[name] = [key for key in found if key in ids]
        return others, those

    @property
    def warnings(self) -> Counter[str]:
        """All misfits, and how often each."""
        return sum(self.misfits.values(), Counter())

    def warnings_of(self, written: Callable[[str], Collection[str]]) -> Counter[str]:
        """The misfits of rows that were written, and of what can be no row.

        ``written`` tells the keys of those of a table.
        """
        keys = {table: set(written(table)) for table, key in self.misfits if key}
        return sum(
            (
                counted
                for (table, key), counted in self.misfits.items()
                if not key or key in keys[table]
            ),
            Counter(),
        )
