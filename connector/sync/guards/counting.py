"""Whether a search shows what it counts; pure."""

from __future__ import annotations

LOST = 3  # records: fewer may have come, gone or moved while one reads


def leaves_out(short: int, counted: int) -> bool:
    """Whether so many records less than counted are no matter of changes meanwhile."""
    return short >= max(LOST, counted / 100)
