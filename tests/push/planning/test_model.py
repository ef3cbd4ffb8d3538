"""What is wrong with a model is said before anything is planned: what, where, and what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from connector.errors import DatabaseLostError, SettingsError
from connector.push.kinds import CONTACTS
from connector.push.planning import Asked
from connector.push.planning.model import query
from connector.warehouse.sql.dsn import conninfo
from tests.push.planning.pushing import attribute, bodies, contact, outbox, plan, store
from tests.support.warehouse import Warehouse, opened


@pytest.fixture(scope="module")
def warehouse(shared_url: str) -> Iterator[Warehouse]:
    with opened(shared_url) as own:
        attribute(own, "plan_tier")
        attribute(own, "seats", "integer")
        attribute(own, "since", "date")
        attribute(own, "active", "boolean")
        attribute(own, "old one", column="custom_old_one", archived=True)
        attribute(own, "grade", "integer", column="custom_grade__integer")
        store(own, "grade", "string")
        attribute(own, "size_m2", "float", model="company")
        yield own


@pytest.fixture(autouse=True)
def _empty(warehouse: Warehouse) -> None:
    warehouse.execute("TRUNCATE outbox")


def refused(warehouse: Warehouse, model: str, kind: str = "contacts", **asked: Any) -> str:
    """What is said of a model; nothing is planned."""
    with pytest.raises(SettingsError) as raised:
        plan(warehouse, model, kind, **asked)
    assert outbox(warehouse) == []
    said = str(raised.value)
    assert "\n" not in said
    assert "Traceback" not in said
    return said


WRONG = [
    # the text
    ("", "neither the name of a table or view nor a query"),
    ("DELETE FROM contacts", "neither the name of a table or view nor a query"),
    ("-- SELECT\n/* SELECT */ UPDATE contacts SET name = ''", "neither the name"),
    ("SELECT '1' AS id; DROP TABLE x", "more than one statement"),
    ("SELECT 1) q; DROP TABLE contacts; --", "more than one statement"),
    ("SELECT '1' AS id) q, (SELECT 2", "Postgres says: syntax error at or near"),
    ("SELECT '1' AS id) q RETURNING (SELECT 1", "syntax error"),
    ("SELECT 'a AS id", "unterminated quoted string"),
    ("SELECT $1::text AS id", "parameters"),
    ("SELECT '1' AS id\0", "NUL"),
    ("analytics.nothing", 'relation "analytics.nothing" does not exist'),
    ("nothing", 'relation "nothing" does not exist'),
    ("a.b.c.d", "neither the name"),
    ("SELECT 'x' AS id FROM nowhere", 'relation "nowhere" does not exist at character 23'),
    ("SELECT 'x' AS id,\n  nam FROM (SELECT 1) t", "at line 2, character 3"),
    ("SELECT '1' AS id, 1/0 AS seats", "column seats is unknown"),
    ("SELECT '1' AS id, (1/(1-1))::bigint AS custom_seats", "division by zero"),
    ("SELECT 'x'::int::text AS id", "invalid input syntax for type integer"),
    ("WITH x AS (INSERT INTO t VALUES (1) RETURNING 1) SELECT '1' AS id", "does not exist"),
    # columns
    ("SELECT '1' AS id, 'x' AS nmae", "column nmae is unknown for contacts; is name meant?"),
    ("SELECT '1' AS id, 'x' AS custom_plan_teir", "is custom_plan_tier meant?"),
    ("SELECT '1' AS id, 'x' AS zzzzzzzz", "known are "),
    ("SELECT '1' AS id, 'x' AS custom_old_one", "archived"),
    ("SELECT '1' AS id, 'x' AS name, 'y' AS name", "column name is there twice"),
    ("SELECT 'x' AS name", "no column names the object; give id or external_id or email"),
    ("SELECT '1' AS id, 1 AS custom_grade, 2 AS custom_grade__integer", "same custom attribute"),
    ("SELECT '1' AS id, 'x' AS company_name", "column company_id is missing"),
    ("SELECT", "it returns no columns"),
    ("SELECT '1' AS id INTO stolen", "it returns no columns"),
    # types
    ("SELECT '1' AS id, 1 AS name", "column name is of type integer; it must be text"),
    ("SELECT '1' AS id, 'x' AS custom_seats", "custom_seats is of type text; it must be bigint"),
    ("SELECT '1' AS id, 'x' AS custom_grade", "custom_grade is of type text; it must be bigint"),
    ("SELECT '1' AS id, 1 AS custom_active", "must be boolean"),
    ("SELECT '1' AS id, 'now' AS signed_up_at", "must be timestamptz"),
    ("SELECT '1' AS id, 'x' AS tags_add", "tags_add is of type text; it must be text[]"),
    ("SELECT '1' AS id, ARRAY[1] AS tags_add", "of type integer[]; it must be text[]"),
    ("SELECT 1.5 AS id", "column id is of type numeric"),
    ("SELECT '1' AS id, true AS email", "column email is of type boolean"),
    # rows
    ("SELECT NULL::text AS id, 'Ada' AS name", "1 row has no key: id is NULL; as row 1 (id is NU"),
    (
        "SELECT NULL::text AS external_id, NULL::text AS email, n::text AS name"
        " FROM generate_series(1, 1200) n",
        "1,200 rows have no key: external_id and email are NULL",
    ),
    ("SELECT '' AS external_id", "an empty external_id; use NULLIF(external_id, '')"),
    ("SELECT ' 1' AS external_id", "external_id with spaces at its ends"),
    ("SELECT '1' AS external_id, '' AS email", "an empty email"),
    ("SELECT 'ada' AS email", "an email without @"),
    ("VALUES ('1')", "column column1 is unknown"),
    ("SELECT * FROM (VALUES ('1'), ('2'), ('1')) v (id)", "id '1' in rows 1 and 3"),
    (
        "SELECT * FROM (VALUES ('Ada@x.io'), (' ada@X.io '), ('ada@x.io')) v (email)",
        "1 key is there more than once: email 'ada@x.io' in rows 1 and 3, and 1 between them",
    ),
    ("SELECT '1' AS id, 'NaN'::float8 AS custom_seats", "no finite number in custom_seats"),
    ("SELECT '1' AS id, '-Infinity'::numeric AS custom_seats", "no finite number"),
    ("SELECT '1' AS id, 1.5 AS custom_seats", "no whole number in custom_seats"),
    ("SELECT '1' AS id, 'infinity'::timestamptz AS signed_up_at", "no instant in signed_up_at"),
    ("SELECT '1' AS id, 1780000000000 AS signed_up_at", "not in seconds"),
    ("SELECT '1' AS id, 'admin' AS role", "neither user nor lead"),
    ("SELECT '1' AS external_id, 'lead' AS role", "Intercom itself gives to leads"),
    ("SELECT '1' AS id, ARRAY['a', ''] AS tags_add", "an empty name in tags_add"),
    ("SELECT '1' AS id, ARRAY['A'] AS tags_add, ARRAY['a'] AS tags_remove", "the same tag in"),
    ("SELECT '1' AS id, 'A' AS company_name, NULL::text AS company_id", "without company_id"),
]


@pytest.mark.parametrize(("model", "said"), WRONG)
def test_a_wrong_model_is_refused(warehouse, model, said):
    assert said in refused(warehouse, model)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("SELECT 'c' AS company_id, 'x' AS email", "column email is unknown for companies"),
        ("SELECT 'c' AS company_id, 3000000000 AS monthly_spend", "beyond 2,147,483,647"),
        ("SELECT 'c' AS company_id, 'x' AS custom_size_m2", "must be numeric"),
    ],
)
def test_a_wrong_model_of_companies_is_refused(warehouse, model, said):
    assert said in refused(warehouse, model, "companies")


EVENT = "SELECT '1' AS external_id, 'paid' AS event_name, 5 AS created_at"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("SELECT '1' AS external_id, 'paid' AS event_name", "column created_at is missing"),
        ("SELECT 'paid' AS event_name, 5 AS created_at", "no column names the object"),
        ("SELECT '1' AS id, NULL AS event_name, 5 AS created_at", "1 row has no event_name"),
        ("SELECT '1' AS id, '' AS event_name, 5 AS created_at", "an empty event_name"),
        ("SELECT '1' AS id, 'a' AS event_name, NULL::bigint AS created_at", "no created_at"),
        (f"{EVENT}, '[1]'::jsonb AS metadata", "no JSON object"),
        (f'{EVENT}, \'{{"a": {{"b": 1}}}}\'::json AS metadata', "lists or other objects"),
        (f"{EVENT}, '{{\"a\": [1]}}'::jsonb AS metadata", "lists or other objects"),
        (f'{EVENT}, \'{{"a": {{"url": [1], "value": 2}}}}\'::jsonb AS metadata', "a link as"),
        (
            f"{EVENT}, (SELECT jsonb_object_agg(n, n) FROM generate_series(1, 11) n) AS metadata",
            "over 10 keys",
        ),
        (f"{EVENT}, 'x' AS metadata", "must be jsonb"),
        (f"{EVENT}, 'x' AS name", "column name is unknown for events"),
    ],
)
def test_a_wrong_model_of_events_is_refused(warehouse, model, said):
    assert said in refused(warehouse, model, "events")


def test_links_and_amounts_are_metadata(warehouse):
    metadata = {
        "order": {"value": "17", "url": "https://shop.example.com/17"},
        "price": {"amount": 34999, "currency": "eur"},
    }
    plan(warehouse, f"{EVENT}, '{json.dumps(metadata)}'::jsonb AS metadata", "events")
    [row] = outbox(warehouse)
    assert row["body"]["metadata"] == metadata


def test_a_file_is_no_model_and_it_is_said_how_to_give_it(warehouse):
    for name in ("models/users.sql", "/srv/users.sql", "./users"):
        assert f'--from "$(cat {name})"' in refused(warehouse, name)
    assert "cat" not in refused(warehouse, "SELEC 1")


def test_a_limit_beyond_all_rows_is_refused_in_words(warehouse):
    assert "1 to" in refused(warehouse, "SELECT '1' AS external_id", limit=10**20)


def test_tags_have_no_model(warehouse):
    assert "tags have no model" in refused(warehouse, "SELECT '1' AS id", "tags")


@pytest.mark.parametrize(
    "words", [{"mode": "mirror"}, {"nulls": "drop"}, {"on_drift": "x"}, {"limit": 0}]
)
def test_wrong_words_are_refused(words):
    with pytest.raises(SettingsError):
        Asked(CONTACTS, "x", **words)


@pytest.mark.parametrize(
    "written",
    [
        "SELECT '1' AS id, set_config('transaction_read_only', 'off', true) AS name",
        "SELECT '1' AS id, nextval('written_numbers')::text AS name",
        "SELECT '1' AS id, writes() AS name",
        "WITH x AS (INSERT INTO written VALUES (1) RETURNING n) SELECT n::text AS id FROM x",
        "SELECT id FROM contacts FOR UPDATE",
    ],
)
def test_a_model_cannot_write(warehouse, written):
    path = f'"{warehouse.schema}"'
    warehouse.execute(f"DROP TABLE IF EXISTS {path}.written; CREATE TABLE {path}.written (n int)")
    warehouse.execute(f"CREATE SEQUENCE IF NOT EXISTS {path}.written_numbers")
    warehouse.execute(
        f"CREATE OR REPLACE FUNCTION {path}.writes() RETURNS text LANGUAGE plpgsql AS"
        f" $$BEGIN INSERT INTO {path}.written VALUES (1); RETURN 'x'; END$$"
    )
    for name in ("written_numbers", "writes()", "written ", "contacts"):
        written = written.replace(name, f"{path}.{name}")
    try:
        said = refused(warehouse, written)
        assert "Postgres says: " in said
        assert warehouse.query("SELECT * FROM written") == []
    finally:
        warehouse.execute("DROP FUNCTION writes(); DROP TABLE written")


@pytest.mark.parametrize(
    "model",
    [
        "SELECT '1' AS external_id;",
        "  -- a model\n SELECT '1' AS external_id ; -- its end;\n",
        "/* a /* nested; */ one */ SELECT '1' AS external_id",
        "WITH x AS (SELECT '1' AS external_id) SELECT * FROM x",
        "(SELECT '1' AS external_id) UNION (SELECT '1')",
        "SELECT '1' AS external_id WHERE ';' <> $a$;'$a$ AND E'\\';' <> '' -- %s",
        "SELECT 1 AS external_id",
        "SELECT 1::bigint AS external_id",
        "SELECT '1'::varchar AS external_id",
    ],
)
def test_a_right_model_is_taken(warehouse, model):
    made = plan(warehouse, model, dry_run=True)
    assert (made.rows, made.creates) == (1, 1)
    assert outbox(warehouse) == []


def test_a_view_with_an_odd_name_in_the_path_of_the_role(database_url, warehouse):
    name = f'Odd "{os.getpid()}" %s'
    quoted = '"' + name.replace('"', '""') + '"'
    with psycopg.connect(conninfo(database_url), autocommit=True) as conn:
        conn.execute(f"CREATE VIEW public.{quoted} AS SELECT '1' AS external_id")
        try:
            for model in (quoted, f"public.{quoted}", f" public . {quoted} "):
                assert plan(warehouse, model, dry_run=True).creates == 1
        finally:
            conn.execute(f"DROP VIEW public.{quoted}")


def test_a_key_that_only_looks_double_is_none(warehouse):
    made = plan(
        warehouse,
        "SELECT * FROM (VALUES ('1', NULL), (NULL, '1@x.io')) v (external_id, email)",
        dry_run=True,
    )
    assert made.creates == 2


def test_one_object_under_two_keys_is_refused(warehouse):
    contact(warehouse, "one", external_id="7", email="seven@x.io")
    try:
        said = refused(
            warehouse,
            "SELECT * FROM (VALUES ('7', NULL), ('8', NULL), (NULL, 'Seven@x.io'))"
            " v (external_id, email)",
        )
        assert "1 object is named by several rows: rows 1 and 3 name one" in said
    finally:
        warehouse.execute("DELETE FROM contacts")


@pytest.mark.parametrize(
    ("model", "excluded"),
    [
        ("SELECT '1' AS external_id, 'a@b' AS email", "contacts.email"),
        ("SELECT 'a@b' AS email", "contacts.email"),
        ("SELECT '1' AS id, 'x' AS avatar", "contacts.avatar_image_url"),
        ("SELECT '1' AS id, 'x' AS custom_plan_tier", "contacts.custom_attributes.plan_tier"),
        ("SELECT '1' AS id, 'x' AS custom_plan_tier", "contacts.custom_attributes"),
    ],
)
def test_what_the_warehouse_leaves_out_cannot_be_compared(warehouse, model, excluded):
    said = refused(warehouse, model, excluded=[excluded])
    assert f"CONNECTOR_EXCLUDE keeps {excluded} out" in said
    made = plan(warehouse, model, excluded=["contacts.phone", "companies.name"], dry_run=True)
    assert made.rows == 1


def test_a_column_of_the_earlier_type_means_the_living_attribute(warehouse):
    plan(warehouse, "SELECT '1' AS external_id, 7 AS custom_grade")
    assert bodies(warehouse) == [{"role": "user", "custom_attributes": {"grade": 7}}]


def test_an_error_says_no_secret(warehouse, database_url):
    said = refused(warehouse, "SELECT 'x' AS id FROM nowhere")
    assert database_url not in said
    assert said.startswith("model SELECT 'x' AS id FROM nowhere: ")


@pytest.mark.parametrize("text", ["SELECT 1; SELECT 2", "SELECT 1;;SELECT 2", "SELECT 1; /* */ x"])
def test_one_statement(text):
    with pytest.raises(SettingsError):
        query.text_of(Asked(CONTACTS, text))


def test_a_connection_that_is_lost_under_a_model_is_the_databases_matter(warehouse):
    model = "SELECT pg_terminate_backend(pg_backend_pid())::text AS external_id"
    with pytest.raises(DatabaseLostError):
        plan(warehouse, model)
    assert outbox(warehouse) == []
