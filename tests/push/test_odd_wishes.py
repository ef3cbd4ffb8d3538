"""Wishes that no application should insert, and that harm neither others nor other wishes."""

from __future__ import annotations

import json

import pytest

from connector.errors import SchemaDamagedError
from connector.push.sending import in_bulk
from tests.push.pusher import Pusher, loaded
from tests.support.postgres.triggers import keep


@pytest.fixture
async def pusher(harness) -> Pusher:
    return await loaded(harness)


def users(pusher: Pusher) -> list[dict]:
    found = [one for one in pusher.control.truth("contacts") if one["role"] == "user"]
    return [one for one in found if one["external_id"] and one["email"]]


MALFORMED = [
    ("contacts", {"id": "6605b539fe4e2e91dc100000", "name": "A"}, "id is no field"),
    ("contacts", {"companies": [{"company_id": None}]}, "companies must be"),
    ("contacts", {"companies": [{"company_id": ""}]}, "companies must be"),
    ("contacts", {"companies": [{"company_id": [1]}]}, "companies must be"),
    ("contacts", {"companies": ["c1"]}, "companies must be"),
    ("contacts", {"companies": [{"company_id": "c1", "nmae": "C"}]}, "companies must be"),
    ("contacts", {"role": None}, "role must be user or lead, not null"),
    ("contacts", {"signed_up_at": 1795800000123}, "signed_up_at must be in Unix seconds"),
    ("companies", {"company_id": "another"}, "different companies"),
    ("companies", {"remote_created_at": 1795800000123}, "Unix seconds"),
    ("events", {"event_name": "e", "created_at": 1795800000123}, "Unix seconds"),
    ("events", {"event_name": "e", "created_at": 1795800000, "email": "a@b.c"}, "email is no"),
]


@pytest.mark.parametrize(("kind", "body", "said"), MALFORMED)
async def test_what_means_something_else_than_was_wished_is_malformed(pusher, kind, body, said):
    op = "create" if kind == "events" else "upsert"
    wish = pusher.wish(kind, op, body, external_id="odd-1")
    await pusher.push()
    row = pusher.row(wish)
    assert (row["state"], row["error_code"]) == ("failed", "malformed"), row
    assert said in row["error"]
    assert not pusher.control.writes()


async def test_a_body_that_no_driver_reads_holds_up_nobody(pusher):
    deep = '{"custom_attributes": {"plan_tier": ' + "[" * 3_000 + "]" * 3_000 + "}}"
    [row] = pusher.harness.query(
        "INSERT INTO outbox (kind, op, external_id, body)"
        " VALUES ('contacts', 'upsert', 'deep', %s) RETURNING id",
        deep,
    )
    good = pusher.wish("contacts", "upsert", {"name": "Good"}, external_id="good")
    await pusher.push()
    found = pusher.harness.query("SELECT id, state, error FROM outbox ORDER BY id")
    assert [(one["id"], one["state"]) for one in found] == [(row["id"], "failed"), (good, "done")]
    assert "levels" in found[0]["error"]


async def test_an_id_in_a_body_leads_no_bulk_request_astray(pusher, monkeypatch):
    monkeypatch.setattr(in_bulk, "WORTH_IT", 10)
    *some, victim = users(pusher)
    wishes = [
        pusher.wish("contacts", "update", {"name": "Astray", "id": victim["id"]}, object_id=key)
        for key in (one["id"] for one in some[:20])
    ]
    await pusher.push()
    assert pusher.contact(victim["id"])["name"] == victim["name"]
    assert {pusher.row(one)["state"] for one in wishes} == {"failed"}


async def test_a_company_is_named_by_its_body_or_by_intercoms_id(pusher):
    known = next(c for c in pusher.control.truth("companies") if c["company_id"])
    by_body = pusher.wish("companies", "upsert", {"company_id": "c-body", "name": "By body"})
    by_id = pusher.wish("companies", "upsert", {"name": "By id"}, object_id=known["id"])
    await pusher.push()
    rows = [pusher.row(one) for one in (by_body, by_id)]
    assert [row["state"] for row in rows] == ["done", "done"], [row["error"] for row in rows]
    assert pusher.control.truth_one("companies", known["id"])["name"] == "By id"
    named = [c["name"] for c in pusher.control.truth("companies") if c["company_id"] == "c-body"]
    assert named == ["By body"]


async def test_what_others_put_in_as_sent_comes_to_an_end(pusher):
    for column in ("NULL", "'infinity'"):
        for state in ("sent", "unknown"):
            pusher.harness.query(
                "INSERT INTO outbox (kind, op, role, email, body, state, sent_at) VALUES"
                f" ('contacts', 'create', 'lead', 'never@example.com', '{{}}', '{state}', {column})"
            )
    await pusher.push()
    pusher.age(600)
    await pusher.push()
    states = pusher.states()
    assert not {"sent", "unknown"} & set(states), states


async def test_a_trigger_that_keeps_wishes_waiting_is_no_success(pusher):
    pusher.wish("contacts", "upsert", {"name": "A"}, external_id="kept")
    pusher.harness.query(keep("outbox"))
    with pytest.raises(SchemaDamagedError, match="trigger keep"):
        await pusher.push()
    assert not pusher.control.writes()


async def test_a_body_that_is_too_large_fails_at_once_and_alone(pusher):
    pusher.control.fail({"method": "POST", "body": "too large"}, status=413, times=None)
    pusher.control.fail({"method": "PUT", "body": "too large"}, status=413, times=None)
    wishes = [
        pusher.wish(
            "contacts",
            "upsert",
            {"name": f"N{n}" + (" too large" if n == 7 else "")},
            external_id=f"many-{n}",
        )
        for n in range(110)
    ]
    await pusher.push()
    row = pusher.row(wishes[7])
    assert (row["state"], row["not_before"]) == ("failed", None), row
    assert pusher.states() == {"done": 109, "failed": 1}
    bulk = [one for one in pusher.control.writes() if one["path"].endswith("/bulk")]
    assert sum(one["items"] for one in bulk) >= 100, json.dumps(bulk)[:300]
