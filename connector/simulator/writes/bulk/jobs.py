"""The shapes of bulk jobs: a job has tasks, a task items, and of items Intercom tells nothing."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from connector.simulator.records.workspace import Record
from connector.simulator.writes.log import Effect, Entry


class Item(Struct):
    """One item and its fate: waiting, done, failed, or lost with its job."""

    given: Record
    state: str = "waiting"
    error: str | None = None
    effects: list[Effect] = field(default_factory=list)


class Task(Struct):
    """The items of one request; `state` says no more than that some failed."""

    id: str
    does: str
    items: list[Item]
    created_at: float
    entry: Entry
    started_at: float | None = None
    completed_at: float | None = None

    @property
    def state(self) -> str:
        """As Intercom tells it."""
        if self.completed_at is None:
            return "pending" if self.started_at is None else "running"
        failed = any(item.state == "failed" for item in self.items)
        return "completed_with_errors" if failed else "completed"

    def as_dict(self) -> Record:
        """As Intercom shows it."""
        return {
            "id": self.id,
            "item_count": len(self.items),
            "state": self.state,
            "created_at": int(self.created_at),
            "started_at": _second(self.started_at),
            "completed_at": _second(self.completed_at),
        }

    def truth(self) -> Record:
        """With what became of each item."""
        items = [
            {
                "given": item.given,
                "state": item.state,
                "error": item.error,
                "effects": [{"did": e.did, "kind": e.kind, "id": e.id} for e in item.effects],
            }
            for item in self.items
        ]
        return {**self.as_dict(), "does": self.does, "items": items}


class Job(Struct):
    """Tasks that were sent one after the other; `kind` is contacts or companies."""

    id: str
    kind: str
    created_at: float
    tasks: list[Task] = field(default_factory=list)
    vanished: bool = False

    @property
    def completed_at(self) -> float | None:
        """When its last task ended; null again once another was appended."""
        ends = [task.completed_at for task in self.tasks]
        return None if None in ends else max((end for end in ends if end is not None), default=None)

    @property
    def state(self) -> str:
        """Running from the first, as the example of its answer has it, until all tasks ended."""
        if self.completed_at is None:
            return "running"
        states = {task.state for task in self.tasks}
        failed = "completed_with_errors"
        return failed if failed in states else "completed"

    def as_dict(self, host: str) -> Record:
        """As Intercom shows it."""
        times = [(t.created_at, t.started_at, t.completed_at) for t in self.tasks]
        moved = [at for moments in times for at in moments if at is not None]
        return {
            "id": self.id,
            "type": f"{self.kind}.bulk.job",
            "state": self.state,
            "created_at": int(self.created_at),
            "updated_at": int(max(moved, default=self.created_at)),
            "completed_at": _second(self.completed_at),
            "tasks": [task.as_dict() for task in self.tasks],
            "url": f"{host}/{self.kind}/bulk/{self.id}",
        }

    def truth(self) -> dict[str, Any]:
        """With what became of each item, and whether it can be found."""
        tasks = [task.truth() for task in self.tasks]
        return {**self.as_dict(""), "vanished": self.vanished, "tasks": tasks}


def _second(at: float | None) -> int | None:
    return None if at is None else int(at)
