"""A life night by night, and what may be wrong of it afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from connector.resources import RESOURCES, TABLES
from connector.resources.readings import Catalogue, Search
from connector.sync.outcome import Outcome
from connector.sync.writing.writer import INDEX_LAG
from tests.support.harness import Harness
from tests.support.life import Life, small_workspace
from tests.support.truth.compared import differences
from tests.support.truth.figures import outdated

BUDGET = 2_000  # what CONNECTOR_FULL_PASS_REQUESTS is unless it is set


WEEKLY = tuple(resource.name for resource in RESOURCES if isinstance(resource.reading, Catalogue))


NIGHTLY = tuple(resource.name for resource in RESOURCES if resource.name not in WEEKLY)


def wrong(harness: Harness, *, after_full: bool, left_out: Sequence[str] = ()) -> list[str]:
    """What is wrong after a sync, although it could be known."""
    tables = [table for table in TABLES if table.name not in left_out]
    found = differences(harness, tables, began=harness.began, after_full=after_full)
    return found + outdated(harness)


def was_full(harness: Harness) -> bool:
    """Whether every search was read whole by the last sync."""
    searched = [r.name for r in RESOURCES if isinstance(r.reading, Search)]
    rows = harness.query(
        "SELECT 1 FROM sync_state WHERE resource = ANY (%s)"
        " AND last_full_pass_at IS DISTINCT FROM fresh_as_of",
        searched,
    )
    return not rows


def went_meanwhile(harness: Harness, outcome: Outcome) -> bool:
    """Whether a run fails only for objects that went so lately that lists still show them.

    A list and a read by id contradict each other then, and nobody can tell why at that moment.
    """
    lately = harness.began - INDEX_LAG.total_seconds()
    gone = {one["id"] for one in harness.control.truth_deleted() if one["at"] >= lately}
    others = any(tally.error for tally in outcome.resources.values()) or outcome.refuted
    return not others and {entry.id for entry in outcome.overdue} <= gone


async def night_by_night(harness: Harness, nights: int) -> None:
    """So many nights, in which all sorts of things happen; what they leave is right."""
    harness.simulate(small_workspace(7), index_lag=(60.0, 300.0), feed_lag=60.0, merges_move=True)
    life = Life(harness, 7)
    await harness.sync()
    assert differences(harness) == []
    for night in range(nights):
        life.night()
        life.disturb()
        # A month with full passes every night, then one in which they wait until they must be.
        # What is listed whole anyway is read once a week.
        everything = night % 7 == 6
        outcome = await harness.sync(
            full_pass_requests=BUDGET if night // 30 % 2 == 0 else 0,
            only=None if everything else NIGHTLY,
        )
        assert outcome.exit_code == 0 or went_meanwhile(harness, outcome), (
            f"{outcome.error}\n{life.told()}"
        )
        full = was_full(harness)
        if night % (2 if full else 3) == 0:
            left_out = () if everything else WEEKLY
            found = wrong(harness, after_full=full, left_out=left_out)
            assert found == [], f"night {night + 1}, full passes: {full}\n{life.told()}"
