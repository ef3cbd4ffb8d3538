"""One pass over one resource, by the way it is read; every way ends in the same merge.

What is due is decided in ``sync/passes`` and ``planning/schedule``.
"""

from __future__ import annotations

from connector.resources.readings import (
    Activities,
    Catalogue,
    Deletions,
    FullScan,
    Log,
    Members,
    PerContact,
    Search,
    Snapshot,
)
from connector.sync.readings.feeds import activities, deletions
from connector.sync.readings.lists import catalogue, full_scan, log, snapshot
from connector.sync.readings.members import members
from connector.sync.readings.per_contact import per_contact
from connector.sync.readings.search_changes import changes
from connector.sync.readings.search_full import partitions
from connector.sync.resource_pass import Pass


async def run_pass(work: Pass, *, full: bool) -> None:
    """Read the resource once and leave its cursor behind the pass; raises what stops it."""
    match work.resource.reading:
        case Snapshot() as reading:
            await snapshot(work, reading)
        case Catalogue() as reading:
            await catalogue(work, reading)
        case Log() as reading:
            await log(work, reading, full=full)
        case FullScan() as reading:
            await full_scan(work, reading)
        case Search() as reading if full:
            await partitions(work, reading)
        case PerContact() as reading:
            await per_contact(work, reading, full=full)
        case Members() as reading:
            await members(work, reading, full=full)
        case Search() as reading:
            await changes(work, reading)
        case Deletions() as reading:
            await deletions(work, reading, full=full)
        case Activities() as reading:
            await activities(work, reading, full=full)
