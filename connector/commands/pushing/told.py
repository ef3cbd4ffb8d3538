"""What ``push`` prints: a plan, how it ended, what the outbox holds."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from connector.commands.reporting.wishes import reasons, sentences
from connector.commands.terminal.logs import warn
from connector.push.planning import Plan, preview

if TYPE_CHECKING:
    from connector.commands.pushing.push import Outcome


def plan(found: Plan, *, as_json: bool) -> None:
    """What a model comes to; with --json it is part of the object at the end."""
    if not as_json:
        for line in preview.lines(found):
            print(line)


def as_json(outcome: Outcome) -> dict[str, Any]:
    """What ``--json`` prints, and a report tells."""
    return {
        "exit_code": outcome.exit_code,
        "error": _error(outcome),
        "resources": {},
        "overdue": [],
        "states": outcome.states,
        "reasons": [asdict(one) for one in outcome.reasons],
        "plan": preview.as_json(outcome.plan) if outcome.plan else None,
        "writes": outcome.writes,
        "reads": outcome.reads,
    }


def _error(outcome: Outcome) -> str | None:
    if outcome.plan and outcome.plan.fuse and not outcome.plan.dry_run:
        return outcome.plan.fuse
    failed, unknown = outcome.states.get("failed", 0), outcome.states.get("unknown", 0)
    if not failed and not unknown:
        return None
    why = ", ".join(f"{one.code} ({one.wishes:,})" for one in outcome.reasons)
    return f"{failed:,} wishes failed, {unknown:,} are unknown: {why}"


def report(told: dict[str, Any]) -> dict[str, Any]:
    """What may leave of it: no sample of a plan, and no words that may quote what was wished."""
    plan, outbox = told["plan"], told["outbox"]
    return told | {
        "reasons": _codes(told["reasons"]),
        "plan": plan and {name: value for name, value in plan.items() if name != "samples"},
        "outbox": outbox and outbox | {"reasons": _codes(outbox["reasons"])},
    }


def _codes(reasons: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in one.items() if k != "error"} for one in reasons]


def outcome(found: Outcome, told: dict[str, Any], *, as_json: bool) -> None:
    """How it ended."""
    if as_json:
        print(json.dumps(told, default=str))
        return
    if found.plan and (found.plan.dry_run or found.plan.fuse):
        return
    counts = ", ".join(f"{number:,} {state}" for state, number in found.states.items() if number)
    print(f"{counts or 'nothing to send'}; {found.writes:,} writes, {found.reads:,} reads")
    for line in reasons(told["reasons"]):
        warn(line)


def status(found: dict[str, Any] | None, *, as_json: bool) -> None:
    """What the outbox holds."""
    if as_json:
        print(json.dumps(found, default=str))
        return
    for line in sentences(found) if found else ["outbox: nothing was ever wished"]:
        print(line)
