"""What the outbox holds of forgotten contacts, and of what is excluded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from connector.commands import forget as command
from connector.push.sending import in_bulk
from connector.warehouse.encode.exclusions import Privacy
from connector.warehouse.privacy import pinning
from connector.warehouse.privacy.excludable import parse
from connector.warehouse.sql.database import Database
from tests.push.pusher import Pusher, loaded

MARK = "s3cr3t"


@pytest.fixture
async def pusher(harness: Any) -> Pusher:
    return await loaded(harness, contacts=30)


def user(pusher: Pusher, number: int = 0) -> dict[str, Any]:
    found = [one for one in pusher.control.truth("contacts") if one["role"] == "user"]
    return [one for one in found if one["external_id"] and one["email"]][number]


def forget(pusher: Pusher, *ids: str) -> None:
    database = Database(pusher.harness.database_url, pusher.harness.schema)
    assert command.run(database, ids, as_json=False, unknown=False) == 0
    database.close()


def exclude(pusher: Pusher, names: str) -> None:
    database = Database(pusher.harness.database_url, pusher.harness.schema)
    database.write(lambda conn: pinning.apply(conn, parse(names), pins=True))
    database.close()


def state(pusher: Pusher, wish: int) -> tuple[str, str | None]:
    row = pusher.row(wish)
    return row["state"], row["error_code"]


def emptied(pusher: Pusher, wishes: Sequence[int]) -> None:
    for wish in wishes:
        row = pusher.row(wish)
        assert [row[name] for name in ("body", "before", "external_id", "email")] == [None] * 4
        assert MARK not in json.dumps(row, default=str)


async def test_forgetting_empties_what_was_wished_and_ends_what_was_not_done(
    pusher: Pusher,
) -> None:
    one, other = user(pusher), user(pusher, 1)
    done = pusher.wish("contacts", "upsert", {"name": MARK}, external_id=one["external_id"])
    await pusher.push()
    waiting = [
        pusher.wish("contacts", "upsert", {"name": MARK}, object_id=one["id"]),
        pusher.wish("contacts", "upsert", {"name": MARK}, external_id=one["external_id"]),
        pusher.wish("contacts", "upsert", {"name": MARK}, email=one["email"].upper()),
        pusher.wish("contacts", "upsert", {"name": MARK, "email": one["email"]}),
        pusher.wish("events", "create", {"event_name": MARK}, external_id=one["external_id"]),
    ]
    told = f"name is {MARK}"
    failed = pusher.wish(
        "contacts", "upsert", {"name": MARK}, object_id=one["id"], state="failed", error=told
    )
    theirs = pusher.wish("contacts", "upsert", {"name": "B"}, external_id=other["external_id"])
    company = pusher.wish("companies", "upsert", {"name": "C"}, external_id=one["external_id"])
    forget(pusher, one["id"])
    emptied(pusher, [done, failed, *waiting])
    assert state(pusher, done) == ("done", None)
    assert state(pusher, failed) == ("failed", None)
    assert {state(pusher, wish) for wish in waiting} == {("failed", "forgotten")}
    assert {pusher.row(wish)["object_id"] for wish in waiting} == {one["id"]}
    assert [state(pusher, w)[0] for w in (theirs, company)] == ["waiting", "waiting"]
    pushed = pusher.harness.query("SELECT * FROM push_digests WHERE object_id = %s", one["id"])
    assert pushed == []


async def test_later_wishes_fail_before_anything_is_sent(pusher: Pusher) -> None:
    one, other = user(pusher), user(pusher, 1)
    forget(pusher, one["id"])
    by_id = pusher.wish("contacts", "upsert", {"name": MARK}, object_id=one["id"])
    event = pusher.wish("events", "create", {"event_name": MARK}, object_id=one["id"])
    tally = await pusher.push()
    assert tally.writes == 0
    by_key = pusher.wish(
        "contacts", "upsert", {"name": MARK, "role": "user"}, external_id=one["external_id"]
    )
    fine = pusher.wish("contacts", "upsert", {"name": "B"}, external_id=other["external_id"])
    await pusher.push()
    wishes = (by_id, event, by_key)
    assert {state(pusher, wish) for wish in wishes} == {("failed", "forgotten")}
    emptied(pusher, wishes)
    assert pusher.contact(one["id"])["name"] == one["name"]
    assert state(pusher, fine) == ("done", None)


async def test_a_forgotten_contact_can_be_deleted_at_intercom(pusher: Pusher) -> None:
    one = user(pusher)
    wish = pusher.wish("contacts", "delete", external_id=one["external_id"])
    forget(pusher, one["id"])
    assert pusher.row(wish)["external_id"] is None
    await pusher.push(deletes=True)
    assert state(pusher, wish) == ("done", None)
    assert one["id"] not in [found["id"] for found in pusher.control.truth("contacts")]


async def test_who_is_deleted_at_intercom_and_scrubbed_is_emptied_here_too(pusher: Pusher) -> None:
    one = user(pusher)
    wish = pusher.wish("contacts", "upsert", {"name": MARK}, object_id=one["id"])
    await pusher.push()
    pusher.control.delete_contact(one["id"])
    pusher.harness.pass_time(600)
    late = pusher.wish("contacts", "upsert", {"name": MARK}, external_id=one["external_id"])
    await pusher.harness.sync(full=True, privacy=Privacy(scrubs_deleted=True))
    assert state(pusher, wish) == ("done", None)
    assert state(pusher, late) == ("failed", "forgotten")
    emptied(pusher, [wish, late])


EXCLUDED = "contacts.email, contacts.custom_attributes.secret, contacts.name, events.metadata"
BODY = {
    "email": f"{MARK}@example.com",
    "name": MARK,
    "phone": "+15550001",
    "custom_attributes": {"secret": MARK, "plan_tier": "gold"},
}


async def test_what_is_excluded_goes_when_a_wish_ends_and_not_before(pusher: Pusher) -> None:
    exclude(pusher, EXCLUDED)
    one = user(pusher)
    body = {"email": f"{MARK}@example.com", "name": MARK, "phone": "+15550001"}
    done = pusher.wish("contacts", "upsert", body, external_id=one["external_id"])
    kept = pusher.wish(
        "contacts", "upsert", body, external_id="later", not_before="2999-01-01T00:00:00Z"
    )
    wrong = pusher.wish("contacts", "upsert", body | {"role": MARK}, email=f"{MARK}@example.com")
    event = {"event_name": "e", "created_at": 1_700_000_000}
    happened = pusher.wish(
        "events", "create", event | {"metadata": {"a": MARK}}, object_id=one["id"]
    )
    await pusher.push()
    assert pusher.contact(one["id"])["email"] == f"{MARK}@example.com"
    assert (state(pusher, done), state(pusher, happened)) == (("done", None), ("done", None))
    assert pusher.row(done)["body"] == {"phone": "+15550001"}
    assert pusher.row(happened)["body"] == event
    assert pusher.row(kept)["body"] == body
    assert state(pusher, wrong) == ("failed", "malformed")
    assert pusher.row(wrong)["email"] is None
    assert pusher.row(wrong)["body"] == {"phone": "+15550001", "role": MARK}


async def test_what_is_excluded_later_goes_from_what_has_ended(pusher: Pusher) -> None:
    def wish(state: str, body: Any = BODY, **more: Any) -> int:
        email = f"{MARK}@example.com"
        before = json.dumps(BODY | {"custom_attributes.secret": MARK})
        return pusher.wish("contacts", "upsert", body, state=state, email=email, before=before)

    told = f"email is '{MARK}', not what was wished"
    ended = [wish("done"), wish("failed")]
    pusher.harness.query("UPDATE outbox SET error = %s WHERE id = %s", told, ended[1])
    odd = [wish("failed", body) for body in ([MARK], {"custom_attributes": ["secret"]}, 1)]
    waiting = wish("waiting")
    exclude(pusher, EXCLUDED)
    for one in ended:
        row = pusher.row(one)
        assert row["body"] == {"phone": "+15550001", "custom_attributes": {"plan_tier": "gold"}}
        assert row["before"] == row["body"]
        assert MARK not in json.dumps(row, default=str)
    assert [pusher.row(one)["email"] for one in odd] == [None] * 3
    row = pusher.row(waiting)
    assert (row["body"], row["email"]) == (BODY, f"{MARK}@example.com")


async def test_an_event_of_a_forgotten_contact_that_a_key_names_is_not_sent(pusher: Pusher) -> None:
    one, other = user(pusher), user(pusher, 1)
    forget(pusher, one["id"])
    body = {"event_name": MARK, "created_at": 1795800000}
    wishes = [
        pusher.wish("events", "create", body, external_id=one["external_id"]),
        pusher.wish("events", "create", body, email=one["email"].upper()),
    ]
    good = pusher.wish("events", "create", body, external_id=other["external_id"])
    await pusher.push()
    assert [state(pusher, wish) for wish in wishes] == [("failed", "forgotten")] * 2
    emptied(pusher, wishes)
    assert state(pusher, good) == ("done", None)
    assert pusher.done("tracked") == 1


async def test_a_bulk_create_that_meets_a_forgotten_contact_is_emptied(
    pusher: Pusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_bulk, "WORTH_IT", 5)
    one = user(pusher)
    forget(pusher, one["id"])
    # As it is there already, so that reading it back finds nothing wrong.
    same = pusher.wish("contacts", "upsert", {"name": one["name"]}, external_id=one["external_id"])
    others = [
        pusher.wish("contacts", "upsert", {"name": MARK}, external_id=f"n{n}") for n in (1, 2)
    ]
    for n in range(10):
        pusher.wish("contacts", "upsert", {"name": "N"}, external_id=f"many-{n}")
    await pusher.push()
    assert state(pusher, same) == ("failed", "forgotten")
    emptied(pusher, [same])
    assert {state(pusher, wish) for wish in others} == {("done", None)}
    digests = pusher.harness.query("SELECT object_id FROM push_digests")
    assert one["id"] not in {row["object_id"] for row in digests}
