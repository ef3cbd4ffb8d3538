"""What ``push`` prints: a plan, how it ended, what the outbox holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from connector.commands.reporting.wishes import ending, reasons, sentences
from connector.commands.terminal.logs import warn
from connector.commands.terminal.screen import tell
from connector.push.planning import Plan, preview

if TYPE_CHECKING:
    from connector.commands.pushing.push import Outcome


def plan(found: Plan, *, as_json: bool) -> None:
    """What a model comes to; with --json it is part of the object at the end."""
    if not as_json:
        for line in preview.lines(found):
            tell(line)


def as_json(outcome: Outcome, outbox: dict[str, Any] | None = None) -> dict[str, Any]:
    """What ``--json`` prints, and a report tells."""
    found = ending(outcome.states, outcome.reasons)
    fuse = outcome.plan.fuse if outcome.plan and not outcome.plan.dry_run else None
    return found | {
        "exit_code": outcome.exit_code,
        "error": fuse or found["error"],
        "plan": preview.as_json(outcome.plan) if outcome.plan else None,
        "writes": outcome.writes,
        "reads": outcome.reads,
        "outbox": outbox,
    }


def outcome(found: Outcome, told: dict[str, Any]) -> None:
    """How it ended, in words."""
    if found.plan and (found.plan.dry_run or found.plan.fuse):
        return
    counts = ", ".join(f"{number:,} {state}" for state, number in found.states.items() if number)
    tell(f"{counts or 'nothing to send'}; {found.writes:,} writes, {found.reads:,} reads")
    for line in reasons(told["reasons"]):
        warn(line)


def status(found: dict[str, Any] | None, *, as_json: bool) -> None:
    """What the outbox holds."""
    if as_json:
        print(json.dumps(found, default=str))
        return
    for line in sentences(found) if found else ["outbox: nothing was ever wished"]:
        tell(line)
