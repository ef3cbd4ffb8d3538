"""The views of Fivetran's shape: what the dbt package makes of them, against answers by hand."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from connector.cli import main
from connector.commands import views as command
from connector.errors import DatabaseRefusedError
from connector.simulator import Workspace
from connector.warehouse.history import steps
from connector.warehouse.migrate import migrate
from connector.warehouse.privacy.excludable import parse
from connector.warehouse.schema.tables import metadata
from connector.warehouse.sql.database import Database
from connector.warehouse.views import live, suites
from connector.warehouse.views.fivetran import shape
from connector.warehouse.views.suites import FIVETRAN
from tests.support.harness import NOW, Harness
from tests.support.life.kind import DAY
from tests.support.places import ROOT
from tests.support.records import attribute
from tests.support.warehouse import at
from tests.warehouse.historian import Historian
from tests.warehouse.house import House
from tests.warehouse.views.fivetran import helpdesk
from tests.warehouse.views.fivetran import models as package
from tests.warehouse.views.fivetran.by_hand import ANSWERS, KEYS, earlier
from tests.warehouse.views.fivetran.helpdesk import naive, wall

pytestmark = pytest.mark.in_turn(2)

_numbers = itertools.count(1)
END = wall(9999, 12, 31, 23, 59, 59, 999_000)


@pytest.fixture(scope="module")
def shared(database_url: str) -> Iterator[Historian]:
    desk = Historian(database_url, f"desk_{os.getpid()}")
    try:
        yield desk
    finally:
        helpdesk.empty(desk)
        desk.drop()


@pytest.fixture
def desk(shared: Historian) -> Historian:
    """Empty, without views and without history."""
    helpdesk.empty(shared)
    shared.follow()
    return shared


def ask(desk: Historian, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query over the views, numbers as they compare."""
    found = desk.query(query.format(f=f'"{desk.schema}_fivetran"'))
    return [tuple(row.values()) for row in found]


def of(desk: Historian, view: str, *names: str, where: str = "true") -> list[tuple[Any, ...]]:
    """These columns of a view, in the order of the first ones."""
    listed = ", ".join(f'"{name}"' for name in names)
    return ask(desk, f"SELECT {listed} FROM {{f}}.{view} WHERE {where} ORDER BY {listed}")


# -- what the package makes of it ------------------------------------------------------------

CONVERSATIONS = {
    "c1": {
        "state": "closed",
        "source_type": "email",
        "conversation_rating_value": 5,
        "assignee_id": "1",
        "is_assignee_admin": True,
        "count_total_parts": 6,
        "count_assignments": 1,
        "count_reopens": 1,
        "first_close_by_admin_id": "1",
        "last_close_by_admin_id": "2",
        "first_contact_author_id": "u1",
        "last_contact_author_id": "u1",
        "first_team_id": "10",
        "first_team_name": "Tier 1",
        "time_to_first_response_minutes": Decimal("10.00"),
        "time_to_last_response_minutes": Decimal("10.00"),
        "time_to_first_assignment_minutes": Decimal("1.00"),
        "time_to_first_close_minutes": Decimal("20.00"),
        "time_to_last_close_minutes": Decimal("60.00"),
        "all_conversation_tags": "vip",
    },
    "c2": {
        "state": "open",
        "source_type": "email",
        "is_assignee_admin": False,
        "count_total_parts": 0,
        "count_assignments": 0,
        "count_reopens": 0,
    },
    "c3": {
        "state": "closed",
        "source_type": "email",
        "assignee_id": "2",
        "is_assignee_admin": True,
        "count_total_parts": 5,
        "count_assignments": 1,
        "count_reopens": 0,
        "first_close_by_admin_id": "2",
        "last_close_by_admin_id": "2",
        "first_contact_author_id": "l1",
        "last_contact_author_id": "l1",
        "time_to_first_response_minutes": Decimal("2.00"),
        "time_to_last_response_minutes": Decimal("2.00"),
        "time_to_first_assignment_minutes": Decimal("1.50"),
        "time_to_first_close_minutes": Decimal("10.00"),
        "time_to_last_close_minutes": Decimal("10.00"),
    },
}


def check(desk: Historian) -> None:
    """All of the package's models are as computed by hand."""
    found = desk.query(package.CONVERSATIONS.format(f=f'"{desk.schema}_fivetran"'))
    told = {row.pop("id"): row for row in found}
    began = {key: row.pop("created_at") for key, row in told.items()}
    assert began == {"c1": naive(0), "c2": naive(1_000), "c3": naive(2_000)}
    known = {key: {k: v for k, v in row.items() if v is not None} for key, row in told.items()}
    assert known == CONVERSATIONS
    for query, answer in ANSWERS.items():
        assert ask(desk, query) == answer


@pytest.mark.parametrize("history", ["off", "on", "on, with older versions", "on later"])
def test_the_package_finds_what_was_computed_by_hand(desk: Historian, history: str) -> None:
    if history.startswith("on") and history != "on later":
        desk.keep()
    if "older" in history:
        earlier(desk)
    helpdesk.fill(desk)
    assert helpdesk.shape(desk) == ""
    check(desk)
    if history == "on later":
        desk.keep(10_000)
        grow(desk)
        check(desk)


def grow(desk: Historian) -> list[str]:
    """Bring the views up to date; those that were behind."""
    late = desk.database.write(partial(live.behind, schema=desk.schema))
    for label in late:
        grown = desk.database.write(partial(live.grow, schema=desk.schema, view=label))
        assert grown.refused == ""
    assert desk.database.write(partial(live.behind, schema=desk.schema)) == []
    return late


def test_each_relation_has_the_columns_that_the_package_requires(desk: Historian) -> None:
    helpdesk.shape(desk)
    rows = desk.query(
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = %s",
        f"{desk.schema}_fivetran",
    )
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        found.setdefault(row["table_name"], {})[row["column_name"]] = row["data_type"]
    assert found.keys() == REQUIRED.keys()
    for view, names in REQUIRED.items():
        deleted = {"_fivetran_deleted": "boolean"}
        h = {"_fivetran_active": "boolean", "_fivetran_start": T, "_fivetran_end": T}
        own = {name: kind for kind, listed in names.items() for name in listed.split()}
        own |= (h if view.endswith("_history") else deleted) | {"_fivetran_synced": T}
        assert own.items() <= found[view].items(), view
        ids = {n: k for n, k in found[view].items() if n == "id" or n.endswith("_id")}
        assert set(ids.values()) == {"text"}, view
        assert "timestamp with time zone" not in found[view].values()


T = "timestamp without time zone"
B, N, I, J, F = "boolean", "numeric", "integer", "bigint", "double precision"  # noqa: E741
REQUIRED: dict[str, dict[str, str]] = {
    "admin": {"text": "id name job_title"},
    "tag": {"text": "id name"},
    "team": {"text": "id name"},
    "team_admin": {"text": "team_id admin_id"},
    "contact_history": {
        "text": "id name email role admin_id",
        T: "created_at updated_at signed_up_at last_replied_at last_contacted_at"
        " last_email_opened_at last_email_clicked_at",
        B: "unsubscribed_from_emails",
    },
    "contact_company_history": {"text": "contact_id company_id", T: "contact_updated_at"},
    "company_history": {
        "text": "id name website industry plan_id plan_name",
        T: "created_at updated_at",
        N: "monthly_spend",
        J: "session_count user_count size",
        "jsonb": "custom_attributes",
    },
    "contact_tag_history": {"text": "contact_id tag_id", T: "contact_updated_at"},
    "company_tag_history": {"text": "company_id tag_id", T: "company_updated_at"},
    "conversation_history": {
        "text": "id state assignee_id source_type source_author_type assignee_type"
        " conversation_rating_remark first_contact_reply_type source_author_id source_body"
        " source_delivered_as source_subject sla_name sla_status team_assignee_id title priority",
        T: "created_at updated_at waiting_since snoozed_until first_contact_reply_created_at",
        I: "conversation_rating_value",
        B: "read open",
    },
    "conversation_part_history": {
        "text": "id conversation_id part_type body author_id author_type assigned_to_id"
        " assigned_to_type",
        T: "created_at updated_at conversation_updated_at",
    },
    "conversation_tag_history": {"text": "conversation_id tag_id", T: "conversation_updated_at"},
    "conversation_contact_history": {
        "text": "conversation_id contact_id",
        T: "conversation_updated_at",
    },
    "article_history": {
        "text": "id title state author_id collection_id section_id description body url type"
        " parent_type default_locale workspace_id statistics_type",
        I: "statistics_views statistics_conversations statistics_reactions",
        F: "statistics_happy_reaction_percentage statistics_neutral_reaction_percentage"
        " statistics_sad_reaction_percentage",
        T: "created_at updated_at",
    },
    "collection_history": {
        "text": "id name help_center_id parent_id description url icon type default_locale"
        " workspace_id",
        I: "order",
        T: "created_at updated_at",
    },
    "help_center_history": {
        "text": "id display_name identifier workspace_id",
        B: "website_turned_on",
        T: "created_at updated_at",
    },
}


def test_every_view_and_column_has_a_comment(desk: Historian) -> None:
    helpdesk.shape(desk)
    bare = desk.query(
        "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE c.relnamespace = to_regnamespace(%s) AND a.attnum > 0"
        " AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL)",
        f'"{desk.schema}_fivetran"',
    )
    assert bare == []


def test_the_page_names_every_view_and_no_other() -> None:
    page = (ROOT / "docs/fivetran.md").read_text(encoding="utf-8")
    table = page.partition("| view | from |")[2].partition("\n\n")[0]
    named = [name for line in table.splitlines() for name in re.findall(r"`(\w+)`", cell(line))]
    assert sorted(named) == sorted(shape.makers())


def cell(line: str) -> str:
    return line.split("|")[1] if line.startswith("| `") else ""


# -- pitfalls --------------------------------------------------------------------------------


def test_what_is_deleted_is_inactive_and_deleted_parts_are_left_out(desk: Historian) -> None:
    helpdesk.fill(desk)
    helpdesk.shape(desk)
    deleted = naive(9_000)
    assert of(desk, "admin", "id", "_fivetran_deleted") == [
        ("1", False),
        ("2", False),
        ("3", True),
    ]
    assert of(desk, "team_admin", "team_id", "admin_id", "_fivetran_deleted")[-1] == (
        *("11", "3"),
        True,
    )
    told = of(desk, "contact_history", "id", "_fivetran_active", "_fivetran_end")
    assert told[1:] == [("u1", True, END), ("u2", True, END), ("u3", False, deleted)]
    active = "_fivetran_active"
    links = of(desk, "contact_tag_history", "contact_id", "tag_id", active)
    assert links[-1] == ("u3", "20", False)
    parts = of(desk, "conversation_part_history", "id", active, where="id IN ('p0', 'p1', 'r1')")
    assert parts == [("p1", True), ("r1", False)]
    assert "c5" not in [row[0] for row in of(desk, "conversation_history", "id")]
    assert of(desk, "conversation_part_history", "id", where="id = 's1'") == []
    assert of(desk, "conversation_contact_history", "conversation_id", where="1=1")[-1] == ("c4",)


def test_a_removed_link_is_gone(desk: Historian) -> None:
    helpdesk.fill(desk)
    helpdesk.shape(desk)
    desk.write("teams", {"id": "11", "name": "Tier 2", "admin_ids": [1]}, read=7_000)
    known = of(desk, "team_admin", "team_id", "admin_id")
    assert known == [("10", "1"), ("10", "2"), ("11", "1")]


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_times_are_the_same_in_every_session(desk: Historian, zone: str) -> None:
    helpdesk.fill(desk)
    desk.execute(
        "UPDATE conversation_parts SET created_at = '2026-03-08 07:30Z' WHERE id = 'p3';"
        "UPDATE conversations SET created_at = '2026-03-08 06:30Z' WHERE id = 'c1'"
    )
    helpdesk.shape(desk)
    desk.execute(f"SET timezone = '{zone}'")
    try:
        found = desk.query(package.CONVERSATIONS.format(f=f'"{desk.schema}_fivetran"'))
    finally:
        desk.execute("SET timezone = 'UTC'")
    [first] = [row for row in found if row["id"] == "c1"]
    assert first["time_to_first_response_minutes"] == Decimal("60.00")
    assert first["created_at"] == wall(2026, 3, 8, 6, 30)


def test_excluded_texts_leave_a_mark_where_one_was(desk: Historian) -> None:
    exclusions = parse("conversation_parts.body")
    helpdesk.fill(desk, exclusions)
    desk.execute(
        "INSERT INTO sync_exclusions (name, manner) VALUES ('conversation_parts.body', 'null')"
    )
    helpdesk.shape(desk)
    assert {row[0] for row in of(desk, "conversation_part_history", "body")} == {
        "[not stored]",
        None,
    }
    check(desk)
    desk.execute("UPDATE sync_exclusions SET manner = 'lifted'")
    assert grow(desk) == ["fivetran.conversation_part_history"]
    assert {row[0] for row in of(desk, "conversation_part_history", "body")} == {None}
    desk.execute("UPDATE sync_exclusions SET manner = 'hash:12'")
    assert grow(desk) == []


def test_redacted_and_empty_texts_are_as_received(desk: Historian) -> None:
    helpdesk.fill(desk)
    desk.execute("UPDATE conversation_parts SET body = '' WHERE id = 'p3'")
    desk.execute(
        "UPDATE conversation_parts SET body = '<i>gone</i>', redacted = true WHERE id = 'q3'"
    )
    helpdesk.shape(desk)
    found = of(desk, "conversation_part_history", "id", "body", where="id IN ('p1', 'p3', 'q3')")
    assert found == [("p1", None), ("p3", ""), ("q3", "<i>gone</i>")]
    check(desk)


def test_a_row_is_as_fresh_as_the_last_sync_that_confirmed_its_table(desk: Historian) -> None:
    helpdesk.fill(desk)
    helpdesk.shape(desk)
    of_view = {
        "admin": "admins",
        "tag": "tags",
        "team": "teams",
        "team_admin": "teams",
        "contact_history": "users",  # older than leads
        "contact_company_history": "users",
        "contact_tag_history": "users",
        "company_history": "companies",
        "company_tag_history": "companies",
        "article_history": "articles",
        "collection_history": "collections",
        "help_center_history": "help_centers",
    }
    for view in shape.makers():
        expected = helpdesk.FRESH[of_view.get(view, "conversations")].removesuffix("Z")
        found = ask(desk, f"SELECT DISTINCT _fivetran_synced::text FROM {{f}}.{view}")
        assert found == [(f"{expected}:00",)], view
    desk.execute("UPDATE sync_state SET fresh_as_of = NULL WHERE resource = 'leads'")
    assert of(desk, "contact_tag_history", "_fivetran_synced")[0] == (None,)
    desk.execute("DELETE FROM sync_state WHERE resource = 'leads'")  # it is not selected
    assert of(desk, "contact_tag_history", "_fivetran_synced")[0] == (wall(2026, 2, 7),)


def test_no_stored_value_makes_a_view_raise(desk: Historian) -> None:
    desk.keep()
    helpdesk.fill(desk)
    helpdesk.shape(desk)
    desk.execute(
        "UPDATE conversations SET rating_rating = 9223372036854775807, created_at = 'infinity',"
        " updated_at = '-infinity', waiting_since = '9999-12-31 23:59:59.999999Z';"
        'UPDATE collections SET "order" = -9223372036854775808;'
        "UPDATE articles SET parent_ids = '{\"a\": [1]}' WHERE id = 'a1';"
        "UPDATE articles SET parent_ids = '[null, {}, [\"k2\"], 1.5]' WHERE id = 'a2';"
        "UPDATE contacts SET updated_at = NULL, created_at = NULL;"
        "UPDATE contacts_history SET valid_from = '0001-01-01Z', valid_to = '0001-01-01Z'"
    )
    for view in shape.makers():
        desk.query(f'SELECT v::text FROM "{desk.schema}_fivetran".{view} v')
    now = "_fivetran_active"
    rated = of(desk, "conversation_history", "conversation_rating_value", where=now)
    assert rated[0] == (None,)
    assert of(desk, "article_history", "id", "collection_id") == [("a1", None), ("a2", None)]
    starts = of(desk, "contact_history", "_fivetran_start", where=now)
    assert None not in [row[0] for row in starts]


def test_an_assignee_of_zero_is_nobody(desk: Historian) -> None:
    helpdesk.fill(desk)
    helpdesk.shape(desk)
    found = of(desk, "conversation_history", "id", "assignee_id", "assignee_type")
    assert found[:3] == [("c1", "1", "admin"), ("c2", None, None), ("c3", "2", "admin")]


# -- history ---------------------------------------------------------------------------------


def test_versions_are_inactive_but_the_one_that_is(desk: Historian) -> None:
    desk.keep()
    earlier(desk)
    helpdesk.fill(desk)
    helpdesk.shape(desk)
    h = ("_fivetran_active", "_fivetran_start", "_fivetran_end")
    before = naive(20) - timedelta(milliseconds=1)
    assert of(desk, "contact_history", "id", "name", "role", *h, where="id IN ('u1', 'u3')") == [
        ("u1", "Old", "lead", False, naive(10), before),
        ("u1", "Uma", "user", True, naive(20), END),
        ("u3", "Ute", "user", False, naive(20), naive(9_000)),
    ]
    assert of(desk, "contact_company_history", "company_id", *h, where="contact_id = 'u1'") == [
        ("co1", True, naive(20), END),
        ("co2", False, naive(10), before),
    ]
    assert of(desk, "company_tag_history", "tag_id", *h)[1:] == [
        ("21", False, naive(5), naive(10) - timedelta(milliseconds=1)),
        ("22", False, naive(5), naive(10) - timedelta(milliseconds=1)),
    ]
    spans = of(desk, "conversation_history", "assignee_id", *h, where="id = 'c1'")
    ms = timedelta(milliseconds=1)
    first, second, third = [
        (False, naive(100), naive(5_000) - ms),
        (False, naive(5_000), naive(6_001) - ms),  # then a part of it was deleted
        (True, naive(6_001), END),
    ]
    assert spans == [("1", *second), ("1", *third), ("2", *first)]
    people = of(desk, "conversation_contact_history", "contact_id", *h, where=C1)
    assert people == [("u1", *second), ("u1", *third), ("u2", *first)]
    labels = of(desk, "conversation_tag_history", "tag_id", *h, where=C1)
    assert labels == [("20", *second), ("20", *third), ("21", *first)]


C1 = "conversation_id = 'c1'"


def test_at_most_one_row_of_a_key_is_active_whatever_became_of_history(desk: Historian) -> None:
    desk.keep()
    earlier(desk)
    helpdesk.fill(desk)
    helpdesk.shape(desk)
    only_active(desk)
    desk.database.write(partial(steps.end, names=("contacts",), now=at(20_000)))
    grow(desk)
    only_active(desk)
    assert of(desk, "contact_history", "id", where="id = 'u1'") == [("u1",)]
    check(desk)
    desk.keep(30_000)
    grow(desk)
    only_active(desk)
    check(desk)


def test_row_policies_on_versions_hold_when_history_is_turned_on(desk: Historian) -> None:
    helpdesk.fill(desk)
    helpdesk.shape(desk)
    desk.keep(10_000)
    desk.execute("ALTER TABLE contacts_history ENABLE ROW LEVEL SECURITY")
    assert "fivetran.contact_tag_history" in grow(desk)
    asking = desk.query(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s)"
        " AND 'security_invoker=true' = ANY (reloptions) ORDER BY 1",
        f'"{desk.schema}_fivetran"',
    )
    assert [row["relname"] for row in asking] == [
        *("contact_company_history", "contact_history", "contact_tag_history")
    ]
    check(desk)


def only_active(desk: Historian) -> None:
    for view, key in KEYS.items():
        several = (
            f"SELECT {key} FROM {{f}}.{view} WHERE _fivetran_active GROUP BY {key}"
            " HAVING count(*) > 1"
        )
        assert ask(desk, several) == [], view
        overlapping = (
            f"SELECT {key} FROM (SELECT {key}, _fivetran_start AS s,"
            f" lag(_fivetran_end) OVER (PARTITION BY {key} ORDER BY _fivetran_start,"
            f" _fivetran_end) AS e FROM {{f}}.{view}) x WHERE s <= e"
        )
        assert ask(desk, overlapping) == [], view


# -- made, and kept up to date ---------------------------------------------------------------


def touched(desk: Historian) -> list[dict[str, Any]]:
    return desk.query(
        "SELECT relname, oid, xmin::text FROM pg_class WHERE relnamespace = to_regnamespace(%s)"
        " ORDER BY 1",
        f'"{desk.schema}_fivetran"',
    )


def test_the_command_makes_them_once_and_touches_none_again(desk: Historian, capsys: Any) -> None:
    assert command.run(desk.database, rebuild=False, fivetran=True) == 0
    before = touched(desk)
    assert len(before) == 16
    assert command.run(desk.database, rebuild=False, fivetran=True) == 0
    assert command.run(desk.database, rebuild=False) == 0
    assert migrate(desk.database) is False
    assert desk.database.write(partial(live.behind, schema=desk.schema)) == []
    assert touched(desk) == before


def test_new_attributes_and_dropped_views_come(desk: Historian) -> None:
    helpdesk.fill(desk)
    helpdesk.shape(desk)
    table = metadata().tables["data_attributes"]
    with desk.database.transaction() as conn:
        conn.execute(sa.insert(table).values(_read_at=sa.func.now(), **attribute("plan")))
    desk.execute('UPDATE contacts SET custom_attributes = \'{"plan": "gold"}\'')
    desk.execute(f'DROP VIEW "{desk.schema}_fivetran".tag')
    late = grow(desk)
    assert set(late) == {
        *("contacts_live", "users", "leads"),
        *("fivetran.contact_history", "fivetran.tag"),
    }
    assert of(desk, "contact_history", "custom_plan")[0] == ("gold",)
    desk.execute("UPDATE data_attributes SET archived = true")
    assert command.run(desk.database, rebuild=True) == 0
    names = desk.query(
        "SELECT 1 AS x FROM information_schema.columns WHERE column_name = 'custom_plan'"
        " AND table_schema LIKE %s",
        f"{desk.schema}%",
    )
    assert names == []


def test_who_drops_the_schema_wants_none(desk: Historian) -> None:
    helpdesk.shape(desk)
    desk.execute(f'DROP SCHEMA "{desk.schema}_fivetran" CASCADE')
    assert desk.database.write(partial(live.behind, schema=desk.schema)) == []
    assert command.run(desk.database, rebuild=False) == 0
    assert touched(desk) == []
    assert helpdesk.shape(desk) == ""
    assert len(touched(desk)) == 16


async def test_a_sync_keeps_them_up_to_date_and_switches_with_history(harness: Harness) -> None:
    small = Workspace.generate(5, contacts=30, companies=8, conversations=10, now=int(NOW))
    await harness.load(small, index_lag=(0.0, 0.0))
    database = Database(harness.database_url, harness.schema)
    assert command.begin(database, FIVETRAN) == ""
    database.close()

    def count(active: str = "true") -> int:
        view = f'"{harness.schema}_fivetran".contact_history'
        return int(harness.query(f"SELECT count(*) AS n FROM {view} WHERE {active}")[0]["n"])

    def told() -> str:
        view = f'"{harness.schema}_fivetran".contact_history'
        return str(harness.query("SELECT pg_get_viewdef(%s::regclass) AS d", view)[0]["d"])

    living = count("_fivetran_active")
    assert living == 30
    plain = told()
    harness.pass_time(DAY)
    await harness.sync(history=("contacts",))
    assert "contacts_history" in told()
    key = sorted(harness.rows("contacts"))[0]
    harness.pass_time(DAY)
    harness.control.update_contact(key, name="Changed")
    await harness.sync(history=("contacts",))
    assert (count(), count("_fivetran_active")) == (living + 1, living)
    harness.pass_time(DAY)
    await harness.sync()
    assert told() == plain
    assert (count(), count("_fivetran_active")) == (living, living)
    query = "SELECT relname, xmin::text FROM pg_class WHERE relnamespace = to_regnamespace(%s)"
    before = harness.query(query, f"{harness.schema}_fivetran")
    assert len(before) == 16
    harness.pass_time(DAY)
    await harness.sync()
    assert harness.query(query, f"{harness.schema}_fivetran") == before


# -- what belongs to others ------------------------------------------------------------------


@pytest.fixture
def house(database_url: str) -> Iterator[House]:
    house = House(database_url, f"f_{os.getpid()}_{next(_numbers)}")
    house.migrate()
    yield house
    house.do(f'DROP SCHEMA IF EXISTS "{house.schema}_fivetran" CASCADE')
    house.close()


def run(house: House, role: str = "") -> int:
    with house.database(role) as database:
        return command.run(database, rebuild=False, fivetran=True)


@pytest.mark.parametrize(
    ("theirs", "named"),
    [
        ("CREATE TABLE {f}.contact_history (id text)", "table contact_history"),
        ("CREATE VIEW {f}.tag AS SELECT 1 AS id", "view tag"),
        ("CREATE TABLE {f}.notes (id text)", "table notes"),
        ("CREATE TYPE {f}.admin AS ENUM ('x')", "type admin"),
    ],
)
def test_a_schema_of_others_is_left_as_it_is(
    house: House, theirs: str, named: str, capsys: Any
) -> None:
    name = f'"{house.schema}_fivetran"'
    house.do(f"CREATE SCHEMA {name}", theirs.format(f=name))
    assert run(house) == 1
    assert named in capsys.readouterr().err
    assert len(house.ask("SELECT 1 FROM pg_class WHERE relnamespace = %s::regnamespace", name)) <= 1
    with house.database() as database:
        assert database.write(partial(suites.labels, schema=house.schema)) == list(live.makers())


def test_what_others_put_beside_them_later_is_no_hindrance(house: House, capsys: Any) -> None:
    assert run(house) == 0
    name = f'"{house.schema}_fivetran"'
    house.do(f"CREATE TABLE {name}.notes (id text)")
    house.do(f"CREATE OR REPLACE VIEW {name}.tag AS {fewer(house, name)}")
    with house.database() as database:
        assert command.run(database, rebuild=False) == 0
    house.do(f"DROP VIEW {name}.team", f"CREATE TABLE {name}.team (id text)")
    with house.database() as database:
        assert command.run(database, rebuild=False) == 1
    assert f"{house.schema}_fivetran.team was left as it is" in capsys.readouterr().err


def fewer(house: House, name: str) -> str:
    [row] = house.ask("SELECT pg_get_viewdef(%s::regclass) AS d", f"{name}.tag")
    return str(row["d"]).rstrip("; \n") + " AND false"


@pytest.fixture
def owner(database_url: str, house: House) -> Iterator[str]:
    """A role that owns the schema and may make no other."""
    name = f"owner_{os.getpid()}_{next(_numbers)}"
    house.do(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    house.do(f'ALTER SCHEMA "{house.schema}" OWNER TO {name}')
    for row in house.ask(
        "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace"
        " AND relkind IN ('r', 'v')",
        f'"{house.schema}"',
    ):
        house.do(f'ALTER TABLE "{house.schema}"."{row["relname"]}" OWNER TO {name}')
    yield name
    house.do(f"DROP OWNED BY {name} CASCADE", f"DROP ROLE {name}")


def test_who_may_make_no_schema_is_told_what_an_admin_must_run(house: House, owner: str) -> None:
    with pytest.raises(DatabaseRefusedError) as caught:
        run(house, owner)
    assert caught.value.exit_code == 2
    told = f'CREATE SCHEMA "{house.schema}_fivetran" AUTHORIZATION "{owner}"'
    assert told in str(caught.value)
    house.do(told)
    assert run(house, owner) == 0


def test_who_may_not_write_into_the_schema_is_told_whose_it_is(
    house: House, owner: str, capsys: Any
) -> None:
    name = f'"{house.schema}_fivetran"'
    [row] = house.ask("SELECT current_user AS name")
    house.do(f"CREATE SCHEMA {name}")
    assert run(house, owner) == 1
    told = capsys.readouterr().err
    assert f"belongs to the role {row['name']}" in told
    house.do(f"CREATE TABLE {name}.notes (x int)")
    assert run(house, owner) == 1
    assert "table notes" in capsys.readouterr().err
    house.do(f"DROP TABLE {name}.notes", told[told.index("GRANT") :])
    assert run(house, owner) == 0


def test_the_views_show_nobody_more_than_their_tables(house: House, owner: str) -> None:
    name = f'"{house.schema}_fivetran"'
    reader = f"reader_{os.getpid()}_{next(_numbers)}"
    house.do(
        f"CREATE ROLE {reader}",
        f"CREATE SCHEMA {name} AUTHORIZATION {owner}",
        f"GRANT USAGE ON SCHEMA {name} TO {reader}",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {name}"
        f" GRANT SELECT ON TABLES TO {reader}",
        f"GRANT SELECT ON tags, sync_state, admins TO {reader}",
        f"GRANT USAGE ON SCHEMA {house.schema} TO {reader}",
        "INSERT INTO admins (id) VALUES ('1'), ('2')",
        "ALTER TABLE admins ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY one ON admins TO {reader} USING (id = '1')",
    )
    try:
        assert run(house, owner) == 0
        may = house.ask(
            "SELECT relname, has_table_privilege(%s, oid, 'SELECT') AS may FROM pg_class"
            " WHERE relnamespace = %s::regnamespace",
            reader,
            name,
        )
        assert {row["relname"] for row in may if row["may"]} == {"tag", "admin"}
        house.do(f"SET ROLE {reader}")
        assert house.ask(f"SELECT id FROM {name}.admin") == [{"id": "1"}]
    finally:
        house.do("RESET ROLE", f"DROP OWNED BY {reader} CASCADE", f"DROP ROLE {reader}")


@pytest.mark.parametrize("name", ["A b-%s'\"{1}", "x" * 54])
def test_any_name_of_a_schema_will_do(database_url: str, name: str) -> None:
    house = House(database_url, name)
    try:
        house.migrate()
        assert run(house) == 0
        assert run(house) == 0
    finally:
        quoted = f"{name}_fivetran".replace('"', '""')
        house.do(f'DROP SCHEMA IF EXISTS "{quoted}" CASCADE')
        house.close()


def test_a_name_that_would_be_cut_is_refused(database_url: str, capsys: Any) -> None:
    house = House(database_url, "y" * 55)
    try:
        house.migrate()
        assert run(house) == 1
        assert "too long" in capsys.readouterr().err
    finally:
        house.close()


def test_the_command_line_makes_them(
    database_url: str, house: House, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    words = ["--schema", house.schema]
    assert main(["views", "--fivetran", *words]) == 0
    assert f"schema {house.schema}_fivetran" in capsys.readouterr().out
    assert main(["views", *words]) == 0
    assert main(["migrate", *words]) == 0
    house.do(f'DROP SCHEMA "{house.schema}_fivetran" CASCADE')
    house.do(f'CREATE SCHEMA "{house.schema}_fivetran"')
    house.do(f'CREATE TABLE "{house.schema}_fivetran".theirs (x int)')
    assert main(["views", "--fivetran", *words]) == 1
    told = capsys.readouterr().err
    assert "table theirs" in told
    assert "nothing was changed" in told
