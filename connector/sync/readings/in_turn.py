"""What readings in turn share: when they began, and the record that holds what was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from connector.resources.lists import BELIEVED
from connector.sync.resource_pass import Pass
from connector.sync.writing.effects import Advance
from connector.warehouse.state.reads import Short


async def began_at_of(work: Pass, full: bool) -> datetime:
    """When this pass began; a full one that was interrupted goes on from its first instant."""
    if not full:
        return work.began_at()
    if work.progress.plan_began_at is not None:
        return work.progress.plan_began_at
    began_at, name = work.began_at(), work.resource.name
    values = {"plan_began_at": began_at, "plan_mapping": work.salt.hex()}
    await work.writer.commit(Advance(name, values))
    return began_at


class Lack(Struct, frozen=True):
    """A list that is shorter than Intercom counts; ``believed`` once it said so again."""

    counted: int
    believed: bool
    noted: Short


def holding(
    key: str, path: str, elements: Sequence[Any], lack: Lack | None = None
) -> Mapping[str, Any]:
    """A record that holds the list; shorter than counted, it is complete only if believed."""
    *outer, last = path.split(".")
    value: dict[str, Any] = {last: list(elements), "total_count": len(elements)}
    if lack:
        value |= {"total_count": lack.counted, "has_more": BELIEVED if lack.believed else True}
    for step in reversed(outer):
        value = {step: value}
    return {"id": key, **value}
