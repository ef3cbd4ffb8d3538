"""What is said of the outbox: how many wishes wait, are under way, failed, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import asdict

from connector.push.outbox.reports import Reason, counts, facts

__all__ = ("FIGURES", "counts", "ending", "facts", "figures", "leaving", "reasons", "sentences")

FIGURES = {
    "outbox_waiting": "Wishes that wait to be sent",
    "outbox_unfinished": "Wishes that were sent and are not seen to be done",
    "outbox_unknown": "Wishes of which nobody knows yet whether they were carried out",
    "outbox_failed": "Wishes that failed",
    "outbox_oldest_seconds": "Since when the oldest wish waits that has not ended",
}


def figures(found: dict[str, Any]) -> dict[str, float]:
    """The value of each of ``FIGURES``."""
    return {
        "outbox_waiting": found["waiting"],
        "outbox_unfinished": found["sending"] + found["sent"],
        "outbox_unknown": found["unknown"],
        "outbox_failed": found["failed"],
        "outbox_oldest_seconds": found["oldest_seconds"] or 0.0,
    }


def ending(states: Mapping[str, int], why: Sequence[Reason]) -> dict[str, Any]:
    """How a push ended, or what was followed after it: wishes by state, why some failed."""
    failed, unknown = states.get("failed", 0), states.get("unknown", 0)
    codes = ", ".join(f"{one.code} ({one.wishes:,})" for one in why)
    error = f"{failed:,} wishes failed, {unknown:,} are unknown: {codes}"
    return {
        "exit_code": int(bool(failed or unknown)),
        "error": error if failed or unknown else None,
        "resources": {},
        "overdue": [],
        "run_id": None,
        "states": dict(states),
        "reasons": [asdict(one) for one in why],
        "plan": None,
        "writes": 0,
        "reads": 0,
        "outbox": None,
    }


def leaving(told: dict[str, Any]) -> dict[str, Any]:
    """What may leave of it: no sample of a plan, and no words that may quote what was wished."""
    plan, outbox = told["plan"], told["outbox"]
    return told | {
        "reasons": _codes(told["reasons"]),
        "plan": plan and {name: value for name, value in plan.items() if name != "samples"},
        "outbox": outbox
        and outbox | ({"reasons": _codes(outbox["reasons"])} if "reasons" in outbox else {}),
    }


def _codes(reasons: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in one.items() if k != "error"} for one in reasons]


def sentences(found: dict[str, Any]) -> list[str]:
    """What the outbox holds, in words."""
    counted = ("waiting", "sending", "sent", "unknown", "failed", "done")
    counts = ", ".join(f"{found[state]:,} {state}" for state in counted if found[state])
    first = f"outbox: {counts}"
    if found["oldest_seconds"] is not None:
        first += f"; the oldest that is not ended is {found['oldest_seconds']:,.0f} s old"
    if number := found.get("held_up"):
        first += (
            f"; {number:,} of those that wait, such as outbox.id {found['held_up_example']}, wait"
            " for an earlier wish for the same object"
        )
    if found["jobs"]:
        first += f"; {found['jobs']:,} bulk jobs run"
    return [first, *reasons(found["reasons"])]


def reasons(found: Sequence[dict[str, Any]]) -> list[str]:
    """Why wishes failed or are unknown, a line for each reason."""
    return [
        f"{one['wishes']:,} {one['state']} with {one['code']}, such as outbox.id"
        f" {one['example']}: {one['error']}"
        for one in found
    ]
