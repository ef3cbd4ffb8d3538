"""The fuse: how many rows of a table one run may mark deleted unasked. Knows numbers, no SQL.

Whatever marks living rows deleted asks here first: what all sources of a run find is one sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

from connector.errors import TooManyDeletesError

FUSE_SHARE, FUSE_ROWS = 0.05, 20


class Fuse:
    """The fuse of one run. ``opened``: True for every table, or names of resources and tables."""

    def __init__(self, opened: bool | Collection[str] = False) -> None:
        self._opened = opened
        self._marked = Counter[str]()
        self._alive: dict[str, int] = {}
        self.held = Counter[str]()

    def is_open(self, *names: str) -> bool:
        """Whether any number of deletions was allowed, by one of these names."""
        if isinstance(self._opened, bool):
            return self._opened
        return not set(self._opened).isdisjoint(names)

    def is_blown(self, table: str, number: int, alive: int) -> bool:
        """Whether so many more are implausible, with what the run marked of the table before.

        That is more than 5 % of the rows that lived when the run began, and more than 20.
        """
        marked = self._marked[table]
        number, alive = number + marked, alive + marked
        return number > FUSE_ROWS and number > FUSE_SHARE * alive

    def check(self, table: str, number: int, alive: int, name: str = "") -> None:
        """TooManyDeletesError if so many are implausible; ``name`` is what would allow them."""
        if self.is_blown(table, number, alive):
            raise too_many(table, number, alive, name or table)

    def holds(
        self, table: str, names: Collection[str], number: int, alive: Callable[[], int]
    ) -> bool:
        """Whether so many rows, omitted by lists that come one by one, must not be marked.

        It is open by the table or one of ``names``. ``alive`` counts the living rows; it is asked
        once a run, where that matters. ``held`` sums up what was held back.
        """
        if self.is_open(table, *names) or self._marked[table] + number <= FUSE_ROWS:
            return False
        if table not in self._alive:
            self._alive[table] = alive() + self._marked[table]
        blown = self.is_blown(table, number, self._alive[table] - self._marked[table])
        self.held[table] += number if blown else 0
        return blown

    def error(self, table: str) -> str:
        """What a resource says of whose rows some were held back."""
        return str(too_many(table, self.held[table], self._alive[table], table))

    def note(self, table: str, marked: int) -> None:
        """So many rows of the table were marked."""
        self._marked[table] += marked


def too_many(table: str, number: int, alive: int, name: str) -> TooManyDeletesError:
    """The error that names the number and what to do."""
    return TooManyDeletesError(
        f"{number} of {alive} rows of {table} would be marked deleted, which is implausible; none"
        f" was. If they are really gone at Intercom, run 'sync --allow-deletes {name}'"
    )
