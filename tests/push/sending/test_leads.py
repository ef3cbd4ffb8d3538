"""Leads, of which Intercom takes a second one: nothing is sent again blindly."""

from __future__ import annotations

import pytest

from connector.errors import TokenRefusedError
from tests.push.pusher import Pusher, loaded


@pytest.fixture
async def pusher(harness) -> Pusher:
    return await loaded(harness, contacts=30, index_lag=90)


LEAD = {"role": "lead", "email": "new@example.com", "name": "A lead"}


async def test_a_lead_is_created_once(pusher):
    wish = pusher.wish("contacts", "create", LEAD)
    await pusher.push()
    assert pusher.row(wish)["state"] == "done"
    assert len(pusher.by(email="new@example.com")) == 1


@pytest.mark.parametrize("kind", ["reset", "empty", "cut", "garbage"])
async def test_a_lost_reply_makes_it_unknown_and_then_it_is_found(pusher, kind):
    pusher.control.fail({"method": "POST", "path": "/contacts$"}, kind=kind)
    wish = pusher.wish("contacts", "create", LEAD)
    await pusher.push()
    assert (pusher.row(wish)["state"], pusher.row(wish)["error_code"]) == ("unknown", "lost_reply")
    await pusher.push()  # too early to know
    assert pusher.row(wish)["state"] == "unknown"
    pusher.age(301)
    await pusher.push()
    [made] = pusher.by(email="new@example.com")
    assert (pusher.row(wish)["state"], pusher.row(wish)["object_id"]) == ("done", made["id"])


async def test_what_did_not_happen_is_sent_again_once_that_is_known(pusher):
    pusher.control.fail({"method": "POST", "path": "/contacts$"}, status=503)
    wish = pusher.wish("contacts", "create", LEAD)
    await pusher.push()
    assert pusher.row(wish)["state"] == "unknown"
    pusher.age(301)
    await pusher.push()
    assert pusher.row(wish)["state"] == "done"
    assert len(pusher.by(email="new@example.com")) == 1


async def test_where_no_connection_was_made_nothing_can_have_happened(pusher):
    pusher.control.fail({"method": "POST", "path": "/contacts$"}, kind="refuse")
    wish = pusher.wish("contacts", "create", LEAD)
    await pusher.push()
    assert pusher.row(wish)["state"] == "waiting"
    pusher.age(61)
    await pusher.push()
    assert pusher.row(wish)["state"] == "done"


async def test_a_wish_for_a_lead_that_is_a_user_changes_the_user(pusher):
    user = next(c for c in pusher.control.truth("contacts") if c["role"] == "user" and c["email"])
    body = {"role": "lead", "name": "Known"}
    wish = pusher.wish("contacts", "upsert", body, email=user["email"])
    await pusher.push()
    assert (pusher.row(wish)["state"], pusher.row(wish)["object_id"]) == ("done", user["id"])
    assert (pusher.contact(user["id"])["role"], pusher.contact(user["id"])["name"]) == (
        "user",
        "Known",
    )


async def test_a_429_was_not_processed(pusher):
    pusher.control.fail({"method": "POST", "path": "/contacts$"}, status=429)
    wish = pusher.wish("contacts", "create", LEAD)
    await pusher.push()
    assert pusher.row(wish)["state"] == "done"
    assert len(pusher.by(email="new@example.com")) == 1


async def test_two_leads_of_one_email_are_two_wishes(pusher):
    pusher.control.fail({"method": "POST", "path": "/contacts$"}, kind="reset", times=2)
    wishes = [pusher.wish("contacts", "create", LEAD) for _ in range(2)]
    for _ in range(4):
        await pusher.push()
        pusher.age(301)
    rows = [pusher.row(wish) for wish in wishes]
    assert [row["state"] for row in rows] == ["done", "done"], rows
    assert len({row["object_id"] for row in rows}) == 2
    assert len(pusher.by(email="new@example.com")) == 2


async def test_a_push_that_is_killed_leaves_a_lead_unknown_and_a_user_waiting(pusher):
    lead = pusher.wish("contacts", "create", LEAD)
    user = pusher.wish("contacts", "upsert", {"name": "U"}, external_id="u-1")
    pusher.harness.query("UPDATE outbox SET state = 'sending', attempts = 1, sent_at = now()")
    await pusher.push()
    assert pusher.row(user)["state"] == "done"
    assert pusher.row(lead)["state"] == "unknown"


async def test_a_refused_token_gives_back_what_was_not_sent(pusher):
    for number in range(5):
        pusher.wish("contacts", "upsert", {"name": "U"}, external_id=f"u-{number}")
    pusher.control.revoke_token()
    with pytest.raises(TokenRefusedError):
        await pusher.push()
    assert pusher.states() == {"waiting": 5}


async def test_what_has_left_when_a_push_must_end_is_waited_for(pusher):
    wishes = [
        pusher.wish("contacts", "create", {"role": "lead", "email": f"l{n}@example.com"})
        for n in range(40)
    ]
    pusher.control.when({"method": "POST", "path": "^/contacts$"}, "revoke_token", after=12)
    with pytest.raises(TokenRefusedError):
        await pusher.push()
    assert not pusher.harness.query("SELECT 1 AS one FROM outbox WHERE state = 'sending'")
    pusher.control.revoke_token(False)
    for _ in range(3):
        await pusher.push()
        pusher.age(301)
    assert pusher.states() == {"done": 40}
    made = [one["email"] for one in pusher.control.truth("contacts") if one["role"] == "lead"]
    assert all(made.count(f"l{n}@example.com") == 1 for n in range(40))
    assert len(wishes) == 40
