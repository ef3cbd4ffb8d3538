"""Tells how a run ended: as ``--json``, as a table, and what of it failed by name."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from connector.commands.terminal.grids import Grid, fitted, style_of
from connector.commands.terminal.screen import tell
from connector.sync.outcome import Outcome
from connector.warehouse.state.runs import Tally

logger = logging.getLogger(__name__)

NAMED = 20  # overdue objects, on stderr
HEADINGS = ("resource", "status", "requests", "fetched", "new", "changed", "same", "gone", "s")
NUMBERS = range(2, len(HEADINGS))
SPARE = (6, 8, 2, 7, 5, 4)  # what a narrow terminal goes without: same, s, requests, ...


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
        "missing": outcome.missing,
        **({"live": outcome.live} if outcome.live else {}),
        **({"outbox": outcome.outbox} if outcome.outbox else {}),
        "facts": [
            {"fact": one.fact.id, "seen": one.detail, "times": one.times, "news": one.is_news}
            for one in outcome.refuted
        ],
        "overdue": [
            {"resource": p.resource, "id": p.id, "reason": p.reason, "attempts": p.attempts}
            for p in outcome.overdue
        ],
    }


def print_outcome(outcome: Outcome) -> None:
    """The table at the end of a run, on stdout."""
    rows = [_figures(name, tally) for name, tally in outcome.resources.items()]
    print(fitted(Grid(HEADINGS, rows, NUMBERS, SPARE, style_of)) or _columns(rows))
    total = sum(tally.requests for tally in outcome.resources.values())
    tell(f"run {outcome.run_id}: {total:,} requests in {outcome.seconds:.1f} s")
    _print_completeness(outcome)
    _print_warnings(outcome)
    if outcome.error:
        tell(f"not all went well: {outcome.error}", "red")


def _print_completeness(outcome: Outcome) -> None:
    for name, tally in outcome.resources.items():
        if tally.incomplete or tally.truncated:
            tell(
                f"{name}: {tally.parts:,} parts; {tally.incomplete:,} lack parts that Intercom"
                f" counts, {tally.truncated:,} have more than it shows"
            )


def _print_warnings(outcome: Outcome) -> None:
    for tally in outcome.resources.values():
        for what, times in sorted(tally.misfits.items()):
            tell(f"warning: {what} ({times} times); the original is kept in extra", "yellow")


def _figures(name: str, tally: Tally) -> tuple[str, ...]:
    return (
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


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    """In a pipe the columns stand where they ever stood, however wide their cells."""
    return "\n".join(
        f"{name:<22}{state:<12}" + "".join(f"{number:>10}" for number in numbers)
        for name, state, *numbers in [HEADINGS, *rows]
    )


def name_failures(outcome: Outcome) -> None:
    """Name on stderr the objects for which the run ends with 1; resources were named before."""
    if outcome.missing:
        number, ids = len(outcome.missing), ", ".join(outcome.missing[:NAMED])
        logger.error("%d not found at Intercom, and not in the warehouse: %s", number, ids)
    for entry in outcome.overdue[:NAMED]:
        logger.error("overdue: %s %s: %s", entry.resource, entry.id, entry.reason)
    if len(outcome.overdue) > NAMED:
        left = len(outcome.overdue) - NAMED
        logger.error("and %s more objects are overdue; 'status' names them", f"{left:,}")
