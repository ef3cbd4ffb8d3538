"""A hundred wishes a request: jobs that are followed, items that fail, a bulk that is not there."""

from __future__ import annotations

import pytest

from connector.errors import RowRefusedError
from connector.push.sending import in_bulk
from connector.push.sending.in_bulk import WORTH_IT
from tests.push.pusher import Pusher, loaded

pytestmark = pytest.mark.in_turn(2)

USERS = 130


@pytest.fixture
async def pusher(harness) -> Pusher:
    return await loaded(harness, contacts=220)


def users(pusher: Pusher) -> list[dict]:
    found = [one for one in pusher.control.truth("contacts") if one["role"] == "user"]
    assert len(found) >= USERS
    return found[:USERS]


def rename(pusher: Pusher, **more) -> dict[int, dict]:
    """A wish for each of many users, by its number; with the user."""
    return {
        pusher.wish("contacts", "update", {"name": f"Pushed {n}"} | more, object_id=one["id"]): one
        for n, one in enumerate(users(pusher))
    }


def requests(pusher: Pusher, path: str) -> list[dict]:
    return [one for one in pusher.control.writes() if one["path"] == path]


def names_are_right(pusher: Pusher, wishes: dict[int, dict]) -> None:
    now = {one["id"]: one["name"] for one in pusher.control.truth("contacts")}
    rows = pusher.harness.query("SELECT * FROM outbox WHERE state = 'done'")
    assert all(now[row["object_id"]] == row["body"]["name"] for row in rows)
    assert len(rows) == len(wishes)


async def test_many_changes_are_few_requests(pusher):
    wishes = rename(pusher)
    tally = await pusher.push()
    assert pusher.states() == {"done": USERS}
    assert [one["items"] for one in requests(pusher, "/contacts/bulk")] == [100, 30]
    assert tally.writes == 2
    names_are_right(pusher, wishes)


async def test_what_is_found_and_claimed_in_parts_is_sent_in_whole_requests(pusher, monkeypatch):
    monkeypatch.setattr(in_bulk, "FOUND", WORTH_IT + 10)
    monkeypatch.setattr(in_bulk, "CLAIMED", 30)
    wishes = rename(pusher)
    await pusher.push()
    assert [one["items"] for one in requests(pusher, "/contacts/bulk")] == [100, 30]
    assert {row["attempts"] for row in pusher.harness.query("SELECT attempts FROM outbox")} == {1}
    names_are_right(pusher, wishes)


async def test_less_than_a_hundred_go_singly(pusher):
    for one in users(pusher)[: WORTH_IT - 1]:
        pusher.wish("contacts", "update", {"name": "Few"}, object_id=one["id"])
    await pusher.push()
    assert not requests(pusher, "/contacts/bulk")
    assert pusher.states() == {"done": WORTH_IT - 1}


async def test_what_bulk_passes_over_goes_singly(pusher):
    rename(pusher, last_seen_at=1_770_000_000)
    await pusher.push()
    assert not requests(pusher, "/contacts/bulk")
    assert pusher.states() == {"done": USERS}


async def test_items_that_fail_are_found_exactly_with_intercoms_words(pusher):
    wishes = rename(pusher)
    refused = [one["id"] for one in list(wishes.values())[::20]]
    pusher.control.refuse_items(ids=refused, message="No, not this one")
    tally = await pusher.push()
    failed = pusher.harness.query("SELECT * FROM outbox WHERE state = 'failed'")
    assert {row["object_id"] for row in failed} == set(refused)
    assert {row["error"] for row in failed} == {"No, not this one"}
    assert pusher.states() == {"done": USERS - len(refused), "failed": len(refused)}
    assert tally.writes == 2 + len(refused)


async def test_users_are_created_by_bulk_and_what_exists_is_changed(pusher):
    theirs = pusher.control.create_contact("user", external_id="many-7", name="Theirs")
    for number in range(120):
        pusher.wish("contacts", "upsert", {"name": f"N{number}"}, external_id=f"many-{number}")
    tally = await pusher.push()
    assert pusher.states() == {"done": 120}, pusher.harness.query(
        "SELECT * FROM outbox WHERE state <> 'done' LIMIT 3"
    )
    assert pusher.contact(theirs)["name"] == "N7"
    made = {one["external_id"]: one for one in pusher.control.truth("contacts")}
    assert all(made[f"many-{n}"]["name"] == f"N{n}" for n in range(120))
    rows = pusher.harness.query("SELECT * FROM outbox")
    assert all(made[row["external_id"]]["id"] == row["object_id"] for row in rows)
    assert pusher.done("created") == 119
    assert tally.reads < 60


async def test_a_smaller_size_is_learned_from_the_refusal(pusher):
    pusher.control.writing(bulk_size=30)
    wishes = rename(pusher)
    await pusher.push()
    sizes = [one["items"] for one in requests(pusher, "/contacts/bulk")]
    assert max(sizes) == 30
    assert sum(sizes) == USERS
    names_are_right(pusher, wishes)


async def test_where_preview_is_refused_all_goes_singly(pusher):
    pusher.control.writing(preview=False)
    wishes = rename(pusher)
    tally = await pusher.push()
    assert pusher.states() == {"done": USERS}
    names_are_right(pusher, wishes)
    assert tally.writes == USERS + 1


async def test_a_bulk_post_that_means_update_again_is_noticed(pusher):
    pusher.control.writing(bulk_post="update")
    for number in range(120):
        pusher.wish("contacts", "upsert", {"name": f"N{number}"}, external_id=f"many-{number}")
    wishes = rename(pusher)
    await pusher.push()
    assert pusher.states() == {"done": 120 + USERS}
    assert pusher.done("created") == 120
    now = {one["external_id"]: one["name"] for one in pusher.control.truth("contacts")}
    assert all(now[f"many-{n}"] == f"N{n}" for n in range(120))
    assert len(wishes) == USERS


async def test_items_that_cost_budget_are_noticed_and_sent_singly(harness, caplog):
    pusher = await loaded(harness, contacts=220, rate_limit=1_000)
    pusher.control.writing(item_cost=1)
    wishes = rename(pusher)
    await pusher.push()
    names_are_right(pusher, wishes)
    assert len(requests(pusher, "/contacts/bulk")) <= 3
    assert "costs" in caplog.text


async def test_jobs_that_take_their_time_end_out_of_order_and_close_early(pusher):
    pusher.control.writing(job_delay=600, close_after=0, task_order="shuffled")
    wishes = rename(pusher)
    await pusher.push()
    names_are_right(pusher, wishes)
    jobs = pusher.harness.query("SELECT * FROM push_jobs")
    assert {job["state"] for job in jobs} == {"completed"}
    assert sum(job["items"] for job in jobs) == USERS


async def test_what_is_not_waited_for_is_followed_by_the_next_push(pusher):
    pusher.control.writing(job_delay=60)
    wishes = rename(pusher)
    await pusher.push(wait=False)
    assert pusher.states() == {"sent": USERS}
    tally = await pusher.push()
    assert tally.writes == 0
    names_are_right(pusher, wishes)


async def test_jobs_that_vanish_are_read_back_and_sent_again(pusher):
    pusher.control.writing(job_delay=60)
    wishes = rename(pusher)
    await pusher.push(wait=False)
    pusher.control.writing(vanish=True)
    pusher.control.writing(vanish=False)
    await pusher.push()
    names_are_right(pusher, wishes)


async def test_a_lost_reply_of_bulk_is_repeated_and_does_no_harm(pusher):
    pusher.control.fail({"method": "POST|PUT", "path": "/contacts/bulk$"}, kind="reset", times=3)
    wishes = rename(pusher)
    for number in range(120):
        pusher.wish("contacts", "upsert", {"name": f"N{number}"}, external_id=f"many-{number}")
    await pusher.push()
    assert pusher.states() == {"done": USERS + 120}
    assert pusher.done("created") == 120
    assert len(wishes) == USERS


async def test_tags_and_companies_go_by_bulk(pusher):
    body = {"tags": {"add": ["Bulk tag"]}, "companies": [{"company_id": "bulk-co", "name": "B"}]}
    for one in users(pusher):
        pusher.wish("contacts", "update", body, object_id=one["id"])
    await pusher.push()
    assert pusher.states() == {"done": USERS}
    [tag] = [t for t in pusher.control.truth("tags") if t["name"] == "Bulk tag"]
    tagged = [
        one
        for one in pusher.control.truth("contacts")
        if tag["id"] in {t["id"] for t in one["tags"]["data"]}
    ]
    assert len(tagged) == USERS
    assert len(requests(pusher, "/contacts/bulk")) == 2


async def test_many_companies_go_by_bulk(pusher):
    for number in range(150):
        pusher.wish("companies", "upsert", {"name": f"C{number}"}, external_id=f"c-{number}")
    await pusher.push()
    assert pusher.states() == {"done": 150}
    assert [one["items"] for one in requests(pusher, "/companies/bulk")] == [100, 50]


async def test_many_are_deleted_by_bulk(pusher):
    for one in users(pusher):
        pusher.wish("contacts", "delete", None, object_id=one["id"])
    await pusher.push(deletes=True)
    assert pusher.states() == {"done": USERS}
    living = {one["id"] for one in pusher.control.truth("contacts")}
    rows = pusher.harness.query("SELECT object_id FROM outbox")
    assert not living & {row["object_id"] for row in rows}


async def test_what_is_trusted_is_not_read(pusher):
    rename(pusher)
    tally = await pusher.push(trust=True)
    assert pusher.states() == {"done": USERS}
    assert tally.reads < 10


@pytest.mark.sampled(1)
@pytest.mark.parametrize("lag", [0, 90])
async def test_a_late_index_is_waited_for_with_few_requests(harness, lag):
    pusher = await loaded(harness, contacts=900, index_lag=lag)
    found = [one for one in pusher.control.truth("contacts") if one["role"] == "user"]
    assert len(found) > 510
    for n, one in enumerate(found):
        pusher.wish("contacts", "update", {"name": f"Late {n}"}, object_id=one["id"])
    tally = await pusher.push()
    assert pusher.states() == {"done": len(found)}
    assert tally.writes <= len(found) / 100 + 1
    assert tally.reads < 40


async def test_the_index_may_be_late_from_the_end_of_a_long_job_on(harness):
    pusher = await loaded(harness, contacts=900, index_lag=90)
    pusher.control.writing(job_delay=400.0)  # more than the 300 seconds that a push waits
    found = [one for one in pusher.control.truth("contacts") if one["role"] == "user"]
    for n, one in enumerate(found):
        pusher.wish("contacts", "update", {"name": f"Late {n}"}, object_id=one["id"])
    tally = await pusher.push()
    assert pusher.states() == {"done": len(found)}
    assert tally.writes <= len(found) / 100 + 1


async def test_many_that_are_never_as_wished_come_to_an_end(harness):
    pusher = await loaded(harness, contacts=900)
    found = [one for one in pusher.control.truth("contacts") if one["role"] == "user"][:510]
    for one in found:
        body = {"name": "Many", "language_override": "klingon"}
        pusher.wish("contacts", "update", body, object_id=one["id"])
    tally = await pusher.push(index_lag=60.0)
    assert pusher.states() == {"failed": 510}
    rows = pusher.harness.query("SELECT DISTINCT error_code, error FROM outbox")
    assert [row["error_code"] for row in rows] == ["not_taken"]
    assert "klingon" in rows[0]["error"]
    assert tally.writes <= 6 + 510


async def test_what_became_of_it_and_can_never_be_noted_ends_the_push(pusher):
    pusher.harness.query(
        "CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF NEW.state = 'done' THEN RAISE EXCEPTION 'never'; END IF; RETURN NULL; END $$;"
        " CREATE CONSTRAINT TRIGGER never AFTER UPDATE ON outbox DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION never()"
    )
    rename(pusher)
    with pytest.raises(RowRefusedError, match="could not be noted"):
        await pusher.push()
    assert pusher.states() == {"sent": USERS}
    pusher.harness.query("DROP TRIGGER never ON outbox")
    await pusher.push()
    assert pusher.states() == {"done": USERS}
    assert [one["items"] for one in requests(pusher, "/contacts/bulk")] == [100, 30]
