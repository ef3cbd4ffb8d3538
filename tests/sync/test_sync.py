"""The loop, from Intercom's replies to the rows: what is right after each night."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from connector.resources import RESOURCES
from connector.simulator import Workspace
from connector.sync.planning import plan
from connector.sync.readings import search_full
from connector.sync.writing import writer
from connector.sync.writing.writer import INDEX_LAG, Writer
from tests.support.harness import NOW, Harness
from tests.support.truth.compared import differences

pytestmark = pytest.mark.in_turn(2)

DAY = 86_400.0


def workspace(**sizes: Any) -> Workspace:
    sizes = {"contacts": 240, "companies": 40, "conversations": 60} | sizes
    return Workspace.generate(7, now=int(NOW), **sizes)


async def test_first_sync_equals_the_truth(harness: Harness) -> None:
    harness.simulate(workspace())
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []


async def test_each_record_that_is_read_is_new_changed_or_as_it_was(harness: Harness) -> None:
    harness.simulate(workspace(contacts=600))
    for night in range(3):
        if night:
            harness.control.change(fraction=0.1, seed=night)
            harness.pass_time(DAY)
        outcome = await harness.sync(full=night == 2)
        assert outcome.exit_code == 0, outcome.error
        for name, tally in outcome.resources.items():
            told = tally.inserted + tally.updated + tally.unchanged
            assert told == tally.fetched, (night, name)


async def test_second_sync_writes_not_one_row_version(harness: Harness) -> None:
    await harness.load(workspace())
    before = harness.versions()
    for _ in range(2):
        outcome = await harness.sync()
        assert outcome.exit_code == 0, outcome.error
        assert harness.versions() == before
        assert all(t.inserted == t.updated == 0 for t in outcome.resources.values())


async def test_a_night_rewrites_only_what_changed(harness: Harness) -> None:
    await harness.load(workspace())
    before = {name: harness.rows(name) for name in ("contacts", "companies", "conversations")}
    run = harness.query("SELECT max(id) AS id FROM sync_runs")[0]["id"]
    changed = harness.control.change(fraction=0.02, seed=3)
    harness.pass_time(DAY)
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []
    for name, rows in before.items():
        after = harness.rows(name)
        rewritten = {key for key in rows if rows[key]["_changed_at"] != after[key]["_changed_at"]}
        assert rewritten <= set(changed[name]), name
        assert all(after[key]["_run_id"] == run + 1 for key in rewritten)
    assert len(set(before["contacts"]) & set(changed["contacts"])) > 0


@pytest.mark.parametrize("nights", [4, pytest.param(8, marks=pytest.mark.chaos)])
async def test_many_random_nights_equal_the_truth(harness: Harness, nights: int) -> None:
    await harness.load(workspace(contacts=300, companies=30, conversations=60), index_lag=(0, 300))
    for night in range(nights):
        harness.control.change(fraction=0.05, seed=night)
        harness.pass_time(DAY)
        outcome = await harness.sync()
        assert outcome.exit_code == 0, outcome.error
        assert differences(harness) == [], f"night {night}"


@pytest.mark.sampled(1)
@pytest.mark.parametrize("lag", [0, 120, 300, 600])
async def test_index_lag_loses_nothing_by_the_next_night(harness: Harness, lag: int) -> None:
    await harness.load(workspace(contacts=200, companies=20, conversations=40), index_lag=lag)
    for night in range(4):
        harness.control.change(fraction=0.05, seed=night)  # moments before the sync: not seen yet
        await harness.sync()
        harness.pass_time(DAY)
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []


async def test_changes_during_the_pass_are_right_the_night_after(harness: Harness) -> None:
    harness.simulate(workspace(contacts=200, companies=20, conversations=40), index_lag=60)
    dice = random.Random(5)

    async def meanwhile(request: Any) -> None:
        harness.now += 1
        if dice.random() < 0.2:  # more often in a third of a workspace
            harness.control.change(fraction=0.01, seed=dice.randrange(10**6))

    from connector.simulator import SimulatorTransport

    for _ in range(3):
        transport = SimulatorTransport(harness.simulator, latency=meanwhile)
        await harness.sync(harness.client(transport=transport))
        harness.pass_time(DAY)
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []


async def test_the_cursor_is_the_start_of_the_pass_less_the_lag(harness: Harness) -> None:
    harness.simulate(workspace())
    began = datetime.fromtimestamp(harness.now, UTC)

    async def slow(request: Any) -> None:
        harness.now += 2

    from connector.simulator import SimulatorTransport

    await harness.sync(
        harness.client(transport=SimulatorTransport(harness.simulator, latency=slow))
    )
    ended = datetime.fromtimestamp(harness.now, UTC)
    assert ended - began > timedelta(minutes=5)
    states = harness.query("SELECT * FROM sync_state")
    assert len(states) == len(RESOURCES)
    for row in states:
        assert row["cursor"] == row["fresh_as_of"] - INDEX_LAG
        assert began - timedelta(seconds=3) <= row["fresh_as_of"] < ended
        assert row["last_success_at"] <= ended
    users = next(row for row in states if row["resource"] == "users")
    tags = next(row for row in states if row["resource"] == "tags")
    assert users["fresh_as_of"] > tags["fresh_as_of"]


async def test_the_cursor_never_goes_backwards(harness: Harness) -> None:
    await harness.load(workspace(contacts=30, companies=5, conversations=10))
    first = harness.query("SELECT resource, cursor FROM sync_state ORDER BY 1")
    harness.pass_time(-7_200)  # a clock was set back
    await harness.sync()
    second = harness.query("SELECT resource, cursor FROM sync_state ORDER BY 1")
    assert [row["cursor"] for row in second] == [row["cursor"] for row in first]


@pytest.mark.sampled(1)
@pytest.mark.parametrize("version", ["2.16", "Preview"])
@pytest.mark.parametrize("timezone", ["Pacific/Kiritimati", "America/Los_Angeles", "UTC"])
async def test_contacts_are_complete_in_every_timezone_and_version(
    harness: Harness, version: str, timezone: str
) -> None:
    space = Workspace.generate(
        3, contacts=300, companies=10, conversations=5, now=int(NOW), timezone=timezone
    )
    harness.simulate(space)
    await harness.sync(harness.client(version=version))
    assert differences(harness) == []
    for night in range(3):
        harness.control.change(fraction=0.05, seed=night)
        harness.pass_time(DAY / 2 + 1234)
        outcome = await harness.sync(harness.client(version=version))
        assert outcome.exit_code == 0, outcome.error
        assert differences(harness) == []


async def test_contacts_near_midnight_are_not_lost_between_partitions(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "PARTITION_RECORDS", 20)  # many partitions, so many edges
    space = Workspace.generate(3, contacts=1_500, companies=5, conversations=2, now=int(NOW))
    harness.simulate(space, midnight_hole=1_800)
    reopened: list[str] = []
    reopen = search_full._reopen_edges

    def noted(conn: sa.Connection, name: str) -> None:
        reopened.append(name)
        reopen(conn, name)

    monkeypatch.setattr(search_full, "_reopen_edges", noted)
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert reopened == ["leads", "users"]  # search had missed some of each
    assert differences(harness) == []


async def test_a_changed_api_version_makes_the_next_run_a_full_one(harness: Harness) -> None:
    await harness.load(workspace(contacts=40, companies=5, conversations=10))
    harness.pass_time(DAY)
    await harness.sync(harness.client(version="Preview"))
    states = harness.query("SELECT * FROM sync_state")
    assert all(row["last_full_pass_at"] == row["fresh_as_of"] for row in states)
    assert harness.query("SELECT api_version FROM sync_workspace") == [{"api_version": "Preview"}]


async def test_lists_past_ten_are_complete(harness: Harness) -> None:
    await harness.load(workspace())
    most = harness.query(
        "SELECT (SELECT max(n) FROM (SELECT count(*) n FROM contact_tags GROUP BY contact_id) t)"
        " AS tags, (SELECT max(n) FROM (SELECT count(*) n FROM contact_companies"
        " GROUP BY contact_id) c) AS companies"
    )[0]
    assert most["tags"] > 10
    assert most["companies"] > 10


async def test_only_some_resources_leave_placeholders_for_the_others(harness: Harness) -> None:
    harness.simulate(workspace(contacts=60, companies=10, conversations=20))
    outcome = await harness.sync(only=("conversations",))
    assert outcome.exit_code == 0, outcome.error
    assert list(outcome.resources) == ["conversations"]
    contacts = harness.rows("contacts")
    assert contacts
    assert all(row["_placeholder"] for row in contacts.values())
    await harness.sync()
    assert differences(harness) == []


async def test_since_limits_the_first_load(harness: Harness) -> None:
    harness.simulate(workspace())
    since = datetime.fromtimestamp(NOW, UTC) - timedelta(days=30)
    outcome = await harness.sync(full=True, since=since, command="backfill")
    assert outcome.exit_code == 0, outcome.error
    truth = harness.control.truth("contacts")
    recent = {c["id"] for c in truth if c["updated_at"] >= since.timestamp()}
    stored = {k for k, row in harness.rows("contacts").items() if not row["_placeholder"]}
    assert recent <= stored
    assert len(stored) < len(truth)


async def test_removed_tags_and_admins_are_marked_deleted(harness: Harness) -> None:
    await harness.load(workspace(contacts=60, companies=10, conversations=20))
    tag = harness.control.truth("tags")[0]["id"]
    harness.control.delete_tag(tag)
    harness.pass_time(DAY)
    outcome = await harness.sync()
    assert harness.rows("tags")[tag]["_deleted_at"] is not None
    assert outcome.resources["tags"].deleted == 1
    before = harness.versions()["tags"]
    await harness.sync()
    assert harness.versions()["tags"] == before


async def test_memory_is_bounded_by_what_is_in_flight(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    writing = most_written = 0
    commit, take = Writer._commit_together, search_full._Reader._take

    async def watched_commit(writer: Writer, submissions: Any) -> Any:
        sizes.append(sum(map(len, submissions)))
        return await commit(writer, submissions)

    async def watched_page(reader: Any, page: Any, seen: Any) -> None:
        nonlocal writing, most_written
        writing += 1
        most_written = max(most_written, writing)
        try:
            await take(reader, page, seen)
        finally:
            writing -= 1

    monkeypatch.setattr(Writer, "_commit_together", watched_commit)
    monkeypatch.setattr(search_full._Reader, "_take", watched_page)
    monkeypatch.setattr(search_full, "PAGES_AT_ONCE", 7)
    monkeypatch.setattr(search_full, "RESERVED", 2)
    monkeypatch.setattr(plan, "PARTITION_RECORDS", 300)
    harness.simulate(workspace(contacts=6_000, companies=300, conversations=300))
    outcome = await harness.sync(only=("companies", "leads", "users", "conversations"))
    assert outcome.exit_code == 0, outcome.error
    assert max(sizes) <= writer.MOST_RECORDS
    assert 1 < most_written <= 2 * (7 + 2)  # leads and users side by side


async def test_complete_lists_are_asked_for_once_after_a_change(harness: Harness) -> None:
    def asked() -> int:
        endpoints = harness.simulator.stats.endpoints
        return sum(number for name, number in endpoints.items() if name.endswith("/tags"))

    harness.simulate(workspace(contacts=100))
    contact = harness.control.truth("contacts")[0]["id"]
    tags = [harness.control.create_tag(f"tag {number}") for number in range(12)]
    for tag in tags:
        harness.control.tag_contact(contact, tag)
    assert (await harness.sync()).exit_code == 0
    harness.pass_time(3600)
    harness.control.update_contact(contact, name="changed")
    harness.pass_time(3600)
    asked_once = []
    for number in range(3):
        if number == 2:  # what was read is merged all the same, also what changed silently
            harness.control.update_contact_silently(contact, phone="+1 555 0100")
            harness.pass_time(3600)
        harness.simulator.stats.reset()
        outcome = await harness.sync(only=("leads", "users"))
        assert outcome.exit_code == 0, outcome.error
        asked_once.append(asked())
        harness.pass_time(60)
    assert asked_once[0] >= 1
    assert asked_once[1:] == [0, 0]
    links = harness.query("SELECT tag_id FROM contact_tags WHERE contact_id = %s", contact)
    assert len(links) >= len(tags)
    assert harness.rows("contacts")[contact]["name"] == "changed"
    assert harness.rows("contacts")[contact]["phone"] == "+1 555 0100"
