"""Prints how a run goes and how it ended."""

from __future__ import annotations

import sys
from typing import Any

from connector.sync.run import Outcome
from connector.warehouse.state import Tally

HEADINGS = ("resource", "status", "requests", "fetched", "new", "changed", "same", "gone", "s")


class Progress:
    """A line per resource as it ends; on a terminal also one that moves."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._moving = sys.stderr.isatty() and not quiet

    def started(self, resource: str, kind: str) -> None:
        """A pass begins."""
        self._move(f"{resource}: {kind} pass ...")

    def moved(self, resource: str, tally: Tally) -> None:
        """Rows were committed."""
        self._move(
            f"{resource}: {tally.fetched:,} read, {tally.inserted + tally.updated:,} written"
        )

    def ended(self, resource: str, tally: Tally) -> None:
        """The pass ended, well or not."""
        self._move("")

    def _move(self, text: str) -> None:
        if self._moving:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def outcome_as_json(outcome: Outcome) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {
        "run_id": outcome.run_id,
        "exit_code": outcome.exit_code,
        "seconds": round(outcome.seconds, 3),
        "error": outcome.error,
        "resources": {
            name: tally.figures() | {"seconds": round(tally.seconds, 3)}
            for name, tally in outcome.resources.items()
        },
        "overdue": [
            {"resource": p.resource, "id": p.id, "reason": p.reason, "attempts": p.attempts}
            for p in outcome.overdue
        ],
    }


def print_outcome(outcome: Outcome) -> None:
    """The table at the end of a run, on stdout."""
    print(_row(HEADINGS))
    for name, tally in outcome.resources.items():
        figures = (
            name,
            tally.status,
            f"{tally.requests:,}",
            f"{tally.fetched:,}",
            f"{tally.inserted:,}",
            f"{tally.updated:,}",
            f"{tally.unchanged:,}",
            f"{tally.deleted:,}",
            f"{tally.seconds:.1f}",
        )
        print(_row(figures))
    total = sum(tally.requests for tally in outcome.resources.values())
    print(f"run {outcome.run_id}: {total:,} requests in {outcome.seconds:.1f} s")
    _print_warnings(outcome)
    if outcome.error:
        print(f"not all went well: {outcome.error}")


def _print_warnings(outcome: Outcome) -> None:
    for tally in outcome.resources.values():
        for what, times in sorted(tally.misfits.items()):
            print(f"warning: {what} ({times} times); the original is kept in extra")


def _row(cells: tuple[str, ...]) -> str:
    name, state, *numbers = cells
    return f"{name:<22}{state:<12}" + "".join(f"{number:>10}" for number in numbers)
