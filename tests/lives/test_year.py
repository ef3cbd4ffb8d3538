"""A year in the life of a small workspace, night by night; and short lives in which much fails."""

from __future__ import annotations

import asyncio
import itertools
import os
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from connector.sync.outcome import Outcome
from connector.warehouse.sql.database import Database
from tests.lives.nights import BUDGET, night_by_night, wrong
from tests.support.harness import Harness
from tests.support.life import Life, small_workspace
from tests.support.life.kind import DAY
from tests.support.sampling import short_lives
from tests.support.truth.doubts import LAGGING
from tests.support.truth.gone import instant

ALWAYS: dict[str, Any] = {"full_pass_days": 0}  # a full pass at every run

_numbers = itertools.count(1)


@pytest.mark.parametrize("nights", [15, pytest.param(365, marks=pytest.mark.chaos)])
async def test_every_night_of_a_year_is_right(harness: Harness, nights: int) -> None:
    await night_by_night(harness, nights)


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
