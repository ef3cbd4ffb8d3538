"""What goes wrong in a night: it is named, the rest goes on, and the next night mends it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.errors import (
    AlreadyRunningError,
    FenceError,
    TokenRefusedError,
    WrongWorkspaceError,
)
from connector.simulator import SimulatorTransport, Workspace
from connector.warehouse import state
from connector.warehouse.sql.database import Database
from tests.support.harness import NOW, Harness
from tests.support.truth.compared import differences

pytestmark = pytest.mark.in_turn(2)

DAY = 86_400.0


def small() -> Workspace:
    return Workspace.generate(5, contacts=200, companies=30, conversations=60, now=int(NOW))


def a_conversation(harness: Harness) -> str:
    return str(harness.control.truth("conversations")[7]["id"])


@pytest.mark.fault(
    "one conversation answers 500 for ever",
    "the rest is read, the object is pending, exit code 1 names it; heals when it answers",
    times=9,
)
async def test_one_object_that_fails_for_ever_holds_up_nothing(harness: Harness) -> None:
    harness.simulate(small())
    bad = a_conversation(harness)
    harness.control.fail({"path": f"/conversations/{bad}$"}, times=None, status=500)
    for attempt in (1, 2, 3):
        outcome = await harness.sync()
        assert outcome.exit_code == 1
        assert [entry.id for entry in outcome.overdue] == [bad]
        assert bad in (outcome.error or "")
        assert outcome.resources["conversations"].status == "succeeded"
        assert harness.query("SELECT id FROM sync_pending") == [{"id": bad}]
        assert bad not in harness.rows("conversations")
        assert len(harness.rows("conversations")) == 59, attempt
    harness.control.clear_faults()
    harness.pass_time(DAY)
    outcome = await harness.sync()
    assert outcome.exit_code == 0
    assert harness.query("SELECT * FROM sync_pending") == []
    assert differences(harness) == []


async def test_an_object_that_heals_is_read_by_the_very_next_run(harness: Harness) -> None:
    harness.simulate(small())
    bad = a_conversation(harness)
    harness.control.fail({"path": f"/conversations/{bad}$"}, times=None, status=502)
    assert (await harness.sync()).exit_code == 1
    harness.control.clear_faults()
    assert (await harness.sync()).exit_code == 0
    assert differences(harness) == []


async def test_a_list_past_ten_that_fails_makes_its_contact_pending(harness: Harness) -> None:
    harness.simulate(small())
    contact = next(
        c["id"] for c in harness.control.truth("contacts") if len(c["tags"]["data"]) > 10
    )
    harness.control.fail({"path": f"/contacts/{contact}/tags"}, times=None, status=500)
    outcome = await harness.sync()
    assert outcome.exit_code == 1
    assert contact in harness.rows("contacts")
    harness.control.clear_faults()
    assert (await harness.sync()).exit_code == 0
    assert differences(harness) == []


@pytest.mark.fault(
    "a scope is missing",
    "its resource fails by name, exit code 1; the others are read",
)
async def test_a_missing_scope_fails_its_resource_and_no_other(
    harness: Harness, injected: Any
) -> None:
    harness.simulate(small())
    harness.control.deny("^/companies", 403)
    injected()
    outcome = await harness.sync()
    assert outcome.exit_code == 1
    failed = {name for name, tally in outcome.resources.items() if tally.status == "failed"}
    assert failed == {"companies"}
    assert "companies" in (outcome.error or "")
    harness.control.allow_all()
    harness.pass_time(DAY)
    assert (await harness.sync()).exit_code == 0
    assert differences(harness) == []


async def test_a_401_with_a_living_token_is_a_missing_scope(harness: Harness) -> None:
    harness.simulate(small())
    harness.control.deny("^/conversations", 401)
    outcome = await harness.sync()
    assert outcome.exit_code == 1
    assert outcome.resources["conversations"].status == "failed"
    assert outcome.resources["users"].status == "succeeded"


@pytest.mark.fault(
    "the token is revoked in the middle of a run",
    "exit code 3 with the state kept; goes on when there is a token again",
)
async def test_a_token_revoked_in_mid_run_stops_it_with_its_state_kept(
    harness: Harness, injected: Any
) -> None:
    harness.simulate(small())
    count = 0

    async def revoke(request: object) -> None:
        nonlocal count
        count += 1
        if count == 12:
            harness.control.revoke_token()
            injected()

    transport = SimulatorTransport(harness.simulator, latency=revoke)
    with pytest.raises(TokenRefusedError):
        await harness.sync(harness.client(transport=transport))
    run = harness.query("SELECT status, error FROM sync_runs")[0]
    assert run["status"] == "failed"
    assert "sim-token" not in run["error"]
    assert harness.query("SELECT * FROM sync_run_resources WHERE status = 'running'") == []
    done = harness.query("SELECT resource FROM sync_state WHERE cursor IS NOT NULL")
    assert {"resource": "tags"} in done
    harness.control.revoke_token(False)
    assert (await harness.sync()).exit_code == 0
    assert differences(harness) == []


@pytest.mark.fault(
    "the token of another workspace",
    "exit code 2 before anything is written",
)
async def test_a_token_of_another_workspace_writes_nothing(harness: Harness, injected: Any) -> None:
    await harness.load(small())
    before = harness.versions()
    runs = harness.query("SELECT * FROM sync_runs")
    other = Workspace.generate(99, contacts=20, companies=2, conversations=2, now=int(NOW))
    other.app["id_code"] = "another"
    harness.simulate(other)
    with pytest.raises(WrongWorkspaceError):
        await harness.sync()
    injected()
    assert harness.versions() == before
    assert harness.query("SELECT * FROM sync_runs") == runs


async def test_a_second_sync_of_the_schema_is_refused_while_one_runs(harness: Harness) -> None:
    harness.simulate(small())
    holder = Database(harness.database_url, harness.schema)
    holder.lock()
    with pytest.raises(AlreadyRunningError):
        await harness.sync()
    holder.close()
    assert (await harness.sync()).exit_code == 0


async def test_a_run_that_was_taken_over_writes_nothing_more(harness: Harness) -> None:
    harness.simulate(small())
    count = 0

    async def take_over(request: object) -> None:
        nonlocal count
        count += 1
        if count == 8:
            database = Database(harness.database_url, harness.schema)
            database.write(lambda conn: state.start_run(conn, "sync"))
            database.close()

    transport = SimulatorTransport(harness.simulator, latency=take_over)
    with pytest.raises(FenceError):
        await harness.sync(harness.client(transport=transport))
    assert harness.rows("conversations") == {}
    statuses = harness.query("SELECT status FROM sync_runs ORDER BY id")
    assert [row["status"] for row in statuses] == ["interrupted", "running"]


async def test_a_killed_run_is_running_until_the_next_marks_it(harness: Harness) -> None:
    await harness.load(small())
    database = Database(harness.database_url, harness.schema)
    database.write(lambda conn: state.start_run(conn, "sync"))
    database.close()
    await harness.sync()
    statuses = harness.query("SELECT status FROM sync_runs ORDER BY id")
    assert [row["status"] for row in statuses] == ["succeeded", "interrupted", "succeeded"]


async def test_a_deletion_found_by_id_is_marked_with_all_that_hangs_on_it_kept(
    harness: Harness,
) -> None:
    await harness.load(small(), index_lag=100)
    gone = a_conversation(harness)
    parts = harness.query("SELECT id FROM conversation_parts WHERE conversation_id = %s", gone)
    links = harness.query("SELECT * FROM conversation_contacts WHERE conversation_id = %s", gone)
    assert parts
    harness.control.reply(gone)
    harness.pass_time(200)  # the index shows the reply, but not yet what happens now
    harness.control.delete_conversation(gone)
    await harness.sync()
    assert harness.rows("conversations")[gone]["_deleted_at"] is not None
    assert parts == harness.query(
        "SELECT id FROM conversation_parts WHERE conversation_id = %s", gone
    )
    assert links == harness.query(
        "SELECT * FROM conversation_contacts WHERE conversation_id = %s", gone
    )


async def test_a_search_that_fails_at_large_pages_is_read_in_small_ones(harness: Harness) -> None:
    harness.simulate(small())
    harness.control.fail({"path": "/conversations/search", "body": '"per_page":150'}, times=None)
    harness.control.fail({"path": "/contacts/search", "body": '"per_page":150'}, times=None)
    assert (await harness.sync()).exit_code == 0
    assert differences(harness) == []


async def test_a_scroll_that_breaks_off_begins_again(harness: Harness) -> None:
    space = Workspace.generate(5, contacts=300, companies=280, conversations=5, now=int(NOW))
    harness.simulate(space)
    harness.control.fail({"path": "/companies/scroll"}, times=1, after=1, kind="cut")
    assert (await harness.sync()).exit_code == 0
    assert differences(harness) == []


async def test_a_foreign_scroll_is_waited_for_and_then_the_list_is_read(harness: Harness) -> None:
    harness.simulate(small())
    harness.control.hold_scroll(90)
    assert (await harness.sync()).exit_code == 0
    assert sum(harness.waited) >= 80
    harness.control.hold_scroll(10_000)
    assert (await harness.sync()).exit_code == 0
    assert "POST /companies/list" in harness.control.stats()["endpoints"]
    assert differences(harness) == []


@pytest.mark.sampled(1)
@pytest.mark.parametrize("kind", ["status", "html", "empty", "cut", "reset"])
async def test_five_in_a_hundred_bad_replies_lose_nothing(harness: Harness, kind: str) -> None:
    harness.simulate(small())
    harness.control.fail(
        {}, times=None, kind=kind, probability=0.05, status=503 if kind == "status" else None
    )
    for night in range(3):
        outcome = await harness.sync()
        harness.control.change(fraction=0.05, seed=night)
        harness.pass_time(DAY)
    harness.control.clear_faults()
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []


async def test_windows_are_read_side_by_side_and_objects_too(harness: Harness) -> None:
    space = Workspace.generate(5, contacts=100, companies=10, conversations=600, now=int(NOW))
    harness.simulate(space)
    in_flight = most = 0

    async def latency(request: object) -> None:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        for _ in range(50):
            await harness.pause(0)
        in_flight -= 1

    transport = SimulatorTransport(harness.simulator, latency=latency)
    await harness.sync(harness.client(transport=transport))
    assert most >= 40
    assert differences(harness) == []


@pytest.mark.fault(
    "the local clock is an hour fast, or slow",
    "no cursor lies beyond Intercom's present",
    times=2,
)
async def test_a_wrong_local_clock_moves_no_cursor_past_what_intercom_says(
    harness: Harness, injected: Any
) -> None:
    for skew in (3_600, -3_600):
        injected()
        harness.simulate(small())
        start = harness.now
        harness.control.advance(skew)
        await harness.sync()
        true_now = datetime.fromtimestamp(harness.now + skew, UTC)
        for row in harness.query("SELECT cursor FROM sync_state"):
            assert row["cursor"] <= true_now
        harness.control.change(fraction=0.1, seed=1)
        harness.pass_time(DAY)
        assert (await harness.sync()).exit_code == 0
        assert differences(harness) == []
        harness.query(f'DROP SCHEMA "{harness.schema}" CASCADE')
        assert harness.now >= start + DAY


@pytest.mark.fault(
    "three replies in ten bear a Date a year ahead",
    "no cursor and no time of a read lies beyond the present",
    times=50,
    rows=False,
)
async def test_a_date_a_year_ahead_moves_no_cursor(harness: Harness) -> None:
    harness.simulate(small())
    year = timedelta(days=365)
    ahead = datetime.fromtimestamp(harness.now, UTC) + year
    harness.control.fail(
        {},
        times=None,
        probability=0.3,
        kind="delay",
        headers={"Date": ahead.strftime("%a, %d %b %Y %H:%M:%S GMT")},
    )
    await harness.sync()
    limit = datetime.fromtimestamp(harness.now, UTC)
    assert all(row["cursor"] <= limit for row in harness.query("SELECT cursor FROM sync_state"))
    assert all(
        row["_read_at"] is None or row["_read_at"] <= limit + timedelta(seconds=5)
        for row in harness.rows("contacts").values()
    )


async def test_values_that_no_column_holds_stop_nothing_and_are_kept(harness: Harness) -> None:
    space = Workspace.generate(
        6, contacts=200, companies=20, conversations=20, now=int(NOW), hostile=0.3
    )
    harness.simulate(space)
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    warned = outcome.resources["users"].warnings + outcome.resources["leads"].warnings
    assert warned > 20
    living = "SELECT count(*) AS n FROM contacts_live"
    assert harness.query(living) == [{"n": 200}]
    before = harness.versions()
    await harness.sync()
    assert harness.versions() == before


async def test_a_slow_reply_is_not_taken_for_an_older_copy(harness: Harness) -> None:
    # Its Date is older than its arrival, which puts the estimate of Intercom's time back.
    await harness.load(index_lag=0)
    harness.pass_time(DAY)
    segment = harness.control.truth("segments")[0]["id"]
    for contact in harness.control.truth("contacts")[:3]:
        harness.control.set_segments(contact["id"], [segment])
    harness.control.update_segment(segment, name="Other")
    key = harness.control.create_contact("user")
    for one in harness.control.truth("subscription_types"):
        harness.control.subscribe_contact(key, one["id"], one["consent_type"] == "opt_in")
    harness.pass_time(700)
    for match in ({"path": "^/contacts/search", "body": segment}, {"path": f"{key}/subscriptions"}):
        harness.control.when(match, lambda: harness.pass_time(17))
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []
