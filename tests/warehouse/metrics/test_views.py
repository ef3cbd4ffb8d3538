"""The metric views as relations: typed, commented, never raising, and analysts' to build on."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from connector.commands import views as command
from connector.simulator import Workspace
from connector.warehouse.metrics import anew
from connector.warehouse.sql.names import Names
from connector.warehouse.views.definitions import metrics
from tests.support.harness import NOW, Harness
from tests.support.warehouse import Warehouse
from tests.warehouse.house import House, columns

MEASURES = {"team", "company", "contact", "tag"}
RELATIONS = {
    "conversation_metrics", "conversations_by_day", "ai_agent_metrics", "contact_duplicates",
    *(f"{of}_metrics" for of in {"admin", *MEASURES}),
    *(f"{of}_metrics_by_month" for of in {"admin", *MEASURES}),
}  # fmt: skip
STRAIGHT = {
    "parts", "contact_replies", "admin_replies", "ai_replies", "bot_replies", "notes",
    "assignments", "reopens", "closes", "snoozes", "responses", "replies", "conversations", "open",
    "closed", "ratings", "contacts", "involved", "resolved", "escalated", "opened", "reopened",
    "backlog", "ai_involved", "ai_resolved", "conversations_replied", "conversations_closed_last",
    "assigned_open", "rating", "ai_rating",
}  # fmt: skip
ARRAYS = ("tag_names", "contact_ids", "contact_company_ids")


@pytest.fixture
def warehouse(shared: Warehouse) -> Warehouse:
    shared.clear()
    shared.execute("DELETE FROM sync_workspace")
    compute(shared)
    return shared


@pytest.fixture
async def house(harness: Harness) -> AsyncIterator[House]:
    """A schema as migrations leave it."""
    house = House(harness.database_url, harness.schema)
    yield house
    house.close()


def compute(warehouse: Warehouse) -> None:
    """Have all figures made anew, as they are to be now."""
    with warehouse.database.transaction() as conn:
        anew.begin(conn, again=True)
        while anew.step(conn, Names(warehouse.schema)):
            pass


def texts(warehouse: Warehouse, relation: str) -> list[str]:
    """Every row of a relation with every column, as PostgreSQL shows it."""
    return [row["text"] for row in warehouse.query(f"SELECT t::text AS text FROM {relation} t")]


# -- relations -------------------------------------------------------------------------------


def test_after_a_migration_all_of_them_are_there_and_empty(house: House) -> None:
    assert set(metrics()) == RELATIONS
    for relation in RELATIONS:
        assert house.ask(f'SELECT * FROM "{house.schema}".{relation}') == []


def test_every_relation_and_every_column_has_a_comment_and_the_type_of_its_kind(
    warehouse: Warehouse,
) -> None:
    told = warehouse.query(
        "SELECT c.relname AS relation, a.attname AS name, format_type(a.atttypid, NULL) AS type,"
        " col_description(c.oid, a.attnum) AS comment, obj_description(c.oid) AS sentence"
        " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
        " WHERE c.relnamespace = %s::regnamespace AND c.relname = ANY (%s)",
        warehouse.schema,
        sorted(RELATIONS),
    )
    assert {row["relation"] for row in told} == RELATIONS
    assert [row for row in told if not row["comment"] or not row["sentence"]] == []
    wanted = [(row["relation"], row["name"], _type(row["name"], row["type"])) for row in told]
    assert [(row["relation"], row["name"], row["type"]) for row in told] == wanted


def _type(name: str, type: str) -> str:
    """The type that a column is to have, by its name; of some any will do."""
    if name.startswith("office_"):
        return type
    if name in ARRAYS:
        return "text[]"
    if name.endswith("_seconds"):
        return "bigint"
    if name.endswith(("_rate", "_average")):
        return "numeric"
    if name in ("day", "month"):
        return "date"
    if name.endswith("_at"):
        return "timestamp with time zone"
    return type if name in STRAIGHT and type in ("bigint", "integer") else _other(name)


def _other(name: str) -> str:
    flags = ("removed", "is_closed", "parts_truncated", "ai_agent_participated")
    times = ("waiting_since", "snoozed_until")
    if name in times:
        return "timestamp with time zone"
    return "boolean" if name in flags else "text"


# -- odd values ------------------------------------------------------------------------------

LONG = "9" * 200
DATED = f"{LONG}18"  # a conversation with a time, and its contact
TIMES = (
    None, "0001-01-01 00:00:00+00", "1969-12-31 23:59:59.999999+00", "2026-03-08 07:00:00+00",
    "2026-03-08 07:00:00.5+00", "9999-12-31 23:59:59+00",
)  # fmt: skip
KINDS = (None, "", "open", "close", "assignment", "note", "snoozed", "comment", "%_\\", "NOTE")
TEXTS = (None, "", " ", "x", LONG, "🎉 'so' \"it\" \\ is")


def odd(warehouse: Warehouse) -> None:
    """Store what columns can hold, whether or not Intercom would ever send it."""
    rows = itertools.product(TIMES, TEXTS)
    for number, (when, text) in enumerate(rows):
        key = (text or "") + f"c{number}" if number % 3 else f"{LONG}{number}"
        insert(warehouse, "contacts", id=key, email=text, phone=text, external_id=text)
        insert(
            warehouse, "conversations", id=key, created_at=when, state=text, title=text,
            source_author_type=text, waiting_since=when, snoozed_until=when, updated_at=when,
            priority=text, rating_rating=[None, 0, -1, 2**63 - 1][number % 4],
            rating_updated_at=when, ai_agent_rating=-(2**63), rating_created_at=None,
            ai_agent_participated=[None, True, False][number % 3], ai_agent_resolution_state=text,
            company_id=text, sla_applied_sla_name=text, statistics_time_to_first_close=-5,
            admin_assignee_id=text, team_assignee_id=text, rating_teammate_id=text,
        )  # fmt: skip
        for place, (at, kind) in enumerate(itertools.product(TIMES, KINDS)):
            insert(
                warehouse, "conversation_parts", id=f"{LONG}{number:02}{place:02}",
                conversation_id=key, created_at=at, part_type=kind, body=TEXTS[place % 5],
                author_id=TEXTS[place % 4], author_type=[None, "", "admin", "user"][place % 4],
                assigned_to_type=[None, "team"][place % 2], assigned_to_id=TEXTS[place % 5],
                redacted=[None, True, False][place % 3], author_from_ai_agent=None,
            )  # fmt: skip
        insert(warehouse, "conversation_contacts", conversation_id=key, contact_id=key)
    for key in ("", LONG, " "):
        for table in ("admins", "teams", "companies", "tags"):
            insert(warehouse, table, id=key, name=None)
        insert(warehouse, "conversation_tags", conversation_id=DATED, tag_id=key)
        insert(warehouse, "contact_companies", contact_id=DATED, company_id=key)


def insert(warehouse: Warehouse, table: str, **values: Any) -> None:
    names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
    returned = f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING 1"
    warehouse.query(returned, *values.values())


@pytest.fixture
def oddest(warehouse: Warehouse) -> Iterator[Warehouse]:
    warehouse.execute("BEGIN; SET CONSTRAINTS ALL DEFERRED")
    for table in ("conversations", "conversation_parts", "conversation_contacts"):
        warehouse.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    odd(warehouse)
    warehouse.execute("COMMIT")
    yield warehouse
    warehouse.clear()


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/New_York"])
def test_no_relation_raises_whatever_is_stored(oddest: Warehouse, zone: str) -> None:
    oddest.execute(f"INSERT INTO sync_workspace (id_code, timezone) VALUES ('w', '{zone}')")
    compute(oddest)
    sizes = {relation: len(texts(oddest, relation)) for relation in RELATIONS}
    assert sizes["conversation_metrics"] == len(TIMES) * len(TEXTS)
    assert all(sizes.values()), sizes


ZONES = (
    "Mars/Phobos", "", " ", "x" * 300, "+99:99", "99999999999999999999", "UTC'; SELECT", "%s",
    "-infinity", "🎉", "1 year", "Mars5", "Mars/Phobos5", "a/b/c", "../etc/passwd",
)  # fmt: skip


@pytest.mark.parametrize("zone", ZONES)
def test_days_of_a_timezone_that_postgres_does_not_know_are_those_of_utc(
    warehouse: Warehouse, zone: str
) -> None:
    quoted = zone.replace("'", "''")
    warehouse.execute(f"INSERT INTO sync_workspace (id_code, timezone) VALUES ('w', '{quoted}')")
    compute(warehouse)
    end = 1_772_323_200  # of February 2026
    warehouse.write("conversations", *({"id": str(n), "created_at": n} for n in (end - 1, end)))
    rows = warehouse.query("SELECT month::text FROM ai_agent_metrics WHERE conversations = 1")
    assert [row["month"] for row in rows] == ["2026-02-01", "2026-03-01"]


# -- what analysts build on them -------------------------------------------------------------


async def test_views_of_others_on_each_of_them_outlive_syncs_and_a_rebuild(
    harness: Harness, house: House
) -> None:
    harness.simulate(
        Workspace.generate(7, contacts=40, companies=6, conversations=30, now=int(NOW))
    )
    house.do(*(f"CREATE VIEW my_{name} AS SELECT * FROM {name}" for name in RELATIONS))
    house.do("CREATE MATERIALIZED VIEW mine AS SELECT * FROM conversation_metrics")
    before = house.relations()
    for zone in ("America/New_York", "Asia/Kolkata"):
        harness.control.set_timezone(zone)
        harness.pass_time(86_400)
        assert (await harness.sync()).exit_code == 0
    with house.database() as database:
        assert command.run(database, rebuild=False) == 0
        assert command.run(database, rebuild=True) == 0
    names = {f"my_{name}" for name in RELATIONS} | RELATIONS | {"mine"}
    assert _named(house.relations(), names) == _named(before, names)
    for name in RELATIONS - {"contact_duplicates"}:
        assert house.ask(f"SELECT * FROM my_{name}") != []


def _named(relations: list[dict[str, Any]], names: set[str]) -> list[dict[str, Any]]:
    return [one for one in relations if one["relname"] in names]


def test_those_that_somebody_replaced_stay_his(house: House) -> None:
    replaced = ("conversation_metrics", "team_metrics_by_month")
    for name in replaced:
        house.do(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM (TABLE {name}) o WHERE false")
        house.do(f"UPDATE sync_relations SET definition = 'older' WHERE name = '{name}'")
    theirs = {name: house.definition(name) for name in replaced}
    with house.database() as database:
        for rebuild in (False, True):
            assert command.run(database, rebuild=rebuild) == 1
            assert {name: house.definition(name) for name in replaced} == theirs


def test_one_that_is_lacking_comes_back_with_its_comments(house: House) -> None:
    before = {name: columns(house, name) for name in RELATIONS}
    house.do(*(f"DROP VIEW {name}" for name in RELATIONS))
    with house.database() as database:
        assert command.run(database, rebuild=False) == 0
    assert {name: columns(house, name) for name in RELATIONS} == before
    [row] = house.ask("SELECT obj_description('tag_metrics'::regclass) AS told")
    assert row["told"]
