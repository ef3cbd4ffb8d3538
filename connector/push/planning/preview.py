"""A plan in words, and as JSON; pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from msgspec.structs import asdict

from connector.push.planning.asked import Plan, Sample


def lines(plan: Plan) -> list[str]:
    """What a plan comes to, line by line: counts, samples old -> new, and the fuse."""
    return [*_counts(plan), *map(_sample, plan.samples), *_end(plan)]


def as_json(plan: Plan) -> dict[str, Any]:
    """The same as data that JSON can hold."""
    return {
        "rows": plan.rows,
        "creates": plan.creates,
        "updates": plan.updates,
        "unchanged": plan.unchanged,
        "drifted": plan.drifted,
        "skipped": dict(plan.skipped),
        "failed": dict(plan.failed),
        "samples": [asdict(sample) for sample in plan.samples],
        "fuse": plan.fuse,
        "dry_run": plan.dry_run,
    }


def _counts(plan: Plan) -> Iterator[str]:
    yield (
        f"{plan.rows:,} rows: {plan.creates:,} to create, {plan.updates:,} to update,"
        f" {plan.unchanged:,} unchanged, {plan.drifted:,} drifted"
    )
    for reason, number in plan.skipped.items():
        yield f"  {number:,} skipped: {reason}"
    for code, number in plan.failed.items():
        yield f"  {number:,} failed: {code}"


def _sample(sample: Sample) -> str:
    if sample.change == "create":
        return f"  create {sample.key}: {_shown(sample.new)}"
    return (
        f"  {sample.change} {sample.key}: {sample.field}"
        f" {_shown(sample.old)} -> {_shown(sample.new)}"
    )


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _end(plan: Plan) -> Iterator[str]:
    if plan.fuse:
        yield f"the fuse {'would stop' if plan.dry_run else 'stops'} this: {plan.fuse}"
    if plan.dry_run:
        yield "dry run: nothing was written"
