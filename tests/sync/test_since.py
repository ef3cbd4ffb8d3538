"""backfill --since: what it leaves out stays out until somebody asks for everything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from connector.simulator import Workspace
from connector.sync.outcome import Outcome
from connector.warehouse.encode.exclusions import Privacy
from connector.warehouse.privacy.excludable import parse
from tests.support.harness import NOW, Harness
from tests.support.truth.compared import differences

pytestmark = pytest.mark.in_turn(2)

DAY = 86_400.0
KINDS = ("contacts", "conversations", "tickets")
SEARCHED = ("leads", "users", "conversations", "tickets")
LIVING = "_deleted_at IS NULL AND NOT _placeholder"


@pytest.fixture
def workspace(harness: Harness) -> Harness:
    """Objects updated over a year, half of them before the limit."""
    space = Workspace.generate(
        5, contacts=60, companies=10, conversations=40, events=30, tickets=12, now=int(NOW)
    )
    harness.simulate(space)
    return harness


def limit(harness: Harness) -> datetime:
    """A midnight before which about half of the conversations were updated last."""
    times = sorted(one["updated_at"] for one in harness.control.truth("conversations"))
    return datetime.fromtimestamp(times[len(times) // 2] // 86_400 * 86_400, UTC)


async def backfill(harness: Harness, since: datetime | None, **options: Any) -> Outcome:
    return await run(harness, command="backfill", full=True, since=since, **options)


async def run(harness: Harness, **options: Any) -> Outcome:
    outcome = await harness.sync(**options)
    assert outcome.exit_code == 0, outcome.error
    return outcome


def ids(harness: Harness, table: str) -> set[str]:
    return {row["id"] for row in harness.query(f"SELECT id FROM {table} WHERE {LIVING}")}


def newer(harness: Harness, kind: str, since: datetime) -> set[str]:
    moment = since.timestamp()
    return {str(one["id"]) for one in harness.control.truth(kind) if one["updated_at"] >= moment}


def referred(harness: Harness) -> set[str]:
    """The contacts of conversations and tickets that came in."""
    return {
        row["contact_id"]
        for link in ("conversation_contacts", "ticket_contacts")
        for row in harness.query(f"SELECT contact_id FROM {link}")
    }


def passes(harness: Harness) -> dict[str, dict[str, Any]]:
    return {row["resource"]: row for row in harness.query("SELECT * FROM sync_state")}


def is_limited(harness: Harness, since: datetime) -> None:
    """Nothing older is here but the contacts that what is here names."""
    for kind in ("conversations", "tickets"):
        assert ids(harness, kind) == newer(harness, kind, since), kind
    wanted = newer(harness, "contacts", since)
    assert wanted <= ids(harness, "contacts") <= wanted | referred(harness)
    everything = {str(one["id"]) for one in harness.control.truth("contacts")}
    assert ids(harness, "contacts") < everything


async def test_older_objects_stay_out_night_after_night(workspace: Harness) -> None:
    harness, since = workspace, limit(workspace)
    await backfill(harness, since)
    is_limited(harness, since)
    assert {row["last_full_pass_at"] for row in passes(harness).values()} == {None}
    for _ in range(9):  # full passes come by budget, by time, and every night
        harness.pass_time(DAY)
        await run(harness, full_pass_requests=2_000)
        is_limited(harness, since)
    await run(harness, full_pass_days=0)
    is_limited(harness, since)
    states = passes(harness)
    for name in SEARCHED:
        assert states[name]["last_full_pass_at"] == states[name]["fresh_as_of"], name
        assert states[name]["plan_since"] == since


async def test_what_is_updated_later_comes_in(workspace: Harness) -> None:
    harness, since = workspace, limit(workspace)
    await backfill(harness, since)
    old = sorted(
        {c["id"] for c in harness.control.truth("contacts")}
        - newer(harness, "contacts", since)
        - referred(harness)
    )
    harness.control.update_contact(old[0], name="Back again")
    harness.control.create_conversation(old[1], body="Hello")
    harness.pass_time(DAY)
    await run(harness)
    assert {old[0], old[1]} <= ids(harness, "contacts")
    assert old[2] not in ids(harness, "contacts")
    assert harness.rows("contacts")[old[0]]["name"] == "Back again"


async def test_what_is_here_is_passed_over_and_missed_however_old(workspace: Harness) -> None:
    harness = workspace
    since, later = limit(harness), datetime.fromtimestamp(NOW, UTC)
    await backfill(harness, since)
    here = ids(harness, "conversations")
    # Another limit, by which all that is here is older: it is kept all the same.
    harness.pass_time(DAY)
    await backfill(harness, later)
    assert ids(harness, "conversations") == here
    silent, gone, *_ = sorted(here)
    contact = sorted(referred(harness) & ids(harness, "contacts"))[0]
    harness.control.delete_conversation(gone)
    harness.control.mark_read(silent, not harness.rows("conversations")[silent]["read"])
    harness.control.deny("^/conversations/deleted")
    before = harness.rows("conversations")[silent]["read"]
    harness.pass_time(DAY)
    await run(harness, full_pass_days=0)
    assert harness.rows("conversations")[gone]["_deleted_at"] is not None
    assert harness.rows("conversations")[silent]["read"] is not before
    assert contact in ids(harness, "contacts")


async def test_a_loaded_warehouse_loses_nothing_and_stays_whole(workspace: Harness) -> None:
    harness = workspace
    await run(harness)
    before, times = harness.versions(), passes(harness)
    harness.pass_time(DAY)
    await backfill(harness, datetime.fromtimestamp(NOW, UTC))
    assert harness.versions() == before
    for name, row in passes(harness).items():
        assert row["last_full_pass_at"] == times[name]["last_full_pass_at"], name
        assert row["plan_since"] is None, name
    harness.pass_time(DAY)
    await run(harness, full_pass_days=0)
    assert differences(harness) == []


async def test_what_was_selected_before_is_loaded_whole(workspace: Harness) -> None:
    harness, since = workspace, limit(workspace)
    harness.control.fail({"path": "^/conversations/\\d+"}, times=None, after=10, status=500)
    only = ("tags", "admins", "teams", "companies", "leads", "users", "conversations")
    assert (await harness.sync(only=only)).exit_code == 1
    harness.control.clear_faults()
    await backfill(harness, since)
    everything = {str(one["id"]) for one in harness.control.truth("conversations")}
    assert ids(harness, "conversations") == everything
    assert ids(harness, "tickets") == newer(harness, "tickets", since)


@pytest.mark.parametrize("how", [{"full": True}, {"full": True, "command": "backfill"}])
async def test_everything_comes_in_when_it_is_asked_for(
    workspace: Harness, how: dict[str, Any]
) -> None:
    harness, since = workspace, limit(workspace)
    await backfill(harness, since)
    harness.pass_time(DAY)
    await run(harness, **how)
    assert differences(harness) == []
    assert {row["plan_since"] for row in passes(harness).values()} == {None}
    assert None not in {row["last_full_pass_at"] for row in passes(harness).values()}


async def test_a_killed_limited_load_goes_on_limited_until_all_is_asked_for(
    workspace: Harness,
) -> None:
    harness, since = workspace, limit(workspace)
    harness.control.fail({"path": "^/conversations/\\d+"}, times=None, after=5, status=500)
    outcome = await harness.sync(command="backfill", full=True, since=since)
    assert outcome.exit_code == 1
    harness.control.clear_faults()
    harness.pass_time(3600)
    await run(harness)
    is_limited(harness, since)
    assert passes(harness)["conversations"]["last_full_pass_at"] is None
    harness.pass_time(3600)
    await run(harness, full=True)
    assert differences(harness) == []


async def test_a_lifted_exclusion_is_owed_to_all_that_is_here(workspace: Harness) -> None:
    harness, since = workspace, limit(workspace)
    excluded = Privacy(parse("contacts.email,conversation_parts.body"))
    await run(harness, privacy=excluded)
    harness.pass_time(DAY)
    await backfill(harness, since, lift_exclusions=True)
    assert differences(harness) == []  # loaded before without a limit: all of it


async def test_a_lifted_exclusion_comes_back_within_the_limit(workspace: Harness) -> None:
    harness, since = workspace, limit(workspace)
    excluded = Privacy(parse("contacts.email,conversation_parts.body"))
    await backfill(harness, since, privacy=excluded)
    harness.pass_time(DAY)
    await run(harness, lift_exclusions=True)
    is_limited(harness, since)
    true = {str(c["id"]): c["email"] for c in harness.control.truth("contacts")}
    for key in ids(harness, "contacts"):
        assert harness.rows("contacts")[key]["email"] == true[key]
    assert harness.query("SELECT count(body) AS n FROM conversation_parts")[0]["n"] > 0


async def test_a_full_pass_within_the_limit_waits_for_its_budget(workspace: Harness) -> None:
    harness, since = workspace, limit(workspace)
    await backfill(harness, since)
    for night in range(8):
        harness.pass_time(DAY)
        await run(harness, full_pass_requests=0)
        moved = {name for name in SEARCHED if passes(harness)[name]["last_full_pass_at"]}
        assert moved == (set() if night < 6 else set(SEARCHED)), night
    is_limited(harness, since)


async def test_a_time_that_was_taken_away_makes_a_full_pass_due(workspace: Harness) -> None:
    harness = workspace
    await run(harness)
    harness.query("UPDATE sync_state SET last_full_pass_at = NULL WHERE resource = 'tickets'")
    harness.pass_time(3600)
    await run(harness)
    row = passes(harness)["tickets"]
    assert row["last_full_pass_at"] == row["fresh_as_of"]
