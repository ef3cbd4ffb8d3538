"""One wish, one object: what is sent singly, and what becomes of it."""

from __future__ import annotations

import pytest
from psycopg.types.json import Json

from connector.errors import RowRefusedError
from tests.push.pusher import Pusher, loaded

pytestmark = pytest.mark.in_turn(2)


@pytest.fixture
async def pusher(harness) -> Pusher:
    return await loaded(harness)


def user(pusher: Pusher, number: int = 0) -> dict:
    found = [one for one in pusher.control.truth("contacts") if one["role"] == "user"]
    return [one for one in found if one["external_id"] and one["email"]][number]


async def test_a_wish_for_a_known_user_is_done_by_one_request(pusher):
    one = user(pusher)
    wish = pusher.wish(
        "contacts", "upsert", {"name": "Ada Lovelace"}, external_id=one["external_id"]
    )
    tally = await pusher.push()
    row = pusher.row(wish)
    assert (row["state"], row["object_id"], row["error"]) == ("done", one["id"], None)
    assert pusher.contact(one["id"])["name"] == "Ada Lovelace"
    assert (tally.writes, tally.reads) == (1, 0)


async def test_a_user_that_nobody_knows_is_created_once(pusher):
    wish = pusher.wish("contacts", "upsert", {"role": "user", "name": "New"}, external_id="new-1")
    await pusher.push()
    [made] = pusher.by(external_id="new-1")
    assert pusher.row(wish)["object_id"] == made["id"]
    again = pusher.wish("contacts", "upsert", {"name": "Newer"}, external_id="new-1")
    await pusher.push()
    assert pusher.row(again)["object_id"] == made["id"]  # known from the outbox
    assert pusher.done("created") == 1


async def test_a_user_that_somebody_else_created_meanwhile_is_found_by_the_409(pusher):
    theirs = pusher.control.create_contact("user", external_id="x-9", email="x9@example.com")
    wish = pusher.wish("contacts", "upsert", {"name": "Mine"}, external_id="x-9")
    await pusher.push()
    assert pusher.row(wish)["state"] == "done"
    assert pusher.row(wish)["object_id"] == theirs
    assert pusher.contact(theirs)["name"] == "Mine"
    assert pusher.done("created") == 0


async def test_create_fails_where_there_is_one(pusher):
    one = user(pusher)
    pusher.control.create_contact("user", external_id="x-9")
    pusher.harness.pass_time(60)
    known = pusher.wish("contacts", "create", {"name": "A"}, external_id=one["external_id"])
    unknown = pusher.wish("contacts", "create", {"name": "B"}, external_id="x-9")
    await pusher.push()
    assert {pusher.row(w)["error_code"] for w in (known, unknown)} == {"exists"}
    assert one["id"] in pusher.row(known)["error"]


async def test_update_archive_and_delete_need_one_that_exists(pusher):
    wishes = [
        pusher.wish("contacts", op, {"name": "A"}, external_id=f"nobody-{op}")
        for op in ("update", "archive", "delete")
    ]
    await pusher.push(deletes=True)
    assert {pusher.row(w)["error_code"] for w in wishes} == {"not_found"}


async def test_email_and_external_id_of_two_people_are_a_conflict_that_names_the_other(pusher):
    one, other = user(pusher), user(pusher, 1)
    wish = pusher.wish(
        "contacts", "upsert", {"name": "?"}, external_id=one["external_id"], email=other["email"]
    )
    await pusher.push()
    row = pusher.row(wish)
    assert (row["state"], row["error_code"]) == ("failed", "conflict")
    assert other["id"] in row["error"]
    assert not pusher.control.writes()


async def test_a_new_external_id_with_somebodys_email_is_a_conflict(pusher):
    one = user(pusher)
    wish = pusher.wish(
        "contacts", "upsert", {"name": "?"}, external_id="new-2", email=one["email"].upper()
    )
    await pusher.push()
    assert pusher.row(wish)["error_code"] == "conflict"
    assert one["id"] in pusher.row(wish)["error"]


async def test_a_lead_whose_email_becomes_a_users_is_converted(pusher):
    key = pusher.control.create_contact("lead", email="only@example.com")
    pusher.harness.pass_time(600)
    await pusher.harness.sync()
    one = pusher.contact(key)
    body = {"role": "user", "name": "U"}
    wish = pusher.wish("contacts", "upsert", body, external_id="conv-1", email=one["email"])
    await pusher.push()
    assert pusher.row(wish)["state"] == "done", pusher.row(wish)
    now = pusher.contact(one["id"])
    assert (now["role"], now["external_id"], now["name"]) == ("user", "conv-1", "U")


async def test_of_several_leads_none_is_guessed(pusher):
    harness = pusher.harness
    twins = [
        pusher.control.create_contact("lead", email="twin@example.com", name=f"Twin {n}")
        for n in range(2)
    ]
    harness.pass_time(600)
    await harness.sync()
    wish = pusher.wish("contacts", "upsert", {"name": "?"}, email="twin@example.com")
    await pusher.push()
    assert pusher.row(wish)["error_code"] == "ambiguous"
    assert all(key in pusher.row(wish)["error"] for key in twins)


async def test_an_archived_twin_fails_or_comes_back_where_that_is_asked_for(pusher):
    one = user(pusher)
    pusher.control.archive_contact(one["id"])
    first = pusher.wish("contacts", "upsert", {"name": "A"}, external_id=one["external_id"])
    pusher.harness.pass_time(600)
    await pusher.harness.sync(full=True)
    await pusher.push()
    assert pusher.row(first)["error_code"] == "archived"
    second = pusher.wish("contacts", "upsert", {"name": "B"}, external_id=one["external_id"])
    await pusher.push(unarchive=True)
    assert pusher.row(second)["state"] == "done", pusher.row(second)
    assert pusher.contact(one["id"])["name"] == "B"


async def test_deletes_wait_until_they_are_allowed(pusher):
    one, other = user(pusher), user(pusher, 1)
    deleted = pusher.wish("contacts", "delete", external_id=one["external_id"])
    archived = pusher.wish("contacts", "archive", None, object_id=other["id"])
    await pusher.push()
    assert pusher.row(deleted)["state"] == "waiting"
    assert pusher.row(archived)["state"] == "done"
    await pusher.push(deletes=True)
    assert pusher.row(deleted)["state"] == "done"
    living = {c["id"] for c in pusher.control.truth("contacts")}
    assert not living & {one["id"], other["id"]}


async def test_tags_go_by_name_and_companies_by_the_customers_id(pusher):
    one = user(pusher)
    body = {
        "tags": {"add": ["VIP of ours"], "remove": ["nobody has it"]},
        "companies": [{"company_id": "acme-77", "name": "Acme"}],
    }
    wish = pusher.wish("contacts", "upsert", body, external_id=one["external_id"])
    await pusher.push()
    assert pusher.row(wish)["state"] == "done", pusher.row(wish)
    [tag] = [t for t in pusher.control.truth("tags") if t["name"] == "VIP of ours"]
    [company] = [c for c in pusher.control.truth("companies") if c["company_id"] == "acme-77"]
    now = pusher.contact(one["id"])
    assert tag["id"] in {t["id"] for t in now["tags"]["data"]}
    assert company["id"] in {c["id"] for c in now["companies"]["data"]}
    off = pusher.wish(
        "contacts",
        "update",
        {
            "tags": {"remove": ["vip OF ours"]},
            "companies": [{"company_id": "acme-77", "remove": True}],
        },
        external_id=one["external_id"],
    )
    await pusher.push()
    assert pusher.row(off)["state"] == "done", pusher.row(off)
    now = pusher.contact(one["id"])
    assert tag["id"] not in {t["id"] for t in now["tags"]["data"]}
    assert company["id"] not in {c["id"] for c in now["companies"]["data"]}


async def test_what_intercom_refuses_bears_its_words(pusher):
    one = user(pusher)
    wish = pusher.wish(
        "contacts", "upsert", {"custom_attributes": {"no such": 1}}, external_id=one["external_id"]
    )
    await pusher.push()
    row = pusher.row(wish)
    assert row["state"] == "failed"
    assert "no such" in row["error"]


async def test_what_is_passed_over_in_silence_fails_after_the_index_lag(pusher):
    one = user(pusher)
    wish = pusher.wish(
        "contacts", "upsert", {"language_override": "klingon"}, external_id=one["external_id"]
    )
    await pusher.push()
    row = pusher.row(wish)
    assert (row["state"], row["error_code"]) == ("failed", "not_taken")
    assert "language_override" in row["error"]
    assert "klingon" in row["error"]
    waited = row["done_at"] - row["sent_at"]
    assert waited.total_seconds() > 290


async def test_wishes_that_wait_for_one_object_become_one(pusher):
    one = user(pusher)
    names = ["A", "B", "A"]
    wishes = [
        pusher.wish("contacts", "upsert", {"name": name}, external_id=one["external_id"])
        for name in names
    ]
    wishes.append(pusher.wish("contacts", "upsert", {"phone": "+1555123"}, object_id=one["id"]))
    tally = await pusher.push()
    assert tally.writes == 1
    assert pusher.states() == {"done": 4}
    assert [pusher.row(w)["error_code"] for w in wishes] == ["replaced"] * 3 + [None]
    now = pusher.contact(one["id"])
    assert (now["name"], now["phone"]) == ("A", "+1555123")


async def test_a_newer_wish_waits_behind_one_that_is_sent(pusher):
    one = user(pusher)
    pusher.wish("contacts", "upsert", {"name": "B"}, external_id=one["external_id"])
    pusher.control.when(
        {"method": "PUT", "path": "/contacts/"},
        lambda: pusher.wish("contacts", "upsert", {"name": "A"}, external_id=one["external_id"]),
        before=True,
    )
    await pusher.push()
    assert pusher.states() == {"done": 2}
    assert pusher.contact(one["id"])["name"] == "A"


async def test_a_newer_wish_takes_in_one_that_is_to_be_tried_again(pusher):
    one = user(pusher)
    pusher.control.fail({"method": "PUT", "path": "/contacts/"}, status=500, times=8)
    old = pusher.wish("contacts", "upsert", {"name": "A", "phone": "+155"}, object_id=one["id"])
    await pusher.push()
    assert pusher.row(old)["state"] == "waiting"  # for its time
    new = pusher.wish("contacts", "upsert", {"name": "B"}, object_id=one["id"])
    await pusher.push()
    assert (pusher.row(old)["error_code"], pusher.row(new)["state"]) == ("replaced", "done")
    now = pusher.contact(one["id"])
    assert (now["name"], now["phone"]) == ("B", "+155")


async def test_a_newer_wish_takes_the_place_of_a_delete_that_was_not_allowed(pusher):
    one = user(pusher)
    deleted = pusher.wish("contacts", "delete", object_id=one["id"])
    await pusher.push()
    assert pusher.row(deleted)["state"] == "waiting"
    kept = pusher.wish("contacts", "upsert", {"name": "Kept"}, object_id=one["id"])
    await pusher.push(deletes=True)
    assert (pusher.row(deleted)["error_code"], pusher.row(kept)["state"]) == ("replaced", "done")
    assert pusher.contact(one["id"])["name"] == "Kept"


async def test_what_postgres_refuses_of_one_wish_is_no_matter_of_the_others(pusher):
    pusher.harness.query(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN IF NEW.state = 'done' AND NEW.external_id = 'p-3' THEN RAISE 'no'; END IF;"
        " RETURN NEW; END$$"
    )
    pusher.harness.query(
        "CREATE TRIGGER no BEFORE UPDATE ON outbox FOR EACH ROW EXECUTE FUNCTION no()"
    )
    for number in range(8):
        pusher.wish("contacts", "upsert", {"name": "P"}, external_id=f"p-{number}")
    with pytest.raises(RowRefusedError):
        await pusher.push()
    assert pusher.states() == {"sending": 1, "done": 7}  # the next push decides
    pusher.harness.query("DROP TRIGGER no ON outbox")
    await pusher.push()
    assert pusher.states() == {"done": 8}
    assert pusher.done("created") == 8


async def test_malformed_wishes_end_with_what_is_wrong(pusher):
    wishes = [
        pusher.wish("contacts", "upsert", ["no object"], external_id="1"),
        pusher.wish("contacts", "upsert", {"name": "A"}),
        pusher.wish("contacts", "upsert", {"role": "admin"}, external_id="1"),
        pusher.wish("events", "upsert", {"event_name": "e", "created_at": 1}, external_id="1"),
        pusher.wish("events", "create", None, external_id="1"),
        pusher.wish("contacts", "upsert", {"custom_attributes": "x"}, external_id="2"),
        pusher.wish("contacts", "upsert", {"tags": ["VIP"]}, external_id="3"),
        pusher.wish("contacts", "upsert", {"companies": {"company_id": "1"}}, external_id="4"),
        pusher.wish("contacts", "upsert", {"nmae": "misspelled"}, external_id="5"),
        pusher.wish("contacts", "upsert", {"tags": {"bogus": ["A"]}}, external_id="6"),
        pusher.wish("contacts", "upsert", {"tags": {"add": [""]}}, external_id="7"),
        pusher.wish("contacts", "upsert", {"name": "A"}, object_id="../companies/1"),
        pusher.wish("contacts", "archive", None, object_id="1?x=1"),
        pusher.wish("events", "create", Json(None), external_id="8"),
    ]
    await pusher.push()
    rows = [pusher.row(wish) for wish in wishes]
    assert {(row["state"], row["error_code"]) for row in rows} == {("failed", "malformed")}
    assert all(row["error"] for row in rows)
    assert not pusher.control.writes()


async def test_a_body_of_null_is_an_empty_one(pusher):
    wish = pusher.wish("contacts", "upsert", Json(None), external_id="null-1")
    await pusher.push()
    assert pusher.row(wish)["state"] == "done", pusher.row(wish)
    assert len(pusher.by(external_id="null-1")) == 1


async def test_an_archived_one_that_the_mirror_still_shows_is_found_to_be_archived(pusher):
    one = user(pusher)
    pusher.control.archive_contact(one["id"])
    wish = pusher.wish("contacts", "upsert", {"name": "A"}, external_id=one["external_id"])
    await pusher.push()
    assert pusher.row(wish)["error_code"] == "archived", pusher.row(wish)
    pusher.harness.query("UPDATE outbox SET state = 'waiting', done_at = NULL")
    await pusher.push(unarchive=True)
    assert pusher.row(wish)["state"] == "done", pusher.row(wish)
    assert pusher.contact(one["id"])["name"] == "A"


async def test_a_deleted_one_that_the_mirror_still_shows_is_created_again(pusher):
    one = user(pusher)
    pusher.control.delete_contact(one["id"])
    wish = pusher.wish("contacts", "upsert", {"name": "A"}, external_id=one["external_id"])
    await pusher.push()
    assert pusher.row(wish)["state"] == "done", pusher.row(wish)
    assert pusher.row(wish)["object_id"] != one["id"]


async def test_companies_are_created_and_changed_by_the_customers_id(pusher):
    known = next(c for c in pusher.control.truth("companies") if c["company_id"])
    new = pusher.wish("companies", "upsert", {"name": "New", "size": 7}, external_id="c-new")
    old = pusher.wish(
        "companies",
        "upsert",
        {"monthly_spend": 12, "plan": "Gold"},
        external_id=known["company_id"],
    )
    await pusher.push()
    assert pusher.states() == {"done": 2}, (pusher.row(new), pusher.row(old))
    [made] = [c for c in pusher.control.truth("companies") if c["company_id"] == "c-new"]
    assert (made["name"], made["size"]) == ("New", 7)
    now = pusher.control.truth_one("companies", known["id"])
    assert (now["monthly_spend"], now["plan"]["name"]) == (12, "Gold")


async def test_tags_by_themselves(pusher):
    made = pusher.wish("tags", "create", {"name": "Brand new"})
    await pusher.push()
    assert pusher.row(made)["state"] == "done", pusher.row(made)
    key = pusher.row(made)["object_id"]
    renamed = pusher.wish("tags", "update", {"name": "Renamed"}, object_id=key)
    await pusher.push()
    assert pusher.row(renamed)["state"] == "done"
    assert [t["name"] for t in pusher.control.truth("tags") if t["id"] == key] == ["Renamed"]


async def test_results_are_hints_for_the_mirror(pusher):
    one = user(pusher)
    pusher.wish("contacts", "upsert", {"name": "Hinted"}, external_id=one["external_id"])
    await pusher.push()
    [hint] = pusher.harness.query("SELECT * FROM sync_inbox")
    assert (hint["resource"], hint["id"]) == ("contacts", one["id"])
    assert hint["announced"] is not None
    await pusher.harness.sync()
    assert pusher.harness.rows("contacts")[one["id"]]["name"] == "Hinted"
    assert pusher.harness.query("SELECT * FROM sync_inbox") == []
