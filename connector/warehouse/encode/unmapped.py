"""What no column, link or child of a table holds: kept for the row's ``extra``, and counted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from connector.resources.lists import MISSING
from connector.resources.resource import Table
from connector.warehouse.values.copies import NESTED, stripped
from connector.warehouse.values.shape import Path


class Leftovers:
    """What goes to ``extra`` (by row), what is absent (by name: the rows) and what does not fit.

    ``owner`` tells table and key of the row that a misfit is counted for.
    """

    def __init__(
        self,
        table: Table,
        misfits: dict[tuple[str, str], Counter[str]],
        owner: Callable[[int], tuple[str, str]],
    ) -> None:
        self.table, self.misfits, self.owner = table, misfits, owner
        self.extra: defaultdict[int, dict[str, Any]] = defaultdict(dict)
        self.absent: dict[str, set[int]] = {}

    def miss(self, name: str, rows: Sequence[int]) -> None:
        """An absent key is not a value: it leaves what is stored, unless it means unset."""
        if rows and not self.table.omits_unset:
            self.absent.setdefault(name, set()).update(rows)

    def keep(self, row: int, path: Path, value: Any) -> None:
        """Put a value at its path; what jsonb cannot hold is spelled out when it is staged."""
        place = self.extra[row]
        for key in path[:-1]:
            inner = place.get(key)
            if not isinstance(inner, dict):
                inner = place[key] = {}
            place = inner
        place[path[-1]] = value

    def keep_column(self, path: Path, values: Sequence[Any]) -> None:
        """Keep what is undeclared and stands at the path in each row, where it is not MISSING."""
        *outer, key = path
        if not outer and NESTED.isdisjoint(map(type, values)):  # nothing in it to be stripped
            for row, value in enumerate(values):
                if value is not MISSING:
                    self.extra[row][key] = value
            return
        for row, value in enumerate(values):
            if value is MISSING:
                continue
            kept = stripped(value)
            if outer:
                self.keep(row, path, kept)
            else:
                self.extra[row][key] = kept

    def misfit(self, row: int, declared: Path, value: Any, *, at: Path = ()) -> None:
        """Count and keep a value that its place cannot hold; ``at`` goes on from what is declared.

        The warning names only what is declared: the keys of maps are the customer's own.
        """
        counted = self.misfits.setdefault(self.owner(row), Counter())
        counted[f"{self.table.name}.{'.'.join(declared)}: value does not fit"] += 1
        self.keep(row, (*declared, *at), value)
