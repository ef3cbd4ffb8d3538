"""What the changes to one kind of object share: chance, and how to choose an object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from connector.simulator.records.shelf import Item
from tests.support.harness import Harness

DAY = 86_400

Change = Callable[[], str | None]
"""Does something and returns what it did; None if there was nothing to do it to."""


class Kind:
    """What the changes to one kind of object share."""

    def __init__(self, harness: Harness, random: Random, sizes: dict[str, int]) -> None:
        self.harness, self.control = harness, harness.control
        self.space = harness.simulator.workspace
        self.random, self.sizes = random, sizes

    def items(self, kind: str, *, shown: bool | None = None) -> list[Item]:
        found = self.space.shelf(kind).current.values()
        return [item for item in found if shown is None or item.shown == shown]

    def any(self, kind: str) -> str | None:
        return self.one([item.id for item in self.items(kind)])

    def one(self, ids: Sequence[Any]) -> Any:
        return self.random.choice(ids) if ids else None

    def some_record(self, kind: str) -> str | None:
        return self.one(list(self.space.directory(kind)))

    def admin(self) -> str:
        return str(self.random.choice(self.teammates()))

    def teammates(self) -> list[str]:
        admins = self.space.admins.values()
        return [str(one["id"]) for one in admins if not one["email"].startswith("operator+")]

    def word(self) -> str:
        return f"w{self.random.randrange(10**6)}"

    def is_crowded(self, kind: str) -> bool:
        """Whether there are more than there were, so that some may go."""
        return len(self.space.shelf(kind)) > 0.8 * self.sizes[kind]
