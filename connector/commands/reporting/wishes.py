"""What is said of the outbox: how many wishes wait, are under way, failed, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connector.push.outbox.reports import counts, facts

__all__ = ("FIGURES", "counts", "facts", "figures", "reasons", "sentences")

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


def sentences(found: dict[str, Any]) -> list[str]:
    """What the outbox holds, in words."""
    counted = ("waiting", "sending", "sent", "unknown", "failed", "done")
    counts = ", ".join(f"{found[state]:,} {state}" for state in counted if found[state])
    first = f"outbox: {counts}"
    if found["oldest_seconds"] is not None:
        first += f"; the oldest that is not ended is {found['oldest_seconds']:,.0f} s old"
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
