"""What a plan finds to be different, and what it puts into the outbox."""

from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from connector.push.kinds import COMPANIES, CONTACTS, KINDS, Type
from connector.push.kinds.digest import digest, digest_sql
from connector.push.planning import Asked, Plan, Sample, make
from connector.push.planning.model import Given
from connector.push.planning.preview import as_json, lines
from connector.push.planning.values import digested
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from tests.push.planning.pushing import (
    attribute,
    bodies,
    company,
    contact,
    insert,
    outbox,
    plan,
    tag,
    wish,
)
from tests.support.warehouse import Warehouse, opened

ODD = 'it\'s "100%" \\ %s odd'
EMPTIED = (
    "contacts, companies, tags, contact_tags, contact_companies, company_tags, contact_merges,"
    " outbox, push_digests"
)


@pytest.fixture(scope="module")
def shared(shared_url: str) -> Iterator[Warehouse]:
    with opened(shared_url) as own:
        for name, data_type in (
            ("plan_tier", "string"),
            ("seats", "integer"),
            ("score", "float"),
            ("since", "date"),
            ("active", "boolean"),
        ):
            attribute(own, name, data_type)
        insert(own, "admins", id="5", name="Grace")
        attribute(own, ODD, column="custom_it_s_100_s_odd")
        attribute(own, "tier", model="company")
        yield own


@pytest.fixture
def warehouse(shared: Warehouse) -> Warehouse:
    shared.execute(f"TRUNCATE {EMPTIED} CASCADE")
    return shared


def rows(columns: str, *values: str) -> str:
    """A model of literal rows."""
    return f"SELECT * FROM (VALUES {', '.join(f'({one})' for one in values)}) v ({columns})"


# -- differences --------------------------------------------------------------------------------


def test_only_differences_are_written(warehouse):
    contact(warehouse, "a", external_id="1", email="ada@x.io", name="Ada")
    contact(warehouse, "b", external_id="2", name="Bob", phone="+49 30 1")
    model = rows(
        "external_id, name, phone", "'1', 'Ada', NULL", "'2', 'Bo', '+49301'", "'3', 'C', '1'"
    )
    made = plan(warehouse, model)
    assert (made.rows, made.creates, made.updates, made.unchanged) == (3, 1, 1, 1)
    first, second = outbox(warehouse)
    assert (first["body"], first["before"]) == ({"name": "Bo"}, {"name": "Bob"})
    assert (first["op"], first["role"], first["object_id"]) == ("upsert", "user", "b")
    assert (first["external_id"], first["email"], first["state"]) == ("2", None, "waiting")
    assert second["body"] == {"name": "C", "phone": "1", "role": "user"}
    assert (second["before"], second["object_id"], second["external_id"]) == (None, None, "3")
    assert first["model"] == model


def test_every_field_of_a_contact_stands_as_the_api_wants_it(warehouse):
    plan(
        warehouse,
        "SELECT '1' AS external_id, 'a@x.io' AS email, 'N' AS name, '+1' AS phone, 7 AS owner_id,"
        " 'https://x.io/a.png' AS avatar, 'de' AS language_override,"
        " true AS unsubscribed_from_emails, timestamp '2026-01-01' AS signed_up_at,"
        " 1780000000 AS last_seen_at, 'gold' AS custom_plan_tier, 12.0 AS custom_seats,"
        " 0.1::float8 AS custom_score, date '2026-01-01' AS custom_since, false AS custom_active,"
        " 'x' AS custom_it_s_100_s_odd, 'c1' AS company_id, 'Acme' AS company_name,"
        " ARRAY['VIP', NULL, 'vip', 'New'] AS tags_add, ARRAY['old'] AS tags_remove",
    )
    [row] = outbox(warehouse)
    assert row["body"] == {
        "role": "user",
        "email": "a@x.io",
        "name": "N",
        "phone": "+1",
        "owner_id": 7,
        "avatar": "https://x.io/a.png",
        "language_override": "de",
        "unsubscribed_from_emails": True,
        "signed_up_at": 1767225600,
        "last_seen_at": 1780000000,
        "custom_attributes": {
            "plan_tier": "gold",
            "seats": 12,
            "score": 0.1,
            "since": 1767225600,
            "active": False,
            ODD: "x",
        },
        "tags": {"add": ["New", row["body"]["tags"]["add"][1]]},
        "companies": [{"company_id": "c1", "name": "Acme"}],
    }
    assert row["body"]["tags"]["add"][1].lower() == "vip"
    assert (row["external_id"], row["email"]) == ("1", "a@x.io")


SAME = [
    ("name", "'A & B <c> \"d\" e''f'", {"name": "A &amp; B &lt;c&gt; &quot;d&quot; e&#39;f"}),
    ("name", "'A &amp; B'", {"name": "A &amp; B"}),
    ("email", "'ADA@x.io '", {"email": "ada@X.io"}),
    ("phone", "'+49 (30) 1-2'", {"phone": "+493012"}),
    ("owner_id", "0", {"owner_id": None}),
    ("owner_id", "'5'", {"owner_id": "5"}),
    ("avatar", "'https://x/a.png?sig=1'", {"avatar_image_url": "https://x/a.png?sig=2"}),
    ("signed_up_at", "timestamptz '2026-01-01 00:00:00.9Z'", {"signed_up_at": "2026-01-01Z"}),
    ("unsubscribed_from_emails", "false", {"unsubscribed_from_emails": False}),
    ("custom_plan_tier", "'12'", {"custom_attributes": {"plan_tier": "12"}}),
    ("custom_seats", "12.0", {"custom_attributes": {"seats": 12}}),
    ("custom_score", "12::bigint", {"custom_attributes": {"score": 12.0}}),
    ("custom_score", "0.1::float8", {"custom_attributes": {"score": 0.1}}),
    ("custom_since", "1767225600", {"custom_attributes": {"since": 1767225600}}),
    ("custom_since", "date '2026-01-01'", {"custom_attributes": {"since": "2026-01-01T00:00:00Z"}}),
    ("custom_since", "1767225600", {"custom_attributes": {"since": "2026-01-01 01:00+01:00"}}),
    ("custom_active", "true", {"custom_attributes": {"active": True}}),
    ("custom_it_s_100_s_odd", "'%s'", {"custom_attributes": {ODD: "%s"}}),
    ("name", "NULL::text", {"name": "Ada"}),
    ("custom_plan_tier", "NULL::text", {"custom_attributes": {"plan_tier": "x"}}),
]


@pytest.mark.parametrize(("column", "given", "mirror"), SAME)
def test_what_is_equal_is_not_sent(warehouse, column, given, mirror):
    contact(warehouse, "a", external_id="1", **mirror)
    made = plan(warehouse, f"SELECT '1' AS external_id, {given} AS {column}")
    assert (made.unchanged, outbox(warehouse)) == (1, [])


OTHER = [
    ("name", "'A &amp; B'", {"name": "A & B"}, "A &amp; B"),
    ("phone", "'4930'", {"phone": "+4930"}, "4930"),
    ("owner_id", "0", {"owner_id": "5"}, None),
    ("custom_plan_tier", "'Gold'", {"custom_attributes": {"plan_tier": "gold"}}, "Gold"),
    ("custom_plan_tier", "'a & b'", {"custom_attributes": {"plan_tier": "a &amp; b"}}, "a & b"),
    ("custom_seats", "12", {"custom_attributes": {"seats": "many"}}, 12),
    ("custom_since", "1767225601", {"custom_attributes": {"since": 1767225600}}, 1767225601),
    ("custom_active", "false", {"custom_attributes": {}}, False),
    ("custom_active", "false", {"custom_attributes": {"active": None}}, False),
]


@pytest.mark.parametrize(("column", "given", "mirror", "sent"), OTHER)
def test_what_differs_is_sent(warehouse, column, given, mirror, sent):
    contact(warehouse, "a", external_id="1", **mirror)
    made = plan(warehouse, f"SELECT '1' AS external_id, {given} AS {column}")
    assert made.updates == 1
    [body] = bodies(warehouse)
    assert [*body.get("custom_attributes", body).values()] == [sent]


def test_nulls_clear_what_can_be_empty(warehouse):
    contact(
        warehouse, "a", external_id="1", email="a@x.io", name="Ada", signed_up_at="2026-01-01Z",
        custom_attributes={"plan_tier": "gold", "seats": None},
    )  # fmt: skip
    model = (
        "SELECT '1' AS external_id, NULL::text AS email, NULL::text AS name, NULL::text AS role,"
        " NULL::date AS signed_up_at, NULL::text AS custom_plan_tier, NULL::int AS custom_seats,"
        " NULL::text AS phone, NULL::bigint AS owner_id"
    )
    assert plan(warehouse, model).unchanged == 1
    plan(warehouse, model, nulls="clear")
    [row] = outbox(warehouse)
    assert row["body"] == {"name": None, "custom_attributes": {"plan_tier": None}}
    assert row["before"] == {"name": "Ada", "custom_attributes": {"plan_tier": "gold"}}


# -- which object -------------------------------------------------------------------------------


def test_keys_name_users_before_leads_and_never_leads_by_external_id(warehouse):
    contact(warehouse, "u", external_id="1", email="both@x.io")
    contact(warehouse, "l", role="lead", external_id="uuid", email="Both@x.io")
    contact(warehouse, "m", role="lead", email="lead@x.io")
    contact(warehouse, "gone", external_id="9", _deleted_at="2026-01-01Z")
    contact(warehouse, "p", external_id="10", _placeholder=True)
    model = rows(
        "external_id, email, name",
        "NULL, 'both@x.io', 'U'", "'uuid', NULL, 'new'", "NULL, 'LEAD@x.io', 'L'",
        "'9', NULL, 'again'", "'10', NULL, 'too'",
    )  # fmt: skip
    made = plan(warehouse, model)
    assert (made.creates, made.updates) == (3, 2)
    found = {row["body"]["name"]: row for row in outbox(warehouse)}
    assert {name: row["object_id"] for name, row in found.items()} == {
        "U": "u", "new": None, "L": "m", "again": None, "too": None,
    }  # fmt: skip
    assert (found["U"]["external_id"], found["U"]["email"]) == ("1", "both@x.io")
    assert found["L"]["role"] == "lead"
    assert found["L"]["body"] == {"name": "L"}


def test_an_external_id_makes_a_user_of_a_lead(warehouse):
    contact(warehouse, "l", role="lead", external_id="uuid", email="lead@x.io", name="L")
    model = "SELECT '7' AS external_id, 'lead@x.io' AS email, 'L' AS name"
    plan(warehouse, model)
    [row] = outbox(warehouse)
    assert (row["object_id"], row["role"]) == ("l", "user")
    assert row["body"] == {"external_id": "7", "role": "user"}
    assert row["before"] == {"external_id": None, "role": "lead"}
    assert plan(warehouse, model).unchanged == 1


def test_a_user_never_becomes_a_lead(warehouse):
    contact(warehouse, "u", email="u@x.io")
    model = "SELECT 'u@x.io' AS email, 'lead' AS role"
    assert plan(warehouse, model).unchanged == 1


def test_several_candidates_are_left_to_the_sender(warehouse):
    for name in "ab":
        contact(warehouse, name, role="lead", email="two@x.io", name="x")
    contact(warehouse, "u", external_id="1", email="one@x.io", name="x")
    plan(
        warehouse,
        rows("external_id, email, name", "NULL, 'two@x.io', 'x'", "'2', 'one@x.io', 'x'"),
    )
    first, second = outbox(warehouse)
    assert (first["object_id"], first["email"], first["body"]) == (None, "two@x.io", {"name": "x"})
    assert (second["object_id"], second["external_id"]) == (None, "2")
    assert second["email"] == "one@x.io"


def test_ids_are_followed_through_merges(warehouse):
    contact(warehouse, "old", _deleted_at="2026-01-01Z")
    contact(warehouse, "now", external_id="1", name="N")
    insert(warehouse, "contact_merges", source_contact_id="old", target_contact_id="now")
    made = plan(warehouse, rows("id, name", "'old', 'M'", "'nobody', 'X'"))
    assert (made.updates, dict(made.skipped)) == (1, {"unknown id": 1})
    assert [row["object_id"] for row in outbox(warehouse)] == ["now"]


def test_an_id_comes_first_and_other_keys_are_written(warehouse):
    contact(warehouse, "a", external_id="1", email="a@x.io")
    plan(warehouse, "SELECT 'a' AS id, '2' AS external_id, 'b@x.io' AS email")
    [row] = outbox(warehouse)
    assert row["body"] == {"external_id": "2", "email": "b@x.io"}
    assert row["before"] == {"external_id": "1", "email": "a@x.io"}


def test_modes(warehouse):
    contact(warehouse, "a", external_id="1", name="x")
    model = rows("external_id, name", "'1', 'y'", "'2', 'z'")
    made = plan(warehouse, model, mode="update")
    assert (made.updates, made.creates, dict(made.skipped)) == (1, 0, {"not found": 1})
    made = plan(warehouse, model, mode="create")
    assert (made.updates, made.creates, dict(made.skipped)) == (0, 1, {"exists": 1})
    assert [row["op"] for row in outbox(warehouse)] == ["update", "create"]


def test_companies(warehouse):
    company(warehouse, "c", company_id="c1", name="A &amp; B", plan_name="Pro", size=3,
            monthly_spend=12, custom_attributes={"tier": "x"})  # fmt: skip
    insert(warehouse, "tags", id="t", name="Big")
    insert(warehouse, "company_tags", company_id="c", tag_id="t")
    columns = "company_id, name, plan, size, monthly_spend, custom_tier, tags_add, tags_remove"
    made = plan(
        warehouse,
        rows(
            columns,
            "'c1', 'A & B', 'Pro', 3, 12.0, 'x', ARRAY['big'], ARRAY['no']",
            "'c2', 'C', NULL, 4, NULL, NULL, NULL, NULL",
        ),
        "companies",
    )
    assert (made.unchanged, made.creates) == (1, 1)
    plan(warehouse, "SELECT 'c1' AS company_id, 'Free' AS plan, ARRAY['Big'] AS tags_remove",
         "companies")  # fmt: skip
    first, second = outbox(warehouse)
    assert (first["external_id"], first["role"], first["body"]) == (
        "c2",
        None,
        {"name": "C", "size": 4},
    )
    assert second["body"] == {"plan": "Free", "tags": {"remove": ["Big"]}}
    assert second["before"] == {"plan": "Pro", "tags": ["Big"]}
    assert (second["object_id"], second["external_id"]) == ("c", "c1")


def test_tags_and_companies_of_contacts(warehouse):
    contact(warehouse, "a", external_id="1")
    tag(warehouse, "t1", "VIP", "a")
    tag(warehouse, "t2", "Old", "a")
    company(warehouse, "c", company_id="c1", name="A &amp; B")
    insert(warehouse, "contact_companies", contact_id="a", company_id="c")
    same = "SELECT '1' AS external_id, ARRAY['vip'] AS tags_add, ARRAY['x'] AS tags_remove,"
    assert plan(warehouse, f"{same} 'c1' AS company_id, 'A & B' AS company_name").unchanged == 1
    plan(
        warehouse,
        "SELECT '1' AS external_id, ARRAY['VIP', 'New'] AS tags_add, ARRAY['old'] AS tags_remove,"
        " 'c1' AS company_id, 'Other' AS company_name",
    )
    [row] = outbox(warehouse)
    assert row["body"] == {
        "tags": {"add": ["New"], "remove": ["old"]},
        "companies": [{"company_id": "c1", "name": "Other"}],
    }
    assert row["before"]["tags"] == ["Old", "VIP"]


# -- own sends ----------------------------------------------------------------------------------

UNFINISHED = ("waiting", "sending", "sent", "unknown")


@pytest.mark.parametrize("state", UNFINISHED)
def test_a_wish_under_way_counts_as_what_the_object_holds(warehouse, state):
    """A, then B is sent, the mirror still shows A: the next wish is A, and B must not stay."""
    contact(warehouse, "a", external_id="1", name="A")
    wish(warehouse, {"name": "B"}, external_id="1", object_id="a", state=state)
    assert plan(warehouse, "SELECT '1' AS external_id, 'B' AS name").unchanged == 1
    plan(warehouse, "SELECT '1' AS external_id, 'A' AS name")
    assert bodies(warehouse) == [{"name": "B"}, {"name": "A"}]


@pytest.mark.parametrize(
    "named", [{"object_id": "a"}, {"external_id": "1"}, {"email": "A@X.io"}], ids=str
)
def test_a_wish_by_sql_counts_by_whatever_key(warehouse, named):
    contact(warehouse, "a", external_id="1", email="a@x.io", name="A")
    wish(warehouse, {"name": "B"}, **named)
    for key in ("'1' AS external_id", "'a' AS id", "'a@x.io' AS email"):
        assert plan(warehouse, f"SELECT {key}, 'B' AS name", dry_run=True).unchanged == 1
        assert plan(warehouse, f"SELECT {key}, 'A' AS name", dry_run=True).updates == 1


DONE = [
    ({"confirmed_as_of": "2026-06-01T00:00:01Z"}, True),
    ({"confirmed_as_of": "2026-06-01T00:00:00Z"}, False),
    ({"sent_at": "2026-05-31T23:56:00Z"}, True),
    ({"sent_at": "2026-05-31T23:54:00Z"}, False),
    ({"error_code": "replaced"}, False),
]


@pytest.mark.parametrize(("told", "counts"), DONE)
def test_what_is_done_counts_until_the_mirror_can_show_it(warehouse, told, counts):
    contact(warehouse, "a", external_id="1", name="A")
    wish(warehouse, {"name": "B"}, object_id="a", state="done", **told)
    made = plan(warehouse, "SELECT '1' AS external_id, 'A' AS name", dry_run=True)
    assert made.updates == (1 if counts else 0)


def test_what_failed_counts_for_nothing(warehouse):
    contact(warehouse, "a", external_id="1", name="A")
    wish(warehouse, {"name": "B"}, object_id="a", state="failed")
    assert plan(warehouse, "SELECT '1' AS external_id, 'A' AS name").unchanged == 1
    assert plan(warehouse, "SELECT '1' AS external_id, 'B' AS name").updates == 1


def test_of_each_field_the_newest_unfinished_wish_counts(warehouse):
    contact(warehouse, "a", external_id="1", name="A", phone="1")
    later = {"confirmed_as_of": "2027-01-01Z", "state": "done"}
    wish(warehouse, {"name": "B", "custom_attributes": {"seats": 1}}, object_id="a", state="sent")
    wish(warehouse, {"name": "C", "phone": "3", "custom_attributes": {"score": 2}},
         object_id="a", **later)  # fmt: skip
    wish(warehouse, {"custom_attributes": {"plan_tier": "x", "seats": 5}}, external_id="1")
    model = (
        "SELECT '1' AS external_id, 'B' AS name, '3' AS phone, 5 AS custom_seats,"
        " 2 AS custom_score, 'x' AS custom_plan_tier"
    )
    assert plan(warehouse, model).unchanged == 1


def test_a_contact_that_the_mirror_lacks_is_known_by_the_outbox(warehouse):
    wish(warehouse, {"name": "A"}, external_id="1", object_id="made", state="done",
         confirmed_as_of="2026-07-01Z")  # fmt: skip
    assert plan(warehouse, "SELECT '1' AS external_id, 'A' AS name").unchanged == 1
    plan(warehouse, "SELECT '1' AS external_id, 'B' AS name")
    row = outbox(warehouse)[-1]
    assert (row["object_id"], row["body"]) == ("made", {"name": "B"})


def test_a_create_that_waits_is_not_wished_twice(warehouse):
    model = "SELECT '1' AS external_id, 'A' AS name, 'gold' AS custom_plan_tier"
    assert plan(warehouse, model).creates == 1
    assert plan(warehouse, model).unchanged == 1
    assert plan(warehouse, model, mode="create").skipped == {"exists": 1}


def test_beside_a_waiting_wish_only_what_differs_from_it_is_wished(warehouse):
    contact(warehouse, "a", external_id="1", name="A")
    wish(warehouse, {"name": "B", "phone": "7", "custom_attributes": {"seats": 1}}, external_id="1")
    plan(warehouse, "SELECT '1' AS external_id, 'C' AS name, '7' AS phone, 3 AS custom_seats")
    assert bodies(warehouse)[1] == {"name": "C", "custom_attributes": {"seats": 3}}


def test_tags_and_companies_under_way_count(warehouse):
    contact(warehouse, "a", external_id="1")
    tag(warehouse, "t", "Old", "a")
    body = {"tags": {"add": ["VIP"], "remove": ["Old"]}, "companies": [{"company_id": "c1"}]}
    wish(warehouse, body, object_id="a", state="sent")
    same = (
        "SELECT '1' AS external_id, ARRAY['vip'] AS tags_add, ARRAY['old'] AS tags_remove,"
        " 'c1' AS company_id"
    )
    assert plan(warehouse, same).unchanged == 1
    plan(warehouse, "SELECT '1' AS external_id, ARRAY['Old'] AS tags_add")
    assert bodies(warehouse)[1] == {"tags": {"add": ["Old"]}}


# -- drift --------------------------------------------------------------------------------------


def digests(warehouse: Warehouse) -> dict[str, Any]:
    return {
        row["object_id"]: row["digests"] for row in warehouse.query("SELECT * FROM push_digests")
    }


def test_what_is_found_equal_counts_as_pushed(warehouse):
    contact(warehouse, "a", external_id="1", name="A &amp; B", phone="+49 1",
            custom_attributes={"seats": 3})  # fmt: skip
    model = "SELECT '1' AS external_id, 'A & B' AS name, '+491' AS phone, 3.0 AS custom_seats"
    plan(warehouse, model, dry_run=True)
    assert digests(warehouse) == {}
    plan(warehouse, model)
    assert digests(warehouse) == {
        "a": {
            "name": digest(CONTACTS, "name", "A & B"),
            "phone": digest(CONTACTS, "phone", "+491"),
            "custom_attributes.seats": digest(CONTACTS, "custom_attributes.seats", 3),
        }
    }
    before = warehouse.query("SELECT xmin::text FROM push_digests")
    plan(warehouse, model)
    assert warehouse.query("SELECT xmin::text FROM push_digests") == before


def drifted(warehouse: Warehouse, **asked: Any) -> Plan:
    """Name and phone were pushed; the name changed at Intercom, the model says another phone."""
    contact(warehouse, "a", external_id="1", name="A", phone="1")
    plan(warehouse, "SELECT '1' AS external_id, 'A' AS name, '1' AS phone")
    warehouse.execute("UPDATE contacts SET name = 'Z'")
    return plan(warehouse, "SELECT '1' AS external_id, 'A' AS name, '2' AS phone", **asked)


def test_drift_is_overwritten(warehouse):
    assert drifted(warehouse).drifted == 1
    assert bodies(warehouse) == [{"name": "A", "phone": "2"}]


def test_drift_is_kept(warehouse):
    made = drifted(warehouse, on_drift="keep")
    assert (made.drifted, made.updates) == (1, 1)
    assert bodies(warehouse) == [{"phone": "2"}]
    assert Sample("drift", "1", "name", "Z", "A") in made.samples


def test_drift_is_reported_once(warehouse):
    made = drifted(warehouse, on_drift="report")
    assert (made.drifted, made.updates, dict(made.failed)) == (1, 1, {"drift": 1})
    wished, reported = outbox(warehouse)
    assert wished["body"] == {"phone": "2"}
    assert (reported["state"], reported["error_code"], reported["body"]) == (
        "failed", "drift", {"name": "A"},
    )  # fmt: skip
    assert reported["done_at"]
    assert 'name: last pushed a value no longer kept, now "Z", wished "A"' in reported["error"]
    model = "SELECT '1' AS external_id, 'A' AS name"
    again = plan(warehouse, model, on_drift="report")
    assert (again.drifted, again.unchanged, dict(again.failed)) == (1, 1, {})
    warehouse.execute("UPDATE contacts SET name = 'Y'")
    assert plan(warehouse, model, on_drift="report").failed == {"drift": 1}


def test_drift_tells_the_last_value_where_the_outbox_has_it(warehouse):
    wish(warehouse, {"name": "A"}, object_id="a", state="done", sent_at="2026-01-01Z",
         confirmed_as_of="2026-01-01Z")  # fmt: skip
    drifted(warehouse, on_drift="report")
    assert 'last pushed "A"' in outbox(warehouse, "error_code = 'drift'")[0]["error"]


def test_a_model_that_changed_is_no_drift(warehouse):
    contact(warehouse, "a", external_id="1", name="A")
    plan(warehouse, "SELECT '1' AS external_id, 'A' AS name")
    made = plan(warehouse, "SELECT '1' AS external_id, 'B' AS name", on_drift="keep")
    assert (made.drifted, made.updates) == (0, 1)


def test_an_own_wish_under_way_is_no_drift(warehouse):
    contact(warehouse, "a", external_id="1", name="A")
    plan(warehouse, "SELECT '1' AS external_id, 'A' AS name")
    wish(warehouse, {"name": "B"}, object_id="a", state="sent")
    made = plan(warehouse, "SELECT '1' AS external_id, 'C' AS name", on_drift="keep")
    assert (made.drifted, made.updates) == (0, 1)


VALUES = [
    ("name", Type.TEXT, 'A & "B" \\ ü\n'),
    ("name", Type.TEXT, None),
    ("email", Type.EMAIL, " Ada@X.io"),
    ("phone", Type.PHONE, "+49 (30) 1"),
    ("phone", Type.PHONE, "030"),
    ("owner_id", Type.ID, 7),
    ("owner_id", Type.ID, 0),
    ("owner_id", Type.ID, None),
    ("avatar", Type.TEXT, "https://x/a?b=c"),
    ("signed_up_at", Type.INSTANT, 1780000000),
    ("unsubscribed_from_emails", Type.FLAG, True),
    ("custom_attributes.x", Type.TEXT, "A &amp; B"),
    ("custom_attributes.x", Type.NUMBER, 12.0),
    ("custom_attributes.x", Type.NUMBER, Decimal("0.10")),
    ("custom_attributes.x", Type.NUMBER, 1e22),
    ("custom_attributes.x", Type.NUMBER, -0.0),
    ("custom_attributes.x", Type.FLAG, False),
    ("custom_attributes.x", Type.TEXT, None),
]


@pytest.mark.parametrize(("name", "of", "one"), VALUES)
def test_digests_are_the_same_in_python_and_sql(warehouse, name, of, one):
    path = name.removeprefix("custom_attributes.")
    given = Given(1, path, 25, of, path=path, custom=path != name, address=name == "avatar")
    text = one if one is None or isinstance(one, str) else str(one)
    shown = {True: "true", False: "false"}.get(one, text) if isinstance(one, bool) else text
    column = "%s::text"
    if isinstance(one, float | Decimal):
        column = "trim_scale(%s::text::numeric)::text"
    query = f"SELECT {digested(given, 'v.t')} AS digest FROM (SELECT {column} AS t) v"
    doubled = query.replace("%", "%%").replace("%%s", "%s")
    assert warehouse.query(doubled, shown) == [{"digest": digest(CONTACTS, name, one)}]


def test_escaped_and_unescaped_texts_have_one_digest():
    wished = digest(COMPANIES, "name", "A & <B> 'c'")
    assert digest(COMPANIES, "name", "A &amp; &lt;B&gt; &#39;c&#39;") == wished
    assert digest(COMPANIES, "name", "A &amp;amp; <B> 'c'") == wished
    assert digest(CONTACTS, "custom_attributes.x", "1") != digest(
        CONTACTS, "custom_attributes.x", 1
    )
    assert len(wished) == 16
    assert "md5" in digest_sql(Type.TEXT, "x")


# -- fuse, limit, samples -----------------------------------------------------------------------


def mirrored(warehouse: Warehouse, number: int) -> None:
    warehouse.execute(
        "INSERT INTO contacts (id, external_id, role, name) SELECT 'c' || n, n::text, 'user', 'N'"
        f" FROM generate_series(1, {number}) n"
    )


def changed(number: int) -> str:
    return (
        "SELECT n AS external_id, CASE WHEN n <= 300 THEN 'N' ELSE 'M' END AS name"
        f" FROM generate_series(1, {300 + number}) n"
    )


def test_the_fuse(warehouse):
    mirrored(warehouse, 500)
    assert plan(warehouse, changed(50), yes=False, dry_run=True).fuse is None
    made = plan(warehouse, changed(51), yes=False)
    assert made.fuse
    assert "touches 51 contacts" in made.fuse
    assert "holds 500" in made.fuse
    assert (made.updates, outbox(warehouse), digests(warehouse)) == (51, [], {})
    assert plan(warehouse, changed(51), yes=False, limit=50).fuse is None
    assert len(outbox(warehouse)) == 50
    assert plan(warehouse, changed(51)).updates == 1


def test_twenty_rows_always_pass(warehouse):
    assert plan(warehouse, changed(0) + " LIMIT 20", yes=False).creates == 20
    assert plan(warehouse, changed(0), yes=False).fuse


def test_the_limit_takes_the_first_that_differ(warehouse):
    mirrored(warehouse, 400)
    made = plan(warehouse, f"SELECT * FROM ({changed(100)}) x ORDER BY external_id DESC", limit=3)
    assert (made.updates, dict(made.skipped)) == (3, {"beyond the limit": 97})
    assert made.unchanged == 300
    assert [row["external_id"] for row in outbox(warehouse)] == ["400", "399", "398"]


def test_samples_are_few_and_always_the_same(warehouse):
    mirrored(warehouse, 400)
    made = plan(warehouse, changed(200), dry_run=True)
    assert made.samples == plan(warehouse, changed(200), dry_run=True).samples
    creates = [sample for sample in made.samples if sample.change == "create"]
    assert [sample.key for sample in creates] == ["401", "402", "403", "404", "405"]
    assert creates[0].new == {"name": "M", "role": "user"}
    assert made.samples[5:] == tuple(
        Sample("update", str(n), "name", "N", "M") for n in range(301, 306)
    )


def test_a_plan_in_words(warehouse):
    mirrored(warehouse, 400)
    made = plan(warehouse, changed(200), dry_run=True, yes=False, mode="update")
    said = lines(made)
    assert said[0] == "500 rows: 0 to create, 100 to update, 300 unchanged, 0 drifted"
    assert "  100 skipped: not found" in said
    assert '  update 301: name "N" -> "M"' in said
    assert any("the fuse would stop this: the plan touches 100" in line for line in said)
    assert as_json(made)["samples"][0]["field"] == "name"


# -- events -------------------------------------------------------------------------------------


def event(external_id: str, name: str, second: int, metadata: str = "NULL") -> str:
    return f"'{external_id}', '{name}', {second}, {metadata}::jsonb"


EVENT_COLUMNS = "external_id, event_name, created_at, metadata"


def test_events_are_queued_once(warehouse):
    model = rows(
        EVENT_COLUMNS,
        event("1", "paid", 5, "'{\"amount\": 1}'"), event("1", "paid", 6), event("2", "paid", 5),
        event("2", "paid", 5),
    )  # fmt: skip
    made = plan(warehouse, model, "events")
    assert (made.creates, dict(made.skipped)) == (3, {"twice in the model": 1})
    first, second, _ = outbox(warehouse)
    assert first["body"] == {"event_name": "paid", "created_at": 5, "metadata": {"amount": 1}}
    assert second["body"] == {"event_name": "paid", "created_at": 6}
    assert (first["op"], first["external_id"]) == ("create", "1")
    again = plan(warehouse, model, "events")
    assert (again.creates, again.skipped) == (0, {"already in the outbox": 4})


def test_another_event_of_the_same_second_fails_once(warehouse):
    wish(warehouse, {"event_name": "paid", "created_at": 9}, kind="events", op="create",
         external_id="1")  # fmt: skip
    model = rows(
        EVENT_COLUMNS, event("1", "paid", 5), event("1", "paid", 5, "'{\"a\": 1}'"),
        event("1", "paid", 9, "'{\"a\": 2}'"),
    )  # fmt: skip
    made = plan(warehouse, model, "events")
    assert (made.creates, dict(made.failed)) == (1, {"same second": 2})
    failed = outbox(warehouse, "state = 'failed'")
    assert [row["error_code"] for row in failed] == ["same second", "same second"]
    assert all(row["done_at"] and "another second" in row["error"] for row in failed)
    again = plan(warehouse, model, "events")
    assert (again.creates, again.failed) == (0, {})


def test_an_event_whose_body_was_emptied_is_the_same(warehouse):
    kept = {"event_name": "paid", "created_at": 5, "metadata": None}
    wish(warehouse, kept, kind="events", op="create", external_id="1", state="done")
    model = rows(EVENT_COLUMNS, event("1", "paid", 5, "'{\"a\": 1}'"))
    assert plan(warehouse, model, "events").skipped == {"already in the outbox": 1}


def test_the_limit_of_events(warehouse):
    model = (
        "SELECT 'A@x.io' AS email, 'seen' AS event_name, timestamp '2026-01-01' + n * interval"
        " '1 s' AS created_at FROM generate_series(1, 50) n"
    )
    made = plan(warehouse, model, "events", limit=20, yes=False)
    assert (made.creates, made.fuse, dict(made.skipped)) == (20, None, {"beyond the limit": 30})
    assert outbox(warehouse)[0]["body"]["created_at"] == 1767225601
    assert plan(warehouse, model, "events", yes=False).creates == 30


# -- surroundings -------------------------------------------------------------------------------


def test_time_zone_and_date_style_of_the_role_change_nothing(shared_url, warehouse):
    contact(warehouse, "a", external_id="1", signed_up_at="2026-03-05T00:00:00Z")
    options = "-c timezone=America/New_York -c datestyle=German"
    database = Database(make_conninfo(conninfo(shared_url), options=options), warehouse.schema)
    model = "SELECT '1' AS external_id, timestamp '2026-03-05 00:00' AS signed_up_at"
    try:
        for given in (model, model.replace("timestamp '2026-03-05 00:00'", "date '2026-03-05'")):
            made = database.write(partial(make, asked=Asked(CONTACTS, given)))
            assert made.unchanged == 1
    finally:
        database.close()


GRANTS = (
    "GRANT SELECT ON contacts, companies, tags, contact_tags, contact_companies, contact_merges,"
    " data_attributes, custom_columns, outbox, push_digests TO {0};"
    " GRANT INSERT ON outbox, push_digests TO {0}; GRANT UPDATE ON push_digests TO {0}"
)


def test_a_role_needs_few_rights(shared_url, warehouse):
    role = f"pusher_{os.getpid()}"
    contact(warehouse, "a", external_id="1", name="A")
    warehouse.execute(f"CREATE ROLE {role}; GRANT {role} TO CURRENT_USER")
    warehouse.execute(f'GRANT USAGE ON SCHEMA "{warehouse.schema}" TO {role}')
    warehouse.execute(GRANTS.format(role))
    database = Database(
        make_conninfo(conninfo(shared_url), options=f"-c role={role}"), warehouse.schema
    )
    try:
        asked = Asked(
            KINDS["contacts"],
            "SELECT 'a' AS id, 'B' AS name, '1' AS phone, 1 AS custom_seats,"
            " ARRAY['x'] AS tags_add, 'c' AS company_id",
        )
        assert database.write(lambda conn: make(conn, asked)).updates == 1
        stolen = Asked(CONTACTS, f'SELECT id_code AS id FROM "{warehouse.schema}".sync_workspace')
        with pytest.raises(Exception, match=r"permission denied .* GRANT it to the role"):
            database.write(lambda conn: make(conn, stolen))
    finally:
        database.close()
        warehouse.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_two_plans_in_one_transaction(warehouse):
    def both(conn: Any) -> list[Plan]:
        models = ("SELECT '1' AS external_id, 'A' AS name", "SELECT '2' AS external_id")
        return [make(conn, Asked(CONTACTS, model)) for model in models]

    assert [made.creates for made in warehouse.database.write(both)] == [1, 1]


def test_many_columns(warehouse):
    for number in range(60):
        attribute(warehouse, f"many {number}", column=f"custom_many_{number}")
    try:
        contact(warehouse, "a", external_id="1", custom_attributes={"many 3": "x"})
        columns = ", ".join(f"'x' AS custom_many_{n}" for n in range(60))
        plan(warehouse, f"SELECT '1' AS external_id, {columns}")
        assert len(bodies(warehouse)[0]["custom_attributes"]) == 59
        assert list(digests(warehouse)["a"]) == ["custom_attributes.many 3"]
    finally:
        warehouse.execute("DELETE FROM data_attributes WHERE name LIKE 'many%'")
        warehouse.execute("DELETE FROM custom_columns WHERE name LIKE 'many%'")


def test_nothing_stays_behind(shared_url, warehouse):
    plan(warehouse, "SELECT '1' AS external_id, 'A' AS name", dry_run=True)
    left = "SELECT relname FROM pg_class WHERE relname LIKE '\\_push\\_%'"
    with psycopg.connect(conninfo(shared_url)) as conn:
        assert conn.execute(left).fetchall() == []
    assert outbox(warehouse) == []
