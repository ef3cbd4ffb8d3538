"""How a run goes and how it ended; prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct, field

from connector.intercom.observations import Refutation
from connector.resources.resource import Resource
from connector.warehouse.state.pending_objects import Pending
from connector.warehouse.state.runs import Tally


class Reporter(Protocol):
    """Told how the run goes; prints, or does not."""

    def planned(self, selected: Sequence[Resource]) -> None: ...

    def started(self, resource: str, kind: str, tally: Tally) -> None: ...

    def moved(self, resource: str, tally: Tally) -> None: ...

    def ended(self, resource: str, tally: Tally) -> None: ...

    def usable(self, left: Sequence[Resource]) -> None: ...


class Silent:
    """A reporter that says nothing."""

    def planned(self, selected: Sequence[Resource]) -> None: ...

    def started(self, resource: str, kind: str, tally: Tally) -> None: ...

    def moved(self, resource: str, tally: Tally) -> None: ...

    def ended(self, resource: str, tally: Tally) -> None: ...

    def usable(self, left: Sequence[Resource]) -> None: ...


class Outcome(Struct):
    """How a run ended: what it did to each resource, and what is still pending."""

    run_id: int
    seconds: float = 0.0
    resources: dict[str, Tally] = field(default_factory=dict)
    overdue: list[Pending] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # asked for by id, and nobody knows them
    refuted: list[Refutation] = field(default_factory=list)  # facts of Intercom that were false
    live: dict[str, Any] | None = None  # what notifications told, where any came
    outbox: dict[str, Any] | None = None  # what became of wishes, where any was made

    @property
    def exit_code(self) -> int:
        """0 if every resource succeeded, nothing is overdue and what was named exists, else 1.

        1 too where a fact of Intercom was seen to be false for the first time, or leaves rows out.
        """
        failed = any(t.status != "succeeded" and not t.tolerated for t in self.resources.values())
        false = any(one.is_failure for one in self.refuted)
        return 1 if failed or self.overdue or self.missing or false else 0

    @property
    def error(self) -> str | None:
        """Why the run did not succeed, in one line."""
        reasons = [
            f"{k}: {t.error}" for k, t in self.resources.items() if t.error and not t.tolerated
        ]
        reasons += [f"{p.resource} {p.id}: {p.reason}" for p in self.overdue[:10]]
        if len(self.overdue) > 10:
            reasons.append(f"and {len(self.overdue) - 10} more objects")
        if self.missing:
            ids = ", ".join(self.missing[:10]) + (", ..." if len(self.missing) > 10 else "")
            reasons.append(f"{len(self.missing)} not found at Intercom: {ids}")
        reasons += [f"not true of this workspace: {one}" for one in self.refuted if one.is_failure]
        return "; ".join(reasons) or None
