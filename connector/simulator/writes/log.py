"""Remembers every write that was carried out, and what it did, so that tests can count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import Struct, field, to_builtins


class Effect(Struct, frozen=True):
    """What became of one object; `unchanged` where it was so already."""

    did: str
    kind: str
    id: str


class Entry(Struct):
    """One request: how many items it held, and by which job it is carried out, if by one."""

    at: float
    method: str
    path: str
    items: int = 1
    job: str | None = None
    task: str | None = None
    effects: list[Effect] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """As it travels as JSON."""
        told: dict[str, Any] = to_builtins(self)
        return told


class Log:
    """Entries in the order of the requests; a job's effects come to its entry later."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        # Where what is done now is kept.
        self.open: list[list[Effect]] = []

    def note(self, did: str, kind: str, id: str) -> None:
        """Something was done, by whatever is being carried out now."""
        for effects in self.open:
            effects.append(Effect(did, kind, id))

    @contextmanager
    def collect(self, *effects: list[Effect]) -> Iterator[None]:
        """Keep what is done meanwhile, in each of these lists."""
        before, self.open = self.open, list(effects)
        try:
            yield
        finally:
            self.open = before
