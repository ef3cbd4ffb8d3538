"""A sequence in pieces of a size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in their order, so many at a time; the last ones may be fewer."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
