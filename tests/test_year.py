"""A year in the life of a small workspace, night by night; and short lives in which much fails."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connector.resources import RESOURCES, TABLES
from connector.resources.readings import Catalogue, Search
from connector.sync.outcome import Outcome
from connector.sync.writing.writer import INDEX_LAG
from connector.warehouse.sql.database import Database
from tests.doubts import LAGGING
from tests.figures import outdated
from tests.gone import instant
from tests.harness import Harness
from tests.life import Life, small_workspace
from tests.life.kind import DAY
from tests.truth import differences

BUDGET = 2_000  # what CONNECTOR_FULL_PASS_REQUESTS is unless it is set
ALWAYS: dict[str, Any] = {"full_pass_days": 0}  # a full pass at every run
WEEKLY = tuple(resource.name for resource in RESOURCES if isinstance(resource.reading, Catalogue))
NIGHTLY = tuple(resource.name for resource in RESOURCES if resource.name not in WEEKLY)

_numbers = itertools.count(1)


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


@pytest.mark.parametrize("nights", [15, pytest.param(365, marks=pytest.mark.chaos)])
async def test_every_night_of_a_year_is_right(harness: Harness, nights: int) -> None:
    await night_by_night(harness, nights)


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


# -- short lives in which much fails ---------------------------------------------------------

CIRCUMSTANCES = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10**6),
        "nights": st.integers(5, 10),
        "version": st.sampled_from(["2.16", "Preview"]),
        "has_feeds": st.booleans(),
        "fails": st.sampled_from([0.0, 0.05]),
        "simulator": st.fixed_dictionaries(
            {
                "index_lag": st.sampled_from([(0.0, 0.0), (60.0, 300.0), (0.0, 600.0)]),
                "feed_lag": st.sampled_from([0.0, 300.0]),
                "archived_by_id": st.sampled_from(["missing", "marked", "shown"]),
                "merges_inherited": st.booleans(),
                "merges_move": st.booleans(),
                "midnight_hole": st.sampled_from([0, 900]),
                "inclusive": st.booleans(),
            }
        ),
    }
)


def short_lives(number: int) -> settings:
    """A test of so many short lives."""
    return settings(
        max_examples=number,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@short_lives(1)
@given(circumstances=CIRCUMSTANCES)
def test_whatever_fails_nothing_is_lost_and_nothing_deleted_by_mistake(
    database_url: str, circumstances: dict[str, Any]
) -> None:
    short_life(database_url, circumstances)


@pytest.mark.chaos
@short_lives(20)
@given(circumstances=CIRCUMSTANCES)
def test_whatever_fails_in_many_lives_nothing_is_lost(
    database_url: str, circumstances: dict[str, Any]
) -> None:
    short_life(database_url, circumstances)


def short_life(database_url: str, circumstances: dict[str, Any]) -> None:
    """A life of some nights in a schema of its own."""
    schema = f"t_{os.getpid()}_year_{next(_numbers)}"
    harness = Harness(database_url, schema)
    try:
        asyncio.run(_live(harness, circumstances))
    finally:
        harness.close()
        database = Database(database_url, schema)
        with database.transaction() as conn:
            conn.execute(sa.text(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'))
        database.close()


async def _live(harness: Harness, circumstances: dict[str, Any]) -> None:
    harness.simulate(small_workspace(3, scale=0.6), **circumstances["simulator"])
    life, control = Life(harness, circumstances["seed"]), harness.control
    if not circumstances["has_feeds"]:
        control.deny("^/contacts/activities|^/conversations/deleted")

    async def sync(**options: Any) -> Outcome:
        client = harness.client(version=circumstances["version"])
        outcome = await harness.sync(client, **options)
        control.clear_hooks()
        found = killed(harness)
        assert found == [], f"{outcome.error}\n{life.told()}"
        return outcome

    assert (await sync()).exit_code == 0
    for night in range(circumstances["nights"]):
        _spoil(harness, circumstances["fails"])
        life.night(20)
        life.disturb()
        outcome = await sync(full_pass_requests=BUDGET if night % 3 else 0)
        if outcome.exit_code == 0 and not harness.query("SELECT FROM sync_pending"):
            found = wrong(harness, after_full=False)
            assert found == [], f"night {night + 1}\n{life.told()}"
        else:
            assert circumstances["fails"], outcome.error
    control.clear_faults()
    for _ in range(2):
        harness.pass_time(DAY)
        outcome = await sync(**ALWAYS)
    assert outcome.exit_code == 0, outcome.error
    found = wrong(harness, after_full=True)
    assert found == [], f"in the end\n{life.told()}"


def _spoil(harness: Harness, share: float) -> None:
    harness.control.clear_faults()
    if share:
        for kind, status in (("status", 500), ("html", 404), ("cut", None)):
            harness.control.fail(times=None, kind=kind, status=status, probability=share / 3)


def killed(harness: Harness) -> list[str]:
    """What the last sync marked deleted although it lives, and did so when the sync began."""
    found = []
    for kind in (*LAGGING, "tags", "segments", "admins", "teams", "articles", "macros"):
        living = {str(one["id"]) for one in harness.control.truth(kind)}
        living -= set(harness.control.unsettled(kind, harness.began))
        for key, row in harness.rows(kind).items():
            died = row["_deleted_at"]
            if key in living and died and died >= instant(harness.began):
                found.append(f"{kind} {key} lives, and is deleted at {died}")
    return found
