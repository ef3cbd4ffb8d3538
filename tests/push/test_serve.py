"""What ``serve`` does of what pushes began, and what it leaves alone."""

from __future__ import annotations

import asyncio
import signal
from functools import partial

import pytest

from connector.push.outbox import LOCK
from connector.warehouse.sql.database import Database
from tests.push.pushed import AGO, Pushed
from tests.support.living import until

pytestmark = pytest.mark.in_turn(2)


async def test_what_was_sent_is_read_back_and_nothing_fresh_is_sent(pushed: Pushed) -> None:
    key = pushed.a_user()
    pushed.control.update_contact(key, name="Sent")
    sent, fresh = pushed.wish({"name": "Sent"}, object_id=key), pushed.wish({"role": "user"})
    other = pushed.wish({"name": "New", "role": "user"}, external_id="new-1")
    pushed.began(sent, "sent")
    async with pushed.following():
        await pushed.until(lambda: pushed.row(sent)["state"] == "done")
        await asyncio.sleep(0.5)
    assert pushed.row(sent)["done_at"] is not None
    assert [pushed.row(one)["state"] for one in (fresh, other)] == ["waiting", "waiting"]
    assert pushed.control.writes() == []
    hints = pushed.harness.query("SELECT resource, id FROM sync_inbox")
    assert hints == [{"resource": "contacts", "id": key}]


async def test_what_was_being_sent_what_is_tried_again_and_unknown_leads(pushed: Pushed) -> None:
    key = pushed.a_user()
    killed = pushed.wish({"name": "Killed"}, object_id=key)
    pushed.began(killed, "sending")
    again = pushed.wish({"role": "user", "name": "Again"}, external_id="again-1")
    pushed.began(again, "waiting", not_before=AGO)
    ahead = pushed.wish({"role": "user", "name": "Ahead"}, external_id="ahead-1")
    pushed.began(ahead, "waiting", not_before="now() + interval '1 hour'")
    lead = pushed.wish({"role": "lead", "email": "lost@example.com"}, op="create")
    pushed.began(lead, "unknown")
    early = pushed.wish({"role": "lead", "email": "early@example.com"}, op="create")
    pushed.harness.query(
        "UPDATE outbox SET state = 'unknown', attempts = 1, sent_at = now() WHERE id = %s", early
    )
    async with pushed.following():
        for one in (killed, again, lead):
            await pushed.until(partial(pushed.is_done, one))
    assert pushed.control.truth_one("contacts", key)["name"] == "Killed"
    assert pushed.row(ahead)["state"] == "waiting"
    assert pushed.row(early)["state"] == "unknown"
    emails = [one["email"] for one in pushed.control.truth("contacts")]
    assert emails.count("lost@example.com") == 1
    assert "early@example.com" not in emails


async def test_a_job_is_followed_to_its_end(pushed: Pushed) -> None:
    pushed.control.writing(job_delay=1.0)
    wishes = [
        pushed.wish({"role": "user", "name": "Bulk"}, external_id=f"bulk-{n}") for n in range(120)
    ]
    assert pushed.run("push", "--no-wait").returncode == 0
    assert pushed.row(wishes[0])["state"] == "sent"
    async with pushed.following():
        for _ in range(40):
            pushed.control.advance(20)
            if all(pushed.row(one)["state"] == "done" for one in (wishes[0], wishes[-1])):
                break
            await asyncio.sleep(0.2)
    assert pushed.harness.query("SELECT state, count(*) AS n FROM outbox GROUP BY 1") == [
        {"state": "done", "n": 120}
    ]


async def test_idle_it_asks_nothing_writes_nothing_and_holds_no_lock(pushed: Pushed) -> None:
    pushed.wish({"name": "Fresh"}, external_id="fresh")
    pushed.control.reset_stats()
    before = pushed.harness.text(), pushed.harness.versions()
    other = Database(pushed.harness.database_url, pushed.harness.schema)
    async with pushed.following() as pushes:
        await asyncio.sleep(0.6)
        other.lock(of=LOCK)
        assert pushes.trouble is None
    other.close()
    assert pushed.control.stats()["requests"] == 0
    assert (pushed.harness.text(), pushed.harness.versions()) == before


async def test_it_gives_way_to_a_push_and_holds_the_lock_for_moments_only(pushed: Pushed) -> None:
    key = pushed.a_user()
    one = pushed.wish({"name": "Never so"}, object_id=key)
    pushed.harness.query(
        "UPDATE outbox SET state = 'sent', attempts = 1, sent_at = now() WHERE id = %s", one
    )
    other = Database(pushed.harness.database_url, pushed.harness.schema)
    other.lock(of=LOCK)
    pushed.control.reset_stats()
    async with pushed.following() as pushes:
        await asyncio.sleep(0.5)
        assert pushed.control.stats()["requests"] == 0  # a push is at it
        assert pushes.trouble is None
        other.unlock()
        await pushed.until(lambda: pushed.row(one)["not_before"])
        wish = pushed.wish({"name": "Pushed"}, object_id=pushed.a_user())
        ended = await asyncio.to_thread(pushed.run, "push", "--no-wait")
        assert ended.returncode == 0, ended.stderr
        assert pushed.row(wish)["state"] in ("waiting", "done")
    other.close()


async def test_a_token_that_may_not_write_is_said_and_what_was_sent_is_read(pushed: Pushed) -> None:
    pushed.control.withhold()
    key = pushed.a_user()
    pushed.control.update_contact(key, name="Sent")
    sent = pushed.wish({"name": "Sent"}, object_id=key)
    pushed.began(sent, "sent")
    again = pushed.wish({"role": "user", "name": "Again"}, external_id="again-1")
    pushed.began(again, "waiting")
    async with pushed.following() as pushes:
        await pushed.until(lambda: pushes.trouble)
        assert "the token may not do that, see the log" in str(pushes.trouble)
        await pushed.until(lambda: pushed.row(sent)["state"] == "done")
    assert (pushed.row(again)["state"], pushed.row(again)["attempts"]) == ("waiting", 1)


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"INTERCOM_WRITE_TOKEN": "another"}, "Intercom refuses the token"),
        ({"INTERCOM_WRITE_TOKEN": "no token\n\x01"}, "the settings are refused"),
    ],
)
async def test_whatever_is_wrong_is_said_and_nothing_ends(
    pushed: Pushed, environ: dict[str, str], told: str
) -> None:
    pushed.began(pushed.wish({"name": "A"}, object_id=pushed.a_user()), "sent")
    async with pushed.following(**environ) as pushes:
        await pushed.until(lambda: pushes.trouble)
        assert told in str(pushes.trouble)
        assert "no token" not in str(pushes.trouble)


async def test_a_database_that_is_away_is_said_and_comes_back(pushed: Pushed) -> None:
    key = pushed.a_user()
    pushed.control.update_contact(key, name="Sent")
    async with pushed.following() as pushes:
        pushed.harness.query("ALTER TABLE outbox RENAME TO away")
        await pushed.until(lambda: pushes.trouble)
        assert "cannot be followed" in str(pushes.trouble)
        pushed.harness.query("ALTER TABLE away RENAME TO outbox")
        await pushed.until(lambda: pushes.trouble is None)
        sent = pushed.wish({"name": "Sent"}, object_id=key)
        pushed.began(sent, "sent")
        await pushed.until(lambda: pushed.row(sent)["state"] == "done")


def test_serve_follows_by_the_token_that_writes_and_tells_of_trouble(pushed: Pushed) -> None:
    pushed.environ["INTERCOM_WRITE_TOKEN"] = "wrong"
    key = pushed.a_user()
    wish = pushed.wish({"name": "Sent"}, object_id=key)
    pushed.began(wish, "sent")
    with pushed.process("serve") as process:
        until(lambda: pushed.health().get("trouble"))
        assert "what was pushed cannot be followed" in pushed.health()["trouble"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    pushed.environ["INTERCOM_WRITE_TOKEN"] = "sim-token"
    pushed.control.update_contact(key, name="Sent")
    with pushed.process("serve") as process:
        until(lambda: pushed.row(wish)["state"] == "done")
        until(lambda: pushed.harness.rows("contacts")[key]["name"] == "Sent")
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
