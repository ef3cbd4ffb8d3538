"""Many ids in little memory: what a list of a million showed; knows nothing of what they name."""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Iterator


class Ids:
    """Ids in the order in which they came, some 30 bytes each where a list of texts takes 80."""

    def __init__(self) -> None:
        self._pages: list[bytes] = []
        self._number = 0

    def add(self, ids: Iterable[str]) -> None:
        """More of them, a page at a time."""
        page = list(ids)
        if page:
            self._pages.append(marshal.dumps(page))
            self._number += len(page)

    def __iter__(self) -> Iterator[str]:
        for page in self._pages:
            yield from marshal.loads(page)

    def __len__(self) -> int:
        return self._number
