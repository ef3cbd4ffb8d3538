"""What no column, link or child of a table holds: kept for the row's ``extra``, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from connector.resources.resource import Table
from connector.warehouse.shape import REFERENCE, WRAPPER, Path


class Leftovers:
    """What goes to ``extra`` (by row), what is absent (by name: the rows) and the warnings."""

    def __init__(self, table: Table, warnings: Counter[str]) -> None:
        self.table, self.warnings = table, warnings
        self.extra: dict[int, dict[str, Any]] = {}
        self.absent: dict[str, set[int]] = {}

    def miss(self, name: str, rows: Sequence[int]) -> None:
        """An absent key is not a value: it leaves what is stored, unless it means unset."""
        if rows and not self.table.omits_unset:
            self.absent.setdefault(name, set()).update(rows)

    def keep(self, row: int, path: Path, value: Any) -> None:
        """Put a value at its path; what jsonb cannot hold is spelled out when it is staged."""
        place = self.extra.setdefault(row, {})
        for key in path[:-1]:
            inner = place.get(key)
            if not isinstance(inner, dict):
                inner = place[key] = {}
            place = inner
        place[path[-1]] = value

    def misfit(self, row: int, declared: Path, value: Any, *, at: Path = ()) -> None:
        """Count and keep a value that its place cannot hold; ``at`` goes on from what is declared.

        The warning names only what is declared: the keys of maps are the customer's own.
        """
        self.warnings[f"{self.table.name}.{'.'.join(declared)}: value does not fit"] += 1
        self.keep(row, (*declared, *at), value)


def stripped(value: Any) -> Any:
    """An undeclared value without what only wraps lists and repeats references."""
    if type(value) is not dict and type(value) is not list:
        return value
    try:
        return _strip(value)
    except RecursionError:
        return value


def _strip(value: Any) -> Any:
    if type(value) is list:
        return [_strip(element) for element in value]
    if type(value) is not dict:
        return value
    drop: frozenset[str] = frozenset()
    if "has_more" in value or ("data" in value and "url" in value):
        drop = WRAPPER
    elif "id" in value and value.keys() <= REFERENCE:
        drop = frozenset({"url"})
    return {key: _strip(inner) for key, inner in value.items() if key not in drop}
