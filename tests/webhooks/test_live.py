"""Notifications become hints, hints become rows: what a person reads is what GET gives."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from random import Random
from typing import Any

import pytest

from connector.resources.hint import Hint
from connector.sync import fetch_by_id
from connector.sync.hints import settling
from connector.sync.options import Options
from connector.sync.run import settle_hints
from connector.warehouse.merge.fuse import Fuse
from connector.warehouse.state import inbox
from connector.webhooks.notification import read
from tests.support.harness import Harness
from tests.support.life import Life
from tests.support.mirror import Mirror
from tests.support.truth.compared import differences

pytestmark = pytest.mark.in_turn(2)


@pytest.fixture
def mirror(harness: Harness) -> Any:
    mirror = Mirror(harness, index_lag=60.0, user_count_delay=0.0)
    yield mirror
    mirror.database.close()


@pytest.mark.sampled(1)
@pytest.mark.parametrize("seed", range(1, 9))
async def test_what_is_told_is_right_without_a_pass(mirror: Mirror, seed: int) -> None:
    harness = mirror.harness
    await harness.sync()
    life = Life(harness, seed)
    harness.control.webhook_chaos(
        duplicates=0.2, foreign=0.1, unknown=0.1, older=0.2, large=0.02, shuffle=30.0
    )
    for _ in range(10):
        for _ in range(15):
            life.change(life.changes)
            harness.pass_time(20)
        harness.pass_time(30)
        mirror.receive()
        outcome = await mirror.settle()
        assert outcome.exit_code == 0, outcome.error
        late = {row["id"] for row in mirror.waiting()}
        assert [one for one in mirror.wrong() if not any(key in one for key in late)] == []
        harness.pass_time(90)  # events are shown late
        mirror.hurry()
        await mirror.settle()
        assert mirror.wrong() == []
        assert all(row["gone"] for row in mirror.waiting())  # archived, and back again


def contact(mirror: Mirror, role: str = "user") -> str:
    found = mirror.harness.control.truth("contacts")
    return next(one["id"] for one in found if one["role"] == role)


async def test_a_sync_settles_what_was_told_before_it_began_due_or_not(mirror: Mirror) -> None:
    harness, mirror.delay = mirror.harness, 3_600.0
    await harness.sync()
    harness.control.update_contact(contact(mirror), name="Told")
    assert mirror.receive() == 1
    harness.control.reset_stats()
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert mirror.waiting() == []
    assert harness.rows("contacts")[contact(mirror)]["name"] == "Told"
    assert harness.control.stats()["endpoints"]["GET /contacts/{id}"] == 1


async def test_what_is_told_while_it_is_read_is_read_again(mirror: Mirror) -> None:
    harness, control = mirror.harness, mirror.harness.control
    await harness.sync()
    key = contact(mirror)

    def again() -> None:
        control.update_contact(key, name="Second")
        mirror.database.another().write(lambda conn: inbox.tell(conn, [Hint("contacts", key)], 0.0))

    control.when({"path": f"/contacts/{key}$"}, again)
    control.update_contact(key, name="First")
    mirror.receive()
    await mirror.settle()
    assert harness.rows("contacts")[key]["name"] == "Second"
    assert mirror.waiting() == []


async def test_a_copy_older_than_told_is_asked_for_again_and_becomes_pending(
    mirror: Mirror,
) -> None:
    harness, key = mirror.harness, ""
    await harness.sync()
    key = contact(mirror)
    ahead = int(harness.now) + 500
    hint = Hint("contacts", key, ahead)
    mirror.database.write(lambda conn: inbox.tell(conn, [hint], 0.0))
    for attempts in range(1, 5):
        await mirror.settle()
        (row,) = mirror.waiting()
        assert row["attempts"] == attempts
        mirror.hurry()
    await mirror.settle()
    assert mirror.waiting() == []
    (pending,) = harness.query("SELECT * FROM sync_pending")
    assert (pending["id"], pending["announced_at"].timestamp()) == (key, ahead)
    harness.pass_time(600)
    harness.control.update_contact(key, name="New")
    outcome = await harness.sync()
    assert (outcome.exit_code, harness.query("SELECT * FROM sync_pending")) == (0, [])


async def test_what_is_told_deleted_and_still_shown_is_asked_for_again(mirror: Mirror) -> None:
    harness = mirror.harness
    await harness.sync()
    (key,) = [one["id"] for one in harness.control.truth("companies")][:1]
    hint = Hint("companies", key, gone=True)
    mirror.database.write(lambda conn: inbox.tell(conn, [hint], 0.0))
    await mirror.settle()
    (row,) = mirror.waiting()
    assert (row["gone"], row["attempts"]) == (True, 1)
    harness.control.delete_company(key)
    mirror.hurry()
    await mirror.settle()
    assert mirror.waiting() == []
    assert harness.rows("companies")[key]["_deleted_at"] is not None


async def test_a_short_list_is_read_once_for_any_of_its_objects(mirror: Mirror) -> None:
    harness = mirror.harness
    await harness.sync()
    for admin in harness.control.truth("admins")[:3]:
        harness.control.update_admin(admin["id"], away_mode_enabled=not admin["away_mode_enabled"])
    mirror.receive()
    harness.control.reset_stats()
    await mirror.settle()
    assert harness.control.stats()["endpoints"] == {"GET /me": 1, "GET /admins": 1}
    truth = {one["id"]: one["away_mode_enabled"] for one in harness.control.truth("admins")}
    rows = harness.rows("admins")
    assert {key: rows[key]["away_mode_enabled"] for key in truth} == truth


async def test_very_many_are_settled_by_searches_that_prove_themselves(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "MANY", 10)
    monkeypatch.setattr(settling, "AT_ONCE", 20)
    harness, control = mirror.harness, mirror.harness.control
    await harness.sync()
    ids = [one["id"] for one in control.truth("contacts")]
    for key in ids:
        control.update_contact(key, name="Many")
    harness.pass_time(300)  # searches show it
    fresh = ids[:5]
    for key in fresh:
        control.update_contact(key, name="More")  # but not this
    mirror.receive()
    control.reset_stats()
    await mirror.settle()
    spent = control.stats()["endpoints"]
    assert spent["POST /contacts/search"] <= 2
    assert spent.get("GET /contacts/{id}", 0) <= len(fresh) + 2
    rows = harness.rows("contacts")
    assert {rows[key]["name"] for key in ids[5:]} == {"Many"}
    assert {rows[key]["name"] for key in fresh} == {"More"}
    assert mirror.waiting() == []


async def test_where_intercom_fails_altogether_what_was_told_stays(mirror: Mirror) -> None:
    harness, control = mirror.harness, mirror.harness.control
    await harness.sync()
    for one in control.truth("contacts"):
        control.update_contact(one["id"], name="Down")
    told = mirror.receive()
    control.fail({"path": "^/contacts/"}, times=None, status=503)
    await mirror.settle()
    assert mirror.kept.error is not None
    assert len(mirror.waiting()) == told
    assert harness.query("SELECT * FROM sync_pending") == []
    control.clear_faults()
    mirror.kept.pauses.until.clear()
    await mirror.settle()
    assert mirror.waiting() == []
    assert mirror.wrong() == []


async def test_what_is_not_read_here_is_dropped_by_a_whole_run_alone(mirror: Mirror) -> None:
    harness = mirror.harness
    await harness.sync()
    mirror.database.write(lambda conn: inbox.tell(conn, [Hint("articles", "1")], 0.0))
    await harness.sync(only=("tags",), partial=True)
    assert [row["resource"] for row in mirror.waiting()] == ["articles"]
    await harness.sync(left_out=frozenset({"articles"}), drops_foreign_hints=True)
    assert mirror.waiting() == []


async def test_bursts_go_on_with_one_run_until_another_comes(mirror: Mirror) -> None:
    harness = mirror.harness
    await harness.sync()
    for number in range(3):
        harness.control.update_contact(contact(mirror), name=f"N{number}")
        mirror.receive()
        outcome = await mirror.settle()
    runs = harness.query("SELECT id, command, status FROM sync_runs ORDER BY id")
    assert [(run["command"], run["status"]) for run in runs] == [
        ("sync", "succeeded"),
        ("serve", "succeeded"),
    ]
    query = "SELECT * FROM sync_run_resources WHERE run_id = %s AND resource = 'leads'"
    (tally,) = harness.query(query, outcome.run_id)
    assert (tally["fetched"], tally["requests"]) == (3, 3)
    await harness.sync()
    harness.control.update_contact(contact(mirror), name="After")
    mirror.receive()
    assert (await mirror.settle()).run_id > runs[-1]["id"] + 1


@pytest.mark.sampled(1)
@pytest.mark.parametrize("seed", range(1, 5))
async def test_what_is_lost_on_the_way_is_repaired_by_the_next_pass(
    mirror: Mirror, seed: int
) -> None:
    harness, random = mirror.harness, Random(seed)
    await harness.sync()
    life = Life(harness, seed)
    for _ in range(5):
        for _ in range(15):
            life.change(life.changes)
            harness.pass_time(20)
        mirror.receive(drop=0.4, random=random)
        await mirror.settle()
    harness.pass_time(1_800)
    outcome = await harness.sync(full_pass_requests=0)
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness, began=harness.began, after_full=False) == []


async def test_one_object_that_never_answers_holds_up_no_other(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness, control = mirror.harness, mirror.harness.control
    await harness.sync()
    ids = [one["id"] for one in control.truth("contacts")[:6]]
    for key in ids:
        control.update_contact(key, name="Prompt")
    mirror.receive()
    reading = fetch_by_id._read_object

    async def stalled(client: Any, resource: Any, key: str) -> Any:
        if key == ids[0]:
            await asyncio.sleep(60)
        return await reading(client, resource, key)

    monkeypatch.setattr(fetch_by_id, "_read_object", stalled)
    monkeypatch.setattr(settling, "OVERTIME", 0.1)
    async with harness.client() as client:
        kept = mirror.kept
        options = Options(command="serve", partial=True)
        kept.outcome = await settle_hints(client, mirror.database, options, kept, 0.5)
    mirror.database.unlock()
    rows = harness.rows("contacts")
    assert {rows[key]["name"] for key in ids[1:]} == {"Prompt"}
    assert [row["id"] for row in mirror.waiting()] == ids[:1]
    assert kept.pauses.still_aside() == {("contacts", ids[0])}
    assert kept.error is None
    monkeypatch.undo()
    kept.pauses.aside.clear()
    await mirror.settle()
    assert mirror.waiting() == []


@pytest.mark.parametrize("told", [True, False])
async def test_the_fuse_counts_what_is_not_found_and_was_not_told_to_be_gone(
    mirror: Mirror, told: bool
) -> None:
    harness, control = mirror.harness, mirror.harness.control
    await harness.sync()
    mirror.kept.fuse = Fuse()  # of all bursts from one pass to the next
    contacts = [one["id"] for one in control.truth("contacts")][:45]
    codes = list[int]()
    for start in range(0, len(contacts), 9):
        some = contacts[start : start + 9]
        for key in some:
            control.delete_contact(key)
        hints = [Hint("contacts", key, gone=told) for key in some]
        mirror.database.write(partial(inbox.tell, told=hints, delay=0.0))
        codes.append((await mirror.settle()).exit_code)
    dead = [row for row in harness.rows("contacts").values() if row["_deleted_at"]]
    assert len(dead) == (45 if told else 18)
    assert codes == [0, 0, *([0, 0, 0] if told else [1, 1, 1])]
    assert mirror.waiting() == []


def test_a_word_of_the_api_is_no_id() -> None:
    for kind, word in (("company", "scroll"), ("contact", "activities"), ("contact", "1/notes")):
        body = {"topic": f"{kind}.updated", "data": {"item": {"type": kind, "id": word}}}
        assert read(json.dumps(body).encode()).hints == ()
