"""Intercom at its worst: nothing is lost, what fails is named, and the next night mends it."""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connector.errors import RetryExhaustedError
from connector.simulator import SimulatorTransport, Workspace
from connector.sync.planning import plan
from tests.support.harness import NOW, Harness
from tests.support.service import FEW
from tests.support.truth.compared import differences

pytestmark = pytest.mark.in_turn(2)

DAY = 86_400.0
STATUSES = (500, 502, 503, 504)
BROKEN = ("html", "empty", "cut", "reset", "stall", "garbage")
Hook = Callable[[Any], Awaitable[None]]


def space(seed: int = 7, **sizes: Any) -> Workspace:
    few = FEW | {"contacts": 150, "companies": 30, "conversations": 50, "now": int(NOW)}
    sizes = few | sizes
    return Workspace.generate(seed, **sizes)


def one_day(harness: Harness, seed: int) -> None:
    """A day at Intercom."""
    harness.control.change(fraction=0.05, seed=seed)
    contacts = sorted(harness.simulator.workspace.contacts.current)
    someone = random.Random(seed).choice(contacts)
    harness.control.track_event(someone, "looked", {"page": seed}, False)
    harness.pass_time(DAY)


async def sync(harness: Harness, hook: Hook | None = None, **options: Any) -> Any:
    """One run; ``hook`` is awaited before each answer."""
    transport = SimulatorTransport(harness.simulator, latency=hook)
    return await harness.sync(harness.client(transport=transport), **options)


async def the_night_after_is_right(harness: Harness, **options: Any) -> None:
    harness.control.clear_faults()
    harness.pass_time(DAY)
    outcome = await harness.sync(**options)
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []
    assert harness.query("SELECT * FROM sync_pending") == []


async def five_in_a_hundred(harness: Harness, nights: int, workspace: Workspace) -> None:
    """Every kind of bad reply at once, over a first load and so many nights."""
    harness.simulate(workspace, index_lag=(0, 300))
    share = 0.05 / (len(STATUSES) + len(BROKEN))
    for status in STATUSES:
        harness.control.fail({}, times=None, status=status, probability=share)
    for kind in BROKEN:
        harness.control.fail({}, times=None, kind=kind, probability=share)
    for night in range(nights + 1):
        outcome = await harness.sync()
        assert outcome.exit_code in (0, 1)
        assert outcome.exit_code == 0 or outcome.error
        one_day(harness, night)
    await the_night_after_is_right(harness)


@pytest.mark.fault(
    "5 % bad replies of ten kinds (500, 502, 503, 504, HTML, empty, cut off, reset, stalled,"
    " garbage) over a first load and ten nights",
    "tried again; what stays unread is pending and read the next night",
    times=40,
)
async def test_ten_kinds_of_bad_replies_over_ten_nights_lose_nothing(harness: Harness) -> None:
    await five_in_a_hundred(harness, 10, space(contacts=100, conversations=40))


@pytest.mark.chaos
@pytest.mark.fault(
    "the same with 2,000 contacts and 400 conversations",
    "the same",
    times=400,
)
async def test_ten_kinds_of_bad_replies_in_a_larger_workspace_lose_nothing(
    harness: Harness,
) -> None:
    await five_in_a_hundred(harness, 10, space(8, contacts=2_000, companies=200, conversations=400))


@pytest.mark.fault(
    "a storm of 429s: half of all requests refused, and another tool spends the budget",
    "waits for the budget and goes on; the run succeeds",
    times=250,
)
async def test_a_storm_of_429s_is_sat_out(harness: Harness) -> None:
    harness.simulate(space(), rate_limit=60)
    harness.control.fail({}, times=None, status=429, probability=0.5)
    asked = 0

    async def another_tool(request: Any) -> None:
        nonlocal asked
        asked += 1
        if asked % 10 == 0:
            harness.control.spend(15)

    outcome = await sync(harness, another_tool)
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []
    await the_night_after_is_right(harness)


@pytest.mark.fault(
    "one partition of a search answers 502 for ever at more than 18 records a page",
    "pages are halved there, all other partitions keep their size; the run succeeds",
    times=6,
)
async def test_one_partition_that_fails_at_large_pages_for_ever_is_read_in_small_ones(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "PARTITION_RECORDS", 60)
    harness.simulate(space(contacts=300))
    bodies: list[str] = []

    async def listen(request: Any) -> None:
        if request.path == "/contacts/search":
            bodies.append(request.body.decode())

    await sync(harness, listen)
    bounds = [re.search(r'">","value":(\d+)\}.*"<"', body) for body in bodies]
    bound = next(found[1] for found in bounds if found)
    bad = rf'">","value":{bound}\}}.*"<".*"per_page":(?:150|75|37)\b'
    harness.control.fail({"path": "^/contacts/search$", "body": bad}, times=None, status=502)
    bodies.clear()
    assert (await sync(harness, listen, full=True)).exit_code == 0
    assert any('"per_page":18' in body for body in bodies)
    assert differences(harness) == []
    harness.control.clear_faults()
    bodies.clear()
    assert (await sync(harness, listen, full=True)).exit_code == 0
    assert all('"per_page":18' not in body for body in bodies)


@pytest.mark.fault(
    "Intercom no longer accepts a page token that it gave out, in a full pass and in a night",
    "that partition is read again from its beginning; the run succeeds",
    times=4,
)
async def test_a_page_token_that_is_no_longer_accepted_restarts_its_partition(
    harness: Harness,
) -> None:
    harness.simulate(space(contacts=500, conversations=300))

    def refuse_two_tokens() -> None:
        for path in ("^/contacts/search$", "^/conversations/search$"):
            harness.control.fail(
                {"path": path, "body": '"starting_after":"'},
                times=1,
                status=400,
                code="parameter_invalid",
                message="starting_after is invalid",
            )

    refuse_two_tokens()
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []
    harness.control.change(fraction=0.9, seed=1)
    harness.pass_time(DAY)
    refuse_two_tokens()
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert not harness.simulator.faults.rules  # both have struck
    await the_night_after_is_right(harness)


@pytest.mark.fault(
    "no page token is ever accepted",
    "the resource fails by name, the others are read; heals the night after",
    times=4,
)
async def test_page_tokens_that_are_never_accepted_fail_their_resource_alone(
    harness: Harness,
) -> None:
    harness.simulate(space(contacts=500))
    harness.control.fail(
        {"path": "^/contacts/search$", "body": '"starting_after":"'},
        times=None,
        status=400,
        message="starting_after is invalid",
    )
    outcome = await harness.sync()
    assert outcome.exit_code == 1
    assert "starting_after is invalid" in (outcome.error or "")
    assert outcome.resources["conversations"].status == "succeeded"
    await the_night_after_is_right(harness)


@pytest.mark.fault(
    "the scroll over companies dies after its second page, every time it is begun",
    "the list is read instead; the run succeeds",
    times=3,
)
async def test_a_scroll_that_always_dies_half_way_is_replaced_by_the_list(
    harness: Harness,
) -> None:
    harness.simulate(space(companies=280))
    pages = 0

    async def die_half_way(request: Any) -> None:
        nonlocal pages
        if request.path == "/companies/scroll":
            pages += 1
            if pages % 3 == 0:
                harness.control.fail({"path": "^/companies/scroll$"}, kind="scroll_network")

    outcome = await sync(harness, die_half_way)
    assert outcome.exit_code == 0, outcome.error
    assert "POST /companies/list" in harness.control.stats()["endpoints"]
    assert differences(harness) == []


@pytest.mark.fault(
    "another tool holds the scroll for ten minutes",
    "waits five minutes, then reads the list; the run succeeds",
)
async def test_a_scroll_held_for_ten_minutes_costs_no_company(
    harness: Harness, injected: Any
) -> None:
    harness.simulate(space())
    harness.control.hold_scroll(600)
    injected()
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert 300 <= harness.now - NOW < 600
    assert differences(harness) == []


@pytest.mark.fault(
    "maintenance: 20 minutes of nothing but 503, beginning in the middle of a run",
    "patience ends, the run ends non-zero with its state kept, nothing is marked deleted",
    times=40,
)
async def test_maintenance_of_twenty_minutes_ends_the_run_and_keeps_its_state(
    harness: Harness,
) -> None:
    harness.simulate(space())
    asked, began = 0, 0.0

    async def maintenance(request: Any) -> None:
        nonlocal asked, began
        asked += 1
        if asked == 60:
            began = harness.now
            harness.control.fail({}, times=None, status=503)
        if began and harness.now > began + 1_200:
            harness.control.clear_faults()

    outcome = await sync(harness, maintenance)
    assert outcome.exit_code == 1
    assert harness.now - NOW < 3_600
    assert outcome.resources["tags"].status == "succeeded"
    done = harness.query("SELECT resource FROM sync_state WHERE cursor IS NOT NULL")
    assert {"resource": "tags"} in done
    await the_night_after_is_right(harness)


@pytest.mark.fault(
    "the same, beginning before a run",
    "the run ends non-zero within minutes and writes nothing",
    times=8,
)
async def test_maintenance_before_a_run_ends_it_before_anything_is_written(
    harness: Harness,
) -> None:
    await harness.load(space())
    before = harness.versions()
    harness.control.fail({}, times=None, status=503)
    began = harness.now
    with pytest.raises(RetryExhaustedError):
        await harness.sync()
    assert harness.now - began <= 300
    assert harness.versions() == before
    await the_night_after_is_right(harness)


@pytest.mark.fault(
    "index lag of 0 to 10 minutes, drawn anew for each change, while rows change during the pass",
    "every row is right the night after",
    times=60,
)
async def test_rows_that_change_during_the_pass_under_any_lag_are_right_the_night_after(
    harness: Harness, injected: Any
) -> None:
    await changes_during_passes(harness, injected, nights=3, workspace=space(contacts=100))


@pytest.mark.chaos
@pytest.mark.fault("the same over 30 nights", "the same", times=2_000)
async def test_thirty_nights_of_changes_during_the_pass_under_any_lag_are_right(
    harness: Harness, injected: Any
) -> None:
    await changes_during_passes(
        harness, injected, nights=30, workspace=space(9, contacts=600, conversations=150)
    )


async def changes_during_passes(
    harness: Harness, injected: Any, *, nights: int, workspace: Workspace
) -> None:
    harness.simulate(workspace, index_lag=(0, 600))
    dice = random.Random(nights)

    async def meanwhile(request: Any) -> None:
        harness.now += dice.random() * 3
        if dice.random() < 0.1:
            changed = harness.control.change(fraction=0.005, seed=dice.randrange(10**9))
            injected(sum(map(len, changed.values())))

    for _ in range(nights):
        await sync(harness, meanwhile)
        harness.pass_time(DAY)
        await harness.sync()
        assert differences(harness) == []
        harness.pass_time(DAY / 2)


@pytest.mark.fault(
    "daylight saving begins and ends, and the workspace moves to other timezones",
    "no contact is missed",
    times=7,
)
async def test_daylight_saving_and_a_changed_timezone_miss_no_contact(
    harness: Harness, injected: Any
) -> None:
    zone = ZoneInfo("America/New_York")
    harness.now = datetime(2026, 3, 6, 22, tzinfo=zone).timestamp()
    harness.simulate(
        space(contacts=80, conversations=20, now=int(harness.now), timezone="America/New_York"),
        midnight_hole=300,
        index_lag=60,
    )
    assert (await harness.sync()).exit_code == 0
    moments = [
        (datetime(2026, 3, 8, 1, 50, tzinfo=zone), None),
        (datetime(2026, 3, 8, 4, 10, tzinfo=zone), None),
        (datetime(2026, 3, 9, 0, 30, tzinfo=zone), None),
        (datetime(2026, 3, 10, 0, 30, tzinfo=zone), "Pacific/Auckland"),
        (datetime(2026, 3, 11, 23, 30, tzinfo=UTC), "Pacific/Midway"),
        (datetime(2026, 10, 31, 23, 30, tzinfo=zone), "America/New_York"),
        (datetime(2026, 11, 1, 1, 30, tzinfo=zone), None),
    ]
    for number, (moment, timezone) in enumerate(moments):
        harness.now = moment.timestamp()
        harness.control.change(fraction=0.1, seed=number)
        if timezone:
            harness.control.set_timezone(timezone)
        injected()
        harness.pass_time(1_800)
        outcome = await harness.sync(only=("leads", "users"))
        assert outcome.exit_code == 0, outcome.error
        harness.pass_time(1_800)
        await harness.sync()
        assert differences(harness) == [], moment
    pinned = harness.query("SELECT timezone FROM sync_workspace")
    assert pinned == [{"timezone": "America/New_York"}]
