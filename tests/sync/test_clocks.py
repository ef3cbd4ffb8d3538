"""Loads and nights behind front ends whose clocks disagree, or that tell no time, end in truth."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from connector.simulator import Workspace
from tests.support.harness import NOW, Harness
from tests.support.truth.compared import differences

DAY = 86_400.0
HOUR = 3_600.0
FOUR = (0.0, 0.0, 0.0, 0.0)  # and one that is wrong
NEARLY = timedelta(seconds=17)

CLOCKS: list[tuple[float | None, ...]] = [
    (None,),
    (0.0, None, None),
    (0.0, 15.0),
    (*FOUR, -2 * HOUR),
    (*FOUR, -40 * DAY),
    (*FOUR, 5 * HOUR),
    (*FOUR, 300 * DAY),
    (0.0, 15.0, -15.0, None),
]


def small(now: float = NOW) -> Workspace:
    return Workspace.generate(
        5, contacts=40, companies=8, conversations=10, events=30, tickets=6, now=int(now)
    )


def change_silently(harness: Harness, name: str) -> None:
    """Change what no search of changes tells of."""
    for contact in harness.control.truth("contacts"):
        harness.control.update_contact_silently(contact["id"], name=name)


def check_times(harness: Harness, true_now: float) -> None:
    """No cursor and no time of a read lies beyond Intercom's present."""
    limit = datetime.fromtimestamp(true_now, UTC)
    for row in harness.query("SELECT * FROM sync_state"):
        assert row["cursor"] <= limit
        assert row["fresh_as_of"] <= limit
        assert row["last_success_at"] <= limit + NEARLY
    # Which of two front ends is right nobody knows.
    late = harness.query("SELECT count(*) AS n FROM contacts WHERE _read_at > %s", limit + NEARLY)
    assert late == [{"n": 0}]


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("clocks", "fast"),
    [*((clocks, 0.0) for clocks in CLOCKS), *((clocks, 3 * DAY) for clocks in CLOCKS[:2])],
)
async def test_nights_under_clocks_that_disagree_are_equal_to_the_truth(
    harness: Harness, clocks: tuple[float | None, ...], fast: float
) -> None:
    harness.simulate(small(NOW - fast), clocks=clocks)
    harness.control.advance(-fast)  # the local clock is fast
    assert (await harness.sync()).exit_code == 0
    assert differences(harness) == []
    check_times(harness, harness.now - fast)
    for night, wait in enumerate((600.0, DAY)):
        harness.pass_time(wait)
        change_silently(harness, f"night {night}")
        harness.control.change(fraction=0.1, seed=night)
        harness.pass_time(1_000)
        assert (await harness.sync(full=night == 0)).exit_code == 0
        changed = [
            line
            for line in differences(harness)
            if night == 0 or "name" not in line  # what is silent waits for the full pass
        ]
        assert changed == []
        check_times(harness, harness.now - fast)


def jump_by(harness: Harness, seconds: float) -> Callable[[], None]:
    """Sets the clock of the front end off by so much."""

    def jump() -> None:
        harness.simulator.gate.clocks = (seconds,)

    return jump


@pytest.mark.sampled(1)
@pytest.mark.parametrize("jump", [-7 * HOUR, 7 * HOUR, -500 * DAY])
async def test_dates_that_jump_during_a_run_lose_nothing(harness: Harness, jump: float) -> None:
    await harness.load(small())
    for night in range(2):
        harness.pass_time(DAY)
        change_silently(harness, f"night {night}")
        harness.control.change(fraction=0.1, seed=night)
        harness.pass_time(1_000)
        harness.simulator.gate.clocks = (0.0,)
        harness.control.clear_hooks()
        harness.control.when({}, jump_by(harness, jump), times=1, after=40)
        assert (await harness.sync(full=True)).exit_code == 0
        assert differences(harness) == []


async def test_without_dates_the_run_says_once_what_freshness_follows_from(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.simulate(small(), clocks=(None,))
    with caplog.at_level(logging.WARNING):
        await harness.sync()
    assert [r.message for r in caplog.records if "no reply bears a Date" in r.message] != []
    assert sum("no reply bears a Date" in record.message for record in caplog.records) == 1
    newest = max(contact["updated_at"] for contact in harness.control.truth("contacts"))
    [row] = harness.query("SELECT cursor FROM sync_state WHERE resource = 'users'")
    # Ten records must agree; so the cursor lies near the newest change, and not after it.
    assert row["cursor"] < datetime.fromtimestamp(newest, UTC)
    assert row["cursor"] > datetime.fromtimestamp(newest, UTC) - timedelta(days=300)


async def test_a_cursor_that_lies_in_the_future_hides_no_change(harness: Harness) -> None:
    await harness.load(small())
    harness.query("UPDATE sync_state SET cursor = cursor + interval '5 days'")
    harness.pass_time(HOUR)
    harness.control.change(fraction=0.2, seed=3)
    harness.pass_time(1_000)
    assert (await harness.sync()).exit_code == 0
    assert differences(harness) == []


async def test_front_ends_that_disagree_hardly_have_a_request_refused(harness: Harness) -> None:
    for number, clocks in enumerate([(0.0, 15.0), (None, 7.0)]):
        harness.simulate(small(), clocks=clocks, rate_limit=40, index_lag=0.0)
        assert (await harness.sync()).exit_code == 0
        stats = harness.simulator.stats
        refused = stats.statuses[429]
        assert refused <= 0.01 * stats.requests + 3, (number, clocks)
        assert differences(harness) == []
        harness.query(f'DROP SCHEMA "{harness.schema}" CASCADE')
