"""What ``push`` prints: a plan, how it ended, what the outbox holds."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

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
    return f"{failed:,} wishes failed, {unknown:,} are unknown"


def outcome(found: Outcome, told: dict[str, Any], *, as_json: bool) -> None:
    """How it ended."""
    if as_json:
        print(json.dumps(told, default=str))
        return
    if found.plan and (found.plan.dry_run or found.plan.fuse):
        return
    counts = ", ".join(f"{number:,} {state}" for state, number in found.states.items() if number)
    print(f"{counts or 'nothing to send'}; {found.writes:,} writes, {found.reads:,} reads")
    for line in _reasons(told["reasons"]):
        print(line)


def status(found: dict[str, Any] | None, *, as_json: bool) -> None:
    """What the outbox holds."""
    if as_json:
        print(json.dumps(found, default=str))
        return
    for line in sentences(found):
        print(line)


def sentences(found: dict[str, Any] | None) -> list[str]:
    """What the outbox holds, in words."""
    if not found:
        return ["outbox: nothing was ever wished"]
    counted = ("waiting", "sending", "sent", "unknown", "failed", "done")
    counts = ", ".join(f"{found[state]:,} {state}" for state in counted if found[state])
    first = f"outbox: {counts}"
    if found["oldest_seconds"] is not None:
        first += f"; the oldest that is not ended is {found['oldest_seconds']:,.0f} s old"
    if found["jobs"]:
        first += f"; {found['jobs']:,} bulk jobs run"
    return [first, *_reasons(found["reasons"])]


def _reasons(found: list[dict[str, Any]]) -> list[str]:
    return [
        f"{one['wishes']:,} {one['state']} with {one['code']}, such as outbox.id"
        f" {one['example']}: {one['error']}"
        for one in found
    ]
